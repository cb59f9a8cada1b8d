"""Concrete / Gumbel-softmax (Jang et al., 2017; Maddison et al., 2017).

The reparameterization gradient of f(σ(z/λ)) at a fixed temperature λ; biased for λ > 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relax.estimators.closed_form import expect
from relax.estimators.formula import Estimate, Estimator
from relax.numerics.checks import evaluate
from relax.relaxations.bernoulli import BERNOULLI
from relax.surrogates.relaxed_cost import RelaxedCost

if TYPE_CHECKING:
    from torch import Tensor

    from relax.numerics.signatures import Cost, Generators
    from relax.numerics.streams import Noise
    from relax.relaxations.relaxation import Relaxation
    from relax.surrogates.base import Surrogate, SurrogateSpec


def pathwise_estimate(
    surrogate: Surrogate,
    cost: Cost,
    logits: Tensor,
    noise: Noise,
    context: Tensor | None = None,
    relaxation: Relaxation = BERNOULLI,
) -> Estimate:
    """The reparameterization gradient of the surrogate itself, g = ∂c(z).

    Unbiased for E[c(z)], hence biased for E[f(b)] wherever the two differ (Jang et al., 2017;
    Maddison et al., 2017). Arguments and shapes as in `formula.control_variate_estimate`.
    """
    logits = logits.detach()
    z = relaxation.sample(logits, noise.u)
    b = relaxation.threshold(z)
    expect(cost, b)
    _, slope = surrogate.value_and_slope(z, cost, context)
    return Estimate(b, evaluate(cost, b), relaxation.pull_back(logits, z, slope))


def fixed_relaxation(spec: SurrogateSpec, generators: Generators) -> Surrogate:
    """f(σ(z/λ)) with the configuration's λ, not learned."""
    return RelaxedCost(spec, len(generators), learn=False)


ESTIMATOR = Estimator(estimate=pathwise_estimate, surrogate=fixed_relaxation)
