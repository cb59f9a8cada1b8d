"""The user's own problem: `snakemake table_own figure_own`, on a file that is the user's."""

import pandas as pd
import pytest
import yaml
from workflow.project import TINY, Project

from relax.errors import RelaxError
from relax.experiments.own.comparison import compare_own
from relax.experiments.own.problem import OwnSettings, train_own

COST = '''"""Choices of my own."""

import torch


def price(b):
    """b [rows, 3, 4] -> [rows]."""
    return (b * torch.arange(4.0)).sum((-1, -2)) + b[:, 0, 1] * b[:, 1, 0]
'''


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The project's sources with a file of the user's beside them, and the tiny configuration."""
    made = Project.fresh(tmp_path_factory.mktemp("own") / "project")
    (made.path / "mine.py").write_text(COST)
    return made


def configured(project, **own):
    """The path of the tiny configuration with the user's own problem."""
    config = yaml.safe_load(TINY.read_text())
    config["own"] |= {"file": "mine.py", "function": "price", "latents": 3, "outcomes": 4} | own
    path = project.path / "own.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def test_the_targets_train_and_compare(project):
    """With a cost that can be differentiated, over three choices among four."""
    config = configured(project, estimators=["reinforce", "rebar"], differentiable=True)
    run = project.snakemake("table_own", "figure_own", "--cores", "2", config=config)
    assert run.returncode == 0, run.stdout
    table = pd.read_csv(project.path / "results/tiny/tables/own.csv")
    assert list(table.estimator) == ["reinforce", "rebar"]
    assert list(table.steps) == [40, 20]  # the budget is of evaluations: REBAR takes two a step
    assert list(table.evaluations_spent) == [40, 40]
    assert set(table.file + ":" + table.function) == {"mine.py:price"}
    assert (table.reference == "enumeration of the 64 values of b").all()
    assert table[["loss", "loss_se", "least_loss", "bias", "z", "variance"]].notna().all(axis=None)
    assert table.left_out.isna().all()
    assert (table.seconds > 0).all()
    text = (project.path / "results/tiny/tables/own.md").read_text()
    assert "variance x evaluations" in text
    drawn = (project.path / "figures/tiny/fig_own.svg").read_text()
    assert "price of mine.py" in drawn
    runs = pd.read_csv(project.path / "results/tiny/own/rebar/seeds0-1.csv")
    assert list(runs.columns[:6]) == ["estimator", "file", "function", "noise", "seed", "step"]
    assert (runs.evaluations == 2 * runs.step).all()
    # An edit of the user's file runs all of it again, and nothing else does.
    assert project.planned("table_own", "figure_own", config=config) == []
    (project.path / "mine.py").write_text(COST.replace("4.0", "4.0, 0.0, -1.0"))
    assert len(project.planned("table_own", "figure_own", config=config)) == 5


def test_a_file_that_is_not_there_is_named(project):
    config = configured(project, file="absent.py")
    run = project.snakemake("table_own", "--dry-run", config=config)
    assert run.returncode != 0
    assert "own.file: there is no file 'absent.py'" in run.stdout
    assert "'price'" in run.stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def prize(b): return b.sum((-1, -2))", ["no function 'price'", "it has prize"]),
        ("def price(b): return b.sum()", ["'price' of", "shape []"]),
        ("def price(b): return 4", ["'price' of", "Python number 4"]),
        ("def price(b): return b.log().sum((-1, -2))", ["'price' of", "finite"]),
        ("def price(b): return b.sum(5)", ["'price' of", "IndexError"]),
    ],
)
def test_errors_name_file_function_and_what_it_returned(tmp_path, text, words):
    file = tmp_path / "mine.py"
    file.write_text(text)
    params = {"function": "price", "latents": 3, "outcomes": 4, "noise": "coupled"}
    settings = {"evaluations": 4, "measurements": 1, "surrogate": {}}
    run = OwnSettings.of({"estimator": "reinforce", "first": 0, "last": 1}, params | settings, file)
    comparison = {"estimators": ["reinforce"], "surrogate": {}, "steps": 1, "estimates": 2}
    for job in (lambda: train_own(run), lambda: compare_own(file, **params, **comparison)):
        with pytest.raises(RelaxError) as caught:
            job()
        assert "mine.py" in str(caught.value)
        for word in words:
            assert word in str(caught.value)


def test_an_estimator_that_cannot_take_the_latents_is_refused_at_once(project):
    config = configured(project, estimators=["reinforce", "exact"], latents=17, outcomes=None)
    run = project.snakemake("table_own", "--dry-run", config=config)
    assert run.returncode != 0
    assert "own.estimators: 'exact' takes at most 16 latents; allowed here: reinforce" in run.stdout
