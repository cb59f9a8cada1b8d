"""The random bit flip (Kunes et al., 2022): the local expectation of one latent, at random.

    g_i = D θ_i (1 - θ_i) [f(b, b_i = 1) - f(b, b_i = 0)],   0 elsewhere,   i uniform on D latents

Two evaluations of f. Its mean over i is the local expectation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from relax.estimators.formula import Estimate, Estimator
from relax.estimators.local_expectation import flip_gradient
from relax.estimators.samples import only
from relax.relaxations.bernoulli import BERNOULLI

if TYPE_CHECKING:
    from torch import Tensor

    from relax.numerics.signatures import Cost
    from relax.numerics.streams import Noise
    from relax.relaxations.relaxation import Relaxation
    from relax.surrogates.base import Surrogate


def random_flip_estimate(
    surrogate: Surrogate,
    cost: Cost,
    logits: Tensor,
    noise: Noise,
    context: Tensor | None = None,
    relaxation: Relaxation = BERNOULLI,
) -> Estimate:
    """The estimate above; arguments as in `formula.control_variate_estimate`.

    i comes from what u has left: b = 1 says u > 1 - θ, and where in its interval u lies is uniform
    and independent of b. i is where that rest is largest.
    """
    only(("bernoulli",), relaxation, "bitflip")
    logits = logits.detach()
    b = relaxation.hard_sample(logits, noise.u)
    theta = relaxation.mean(logits)
    rest = torch.where(b > 0.5, (noise.u - (1 - theta)) / theta, noise.u / (1 - theta))
    chosen = torch.zeros_like(b).scatter_(-1, rest.argmax(-1, keepdim=True), 1.0)
    f = cost(b)
    with torch.no_grad():  # the flipped value is no sample: a model does not learn from it
        change = (cost((b - chosen).abs()) - f).unsqueeze(-1) * chosen * b.shape[-1]
    return Estimate(b, f, flip_gradient(relaxation, logits, b, change))


ESTIMATOR = Estimator(estimate=random_flip_estimate)
