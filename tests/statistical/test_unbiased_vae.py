"""Every estimator's encoder gradient against enumeration: one stochastic layer, and two.

The truth is the derivative of E[f], summed over every b_1 and b_2, by automatic differentiation
through the probabilities and through f; f is written here a second time, from the library's
Bernoulli distribution. Tested are the gradients in each layer's logits and, for the upper layer,
in the weights from b_1, which see whether its estimate hangs together with the sample below.

One false-alarm rate for the file, shared out over every coordinate (Bonferroni); the seed is fixed.
Controls: a 2% scaling of each estimator; Concrete at a high temperature; and a surrogate whose
upper layer is drawn hard from the relaxed value, which jumps in z and so is no control variate.
"""

import itertools
from functools import partial

import pytest
import torch
from scipy import stats
from statistical.test_unbiased import FALSE_ALARM_RATE, KINDS, SEEDS, UNBIASED, has_power
from torch.distributions import Bernoulli

from relax.estimators.registry import load_estimator
from relax.experiments.vae import gradients
from relax.experiments.vae.gradients import encoder_estimate
from relax.experiments.vae.model import DiscreteVAE, LayerCost
from relax.numerics.replicas import parameter_generators
from relax.numerics.streams import NoiseStream
from relax.surrogates.base import SurrogateSpec
from relax.surrogates.closed_forms import Relaxed, differentiate

LATENTS, PIXELS, CHUNK, CHUNKS = 2, 4, 50_000, 12
MODELS = ("linear1", "linear2", "nonlinear")
# Coordinates a replica: b_1's logits; in linear2 also b_2's, and the weights between the two.
COUNTS = {"linear1": 2, "nonlinear": 2, "linear2": 2 + 2 + 4}
COORDINATES = len(SEEDS) * len(UNBIASED) * len(KINDS) * sum(COUNTS.values())
THRESHOLD = stats.norm.isf(FALSE_ALARM_RATE / 2 / COORDINATES)


def states():
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=LATENTS)), dtype=torch.float64)


def log_prob(logits, value):
    return Bernoulli(logits=logits).log_prob(value).sum(-1)


def exact_gradients(model, x):
    """The derivatives of E[f], [replica, coordinate], by enumeration."""
    one, two = states(), states()
    with torch.no_grad():
        logits = model.encode(0, x)
    logits.requires_grad_()
    q1 = log_prob(logits, one)  # [replica, state]
    f1 = q1 - log_prob(model.decode(0, one.expand(2, -1, -1)), x)
    if len(model.encoders) == 1:
        f = f1 - log_prob(model.prior_logits, one)
        (gradient,) = torch.autograd.grad((q1.exp() * f).sum(), logits)
        return gradient.flatten(1)
    layer = model.encoders[1].layers[0]
    between = layer.weight.detach().clone().requires_grad_()
    shift = layer.bias.detach().clone().requires_grad_()
    upper = ((2 * one - 1) @ between + shift).unsqueeze(2)  # [replica, state of b_1, 1, latent]
    q2 = log_prob(upper, two)  # [replica, state of b_1, state of b_2]
    down = model.decode(1, two.expand(2, -1, -1)).unsqueeze(1)
    f2 = q2 - log_prob(down, one.unsqueeze(1)) - log_prob(model.prior_logits, two).unsqueeze(1)
    expectation = (q1.exp() * (f1 + (q2.exp() * f2).sum(-1))).sum()
    gradients = torch.autograd.grad(expectation, [logits, shift, between])
    return torch.cat([g.flatten(1) for g in gradients], 1)


@pytest.fixture(scope="module", params=MODELS)
def problem(request):
    """A model in float64 whose every latent matters, an image, and its exact gradients."""
    mean = torch.full((PIXELS,), 0.4, dtype=torch.float64)
    model = DiscreteVAE(request.param, mean, LATENTS, parameter_generators(SEEDS))
    with torch.no_grad():
        for decoder in model.decoders:
            decoder.layers[-1].weight *= 2.5
        reach = 3.0 / len(model.encoders)
        model.prior_logits += torch.tensor([-reach, reach])
        if len(model.encoders) == 2:
            model.encoders[1].layers[0].bias += torch.tensor([0.4, -0.6])
    x = torch.tensor([1.0, 0, 1, 1], dtype=torch.float64).expand(2, 1, PIXELS)
    return model, x, exact_gradients(model, x)


def z_scores(model, x, exact, name, kind, chunks=CHUNKS, enough=None, **changed):
    """z-scores [replica, coordinate] of the estimator's mean, the mean, and its standard error."""
    estimator = load_estimator(name)
    layers = len(model.encoders)
    surrogates = []
    for layer in range(layers):
        context = PIXELS + layer * LATENTS
        spec = {"hidden": (8,), "squash": False, "add_relaxed_cost": True, "temperature": 0.4}
        spec = SurrogateSpec(latents=LATENTS, context=context, **spec | changed)
        surrogates.append(estimator.surrogate(spec, parameter_generators(SEEDS)))
        surrogates[-1].observe(torch.full((2, 3), 2.5, dtype=torch.float64))
    stream = NoiseStream(SEEDS, "noise", CHUNK, layers * LATENTS, kind, torch.float64, block=1)
    wide = x.expand(-1, CHUNK, -1)
    total, squares = torch.zeros_like(exact), torch.zeros_like(exact)
    with torch.no_grad():
        for chunk in range(chunks):
            estimate = encoder_estimate(estimator, surrogates, model, wide, stream(chunk))
            parts = [layer.gradient for layer in estimate.layers]
            if layers == 2:
                below = 2 * estimate.layers[0].sample - 1
                parts.append((below.unsqueeze(-1) * parts[1].unsqueeze(-2)).flatten(2))
            each = torch.cat(parts, -1)
            total += each.sum(1)
            squares += each.square().sum(1)
            n = (chunk + 1) * CHUNK
            mean = total / n
            error = ((squares / n - mean.square()) / n).sqrt()
            if enough and enough(error):
                break
    return (mean - exact) / error, mean, error


def passes(z):
    return bool((z.abs() < THRESHOLD).all())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", UNBIASED)
def test_encoder_gradient_is_unbiased(problem, name, kind):
    model, x, exact = problem
    enough = partial(has_power, exact, threshold=THRESHOLD)
    z, mean, error = z_scores(model, x, exact, name, kind, enough=enough)
    assert passes(z), f"z-scores {z.tolist()} exceed {THRESHOLD:.2f}"
    # Power: had the estimator been 2% too large, this very run would have rejected it.
    assert not passes((1.02 * mean - exact) / error)


def test_negative_control_concrete_at_a_high_temperature(problem):
    z, _, _ = z_scores(*problem, "concrete", "coupled", chunks=4, temperature=5.0)
    assert not passes(z)


@pytest.mark.parametrize("problem", ["linear2"], indirect=True)
def test_negative_control_a_surrogate_that_jumps(problem, monkeypatch):
    """The upper layer drawn hard from a relaxed value: c has steps in z, which ∂c does not see."""

    class Jumping(LayerCost):
        def relaxed(self, value, inverse, tangent=None):
            if not self.noise:  # the upper layer itself
                return super().relaxed(value, inverse, tangent)
            return Relaxed(*differentiate(self, value))  # as at a hard value

    monkeypatch.setattr(gradients, "LayerCost", Jumping)
    z, _, _ = z_scores(*problem, "rebar", "coupled")
    assert not passes(z[:, :LATENTS])


def test_layers_of_linear2_are_told_apart(problem):
    """The truth itself: no coordinate is near zero, or a wrong factor would pass unseen."""
    _, _, exact = problem
    assert (exact.abs() > 1e-3).all(), exact
