"""Every estimator through `relax.Expectation`, against enumeration, for every kind of latents.

What is tested is what a plain loop gets: the gradient that a backward pass leaves in the logits.
One false-alarm rate for the file, shared out over every coordinate (Bonferroni); the seed is fixed.
Controls: a 2% scaling of each unbiased estimator (so the test has the power to see it), Concrete at
a high temperature, and a cost that reports another b than the one that was drawn.
"""

import math

import pytest
import torch
from scipy import stats

import relax
from relax.estimators.registry import REGISTRY, misfit
from relax.exact.enumeration import enumerate_gradient
from relax.frontdoor.latents import Latents

FALSE_ALARM_RATE = 1e-3
ROWS = 10_000
# Rows are added until the power suffices, or so many are used up.
MOST = 150 * ROWS
float64 = {"dtype": torch.float64}


def of_bits(b):
    """Three Bernoullis; does not separate."""
    return 2 * b[..., 0] - 1.5 * b[..., 1] + b[..., 2] * (1.2 + 0.7 * b[..., 0] * b[..., 1]) - 1


def of_choices(b):
    """Choices among four, two of them or one; not linear."""
    w = torch.linspace(-1, 1, 4, **float64)
    score = (b * w).sum(-1) + (b * b * w.square()).sum(-1)
    return 2 * (score[..., 0] - 1.5 * score[..., 1] + score[..., 0] * score[..., 1])


def of_a_choice(b):
    w = torch.tensor([-1.0, 0.2, 0.4, 2.0], **float64)
    return (b * w).sum(-1) + 0.3 * (b * b * w.square()).sum(-1)


def of_normals(b):
    """Two Gaussians; E[f] and its gradient are known."""
    return 2 * b[..., 0] - b[..., 1] + b[..., 0] * b[..., 1] + b.square().sum(-1)


CASES = {
    "bernoulli": (3, "bernoulli", [0.3, -0.5, 0.1], of_bits),
    "one choice": (4, "categorical", [0.2, -0.1, 0.3, 0.0], of_a_choice),
    "two choices": ((2, 4), "categorical", [[0.2, -0.1, 0.3, 0], [0, 0.1, -0.3, 0.2]], of_choices),
    "gaussian": (2, "gaussian", [0.4, -0.3, -0.5, -0.2], of_normals),
}


def runs(name, kind, latents):
    """Whether an estimator is to have the right mean there."""
    count = latents if isinstance(latents, int) else math.prod(latents)
    entry = REGISTRY[name]
    return (
        misfit(name, count, kind) is None
        and entry.unbiased
        and entry.sections != ("bound",)
        and name != "exact"  # the truth itself; tested below
    )


TESTED = [
    (name, case)
    for case, (latents, kind, _, _) in CASES.items()
    for name in REGISTRY
    if runs(name, kind, latents)
]
COORDINATES = sum(torch.tensor(CASES[case][2]).numel() for _, case in TESTED)
THRESHOLD = stats.norm.isf(FALSE_ALARM_RATE / 2 / COORDINATES)


def truth(case):
    """The exact gradient: by enumeration, or by hand for the Gaussians."""
    latents, kind, logits, f = CASES[case]
    logits = torch.tensor(logits, **float64)
    if kind == "gaussian":
        # E[f] = 2 m0 - m1 + m0 m1 + Σ (m² + s²)
        (m0, m1), s = logits[:2].tolist(), logits[2:].exp()
        means = torch.tensor([2 + m1 + 2 * m0, -1 + m0 + 2 * m1], **float64)
        return torch.cat([means, 2 * s.square()])
    known = Latents(latents, kind)

    def flat(b):
        return f(b.reshape(*b.shape[:2], *known.shape))

    gradient = enumerate_gradient(flat, logits.reshape(1, 1, -1), known.relaxation)
    return gradient.reshape(logits.shape)


def passes(z):
    return bool((z.abs() < THRESHOLD).all())


def backward(E, f, logits):
    """The gradients that one backward pass leaves in so many rows of logits."""
    wide = logits.expand(ROWS, *logits.shape).clone().requires_grad_()
    E(f, wide).sum().backward()
    return wide.grad.flatten(1)


def mean_and_error(E, f, logits, enough):
    """Mean and standard error, once they are `enough`, or the most rows are used up."""
    total = squares = 0.0
    for n in range(ROWS, MOST + 1, ROWS):
        gradient = backward(E, f, logits)
        total, squares = total + gradient.sum(0), squares + gradient.square().sum(0)
        mean = total / n
        error = ((squares / n - mean.square()) / n).sqrt()
        if enough(mean, error):
            break
    return mean, error


def check(name, case, noise="coupled"):
    """The mean is right, and one that is 2% too large would be seen."""
    latents, kind, logits, f = CASES[case]
    torch.manual_seed(1)
    settings = {"hidden": (8,), "temperature": 0.4, "noise": noise}
    settings["add_relaxed_cost"] = kind != "gaussian"
    E = relax.Expectation(name, latents=latents, kind=kind, **settings, **float64)
    exact = truth(case).flatten()

    def power(mean, error):
        return 0.02 * exact.abs().max() > 1.5 * THRESHOLD * error[exact.abs().argmax()]

    mean, error = mean_and_error(E, f, torch.tensor(logits, **float64), power)
    assert power(mean, error), "not enough rows for the power that is promised"
    z = (mean - exact) / error
    assert passes(z), f"z-scores {z.tolist()} exceed {THRESHOLD:.2f}"
    assert not passes((1.02 * mean - exact) / error)


@pytest.mark.parametrize(("name", "case"), TESTED)
def test_a_backward_pass_leaves_the_exact_gradient_in_the_mean(name, case):
    check(name, case)


def test_and_with_independent_noise():
    check("relax", "bernoulli", noise="independent")


@pytest.mark.parametrize("case", ["bernoulli", "one choice", "two choices"])
def test_the_exact_one_leaves_it_in_every_row(case):
    latents, kind, logits, f = CASES[case]
    E = relax.Expectation("exact", latents=latents, kind=kind, **float64)
    wide = torch.tensor(logits, **float64).expand(3, *torch.tensor(logits).shape).clone()
    E(f, wide.requires_grad_()).sum().backward()
    torch.testing.assert_close(wide.grad, truth(case).expand_as(wide))


@pytest.mark.parametrize(
    ("name", "settings", "f"),
    [
        ("concrete", {"temperature": 5.0}, of_bits),
        ("reinforce", {}, lambda b: of_bits(1 - b)),
    ],
)
def test_negative_controls(name, settings, f):
    torch.manual_seed(1)
    E = relax.Expectation(name, latents=3, **settings, **float64)
    logits = torch.tensor(CASES["bernoulli"][2], **float64)
    mean, error = mean_and_error(E, f, logits, lambda mean, error: True)
    assert not passes((mean - truth("bernoulli")) / error)
