"""Concrete / Gumbel-softmax (Jang et al., 2017; Maddison et al., 2017).

The reparameterization gradient of f(σ(z/λ)) at a fixed temperature λ; biased for λ > 0.
"""

from relax.estimators.formula import Estimator, pathwise_estimate
from relax.surrogates.relaxed_cost import RelaxedCost


def fixed_relaxation(spec, generators):
    """f(σ(z/λ)) with the configuration's λ, not learned."""
    return RelaxedCost(spec, len(generators), learn=False)


ESTIMATOR = Estimator(estimate=pathwise_estimate, surrogate=fixed_relaxation)
