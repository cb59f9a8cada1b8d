"""REINFORCE, the score function (Williams, 1992): the formula with c = 0."""

from relax.estimators.formula import Estimator

ESTIMATOR = Estimator()
