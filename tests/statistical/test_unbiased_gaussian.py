"""LAX and the other estimators that Gaussian latents allow, against a closed form.

For f(b) = Σ a_i b_i² + h b_0 b_1 + w·b the gradient of E[f] is known: 2 a_i m_i + h m_j + w_i in
the mean m_i, and 2 a_i std_i² in the logarithm of std_i. One false-alarm rate for the file
(Bonferroni); the seed is fixed. Controls: a 2% scaling, and LAX without its last term.
"""

import pytest
import torch
from scipy import stats
from statistical.test_unbiased import (
    FALSE_ALARM_RATE,
    SEEDS,
    accumulate,
    check,
    of_registry,
    passes,
)

from relax.relaxations.gaussian import GAUSSIAN, Gaussian
from relax.surrogates.base import SurrogateSpec

D, CHUNKS = 2, 24
NAMES = ("reinforce", "relax", "nvil", "muprop")  # those without a temperature
THRESHOLD = stats.norm.isf(FALSE_ALARM_RATE / 2 / (len(NAMES) * len(SEEDS) * 2 * D))
SPEC = SurrogateSpec(latents=D, hidden=(8,), squash=False, relaxation=GAUSSIAN)

MEAN = torch.tensor([[0.7, -0.5], [-0.4, 0.9]], dtype=torch.float64).unsqueeze(1)
LOG_STD = torch.tensor([[0.1, -0.3], [-0.2, 0.2]], dtype=torch.float64).unsqueeze(1)
PARAMETERS = torch.cat([MEAN, LOG_STD], -1)
A, H, W = torch.tensor([1.0, 0.6]), 0.5, torch.tensor([0.4, -0.8])


def cost(b):
    return (A * b * b + W * b).sum(-1) + H * b[..., 0] * b[..., 1]


def exact():
    of_mean = 2 * A * MEAN + H * MEAN.flip(-1) + W
    return torch.cat([of_mean, 2 * A * torch.exp(2 * LOG_STD)], -1).squeeze(1)


@pytest.mark.parametrize("name", NAMES)
def test_mean_is_the_closed_form(name):
    """With a random network for c in RELAX, which is LAX here."""
    estimate = of_registry(name, cost, PARAMETERS, SPEC)
    check(estimate, exact(), "coupled", THRESHOLD, chunks=CHUNKS, latents=D)


class WithoutTheLastTerm(Gaussian):
    """[f(b) - c(b)] ∂ log p(b), with ∂c(b) left out."""

    def pull_back(self, logits, z, slope):
        return torch.zeros_like(logits)


def test_negative_control_without_the_last_term():
    spec = SurrogateSpec(latents=D, hidden=(8,), squash=False, relaxation=WithoutTheLastTerm())
    estimate = of_registry("relax", cost, PARAMETERS, spec)
    z, _, _ = accumulate(estimate, exact(), "coupled", chunks=4, latents=D)
    assert not passes(z, THRESHOLD)
