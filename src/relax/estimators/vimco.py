"""VIMCO (Mnih & Rezende, 2016): leave-one-out for the multi-sample bound.

    g = -Σ_k (L̂ - L̂_{-k}) ∂ log p(b_k),      L̂ = log mean_k w_k,   log w_k = -f(b_k)

of the cost -L̂ (`bound.py`). In L̂_{-k} the log w_k is replaced by the mean of the others', which
knows nothing of b_k; so it is a baseline, and the mean is that of REINFORCE on the bound.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from relax.estimators.bound import bound_cost, weights
from relax.estimators.formula import Estimate, Estimator
from relax.estimators.samples import by_sample, hard_samples, others_mean, sample_count
from relax.relaxations.bernoulli import BERNOULLI

if TYPE_CHECKING:
    from torch import Tensor

    from relax.numerics.signatures import Cost
    from relax.numerics.streams import Noise
    from relax.relaxations.relaxation import Relaxation
    from relax.surrogates.base import Surrogate


def vimco_estimate(
    surrogate: Surrogate,
    cost: Cost,
    logits: Tensor,
    noise: Noise,
    context: Tensor | None = None,
    relaxation: Relaxation = BERNOULLI,
) -> Estimate:
    """The estimate above; arguments as in `formula.control_variate_estimate`, K rows an image.

    Its `cost` is -L̂, [replica, batch].
    """
    sample_count(noise, logits, "vimco", least=2)
    batch = logits.shape[1]
    b, score = hard_samples(relaxation, logits.detach(), noise.u)
    rows = cost(b)
    f = by_sample(rows, batch)
    whole = bound_cost(f)
    signal = whole.detach().unsqueeze(1) - replaced(f.detach(), others_mean(f.detach()))
    gradient = (signal.unsqueeze(-1) * score).sum(1)
    return Estimate(b, whole, gradient, weights=weights(rows, batch))


def replaced(f: Tensor, other: Tensor) -> Tensor:
    """-L̂ with f(b_k) replaced by `other`_k, for each k: [replica, K, batch]."""
    samples = f.shape[1]
    own = torch.eye(samples, dtype=torch.bool, device=f.device).view(samples, samples, 1)
    each = torch.where(own, other.unsqueeze(2), f.unsqueeze(1))
    return math.log(samples) - torch.logsumexp(-each, 2)


ESTIMATOR = Estimator(estimate=vimco_estimate, samples=lambda spec: spec.samples)
