"""A pipeline as a process of its own, and its jobs, to be killed."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

CONFIG = Path(__file__).with_name("faults.yaml")
TARGETS = ("table_vae", "figure_3", "figure_4")
RESULTS = "results/faults"


def command(*targets, config=CONFIG):
    return [
        sys.executable,
        "-m",
        "snakemake",
        *targets,
        "--cores",
        "2",
        "--configfile",
        str(config),
    ]


class Pipeline:
    """Snakemake, started in a project; its output goes to `log`."""

    def __init__(self, project, *targets, environment=None, config=CONFIG):
        self.log = project.path.parent / "output.txt"
        with open(self.log, "w", encoding="utf-8") as output:
            self.process = subprocess.Popen(
                command(*(targets or TARGETS), config=config),
                cwd=project.path,
                env=os.environ | (environment or {}),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self):
        return self.log.read_text(encoding="utf-8")

    def jobs(self):
        """Its training processes."""
        try:
            family = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return [p for p in family if _trains(p)]

    def wait_for_training(self, saves_in=None):
        """Wait for a training job; if asked, until one has saved a new state in this folder."""
        deadline, seen = time.monotonic() + 120, states(saves_in)
        while self.process.poll() is None and time.monotonic() < deadline:
            if self.jobs() and (saves_in is None or states(saves_in) - seen):
                return True
            time.sleep(0.05)
        return False

    def wait(self):
        return self.process.wait(timeout=900)  # a guard, for machines with much else to do


def states(folder):
    """Paths of the saved states in a folder, or none of None."""
    # Not rglob: it raises where a folder vanishes meanwhile, as that of a run which ends does.
    walk = os.walk(folder) if folder else ()
    return {Path(top, name) for top, _, names in walk for name in names if name[:6] == "state_"}


def _trains(process):
    try:
        words = process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False
    return bool(words) and "python" in words[0] and any("train_vae.py" in w for w in words[1:])


def products(project):
    """Everything that a run makes but for logs and run times: bytes by path."""
    return {
        str(path.relative_to(project.path)): path.read_bytes()
        for top in (RESULTS, "figures/faults")
        for path in (project.path / top).rglob("*")
        if path.is_file() and not {"logs", "benchmarks"} & set(path.parts)
    }
