"""What the theory pages state of several latents, each as a number."""

import itertools

import pytest
import torch
from unit.test_theory_statements import (
    FORMULA,
    KINDS,
    NODES,
    TWO,
    Relaxed,
    network,
)

from relax.estimators.formula import control_variate_estimate
from relax.exact.enumeration import enumerate_gradient
from relax.exact.optimal import ProductBasis, least_variance
from relax.exact.quadrature import centred_lines, exact_moments, logistic_nodes
from relax.numerics.streams import Noise
from relax.relaxations.bernoulli import BERNOULLI
from relax.surrogates.base import Surrogate

# Several latents ----------------------------------------------------------------------------


def cost_of_two(b):
    return (b.sum(-1) - 1.3).square() + b.prod(-1)


def floor(cost, logits):
    """Σ_i Var(θ_i(1-θ_i) Δ_i f) for two latents."""
    total = 0.0
    theta = torch.sigmoid(logits).flatten().tolist()
    for i, j in ((0, 1), (1, 0)):
        differences = []
        for other in (0.0, 1.0):
            b = torch.full((1, 2, 2), other, dtype=torch.float64)
            b[0, :, i] = torch.tensor([0.0, 1.0])
            f = cost(b)[0]
            differences.append((f[1] - f[0]).item())
        spread = theta[j] * (1 - theta[j]) * (differences[1] - differences[0]) ** 2
        total += (theta[i] * (1 - theta[i])) ** 2 * spread
    return total


@pytest.mark.parametrize("kind", KINDS)
def test_mean_given_b_sees_the_surrogate_where_its_latent_is_zero(kind):
    """E[g_i|b] = [f(b) - E[c(z) | z_i = 0, b_-i]] (b_i - θ_i)."""
    surrogate = network(2)
    states = itertools.product((0.0, 1.0), repeat=2)
    pieces = centred_lines(FORMULA, surrogate, cost_of_two, TWO, kind, 97)
    v, weights = logistic_nodes(97, 24.0)
    for state, (_, mean, _, _) in zip(states, pieces, strict=True):
        b = torch.tensor([[state]], dtype=torch.float64)
        z, _ = BERNOULLI.sample_given(TWO, b.expand(1, 97, 2), v.view(1, -1, 1).expand(1, -1, 2))
        for i in range(2):
            on_face = z.clone()
            on_face[..., i] = 0
            height = (surrogate(on_face)[0] @ weights).item()
            score = BERNOULLI.score(TWO, b)[0, 0, i].item()
            expected = (cost_of_two(b).item() - height) * score
            assert mean[0, i].item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_no_surrogate_goes_below_the_floor_of_the_other_latents(kind):
    bound = floor(cost_of_two, TWO)
    assert bound == pytest.approx(0.24790, abs=5e-6)
    bases = [ProductBasis(2, 0), ProductBasis(2, 4), Relaxed(cost_of_two, 1.0)]
    for basis in bases:
        assert least_variance(basis, cost_of_two, TWO, kind, NODES).variance > bound
    for seed in range(3):
        moments = exact_moments(FORMULA, network(2, seed), cost_of_two, TWO, kind, NODES)
        assert moments.variance.sum().item() > bound


@pytest.mark.parametrize(
    ("kind", "degree_2", "degree_8", "rebar_half", "rebar_2", "warmest", "rebar"),
    [
        ("independent", 0.25272, 0.25233, 0.4599, 0.3059, 20, 0.25814),
        ("coupled", 0.25352, 0.25317, 0.4698, 0.2868, 16, 0.25812),
    ],
)
def test_numbers_of_the_example(kind, degree_2, degree_8, rebar_half, rebar_2, warmest, rebar):
    def least(basis):
        return least_variance(basis, cost_of_two, TWO, kind, NODES)

    constant = least(ProductBasis(2, 0))
    assert constant.reinforce_variance == pytest.approx(0.6192, abs=5e-5)
    assert constant.variance == pytest.approx(0.25820, abs=5e-6)
    for degree, expected in ((2, degree_2), (8, degree_8)):
        assert least(ProductBasis(2, degree)).variance == pytest.approx(expected, abs=6e-6)
    for temperature, expected in ((0.5, rebar_half), (2, rebar_2)):
        assert least(Relaxed(cost_of_two, temperature)).variance == pytest.approx(
            expected, abs=6e-5
        )
    best = least(Relaxed(cost_of_two, warmest)).variance
    assert best == pytest.approx(rebar, abs=6e-6)
    for temperature in (10, 14, 18, 25, 40):
        assert least(Relaxed(cost_of_two, temperature)).variance > best - 1e-6


@pytest.mark.parametrize(("kind", "degree_8"), [("independent", 0.0544), ("coupled", 0.0660)])
def test_a_cost_that_separates_has_no_floor_yet_zero_is_not_reached(kind, degree_8):
    def cost(b):
        return b.sum(-1)

    assert floor(cost, TWO) == 0
    constant, rich = (least_variance(ProductBasis(2, d), cost, TWO, kind, NODES) for d in (0, 8))
    assert constant.reinforce_variance == pytest.approx(0.609, abs=5e-4)
    assert constant.variance == pytest.approx(0.1335, abs=6e-5)
    assert rich.variance == pytest.approx(degree_8, abs=6e-5)


def gradients(surrogate, cost, kind):
    """g on a grid of noise, [node, latent]."""
    points = torch.linspace(0.03, 0.97, 6, dtype=torch.float64)
    grid = torch.cartesian_prod(*[points] * 4)[None]
    noise = Noise(grid[..., :2], grid[..., 2:] if kind == "independent" else None)
    wide = TWO.expand_as(noise.u)
    return control_variate_estimate(surrogate, cost, wide, noise).gradient[0]


class ProductOfExponentials(Surrogate):
    """k + K Π_i Γ_i(z_i), Γ_i = w_i e^|z_i|: the coupled solutions, where every gradient is 0."""

    def forward(self, z, cost=None, context=None):
        p = torch.sigmoid(torch.where(z > 0, TWO, -TWO))
        return 0.4 + 0.2 * (p + (1 - p) * z.abs().exp()).prod(-1)


def test_coupled_solutions_of_several_latents():
    """They have zero variance for a constant cost, and for no other; coupled noise only."""
    surrogate = ProductOfExponentials()
    assert gradients(surrogate, lambda b: 0.4 + 0 * b.sum(-1), "coupled").abs().max() < 1e-12
    independent = gradients(surrogate, lambda b: 0.4 + 0 * b.sum(-1), "independent")
    assert independent.std(0).min() > 0.01
    assert gradients(surrogate, cost_of_two, "coupled").std(0).min() > 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_the_cost_itself_as_a_surrogate_has_neither_variance_nor_use(kind):
    """c(z) = f(H(z)) is not continuous: g = 0 for every b."""

    class Hard(Surrogate):
        def value_and_slope(self, z, cost, context=None):
            return cost(BERNOULLI.threshold(z)), torch.zeros_like(z)

    assert gradients(Hard(), cost_of_two, kind).abs().max() == 0
    assert enumerate_gradient(cost_of_two, TWO).abs().min() > 0.01
