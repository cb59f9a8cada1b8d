"""MuProp with a baseline: what it shares with MuProp, its mean, and what its φ learns."""

import pytest
import torch

from relax.estimators.formula import Estimator
from relax.estimators.muprop_baseline import ESTIMATOR, ExpansionAndBaseline
from relax.estimators.registry import load_estimator
from relax.exact.enumeration import enumerate_gradient
from relax.numerics.replicas import parameter_generators
from relax.numerics.streams import Noise
from relax.relaxations.bernoulli import BERNOULLI
from relax.surrogates.base import SurrogateSpec

RANDOM = torch.Generator().manual_seed(5)
X, LOGITS = torch.randn(2, 1, 4, 3, generator=RANDOM, dtype=torch.float64)  # four images
SPEC = SurrogateSpec(latents=3, context=3, hidden=(5,), dtype=torch.float64)


def cost(b):
    """f(b, x): not multilinear in b, so that its mean is not f(θ)."""
    return (b.sum(-1) - X.sum(-1)).square() * (1 + X[..., 0].square()) + b[..., 0] * b[..., 1]


def made(estimator):
    return estimator.surrogate(SPEC, parameter_generators([0]))


def moments(estimator, surrogate):
    """Of every image, over every b: the means of g, of f - c and of its square."""
    theta = torch.sigmoid(LOGITS)
    mean = signal = squares = 0
    for b, probability in BERNOULLI.states(LOGITS):
        u = torch.where(b == 1, 1 - theta / 2, (1 - theta) / 2)  # b is 1 where u is above 1 - θ
        estimate = estimator.estimate(surrogate, cost, LOGITS, Noise(u), X)
        assert torch.equal(estimate.sample, b.expand_as(u))
        mean = mean + probability.unsqueeze(-1) * estimate.gradient
        signal = signal + probability * estimate.learning_signal
        squares = squares + probability * estimate.learning_signal.square()
    return mean, signal, squares


def scales(surrogate, value, linear):
    surrogate.scale.data.fill_(value)
    surrogate.linear_scale.data.fill_(linear)
    return surrogate


def test_its_mean_is_the_gradient_whatever_it_has_learned():
    with torch.no_grad():
        mean, _, _ = moments(ESTIMATOR, scales(made(ESTIMATOR), 0.4, -1.7))
    torch.testing.assert_close(mean, enumerate_gradient(cost, LOGITS), rtol=0, atol=1e-12)


def test_the_control_a_scale_in_one_of_two_places_is_biased():
    class Wrong(ExpansionAndBaseline):
        def scaled(self, value, linear, context):
            return super().scaled(value, linear, context)[0], self.scale

    wrong = Estimator(estimate=ESTIMATOR.rule, surrogate=Wrong)
    with torch.no_grad():
        mean, _, _ = moments(wrong, scales(made(wrong), 0.4, -1.7))
    assert (mean - enumerate_gradient(cost, LOGITS)).abs().max() > 0.1


def test_without_its_baseline_and_with_equal_scales_it_is_muprop():
    plain = load_estimator("muprop")
    both = [(plain, made(plain)), (ESTIMATOR, scales(made(ESTIMATOR), 0.6, 0.6))]
    both[0][1].scale.data.fill_(0.6)
    for parameter in both[1][1].baseline.parameters():
        parameter.data.zero_()
    with torch.no_grad():
        for ours, theirs in zip(*(moments(*each) for each in both), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("with_baseline", [True, False])
def test_its_baseline_learns_what_no_scale_can_say(with_baseline):
    """E[f] - f(θ) differs from image to image. The control: the two scales alone do not say it."""
    surrogate = made(ESTIMATOR)
    if not with_baseline:
        for parameter in surrogate.baseline.parameters():
            parameter.data.zero_()
    phi = [surrogate.scale, surrogate.linear_scale]
    phi += list(surrogate.baseline.parameters()) if with_baseline else []
    optimizer = torch.optim.LBFGS(phi, max_iter=300, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = moments(ESTIMATOR, surrogate)[2].sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        _, left, _ = moments(ESTIMATOR, surrogate)
    assert (left.abs().max() < 1e-3) == with_baseline
