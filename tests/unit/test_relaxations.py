"""The Bernoulli relaxation: H(z~) = b always, the law of z~, and its derivative."""

import pytest
import torch
from scipy import stats

from relax.numerics.streams import Noise, uniform_noise
from relax.relaxations.bernoulli import BERNOULLI

FALSE_ALARM_RATE = 1e-4  # of each Kolmogorov-Smirnov test below; the seeds are fixed

# Logits and noise at the edges of what float32 can hold.
EXTREMES = {
    torch.float32: (2.0**-25, 1 - 2.0**-24),
    torch.float64: (2.0**-54, 1 - 2.0**-53),
}


@pytest.mark.parametrize("dtype", EXTREMES)
@pytest.mark.parametrize("bit", [0.0, 1.0])
def test_conditional_sample_thresholds_to_b_at_every_extreme(dtype, bit):
    low, high = EXTREMES[dtype]
    logits = torch.tensor([-80.0, -20, -3, 0, 3, 20, 80], dtype=dtype).view(1, -1, 1)
    v = torch.tensor([low, 1e-3, 0.5, 0.999, high], dtype=dtype).view(1, 1, -1)
    logits, v = torch.broadcast_tensors(logits, v)
    b = torch.full_like(v, bit)
    z_tilde, derivative = BERNOULLI.sample_given(logits, b, v)
    assert torch.equal(BERNOULLI.threshold(z_tilde), b)
    assert torch.isfinite(z_tilde).all()
    assert ((derivative >= 0) & (derivative <= 1)).all()


@pytest.mark.parametrize("dtype", EXTREMES)
def test_a_hard_sample_is_the_threshold_of_z(dtype):
    """It is drawn without z: the same but where rounding decides, certain latents included."""
    logits = torch.tensor([-torch.inf, -90, -17, -2, 0, 0.3, 5, 16, 90, torch.inf], dtype=dtype)
    low, high = EXTREMES[dtype]
    u = uniform_noise([0], "noise", 0, (5000, len(logits)), dtype)
    u[0, 0], u[0, 1] = low, high
    z = BERNOULLI.sample(logits.expand_as(u), u)
    b = BERNOULLI.hard_sample(logits.expand_as(u), u)
    decided = z.abs() > 1e-5
    assert decided.float().mean() > 0.999
    assert torch.equal(b[decided], BERNOULLI.threshold(z)[decided])


def textbook_conditional_sample(logits, b, v):
    """z~ = logit θ + logit v' with v' = v(1-θ) or vθ + (1-θ), as the papers write it."""
    theta = torch.sigmoid(logits)
    v_prime = torch.where(b > 0.5, v * theta + (1 - theta), v * (1 - theta))
    return logits + torch.logit(v_prime)


def test_stable_form_equals_the_textbook_form_and_its_derivative():
    logits = torch.linspace(-4, 4, 33, dtype=torch.float64).view(1, -1, 1)
    noise = uniform_noise([0], "noise", 0, (33, 8))
    for bit in (0.0, 1.0):
        alpha = logits.expand_as(noise).clone().requires_grad_()
        b = torch.full_like(noise, bit)
        expected = textbook_conditional_sample(alpha, b, noise)
        (slope,) = torch.autograd.grad(expected.sum(), alpha)
        z_tilde, derivative = BERNOULLI.sample_given(alpha.detach(), b, noise)
        torch.testing.assert_close(z_tilde, expected.detach(), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(derivative, slope, rtol=1e-9, atol=1e-9)


def test_coupled_derivative_is_the_conditional_maps_at_the_v_that_gives_z():
    logits = torch.linspace(-3, 3, 25, dtype=torch.float64).view(1, -1, 1).expand(1, 25, 4)
    z, b, z_tilde, derivative, _ = BERNOULLI.draw(
        logits, Noise(uniform_noise([1], "noise", 0, (25, 4)))
    )
    assert z_tilde is z
    theta, u_prime = torch.sigmoid(logits), torch.sigmoid(z - logits)
    v = torch.where(b > 0.5, (u_prime - (1 - theta)) / theta, u_prime / (1 - theta))
    again, expected = BERNOULLI.sample_given(logits, b, v)
    torch.testing.assert_close(again, z, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(derivative, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("logit", [-2.0, 0.3])
def test_z_and_z_tilde_are_logistic_around_the_logit(logit):
    shape = (20_000, 1)
    u, v = uniform_noise([2], "noise", 0, (2, *shape)).unbind(1)
    logits = torch.full((1, *shape), logit, dtype=torch.float64)
    z, b, z_tilde, *_ = BERNOULLI.draw(logits, Noise(u, v))
    law = stats.logistic(loc=logit)
    assert stats.kstest(z.flatten().numpy(), law.cdf).pvalue > FALSE_ALARM_RATE
    assert stats.kstest(z_tilde.flatten().numpy(), law.cdf).pvalue > FALSE_ALARM_RATE
    for bit in (0.0, 1.0):  # and given b, z~ has the law of z given b
        own = (b == bit).flatten()
        test = stats.ks_2samp(z.flatten()[own].numpy(), z_tilde.flatten()[own].numpy())
        assert test.pvalue > FALSE_ALARM_RATE
    # Negative control: the same test sees a shift of a tenth of a logit.
    assert stats.kstest(z_tilde.flatten().numpy() + 0.1, law.cdf).pvalue < FALSE_ALARM_RATE


def test_given_b_independent_noise_is_independent_of_z():
    u, v = uniform_noise([3], "noise", 0, (2, 20_000, 1)).unbind(1)
    logits = torch.full_like(u, 0.4)
    z, b, z_tilde, *_ = BERNOULLI.draw(logits, Noise(u, v))
    ones = (b == 1).flatten()
    test = stats.spearmanr(z.flatten()[ones], z_tilde.flatten()[ones])
    assert test.pvalue > FALSE_ALARM_RATE
