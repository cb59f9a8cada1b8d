"""The experiment of the generalised reparameterization: its runs, small, and its readers."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from relax.estimators.reparameterization import DECOMPOSITIONS, path_estimate
from relax.exact.densities import density_nodes, weighted_moments
from relax.experiments.claims import judge_claims
from relax.experiments.reparameterization.figures import fig16_generalised_reparameterization
from relax.experiments.reparameterization.model import (
    ModelSettings,
    PoissonFactors,
    counts,
    in_logarithms,
    train_and_measure,
)
from relax.experiments.reparameterization.names import BLACK_BOX, DIFFERENTIABLE, LABELS, LEARNED
from relax.experiments.reparameterization.problem import GAMMA, GammaSettings, measure
from relax.experiments.reparameterization.summary import for_people, summarise

SMALL = {"hidden": [4], "activation": "tanh"}
MODEL = ModelSettings(
    images=6,
    latents=2,
    seeds=2,
    steps=30,
    learning_rate=0.05,
    surrogate_learning_rate=0.01,
    measurements=2,
    tuning_steps=4,
    draws=5,
    surrogate=SMALL,
)


@pytest.fixture(scope="module")
def costs():
    settings = GammaSettings((0.7, 2.0), 2, 60, 20, 0.02, 2, SMALL)
    return measure(settings)


@pytest.fixture(scope="module")
def model():
    return train_and_measure(MODEL)


def test_names_are_the_library_s():
    assert set(LABELS) == set(DECOMPOSITIONS)
    assert {name for name, kind in DECOMPOSITIONS.items() if kind.removed} == set(LEARNED)
    assert not any(DECOMPOSITIONS[name].differentiates for name in BLACK_BOX)


def test_every_estimator_stays_unbiased_while_c_is_learned(costs):
    """By quadrature, relative to the estimator's own deviation."""
    away = (costs["mean"] - costs.exact).abs()
    assert (away <= 1e-6 * np.sqrt(costs.variance) + 1e-9).all()
    assert not costs[costs.step == costs.step.max()].variance.isna().any()


def test_what_is_learned_lowers_the_variance(costs):
    """And starts, with c = 0, where the estimator without c stands; the span's best is below it."""
    kink = costs[costs.cost == "kink"].set_index(["estimator", "surrogate", "step"]).variance
    start = kink["recursive", "network", 0].to_numpy()
    plain = kink["generalised", "none", 0].to_numpy()
    np.testing.assert_allclose(start, np.repeat(plain, 2))
    assert (kink["lax", "network", 60].to_numpy() < kink["lax", "network", 0].to_numpy()).all()
    assert (kink["recursive", "best in span", 0].to_numpy() < plain).all()


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_the_model_with_one_latent_has_the_exact_gradient(name):
    """Every estimator's mean by quadrature over the image's one latent, with a c that sees it."""
    x = counts(3)[:1].repeat(3, 1)
    settings = replace(MODEL, latents=1, seeds=3)
    model = PoissonFactors(settings, x)
    parameters = torch.tensor([[[1.2, 0.8]], [[0.5, 1.0]], [[6.0, 3.0]]], dtype=torch.float64)
    z, weights = density_nodes(GAMMA, parameters)
    wide = parameters.expand(-1, z.shape[1], -1)
    drawn = GAMMA.at(wide, z)

    def f(z):
        rate = torch.matmul(z, model.log_w.exp())
        return (rate - x[0] * torch.log(rate)).sum(-1)

    surrogate = model.surrogate(name, settings)
    if surrogate:
        surrogate.see(wide)
    context = (x[0] / 16).expand(*z.shape[:2], -1)
    found = in_logarithms(path_estimate(name, drawn, f, surrogate, context), wide)
    mean = weighted_moments(found.gradient, weights).mean.detach()
    score = in_logarithms(path_estimate("score_function", drawn, f), wide)
    expected = weighted_moments(score.gradient, weights).mean
    torch.testing.assert_close(mean, expected, rtol=1e-6, atol=1e-6)


def test_the_model_trains(model):
    """Every estimator but the score function gains in thirty steps; all start alike."""
    training, variances = model
    ends = training.groupby(["estimator", "step"]).bound.mean().unstack()
    np.testing.assert_array_equal(ends[0], ends.loc["implicit", 0])
    assert (ends[30] > ends[0])[[n for n in DIFFERENTIABLE if n != "score_function"]].all()
    start = variances[variances.step == 0].set_index("estimator").variance
    np.testing.assert_allclose(start["recursive"], start["implicit"])
    np.testing.assert_allclose(start["implicit_lax"], start["implicit"])


def test_summary_and_figure(costs, model):
    training, variances = model
    table = summarise(costs, training, variances)
    own = table[(table.estimator == "implicit") & (table.cost == "kink")]
    np.testing.assert_allclose(own.to_implicit, 1)
    of_model = table[table.cost == "Poisson factors"]
    assert list(of_model.estimator) == list(DIFFERENTIABLE)
    assert of_model.bound.notna().all()
    assert set(for_people(table).estimator) == set(LABELS.values())
    figure = fig16_generalised_reparameterization(costs, training, variances)
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert set(LABELS.values()) <= set(words)
    assert "2 seeds, 60 updates" in figure.legends[0].get_title().get_text()


def judged_with(scale, seeds=4, below="recursive"):
    """Verdicts where one estimator's variances are the others' times `scale`."""
    rows = [
        (cost, 1.7, name, "network", seed, step, 10 * (1 + 0.01 * seed))
        for cost, names in (("kink", DIFFERENTIABLE), ("black box", BLACK_BOX))
        for name in names
        for seed in range(seeds)
        for step in (0, 9)
    ]
    columns = ["cost", "concentration", "estimator", "surrogate", "seed", "step", "variance"]
    table = pd.DataFrame(rows, columns=columns)
    table.loc[table.estimator == below, "variance"] *= scale * (1 + 0.01 * table.seed)
    model = table[table.cost == "kink"].drop(columns=["cost", "concentration", "surrogate"])
    tables = {"gamma_costs": table, "factor_variances": model}
    found = judge_claims(tables, ["reparameterization"])
    return found.set_index("claim").verdict


def test_claims_are_judged():
    """Below in all cases; not below; and without tables."""
    lowers = "The recursion lowers the generalised gradient's variance"
    for place in ("kink cost of a Gamma latent", "Poisson factors of digits"):
        assert judged_with(0.5)[f"{lowers}, {place}"] == "reproduced"
        assert judged_with(2.0)[f"{lowers}, {place}"] == "not reproduced"
        assert judged_with(0.5, seeds=1)[f"{lowers}, {place}"] == "one seed: for"
    nothing = judge_claims({}, ["reparameterization"])
    assert len(nothing) == 9
    assert set(nothing.verdict) == {"not tested at this scale"}
