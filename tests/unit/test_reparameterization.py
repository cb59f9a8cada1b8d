"""The identities of docs/reparameterization.md by their numbers, and what is refused.

Those at every sample hold against automatic differentiation, those of means against quadrature in
float64. Controls: a gradient 2% too large, a path without its weight, and a step that c crosses.
"""

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats

from relax.estimators.reparameterization import DECOMPOSITIONS, path_estimate
from relax.exact.densities import density_nodes, weighted_moments
from relax.numerics.streams import generator
from relax.relaxations.standardised import Beta, Gamma
from relax.relaxations.transformations import (
    Normal,
    NormalByUniform,
    ThresholdedLogistic,
    Transformation,
)
from relax.surrogates.base import Surrogate

NORMAL, UNIFORM, GAMMA, BETA = Normal(), NormalByUniform(), Gamma(), Beta()
LOGISTIC = ThresholdedLogistic()
# Parameters of one latent, two replicas.
LAWS = {
    NORMAL: [[0.7, 1.3], [-0.4, 0.5]],
    UNIFORM: [[0.7, 1.3], [-0.4, 0.5]],
    GAMMA: [[1.7, 1.0], [0.4, 2.5]],
    BETA: [[1.7, 0.8], [4.0, 6.0]],
    LOGISTIC: [[0.8], [-1.1]],
}
STANDARDISED = [NORMAL, GAMMA, BETA]
# scipy's of the same parameters.
KNOWN = {
    NORMAL: stats.norm,
    UNIFORM: stats.norm,
    GAMMA: lambda a, b: stats.gamma(a, scale=1 / b),
    BETA: stats.beta,
    LOGISTIC: stats.logistic,
}
COUNT = 40


def parameters_of(law, count=1):
    given = torch.tensor(LAWS[law], dtype=torch.float64).unsqueeze(1)
    return given.expand(-1, count, -1)


def samples(law, count=COUNT):
    """Parameters and draws, [2, count, ...]."""
    parameters = parameters_of(law, count).contiguous()
    return parameters, law.sample(parameters, [generator(seed, "noise") for seed in (0, 1)])


def derivative(function, parameters):
    """Of a function that works sample by sample: like the parameters."""
    free = parameters.clone().requires_grad_()
    return torch.autograd.grad(function(free).sum(), free)[0]


def kinked(z):
    return ((z - 0.6).abs() + 0.3 * z.square()).squeeze(-1)


class Bent(Surrogate):
    """Some smooth c."""

    def forward(self, z, cost, context=None):
        return (torch.sin(2 * z) + 0.2 * z.square()).sum(-1)


class TheCost(Surrogate):
    """c = f."""

    def forward(self, z, cost, context=None):
        return cost(z)


class Both(Bent):
    """c + f."""

    def forward(self, z, cost, context=None):
        return super().forward(z, cost) + cost(z)


@pytest.fixture(params=LAWS, ids=repr)
def law(request):
    return request.param


def test_1_the_transformation_is_inverted(law):
    parameters, z = samples(law)
    epsilon = law.inverse(parameters, z)
    torch.testing.assert_close(law.forward(parameters, epsilon), z)


def test_2_change_of_variables(law):
    """The stretch is the derivative of T, and a standardised ε has mean 0 and variance 1."""
    parameters, z = samples(law)
    epsilon = law.inverse(parameters, z).requires_grad_()
    (stretch,) = torch.autograd.grad(law.forward(parameters, epsilon).sum(), epsilon)
    torch.testing.assert_close(torch.exp(law.log_stretch(parameters, z)), stretch)
    if law in STANDARDISED:
        z, weights = density_nodes(law, parameters_of(law))
        wide = parameters_of(law, z.shape[1])
        mean, variance = weighted_moments(law.inverse(wide, z), weights)
        torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=0, atol=1e-10)
        torch.testing.assert_close(variance, torch.ones_like(mean))


def test_the_density_and_the_samples_are_the_library_s(law):
    """A Kolmogorov-Smirnov test each; one false alarm in 1,000 for all together."""
    _, z = samples(law, 4000)
    for row, draws, others in zip(LAWS[law], z, z.flip(0), strict=True):
        known, values = KNOWN[law](*row), draws.flatten().numpy()
        wide = torch.tensor(row, dtype=torch.float64).expand(1, len(draws), -1)
        log = law.log_density(wide, draws.unsqueeze(0)).flatten()
        np.testing.assert_allclose(log, known.logpdf(values), rtol=1e-9, atol=1e-12)
        assert stats.kstest(values, known.cdf).pvalue > 1e-3 / (2 * len(LAWS))
        assert stats.kstest(others.flatten().numpy(), known.cdf).pvalue < 1e-9  # the control


def test_4_to_7_paths_are_what_differentiation_gives(law):
    """h at fixed ε; s by its three parts; the score."""
    parameters, z = samples(law)
    epsilon = law.inverse(parameters, z)
    slope, weight = law.path(parameters, z)
    torch.testing.assert_close(slope, derivative(lambda p: law.forward(p, epsilon), parameters))
    score = derivative(lambda p: law.log_density(p, z), parameters)
    torch.testing.assert_close(law.score(parameters, z).weight, score)
    free = z.clone().requires_grad_()
    (along,) = torch.autograd.grad(law.log_density(parameters, free).sum(), free)

    def log_stretch(p):
        return law.log_stretch(p, law.forward(p, epsilon))

    parts = along.repeat(1, 1, slope.shape[-1]) * slope + score
    total = parts + derivative(log_stretch, parameters)
    torch.testing.assert_close(weight, total, rtol=1e-9, atol=1e-11)


def test_5_normal_variables_need_no_correction():
    for law in (NORMAL, UNIFORM):
        parameters, z = samples(law)
        assert not law.path(parameters, z).weight.any()


@pytest.mark.parametrize("name", ["score_function", "generalised", "implicit"])
@pytest.mark.parametrize("law", STANDARDISED, ids=repr)
def test_3_and_8_every_path_has_the_true_gradient(law, name):
    """By quadrature; the truth is the difference quotient of scipy's integral of f q."""
    found = exact_gradient(law, name, kinked)
    torch.testing.assert_close(found, truth(law), rtol=1e-6, atol=1e-7)
    assert not torch.allclose(1.02 * found, truth(law), rtol=1e-6, atol=1e-7)


def exact_gradient(law, name, cost, surrogate=None, breaks=(0.6,)):
    z, weights = density_nodes(law, parameters_of(law), breaks, panels=60)
    wide = parameters_of(law, z.shape[1]).contiguous()
    drawn = law.at(wide, z, DECOMPOSITIONS[name].paths)
    estimate = path_estimate(name, drawn, cost, surrogate)
    return weighted_moments(estimate.gradient, weights).mean.detach()


def truth(law):
    low, high = (max(end, -40.0) if end < 0 else min(end, 90.0) for end in law.support)

    def mean(parameters):
        density = KNOWN[law](*parameters).pdf
        pieces = ((low, 0.6), (0.6, min(high, 6.0)), (6.0, high))

        def f(z):
            return (abs(z - 0.6) + 0.3 * z * z) * density(z)

        options = {"epsabs": 1e-13, "epsrel": 1e-12, "limit": 400}
        return sum(integrate.quad(f, a, b, **options)[0] for a, b in pieces if a < b)

    step, rows = 1e-4, []
    for row in LAWS[law]:
        moved = [
            [value + step * side * (k == place) for k, value in enumerate(row)]
            for place in range(len(row))
            for side in (1, -1)
        ]
        up, down = [mean(p) for p in moved[::2]], [mean(p) for p in moved[1::2]]
        rows.append([(a - b) / (2 * step) for a, b in zip(up, down, strict=True)])
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("concentration", [0.2, 1.0, 1.7, 12.0, 80.0])
def test_8_to_10_the_implicit_slope_of_a_gamma(concentration):
    """Against the derivative of scipy's distribution function; by series and by integral."""
    law = GAMMA
    z = torch.tensor(stats.gamma(concentration).ppf(np.linspace(0.02, 0.999, 25))).view(1, -1, 1)
    parameters = torch.tensor([[[concentration, 1.0]]], dtype=torch.float64).expand(1, 25, 2)
    series = law.implicit(parameters, z).slope[..., 0]
    integral = Transformation.implicit(law, parameters, z).slope[..., 0]
    torch.testing.assert_close(series, integral, rtol=1e-7, atol=1e-9)
    step, x = 1e-4, z.flatten().numpy()
    quotient = [special.gammainc(concentration + k * step, x) for k in (-2, -1, 1, 2)]
    moved = (quotient[0] - 8 * quotient[1] + 8 * quotient[2] - quotient[3]) / (12 * step)
    expected = -moved / stats.gamma(concentration).pdf(x)
    np.testing.assert_allclose(series[0], expected, rtol=1e-6)


def test_8_far_out_the_integral_takes_over():
    """Where the series would cancel; its two ways agree where it starts."""
    law, z = GAMMA, torch.tensor([[[18.7], [19.2]]], dtype=torch.float64)
    parameters = torch.tensor([[[1.7, 1.0]]], dtype=torch.float64).expand(1, 2, 2)
    both = law.implicit(parameters, torch.tensor([[[18.2], [18.3]]], dtype=torch.float64)).slope
    assert (both[0, 1, 0] - both[0, 0, 0]).abs() < 0.05
    assert torch.isfinite(law.implicit(parameters, 5 * z).slope).all()
