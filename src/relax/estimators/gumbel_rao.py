"""Gumbel-Rao (Paulus et al., 2021), biased: straight-through Gumbel, averaged over z given b.

    g = mean_k J(y_k)ᵀ∇f(b) / λ,      y_k = relaxed z_k,   z_k drawn given b

Forwards the sample is hard, backwards it is the relaxed one, σ(z/λ) or softmax(z/λ), at a fixed
temperature. ∇f(b) depends on b alone, so the mean over k is the conditional expectation: the same
mean as with one draw, and less variance. f is evaluated once, whatever K is.

**One draw is straight-through Gumbel** (ST-Gumbel; Jang et al., 2017): z itself is a draw given b.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relax.estimators.concrete import fixed_relaxation
from relax.estimators.formula import Estimate, Estimator
from relax.estimators.samples import by_sample, value_and_gradient
from relax.relaxations.bernoulli import BERNOULLI

if TYPE_CHECKING:
    from torch import Tensor

    from relax.numerics.signatures import Cost
    from relax.numerics.streams import Noise
    from relax.relaxations.relaxation import Relaxation
    from relax.surrogates.relaxed_cost import RelaxedCost


def rao_blackwellised_estimate(
    surrogate: RelaxedCost,
    cost: Cost,
    logits: Tensor,
    noise: Noise,
    context: Tensor | None = None,
    relaxation: Relaxation = BERNOULLI,
) -> Estimate:
    """The estimate above; arguments as in `formula.control_variate_estimate`, K rows an image.

    The first row of noise gives z and b; each other one a draw of z given b.
    """
    logits, batch = logits.detach(), logits.shape[1]
    u, more = noise.u[:, :batch], noise.u[:, batch:]
    z = relaxation.sample(logits, u)
    b = relaxation.threshold(z)
    f, slope = value_and_gradient(cost, b)
    inverse = surrogate.temperature.inverse()
    total = relaxation.relaxed(z, inverse)[1](slope)
    if more.shape[1]:
        more = by_sample(more, batch)
        total = total + relaxation.slopes_given(logits, b, more, inverse, slope)
        total = total / (1 + more.shape[1])
    return Estimate(b, f, relaxation.pull_back(logits, z, total))


ESTIMATOR = Estimator(
    estimate=rao_blackwellised_estimate,
    surrogate=fixed_relaxation,
    samples=lambda spec: spec.draws,
)
