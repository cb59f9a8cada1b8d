"""Packed policies: a job that has ended, and one as far as it came."""

import io
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.text import Text
from unit.test_control import StopAfter, settings
from unit.test_control_tables import table as control_table
from workflow.project import ROOT

from relax.errors import DataError, Interrupted
from relax.experiments.archive import summary
from relax.experiments.archive.pack import COLUMNS, pack, write_packed
from relax.experiments.archive.stack import read_packed, stack
from relax.experiments.control import summary as control_summary
from relax.experiments.control import training as control_training
from relax.experiments.control.claims import fewer_episodes
from relax.experiments.control.environments import Episode
from relax.experiments.control.figures import fig13_cartpole
from relax.experiments.control.history import History
from relax.experiments.control.training import train
from relax.experiments.control.unfinished import table_so_far
from relax.numerics.finite import NEVER
from relax.presentation.judge import NOT_TESTED
from relax.runs.provenance import leaves, tidy
from relax.runs.resume import Unfinished, identity
from relax.runs.tables import write_table

FRAMES = 600


def job(project, own):
    """The folder of a run's job in a project."""
    rates = f"lr{own.learning_rate}/c{own.surrogate_learning_rate}"
    seeds = f"seeds{own.seeds[0]}-{own.seeds[-1]}"
    return project / "results" / "mine" / "rl" / own.task / own.estimator / rates / seeds


def stopped(project, own, monkeypatch, updates=5):
    """Train until a signal comes after some updates; the state waits in the project."""

    @contextmanager
    def soon():
        yield StopAfter(updates)

    monkeypatch.setattr(control_training, "stoppable", soon)
    folder = job(project, own) / "unfinished" / "abc"
    with pytest.raises(Interrupted), Unfinished(folder, identity(own), 1e9) as unfinished:
        train(own, None, None, unfinished)


@pytest.fixture
def project(tmp_path):
    """A project whose default is as long as the runs; CartPole leaves its length to it."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    assert "frames" not in config["rl"]["environments"]["cartpole"]
    config["rl"]["defaults"]["frames"] = FRAMES
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "mine.yaml").write_text("preset: mine\n")
    return tmp_path


def test_policies_are_packed_whole_and_as_far_as_they_came(project, monkeypatch):
    """Every row of the run that has ended; of the other those that the whole run has until then."""
    ended, other = (settings(name, frames=FRAMES) for name in ("a2c", "relax"))
    training, shown = train(ended)
    write_table(training, job(project, ended) / "training.csv")
    write_table(shown, job(project, ended) / "shown.csv")
    whole, _ = train(other)
    stopped(project, other, monkeypatch)
    jobs, rows = pack(project / "results" / "mine", project / "packed", [project / "mine.yaml"])
    packed = read_packed(project / "packed")
    so_far = whole[whole["update"] <= 6]
    assert 0 < len(so_far) < len(whole)
    assert rows == {"policies": len(training) + len(so_far), "shown": len(shown)}
    both = pd.concat([training, so_far], ignore_index=True)
    again = pd.read_csv(io.StringIO(both.to_csv(index=False)))
    pd.testing.assert_frame_equal(packed.tables["policies"], again, check_exact=True)
    assert list(jobs.estimator) == ["a2c", "relax"]
    assert list(jobs.finished) == [True, False]
    assert list(jobs.planned) == [FRAMES, FRAMES]
    assert list(jobs.steps) == [FRAMES, so_far.groupby("seed").frame.max().min()]
    assert list(jobs.interruptions) == [0, 0]
    table = summary.for_people(summary.summarise(stack([project / "packed"])["jobs"]))
    reached = dict(zip(table.estimator, table.iterations, strict=True))
    assert reached == {"A2C": "600", "RELAX": f"{jobs.steps[1]} of 600, unfinished"}


def test_a_seed_that_diverged_does_not_say_how_far_the_others_came():
    history = History(settings())
    history.count([[Episode(1.0, 30)], [Episode(2.0, 200)]], None, None, [NEVER, NEVER])
    state = {"history": history.state()}
    assert table_so_far(settings(), state)[1] == 30
    state["history"]["diverged"] = [1, NEVER]
    table, frames = table_so_far(settings(), state)
    assert frames == 200
    assert table.diverged_update.tolist()[0] == 1
    state["history"]["diverged"] = [1, 1]
    assert table_so_far(settings(), state)[1] == 30


def packed(folder, task, environment, said):
    """A packed run of one task whose provenance says something of when it is solved."""
    policies = control_table().drop(columns="solved").assign(task=task, environment=environment)
    names = ["task", "environment", "estimator", "learning_rate", "surrogate_learning_rate", "seed"]
    shown = policies[policies.episode == 1][names]
    shown = pd.concat([shown.assign(step=step) for step in range(10)])
    shown = shown.assign(**{f"observation_{i}": 0.01 for i in range(4)})
    facts = tidy({"config": said})
    none = pd.DataFrame(columns=COLUMNS)
    write_packed(folder, {"policies": policies, "shown": shown}, none, facts)
    return folder


def test_a_packed_run_says_itself_when_its_task_is_solved(tmp_path):
    """By its provenance, whatever this project's configuration knows of the task."""
    bars = {"moon": ("Moon-v0", 150), "pole": ("CartPole-v1", 250), "endless": ("Endless-v0", None)}
    said = dict(leaves({f"rl.environments.{task}.solved": bar for task, (_, bar) in bars.items()}))
    folders = [packed(tmp_path / task, task, name, said) for task, (name, _) in bars.items()]
    policies = stack(folders)["policies"]
    found = policies.groupby("task").solved.first()
    assert (found.moon, found.pole, np.isnan(found.endless)) == (150, 250, True)
    table = control_summary.summarise(policies).set_index(["task", "estimator"])
    assert table.solved_seeds["moon", "relax"] == 3
    assert table.solved_seeds["pole", "relax"] == 0
    silent = packed(tmp_path / "silent", "mars", "Mars-v0", {"rl.tasks": "[mars]"})
    with pytest.raises(DataError, match=r"'silent' lacks rl\.environments\.mars\.solved"):
        stack([silent])


def test_what_cannot_be_solved_has_no_count_of_who_solved_it():
    """Empty cells, and claims that are not tested; the same rows with a threshold are (control)."""
    rows = control_table(a2c=(90, 80, 100))
    for solved, tested in ((np.nan, False), (195.0, True)):
        own = rows.assign(solved=solved)
        table = control_summary.summarise(own)
        assert table[control_summary.SOLVING].notna().all(axis=None) == tested
        assert table[control_summary.SOLVING].notna().any(axis=None) == tested
        people = control_summary.for_people(table)
        assert (people.solved != "").tolist() == [tested] * 2
        (row,) = [r for r in fewer_episodes({"policies": own}) if "CartPole" in r["claim"]]
        assert (row["verdict"] != NOT_TESTED) == tested


def test_pictures_are_of_cartpole_alone(tmp_path, project):
    """Of other tasks no states are packed, and none are drawn as poles."""
    pole = packed(tmp_path / "pole", "pole", "CartPole-v1", {"rl.environments.pole.solved": "195"})
    moon = packed(tmp_path / "moon", "moon", "Moon-v0", {"rl.environments.moon.solved": "195"})
    both = stack([pole, moon])
    alone = stack([pole])
    words = [
        [text.get_text() for text in fig13_cartpole(t["policies"], t["shown"]).findobj(Text)]
        for t in (both, alone)
    ]
    assert words[0] == words[1]
    own = settings("a2c", task="lunarlander", id="LunarLander-v3", frames=FRAMES)
    training, shown = (pd.DataFrame({"environment": [own.id], "step": [1]}) for _ in range(2))
    write_table(training, job(project, own) / "training.csv")
    write_table(shown, job(project, own) / "shown.csv")
    _, rows = pack(project / "results" / "mine", project / "packed", [project / "mine.yaml"])
    assert rows == {"policies": 1}
