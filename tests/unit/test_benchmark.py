"""The benchmark of estimators: who is compared, and what is measured."""

import dataclasses

import numpy as np
import pytest
import torch
import yaml
from workflow.project import ROOT

from relax.data.images import Images
from relax.errors import ConfigError
from relax.estimators.registry import estimator_names
from relax.exact.enumeration import enumerate_expectation, enumerate_gradient
from relax.experiments.benchmark.problems import Choice, MeanSquaredDistance, problem_of
from relax.experiments.benchmark.timing import in_turns
from relax.experiments.benchmark.toys import (
    ToySettings,
    exact_path,
    measure_toys,
    time_toys,
    train_toys,
)
from relax.experiments.benchmark.vae import MeasureSettings, errors, measure_vae, time_vae
from relax.experiments.benchmark.vae_training import train_variant
from relax.experiments.benchmark.variants import calls_on_the_bound, variants
from relax.experiments.vae.trainer import Trainer, VAESettings
from relax.numerics.streams import generator, uniform_noise
from relax.runs.checkpoints import save_checkpoint
from relax.surrogates.base import SurrogateSpec

NAMES = ("reinforce", "rloo", "disarm", "arms", "disarm_tree")


def toy_settings(problem, estimators, **changes):
    values = {"training": ("reinforce",), "samples": (2, 3), "seeds": range(3), "steps": 40}
    values |= {"checkpoints": 1, "tuning_steps": 0, "estimates": 400, "timings": 2}
    values |= {"learning_rate": 0.05, "surrogate_learning_rate": 0.01, "noise": "independent"}
    shape = {"latents": problem.latents, "relaxation": problem.relaxation}
    spec = SurrogateSpec(hidden=(3,), **shape)
    return ToySettings(problem=problem, estimators=estimators, spec=spec, **values | changes)


def test_the_default_benchmark_has_every_estimator_of_a_cost():
    """All of the registry but the exact gradient, which the others are measured against."""
    listed = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))["benchmark"]
    there = {name for section in ("toy", "vae") for name in estimator_names(section=section)}
    assert set(listed["estimators"]) == there - {"exact"}
    assert set(listed["training"]) == there - {"exact", "local_expectation"}
    assert set(listed["bound"]) == set(estimator_names(section="bound"))


def test_each_takes_the_numbers_of_samples_that_it_can():
    """ARM and DisARM pairs, RLOO both; ARMS with two is DisARM, and measured once."""
    found = variants(NAMES, [2, 3])
    expected = [("reinforce", 1), ("rloo", 2), ("rloo", 3), ("disarm", 2), ("arms", 3)]
    assert found == expected
    assert variants(["arms"], [2, 3]) == [("arms", 2), ("arms", 3)]
    assert variants(NAMES, [2], kind="categorical") == [
        ("reinforce", 1),
        ("rloo", 2),
        ("disarm_tree", 2),
    ]
    assert variants(["exact", "rloo"], [2], latents=200) == [("rloo", 2)]


def test_on_the_bound_one_sample_is_drawn_k_times():
    assert calls_on_the_bound("reinforce", 3, 200) == (3, 0)
    assert calls_on_the_bound("vimco", 3, 200) == (3, 0)
    assert calls_on_the_bound("disarm_iw", 3, 200) == (6, 0)


@pytest.mark.parametrize("problem", [MeanSquaredDistance(0.3, 4), Choice([0.2, 0.9, 0.5])])
def test_the_gradient_and_the_loss_are_exact(problem):
    logits = uniform_noise(range(2), "split", 0, (1, problem.latents)) * 2 - 1
    truth = enumerate_gradient(problem.cost, logits, problem.relaxation)
    torch.testing.assert_close(problem.gradient(logits), truth)
    loss = enumerate_expectation(problem.cost, logits, problem.relaxation)[:, 0]
    torch.testing.assert_close(problem.state(logits)["loss"], loss)


def test_problems_by_name():
    assert problem_of("t0.45", 9, 0.1, [1.0, 2.0]).target == 0.45
    assert problem_of("many", 9, 0.1, [1.0, 2.0]).latents == 9
    assert problem_of("categorical", 9, 0.1, [1.0, 2.0]).latents == 2
    with pytest.raises(ConfigError, match="no problem is called 'toy'"):
        problem_of("toy", 9, 0.1, [1.0, 2.0])


def test_the_exact_path_goes_down():
    settings = toy_settings(MeanSquaredDistance(0.3, 4), ("reinforce",), checkpoints=2)
    path = exact_path(settings)
    assert list(path) == [0, 20, 40]
    losses = [settings.problem.state(logits)["loss"].item() for logits in path.values()]
    assert losses == sorted(losses, reverse=True)


def test_the_measured_bias_is_the_closed_form():
    """Straight-through's on f = (b - t)²: θ(1-θ) (2θ-1), here to its standard error; RLOO's is 0.

    Five standard errors of the mean of 3 seeds x 20,000 estimates; the control is ST's own bias.
    """
    names = ("straight_through", "rloo")
    settings = toy_settings(MeanSquaredDistance(0.3), names, estimates=20_000, samples=(2,))
    table = measure_toys(settings)
    last = table[table.checkpoint == 40].groupby("estimator")[["variance", "squared_bias"]].mean()
    theta = torch.sigmoid(exact_path(settings)[40]).item()
    bias = theta * (1 - theta) * (2 * theta - 1)
    error = np.sqrt(last.variance / 60_000)
    assert bias**2 > 50 * last.variance.straight_through / 60_000
    assert np.sqrt(last.squared_bias.straight_through) == pytest.approx(
        abs(bias), abs=5 * error.straight_through
    )
    assert abs(last.squared_bias.rloo) < 25 * error.rloo**2


def test_noise_is_taken_away_from_the_bias():
    """Two means that differ by less than their noise have a squared bias below zero."""
    measure = MeasureSettings(*[()] * 4, 1, 1, 1, draws=4, reference_draws=8, timings=2)
    mean, variance = torch.tensor([[1.0, 2.0]]), torch.tensor([[4.0, 8.0]])
    found = errors([(mean, variance)], [(mean + 1, variance)], measure)
    assert found["variance"].item() == 6
    assert found["squared_bias"].item() == pytest.approx(1 - 6 / 4 - 6 / 8)


def test_a_problem_is_trained_and_timed():
    settings = toy_settings(MeanSquaredDistance(0.3, 3), ("reinforce",), training=("rloo",))
    training = train_toys(settings)
    assert set(training.samples) == {2, 3}
    first, last = (training[training.step == step].loss.mean() for step in (0, 40))
    assert last < first
    seconds = time_toys(settings)
    assert list(seconds.estimator) == ["reinforce", "rloo", "rloo"]
    assert (seconds[["seconds", "step_seconds"]] > 0).all(axis=None)
    assert (seconds.seconds_low <= seconds.seconds).all()


def test_turns_are_taken():
    """Each is called once more than it is timed, forwards and backwards in turn."""
    said = []
    times = in_turns({"a": lambda: said.append("a"), "b": lambda: said.append("b")}, 2)
    assert "".join(said) == "abbaab"
    assert all(low <= middle <= high for middle, low, high in times.values())


def test_a_problem_that_no_estimator_fits_has_tables_without_rows():
    """The same columns; beside another problem's rows they change nothing."""
    made = [
        [make(settings) for make in (measure_toys, train_toys, time_toys)]
        for problem in (Choice([0.2, 0.9, 0.5]), MeanSquaredDistance(0.3))
        for settings in [toy_settings(problem, ("disarm",), training=("disarm", "arms"))]
    ]
    for without, others in zip(*made, strict=True):
        assert without.empty
        assert not others.empty
        assert list(without) == list(others)


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
    """Images, settings and a checkpoint of a VAE so small that its 5 latents can be enumerated."""
    draws = generator(0, "split").random((70, 12)) < np.linspace(0.1, 0.9, 12)
    pixels = torch.from_numpy(draws.astype(np.float32))
    images = Images(pixels[:50], pixels[50:60], pixels[60:], (3, 4))
    spec = SurrogateSpec(hidden=(4,), activation="relu", squash=False, dtype=torch.float32)
    spec = dataclasses.replace(spec, add_relaxed_cost=True)
    settings = VAESettings("toy", "linear1", "rebar", 0.01, range(2), batch=8, latents=5, spec=spec)
    trainer = Trainer(settings, images)
    path = tmp_path_factory.mktemp("vae") / "checkpoint.pt"
    save_checkpoint(trainer.checkpoint(7), path)
    return settings, images, path


def plan(estimators, **changes):
    values = {"training": ("reinforce",), "bound": ("reinforce", "nvil", "vimco", "disarm_iw")}
    values |= {"samples": (2, 3), "tuning_block": 2, "tuning_steps": 2, "minibatches": 1}
    values |= {"draws": 400, "reference_draws": 400, "timings": 2}
    return MeasureSettings(estimators=estimators, **values | changes)


def test_every_estimator_is_measured_on_the_vae(vae):
    """Unbiased ones have no bias but noise; straight-through, the control, has one."""
    settings, images, path = vae
    names = ("reinforce", "relax", "rloo", "arms", "straight_through")
    table = measure_vae(settings, plan(names), images, [path])
    assert set(table.checkpoint) == {7}
    assert len(table) == 2 * (2 + 2 * 2 + 1) + 2 * 2 * 4
    cost = (
        table[table.objective == "cost"].groupby("estimator")[["variance", "squared_bias"]].mean()
    )
    noise = cost.variance / 400
    assert (cost.squared_bias.drop("straight_through") < 2 * noise.drop("straight_through")).all()
    assert cost.squared_bias.straight_through > 20 * noise.straight_through
    assert table[table.objective != "cost"].squared_bias.isna().all()
    bound = table[table.objective == "bound of 3"].groupby("estimator").variance.mean()
    assert bound.vimco < bound.reinforce


def test_the_vae_is_timed_and_trained(vae):
    settings, images, _ = vae
    seconds = time_vae(settings, plan(("rloo",)), images)
    assert len(seconds) == 3 + 2 * 4
    assert (seconds.seconds > 0).all()
    assert seconds.step_seconds.notna().sum() == 3  # on the bound nothing is trained
    spec = dataclasses.replace(settings.spec, samples=3)
    run = dataclasses.replace(settings, estimator="arms", steps=12, spec=spec, bound_samples=1)
    table = train_variant(run, images)
    assert set(table.samples) == {3}
    assert list(table.step[table.seed == 0]) == [6, 12]
    assert table.loss.notna().all()
