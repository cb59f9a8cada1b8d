"""RELAX (Grathwohl et al., 2018): the formula with a neural network for c.

The network stands alone where f is a black box, or is added to REBAR's relaxation
(`spec.add_relaxed_cost`) where f can be evaluated at relaxed values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relax.estimators.closed_form import closed_form_estimate
from relax.estimators.formula import Estimator
from relax.surrogates.base import Sum
from relax.surrogates.network import Network
from relax.surrogates.relaxed_cost import RelaxedCost

if TYPE_CHECKING:
    from relax.numerics.signatures import Generators
    from relax.surrogates.base import Surrogate, SurrogateSpec


def network_surrogate(spec: SurrogateSpec, generators: Generators) -> Surrogate:
    """r(z), or η f(σ(z/λ)) + r(z)."""
    network = Network(spec, generators)
    if not spec.add_relaxed_cost:
        return network
    return Sum(RelaxedCost(spec, len(generators), learn=True), network)


ESTIMATOR = Estimator(estimate=closed_form_estimate, surrogate=network_surrogate)
