"""The benchmark of estimators: who is compared, what is measured, who is on the frontier."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from workflow.project import ROOT

from relax.data.images import Images
from relax.errors import ConfigError
from relax.estimators.registry import REGISTRY, estimator_names
from relax.exact.enumeration import enumerate_expectation, enumerate_gradient
from relax.experiments.benchmark.claims import CLAIMS
from relax.experiments.benchmark.figures import (
    GROUPS,
    fig14_estimators,
    fig15_training_at_equal_cost,
)
from relax.experiments.benchmark.problems import Choice, MeanSquaredDistance, problem_of
from relax.experiments.benchmark.summary import for_people, frontier, points, summarise
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
from relax.presentation.judge import NOT_REPRODUCED, NOT_TESTED, REPRODUCED
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


VARIANCES = {
    ("reinforce", 1): 8.0,
    ("relax", 1): 1.5,
    ("rloo", 3): 2.0,
    ("arm", 2): 4.0,
    ("disarm", 2): 3.0,
    ("arms", 3): 1.0,
    ("double_cv", 2): 2.5,
    ("rodeo", 2): 2.0,
    ("straight_through", 1): 0.5,
    ("reinmax", 1): 0.6,
    ("st_gumbel", 1): 0.9,
    ("gumbel_rao", 1): 0.3,
}
BIAS = {"straight_through": 4.0, "reinmax": 0.1, "st_gumbel": 2.0, "gumbel_rao": 2.0}
BOUND = {("reinforce", 2): 5.0, ("vimco", 2): 0.5}


def made_up(problem="digits, linear1", **changed):
    """Measurements whose claims all hold; `changed`: a variance by estimator, None to leave out."""
    rows = [
        (problem, objective, "coupled", 6, True, *variant, seed, step, v * (1 + seed / 50), bias, 9)
        for objective, those in (("cost", VARIANCES), ("bound of 2", BOUND))
        for variant, level in those.items()
        for v in [changed.get(variant[0], level)]
        if v is not None
        for seed in range(4)
        for step in (5, 10)
        for bias in [BIAS.get(variant[0], 0.0) * (1 + seed / 90)]
    ]
    columns = "problem objective noise latents relaxed estimator samples seed checkpoint variance "
    return pd.DataFrame(rows, columns=(columns + "squared_bias estimates").split())


def made_up_seconds(table):
    keys = ["problem", "objective", "estimator", "samples"]
    found = table[keys].drop_duplicates(ignore_index=True)
    taken = 1e-3 * (1 + np.arange(len(found)))
    return found.assign(
        seconds=taken, seconds_low=taken, seconds_high=taken, step_seconds=2 * taken
    )


def verdicts(table):
    return {r["claim"]: r["verdict"] for claim in CLAIMS for r in claim({"estimators": table})}


def test_claims_hold_where_they_do():
    found = verdicts(made_up())
    assert len(found) == 9
    assert set(found.values()) == {REPRODUCED}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"disarm": 4.5}, "DisARM, K = 2 has less variance than ARM, K = 2"),
        ({"arms": 2.1}, "ARMS, K = 3 has less variance than RLOO, K = 3"),
        ({"arms": 1.9}, "ARMS, K = 3 has less variance than RLOO, K = 3"),
        ({"rodeo": 3.1}, "RODEO, K = 2 has less variance than DisARM, K = 2"),
        ({"relax": 1.8}, "RELAX's variance is 1.4 to 1.7 times"),
        ({"gumbel_rao": 1.0}, "Gumbel-Rao has less variance than ST-Gumbel"),
        ({"vimco": 5.1}, "VIMCO has less variance than REINFORCE"),
    ],
)
def test_claims_fail_where_they_do(changed, words):
    """A number on the other side turns its claim; the third is the control, which does not."""
    found = verdicts(made_up(**changed))
    own = {verdict for claim, verdict in found.items() if claim.startswith(words)}
    assert own == {REPRODUCED if changed == {"arms": 1.9} else NOT_REPRODUCED}


def test_claims_that_nothing_tests():
    assert set(verdicts(None).values()) == {NOT_TESTED}
    found = verdicts(made_up(double_cv=None))
    assert list(found.values()).count(NOT_TESTED) == 1


def test_the_frontier_and_the_ranks():
    """None has less error at no more cost: by hand."""
    table = made_up()
    found = points(table, made_up_seconds(table))
    cost = found[found.objective == "cost"].reset_index(drop=True)
    # At one evaluation: Gumbel-Rao has 0.3 + 2, ReinMax 0.6 + 0.1, RELAX (two, with its relaxed
    # cost) 1.5; of those with more evaluations none is below ReinMax.
    assert list(cost.estimator[frontier(cost, "evaluations")]) == ["reinmax"]
    unbiased = cost[cost.unbiased].reset_index(drop=True)
    on = unbiased.estimator[frontier(unbiased, "evaluations")]
    assert list(on) == ["reinforce", "relax", "arms"]
    table = summarise(table, made_up_seconds(table))
    best = table[(table.objective == "cost") & (table.rank_by_evaluations == 1)]
    assert list(best.estimator) == ["reinmax"]
    assert best.error.item() == pytest.approx(0.7, rel=0.05)
    relax = table[table.estimator == "relax"].iloc[0]
    assert (relax.evaluations, relax.gradients) == (2, 1)
    shown = for_people(table)
    assert {"ARMS, K = 3", "ReinMax"} <= set(shown.estimator)


def test_a_published_variance_stands_beside_ours():
    table = made_up("mnist, nonlinear")
    shown = for_people(summarise(table, made_up_seconds(table)))
    shown = shown[shown.objective == "cost"].set_index("estimator")
    assert shown["published variance"]["DisARM, K = 2"] == "0.0137"
    assert shown["published variance"]["REINFORCE"] == ""
    table = made_up()
    assert "variance" not in for_people(summarise(table, made_up_seconds(table)))


def test_a_variance_of_zero_is_the_best():
    table = made_up(rloo=0.0)
    found = summarise(table, made_up_seconds(table))
    best = found[(found.objective == "cost") & (found.rank_by_seconds == 1)]
    assert list(best.estimator) == ["rloo"]
    assert np.isneginf(best.log_variance.item())


def test_figures_have_a_pair_of_panels_a_problem():
    table = pd.concat([made_up(), made_up("200 latents, t = 0.499", rloo=0.0)])
    seconds = made_up_seconds(table)
    figure = fig14_estimators(table, seconds)
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]
    assert titles == [
        "digits, linear1",
        "digits, linear1, bound of 2 samples",
        "200 latents, t = 0.499",
        "200 latents, t = 0.499, bound of 2 samples",
    ]
    labels = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {REGISTRY[name].label for name, _ in VARIANCES} <= labels
    rows = [
        ("digits, linear1", "cost", "coupled", *variant, seed, step, 3.0 / step)
        for variant in (("reinforce", 1), ("arms", 3))
        for seed in range(2)
        for step in (1, 2)
    ]
    columns = ["problem", "objective", "noise", "estimator", "samples", "seed", "step", "loss"]
    training = pd.DataFrame(rows, columns=columns)
    figure = fig15_training_at_equal_cost(training, seconds)
    one, several = figure.axes[0].lines, figure.axes[2].lines
    ends = [
        {line.get_label()[0]: line.get_xdata().max() for line in panel} for panel in (one, several)
    ]
    # Each in its own column, and grey, without a label ("_..."), in the other's.
    assert ends == [{"R": 2, "_": 6}, {"A": 6, "_": 2}]
    assert [text.get_text() for axes in figure.axes for text in axes.texts] == [*GROUPS[:2]]


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
