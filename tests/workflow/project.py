"""A copy of the project to run snakemake in, as a user would; what a dry run plans to do."""

import copy
import os
import re
import shutil
import sys
from collections import namedtuple
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from workflow.starter import Starter, run_snakemake

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "config.yaml", "workflow", "src", "envs", "examples", "archive")
TINY = Path(__file__).with_name("tiny.yaml")
# A locale that knows no θ: every file is read and written as UTF-8 all the same. PYTHONUTF8=0, or
# Python would take UTF-8 in the locale C by itself.
LOCALE_C = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}

# What tiny.yaml runs.
TOY = ["exact", "reinforce", "concrete", "rebar", "relax"]
TUNED = ["rebar", "relax"]
VAE = ["reinforce", "rebar", "relax"]
RL = ["a2c", "relax"]
PROBLEMS = ["t0.45", "categorical", "many"]
COMPARED = ["reinforce/k1", "disarm/k2"]  # whose training the benchmark shows
STRUCTURE = ["relax", "rloo"]
RL_RUN = "rl/cartpole/{}/lr0.003/c0.01/seeds0-1"
VAE_RUN = "vae/digits/linear1/{}/lr0.001/seeds0-1"

Job = namedtuple("Job", ["rule", "wildcards"])


@dataclass(frozen=True)
class Project:
    """A directory with the project's files, and with what its runs have made."""

    path: Path

    @classmethod
    def fresh(cls, path):
        """The project's sources alone, in a new directory."""
        # What is compiled too: no project need do it again. Not what is just being written.
        skip = shutil.ignore_patterns("*.pyc.*", "*.egg-info")
        path.mkdir(parents=True)
        (path / "profiles").symlink_to("workflow/profiles")
        for part in PARTS:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, path / part, ignore=skip, symlinks=True)
            else:
                shutil.copy2(source, path / part)
        return cls(path)

    def copied(self, path):
        """Everything here in a new directory, with the times of change and snakemake's records."""
        return Project(Path(shutil.copytree(self.path, path, symlinks=True)))

    def snakemake(self, *arguments, config=TINY, environment=None, anew=True):
        """Run snakemake here; the completed process, with stderr joined to stdout.

        Args:
            environment: variables to change.
            anew: where there are any, start Snakemake and its jobs anew, as a user would, and do
                not fork them from processes that have begun (`starter.py`).
        """
        if config:
            arguments = (*arguments, "--configfile", str(config))
        # What the caller's shell says about paths and profiles must not decide a test.
        inherited = {
            k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "SNAKEMAKE_PROFILE")
        }
        if sys.platform != "linux" or (environment and anew):
            return run_snakemake(arguments, self.path, inherited | (environment or {}))
        starter = starter_of(None, tuple(environment.items())) if environment else self.starter
        return starter.run(arguments, self.path, inherited)

    @property
    def starter(self):
        """What starts snakemake here, where the environment is the caller's."""
        return starter_of(None)

    def planned(self, *targets, **options):
        """The jobs that a dry run would start, sorted: "rule" or "rule estimator"."""
        return names(self.planned_jobs(*targets, **options))

    def planned_jobs(self, *targets, **options):
        """The jobs that a dry run would start; options as for `snakemake`."""
        # The target goes first: --configfile takes every word behind it.
        run = self.snakemake(*targets, "--dry-run", **options)
        assert run.returncode == 0, run.stdout
        jobs = read_jobs(run.stdout)
        # Snakemake's own count: what is read wrongly must not pass for "nothing to be done".
        total = re.search(r"^total +(\d+)$", run.stdout, re.MULTILINE)
        if total is None:
            assert "Nothing to be done" in run.stdout, run.stdout
        assert len(jobs) == (int(total[1]) if total else 0), run.stdout
        return jobs


@cache
def starter_of(project, environment=()):
    """The starter for one project's folder, or for any; in a changed environment, or in ours."""
    return Starter(project, environment)


def read_jobs(output):
    """The jobs announced in snakemake's output."""
    jobs = []
    for line in output.splitlines():
        if match := re.fullmatch(r"(?:local)?rule (\w+):", line):
            jobs.append(Job(match[1], {}))
        elif line.startswith("    wildcards: ") and jobs:
            pairs = line.removeprefix("    wildcards: ").split(", ")
            jobs[-1].wildcards.update(pair.split("=", 1) for pair in pairs)
    return jobs


def names(jobs):
    """Sorted names of jobs: "rule" or, where there is one, "rule estimator"."""
    return sorted(f"{job.rule} {job.wildcards.get('estimator', '')}".strip() for job in jobs)


def changed(config, changes):
    """A copy of a configuration with some keys, as "toy.surrogate.hidden", set to new values."""
    config = copy.deepcopy(config)
    for key, value in changes.items():
        *path, last = key.split(".")
        block = config
        for part in path:
            block = block.setdefault(part, {})
        block[last] = value
    return config


def write_config(directory, changes, base=TINY):
    """A config file: tiny.yaml, or another, with some keys changed."""
    path = directory / "changed.yaml"
    config = changed(yaml.safe_load(base.read_text(encoding="utf-8")), changes)
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path
