"""docs/errata.md: each printed formula of the draft beside the corrected one, computed exactly.

The point of reference: t = 0.45, θ = 0.25, λ = 0.5, η = 1, independent noise.
"""

import math

import pytest
import torch
from scipy import integrate

from relax.estimators.concrete import pathwise_estimate
from relax.estimators.formula import Estimate, Estimator
from relax.exact.enumeration import enumerate_expectation, enumerate_gradient
from relax.exact.quadrature import exact_moments
from relax.experiments.theory.printed import HardSurrogate, entangled
from relax.experiments.toy.problem import squared_distance
from relax.relaxations.bernoulli import BERNOULLI
from relax.surrogates.base import SurrogateSpec
from relax.surrogates.relaxed_cost import RelaxedCost

THETA, TARGET = 0.25, 0.45
LOGITS = torch.tensor([[[THETA]]], dtype=torch.float64).logit()
COST = squared_distance(TARGET)
GRADIENT = THETA * (1 - THETA) * (1 - 2 * TARGET)  # 0.01875
TWO = torch.tensor([[[0.3, -0.5]]], dtype=torch.float64)


def relaxed(temperature=0.5, scale=1.0):
    return RelaxedCost(SurrogateSpec(temperature=temperature, scale=scale), 1)


def moments(rule, surrogate=None, cost=COST, kind="independent"):
    """Mean and variance of a rule at the point of reference."""
    result = exact_moments(Estimator(rule), surrogate or relaxed(), cost, LOGITS, kind)
    return result.mean.item(), result.variance.item()


def rule(weigh):
    """An estimator from a function of (surrogate, cost, logits, draw) -> gradient."""

    def estimate(surrogate, cost, logits, noise, context=None):
        draw = BERNOULLI.draw(logits, noise)
        return Estimate(draw.b, cost(draw.b), weigh(surrogate, cost, logits, draw))

    return estimate


def score_in_z(logits, z):
    """∂ log p(z) at fixed z: 2σ(z - α) - 1, for a logistic density with location α."""
    return 2 * torch.sigmoid(z - logits) - 1


@rule
def score_term(surrogate, cost, logits, draw):
    """c(z~) ∂ log p(b), the left side of (8) and (10)."""
    c, _ = surrogate.value_and_slope(draw.z_tilde, cost)
    return c.unsqueeze(-1) * BERNOULLI.score(logits, draw.b)


@rule
def path_difference(surrogate, cost, logits, draw):
    """∂c(z) - ∂c(z~), the right side of (8) and (10) with its sign put right."""
    _, slope = surrogate.value_and_slope(draw.z, cost)
    _, slope_tilde = surrogate.value_and_slope(draw.z_tilde, cost)
    return slope - slope_tilde * draw.dz_tilde


@rule
def printed_signs(surrogate, cost, logits, draw):
    """f(b) in (9)'s first term, and the correction with the sign that (8) prints."""
    c, slope_tilde = surrogate.value_and_slope(draw.z_tilde, cost)
    _, slope = surrogate.value_and_slope(draw.z, cost)
    first = (cost(draw.b) - c).unsqueeze(-1) * BERNOULLI.score(logits, draw.b)
    return first + slope_tilde * draw.dz_tilde - slope


# Section 1 ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["independent", "coupled"])
def test_muprops_control_variate_is_not_a_case_of_relax(kind):
    """Two latents: with c = f(θ) + f'(θ)·(H(z) - θ) the bias is -f'_i(θ) θ_i (1 - θ_i)."""
    theta = torch.sigmoid(TWO).requires_grad_()
    (slope,) = torch.autograd.grad(entangled(theta).sum(), theta)
    theta, value = theta.detach(), entangled(theta).detach()
    taylor = HardSurrogate(lambda b: value + (slope * (b - theta)).sum(-1))
    mean = exact_moments(Estimator(), taylor, entangled, TWO, kind, 33).mean
    bias = mean - enumerate_gradient(entangled, TWO).view(1, 2)
    expected = -(slope * theta * (1 - theta)).view(1, 2)
    torch.testing.assert_close(bias, expected, rtol=0, atol=1e-9)
    assert expected.abs().min() > 0.02


def test_the_scores_variance_depends_on_the_parameter():
    """1/(θ(1-θ)) in θ, unbounded; θ(1-θ) in the logit. Noise over squared signal is the same."""
    for theta in (0.25, 0.01):
        logits = torch.tensor([[[theta]]], dtype=torch.float64).logit()
        to_theta = 1 / (theta * (1 - theta))  # dα/dθ

        def variance(score, logits=logits):
            return covariance(score, score, logits)

        def in_logit(b, theta=theta):
            return (b - theta).sum(-1)

        def in_theta(b, to_theta=to_theta, in_logit=in_logit):
            return to_theta * in_logit(b)

        assert variance(in_logit) == pytest.approx(theta * (1 - theta), abs=1e-12)
        assert variance(in_theta) == pytest.approx(to_theta, rel=1e-9)
        star = (1 - theta) * (1 - TARGET) ** 2 + theta * TARGET**2
        relative = star**2 / (theta * (1 - theta) * (1 - 2 * TARGET) ** 2)
        for score, unit in ((in_logit, 1.0), (in_theta, to_theta)):
            noise = variance(lambda b, score=score: COST(b) * score(b))
            gradient = unit * theta * (1 - theta) * (1 - 2 * TARGET)
            assert noise / gradient**2 == pytest.approx(relative, rel=1e-9)


# Section 2 ----------------------------------------------------------------------------------


def test_a_cost_that_depends_on_theta_needs_its_direct_term():
    """f = θb: E[f] = θ²; the score term alone has half of the gradient."""
    logits = LOGITS.clone().requires_grad_()
    loss = enumerate_expectation(lambda b: (torch.sigmoid(logits) * b).sum(-1), logits).sum()
    (whole,) = torch.autograd.grad(loss, logits)
    printed = enumerate_gradient(lambda b: (torch.sigmoid(LOGITS) * b).sum(-1), LOGITS)
    direct = enumerate_expectation(lambda b: THETA * (1 - THETA) * b.sum(-1), LOGITS)
    assert whole.item() == pytest.approx(2 * THETA**2 * (1 - THETA), abs=1e-12)
    assert printed.item() == pytest.approx(whole.item() / 2, abs=1e-12)
    assert printed.item() + direct.item() == pytest.approx(whole.item(), abs=1e-12)


def test_the_direct_term_of_log_q_has_mean_zero():
    """f = log q(b): where f depends on θ through it alone, as in a VAE, nothing is lost."""

    def log_q(logits):
        return lambda b: torch.nn.functional.logsigmoid((2 * b - 1) * logits).sum(-1)

    logits = TWO.clone().requires_grad_()
    (whole,) = torch.autograd.grad(enumerate_expectation(log_q(logits), logits).sum(), logits)
    torch.testing.assert_close(enumerate_gradient(log_q(TWO), TWO), whole, rtol=0, atol=1e-12)


# Section 2.2 --------------------------------------------------------------------------------


def argmax_probability(alpha, k, sign):
    """P(k = argmax_j log α_j + sign G_j) by quadrature over log α_k's own noise."""

    def cdf(x):  # of sign * G
        return math.exp(-math.exp(-x)) if sign > 0 else -math.expm1(-math.exp(x))

    def integrand(x):
        density = math.exp(-sign * x - math.exp(-sign * x))
        others = (cdf(x + math.log(alpha[k] / a)) for j, a in enumerate(alpha) if j != k)
        return density * math.prod(others)

    return integrate.quad(integrand, *((-4, 40) if sign > 0 else (-40, 4)), epsabs=1e-13)[0]


def test_gumbel_max_adds_the_noise():
    """Three outcomes, 0.1, 0.2, 0.7: the minus gives another law; with two outcomes it does not."""
    alpha = (0.1, 0.2, 0.7)
    for k, a in enumerate(alpha):
        printed = argmax_probability(alpha, k, -1)
        i, j = (a / other for n, other in enumerate(alpha) if n != k)
        closed = 1 - 1 / (1 + i) - 1 / (1 + j) + 1 / (1 + i + j)
        assert argmax_probability(alpha, k, 1) == pytest.approx(a, abs=1e-9)
        assert printed == pytest.approx(closed, abs=1e-9)
        assert abs(printed - a) > 0.006
    assert argmax_probability(alpha, 0, -1) == pytest.approx(0.0670, abs=5e-5)
    for k, a in enumerate((0.25, 0.75)):
        assert argmax_probability((0.25, 0.75), k, -1) == pytest.approx(a, abs=1e-9)


def test_concretes_bias_is_linear_in_the_temperature_and_not_small():
    """Bias ≈ -λ θ(1-θ)(1-2θ) for small λ; at the point of reference the sign is wrong."""
    mean, _ = moments(pathwise_estimate)
    assert mean == pytest.approx(-0.01386, abs=5e-6)
    assert mean * GRADIENT < 0
    slope = -THETA * (1 - THETA) * (1 - 2 * THETA)
    for temperature in (0.1, 0.05):
        bias = moments(pathwise_estimate, relaxed(temperature))[0] - GRADIENT
        assert bias == pytest.approx(temperature * slope, rel=0.3 * temperature)


@pytest.mark.parametrize("target", [0.3, 0.45])
def test_which_way_concretes_optimum_lies(target):
    """At small θ its mean gradient is θ πλ/sin(πλ) (1 - λ - 2t): to 0 for λ < 1 - 2t, else back."""
    theta = 1e-6
    logits = torch.tensor([[[theta]]], dtype=torch.float64).logit()
    cost = squared_distance(target)
    for ratio, sign in ((0.8, 1), (1.2, -1)):
        temperature = ratio * (1 - 2 * target)
        estimator = Estimator(pathwise_estimate)
        mean = exact_moments(estimator, relaxed(temperature), cost, logits, nodes=2049).mean.item()
        wave = math.pi * temperature / math.sin(math.pi * temperature)
        assert mean == pytest.approx(theta * wave * (1 - temperature - 2 * target), rel=0.02)
        assert mean * sign > 0


def test_concretes_low_temperature_limit_has_no_useful_gradient():
    """λ Var -> θ(1-θ)(1/30 + 2/3 (½-t)²): the variance is unbounded; at λ = 0, g is 0."""
    limit = THETA * (1 - THETA) * (1 / 30 + 2 / 3 * (0.5 - TARGET) ** 2)
    assert limit == pytest.approx(0.0065625)
    for temperature in (0.1, 0.05):
        scaled = temperature * moments(pathwise_estimate, relaxed(temperature))[1]
        assert scaled == pytest.approx(limit, rel=0.3 * temperature)


# Section 2.3.1 ------------------------------------------------------------------------------


def covariance(first, second, logits=TWO):
    def mean(function):
        return enumerate_expectation(function, logits).item()

    return mean(lambda b: first(b) * second(b)) - mean(first) * mean(second)


def test_eta_of_equation_3_belongs_to_a_plus():
    """(1 - ρ²) Var(f) with the plus of (2); with the minus of the text, (1 + 3ρ²) Var(f)."""

    def f(b):
        return (b.sum(-1) - 1.3).square() + b.prod(-1)

    def control(b):
        return b.sum(-1)

    eta = -covariance(f, control) / covariance(control, control)
    plain = covariance(f, f)
    rho = covariance(f, control) / math.sqrt(plain * covariance(control, control))

    def variance(sign):
        def estimator(b):
            return f(b) + sign * eta * control(b)

        return covariance(estimator, estimator)

    assert rho**2 > 0.02
    assert variance(1) == pytest.approx((1 - rho**2) * plain, abs=1e-9)
    assert variance(-1) == pytest.approx((1 + 3 * rho**2) * plain, abs=1e-9)
    assert variance(1) < plain < variance(-1)
    # (2) itself, with f(b) for X, at an arbitrary η
    total = covariance(lambda b: f(b) + 0.7 * control(b), lambda b: f(b) + 0.7 * control(b))
    expected = plain + 0.49 * covariance(control, control) + 1.4 * covariance(f, control)
    assert total == pytest.approx(expected, abs=1e-9)


def test_on_the_toy_the_wrong_sign_quadruples_the_variance():
    """f~ = b: with one Bernoulli every f is affine in b, ρ² = 1: 0 against 4 Var(f)."""
    logits = LOGITS
    eta = -covariance(COST, lambda b: b.sum(-1), logits) / (THETA * (1 - THETA))
    plain = covariance(COST, COST, logits)
    for sign, factor in ((1, 0), (-1, 4)):

        def estimator(b, sign=sign):
            return COST(b) + sign * eta * b.sum(-1)

        assert covariance(estimator, estimator, logits) == pytest.approx(factor * plain, abs=1e-12)


def test_positive_correlation_does_not_make_the_same_side_probable():
    """f~ = ±1 evenly, f = 10 with probability 0.1 where f~ = 1, else 0: P(f above | f~ above)."""
    outcomes = [(0.05, 1, 10), (0.45, 1, 0), (0.5, -1, 0)]  # probability, f~, f
    mean = sum(p * f for p, _, f in outcomes)
    assert sum(p * c * f for p, c, f in outcomes) > 0  # the covariance: E[f~] = 0
    above = sum(p for p, c, f in outcomes if c > 0 and f > mean) / 0.5
    assert above == pytest.approx(0.1)
