"""ARM (Yin & Zhou, 2019): augment, REINFORCE, merge; an antithetic pair for Bernoulli latents.

With one uniform u a latent, b = 1[u > 1 - θ] and b' = 1[u < θ] (the same of 1 - u),

    g = [f(b) - f(b')] (u - ½).

**Unbiased.** Of one latent, with the others held fixed, E[f(b) (u - ½)] = f(1) ∫_{1-θ}^1 (u - ½) du
+ f(0) ∫_0^{1-θ} (u - ½) du = ½ θ (1 - θ) [f(1) - f(0)]: half of the gradient in the logit. b' has
1 - u for u, and gives the other half. The other latents are drawn along, independent of u_i. With
more samples it is the mean over independent pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from relax.estimators.formula import Estimate, Estimator
from relax.estimators.samples import by_sample, hard_samples, only, sample_count
from relax.relaxations.bernoulli import BERNOULLI

if TYPE_CHECKING:
    from torch import Tensor

    from relax.numerics.signatures import Cost
    from relax.numerics.streams import Noise
    from relax.relaxations.relaxation import Relaxation
    from relax.surrogates.base import Surrogate


def merged_estimate(
    surrogate: Surrogate,
    cost: Cost,
    logits: Tensor,
    noise: Noise,
    context: Tensor | None = None,
    relaxation: Relaxation = BERNOULLI,
) -> Estimate:
    """The estimate above; arguments as in `formula.control_variate_estimate`.

    The pairs' u are the first half of the noise's rows.
    """
    only(("bernoulli",), relaxation, "arm")
    pairs = sample_count(noise, logits, "arm", least=2, step=2) // 2
    batch = logits.shape[1]
    u = noise.u[:, : pairs * batch]
    b, _ = hard_samples(relaxation, logits.detach(), torch.cat([u, 1 - u], 1))
    f = cost(b)
    first, second = by_sample(f.detach(), batch).chunk(2, 1)
    merged = (first - second).unsqueeze(-1) * (by_sample(u, batch) - 0.5)
    return Estimate(b, f, merged.mean(1))


ESTIMATOR = Estimator(estimate=merged_estimate, samples=lambda spec: spec.samples)
