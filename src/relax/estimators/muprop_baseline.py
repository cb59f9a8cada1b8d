"""MuProp with a baseline of the input, and a scale for each of the expansion's two terms.

    c(b) = r(x) + η₀ f(θ) + η₁ f'(θ)·(b - θ),    ∂E[c(b)] = η₁ f'(θ)·∂θ

    g = [f(b) - c(b)] ∂ log p(b|θ) + η₁ f'(θ)·∂θ

r is a network that sees what the latents depend on, as NVIL's. It does not depend on b, nor does
f(θ), so the mean of g is the gradient for every r, η₀ and η₁. All three are learned by squared
error, the mean of [f(b) - c(b)]². This is the MuProp of the comparisons in Tucker et al. (2017),
as their public code has it; without r and with one scale it is `relax.estimators.muprop`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from relax.estimators.formula import Estimator, least_squares
from relax.estimators.muprop import TaylorExpansion, taylor_estimate
from relax.surrogates.baselines import Baseline

if TYPE_CHECKING:
    from torch import Tensor

    from relax.numerics.signatures import Generators
    from relax.surrogates.base import SurrogateSpec


class ExpansionAndBaseline(TaylorExpansion):
    """η₀, η₁, one of each a replica, and r."""

    def __init__(self, spec: SurrogateSpec, generators: Generators) -> None:
        super().__init__(spec, generators)
        self.linear_scale = nn.Parameter(self.scale.detach().clone())
        # It is not shown the costs, whose running mean would be in c twice: f(θ) is near it.
        self.baseline = Baseline(spec, generators)

    def scaled(
        self, value: Tensor, linear: Tensor, context: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        r = self.baseline(value.unsqueeze(-1), context=context)
        return r + self.scale * value + self.linear_scale * linear, self.linear_scale


ESTIMATOR = Estimator(
    estimate=taylor_estimate, surrogate=ExpansionAndBaseline, objective=least_squares
)
