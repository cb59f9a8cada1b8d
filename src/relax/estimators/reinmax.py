"""ReinMax (Liu et al., 2023), biased: straight-through to second order.

    g = 2 J(½ (θ + b))ᵀ∇f(b) - ½ J(θ)ᵀ∇f(b),      J(p)ᵀv = p ⊙ (v - p·v)

For Bernoulli latents J(p) is p(1 - p), and g = ½ (1 - p(b)) ∇f(b). Its mean over one latent is
θ(1 - θ) ½ [f'(0) + f'(1)], the trapezoidal rule for θ(1 - θ) [f(1) - f(0)]: exact for quadratic f.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relax.estimators.formula import Estimate, Estimator
from relax.estimators.samples import only, value_and_gradient
from relax.relaxations.bernoulli import BERNOULLI

if TYPE_CHECKING:
    from torch import Tensor

    from relax.numerics.signatures import Cost
    from relax.numerics.streams import Noise
    from relax.relaxations.relaxation import Relaxation
    from relax.surrogates.base import Surrogate


def second_order_estimate(
    surrogate: Surrogate,
    cost: Cost,
    logits: Tensor,
    noise: Noise,
    context: Tensor | None = None,
    relaxation: Relaxation = BERNOULLI,
) -> Estimate:
    """The estimate above; arguments as in `formula.control_variate_estimate`."""
    only(("bernoulli", "categorical", "joint"), relaxation, "reinmax")
    logits = logits.detach()
    b = relaxation.hard_sample(logits, noise.u)
    f, slope = value_and_gradient(cost, b)
    theta = relaxation.mean(logits)
    midway = relaxation.pull_back_mean((theta + b) / 2, slope)
    return Estimate(b, f, 2 * midway - relaxation.pull_back_mean(theta, slope) / 2)


ESTIMATOR = Estimator(estimate=second_order_estimate)
