"""The exact gradient, by enumeration of every b: what the other estimators are tested against."""

from relax.estimators.formula import Estimate, Estimator
from relax.exact.enumeration import enumerate_gradient
from relax.numerics.checks import evaluate
from relax.relaxations.bernoulli import BERNOULLI


def exact_estimate(surrogate, cost, logits, noise, context=None, relaxation=BERNOULLI):
    """d E[f(b)] / d logits itself, the same for every noise; `sample` is drawn as elsewhere.

    Raises:
        ConfigError: more values of b than enumeration can bear.
    """
    b = relaxation.hard_sample(logits.detach(), noise.u)
    return Estimate(b, evaluate(cost, b), enumerate_gradient(cost, logits, relaxation))


ESTIMATOR = Estimator(estimate=exact_estimate, sampled=False)
