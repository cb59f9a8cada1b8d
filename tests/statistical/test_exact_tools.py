"""The exact tools against ten million samples, on two latents and a cost that does not separate."""

import pytest
import torch
from scipy import stats
from unit.test_optimal import TWO, cost

from relax.estimators.registry import load_estimator
from relax.exact.quadrature import exact_moments
from relax.numerics.replicas import parameter_generators
from relax.numerics.streams import NoiseStream
from relax.surrogates.base import SurrogateSpec

FALSE_ALARM_RATE = 1e-3
SAMPLES, CHUNK = 10_000_000, 100_000
CASES = [("rebar", "independent"), ("relax", "coupled")]
# Mean and variance of two coordinates in each case, shared out (Bonferroni).
THRESHOLD = stats.norm.isf(FALSE_ALARM_RATE / 2 / (len(CASES) * 2 * 2))


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_moments_agree_with_ten_million_samples(name, kind):
    """z-scores of mean and variance; controls: 2% more mean and 1% more variance would be seen."""
    estimator = load_estimator(name)
    spec = SurrogateSpec(latents=2, hidden=(4,))
    surrogate = estimator.surrogate(spec, parameter_generators([3]))
    exact = exact_moments(estimator, surrogate, cost, TWO, kind)
    stream = NoiseStream([6], "noise", CHUNK, 2, kind, torch.float64, block=1)
    wide, batches = TWO.expand(-1, CHUNK, -1), SAMPLES // CHUNK
    powers = torch.zeros(4, 2, dtype=torch.float64)
    with torch.no_grad():
        for batch in range(batches):
            g = estimator.estimate(surrogate, cost, wide, stream(batch)).gradient[0]
            centred = g - exact.mean  # about the claimed mean: nothing cancels
            powers += torch.stack([(centred**k).mean(0) for k in (1, 2, 3, 4)])
    first, second, _, fourth = powers / batches
    error_of_mean = (second / SAMPLES).sqrt()
    error_of_variance = ((fourth - second**2) / SAMPLES).sqrt()
    z_mean = first / error_of_mean
    z_variance = (second - first**2 - exact.variance) / error_of_variance
    assert (z_mean.abs() < THRESHOLD).all()
    assert (z_variance.abs() < THRESHOLD).all()
    assert ((0.02 * exact.mean / error_of_mean).abs() > 2 * THRESHOLD).any()
    assert ((0.01 * exact.variance / error_of_variance).abs() > 2 * THRESHOLD).all()
