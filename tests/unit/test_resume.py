"""A run that is interrupted continues to the same bits; a state that is not good is not used."""

import hashlib
import io
import os
import signal

import pandas as pd
import pytest
import torch
from unit.test_vae import images, settings  # noqa: F401

from relax.errors import DataError, Interrupted, NonFiniteError
from relax.experiments.vae import training as vae_training
from relax.runs.resume import Unfinished, identity, read_sealed, write_sealed

RUN, OTHER = identity("this run"), identity("another")


def run(images, folder, unfinished=None, **changes):  # noqa: F811
    """Train for 40 steps in `folder`; the tables, and the bytes of every file."""
    changes = {"estimator": "relax", "model": "linear2", "steps": 40} | changes
    paths = {step: folder / f"{step}.pt" for step in (0, 10, 40)}
    tables = vae_training.train(
        settings(**changes), images, paths, folder / "best.pt", unfinished=unfinished
    )
    return tables, {path.name: path.read_bytes() for path in folder.glob("*.pt")}


class Killed(Exception):
    """Stands for the kill: nothing after it is done."""


class Fragile(Unfinished):
    """Saves at every step, and dies after the one given."""

    def __init__(self, folder, dies_after, log=None):
        super().__init__(folder, RUN, seconds=0, log=log)
        self.dies_after = dies_after

    def save(self, step, state):
        super().save(step, state)
        if step == self.dies_after:
            self.close()  # as the system does for a process that dies
            raise Killed


@pytest.mark.parametrize("estimator", ["reinforce", "nvil", "rebar", "relax"])
def test_a_killed_run_ends_in_the_same_bits(images, tmp_path, estimator):  # noqa: F811
    """Killed four times, in the middle of an epoch and at its end, before and after checkpoints."""
    expected, files = run(images, tmp_path / "whole", estimator=estimator, pretraining_steps=3)
    assert set(files) == {"0.pt", "10.pt", "40.pt", "best.pt"}
    log = io.StringIO()
    for step in (1, 9, 12, 39):
        with pytest.raises(Killed):
            run(
                images,
                tmp_path / "killed",
                Fragile(tmp_path / "unfinished", step, log),
                estimator=estimator,
                pretraining_steps=3,
            )
        assert not list((tmp_path / "killed").glob("*.pt"))  # no output before the end
    last = Unfinished(tmp_path / "unfinished", RUN, log=log)
    tables, again = run(images, tmp_path / "killed", last, estimator=estimator, pretraining_steps=3)
    for mine, other in zip(tables, expected, strict=True):
        pd.testing.assert_frame_equal(mine, other, check_exact=True)
    assert again == files
    continued = [line for line in log.getvalue().splitlines() if line.startswith("continuing")]
    assert continued == [f"continuing after step {step}" for step in (1, 9, 12, 39)]
    last.remove()
    assert not (tmp_path / "unfinished").exists()


@pytest.fixture
def stopped(images, tmp_path):  # noqa: F811
    """The folder of a run that died after step 12: states of steps 11 and 12, checkpoints 0, 10."""
    folder = tmp_path / "unfinished"
    with pytest.raises(Killed):
        run(images, tmp_path, Fragile(folder, 12))
    states = ["state_000000000011", "state_000000000012"]
    names = ["checkpoint_0", "checkpoint_10", "lock", *states]
    assert sorted(path.name for path in folder.iterdir()) == names
    return folder


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate, flip, empty])
@pytest.mark.parametrize(
    ("names", "step"),
    [(["state_000000000012"], 11), (["state_000000000011", "state_000000000012"], None)],
)
def test_damage_is_named_and_not_used(stopped, damage, names, step):
    """It goes on from the last good state, or from the beginning."""
    log = io.StringIO()
    for name in names:
        damage(stopped / name)
    with Unfinished(stopped, RUN, log=log) as unfinished:
        state = unfinished.load()
    assert (state and state["step"]) == step
    for name in names:
        assert f"not continued from: {stopped / name} is damaged" in log.getvalue()
        assert not (stopped / name).exists()


def test_a_damaged_checkpoint_is_not_placed(stopped):
    """One that the run owes cannot be made again from a later state: it starts anew."""
    log = io.StringIO()
    flip(stopped / "checkpoint_10")
    with Unfinished(stopped, RUN, log=log) as unfinished:
        assert unfinished.load() is None
        assert [path.name for path in stopped.iterdir()] == ["lock"]
    assert "checkpoint_10 is damaged" in log.getvalue()


def test_a_state_of_another_run_is_not_used(stopped):
    log = io.StringIO()
    with Unfinished(stopped, OTHER, log=log) as unfinished:
        assert unfinished.load() is None
    assert "is of another configuration, data set or version of the code" in log.getvalue()


def test_identity_is_of_settings_and_content(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    one = identity("x", 1, files=[tmp_path / "a"])
    assert one == identity("x", 1, files=[tmp_path / "a"])
    assert one != identity("x", 2, files=[tmp_path / "a"])
    (tmp_path / "a").write_bytes(b"b")
    assert one != identity("x", 1, files=[tmp_path / "a"])


def test_settings_print_the_same_in_every_process():
    """An address in them would make every process another run."""
    assert " at 0x" not in repr(settings())


def test_sealed_files_unpickle_nothing(tmp_path):
    """Code in a file does not run, and is not accepted."""
    body = io.BytesIO()
    torch.save({"code": os.system}, body)
    content = RUN + body.getvalue()
    write_sealed(tmp_path / "good", {"x": torch.ones(2)}, RUN)
    assert torch.equal(read_sealed(tmp_path / "good", RUN)["x"], torch.ones(2))
    (tmp_path / "bad").write_bytes(hashlib.sha256(content).digest() + content)
    with pytest.raises(DataError, match="bad cannot be read"):
        read_sealed(tmp_path / "bad", RUN)
    with pytest.raises(DataError, match="none cannot be read: No such file"):
        read_sealed(tmp_path / "none", RUN)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_ends_the_run(images, tmp_path, number):  # noqa: F811
    """The state is of the step at which it came; the handlers are as before afterwards."""

    class Signalled(Unfinished):
        def due(self):
            self.steps = getattr(self, "steps", 0) + 1
            if self.steps == 5:
                os.kill(os.getpid(), number)
            return False

    before = signal.getsignal(number)
    unfinished = Signalled(tmp_path / "unfinished", RUN)
    with pytest.raises(Interrupted, match=r"interrupted after step [56]"):
        run(images, tmp_path, unfinished)
    unfinished.close()
    assert signal.getsignal(number) is before
    with Unfinished(tmp_path / "unfinished", RUN) as unfinished:
        state = unfinished.load()
    assert state["step"] in (5, 6)


def test_a_run_that_is_not_finite_leaves_nothing(tmp_path):
    """It would come to the same end again."""
    unfinished = Unfinished(tmp_path / "unfinished", RUN, 0)
    unfinished.save(1, {"step": 1, "kept": []})

    def end():
        with unfinished:
            raise NonFiniteError("as the numbers of a toy or a policy end")

    with pytest.raises(NonFiniteError):
        end()
    assert not (tmp_path / "unfinished").exists()


def test_one_process_at_a_time(tmp_path):
    """The second is told who has the run, and the first is not disturbed."""
    first = Unfinished(tmp_path / "run", RUN)
    first.keep("x", {"x": 1})
    with pytest.raises(DataError, match=rf"is in use by process {os.getpid()} on "):
        Unfinished(tmp_path / "run", RUN)
    assert first.read("x") == {"x": 1}
    first.close()
    with Unfinished(tmp_path / "run", RUN) as second:
        assert second.read("x") == {"x": 1}
    assert not (tmp_path / "run").exists()
