"""REBAR (Tucker et al., 2017): the formula with c(z) = η f(σ(z/λ)); η and λ are learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relax.estimators.closed_form import closed_form_estimate
from relax.estimators.formula import Estimator
from relax.surrogates.relaxed_cost import RelaxedCost

if TYPE_CHECKING:
    from relax.numerics.signatures import Generators
    from relax.surrogates.base import Surrogate, SurrogateSpec


def learned_relaxation(spec: SurrogateSpec, generators: Generators) -> Surrogate:
    """η f(σ(z/λ)), learned."""
    return RelaxedCost(spec, len(generators), learn=True)


ESTIMATOR = Estimator(estimate=closed_form_estimate, surrogate=learned_relaxation)
