"""The errata of the control variates: equations (4) to (11), and the toy."""

import pytest
import torch
from unit.test_errata import (
    GRADIENT,
    LOGITS,
    TARGET,
    THETA,
    moments,
    path_difference,
    printed_signs,
    relaxed,
    rule,
    score_in_z,
    score_term,
)

from relax.estimators.concrete import pathwise_estimate
from relax.estimators.formula import Estimator, control_variate_estimate
from relax.exact.enumeration import enumerate_gradient
from relax.exact.optimal import best_scale
from relax.exact.quadrature import exact_moments
from relax.experiments.theory.printed import printed_equation_9
from relax.experiments.toy.problem import expected_loss, squared_distance
from relax.relaxations.bernoulli import BERNOULLI
from relax.surrogates.base import Surrogate, ZeroSurrogate

# Section 2.3.2 ------------------------------------------------------------------------------


def test_equation_4_gives_b_its_probability():
    """z > 0 where u > 1 - θ; at the ends of [0, 1], which (4) admits, z is infinite."""
    u = torch.tensor(
        [[[1 - THETA - 1e-12], [1 - THETA + 1e-12], [0.0], [1.0]]], dtype=torch.float64
    )
    z = BERNOULLI.sample(LOGITS, u)
    assert BERNOULLI.threshold(z).flatten().tolist() == [0, 1, 0, 1]
    assert z.isinf().flatten().tolist() == [False, False, True, True]


def test_equation_5_is_unbiased_but_not_rebars_reinforce():
    """The score of z costs (θ³ f(1)² + (1-θ)³ f(0)²)/3 of variance beyond the score of b."""
    printed = rule(lambda s, f, logits, d: f(d.b).unsqueeze(-1) * score_in_z(logits, d.z))
    mean, variance = moments(printed)
    plain_mean, plain = moments(control_variate_estimate, ZeroSurrogate())
    assert mean == pytest.approx(GRADIENT, abs=1e-9)
    assert plain_mean == pytest.approx(GRADIENT, abs=1e-9)
    excess = (THETA**3 * (1 - TARGET) ** 4 + (1 - THETA) ** 3 * TARGET**4) / 3
    assert variance - plain == pytest.approx(excess, abs=1e-9)
    assert excess > 0.4 * plain


def test_equation_5_differentiated_along_z_is_zero():
    """Under E over u, z moves with θ: the total derivative of log p(z) is 0, not the score."""
    logits = LOGITS.expand(1, 9, 1).clone().requires_grad_()
    u = torch.linspace(0.1, 0.9, 9, dtype=torch.float64).view(1, 9, 1)

    def log_density(z):
        return -(z - logits) - 2 * torch.nn.functional.softplus(-(z - logits))

    z = BERNOULLI.sample(logits, u)
    (total,) = torch.autograd.grad(log_density(z).sum(), logits, retain_graph=True)
    (score,) = torch.autograd.grad(log_density(z.detach()).sum(), logits)
    assert total.abs().max() < 1e-12
    torch.testing.assert_close(score, score_in_z(logits, z))
    assert score.abs().max() > 0.5


def test_the_loss_is_differentiable_though_the_sample_is_not():
    """E[f(b)] is affine in θ, so a chord has exactly the slope 1 - 2t."""
    low, high = (expected_loss(theta, TARGET) for theta in (0.1, 0.9))
    assert (high - low) / 0.8 == pytest.approx(1 - 2 * TARGET, abs=1e-12)


def test_equation_6_holds():
    @rule
    def left(surrogate, cost, logits, draw):
        c, _ = surrogate.value_and_slope(draw.z, cost)
        return c.unsqueeze(-1) * score_in_z(logits, draw.z)

    assert moments(left)[0] == pytest.approx(moments(pathwise_estimate)[0], abs=1e-9)


def with_equation_6(scale):
    """Equation (5)'s estimate, with equation (6) for its control variate, scaled."""

    @rule
    def corrected(surrogate, cost, logits, draw):
        c, slope = surrogate.value_and_slope(draw.z, cost)
        signal = (cost(draw.b) - scale * c).unsqueeze(-1)
        return signal * score_in_z(logits, draw.z) + scale * slope

    return corrected


def test_equation_6_as_a_control_variate_does_not_reach_reinforce():
    """At λ = 0.5 with the best η: from (5)'s 0.0207 to 0.0163; the score of b alone has 0.0144."""

    def variance(scale):
        mean, result = moments(with_equation_6(scale))
        assert mean == pytest.approx(GRADIENT, abs=1e-9)
        return result

    middle, high, low = (variance(scale) for scale in (0.0, 1.0, -1.0))
    least = middle - (high - low) ** 2 / (8 * (high + low - 2 * middle))
    assert middle == pytest.approx(0.02068, abs=5e-6)
    assert least == pytest.approx(0.01634, abs=5e-6)
    plain = moments(control_variate_estimate, ZeroSurrogate())[1]
    assert plain == pytest.approx(0.01444, abs=5e-6)


def test_equation_6_as_a_control_variate_does_at_a_high_temperature():
    """At λ = 148 the best η leaves a 65th of REINFORCE's variance: the claim needs its λ."""

    def variance(scale):
        return moments(with_equation_6(scale), relaxed(148.0))[1]

    middle, high, low = (variance(scale) for scale in (0.0, 1.0, -1.0))
    least = middle - (high - low) ** 2 / (8 * (high + low - 2 * middle))
    assert least == pytest.approx(2.2116e-4, rel=1e-4)


@pytest.mark.parametrize("kind", ["independent", "coupled"])
def test_equations_8_and_10_have_the_other_sign(kind):
    left = moments(score_term, kind=kind)[0]
    right = moments(path_difference, kind=kind)[0]
    assert left == pytest.approx(right, abs=1e-9)
    assert abs(left - -right) > 0.006


@pytest.mark.parametrize("kind", ["independent", "coupled"])
def test_an_estimator_with_the_printed_signs_is_biased(kind):
    """By -2ηX, with X = E[c(z~) ∂ log p(b)]; the corrected one is not."""
    x = moments(score_term, kind=kind)[0]
    assert x == pytest.approx(0.003245, abs=1e-6)
    for scale in (1.0, 0.3):
        mean = moments(printed_signs, relaxed(scale=scale), kind=kind)[0]
        assert mean - GRADIENT == pytest.approx(-2 * scale * x, abs=1e-9)
    right = moments(control_variate_estimate, kind=kind)[0]
    assert right == pytest.approx(GRADIENT, abs=1e-9)


@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_equation_9_as_printed_estimates_something_else(scale):
    """Its mean is X whatever η: a bias of -0.0155 where the gradient is 0.01875."""
    mean, _ = moments(printed_equation_9, relaxed(scale=scale))
    assert mean == pytest.approx(moments(score_term)[0], abs=1e-9)
    assert mean - GRADIENT == pytest.approx(-0.0155, abs=5e-5)
    right = moments(control_variate_estimate, relaxed(scale=scale))[0]
    assert right == pytest.approx(GRADIENT, abs=1e-9)


# Section 3 ----------------------------------------------------------------------------------


def derivatives(rule, of, at, step=1e-4):
    """d Var, d E[g²] and d E[g]² by central differences in a parameter of the surrogate."""
    sides = []
    for value in (at + step, at - step):
        mean, variance = moments(rule, of(value))
        sides.append((variance, variance + mean**2, mean**2))
    return [(high - low) / (2 * step) for high, low in zip(*sides, strict=True)]


def test_equation_11_with_its_plus_is_harmless_while_the_mean_stands_still():
    for of, at in ((relaxed, 0.5), (lambda scale: relaxed(scale=scale), 1.0)):
        variance, second, squared_mean = derivatives(control_variate_estimate, of, at)
        assert abs(squared_mean) < 1e-9
        assert second + squared_mean == pytest.approx(variance, abs=1e-9)
        assert abs(variance) > 1e-3


def test_equation_11_with_its_plus_is_wrong_for_a_biased_estimator():
    """Concrete in λ: the minus holds, and the two differ by 2 ∂(E[g])²."""
    variance, second, squared_mean = derivatives(pathwise_estimate, relaxed, 0.5)
    assert second - squared_mean == pytest.approx(variance, abs=1e-9)
    assert squared_mean == pytest.approx(7.53e-4, rel=1e-3)
    assert second + squared_mean != pytest.approx(variance, abs=1e-3)


class Jump(Surrogate):
    """κ 1[z > 0]."""

    def __init__(self, height):
        super().__init__()
        self.height = height

    def value_and_slope(self, z, cost, context=None):
        return self.height * (z[..., 0] > 0), torch.zeros_like(z)


@pytest.mark.parametrize("kind", ["independent", "coupled"])
@pytest.mark.parametrize("height", [0.1, -2.0])
def test_unbiased_for_every_surrogate_needs_it_continuous(height, kind):
    """A jump κ at 0 costs -κ θ(1-θ), and κ = f(1) - f(0) the whole gradient."""
    mean, _ = moments(control_variate_estimate, Jump(height), kind=kind)
    assert mean - GRADIENT == pytest.approx(-height * THETA * (1 - THETA), abs=1e-9)


# Section 4 ----------------------------------------------------------------------------------


def test_what_makes_the_hard_toy_hard():
    """At θ = ½ REINFORCE's variance does not grow; REBAR's least does, 107 times; the signal falls.

    And from where REBAR starts, the best η leaves nearly all of REINFORCE's at t = 0.45 too.
    """
    half = torch.zeros(1, 1, 1, dtype=torch.float64)
    plain, least, start, signal = {}, {}, {}, {}
    for target in (0.45, 0.499):
        cost = squared_distance(target)
        plain[target] = exact_moments(Estimator(), ZeroSurrogate(), cost, half).variance.item()
        least[target] = best_scale(relaxed(148.0), cost, half).variance.item()
        start[target] = best_scale(relaxed(0.5), cost, half).variance.item()
        signal[target] = enumerate_gradient(cost, half).item() ** 2
    assert plain[0.499] == pytest.approx(0.01563, abs=5e-6)
    assert plain[0.45] == pytest.approx(0.01594, abs=5e-6)
    assert least[0.499] / least[0.45] == pytest.approx(107, abs=0.5)
    assert all(start[target] > 0.999 * plain[target] for target in plain)
    assert signal[0.45] / signal[0.499] == pytest.approx(2500, rel=1e-6)


def test_a_cost_on_minus_one_and_one_is_relaxed_through_2b_minus_1():
    """σ(z/λ) put in the place of a value in {-1, 1} ends at 0, not at -1."""
    z = torch.tensor([-40.0, 40.0], dtype=torch.float64)
    hard = 2 * BERNOULLI.threshold(z) - 1
    torch.testing.assert_close(2 * torch.sigmoid(z) - 1, hard, rtol=0, atol=1e-12)
    assert (torch.sigmoid(z) - hard).abs().max() > 0.99
