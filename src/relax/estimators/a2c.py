"""A2C, the advantage actor-critic: the formula with a value function of the state for c.

    g = [f(b) - V(s)] ∂ log p(b|θ)

V is learned by regression on the costs (Mnih et al., 2016). It is the baseline that Grathwohl et
al., 2018, compare with.
"""

from relax.estimators.formula import Estimator
from relax.surrogates.baselines import ValueFunction

ESTIMATOR = Estimator(surrogate=ValueFunction)
