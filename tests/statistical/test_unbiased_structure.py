"""The gradients of structure learning with four nodes, by z-scores against enumeration.

All 4096 sets of edges, and all 24 orderings with their 64 sets of pairs. One false-alarm rate for
the file, shared out over every coordinate tested (Bonferroni); the seed is fixed. Controls, which
the same test must reject: Concrete at a temperature of 1, and ReinMax, whose means are other ones.
"""

from functools import cache

import pytest
import torch
from scipy import stats

from relax.estimators.registry import REGISTRY, load_estimator
from relax.exact.enumeration import enumerate_gradient
from relax.experiments.structure.cost import SoftCost, TableCost
from relax.experiments.structure.latents import LATENTS
from relax.experiments.structure.observations import read_observations
from relax.experiments.structure.scores import local_scores
from relax.numerics.replicas import parameter_generators
from relax.numerics.streams import Noise, uniform_noise
from relax.surrogates.base import SurrogateSpec

FALSE_ALARM_RATE = 1e-3
NODES, ESTIMATES, SAMPLES = 4, 12_000, 4
PROTEINS = [0, 1, 5, 6]  # two pairs that have much in common, with f far from linear
CASES = [
    *((name, "edges") for name in ("reinforce", "rloo", "arms", "relax", "rebar")),
    *((name, "ordering") for name in ("reinforce", "rloo", "relax", "rebar")),
]
WIDTHS = {"edges": NODES * (NODES - 1), "ordering": NODES + NODES * (NODES - 1) // 2}
COORDINATES = sum(WIDTHS[kind] for _, kind in CASES)
THRESHOLD = stats.norm.isf(FALSE_ALARM_RATE / 2 / COORDINATES)


@cache
def problem(kind):
    """The latents, their logits, both costs and the exact gradient."""
    data = read_observations(None)
    correlation = data.correlation[PROTEINS][:, PROTEINS]
    table, latents = local_scores(correlation, data.rows), LATENTS[kind](NODES)
    hard = TableCost(latents, table, 2.0, torch.float64)
    soft = SoftCost(latents, table, 2.0, torch.float64, correlation, 0.004)
    logits = 2 * uniform_noise([0], "split", 1, (1, latents.latents)) - 1.5
    return latents, logits, hard, soft, enumerate_gradient(hard, logits, latents.relaxation)


def scores(name, kind, temperature=0.5):
    """z of each coordinate, and its standard error as a share of the gradient's length."""
    latents, logits, hard, soft, exact = problem(kind)
    estimator, entry = load_estimator(name), REGISTRY[name]
    spec = SurrogateSpec(
        latents=latents.latents,
        hidden=(5,),
        samples=SAMPLES,
        temperature=temperature,
        relaxation=latents.relaxation,
    )
    surrogate = estimator.surrogate(spec, parameter_generators([0]))
    if name == "relax":  # a network no larger than f has the power to see a bias
        with torch.no_grad():
            for parameter in surrogate.layers[-1].parameters():
                parameter.mul_(0.3)
    rows = ESTIMATES * estimator.samples(spec)
    noise = Noise(uniform_noise([0], "noise", 0, (rows, latents.latents)))
    with torch.no_grad():
        found = estimator.estimate(
            surrogate,
            soft if entry.needs_gradient() else hard,
            logits.expand(-1, ESTIMATES, -1),
            noise,
            relaxation=latents.relaxation,
        ).gradient[0]
    error = found.std(0) / ESTIMATES**0.5
    return (found.mean(0) - exact[0, 0]) / error, error / exact.norm()


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_mean_is_the_exact_gradient(name, kind):
    """And the test could see a bias of a few hundredths of the gradient's length."""
    z, error = scores(name, kind)
    assert z.abs().max() < THRESHOLD
    assert error.max() < 0.03


@pytest.mark.parametrize(("name", "kind"), [("concrete", "edges"), ("reinmax", "edges")])
def test_negative_control_biased_estimators_are_rejected(name, kind):
    """Their means are not the gradient, and the same test says so."""
    z, _ = scores(name, kind, temperature=1.0)
    assert z.abs().max() > THRESHOLD
