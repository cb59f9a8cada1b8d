"""Estimators of several samples, and of the multi-sample bound, against enumeration, by z-scores.

One false-alarm rate for the file, shared out over every coordinate tested (Bonferroni); the seed is
fixed, and each test has the power to see a bias of 2%. Controls, which the same test must reject: a
wrong sign (Double CV), a missing factor (ARMS without ρ; the local antithetic estimator without its
half), a term left out (RODEO without what changes in the score; DisARM-Tree where one path alone
meets a node), and a baseline that knows its own sample (VIMCO).
"""

import pytest
import torch
from scipy import stats
from statistical.test_unbiased import (
    CHUNK,
    FALSE_ALARM_RATE,
    LATENTS,
    LOGITS,
    SEEDS,
    accumulate,
    check,
    cost,
    passes,
)

from relax.estimators import arms, disarm_tree, rodeo, vimco
from relax.estimators.bound import Bound, on_bound
from relax.estimators.registry import REGISTRY, estimator_names, load_estimator
from relax.exact.enumeration import enumerate_gradient
from relax.numerics.replicas import parameter_generators
from relax.numerics.streams import Noise, uniform_noise
from relax.relaxations.bernoulli import BERNOULLI
from relax.relaxations.categorical import Categorical
from relax.surrogates.base import SurrogateSpec

CHUNKS = 10
SEVERAL = dict.fromkeys(("rloo", "arms"), (2, 3, 5))
SEVERAL |= dict.fromkeys(("arm", "disarm"), (2, 4)) | {"double_cv": (2, 3), "rodeo": (2, 3)}
CASES = [(name, samples) for name, numbers in SEVERAL.items() for samples in numbers]
CATEGORICALS = {"five": Categorical(), "two by three": Categorical(2)}
WIDTHS = {"five": 5, "two by three": 6}
CHOICES = [
    (name, samples, choice)
    for name, samples in (("rloo", 3), ("disarm_tree", 2), ("disarm_tree", 4), ("double_cv", 2))
    for choice in CATEGORICALS
]
BOUNDS = [
    (name, samples) for name in ("reinforce", "nvil", "vimco", "disarm_iw") for samples in (2, 3)
]
COORDINATES = len(SEEDS) * (
    LATENTS * (len(CASES) + len(BOUNDS)) + sum(WIDTHS[choice] for _, _, choice in CHOICES)
)
THRESHOLD = stats.norm.isf(FALSE_ALARM_RATE / 2 / COORDINATES)


@pytest.fixture(autouse=True)
def small_network(monkeypatch):
    """RODEO's network of a size for many samples; its estimate is unbiased for every network."""
    monkeypatch.setattr(rodeo.Stein, "UNITS", 5)


def gradient_of(estimator, f, logits, samples, relaxation=BERNOULLI):
    """noise -> gradient, with φ away from where it starts: every term of the estimate counts."""
    latents = logits.shape[-1]
    spec = SurrogateSpec(latents=latents, samples=samples, relaxation=relaxation)
    surrogate = estimator.surrogate(spec, parameter_generators(SEEDS))
    with torch.no_grad():
        for name, parameter in surrogate.named_parameters():
            if (not parameter.any() and "layers" not in name) or name.endswith("layers.1.weight"):
                parameter.copy_(torch.linspace(-1, -0.4, parameter.numel()).view_as(parameter))
    wide = logits.expand(-1, CHUNK, -1)
    return lambda noise: (
        estimator.estimate(surrogate, f, wide, noise, relaxation=relaxation).gradient
    )


def test_every_estimator_of_several_samples_is_here():
    here = {*SEVERAL, *(name for name, _, _ in CHOICES), *(name for name, _ in BOUNDS)}
    names = {*estimator_names(section="toy"), *estimator_names(section="bound")}
    assert {name for name in names if REGISTRY[name].samples[1]} <= here


@pytest.mark.parametrize(("name", "samples"), CASES)
def test_mean_is_the_exact_gradient(name, samples):
    exact = enumerate_gradient(cost, LOGITS).squeeze(1)
    estimate = gradient_of(load_estimator(name), cost, LOGITS, samples)
    check(estimate, exact, "coupled", THRESHOLD, samples=samples, chunks=CHUNKS)


def choice_problem(choice):
    """The relaxation, logits, and a cost that is not linear and couples the variables."""
    relaxation, width = CATEGORICALS[choice], WIDTHS[choice]
    weights = torch.linspace(-1, 1, width, dtype=torch.float64)

    def f(b):
        linear = 4 * (b * weights).sum(-1) + 2 * (b * b * weights.square()).sum(-1)
        return linear + b[..., 0] * b[..., -1] - 1

    return relaxation, 2 * (uniform_noise(SEEDS, "split", 0, (1, width)) - 0.5), f


@pytest.mark.parametrize(("name", "samples", "choice"), CHOICES)
def test_mean_is_the_exact_gradient_of_choices(name, samples, choice):
    relaxation, logits, f = choice_problem(choice)
    exact = enumerate_gradient(f, logits, relaxation).squeeze(1)
    estimate = gradient_of(load_estimator(name), f, logits, samples, relaxation)
    sampling = {"samples": samples, "chunks": CHUNKS, "latents": logits.shape[-1]}
    check(estimate, exact, "coupled", THRESHOLD, **sampling)


def bound_gradient(samples):
    """The gradient of E[-L̂], by enumeration of all samples side by side."""
    exact = enumerate_gradient(Bound(cost, samples), LOGITS.repeat(1, 1, samples))
    return exact.squeeze(1).unflatten(-1, (samples, -1)).sum(1)


@pytest.mark.parametrize(("name", "samples"), BOUNDS)
def test_mean_is_the_exact_gradient_of_the_bound(name, samples):
    estimator = load_estimator(name)
    if "toy" in REGISTRY[name].sections:
        estimator = on_bound(estimator)
    estimate = gradient_of(estimator, cost, LOGITS, samples)
    exact = bound_gradient(samples)
    check(estimate, exact, "coupled", THRESHOLD, samples=samples, chunks=2 * CHUNKS)


def test_one_sample_of_the_bound_is_the_plain_cost():
    torch.testing.assert_close(bound_gradient(1), enumerate_gradient(cost, LOGITS).squeeze(1))


def rejected(name, samples, exact, f=cost, logits=LOGITS, relaxation=BERNOULLI):
    estimate = gradient_of(load_estimator(name), f, logits, samples, relaxation)
    sampling = {"samples": samples, "chunks": CHUNKS, "latents": logits.shape[-1]}
    z, _, _ = accumulate(estimate, exact, "coupled", **sampling)
    return not passes(z, THRESHOLD)


def test_negative_control_wrong_sign(monkeypatch):
    class Flipped(type(BERNOULLI)):
        def pull_back_mean(self, mean, slope):
            return -super().pull_back_mean(mean, slope)

    exact = enumerate_gradient(cost, LOGITS).squeeze(1)
    assert rejected("double_cv", 2, exact, relaxation=Flipped())
    assert not rejected("double_cv", 2, exact)


def test_negative_control_missing_factor(monkeypatch):
    """ARMS of three samples with the factor of two, as if no two shared the rarer value."""
    whole = arms.antithetic_samples

    def without(logits, u):
        return whole(logits, u)[0], torch.sigmoid(logits.abs())

    monkeypatch.setattr(arms, "antithetic_samples", without)
    exact = enumerate_gradient(cost, LOGITS).squeeze(1)
    assert rejected("arms", 3, exact)
    assert not rejected("arms", 2, exact)


def test_negative_control_local_antithetic_without_its_half():
    def twice(noise):
        return 2 * estimate(noise)

    estimate = gradient_of(load_estimator("disarm_iw"), cost, LOGITS, 2)
    z, _, _ = accumulate(twice, bound_gradient(2), "coupled", samples=2, chunks=CHUNKS)
    assert not passes(z, THRESHOLD)


def test_negative_control_score_held_fixed_at_a_flip(monkeypatch):
    """RODEO whose operator forgets that the score of the flipped bit changes as well."""
    monkeypatch.setattr(rodeo, "score_change", lambda b: torch.zeros_like(b))
    assert rejected("rodeo", 2, enumerate_gradient(cost, LOGITS).squeeze(1))


def test_negative_control_nodes_of_one_path_alone_left_out(monkeypatch):
    monkeypatch.setattr(disarm_tree, "one_path", lambda met, bit, theta: torch.zeros_like(bit))
    relaxation, logits, f = choice_problem("five")
    exact = enumerate_gradient(f, logits, relaxation).squeeze(1)
    assert rejected("disarm_tree", 2, exact, f, logits, relaxation)


def test_negative_control_a_baseline_that_knows_its_sample(monkeypatch):
    monkeypatch.setattr(vimco, "others_mean", lambda f: f.mean(1, keepdim=True).expand_as(f))
    assert rejected("vimco", 2, bound_gradient(2))


def test_double_cv_and_rodeo_start_as_rloo():
    """With what they learn where it starts."""
    noise = uniform_noise(SEEDS, "noise", 0, (300, LATENTS))
    wide = LOGITS.expand(-1, 100, -1)
    spec = SurrogateSpec(latents=LATENTS, samples=3)

    def gradient(name):
        estimator = load_estimator(name)
        surrogate = estimator.surrogate(spec, parameter_generators(SEEDS))
        return estimator.estimate(surrogate, cost, wide, Noise(noise)).gradient

    for name in ("double_cv", "rodeo"):
        torch.testing.assert_close(gradient(name), gradient("rloo"), rtol=0, atol=1e-14)
