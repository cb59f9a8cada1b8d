"""Every estimator's mean for several categorical variables, against enumeration of them all.

One false-alarm rate for the file, shared out over every coordinate tested (Bonferroni); the seed is
fixed. Controls: a 2% scaling of each unbiased estimator; a quarter of the gradient, which four
variables taken for a batch of four give; Concrete at a high temperature; and the coupled weight
with the maximum taken over the outcomes of all variables.
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

from relax import Categorical, SurrogateSpec, enumerate_gradient, uniform_noise
from relax.estimators.registry import REGISTRY, estimator_names

VARIABLES, OUTCOMES, CHUNKS = 2, 3, 4
UNBIASED = [
    name
    for name in estimator_names(kind="categorical", samples=1)
    if REGISTRY[name].unbiased and name != "exact"
]
LATENTS = VARIABLES * OUTCOMES
COORDINATES = len(UNBIASED) * len(KINDS) * len(SEEDS) * LATENTS
THRESHOLD = stats.norm.isf(FALSE_ALARM_RATE / 2 / COORDINATES)
MANY = Categorical(variables=VARIABLES)
SPEC = SurrogateSpec(
    latents=LATENTS,
    hidden=(8,),
    squash=False,
    temperature=0.4,
    add_relaxed_cost=True,
    relaxation=MANY,
)
LOGITS = 2 * (uniform_noise(SEEDS, "split", 0, (1, LATENTS)) - 0.5)


def cost(b):
    """The variables meet in a product; not linear on the simplices."""
    w = torch.linspace(-1, 1, LATENTS, dtype=b.dtype)
    first, second = (b * w).unflatten(-1, (VARIABLES, OUTCOMES)).sum(-1).unbind(-1)
    return 4 * first - 3 * first * second + 2 * (b * b * w.square()).sum(-1) - 1


@pytest.fixture(scope="module")
def exact():
    return enumerate_gradient(cost, LOGITS, MANY).squeeze(1)


def sampling(**changed):
    return {"threshold": THRESHOLD, "chunks": CHUNKS, "latents": LATENTS} | changed


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", UNBIASED)
def test_mean_is_the_exact_gradient(exact, name, kind):
    check(of_registry(name, cost, LOGITS, SPEC), exact, kind, **sampling())


@pytest.mark.parametrize("kind", KINDS)
def test_negative_control_a_quarter_of_the_gradient(exact, kind):
    whole = of_registry("relax", cost, LOGITS, SPEC)
    z, _, _ = accumulate(lambda noise: whole(noise) / 4, exact, kind, chunks=1, latents=LATENTS)
    assert not passes(z, THRESHOLD)


class MaximumOverAll(Categorical):
    """Biased: the coupled weight of one variable knows of the others' z."""

    def coupled_derivative(self, z, score):
        return -torch.expm1(z - z.amax(-1, keepdim=True))


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("concrete", {"temperature": 5.0}),
        ("relax", {"relaxation": MaximumOverAll(variables=VARIABLES)}),
    ],
)
def test_negative_control(exact, name, changed):
    estimate = of_registry(name, cost, LOGITS, replace(SPEC, **changed))
    z, _, _ = accumulate(estimate, exact, "coupled", chunks=CHUNKS, latents=LATENTS)
    assert not passes(z, THRESHOLD)
