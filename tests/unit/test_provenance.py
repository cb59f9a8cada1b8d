"""Where results come from: what is noted of a checkout, an archive, jobs and their machines."""

import subprocess

import pytest

from relax.runs.jobs import job
from relax.runs.machine import machine
from relax.runs.provenance import benchmarks, code, provenance


def git(folder, *words):
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    return subprocess.run(
        ["git", "-C", folder, *who, *words], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    """A git checkout with one file and one commit."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "--quiet")
    (folder / "model.py").write_text("1\n")
    git(folder, "add", "model.py")
    git(folder, "commit", "--quiet", "--message", "first")
    return folder


def test_the_commit_and_what_differs(checkout):
    """Nothing, an edited file, a new one, and many."""
    commit = git(checkout, "rev-parse", "HEAD")
    assert code(checkout) == {"commit": commit, "changed": "nothing"}
    (checkout / "model.py").write_text("2\n")
    assert code(checkout) == {"commit": commit, "changed": "1: model.py"}
    (checkout / "new.py").touch()
    assert code(checkout)["changed"] == "2: model.py, new.py"
    for number in range(9):
        (checkout / f"other{number}.py").touch()
    assert code(checkout)["changed"].endswith(", ...")


def test_what_is_no_checkout(checkout, tmp_path, monkeypatch):
    """An archive, one inside another checkout too; a checkout without a commit or without git."""
    archive = checkout / "archive"
    archive.mkdir()
    for folder in (tmp_path, archive):
        assert code(folder)["commit"] == "not a git checkout"
    git(archive, "init", "--quiet")
    assert code(archive)["commit"].startswith("unknown: fatal: ")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert code(checkout)["commit"] == "unknown: git is not installed"


MADE = [
    "results/toy/t0.45/rebar/seeds0-1.csv",
    "results/theory/optimum.csv",
    "results/data/mnist.npz",
    "figures/fig1.svg",
]


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A results folder with the benchmarks and logs of jobs, some of an earlier configuration."""
    monkeypatch.chdir(tmp_path)
    jobs = ("toy/t0.45/rebar/seeds0-1", "theory", "data/mnist", "data/mnist/a.gz", "figures/fig1")
    stale = ("toy/t0.45/rebar/seeds0-9", "toy/t0.5/rebar/seeds0-1", "tables/provenance")
    for number, name in enumerate((*jobs, *stale)):
        benchmark = tmp_path / "results" / "benchmarks" / f"{name}.tsv"
        benchmark.parent.mkdir(parents=True, exist_ok=True)
        benchmark.write_text(f"s\th:m:s\tmax_rss\n{number}.5\t0:00:01\t7\n")
        if number:  # the first has no log
            with job(tmp_path / "results" / "logs" / f"{name}.log"):
                pass
    return tmp_path / "results"


def test_the_times_are_those_of_what_was_made(results):
    """Of every job that made something here, and of no other."""
    assert benchmarks(results.relative_to(results.parent), MADE) == {
        "toy/t0.45/rebar/seeds0-1": "0.5",
        "theory": "1.5",
        "data/mnist": "2.5",
        "data/mnist/a.gz": "3.5",
        "figures/fig1": "4.5",
    }


def test_the_table(results):
    """A row a fact; every key of the configuration; machines by how many jobs they ran."""
    config = {"preset": "mine", "data": {"mirror": None, "sets": {}}, "toy": {"targets": [0.45]}}
    table = provenance(config, results.relative_to(results.parent), MADE)
    assert list(table.columns) == ["topic", "item", "value"]
    assert not table.isna().any(axis=None)
    assert set(table.topic) == {"code", "package", "config", "machine", "seconds"}
    value = {(row.topic, row.item): row.value for row in table.itertuples()}
    assert len(value) == len(table)
    assert value["config", "preset"] == "mine"
    assert value["config", "data.mirror"] == "~"
    assert value["config", "data.sets"] == "{}"
    assert value["config", "toy.targets"] == "[0.45]"
    assert value["seconds", "all jobs"] == "12.5"
    assert value["machine", machine()] == "4 jobs"
    assert value["machine", "unknown"] == "1 jobs"
    assert value["package", "torch"][0].isdigit()


def test_the_machine_is_told_in_a_line():
    """Processor, cores, memory, system, graphics; not its name."""
    parts = machine().split("; ")
    assert len(parts) == 5
    assert parts[1].endswith(" cores")
    assert parts[2].endswith(" GiB")
    assert "\n" not in machine()
