"""Double control variates (Titsias & Shi, 2022): RLOO of f + c, with c linear by f's gradient.

    c_k = a (b_k - θ)·mean_{j≠k} ∇f(b_j)
    g = mean_k [F_k + c_k - mean_{j≠k}(F_j + c_j)] ∂ log p(b_k) - a mean_k ∇f(b_k)·∂θ

where ∇f(b)·∂θ is ∇f θ(1 - θ) for Bernoulli latents. a is learned by descending the variance; it
starts at 0, which is RLOO, and with this sign useful values are negative.

**Unbiased for every a.** The slope in c_k knows nothing of b_k, so the mean of c_k ∂ log p(b_k) is
a E[∇f]·∂θ: the last term takes it away. And for j ≠ k the mean of c_j ∂ log p(b_k) is zero: given
b_k and the slope, b_j - θ has the mean zero. It holds for any function in the place of ∇f, which
is used at hard b alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from relax.estimators.formula import Estimate, Estimator
from relax.estimators.rloo import contrast
from relax.estimators.samples import (
    by_sample,
    hard_samples,
    others_mean,
    sample_count,
    value_and_gradient,
)
from relax.relaxations.bernoulli import BERNOULLI
from relax.surrogates.base import Surrogate

if TYPE_CHECKING:
    from torch import Tensor

    from relax.numerics.signatures import Cost, Generators
    from relax.numerics.streams import Noise
    from relax.relaxations.relaxation import Relaxation
    from relax.surrogates.base import SurrogateSpec


class Slope(Surrogate):
    """The scalar a, one a replica."""

    def __init__(self, spec: SurrogateSpec, generators: Generators) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.zeros(len(generators), 1, 1, dtype=spec.dtype))


def doubly_controlled_estimate(
    surrogate: Slope,
    cost: Cost,
    logits: Tensor,
    noise: Noise,
    context: Tensor | None = None,
    relaxation: Relaxation = BERNOULLI,
) -> Estimate:
    """The estimate above; arguments as in `formula.control_variate_estimate`, K rows an image."""
    sample_count(noise, logits, "double_cv", least=2)
    logits, batch = logits.detach(), logits.shape[1]
    b, score = hard_samples(relaxation, logits, noise.u)
    f, slope = value_and_gradient(cost, b)
    slope, mean = by_sample(slope, batch), relaxation.mean(logits).unsqueeze(1)
    c = ((by_sample(b, batch) - mean) * others_mean(slope)).sum(-1)
    in_a = contrast(c, score) - relaxation.pull_back_mean(mean, slope).mean(1)
    gradient = torch.addcmul(contrast(by_sample(f.detach(), batch), score), surrogate.a, in_a)
    return Estimate(b, f, gradient)


ESTIMATOR = Estimator(
    estimate=doubly_controlled_estimate, surrogate=Slope, samples=lambda spec: spec.samples
)
