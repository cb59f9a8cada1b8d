"""The statements of docs/estimators.md on optimal surrogates that a number could contradict."""

import pytest
import torch

from relax.estimators.formula import Estimator
from relax.estimators.registry import load_estimator
from relax.exact.enumeration import enumerate_expectation, enumerate_gradient
from relax.exact.optimal import least_variance
from relax.exact.quadrature import centred_lines, exact_moments
from relax.experiments.toy.problem import squared_distance
from relax.numerics.replicas import parameter_generators
from relax.surrogates.base import Surrogate, SurrogateSpec
from relax.surrogates.network import Network
from relax.surrogates.relaxed_cost import RelaxedCost

KINDS = ["independent", "coupled"]
FORMULA = Estimator()
TWO = torch.tensor([[[0.3, -0.5]]], dtype=torch.float64)
NODES = 65


def logit_of(theta):
    return torch.tensor([[[theta]]], dtype=torch.float64).logit()


def best_constant(cost, theta):
    """c* = (1-θ) f(1) + θ f(0)."""
    f0, f1 = (cost(torch.tensor([[[b]]], dtype=torch.float64)).item() for b in (0.0, 1.0))
    return (1 - theta) * f1 + theta * f0


def network(latents, seed=3):
    spec = SurrogateSpec(latents=latents, hidden=(5,), temperature=1.0)
    return Network(spec, parameter_generators([seed]))


class Relaxed(Surrogate):
    """The class of one function, f(σ(z/λ)); its weight is η."""

    def __init__(self, f, temperature):
        super().__init__()
        self.f, self.temperature = f, temperature

    def __len__(self):
        return 1

    def forward(self, z, cost=None, context=None):
        return self.f(torch.sigmoid(z / self.temperature))


class Exponential(Surrogate):
    """k_b + K_b Γ(z), Γ(z) = (1-θ)e^z + θ for z > 0 and θe^-z + 1 - θ for z < 0; one latent."""

    def __init__(self, theta, k, growth):
        super().__init__()
        self.theta, self.k, self.growth = theta, k, growth

    def forward(self, z, cost=None, context=None):
        z, theta = z[..., 0], self.theta
        one = self.k[1] + self.growth[1] * ((1 - theta) * z.clamp(min=0).exp() + theta)
        zero = self.k[0] + self.growth[0] * (theta * (-z).clamp(min=0).exp() + 1 - theta)
        return torch.where(z > 0, one, zero)


# One latent ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("theta", [0.1, 0.6])
@pytest.mark.parametrize("name", ["rebar", "network"])
def test_mean_given_b_sees_the_surrogate_at_zero_only(name, theta, kind):
    """(A): E[g|b] = [f(b) - c(0)](b - θ), and (B), the variance in two parts."""
    cost, logits = squared_distance(0.45), logit_of(theta)
    surrogate = RelaxedCost(SurrogateSpec(), 1) if name == "rebar" else network(1)
    c0 = surrogate(torch.zeros_like(logits), cost).item()
    within = 0.0
    pieces = centred_lines(FORMULA, surrogate, cost, logits, kind, None)
    for b, (probability, mean, lines, weights) in zip((0.0, 1.0), pieces, strict=True):
        expected = ((b - 0.45) ** 2 - c0) * (b - theta)
        assert mean.item() == pytest.approx(expected, abs=1e-11)
        given_b = sum((line[0, :, 0].square() @ weights).item() for line in lines)
        within += probability.item() * given_b
    between = theta * (1 - theta) * (c0 - best_constant(cost, theta)) ** 2
    variance = exact_moments(FORMULA, surrogate, cost, logits, kind).variance.item()
    assert variance == pytest.approx(between + within, rel=1e-9)
    assert within > 1e-5  # so that c(0) in the place of c would do better


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("theta", [0.1, 0.6])
def test_a_constant_has_the_variance_of_its_distance_from_the_best(theta, kind):
    cost = squared_distance(0.45)
    k = 0.1
    surrogate = Exponential(theta, (k, k), (0.0, 0.0))
    variance = exact_moments(FORMULA, surrogate, cost, logit_of(theta), kind).variance.item()
    expected = theta * (1 - theta) * (k - best_constant(cost, theta)) ** 2
    assert variance == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("growth", [0.7, -0.2])
def test_coupled_noise_has_zero_variance_for_some_surrogates_that_are_no_constant(growth):
    """c* + K Γ(z): continuous, not integrable; the exact gradient whatever z is."""
    theta, cost = 0.25, squared_distance(0.45)
    best = best_constant(cost, theta)
    surrogate = Exponential(theta, (best, best), (growth, growth))
    below, above = (surrogate(torch.tensor([[[z]]]).double()).item() for z in (-1e-9, 1e-9))
    assert below == pytest.approx(above, abs=1e-8)
    logits = logit_of(theta)
    moments = exact_moments(FORMULA, surrogate, cost, logits, "coupled")
    assert moments.mean.item() == pytest.approx(enumerate_gradient(cost, logits).item(), abs=1e-12)
    assert moments.variance.item() < 1e-14
    # Not so with independent noise: the variance grows with the reach of the quadrature.
    assert exact_moments(FORMULA, surrogate, cost, logits).variance.item() > 1e6


@pytest.mark.parametrize("excess", [0.3, -1.0])
def test_a_smooth_surrogate_that_grows_like_the_tails_is_biased_without_variance(excess):
    """C¹ and zero variance at the value θ(1-θ)(f(1) - f(0) + κ): growth needs a bound."""
    theta, t = 0.25, 0.45
    value = theta * (1 - theta) * (1 - 2 * t + excess)
    k = (t**2 + value / theta, (1 - t) ** 2 - value / (1 - theta))
    surrogate = Exponential(theta, k, (-(1 - theta) * excess, theta * excess))
    sides = torch.tensor([[[-1e-9], [1e-9]]], dtype=torch.float64)
    c, slope = surrogate.value_and_slope(sides, None)
    torch.testing.assert_close(c[:, 0], c[:, 1], rtol=0, atol=1e-8)
    torch.testing.assert_close(slope[:, 0], slope[:, 1], rtol=0, atol=1e-8)
    arguments = (surrogate, squared_distance(t), logit_of(theta), "coupled")
    moments = exact_moments(FORMULA, *arguments)
    assert moments.mean.item() == pytest.approx(value, abs=1e-12)
    assert moments.variance.item() < 1e-14


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("temperature", [0.5, 20.0, 1e3])
@pytest.mark.parametrize("target", [0.2, 0.45, 0.499])
def test_least_variance_of_concretes_family_in_closed_form(target, temperature, kind):
    theta = 0.25
    cost, logits = squared_distance(target), logit_of(theta)
    relaxed = Relaxed(cost, temperature)
    best = least_variance(relaxed, cost, logits, kind)
    star, height, v = best_constant(cost, theta), (0.5 - target) ** 2, theta * (1 - theta)
    # V(λ): the variance at η = 1 less the part of the means given b
    whole = exact_moments(FORMULA, relaxed, cost, logits, kind).variance.item()
    spread = whole - v * (height - star) ** 2
    assert spread > 0
    # V(λ) is a difference: 1e-16 of rounding, against its own size
    tolerance = 1e-8 + 1e-15 / spread
    eta = v * star * height / (v * height**2 + spread)
    assert best.surrogate.weights.item() == pytest.approx(eta, rel=tolerance)
    least = v * star**2 * spread / (v * height**2 + spread)
    assert best.variance == pytest.approx(least, rel=tolerance)
    assert best.reinforce_variance == pytest.approx(v * star**2, rel=1e-12)


TEMPERATURES = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 148]


@pytest.mark.parametrize(
    ("target", "kind", "least", "far"),
    [
        (0.45, "independent", 1.460e-4, 3.19e-12),
        (0.45, "coupled", 1.445e-4, 3.19e-12),
        (0.499, "independent", 0.015604, 7.81e-9),
        (0.499, "coupled", 0.015524, 7.81e-9),
    ],
)
def test_concretes_family_gains_only_as_it_stops_being_a_relaxation(target, kind, least, far):
    """The table at θ = ½; the variance falls in λ throughout."""
    cost, logits = squared_distance(target), logit_of(0.5)

    def at(temperature):
        return least_variance(Relaxed(cost, temperature), cost, logits, kind)

    variances = [at(temperature).variance for temperature in TEMPERATURES]
    assert variances == sorted(variances, reverse=True)
    assert variances[-1] == pytest.approx(least, rel=5e-4)
    limit = at(1e6)
    assert limit.variance == pytest.approx(far, rel=2e-3)
    height = limit.surrogate.weights.item() * (0.5 - target) ** 2
    assert height == pytest.approx(best_constant(cost, 0.5), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("theta", [0.1, 0.5])
def test_at_one_half_any_scale_makes_rebar_worse_than_reinforce(theta, kind):
    cost, logits = squared_distance(0.5), logit_of(theta)
    plain = theta * (1 - theta) * 0.25**2
    for temperature in (0.2, 1.0, 20.0):
        best = least_variance(Relaxed(cost, temperature), cost, logits, kind)
        assert abs(best.surrogate.weights.item()) < 1e-9
        for scale in (-1.0, 0.5):
            surrogate = RelaxedCost(SurrogateSpec(temperature=temperature, scale=scale), 1)
            variance = exact_moments(FORMULA, surrogate, cost, logits, kind).variance.item()
            assert variance > plain


@pytest.mark.parametrize("target", [0.45, 0.499])
def test_nvils_baseline_is_nearly_the_best_constant(target):
    """E[f] leaves [(1-2θ)(1-2t)/c*]² of REINFORCE's: at most 6.4e-5 at 0.499, 0.11 at 0.45."""
    left = []
    for theta in (1e-4, 0.05, 0.25, 0.5):
        cost, logits = squared_distance(target), logit_of(theta)
        mean = enumerate_expectation(cost, logits).item()
        star, plain = best_constant(cost, theta), theta * (1 - theta)
        variance = exact_moments(
            FORMULA, Exponential(theta, (mean, mean), (0.0, 0.0)), cost, logits
        ).variance.item()
        left.append(variance / (plain * star**2))
        expected = ((1 - 2 * theta) * (1 - 2 * target) / star) ** 2
        assert left[-1] == pytest.approx(expected, abs=1e-12)
    assert left == sorted(left, reverse=True)
    assert left[-1] < 1e-12 < left[0] <= {0.45: 0.1093, 0.499: 6.36e-5}[target]


@pytest.mark.parametrize("theta", [0.1, 0.3, 0.5])
def test_muprop_is_a_constant_on_one_latent(theta):
    """k = η [f(θ) + f'(θ)(1-2θ)]: its variance is a constant's, and the best η leaves none."""
    target = 0.45
    cost, logits = squared_distance(target), logit_of(theta)
    bracket = (theta - target) ** 2 + 2 * (theta - target) * (1 - 2 * theta)
    star = best_constant(cost, theta)
    muprop = load_estimator("muprop")
    for scale in (1.0, -0.7, star / bracket):
        surrogate = muprop.surrogate(SurrogateSpec(scale=scale, dtype=torch.float64), [None])
        found = exact_moments(muprop, surrogate, cost, logits)
        constant = exact_moments(
            FORMULA, Exponential(theta, (scale * bracket,) * 2, (0.0, 0.0)), cost, logits
        )
        torch.testing.assert_close(found.mean, constant.mean, rtol=0, atol=1e-12)
        torch.testing.assert_close(found.variance, constant.variance, rtol=1e-9, atol=1e-15)
    assert found.variance.item() < 1e-20
    assert abs(star / ((0.5 - 0.499) ** 2)) > 200_000  # at θ = ½ the bracket is f(½)
