"""LAX (Grathwohl et al., 2018): the formula for continuous b, with c(b, s) = V(s) + r(b, s).

V is learned by regression on the costs, the network r by descending the variance. b is its own
relaxation (`relax.relaxations.gaussian`), so that g = [f(b) - c(b, s)] ∂ log p(b) + ∂c(b, s).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relax.estimators.formula import Estimator
from relax.surrogates.base import Sum
from relax.surrogates.baselines import ValueFunction
from relax.surrogates.network import Network

if TYPE_CHECKING:
    from relax.numerics.signatures import Generators
    from relax.surrogates.base import Surrogate, SurrogateSpec


def value_and_network(spec: SurrogateSpec, generators: Generators) -> Surrogate:
    """V(s) + r(b, s)."""
    return Sum(ValueFunction(spec, generators), Network(spec, generators))


ESTIMATOR = Estimator(surrogate=value_and_network)
