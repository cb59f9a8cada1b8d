"""Every estimator's mean for one categorical variable, against enumeration over its outcomes.

One false-alarm rate for the file, shared out over every coordinate tested (Bonferroni); the seed is
fixed. Controls: a 2% scaling of each unbiased estimator, Concrete at a high temperature, and RELAX
with a conditional sampler that forgets that z_b is the largest.
"""

from dataclasses import replace

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
from unit.test_categorical import ForgetsTheMaximum

from relax.estimators.registry import REGISTRY, estimator_names
from relax.exact.enumeration import enumerate_gradient
from relax.numerics.streams import uniform_noise
from relax.relaxations.categorical import CATEGORICAL
from relax.surrogates.base import SurrogateSpec

UNBIASED = [
    name
    for name in estimator_names(kind="categorical", samples=1)
    if REGISTRY[name].unbiased and name != "exact"
]
OUTCOMES, CHUNKS = (5, 8), 5
COORDINATES = len(UNBIASED) * len(KINDS) * len(SEEDS) * sum(OUTCOMES)
# RELAX's network sees z itself: softmax(z/λ) would hide a shift of all its coordinates.
SPEC = SurrogateSpec(
    hidden=(8,), squash=False, temperature=0.4, add_relaxed_cost=True, relaxation=CATEGORICAL
)
THRESHOLD = stats.norm.isf(FALSE_ALARM_RATE / 2 / COORDINATES)


def logits(outcomes):
    return 2 * (uniform_noise(SEEDS, "split", 0, (1, outcomes)) - 0.5)


def cost(b):
    """Not linear on the simplex; its exact gradient is far from zero."""
    w = torch.linspace(-1, 1, b.shape[-1], dtype=b.dtype)
    return 4 * (b * w).sum(-1) + 2 * (b * b * w.square()).sum(-1) - 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("outcomes", OUTCOMES)
@pytest.mark.parametrize("name", UNBIASED)
def test_mean_is_the_exact_gradient(name, outcomes, kind):
    alpha = logits(outcomes)
    exact = enumerate_gradient(cost, alpha, CATEGORICAL).squeeze(1)
    estimate = of_registry(name, cost, alpha, replace(SPEC, latents=outcomes))
    check(estimate, exact, kind, THRESHOLD, chunks=CHUNKS, latents=outcomes)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("concrete", {"temperature": 5.0}),
        ("relax", {"relaxation": ForgetsTheMaximum()}),
    ],
)
def test_negative_control(name, changed):
    alpha = logits(5)
    exact = enumerate_gradient(cost, alpha, CATEGORICAL).squeeze(1)
    estimate = of_registry(name, cost, alpha, replace(SPEC, latents=5, **changed))
    z, _, _ = accumulate(estimate, exact, "independent", chunks=CHUNKS, latents=5)
    assert not passes(z, THRESHOLD)
