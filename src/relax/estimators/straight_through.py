"""Straight-through (Bengio et al., 2013), biased: as if f's gradient were the same at b and θ.

    g = ∂θ·∇f(b):  θ(1 - θ) ∇f(b) of Bernoulli latents, θ ⊙ (∇f - θ·∇f) of a categorical one

Exact where f is linear. ReinMax (`reinmax.py`) is exact where f is quadratic.
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


def straight_through_estimate(
    surrogate: Surrogate,
    cost: Cost,
    logits: Tensor,
    noise: Noise,
    context: Tensor | None = None,
    relaxation: Relaxation = BERNOULLI,
) -> Estimate:
    """The estimate above; arguments as in `formula.control_variate_estimate`."""
    only(("bernoulli", "categorical", "joint"), relaxation, "straight_through")
    logits = logits.detach()
    b = relaxation.hard_sample(logits, noise.u)
    f, slope = value_and_gradient(cost, b)
    return Estimate(b, f, relaxation.pull_back_mean(relaxation.mean(logits), slope))


ESTIMATOR = Estimator(estimate=straight_through_estimate)
