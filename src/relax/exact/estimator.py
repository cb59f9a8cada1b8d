"""The exact gradient, by enumeration of every b: what the other estimators are tested against."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relax.estimators.formula import Estimate, Estimator
from relax.exact.enumeration import enumerate_gradient
from relax.numerics.checks import evaluate
from relax.relaxations.bernoulli import BERNOULLI

if TYPE_CHECKING:
    from torch import Tensor

    from relax.numerics.signatures import Cost
    from relax.numerics.streams import Noise
    from relax.relaxations.relaxation import Relaxation
    from relax.surrogates.base import Surrogate


def exact_estimate(
    surrogate: Surrogate,
    cost: Cost,
    logits: Tensor,
    noise: Noise,
    context: Tensor | None = None,
    relaxation: Relaxation = BERNOULLI,
) -> Estimate:
    """d E[f(b)] / d logits itself, the same for every noise; `sample` is drawn as elsewhere.

    Raises:
        ConfigError: more values of b than enumeration can bear.
    """
    b = relaxation.hard_sample(logits.detach(), noise.u)
    return Estimate(b, evaluate(cost, b), enumerate_gradient(cost, logits, relaxation))


ESTIMATOR = Estimator(estimate=exact_estimate, sampled=False)
