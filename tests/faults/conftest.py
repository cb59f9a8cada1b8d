"""The undisturbed run, which the others must equal byte for byte; small and read-only disks."""

import fcntl
import os
import shutil
import subprocess

import pytest
from faults.processes import Pipeline, products
from workflow.project import Project


def pytest_terminal_summary(terminalreporter):
    """What tests have measured, before the closing line."""
    for report in terminalreporter.getreports("passed"):
        for name, text in report.user_properties:
            if name == "measured":
                terminalreporter.write_line(text)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    base = tmp_path_factory.getbasetemp()
    # With xdist every worker has a folder in one base: the first to come runs for all.
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    base = base / "undisturbed"
    base.mkdir(exist_ok=True)
    with open(base / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (base / "done").exists():
            shutil.rmtree(base / "project", ignore_errors=True)
            pipeline = Pipeline(Project.fresh(base / "project"))
            assert pipeline.wait() == 0, pipeline.output
            (base / "done").touch()
    return products(Project(base / "project"))


@pytest.fixture
def project(tmp_path):
    return Project.fresh(tmp_path / "project")


@pytest.fixture
def disk(tmp_path):
    """A function that mounts an empty file system in memory under a name."""
    places = []

    def mount(name, options):
        place = tmp_path / name
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        places.append(place)
        return place

    yield mount
    for place in places:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def read_only(disk):
    """A function that fills a new folder with files and then lets nobody write there, not root."""

    def make(name, fill=lambda place: None):
        place = disk(name, "size=3m")
        fill(place)
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        with pytest.raises(OSError, match="Read-only"):
            (place / "probe").touch()
        return place

    return make
