"""ARMS (Dimitriev & Zhou, 2021): K Bernoulli samples that keep out of each other's way.

For each latent e_k = -log u_k are exponential, d = e / Σe is uniform on the simplex, and
P(d_k > a) = (1 - a)^{K-1}, so that (1 - d_k)^{K-1} is uniform. Let m = min(θ, 1 - θ) be the
probability of the rarer value; sample k has it where (1 - d_k)^{K-1} < m. Since the d_k add up to
one, P(d_j > a, d_k > a) = (1 - 2a)₊^{K-1}, and two samples have it both with the probability

    ρ = (2 m^{1/(K-1)} - 1)₊^{K-1}  ≤  m²,

    g = 1/(K-1) Σ_k (F_k - mean F) b_k · θ(1 - θ) / (m - ρ).

**Unbiased.** The sum is the mean over pairs (j, k) of ½ (F_j - F_k)(b_j - b_k). In latent i the two
differ with probability 2 (m - ρ). Given b_j = 1 and b_k = 0 there, the mean of F_j - F_k is that of
f(b_i = 1) - f(b_i = 0): the other latents are drawn apart from this one, and in each sample by
their own law. So the sum has the mean (m - ρ) E[f(b_i = 1) - f(b_i = 0)], and the gradient in the
logit is θ(1 - θ) times that difference.

The factor is computed as σ(|α|) / (1 - (2 - m^{-1/(K-1)})₊^{K-1}), in which nothing can be 0/0.

**K = 2 is DisARM** (Dong et al., 2020; U2G, Yin et al., 2020): ρ = 0, the two uniforms are u and
1 - u, and g = ½ [f(b) - f(b')] (b - b') σ(|α|). It is ARM's mean given the pair (b, b'): hence its
variance is never more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import logsigmoid

from relax.estimators.formula import Estimate, Estimator
from relax.estimators.rloo import contrast
from relax.estimators.samples import by_sample, only, sample_count
from relax.relaxations.bernoulli import BERNOULLI

if TYPE_CHECKING:
    from torch import Tensor

    from relax.numerics.signatures import Cost, Pair
    from relax.numerics.streams import Noise
    from relax.relaxations.relaxation import Relaxation
    from relax.surrogates.base import Surrogate


def antithetic_samples(logits: Tensor, u: Tensor) -> Pair:
    """b, like u, and the factor of (F_k - mean F) b_k, like the logits.

    Args:
        logits: [..., batch, latent].
        u: uniform noise, [..., K, batch, latent].
    """
    others = u.shape[-3] - 1
    e = torch.log(u)
    # Not 0, to which it may round: even the value that is all but impossible would be drawn.
    rest = (1 - e / e.sum(-3, keepdim=True)).clamp_(min=torch.finfo(e.dtype).eps / 4)
    log_m = logsigmoid(-logits.abs())
    rare = torch.sign(torch.exp(log_m / others).unsqueeze(-3) - rest).clamp_(min=0)
    b = torch.where(logits.unsqueeze(-3) < 0, rare, 1 - rare)
    both = (2 - torch.exp(-log_m / others)).clamp_(min=0).pow(others)
    return b, torch.sigmoid(logits.abs()) / (1 - both)


def coupled_estimate(
    surrogate: Surrogate,
    cost: Cost,
    logits: Tensor,
    noise: Noise,
    context: Tensor | None = None,
    relaxation: Relaxation = BERNOULLI,
    who: str = "arms",
    group: int | None = None,
) -> Estimate:
    """The estimate above; arguments as in `formula.control_variate_estimate`.

    Args:
        group: how many samples are coupled, by default all of them. Several groups are independent
            of each other, and the estimate is the mean of theirs.
    """
    only(("bernoulli",), relaxation, who)
    samples = sample_count(noise, logits, who, least=2, step=group or 1)
    logits, batch = logits.detach().unsqueeze(1), logits.shape[1]
    u = by_sample(noise.u, batch).unflatten(1, (-1, group or samples))
    b, factor = antithetic_samples(logits, u)
    rows = b.flatten(1, 3)
    f = cost(rows)
    gradient = contrast(by_sample(f.detach(), batch).view(u.shape[:-1]), b) * factor
    return Estimate(rows, f, gradient.mean(1))


ESTIMATOR = Estimator(estimate=coupled_estimate, samples=lambda spec: spec.samples)
