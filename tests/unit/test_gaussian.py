"""Gaussian latents: the derivatives, and the one formula as LAX."""

import pytest
import torch
from torch.distributions import Normal
from unit.test_relaxations import EXTREMES

from relax.errors import ConfigError
from relax.estimators.formula import control_variate_estimate
from relax.estimators.registry import load_estimator
from relax.numerics.replicas import parameter_generators
from relax.numerics.streams import Noise, uniform_noise
from relax.relaxations.gaussian import GAUSSIAN
from relax.surrogates.base import Surrogate, SurrogateSpec
from relax.surrogates.network import Network

SEEDS, D = [0, 1], 3
SPEC = SurrogateSpec(latents=D, hidden=(5, 4), squash=False, relaxation=GAUSSIAN)


def cost(b):
    return torch.sin(b).sum(-1) + b[..., 0] * b[..., 1] ** 2


class TheCost(Surrogate):
    """c = f."""

    def forward(self, z, cost, context=None):
        return cost(z)


@pytest.fixture
def problem():
    """Means and log standard deviations, and noise (u, v), for two replicas and six samples."""
    u, v = uniform_noise(SEEDS, "noise", 0, (2, 6, D)).unbind(1)
    return 2 * (uniform_noise(SEEDS, "noise", 1, (6, 2 * D)) - 0.5), u, v


def library(parameters):
    mean, log_std = parameters.chunk(2, -1)
    return Normal(mean, log_std.exp())


def test_sample_is_the_inverse_distribution_function(problem):
    parameters, u, v = problem
    z, b, z_tilde, dz_tilde, _ = GAUSSIAN.draw(parameters, Noise(u, v))
    torch.testing.assert_close(library(parameters).cdf(z), u)
    assert b is z
    assert z_tilde is z  # so that c is evaluated once
    assert not dz_tilde.any()


@pytest.mark.parametrize("kind", ["independent", "coupled"])
def test_lax_equals_automatic_differentiation(problem, kind):
    """[f(b) - c(b)] ∂log p(b) + ∂c(b), each ∂ taken by a tape."""
    parameters, u, v = problem
    network = Network(SPEC, parameter_generators(SEEDS))
    free = parameters.clone().requires_grad_()
    law = library(free)
    b = law.icdf(u)
    hard = b.detach()
    signal = (cost(hard) - network(hard)).detach()
    terms = signal * law.log_prob(hard).sum(-1) + network(b)
    (expected,) = torch.autograd.grad(terms.sum(), free)
    noise = Noise(u, v if kind == "independent" else None)
    estimate = control_variate_estimate(network, cost, parameters, noise, relaxation=GAUSSIAN)
    torch.testing.assert_close(estimate.gradient.detach(), expected)
    torch.testing.assert_close(estimate.sample, hard)


def test_with_the_cost_as_surrogate_lax_is_the_reparameterization_gradient(problem):
    parameters, u, _ = problem
    free = parameters.clone().requires_grad_()
    mean, log_std = free.chunk(2, -1)
    z = mean + log_std.exp() * torch.special.ndtri(u)
    (expected,) = torch.autograd.grad(cost(z).sum(), free)
    estimate = control_variate_estimate(TheCost(), cost, parameters, Noise(u), relaxation=GAUSSIAN)
    assert not estimate.learning_signal.any()
    torch.testing.assert_close(estimate.gradient.detach(), expected, rtol=1e-13, atol=1e-14)


def test_muprop_is_exact_in_the_mean_for_a_linear_cost(problem):
    parameters, u, _ = problem
    weights = torch.arange(1.0, D + 1, dtype=torch.float64)
    muprop = load_estimator("muprop")
    estimate = muprop.estimate(
        muprop.surrogate(SPEC, SEEDS),
        lambda b: (b * weights).sum(-1),
        parameters,
        Noise(u),
        relaxation=GAUSSIAN,
    )
    expected = torch.cat([weights, torch.zeros(D)]).expand_as(estimate.gradient)
    torch.testing.assert_close(estimate.gradient.detach(), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", ["reinforce", "relax", "nvil", "muprop"])
def test_float32_stays_finite_at_the_edges_of_the_noise(name):
    u = torch.tensor([*EXTREMES[torch.float32], 0.5]).view(1, -1, 1).expand(1, 3, D)
    for log_std in (-8.0, 0.0, 8.0):
        parameters = torch.tensor([30.0] * D + [log_std] * D).expand(1, 3, -1)
        spec = SurrogateSpec(
            latents=D, hidden=(5,), squash=False, dtype=torch.float32, relaxation=GAUSSIAN
        )
        estimator = load_estimator(name)
        surrogate = estimator.surrogate(spec, parameter_generators([0]))
        estimate = estimator.estimate(surrogate, cost, parameters, Noise(u), relaxation=GAUSSIAN)
        assert torch.isfinite(estimate.gradient).all()


@pytest.mark.parametrize("name", ["concrete", "rebar", "relax"])
def test_a_temperature_is_refused(problem, name):
    parameters, u, _ = problem
    spec = SurrogateSpec(latents=D, relaxation=GAUSSIAN)  # squash: true
    estimator = load_estimator(name)
    surrogate = estimator.surrogate(spec, parameter_generators(SEEDS))
    with pytest.raises(ConfigError, match="no temperature"):
        estimator.estimate(surrogate, cost, parameters, Noise(u), relaxation=GAUSSIAN)


def test_enumeration_is_refused(problem):
    parameters, u, _ = problem
    with pytest.raises(ConfigError, match="Gaussian"):
        load_estimator("exact").estimate(None, cost, parameters, Noise(u), relaxation=GAUSSIAN)
