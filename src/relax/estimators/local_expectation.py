"""Local expectation gradients (Titsias & Lázaro-Gredilla, 2015).

    g_i = θ_i (1 - θ_i) [f(b, b_i = 1) - f(b, b_i = 0)]

Each latent's own sum is exact, given a sample of the others: the mean of REINFORCE over b_i, hence
never of more variance. It takes D + 1 evaluations of f: a reference of low variance where
enumeration cannot go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from relax.estimators.formula import Estimate, Estimator
from relax.estimators.samples import by_sample, only
from relax.relaxations.bernoulli import BERNOULLI

if TYPE_CHECKING:
    from torch import Tensor

    from relax.numerics.signatures import Cost
    from relax.numerics.streams import Noise
    from relax.relaxations.relaxation import Relaxation
    from relax.surrogates.base import Surrogate


def all_flips_estimate(
    surrogate: Surrogate,
    cost: Cost,
    logits: Tensor,
    noise: Noise,
    context: Tensor | None = None,
    relaxation: Relaxation = BERNOULLI,
) -> Estimate:
    """The estimate above; arguments as in `formula.control_variate_estimate`."""
    only(("bernoulli",), relaxation, "local_expectation")
    logits = logits.detach()
    b = relaxation.hard_sample(logits, noise.u)
    f = cost(b)
    eye = torch.eye(b.shape[-1], dtype=b.dtype, device=b.device).view(1, -1, 1, b.shape[-1])
    flipped = (b.unsqueeze(1) - eye).abs().flatten(1, 2)
    with torch.no_grad():  # they are no samples: a model does not learn from them
        change = by_sample(cost(flipped), b.shape[1]).movedim(1, -1) - f.unsqueeze(-1)
    return Estimate(b, f, flip_gradient(relaxation, logits, b, change))


def flip_gradient(relaxation: Relaxation, logits: Tensor, b: Tensor, change: Tensor) -> Tensor:
    """θ (1 - θ) [f(b_i = 1) - f(b_i = 0)] from the changes of f when a bit is flipped."""
    return relaxation.pull_back_mean(relaxation.mean(logits), change * (1 - 2 * b))


ESTIMATOR = Estimator(estimate=all_flips_estimate)
