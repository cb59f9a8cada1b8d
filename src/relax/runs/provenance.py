"""Where results come from: the code, its packages, the configuration, the machines, the times."""

import json
import re
import subprocess
from collections import Counter
from pathlib import Path
from platform import python_version

import pandas as pd

from relax.runs.jobs import EARLIER, MACHINE
from relax.runs.sources import PACKAGE, version_of

# What the project uses directly; envs/requirements.lock has the rest.
PACKAGES = (
    *("torch", "numpy", "scipy", "pandas", "scikit-learn", "mlxtend", "matplotlib", "seaborn"),
    *("snakemake", "gymnasium", "jsonschema", "pyyaml", "requests", "tabulate", "tqdm"),
)
# YAML's null; the word would be read from a CSV as a missing value.
NULL = "~"


def provenance(config, results, made):
    """Everything that may have decided the results, and how long they took.

    The code, its packages and the configuration are those of this moment: the workflow makes again
    what an edit of them touches. Machines and times are those of the jobs themselves.

    Args:
        config: the configuration.
        results: the preset's folder of results, with `logs/` and `benchmarks/`.
        made: paths of everything that was made, there and among the figures.

    Returns a table with the columns topic (code, package, config, machine, seconds), item, value:
    of a machine, how many jobs it ran; of a job, its wall time in seconds.
    """
    jobs = benchmarks(Path(results), made)
    topics = {
        "code": code(PACKAGE.parents[1]),
        "package": packages(),
        "config": dict(leaves(config)),
        "machine": _machines(Path(results) / "logs", jobs),
        "seconds": jobs | {"all jobs": f"{sum(map(float, jobs.values())):.1f}"},
    }
    return tidy(topics)


def tidy(topics):
    """The table of {topic: {item: value}}."""
    rows = [(topic, item, v) for topic, items in topics.items() for item, v in items.items()]
    return pd.DataFrame(rows, columns=["topic", "item", "value"])


def packages():
    """{name: installed version} of Python and of what the project uses directly."""
    return {"python": python_version()} | {name: version_of(name) for name in PACKAGES}


def code(root):
    """The commit that the project in this folder is at, and what differs from it."""
    if not (root / ".git").exists():
        return {"commit": "not a git checkout", "changed": "unknown"}
    try:
        changed = _git(root, "status", "--porcelain").splitlines()
        commit = _git(root, "rev-parse", "HEAD").strip()
    except FileNotFoundError:
        return {"commit": "unknown: git is not installed", "changed": "unknown"}
    except subprocess.CalledProcessError as error:
        return {"commit": f"unknown: {error.stderr.splitlines()[0]}", "changed": "unknown"}
    some = ", ".join(line[3:] for line in changed[:5]) + (", ..." if len(changed) > 5 else "")
    return {"commit": commit, "changed": f"{len(changed)}: {some}" if changed else "nothing"}


def _git(root, *words):
    # Without optional locks: another git command may be at work in the same folder.
    command = ["git", "--no-optional-locks", "-C", str(root), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def benchmarks(results, made):
    """Wall seconds, as text, of each job that made one of these files; by the job's name.

    Of a run that was interrupted, over all its parts.
    """
    files = [Path(path) for path in made]
    inside = [f.relative_to(results).with_suffix("") for f in files if f.is_relative_to(results)]
    stems = {*inside, *(Path("figures") / f.stem for f in files)}
    folders = {stem.parent for stem in inside}
    found = {}
    for path in sorted((results / "benchmarks").rglob("*.tsv")):
        job = path.relative_to(results / "benchmarks").with_suffix("")
        # A job is named as a file that it made, as the folder of its files, or, a download, as
        # something in a folder of the data set's name. Others are of an earlier configuration.
        if job in stems or job in folders or job.parent in stems:
            header, *_, last = path.read_text(encoding="utf-8").splitlines()
            seconds = dict(zip(header.split("\t"), last.split("\t")))["s"]
            earlier = _earlier(results / "logs" / f"{job}.log")
            found[str(job)] = f"{float(seconds) + earlier:.4f}" if earlier else seconds
    return found


def _earlier(log):
    """Seconds of a run that was interrupted, before its last start: its log says so."""
    text = log.read_text(encoding="utf-8") if log.exists() else ""
    found = re.search(rf"^{re.escape(EARLIER)}([0-9.]+) s", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def _machines(logs, jobs):
    """How many of these jobs each machine ran, by what their logs say."""
    count = Counter(machine_of(logs / f"{job}.log") for job in jobs)
    return {machine: f"{number} jobs" for machine, number in count.most_common()}


def machine_of(log):
    """The machine that a job's log names."""
    first = log.read_text(encoding="utf-8").partition("\n")[0] if log.exists() else ""
    return first.removeprefix(MACHINE) if first.startswith(MACHINE) else "unknown"


def leaves(block, path=()):
    """Every key, in full, with its value as a line of YAML."""
    for name, value in block.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*path, name))
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield ".".join(map(str, (*path, name))), NULL if value is None else text
