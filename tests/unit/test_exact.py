"""Enumeration and quadrature against each other, and against a library's integrator."""

import math

import pytest
import torch
from scipy import integrate

from relax.errors import ConfigError
from relax.estimators.formula import Estimator
from relax.estimators.registry import REGISTRY, estimator_names, load_estimator
from relax.exact.enumeration import enumerate_expectation, enumerate_gradient
from relax.exact.quadrature import exact_moments
from relax.experiments.theory.printed import printed_equation_9
from relax.experiments.toy.problem import expected_loss, squared_distance
from relax.numerics.replicas import parameter_generators
from relax.surrogates.base import SurrogateSpec
from relax.surrogates.relaxed_cost import RelaxedCost

SEEDS = range(4)
LOGITS = torch.tensor([-2.5, -0.4, 0.0, 1.7], dtype=torch.float64).view(4, 1, 1)
UNBIASED = [name for name in estimator_names(samples=1) if REGISTRY[name].unbiased]
# c through a network of ordinary size; quadrature must resolve it.
SPEC = SurrogateSpec(hidden=(10,), temperature=0.5)


def setting(name, target=0.45):
    estimator = load_estimator(name)
    return (
        estimator,
        estimator.surrogate(SPEC, parameter_generators(SEEDS)),
        squared_distance(target),
    )


def test_enumeration_is_the_derivative_of_the_expectation():
    logits = torch.linspace(-1, 1, 12, dtype=torch.float64).view(2, 2, 3).requires_grad_()

    def cost(b):
        return torch.exp(b[..., 0] * b[..., 1] - b[..., 2])

    (expected,) = torch.autograd.grad(enumerate_expectation(cost, logits).sum(), logits)
    torch.testing.assert_close(enumerate_gradient(cost, logits), expected)


def test_enumeration_refuses_what_it_cannot_bear():
    with pytest.raises(ConfigError, match="at most 16 latents; got 17"):
        enumerate_gradient(lambda b: b.sum(-1), torch.zeros(1, 1, 17))


def test_expected_loss_of_the_toy_is_its_enumeration():
    exact = enumerate_expectation(squared_distance(0.45), LOGITS).flatten()
    torch.testing.assert_close(expected_loss(torch.sigmoid(LOGITS).flatten(), 0.45), exact)


@pytest.mark.parametrize("kind", ["independent", "coupled"])
@pytest.mark.parametrize("name", UNBIASED)
def test_quadrature_mean_is_the_exact_gradient(name, kind):
    """Unbiasedness without Monte Carlo: to 1e-9, at four θ, with an arbitrary network as c."""
    estimator, surrogate, cost = setting(name)
    moments = exact_moments(estimator, surrogate, cost, LOGITS, kind)
    exact = enumerate_gradient(cost, LOGITS).flatten()
    torch.testing.assert_close(moments.mean.flatten(), exact, rtol=0, atol=1e-9)


def test_negative_control_concrete_is_seen_as_biased():
    estimator, surrogate, cost = setting("concrete")
    moments = exact_moments(estimator, surrogate, cost, LOGITS)
    exact = enumerate_gradient(cost, LOGITS).flatten()
    assert ((moments.mean.flatten() - exact).abs() > 1e-3).all()


def test_negative_control_the_drafts_equation_9_is_biased_as_printed():
    surrogate = RelaxedCost(SPEC, len(SEEDS))
    cost = squared_distance(0.45)
    moments = exact_moments(Estimator(printed_equation_9), surrogate, cost, LOGITS)
    exact = enumerate_gradient(cost, LOGITS).flatten()
    assert ((moments.mean.flatten() - exact).abs() > 1e-3).all()


@pytest.mark.parametrize("kind", ["independent", "coupled"])
@pytest.mark.parametrize("name", ["reinforce", "rebar", "relax"])
def test_constant_cost_has_gradient_zero(name, kind):
    estimator, surrogate, _ = setting(name)
    moments = exact_moments(estimator, surrogate, lambda b: 0.7 + 0 * b.sum(-1), LOGITS, kind)
    torch.testing.assert_close(moments.mean, torch.zeros_like(moments.mean), rtol=0, atol=1e-9)


def test_constant_surrogate_has_variance_zero():
    """c* = (1-θ) f(1) + θ f(0) makes g the true gradient for either b."""
    target = 0.499
    theta = torch.sigmoid(LOGITS)

    class Constant(RelaxedCost):
        def value_and_slope(self, z, cost, context=None):
            best = (1 - theta) * (1 - target) ** 2 + theta * target**2
            return best.expand(-1, z.shape[1], 1)[..., 0], torch.zeros_like(z)

    surrogate = Constant(SPEC, len(SEEDS))
    moments = exact_moments(Estimator(), surrogate, squared_distance(target), LOGITS)
    assert (moments.variance < 1e-25).all()


def test_reinforce_variance_is_the_two_point_formula():
    estimator, surrogate, cost = setting("reinforce", 0.499)
    moments = exact_moments(estimator, surrogate, cost, LOGITS)
    theta = torch.sigmoid(LOGITS).flatten()
    g1, g0 = 0.501**2 * (1 - theta), -(0.499**2) * theta
    torch.testing.assert_close(moments.variance.flatten(), theta * (1 - theta) * (g1 - g0) ** 2)


def test_rebar_variance_against_a_librarys_double_integral():
    """REBAR written out in plain Python for scipy, over the (u, v) square, at one θ."""
    alpha, target, eta, temperature = -0.4, 0.45, 0.7, 0.5
    theta = 1 / (1 + math.exp(-alpha))

    def c(z):
        s = 1 / (1 + math.exp(-z / temperature))
        return eta * (s - target) ** 2, eta * 2 * (s - target) * s * (1 - s) / temperature

    def g(u, v):
        z = alpha + math.log(u / (1 - u))
        b = float(z > 0)
        v_prime = v * theta + (1 - theta) if b else v * (1 - theta)
        z_tilde = alpha + math.log(v_prime / (1 - v_prime))
        dv = (v - 1 if b else -v) * theta * (1 - theta)
        dz_tilde = 1 + dv / (v_prime * (1 - v_prime))
        value, slope = c(z_tilde)
        return ((b - target) ** 2 - value) * (b - theta) + c(z)[1] - slope * dz_tilde

    def integral(power):
        edge, eps = 1 - theta, 1e-12
        return sum(
            integrate.dblquad(lambda u, v: g(u, v) ** power, 0, 1, low, high, epsabs=1e-9)[0]
            for low, high in ((eps, edge - eps), (edge + eps, 1 - eps))
        )

    mean, second = integral(1), integral(2)
    spec = SurrogateSpec(temperature=temperature, scale=eta)
    moments = exact_moments(
        load_estimator("rebar"),
        RelaxedCost(spec, 1),
        squared_distance(target),
        torch.full((1, 1, 1), alpha, dtype=torch.float64),
    )
    assert float(moments.mean) == pytest.approx(mean, abs=1e-7)
    assert float(moments.variance) == pytest.approx(second - mean**2, rel=1e-5)


@pytest.mark.parametrize("kind", ["independent", "coupled"])
def test_quadrature_has_converged(kind):
    """Twice the nodes change nothing to seven digits, at a temperature as low as 0.1."""
    surrogate = RelaxedCost(SurrogateSpec(temperature=0.1), 4)
    arguments = (load_estimator("rebar"), surrogate, squared_distance(0.45), LOGITS, kind)
    coarse, fine = (exact_moments(*arguments, nodes=n) for n in (257, 513))
    torch.testing.assert_close(coarse.variance, fine.variance, rtol=1e-7, atol=0)
    torch.testing.assert_close(coarse.mean, fine.mean, rtol=1e-7, atol=1e-12)
