"""MuProp (Gu et al., 2016): a first-order Taylor expansion of f as the control variate.

Around the mean θ of b, with the layers behind b at their means too (the mean-field pass),

    c(b) = η [f(θ) + f'(θ)·(b - θ)],    ∂E[c(b)] = η f'(θ)·∂θ

where f(θ) and f'(θ) count as constants of the expansion, so that

    g = [f(b) - c(b)] ∂ log p(b|θ) + η f'(θ)·∂θ.

In the logits of Bernoulli latents f'(θ)·∂θ is f'(θ) θ (1 - θ); in those of a categorical variable
it is θ_j (f'_j - Σ_i θ_i f'_i). For Gaussians θ stands for the mean, and ∂θ is 1 in the mean and 0
in the standard deviation. The scale η is learned by descending the variance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from relax.estimators.closed_form import expect
from relax.estimators.formula import Estimate, Estimator
from relax.numerics.checks import evaluate
from relax.relaxations.bernoulli import BERNOULLI
from relax.surrogates.base import Surrogate
from relax.surrogates.closed_forms import differentiate

if TYPE_CHECKING:
    from torch import Tensor

    from relax.numerics.signatures import Cost, Generators, Pair
    from relax.numerics.streams import Noise
    from relax.relaxations.relaxation import Relaxation
    from relax.surrogates.base import SurrogateSpec


class TaylorExpansion(Surrogate):
    """The expansion's scale η, one a replica."""

    def __init__(self, spec: SurrogateSpec, generators: Generators) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((len(generators), 1), spec.scale, dtype=spec.dtype))

    def expand(self, cost: Cost, mean: Tensor) -> Pair:
        """f(θ) [replica, batch] and f'(θ) [replica, batch, latent], without the scale."""
        if hasattr(cost, "mean_field"):
            return cost.mean_field(mean)
        return differentiate(cost, mean)

    def scaled(
        self, value: Tensor, linear: Tensor, context: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """c(b), of f(θ) and f'(θ)·(b - θ), [replica, batch] each, and its linear term's scale."""
        return self.scale * (value + linear), self.scale


def taylor_estimate(
    surrogate: TaylorExpansion,
    cost: Cost,
    logits: Tensor,
    noise: Noise,
    context: Tensor | None = None,
    relaxation: Relaxation = BERNOULLI,
) -> Estimate:
    """The estimate above; arguments and shapes as in `formula.control_variate_estimate`."""
    logits = logits.detach()
    b = relaxation.hard_sample(logits, noise.u)
    expect(cost, b)
    mean = relaxation.mean(logits)
    value, slope = surrogate.expand(cost, mean)
    f = evaluate(cost, b)
    c, scale = surrogate.scaled(value, (slope * (b - mean)).sum(-1), context)
    signal = f.detach() - c
    expectation = relaxation.pull_back_mean(mean, scale.unsqueeze(-1) * slope)
    gradient = signal.unsqueeze(-1) * relaxation.score(logits, b) + expectation
    return Estimate(b, f, gradient, signal)


ESTIMATOR = Estimator(estimate=taylor_estimate, surrogate=TaylorExpansion)
