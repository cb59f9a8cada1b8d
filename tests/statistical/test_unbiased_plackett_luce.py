"""RELAX, REBAR and REINFORCE for an ordering and a Bernoulli latent beside it, by z-scores against
enumeration.

One false-alarm rate for the file, shared out over every coordinate tested (Bonferroni); the seed is
fixed. Controls: a 2% scaling of each, and RELAX with a conditional sampler that forgets which items
are left.
"""

import pytest
import torch
from scipy import stats
from statistical.test_unbiased import (
    FALSE_ALARM_RATE,
    KINDS,
    SEEDS,
    accumulate,
    check,
    of_registry,
    passes,
)
from unit.test_plackett_luce import ForgetsThoseLeft

from relax.exact.enumeration import enumerate_gradient
from relax.numerics.streams import uniform_noise
from relax.relaxations.bernoulli import BERNOULLI
from relax.relaxations.joint import Joint
from relax.relaxations.plackett_luce import PLACKETT_LUCE
from relax.surrogates.base import SurrogateSpec

LATENTS, CHUNKS = 4, 8
NAMES = ("reinforce", "rebar", "relax")
COORDINATES = len(NAMES) * len(KINDS) * len(SEEDS) * LATENTS
THRESHOLD = stats.norm.isf(FALSE_ALARM_RATE / 2 / COORDINATES)
LOGITS = 2 * (uniform_noise(SEEDS, "split", 1, (1, LATENTS)) - 0.5)


def cost(b):
    """Does not separate; its exact gradient is far from zero in every coordinate."""
    w = torch.linspace(-1.5, 1.5, LATENTS, dtype=b.dtype)
    return 2 * (b * w).sum(-1) + b[..., 0] * b[..., -1] * 0.7


def problem(ordering):
    """The exact gradient, and what a surrogate is told."""
    relaxation = Joint((ordering, 3), (BERNOULLI, 1))
    # The network sees z itself: soft places would hide a shift of all its coordinates.
    spec = SurrogateSpec(
        latents=LATENTS, hidden=(8,), squash=False, temperature=0.7, relaxation=relaxation
    )
    return enumerate_gradient(cost, LOGITS, relaxation).squeeze(1), spec


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_mean_is_the_exact_gradient(name, kind):
    exact, spec = problem(PLACKETT_LUCE)
    estimate = of_registry(name, cost, LOGITS, spec)
    check(estimate, exact, kind, THRESHOLD, chunks=CHUNKS, latents=LATENTS)


def test_negative_control_a_sampler_that_forgets_those_left():
    exact, spec = problem(ForgetsThoseLeft())
    estimate = of_registry("rebar", cost, LOGITS, spec)
    z, _, _ = accumulate(estimate, exact, "independent", chunks=CHUNKS, latents=LATENTS)
    assert not passes(z, THRESHOLD)
