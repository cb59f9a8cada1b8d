"""The categorical relaxation: H(z~) = b always, the law of z~, derivatives, and its two-outcome
case, which is the Bernoulli one on the same noise."""

import itertools

import pytest
import torch
from scipy import stats
from torch.distributions import Categorical as LibraryCategorical
from unit.test_relaxations import EXTREMES

from relax.estimators.formula import control_variate_estimate
from relax.estimators.learning import learn_surrogates
from relax.estimators.registry import REGISTRY, estimator_names, load_estimator
from relax.exact.enumeration import enumerate_gradient
from relax.numerics.replicas import parameter_generators
from relax.numerics.streams import Noise, uniform_noise
from relax.relaxations.bernoulli import BERNOULLI
from relax.relaxations.categorical import CATEGORICAL, Categorical
from relax.surrogates.base import Sum, Surrogate, SurrogateSpec
from relax.surrogates.network import Network
from relax.surrogates.relaxed_cost import RelaxedCost

FALSE_ALARM_RATE = 1e-3  # of all the tests of laws below, shared out; the seeds are fixed
SEEDS, K = [0, 1], 4
SPEC = SurrogateSpec(latents=K, hidden=(5, 4), temperature=0.7, relaxation=CATEGORICAL)
KINDS = ("independent", "coupled")


def cost(b):
    """Smooth on the simplex, and not linear there."""
    w = torch.linspace(-1.5, 1, b.shape[-1], dtype=b.dtype)
    return torch.sin(2 * (b * w).sum(-1)) + (b * b * w.flip(-1)).sum(-1) + 0.5


@pytest.fixture
def problem():
    """Logits and noise (u, v) for two replicas and six samples."""
    u, v = uniform_noise(SEEDS, "noise", 0, (2, 6, K)).unbind(1)
    return 3 * (uniform_noise(SEEDS, "noise", 1, (6, K)) - 0.5), u, v


def gumbel(u):
    return -torch.log(-torch.log(u))


def textbook_conditional_sample(logits, b, v):
    """z~_b = -log(-log v_b) and z~_i = -log(-log v_i/θ_i - log v_b), as the papers write it."""
    theta = torch.softmax(logits, -1)
    v_b = (b * v).sum(-1, keepdim=True)
    return torch.where(b > 0.5, gumbel(v), -torch.log(-torch.log(v) / theta - torch.log(v_b)))


def v_that_gives(logits, b, z):
    """The conditional map's v for this z, by inverting the textbook form."""
    theta, top = torch.softmax(logits, -1), z.amax(-1, keepdim=True)
    rate = torch.where(b > 0.5, torch.exp(-z), theta * (torch.exp(-z) - torch.exp(-top)))
    return torch.exp(-rate)


@pytest.mark.parametrize("dtype", EXTREMES)
def test_conditional_sample_thresholds_to_b_at_every_extreme(dtype):
    low, high = EXTREMES[dtype]
    rows = [(0, 0, 0), (30, -30, 0), (-30, 30, 30), (80, 0, -80), (0.1, 0, -0.1), (-3, 5, 12)]
    edges = (low, 1e-3, 0.5, 0.999, high)
    v = torch.tensor(list(itertools.product(edges, repeat=3)), dtype=dtype).expand(len(rows), -1, 3)
    logits = torch.tensor(rows, dtype=dtype).unsqueeze(1).expand_as(v)
    for b in torch.eye(3, dtype=dtype):
        b = b.expand_as(v)
        z_tilde, derivative = CATEGORICAL.sample_given(logits, b, v)
        assert torch.equal(CATEGORICAL.threshold(z_tilde), b)
        assert ((z_tilde == z_tilde.amax(-1, keepdim=True)).sum(-1) == 1).all()
        assert torch.isfinite(z_tilde).all()
        assert ((derivative >= 0) & (derivative <= 1)).all()
        draw = CATEGORICAL.draw(logits, Noise(v))
        assert torch.isfinite(draw.z).all()
        assert ((draw.dz_tilde >= 0) & (draw.dz_tilde <= 1)).all()
        assert torch.equal(draw.b.sum(-1), torch.ones_like(draw.b[..., 0]))
    # Negative control: the textbook's form, in the same precision, does lose b.
    last = torch.eye(3, dtype=dtype)[2].expand_as(v)
    lost = CATEGORICAL.threshold(textbook_conditional_sample(logits, last, v)) != last
    assert lost.any()


def test_stable_form_equals_the_textbook_form_and_central_differences(problem):
    """The derivative in the logits themselves: through ℓ, then through the log-softmax."""
    logits, _, v = problem
    slope = uniform_noise(SEEDS, "noise", 2, (6, K)) - 0.3
    step = 1e-5
    for b, _ in CATEGORICAL.states(logits):
        z_tilde, derivative = CATEGORICAL.sample_given(logits, b, v)
        torch.testing.assert_close(z_tilde, textbook_conditional_sample(logits, b, v))
        found = CATEGORICAL.pull_back(logits, z_tilde, slope * derivative)
        for j in range(K):
            shift = step * torch.eye(K, dtype=torch.float64)[j]
            up, down = (CATEGORICAL.sample_given(logits + s, b, v)[0] for s in (shift, -shift))
            expected = (slope * (up - down)).sum(-1) / (2 * step)
            torch.testing.assert_close(found[..., j], expected, rtol=1e-7, atol=1e-8)


def test_coupled_derivative_is_the_conditional_maps_at_the_v_that_gives_z(problem):
    logits, u, _ = problem
    z, b, z_tilde, derivative, _ = CATEGORICAL.draw(logits, Noise(u))
    assert z_tilde is z
    again, expected = CATEGORICAL.sample_given(logits, b, v_that_gives(logits, b, z))
    torch.testing.assert_close(again, z, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(derivative, expected, rtol=1e-7, atol=1e-9)


class ForgetsTheMaximum(Categorical):
    """A biased sampler: z~_b has the law of z_b, not that of z_b given that it is the largest."""

    def sample_given(self, logits, b, v):
        fair, derivative = super().sample_given(logits, b, v)
        shift = (b * torch.log_softmax(logits, -1)).sum(-1, keepdim=True)
        return fair + shift, derivative


def laws_of_z_tilde(relaxation):
    """p-values: z~ given b against z given H(z) = b, for every coordinate and b."""
    shape = (40_000, 3)
    u, v = uniform_noise([2], "noise", 0, (2, *shape)).unbind(1)
    logits = torch.tensor([0.8, -0.7, 0.1], dtype=torch.float64).expand(1, *shape)
    z, b, z_tilde, *_ = relaxation.draw(logits, Noise(u, v))
    return [
        stats.ks_2samp(z[0, own, i].numpy(), z_tilde[0, own, i].numpy()).pvalue
        for own in (b[0] > 0.5).unbind(-1)
        for i in range(3)
    ]


def test_z_tilde_given_b_has_the_law_of_z_given_b():
    p_values = laws_of_z_tilde(CATEGORICAL)
    assert min(p_values) > FALSE_ALARM_RATE / len(p_values)


def test_negative_control_a_sampler_that_forgets_the_maximum_is_seen():
    p_values = laws_of_z_tilde(ForgetsTheMaximum())
    assert min(p_values) < FALSE_ALARM_RATE / len(p_values)


def test_b_has_the_probabilities_theta_and_z_tilde_is_independent_of_z():
    shape = (40_000, 3)
    u, v = uniform_noise([3], "noise", 0, (2, *shape)).unbind(1)
    logits = torch.tensor([0.8, -0.7, 0.1], dtype=torch.float64).expand(1, *shape)
    z, b, z_tilde, *_ = CATEGORICAL.draw(logits, Noise(u, v))
    expected = shape[0] * torch.softmax(logits[0, 0], -1)
    p_values = [stats.chisquare(b[0].sum(0).numpy(), expected.numpy()).pvalue]
    own = b[0, :, 0] > 0.5
    p_values += [
        stats.spearmanr(z[0, own, i], z_tilde[0, own, j]).pvalue
        for i, j in itertools.product(range(3), repeat=2)
    ]
    assert min(p_values) > FALSE_ALARM_RATE / len(p_values)
    # Negative control: probabilities a twentieth off.
    tilted = expected * torch.tensor([1.05, 1, 1], dtype=torch.float64)
    tilted *= shape[0] / tilted.sum()
    assert stats.chisquare(b[0].sum(0).numpy(), tilted.numpy()).pvalue < FALSE_ALARM_RATE


class OfTheDifference(Surrogate):
    """c(z_1 - z_0) for a c of one latent: what a Bernoulli surrogate is with two outcomes."""

    def __init__(self, surrogate):
        super().__init__()
        self.surrogate = surrogate

    def forward(self, z, cost, context=None):
        return self.surrogate(z[..., 1:] - z[..., :1], cost, context)


@pytest.mark.parametrize("kind", KINDS)
def test_two_outcomes_are_a_bernoulli_latent_on_the_same_noise(kind):
    """With E = -log u, u' = E_0 / (E_0 + E_1) is the Bernoulli noise of the difference z_1 - z_0.

    Then b, c and the estimate in logit_1 are those of Bernoulli in α = logit_1 - logit_0, for
    each kind of noise: v is mapped as u is.
    """
    u, v = uniform_noise(SEEDS, "noise", 0, (2, 50, 2)).unbind(1)
    logits = 6 * (uniform_noise(SEEDS, "noise", 1, (50, 2)) - 0.5)
    network = Network(SurrogateSpec(latents=1, hidden=(6,)), parameter_generators(SEEDS))
    alpha = logits[..., 1:] - logits[..., :1]

    def noise(first, second):
        return Noise(first, second if kind == "independent" else None)

    def of_the_difference(u):
        rates = torch.log(u)
        return rates[..., :1] / rates.sum(-1, keepdim=True)

    one = control_variate_estimate(
        network, lambda b: (b[..., 0] - 0.3) ** 2, alpha, noise(*map(of_the_difference, (u, v)))
    )
    two = control_variate_estimate(
        OfTheDifference(network),
        lambda b: (b[..., 1] - 0.3) ** 2,
        logits,
        noise(u, v),
        relaxation=CATEGORICAL,
    )
    assert torch.equal(one.sample, two.sample[..., 1:])
    torch.testing.assert_close(one.gradient, two.gradient[..., 1:], rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(-one.gradient, two.gradient[..., :1], rtol=1e-9, atol=1e-11)


def test_two_outcomes_have_the_coupled_weight_of_bernoulli():
    """1 - p(b|θ)(1 - e^-|d|), d = z_1 - z_0, is what multiplies ∂c/∂d: see the docs."""
    u = uniform_noise(SEEDS, "noise", 0, (50, 2))
    logits = 6 * (uniform_noise(SEEDS, "noise", 1, (50, 2)) - 0.5)
    z, b, _, derivative, _ = CATEGORICAL.draw(logits, Noise(u))
    slope = torch.tensor([-1.0, 1.0], dtype=torch.float64).expand_as(z)  # of c = z_1 - z_0
    weight = CATEGORICAL.pull_back(logits, z, slope * (1 - derivative))[..., 1:]
    d, alpha = (x[..., 1:] - x[..., :1] for x in (z, logits))
    expected = 1 - BERNOULLI.coupled_derivative(d, BERNOULLI.score(alpha, b[..., 1:]))
    torch.testing.assert_close(weight, expected, rtol=1e-10, atol=1e-12)


def surrogates():
    generators = parameter_generators(SEEDS)
    relaxed, network = RelaxedCost(SPEC, len(SEEDS)), Network(SPEC, generators)
    with torch.no_grad():
        relaxed.scale.fill_(0.8)
    return {"relaxed": relaxed, "network": network, "sum": Sum(relaxed, network)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["relaxed", "network", "sum"])
def test_formula_equals_automatic_differentiation_of_the_textbook(problem, name, kind):
    """[f(b) - c(z~)] ∂log p(b) + ∂c(z) - ∂c(z~), each ∂ taken by a tape through the sampling."""
    logits, u, v = problem
    c = surrogates()[name]
    free = logits.clone().requires_grad_()
    z = torch.log_softmax(free, -1) + gumbel(u)
    b = torch.nn.functional.one_hot(z.argmax(-1), K).double()
    if kind == "coupled":  # the v that makes z~ = z in value, held fixed
        v = v_that_gives(logits, b, z.detach())
    z_tilde = textbook_conditional_sample(free, b, v)
    log_p = LibraryCategorical(logits=free).log_prob(z.argmax(-1))
    c_tilde = c(z_tilde, cost)
    terms = (cost(b) - c_tilde.detach()) * log_p + c(z, cost) - c_tilde
    (expected,) = torch.autograd.grad(terms.sum(), free)
    noise = Noise(u, v if kind == "independent" else None)
    estimate = control_variate_estimate(c, cost, logits, noise, relaxation=CATEGORICAL)
    torch.testing.assert_close(estimate.gradient.detach(), expected, rtol=1e-8, atol=1e-8)
    assert torch.equal(estimate.sample, b)


def test_concrete_is_the_reparameterization_gradient(problem):
    logits, u, _ = problem
    free = logits.clone().requires_grad_()
    relaxed = torch.softmax((free + gumbel(u)) / SPEC.temperature, -1)
    (expected,) = torch.autograd.grad(cost(relaxed).sum(), free)
    concrete = load_estimator("concrete")
    surrogate = concrete.surrogate(SPEC, SEEDS)
    estimate = concrete.estimate(surrogate, cost, logits, Noise(u), relaxation=CATEGORICAL)
    torch.testing.assert_close(estimate.gradient.detach(), expected)


@pytest.mark.parametrize("seen", [0, 2])
def test_networks_slope_by_hand_equals_automatic_differentiation(seen):
    """Through softmax(z/λ): value, slope, and the gradient in φ of a function of both."""
    spec = SurrogateSpec(latents=K, context=seen, hidden=(5, 4), relaxation=CATEGORICAL)
    network = Network(spec, parameter_generators(SEEDS))
    z = uniform_noise(SEEDS, "noise", 3, (6, K)) * 4 - 2
    context = uniform_noise(SEEDS, "noise", 4, (6, seen)) if seen else None
    results = []
    for method in (network.value_and_slope, super(Network, network).value_and_slope):
        value, slope = method(z, None, context)
        objective = value.sin().sum() + (slope**2).sum()
        gradients = torch.autograd.grad(objective, list(network.parameters()))
        results.append([value, slope, *gradients])
    for by_hand, automatic in zip(*results, strict=True):
        torch.testing.assert_close(by_hand, automatic, rtol=1e-10, atol=1e-12)


def test_enumeration_is_the_derivative_of_the_expectation(problem):
    logits = problem[0].clone().requires_grad_()
    costs = cost(torch.eye(K, dtype=torch.float64))
    expectation = (torch.softmax(logits, -1) * costs).sum()
    (expected,) = torch.autograd.grad(expectation, logits)
    torch.testing.assert_close(enumerate_gradient(cost, logits, CATEGORICAL), expected)


def test_muprop_is_exact_for_a_linear_cost(problem):
    """The expansion is then f itself, at η = 1: every sample's gradient is the true one."""
    logits, u, _ = problem
    muprop = load_estimator("muprop")
    surrogate = muprop.surrogate(SPEC, SEEDS)

    def linear(b):
        return (b * torch.arange(1.0, K + 1)).sum(-1)

    estimate = muprop.estimate(surrogate, linear, logits, Noise(u), relaxation=CATEGORICAL)
    expected = enumerate_gradient(linear, logits, CATEGORICAL)
    torch.testing.assert_close(estimate.gradient.detach(), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", estimator_names(kind="categorical", samples=1))
def test_only_differences_of_logits_count(problem, name, kind):
    logits, u, v = problem
    estimator = load_estimator(name)
    surrogate = estimator.surrogate(SPEC, parameter_generators(SEEDS))
    noise = Noise(u, v if kind == "independent" else None)
    first, second = (
        estimator.estimate(surrogate, cost, x, noise, relaxation=CATEGORICAL).gradient
        for x in (logits, logits + 7)
    )
    torch.testing.assert_close(first, second, rtol=1e-10, atol=1e-12)
    total = first.sum(-1)
    torch.testing.assert_close(total, torch.zeros_like(total), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", estimator_names(kind="categorical", samples=1))
def test_float32_stays_finite_at_extreme_logits(name, kind):
    """The estimate and its gradient in φ, noise at the edges of float32 included."""
    low, high = EXTREMES[torch.float32]
    rows = [(0, 0, 0), (30, -30, 0), (-30, 30, 30), (80, 0, -80)]
    v = torch.tensor(list(itertools.product((low, 0.5, high), repeat=3)), dtype=torch.float32)
    v = v.repeat(len(rows), 1).unsqueeze(0)
    u = v.flip(1)
    logits = torch.tensor(rows, dtype=torch.float32).repeat_interleave(27, 0).unsqueeze(0)
    spec = SurrogateSpec(
        latents=3, hidden=(5,), add_relaxed_cost=True, dtype=torch.float32, relaxation=CATEGORICAL
    )
    estimator = load_estimator(name)
    surrogate = estimator.surrogate(spec, parameter_generators([0]))
    noise = Noise(u, v if kind == "independent" else None)
    estimate = estimator.estimate(surrogate, cost, logits, noise, relaxation=CATEGORICAL)
    assert torch.isfinite(estimate.gradient).all()
    learn_surrogates(estimator, [surrogate], [estimate])
    learned = [p for p in surrogate.parameters() if p.requires_grad]
    assert bool(learned) == REGISTRY[name].learns
    assert all(torch.isfinite(p.grad).all() for p in learned)
