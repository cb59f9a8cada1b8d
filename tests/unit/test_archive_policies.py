"""Packed policies: a job that has ended, and one as far as it came."""

import io
from contextlib import contextmanager

import pandas as pd
import pytest
import yaml
from unit.test_control import StopAfter, settings
from workflow.project import ROOT

from relax.errors import Interrupted
from relax.experiments.archive import summary
from relax.experiments.archive.pack import pack
from relax.experiments.archive.stack import read_packed, stack
from relax.experiments.control import training as control_training
from relax.experiments.control.history import History
from relax.experiments.control.training import train
from relax.numerics.finite import NEVER
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
    history.frames, history.diverged = [30, 200], [7, NEVER]
    assert history.reached() == 200
    history.diverged = [NEVER, NEVER]  # the control
    assert history.reached() == 30
    history.diverged = [7, 9]
    assert history.reached() == 30
