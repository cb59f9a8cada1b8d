"""RLOO, leave-one-out (Kool et al., 2019; LOORF, VarGrad): each sample is the others' baseline.

    g = 1/(K-1) Σ_k (F_k - mean F) ∂ log p(b_k),      F_k = f(b_k), K ≥ 2 independent samples

It is the mean over k of [F_k - mean_{j≠k} F_j] ∂ log p(b_k), and the baseline of sample k knows
nothing of b_k, so that its product with the score has the mean zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relax.estimators.formula import Estimate, Estimator
from relax.estimators.samples import by_sample, hard_samples, sample_count
from relax.relaxations.bernoulli import BERNOULLI

if TYPE_CHECKING:
    from torch import Tensor

    from relax.numerics.signatures import Cost
    from relax.numerics.streams import Noise
    from relax.relaxations.relaxation import Relaxation
    from relax.surrogates.base import Surrogate


def leave_one_out_estimate(
    surrogate: Surrogate,
    cost: Cost,
    logits: Tensor,
    noise: Noise,
    context: Tensor | None = None,
    relaxation: Relaxation = BERNOULLI,
) -> Estimate:
    """The estimate above; arguments as in `formula.control_variate_estimate`, K rows an image."""
    sample_count(noise, logits, "rloo", least=2)
    b, score = hard_samples(relaxation, logits.detach(), noise.u)
    f = cost(b)
    return Estimate(b, f, contrast(by_sample(f.detach(), logits.shape[1]), score))


def contrast(f: Tensor, score: Tensor) -> Tensor:
    """1/(K-1) Σ_k (F_k - mean F) s_k: [..., K, batch], [..., K, batch, latent] -> without K."""
    centred = (f - f.mean(-2, keepdim=True)) / (f.shape[-2] - 1)
    if f.shape[-1] == 1:  # a batch of one: the sum over samples is a product of matrices
        return centred.mT @ score.squeeze(-2)
    return (centred.unsqueeze(-1) * score).sum(-3)


ESTIMATOR = Estimator(estimate=leave_one_out_estimate, samples=lambda spec: spec.samples)
