"""What a user sees when something is wrong: one message, and no result that looks like one."""

import pytest
import torch
from workflow.project import Project, write_config

from relax.files import placed_whole
from relax.runs.tables import read_tables

BAD_CONFIGS = {
    "unknown key": ({"toy.stepz": 5}, ["toy.stepz: unknown key", "did you mean 'steps'?"]),
    "wrong type": ({"toy.steps": "many"}, ["toy.steps: must be a whole number; got 'many'"]),
    "estimator": (
        {"vae.estimators": ["rebar", "relaxx"]},
        ["vae.estimators[1]: unknown estimator 'relaxx'", "there are: exact, reinforce"],
    ),
    "too small": ({"toy.seeds": 0}, ["toy.seeds: must be 1 or more; got 0"]),
    "empty block": ({"toy": None}, ["toy: must be a block of keys"]),
}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """The sources alone: no run has been here."""
    return Project.fresh(tmp_path_factory.mktemp("fresh") / "project")


@pytest.mark.parametrize("case", BAD_CONFIGS)
def test_a_bad_config_ends_before_any_job(fresh, tmp_path, case):
    """It names the key and what is allowed, shows no traceback, and leaves nothing behind."""
    changes, words = BAD_CONFIGS[case]
    run = fresh.snakemake("--cores", "1", config=write_config(tmp_path, changes))
    assert run.returncode != 0
    for word in words:
        assert word in run.stdout
    assert "Traceback" not in run.stdout
    assert "Job stats" not in run.stdout
    assert not (fresh.path / "results").exists()
    assert not (fresh.path / "figures").exists()


# η so large that g² overflows: the surrogate's first update is not a number, the second step's
# gradient neither.
OVERFLOW = {"preset": "overflow", "toy.surrogate.scale": 1e200, "vae.surrogate.scale": 1e30}
RUNS = [  # a job of each rule that trains a toy
    "toy/t0.45/rebar/seeds0-1",
    "toy/categorical/rebar/seeds0-1",
    "toy/t0.45/rebar/relaxation_seeds0-1",
]
# The toys measure their variance before the first step, and see it there.
MESSAGES = [
    "the gradient variance stopped being finite at step 0, seed 0, estimator 'rebar'",
    "the gradient variance stopped being finite at step 0, seed 0, estimator 'rebar'",
    "the gradient stopped being finite at step 2, seed 0, estimator 'rebar'",
]


def overflow(folder, changes):
    """Runs whose numbers overflow; their results folder, and what snakemake said."""
    project = Project.fresh(folder / "project")
    targets = [f"results/overflow/{run}.csv" for run in RUNS]
    config = write_config(folder, OVERFLOW | changes)
    run = project.snakemake(*targets, "--cores", "2", "--keep-going", config=config)
    return project.path / "results" / "overflow", run


def test_a_run_that_overflows_says_where_and_keeps_no_result(tmp_path):
    """Step, seed and estimator, once a job, in its log too; no traceback, no part of a result."""
    results, run = overflow(tmp_path, {})
    assert run.returncode != 0
    assert run.stdout.count("error: ") == len(RUNS)
    assert "Traceback" not in run.stdout
    for job, message in zip(RUNS, MESSAGES, strict=True):
        assert f"error: {message}" in run.stdout
        assert message in (results / "logs" / f"{job}.log").read_text(encoding="utf-8")
    # Hidden temporaries and tables alike.
    assert [p for p in (results / "toy").rglob("*") if p.is_file()] == []


def test_a_vae_of_which_nothing_is_left(tmp_path):
    """Its jobs end with tables that say when; what would show them fails, in one sentence."""
    project = Project.fresh(tmp_path / "project")
    changes = {"vae.estimators": ["rebar"], "vae.learning_rates": [0.001, 0.01]}
    config = write_config(tmp_path, OVERFLOW | changes | {"vae.learning_rates_per_job": 2})
    run = project.snakemake("table_vae", "--cores", "2", config=config)
    assert run.returncode != 0
    assert "diverged: rebar at learning rate 0.01, 2 of 2 seeds (seed 0 at step 2" in run.stdout
    assert run.stdout.count("error: ") == 1
    assert "error: no run of the VAE is left to show (diverged, left out: 2 of 2 runs" in run.stdout
    assert "Traceback" not in run.stdout
    for rate in ("0.001", "0.01"):
        path = project.path / f"results/overflow/vae/digits/linear1/rebar/lr{rate}/seeds0-1"
        assert read_tables(str(path / "training.csv")).diverged_step.tolist() == [2, 2]


def test_a_run_that_overflows_at_its_last_step_fails_too(tmp_path):
    """The update after the last check may be the one that ends in numbers that are none."""
    steps = {"toy.steps": 1, "toy.relaxation.steps": 1}
    _, run = overflow(tmp_path, steps)
    assert run.returncode != 0
    assert run.stdout.count("error: ") >= len(RUNS)
    assert "Traceback" not in run.stdout


def test_a_file_is_placed_whole(tmp_path):
    """It appears under its name when the block ends, with the rights of an ordinary new file."""
    path = tmp_path / "new folder" / "table.csv"
    with placed_whole(path) as temporary:
        temporary.write_text("good")
        assert not path.exists()
        assert temporary.suffix == path.suffix  # writers that choose a format by suffix
    assert path.read_text() == "good"
    assert [p.name for p in path.parent.iterdir()] == ["table.csv"]
    (tmp_path / "ordinary").touch()
    assert path.stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def interrupted_write(path, event):
    with placed_whole(path) as temporary:
        temporary.write_text("half")
        raise event


@pytest.mark.parametrize("event", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("earlier", ["good", None])
def test_an_interrupted_write_leaves_no_part(tmp_path, event, earlier):
    """Half a file never takes the name: an earlier good copy stays, or there is none."""
    path = tmp_path / "table.csv"
    if earlier:
        path.write_text(earlier)
    with pytest.raises(event):
        interrupted_write(path, event)
    assert [p.name for p in tmp_path.iterdir()] == (["table.csv"] if earlier else [])
    assert not earlier or path.read_text() == earlier


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there(tmp_path):
    """One message that names the key and what to do; no result."""
    project = Project.fresh(tmp_path / "project")
    target = "results/gpu/vae/digits/linear1/rebar/lr0.001/seeds0-1/training.csv"
    config = write_config(tmp_path, {"preset": "gpu", "device": "cuda"})
    run = project.snakemake(target, "--cores", "1", config=config)
    assert run.returncode != 0
    assert "error: device: 'cuda' is asked for, and torch finds no GPU" in run.stdout
    assert "Traceback" not in run.stdout
    assert not (project.path / target).exists()
