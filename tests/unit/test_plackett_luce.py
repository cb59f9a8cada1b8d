"""The Plackett-Luce relaxation: H(z~) = b always, the laws of b and z~, derivatives; and parts of
several kinds side by side."""

import itertools

import pytest
import torch
from scipy import stats
from unit.test_relaxations import EXTREMES

from relax.errors import ConfigError
from relax.estimators.formula import control_variate_estimate
from relax.exact.enumeration import enumerate_expectation
from relax.numerics.replicas import parameter_generators
from relax.numerics.streams import Noise, uniform_noise
from relax.relaxations.bernoulli import BERNOULLI
from relax.relaxations.joint import Joint
from relax.relaxations.plackett_luce import PLACKETT_LUCE, PlackettLuce
from relax.surrogates.base import SurrogateSpec
from relax.surrogates.network import Network

FALSE_ALARM_RATE = 1e-3  # of all the tests of laws below, shared out; the seeds are fixed
LOGITS = torch.tensor([0.8, -0.7, 0.1], dtype=torch.float64)
KINDS = ("independent", "coupled")


@pytest.mark.parametrize("dtype", EXTREMES)
def test_conditional_sample_orders_as_b_at_every_extreme(dtype):
    low, high = EXTREMES[dtype]
    rows = [(0, 0, 0), (30, -30, 0), (-30, 30, 30), (80, 0, -80), (0.1, 0, -0.1), (-3, 5, 12)]
    edges = (low, 1e-3, 0.5, 0.999, high)
    v = torch.tensor(list(itertools.product(edges, repeat=3)), dtype=dtype).expand(len(rows), -1, 3)
    logits = torch.tensor(rows, dtype=dtype).unsqueeze(1).expand_as(v)
    ties = 0
    for b, _ in PLACKETT_LUCE.states(logits[:1, :1]):
        b = b.expand_as(v)
        z_tilde, derivative = PLACKETT_LUCE.sample_given(logits, b, v)
        assert torch.equal(PLACKETT_LUCE.threshold(z_tilde), b)
        assert torch.isfinite(z_tilde).all()
        assert ((derivative >= 0) & (derivative <= 1 + 1e-5)).all()
        ties += int((textbook_conditional_sample(logits, b, v) != z_tilde).sum())
        draw = PLACKETT_LUCE.draw(logits, Noise(v))
        assert torch.isfinite(draw.z).all()
        assert torch.isfinite(draw.score).all()
    # Control: in the same precision, the textbook's form does lose the ordering.
    assert ties > 0


def textbook_conditional_sample(logits, b, v):
    """z~ of the items in order: -log of a running sum of exponentials, each with what is left."""
    order = b.long().argsort(-1)
    own, noise = logits.gather(-1, order), v.gather(-1, order)
    left = own.flip(-1).logcumsumexp(-1).flip(-1)
    falling = -torch.logcumsumexp(torch.log(-torch.log(noise)) - left, -1)
    return falling.gather(-1, b.long())


def frequencies(relaxation, samples=60_000):
    """p-value: how often each ordering comes, against its probability."""
    u = uniform_noise([1], "noise", 0, (samples, 3))
    wide = LOGITS.expand(1, samples, 3)
    b = relaxation.threshold(relaxation.sample(wide, u))
    counts, expected = [], []
    for state, probability in PLACKETT_LUCE.states(LOGITS.view(1, 1, 3)):
        counts.append((b == state).all(-1).sum().item())
        expected.append(samples * probability.item())
    return stats.chisquare(counts, expected).pvalue


class Logistic(PlackettLuce):
    """The negative control: noise of another law gives other probabilities."""

    def sample(self, logits, u):
        return logits + torch.logit(u)


def test_orderings_have_their_probabilities():
    total = enumerate_expectation(lambda b: torch.ones(1, 1), LOGITS.view(1, 1, 3), PLACKETT_LUCE)
    torch.testing.assert_close(total, torch.ones(1, 1, dtype=torch.float64))
    assert frequencies(PLACKETT_LUCE) > FALSE_ALARM_RATE / 2
    assert frequencies(Logistic()) < FALSE_ALARM_RATE / 2


class ForgetsThoseLeft(PlackettLuce):
    """The negative control: every step has the whole sum for its rate, not that of those left."""

    def sample_given(self, logits, b, v):
        order = b.argsort(-1)
        total = logits.logsumexp(-1, keepdim=True)
        steps = torch.log(-torch.log(v.gather(-1, order))) - total
        z_tilde = (-torch.logcumsumexp(steps, -1)).gather(-1, b.long())
        return z_tilde, self.derivative(logits, z_tilde)


def laws_of_z_tilde(relaxation):
    """p-values: z~ given b against z given H(z) = b, for every coordinate and ordering."""
    shape = (60_000, 3)
    u, v = uniform_noise([2], "noise", 0, (2, *shape)).unbind(1)
    z, b, z_tilde, *_ = relaxation.draw(LOGITS.expand(1, *shape), Noise(u, v))
    return [
        stats.ks_2samp(z[0, own, i].numpy(), z_tilde[0, own, i].numpy()).pvalue
        for state, _ in relaxation.states(LOGITS.view(1, 1, 3))
        for own in [(b[0] == state[0]).all(-1)]
        for i in range(3)
    ]


def test_z_tilde_given_b_has_the_law_of_z_given_b():
    p_values = laws_of_z_tilde(PLACKETT_LUCE)
    assert len(p_values) == 18
    assert min(p_values) > FALSE_ALARM_RATE / len(p_values)
    assert min(laws_of_z_tilde(ForgetsThoseLeft())) < FALSE_ALARM_RATE / len(p_values)


@pytest.fixture
def problem():
    """Logits, noise and slopes for two replicas, six samples and four items."""
    u, v = uniform_noise([0, 1], "noise", 0, (2, 6, 4)).unbind(1)
    logits, slopes = (3 * (uniform_noise([0, 1], "noise", i, (6, 4)) - 0.5) for i in (1, 2))
    return logits, u, v, slopes


def test_the_derivative_of_z_tilde_is_the_tapes(problem):
    """∂c(z~)/∂ℓ through every item's logit, and its diagonal."""
    logits, u, v, slopes = problem
    draw = PLACKETT_LUCE.draw(logits, Noise(u, v))
    free = logits.clone().requires_grad_()
    z_tilde = textbook_conditional_sample(free, draw.b, v)
    torch.testing.assert_close(draw.z_tilde, z_tilde.detach())
    (expected,) = torch.autograd.grad((slopes * z_tilde).sum(), free, retain_graph=True)
    found = -PLACKETT_LUCE.correction(logits, draw, torch.zeros_like(slopes), slopes)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)
    for i in range(4):
        (row,) = torch.autograd.grad(z_tilde[..., i].sum(), free, retain_graph=True)
        torch.testing.assert_close(draw.dz_tilde[..., i], row[..., i], rtol=1e-9, atol=1e-11)


def test_coupled_noise_is_the_v_that_gives_z(problem):
    """Invert the map from v to z~ at z; at that v its derivative is the coupled one."""
    logits, u, _, slopes = problem
    coupled = PLACKETT_LUCE.draw(logits, Noise(u))
    assert coupled.z_tilde is coupled.z
    order = coupled.b.long().argsort(-1)
    falling, own = coupled.z.gather(-1, order), logits.gather(-1, order)
    sums = torch.exp(-falling)
    steps = torch.diff(sums, dim=-1, prepend=torch.zeros_like(sums[..., :1]))
    left = own.flip(-1).logcumsumexp(-1).flip(-1)
    v = torch.exp(-steps * torch.exp(left)).gather(-1, coupled.b.long())
    again = PLACKETT_LUCE.draw(logits, Noise(u, v))
    torch.testing.assert_close(again.z_tilde, coupled.z, rtol=1e-7, atol=1e-9)
    first, second = (
        PLACKETT_LUCE.correction(logits, draw, slopes, slopes) for draw in (coupled, again)
    )
    torch.testing.assert_close(first, second, rtol=1e-7, atol=1e-9)


def test_score_mean_and_soft_places(problem):
    """Against differentiation of log P, enumeration, and the limit of no temperature."""
    logits, u, _, slopes = problem
    b = PLACKETT_LUCE.hard_sample(logits, u)
    free = logits.clone().requires_grad_()
    own = free.gather(-1, b.long().argsort(-1))
    log_p = (own - own.flip(-1).logcumsumexp(-1).flip(-1)).sum()
    (expected,) = torch.autograd.grad(log_p, free)
    torch.testing.assert_close(PLACKETT_LUCE.score(logits, b), expected)
    mean = sum(p.unsqueeze(-1) * state for state, p in PLACKETT_LUCE.states(logits))
    torch.testing.assert_close(PLACKETT_LUCE.mean(logits), mean)
    z = PLACKETT_LUCE.sample(logits, u)
    torch.testing.assert_close(PLACKETT_LUCE.relax(z, 1e6), b)
    inverse = torch.tensor([2.0, 0.5], dtype=torch.float64).view(2, 1, 1)
    tracked = z.clone().requires_grad_()
    value, to_z = PLACKETT_LUCE.relaxed(tracked, inverse)
    (expected,) = torch.autograd.grad((value * slopes).sum(), tracked)
    torch.testing.assert_close(to_z(slopes).detach(), expected)


def test_joint_parts_are_what_they_are_alone(problem):
    """An ordering of two and two Bernoulli latents side by side."""
    logits, u, v, slopes = problem
    joint = Joint((PLACKETT_LUCE, 2), (BERNOULLI, 2))
    assert repr(joint) == "Joint((PlackettLuce(), 2), (Bernoulli(), 2))"
    parts = ((PLACKETT_LUCE, slice(0, 2)), (BERNOULLI, slice(2, 4)))
    for noise in (Noise(u, v), Noise(u)):
        draw = joint.draw(logits, noise)
        assert (draw.z_tilde is draw.z) == (noise.v is None)
        correction = joint.correction(logits, draw, slopes, slopes)
        for part, own in parts:
            alone = part.draw(
                logits[..., own], Noise(*(None if n is None else n[..., own] for n in noise))
            )
            for name in draw._fields:
                assert torch.equal(getattr(draw, name)[..., own], getattr(alone, name)), name
            expected = part.correction(logits[..., own], alone, slopes[..., own], slopes[..., own])
            assert torch.equal(correction[..., own], expected)
    total = enumerate_expectation(lambda b: torch.ones(2, 6), logits, joint)
    torch.testing.assert_close(total, torch.ones(2, 6, dtype=torch.float64))
    assert len(list(joint.states(logits))) == 2 * 4


@pytest.mark.parametrize("kind", KINDS)
def test_equal_seeds_agree_whoever_they_share_a_job_with(problem, kind):
    logits, u, v, _ = problem
    spec = SurrogateSpec(latents=4, hidden=(5,), squash=False, relaxation=PLACKETT_LUCE)

    def estimate(seeds):
        network = Network(spec, parameter_generators(seeds))
        noise = Noise(u[seeds], v[seeds] if kind == "independent" else None)
        cost = lambda b: (b[..., 0] - b[..., 1]).abs()  # noqa: E731
        return control_variate_estimate(
            network, cost, logits[seeds], noise, relaxation=PLACKETT_LUCE
        ).gradient

    torch.testing.assert_close(estimate([0, 1])[1:], estimate([1]), rtol=1e-12, atol=1e-14)


def test_too_many_items_to_enumerate_are_refused():
    with pytest.raises(ConfigError, match="exact enumerates 9! orderings"):
        list(PLACKETT_LUCE.states(torch.zeros(1, 1, 9)))
    for call in (PLACKETT_LUCE.entropy, lambda x: PLACKETT_LUCE.pull_back_mean(x, x)):
        with pytest.raises(ConfigError, match="ordering"):
            call(torch.zeros(1, 1, 3))
