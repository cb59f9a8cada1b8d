"""Quadrature over several latents, and the surrogate of least variance in a class."""

import itertools

import pytest
import torch

from relax.errors import ConfigError
from relax.estimators.formula import Estimator
from relax.estimators.registry import REGISTRY, estimator_names, load_estimator
from relax.estimators.variance import sample_moments
from relax.exact.enumeration import enumerate_gradient
from relax.exact.optimal import LinearSurrogate, ProductBasis, least_variance
from relax.exact.quadrature import exact_moments
from relax.experiments.toy.problem import squared_distance
from relax.numerics.replicas import parameter_generators
from relax.numerics.streams import Noise, generator, uniform_noise
from relax.surrogates.base import SurrogateSpec
from relax.surrogates.relaxed_cost import RelaxedCost

KINDS = ["independent", "coupled"]
TWO = torch.tensor([[[0.3, -0.5]]], dtype=torch.float64)
NODES = 65  # a dimension; enough for the smooth functions here, and quick
# The quadrature is over the noise of the one formula: one sample, and A(v) + C(u) given b.
UNBIASED = [n for n in estimator_names() if REGISTRY[n].unbiased and REGISTRY[n].formula]


def cost(b):
    """Does not separate over its latents, however many."""
    return (b.sum(-1) - 1.3).square() + b.prod(-1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", UNBIASED)
@pytest.mark.parametrize(("latents", "nodes"), [(2, NODES), (3, 25)])
def test_mean_over_several_latents_is_the_exact_gradient(latents, nodes, name, kind):
    estimator = load_estimator(name)
    spec = SurrogateSpec(latents=latents, hidden=(4,), temperature=1.0, add_relaxed_cost=True)
    surrogate = estimator.surrogate(spec, parameter_generators([0, 1]))
    logits = torch.linspace(-1, 1, 2 * latents, dtype=torch.float64).view(2, 1, latents)
    moments = exact_moments(estimator, surrogate, cost, logits, kind, nodes)
    exact = enumerate_gradient(cost, logits).squeeze(1)
    torch.testing.assert_close(moments.mean, exact, rtol=0, atol=1e-4 if latents == 3 else 1e-8)


def test_more_latents_than_a_grid_can_bear():
    with pytest.raises(ConfigError, match="at most 3 latents; got 4"):
        exact_moments(Estimator(), ProductBasis(4, 0), cost, torch.zeros(1, 1, 4).double())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["rebar", "relax"])
def test_variance_over_two_latents_against_samples(name, kind):
    """400,000 samples in 20 batches: within five standard errors; a 5% error would be seen."""
    estimator = load_estimator(name)
    spec = SurrogateSpec(latents=2, hidden=(4,))
    surrogate = estimator.surrogate(spec, parameter_generators([3]))
    exact = exact_moments(estimator, surrogate, cost, TWO, kind, NODES).variance
    measured = []
    with torch.no_grad():
        for batch in range(20):
            u, v = uniform_noise([5], "noise", batch, (2, 20_000, 2)).unbind(1)
            noise = Noise(u, v if kind == "independent" else None)
            estimate = estimator.estimate(surrogate, cost, TWO.expand(-1, 20_000, -1), noise)
            measured.append(sample_moments(estimate.gradient).variance)
    measured = torch.stack(measured)
    error = measured.std(0) / len(measured) ** 0.5
    assert ((measured.mean(0) - exact).abs() < 5 * error).all()
    assert ((measured.mean(0) - 1.05 * exact).abs() > 5 * error).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("logit", [-1.5, 0.3])
def test_one_latent_needs_a_constant_and_nothing_else(logit, kind):
    """c* = (1-θ) f(1) + θ f(0), found by the linear system, with variance zero."""
    logits = torch.full((1, 1, 1), logit, dtype=torch.float64)
    best = least_variance(ProductBasis(1, 4), squared_distance(0.45), logits, kind)
    theta = torch.sigmoid(logits).item()
    assert best.surrogate.weights[0].item() == pytest.approx(
        (1 - theta) * 0.55**2 + theta * 0.45**2, abs=1e-10
    )
    assert best.surrogate.weights[1:].abs().max() < 1e-10
    assert best.variance < 1e-25
    assert best.reinforce_variance > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_two_latents_gain_little_over_a_constant_and_never_reach_zero(kind):
    """Larger classes do better, none as well as for one latent (docs/estimators.md)."""
    least = [least_variance(ProductBasis(2, d), cost, TWO, kind, NODES) for d in (0, 1, 2, 4)]
    variances = [best.variance for best in least]
    assert all(larger < smaller for smaller, larger in itertools.pairwise(variances))
    assert variances[-1] > 0.9 * variances[0]
    assert variances[0] < 0.5 * least[0].reinforce_variance


@pytest.mark.parametrize("kind", KINDS)
def test_no_step_away_from_the_optimum_does_better(kind):
    """In 20 random directions of the class, each way; and the variance grows as a square."""
    basis = ProductBasis(2, 2)
    best = least_variance(basis, cost, TWO, kind, NODES)

    def variance(weights):
        c = LinearSurrogate(basis, weights)
        return exact_moments(Estimator(), c, cost, TWO, kind, NODES).variance.sum().item()

    for index in range(20):
        step = torch.from_numpy(generator(index, "noise").normal(0, 0.05, (len(basis), 1)))
        near, far = (variance(best.surrogate.weights + scale * step) for scale in (1, -2))
        assert near > best.variance
        assert far - best.variance == pytest.approx(4 * (near - best.variance), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_rebar_is_in_no_position_to_beat_a_rich_class(kind):
    best = least_variance(ProductBasis(2, 4), cost, TWO, kind, NODES).variance
    for temperature in (0.5, 2.0):
        for scale in (0.5, 1.0, 1.5):
            c = RelaxedCost(SurrogateSpec(latents=2, temperature=temperature, scale=scale), 1)
            rebar = exact_moments(Estimator(), c, cost, TWO, kind, NODES).variance.sum().item()
            assert rebar > best
