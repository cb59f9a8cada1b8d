"""The pipeline, run once at the tiny scale; its tests share what it made."""

import fcntl
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from workflow.project import Project, starter_of


@dataclass(frozen=True)
class TinyRun(Project):
    """A project whose default target has been built. Tests only read it, or plan on it."""

    @property
    def starter(self):
        """One that has read the sources: they stay as they are."""
        return starter_of(self.path)

    @property
    def notes(self):
        """What the probe wrote: one dictionary a job."""
        return [json.loads(p.read_text()) for p in (self.path.parent / "notes").iterdir()]

    def output(self, which):
        """What snakemake printed in its "first" and "second" run."""
        return (self.path.parent / f"{which}.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The pipeline run twice in a directory with a space and an accent in its name."""
    base = tmp_path_factory.getbasetemp()
    # With xdist every worker has a folder in one base: the first to come builds for all.
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    base = base / "tiny"
    base.mkdir(exist_ok=True)
    with open(base / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run = TinyRun(base / "étude de RELAX")
        if not (base / "second.txt").exists():
            _build(run, base)
    return run


def _build(run, base):
    for leftover in (run.path, base / "notes", base / "probe"):
        shutil.rmtree(leftover, ignore_errors=True)
    Project.fresh(run.path)
    (base / "notes").mkdir()
    (base / "probe").mkdir()
    shutil.copy(Path(__file__).with_name("probe.py"), base / "probe" / "sitecustomize.py")
    environment = {"PYTHONPATH": str(base / "probe"), "PROBE_NOTES": str(base / "notes")}
    for which in ("first", "second"):
        done = run.snakemake("--cores", "2", environment=environment)
        assert done.returncode == 0, done.stdout
        (base / f"{which}.txt").write_text(done.stdout, encoding="utf-8")


@pytest.fixture
def built_copy(tiny, tmp_path):
    """A copy of the tiny run that a test may change."""
    return tiny.copied(tmp_path / "copy")


@pytest.fixture
def results(tiny):
    """The tiny run's results folder."""
    return tiny.path / "results" / "tiny"
