"""Straight-through Gumbel (Jang et al., 2017), biased: Gumbel-Rao with one draw.

g = J(y)ᵀ∇f(b) / λ,      y = σ(z/λ) or softmax(z/λ),   b = H(z)
"""

from relax.estimators.concrete import fixed_relaxation
from relax.estimators.formula import Estimator
from relax.estimators.gumbel_rao import rao_blackwellised_estimate

ESTIMATOR = Estimator(estimate=rao_blackwellised_estimate, surrogate=fixed_relaxation)
