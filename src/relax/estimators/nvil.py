"""NVIL (Mnih & Gregor, 2014): the formula with a baseline of the input for c.

    g = [f(b) - c(x)] ∂ log p(b|θ),    c(x) = m + s r(x)

r is a network that sees what the latents depend on, learned by squared error; m and s are the
running mean and standard deviation of the costs. The original divides the learning signal by
s = max(1, standard deviation), which scales the gradient too; here s scales the baseline instead,
so that the estimate keeps its mean (Adam, which forgets a gradient's scale, sees no difference).
"""

from relax.estimators.formula import Estimator, least_squares
from relax.surrogates.baselines import Baseline

ESTIMATOR = Estimator(surrogate=Baseline, objective=least_squares)
