"""DisARM, or U2G (Dong et al., 2020; Yin et al., 2020): ARMS of two samples.

    g = ½ [f(b) - f(b')] (b - b') σ(|α|),      b from u, b' from 1 - u

With more samples it is the mean over independent pairs.
"""

import functools

from relax.estimators.arms import coupled_estimate
from relax.estimators.formula import Estimator

ESTIMATOR = Estimator(
    estimate=functools.partial(coupled_estimate, who="disarm", group=2),
    samples=lambda spec: spec.samples,
)
