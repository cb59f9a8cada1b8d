"""Every estimator's mean against enumeration, by z-scores, with the power to see a 2% bias.

One false-alarm rate for the whole file, shared out over every coordinate tested (Bonferroni). The
seed is fixed, so a pass is a pass for ever. Controls: the same test must reject a 2% scaling of
each unbiased estimator, Concrete at a high temperature, and the draft's equation (9) as printed.
"""

import pytest
import torch
from scipy import stats

from relax.estimators.registry import REGISTRY, estimator_names, load_estimator
from relax.exact.enumeration import enumerate_gradient
from relax.experiments.theory.printed import printed_equation_9
from relax.numerics.replicas import parameter_generators
from relax.numerics.streams import NoiseStream
from relax.surrogates.base import SurrogateSpec
from relax.surrogates.relaxed_cost import RelaxedCost

FALSE_ALARM_RATE = 1e-3
LATENTS, SAMPLES, CHUNK = 3, 1_500_000, 50_000
SEEDS = [11, 12]  # two replicas: two sets of logits, two surrogates
# "exact" is the truth that the others are held against; tests/unit/test_exact.py tests it.
# Those of several samples have a file of their own.
UNBIASED = [n for n in estimator_names(samples=1) if REGISTRY[n].unbiased and n != "exact"]
KINDS = ("independent", "coupled")
# Coordinates tested against the truth: every unbiased estimator and noise.
COORDINATES = len(UNBIASED) * len(KINDS) * len(SEEDS) * LATENTS
THRESHOLD = stats.norm.isf(FALSE_ALARM_RATE / 2 / COORDINATES)

LOGITS = torch.tensor([[0.3, -0.5, 0.1], [-0.9, 0.2, 0.6]], dtype=torch.float64).unsqueeze(1)
SPEC = SurrogateSpec(latents=LATENTS, hidden=(8,), temperature=0.4, add_relaxed_cost=True)


def cost(b):
    """Does not separate; its exact gradient is far from zero in every coordinate."""
    return b[..., 0] - 1.2 * b[..., 1] + b[..., 2] * (0.8 + 0.7 * b[..., 0] * b[..., 1]) - 0.4


def has_power(exact, error, threshold, bias=0.02):
    """Whether so large a bias would be seen: in half of each replica's coordinates at least.

    It stands out half as far again as the threshold: by chance 1 run in 50 would miss it in one
    coordinate. This asks for the standard error alone, not for the mean: a run that draws until
    then keeps its false-alarm rate.

    Args:
        exact, error: [replica, coordinate].
    """
    seen = bias * exact.abs() > 1.5 * threshold * error
    return bool((2 * seen.sum(1) >= exact.shape[1]).all())


def accumulate(
    estimate, exact, kind, chunks=SAMPLES // CHUNK, latents=LATENTS, samples=1, enough=None
):
    """z-scores [replica, latent] of the mean of `estimate(noise)`, the mean, its standard error.

    Args:
        chunks: draws are added until so many are used up.
        enough: or until this says so of the standard error.
    """
    rows = samples * CHUNK
    stream = NoiseStream(SEEDS, "noise", rows, latents, kind, torch.float64, block=1)
    total, squares = torch.zeros_like(exact), torch.zeros_like(exact)
    with torch.no_grad():
        for chunk in range(chunks):
            gradient = estimate(stream(chunk))
            total += gradient.sum(1)
            squares += gradient.square().sum(1)
            n = (chunk + 1) * CHUNK
            mean = total / n
            error = ((squares / n - mean.square()) / n).sqrt()
            if enough and enough(error):
                break
    return (mean - exact) / error, mean, error


def passes(z, threshold=THRESHOLD):
    return bool((z.abs() < threshold).all())


def check(estimate, exact, kind, threshold=THRESHOLD, **sampling):
    sampling["enough"] = lambda error: has_power(exact, error, threshold)
    z, mean, error = accumulate(estimate, exact, kind, **sampling)
    assert passes(z, threshold), f"z-scores {z.tolist()} exceed {threshold:.2f}"
    # Power: had the estimator been 2% too large, this very run would have rejected it.
    assert not passes((1.02 * mean - exact) / error, threshold)


def of_registry(name, cost, logits, spec=SPEC):
    estimator = load_estimator(name)
    surrogate = estimator.surrogate(spec, parameter_generators(SEEDS))
    wide = logits.expand(-1, CHUNK, -1)
    return lambda noise: (
        estimator.estimate(surrogate, cost, wide, noise, relaxation=spec.relaxation).gradient
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", UNBIASED)
def test_mean_is_the_exact_gradient(name, kind):
    exact = enumerate_gradient(cost, LOGITS).squeeze(1)
    check(of_registry(name, cost, LOGITS), exact, kind)


def test_negative_control_concrete_at_a_high_temperature():
    exact = enumerate_gradient(cost, LOGITS).squeeze(1)
    surrogate = RelaxedCost(SurrogateSpec(latents=LATENTS, temperature=5.0), 2, learn=False)
    wide = LOGITS.expand(-1, CHUNK, -1)
    estimate = load_estimator("concrete").estimate
    z, _, _ = accumulate(
        lambda noise: estimate(surrogate, cost, wide, noise).gradient, exact, "coupled", chunks=4
    )
    assert not passes(z)


@pytest.mark.parametrize("kind", KINDS)
def test_negative_control_equation_9_as_printed(kind):
    exact = enumerate_gradient(cost, LOGITS).squeeze(1)
    surrogate = RelaxedCost(SPEC, 2)
    wide = LOGITS.expand(-1, CHUNK, -1)
    z, _, _ = accumulate(
        lambda noise: printed_equation_9(surrogate, cost, wide, noise).gradient,
        exact,
        kind,
        chunks=4,
    )
    assert not passes(z)
