"""Compiled steps: the same numbers as the plain step's, and when there is one."""

import io
import itertools
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from relax.data.images import Images
from relax.errors import ConfigError, Interrupted
from relax.estimators.registry import REGISTRY, estimator_names
from relax.experiments.vae import compiled as vae_compiled
from relax.experiments.vae import trainer as vae_trainer
from relax.experiments.vae import training
from relax.experiments.vae.compiled import ENOUGH, choose
from relax.experiments.vae.trainer import Minibatches, Trainer, VAESettings
from relax.numerics import compiled, products
from relax.numerics.streams import generator
from relax.runs.resume import Unfinished
from relax.surrogates.base import SurrogateSpec

CPU = torch.device("cpu")
SPEC = SurrogateSpec(hidden=(6, 4), activation="relu", squash=False, add_relaxed_cost=True)
ESTIMATORS = [name for name in estimator_names() if name != "exact"]
RUNS = [*itertools.product(["linear2"], ESTIMATORS), ("linear1", "relax"), ("nonlinear", "relax")]
needs_compiler = pytest.mark.skipif(
    compiled.missing() is not None, reason="there is no C++ compiler, or no headers of Python"
)


@pytest.fixture
def float64(monkeypatch):
    """The package's VAE in float64."""
    double = replace(vae_trainer.DEFAULT_SPEC, dtype=torch.float64)
    monkeypatch.setattr(vae_trainer, "DTYPE", torch.float64)
    monkeypatch.setattr(vae_trainer, "DEFAULT_SPEC", double)


@pytest.fixture
def interpreted(monkeypatch):
    """Programs that are not compiled: the operations that were written down, one by one."""
    monkeypatch.setattr(compiled, "program", lambda operations, tensors: operations)


@pytest.fixture(scope="module")
def images():
    draws = generator(0, "split").random((70, 12)) < np.linspace(0.1, 0.9, 12)
    pixels = torch.from_numpy(draws.astype(np.float64))
    return Images(pixels[:50], pixels[50:60], pixels[60:], (3, 4))


def settings(model="linear1", name="relax", **changed):
    values = {"batch": 8, "latents": 5, "bound_samples": 2, "evaluation_samples": 1, "spec": SPEC}
    return VAESettings("toy", model, name, (0.01, 0.003), range(2), **values | changed)


def trained(chosen, images, steps=6, compiled=True):
    """A trainer after so many steps, and the last costs."""
    trainer = Trainer(chosen, images, compiled=compiled)
    batches = Minibatches(images.train, chosen.seeds, chosen.batch, copies=chosen.copies)
    noise = chosen.noise_stream("noise")
    for step in range(steps):
        cost = trainer.step(step + 1, batches(step), noise(step))
    return trainer, cost


def compare(chosen, images, tolerance):
    """Both ways of one run; raises where costs or anything that was learned differ by more."""
    plain, cost = trained(chosen, images, compiled=False)
    other, same = trained(chosen, images)
    torch.testing.assert_close(same, cost, rtol=0, atol=tolerance)
    found = other.learned.state_dict()
    for name, value in plain.learned.state_dict().items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=tolerance, msg=name)
    return plain


@pytest.mark.usefixtures("float64", "interpreted")
@pytest.mark.parametrize(("model", "name"), RUNS)
def test_what_is_compiled_is_the_step(images, model, name):
    """Every estimator's step as a list of operations: parameters, statistics and costs, 6 steps.

    Rounding alone parts the two: of numbers up to 10, some 1e-14 a step.
    """
    chosen = settings(model, name, surrogate_weight_decay=0.01)
    plain = compare(chosen, images, 1e-10)
    assert REGISTRY[name].learns == any(p.requires_grad for p in plain.surrogates.parameters())


@pytest.mark.usefixtures("float64", "interpreted")
def test_a_wrong_step_would_be_seen(images, monkeypatch):
    """The control: a program without the direct gradient ends elsewhere."""
    whole = vae_compiled.encoder_estimate
    monkeypatch.setattr(vae_compiled, "encoder_estimate", lambda *given: whole(*given[:-1], False))
    with pytest.raises(AssertionError, match=r"encoders|Tensor-likes"):
        compare(settings(), images, 1e-10)


@needs_compiler
@pytest.mark.usefixtures("float64")
def test_a_compiled_step_is_the_step(images):
    """By the compiler itself, two rates of two seeds: rounding alone."""
    compare(settings(), images, 1e-10)


def whole_run(chosen, images, folder, stops_at=None, monkeypatch=None):
    """The tables of a run that is interrupted once, or not, and its last checkpoint."""
    folder.mkdir()
    log = io.StringIO()
    path, steps = folder / "training.csv", {chosen.steps: [folder / "a.pt", folder / "b.pt"]}
    if stops_at:
        asked = iter(step == stops_at for step in range(1, 10**6))
        with monkeypatch.context() as patch:
            patch.setattr(training, "stoppable", lambda: Signals(lambda: next(asked)))
            with pytest.raises(Interrupted), Unfinished.beside(path, (1,), [], 1000, log) as state:
                training.train(chosen, images, steps, None, log, state, compiled=True)
    with Unfinished.beside(path, (1,), [], 1000, log) as state:
        tables = training.train(chosen, images, steps, None, log, state, compiled=True)
    return tables, [torch.load(p, weights_only=True) for p in steps[chosen.steps]]


class Signals:
    """What `stoppable` gives, by a function."""

    def __init__(self, asked):
        self.asked = asked

    def __enter__(self):
        return self.asked

    def __exit__(self, *error):
        pass


@needs_compiler
def test_a_run_that_was_stopped_ends_in_the_same_bits(images, tmp_path, monkeypatch):
    """The program is made again for the rest, from the cache or not: every number is the same."""
    chosen, splits = settings(name="reinforce", steps=20), (images.train, images.valid, images.test)
    images = Images(*(pixels.float() for pixels in splits), images.shape)
    tables, checkpoints = whole_run(chosen, images, tmp_path / "whole")
    again, others = whole_run(chosen, images, tmp_path / "stopped", 7, monkeypatch)
    for table, other in zip(tables, again, strict=True):
        assert table.to_csv() == other.to_csv()
    for checkpoint, other in zip(checkpoints, others, strict=True):
        assert all(torch.equal(value, other[name]) for name, value in checkpoint.items())


class Log(list):
    """An open file, as its lines."""

    def write(self, text):
        self.append(text)


@pytest.mark.parametrize(
    ("choice", "changed", "device", "why"),
    [
        ("never", {"steps": ENOUGH}, "cpu", "vae.compile is never"),
        ("auto", {"steps": ENOUGH - 1}, "cpu", "fewer than 20,000 steps do not repay"),
        ("auto", {"steps": ENOUGH}, "cuda", "on a GPU the step is captured"),
        ("auto", {"steps": ENOUGH, "name": "exact"}, "cpu", "exact enumerates"),
    ],
)
def test_where_the_step_is_plain_the_log_says_why(monkeypatch, choice, changed, device, why):
    monkeypatch.setattr(vae_compiled, "fails", lambda: None)
    log = Log()
    assert not choose(choice, settings(**changed), torch.device(device), log)
    (line,) = log
    assert line.startswith("step: plain (")
    assert why in line


def test_a_long_run_is_compiled_where_that_can_be(monkeypatch):
    """And where it cannot: plain by `auto`, an error with what is missing by `always`."""
    chosen, log = settings(steps=ENOUGH), Log()
    monkeypatch.setattr(vae_compiled, "fails", lambda: None)
    assert choose("auto", chosen, CPU, log)
    assert choose("always", settings(steps=1), CPU, log)
    assert log == ["step: compiled\n"] * 2
    monkeypatch.undo()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert not choose("auto", chosen, CPU, log)
    assert "there is no C++ compiler" in log[-1]
    with pytest.raises(
        ConfigError, match="'always' is asked for, and there is no C\\+\\+ compiler"
    ):
        choose("always", chosen, CPU)


def test_a_compiler_that_does_not_work_is_no_compiler(monkeypatch):
    def broken(operations, tensors):
        raise OSError("no space left\nand more")

    monkeypatch.setattr(compiled, "missing", lambda: None)
    monkeypatch.setattr(compiled, "program", broken)
    assert compiled.fails() == "a trial failed: OSError: no space left"


def test_products_are_torchs_own_for_a_while():
    kept = products.ONEDNN
    with products.by_torch():
        assert products.ONEDNN is None
    assert products.ONEDNN is kept
