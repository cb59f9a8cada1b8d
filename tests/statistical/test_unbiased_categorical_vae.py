"""The encoder's gradient of a VAE with categorical latents, against enumeration.

The truth is the derivative of E[f] summed over all values of b, with f written here a second time
from the library's one-hot distribution. One false-alarm rate for the file, shared out over every
coordinate (Bonferroni); the seed is fixed. Controls: a 3% scaling of each estimator, and Concrete
at a high temperature.
"""

import itertools
from functools import partial

import pytest
import torch
from scipy import stats
from statistical.test_unbiased import has_power
from torch.distributions import Bernoulli, OneHotCategorical

from relax.estimators.registry import REGISTRY, estimator_names, load_estimator
from relax.experiments.vae.gradients import encoder_estimate
from relax.experiments.vae.model import DiscreteVAE
from relax.numerics.replicas import parameter_generators
from relax.numerics.streams import NoiseStream
from relax.relaxations.categorical import Categorical
from relax.surrogates.base import SurrogateSpec

FALSE_ALARM_RATE = 1e-3
RELAXATION, WIDTH, PIXELS, CHUNK, CHUNKS = Categorical(2, 3), 6, 4, 40_000, 8
NAMES = [n for n in estimator_names(WIDTH, kind="categorical") if n != "exact"]
UNBIASED = [(n, "coupled") for n in NAMES if REGISTRY[n].unbiased]
UNBIASED += [(n, "independent") for n in ("rebar", "relax")]
THRESHOLD = stats.norm.isf(FALSE_ALARM_RATE / 2 / (len(UNBIASED) * WIDTH))


@pytest.fixture(scope="module")
def problem():
    """A model in float64 whose every latent matters, an image, and its exact gradient."""
    mean = torch.full((PIXELS,), 0.4, dtype=torch.float64)
    model = DiscreteVAE("linear1", mean, WIDTH, parameter_generators([3]), RELAXATION)
    with torch.no_grad():
        model.decoders[0].layers[-1].weight *= 2.5
        model.prior_logits += torch.tensor([-1.0, 0.5, 1.0, 0.8, -0.6, 0.0])
    x = torch.tensor([1.0, 0, 1, 1], dtype=torch.float64).expand(1, 1, PIXELS)
    with torch.no_grad():
        logits = model.encode(0, x)
    logits.requires_grad_()
    q, prior = (OneHotCategorical(logits=a.unflatten(-1, (2, 3)))
                for a in (logits, model.prior_logits.detach()))  # fmt: skip
    total, one_hot = 0.0, torch.eye(3).double()
    for first, second in itertools.product(range(3), repeat=2):
        b = torch.stack([one_hot[first], one_hot[second]]).expand(1, 1, 2, 3)
        log_q = q.log_prob(b).sum(-1)
        with torch.no_grad():
            log_p = Bernoulli(logits=model.decode(0, b.flatten(-2))).log_prob(x).sum(-1)
        total = total + (log_q.exp() * (log_q - prior.log_prob(b).sum(-1) - log_p)).sum()
    (exact,) = torch.autograd.grad(total, logits)
    assert (exact.abs() > 1e-2).all(), exact
    return model, x, exact.flatten(1)


def z_scores(model, x, exact, name, kind, enough=None, **changed):
    """z-scores of the estimator's mean, the mean, and its standard error: [replica, logit]."""
    estimator = load_estimator(name)
    spec = {"hidden": (8,), "squash": False, "add_relaxed_cost": True, "temperature": 0.4}
    spec = SurrogateSpec(latents=WIDTH, context=PIXELS, relaxation=RELAXATION, **spec | changed)
    surrogates = [estimator.surrogate(spec, parameter_generators([3]))]
    rows = CHUNK * estimator.samples(spec)
    stream = NoiseStream([3], "noise", rows, WIDTH, kind, torch.float64, block=1)
    total, squares = torch.zeros_like(exact), torch.zeros_like(exact)
    with torch.no_grad():
        for chunk in range(CHUNKS):
            wide = x.expand(-1, CHUNK, -1)
            each = encoder_estimate(estimator, surrogates, model, wide, stream(chunk))
            total += each.layers[0].gradient.sum(1)
            squares += each.layers[0].gradient.square().sum(1)
            n = (chunk + 1) * CHUNK
            mean = total / n
            error = ((squares / n - mean.square()) / n).sqrt()
            if enough and enough(error):
                break
    return (mean - exact) / error, mean, error


@pytest.mark.parametrize(("name", "kind"), UNBIASED)
def test_encoder_gradient_is_unbiased(problem, name, kind):
    enough = partial(has_power, problem[2], threshold=THRESHOLD, bias=0.03)
    z, mean, error = z_scores(*problem, name, kind, enough=enough)
    assert (z.abs() < THRESHOLD).all(), f"z-scores {z.tolist()} exceed {THRESHOLD:.2f}"
    # Power: had the estimator been 3% too large, this very run would have rejected it.
    assert ((1.03 * mean - problem[2]) / error).abs().max() > THRESHOLD


def test_negative_control_concrete_at_a_high_temperature(problem):
    z, _, _ = z_scores(*problem, "concrete", "coupled", temperature=5.0)
    assert z.abs().max() > THRESHOLD
