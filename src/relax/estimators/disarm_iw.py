"""DisARM on the multi-sample bound (DisARM-IW; Dong et al., 2020): a local antithetic estimator.

    g = -Σ_k ½ [L̂ - L̂(b_k -> b'_k)] (b_k - b'_k) σ(|α|),      b_k from u_k, b'_k from 1 - u_k

Given the other samples L̂ is a function of b_k alone, and DisARM estimates its gradient; the sum
over k is the whole one, since all samples have the same logits. 2K evaluations of f.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from relax.estimators.bound import bound_cost, weights
from relax.estimators.formula import Estimate, Estimator
from relax.estimators.samples import by_sample, hard_samples, only, sample_count
from relax.estimators.vimco import replaced
from relax.relaxations.bernoulli import BERNOULLI

if TYPE_CHECKING:
    from torch import Tensor

    from relax.numerics.signatures import Cost
    from relax.numerics.streams import Noise
    from relax.relaxations.relaxation import Relaxation
    from relax.surrogates.base import Surrogate


def local_antithetic_estimate(
    surrogate: Surrogate,
    cost: Cost,
    logits: Tensor,
    noise: Noise,
    context: Tensor | None = None,
    relaxation: Relaxation = BERNOULLI,
) -> Estimate:
    """The estimate above; arguments as in `formula.control_variate_estimate`, K rows an image."""
    only(("bernoulli",), relaxation, "disarm_iw")
    sample_count(noise, logits, "disarm_iw")
    batch, logits = logits.shape[1], logits.detach()
    (b, _), (other, _) = (hard_samples(relaxation, logits, u) for u in (noise.u, 1 - noise.u))
    rows = cost(b)
    with torch.no_grad():  # the bound is of the K samples b; the others are there for the contrast
        in_their_place = by_sample(cost(other), batch)
    f = by_sample(rows, batch)
    whole = bound_cost(f)
    gap = whole.detach().unsqueeze(1) - replaced(f.detach(), in_their_place)
    gradient = (gap.unsqueeze(-1) * by_sample(b - other, batch)).sum(1) / 2
    gradient = gradient * torch.sigmoid(logits.abs())
    return Estimate(b, whole, gradient, weights=weights(rows, batch))


ESTIMATOR = Estimator(estimate=local_antithetic_estimate, samples=lambda spec: spec.samples)
