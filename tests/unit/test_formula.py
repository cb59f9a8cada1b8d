"""The one formula on captured noise: algebra, no Monte Carlo tolerance."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from unit.test_relaxations import textbook_conditional_sample

from relax.estimators.closed_form import closed_form_estimate, derivatives_in_surrogate
from relax.estimators.concrete import pathwise_estimate
from relax.estimators.formula import control_variate_estimate
from relax.estimators.learning import learn_surrogates
from relax.estimators.registry import REGISTRY, estimator_names, load_estimator
from relax.estimators.variance import variance_objective
from relax.numerics.replicas import parameter_generators
from relax.numerics.streams import Noise, uniform_noise
from relax.surrogates.base import Sum, Surrogate, SurrogateSpec, ZeroSurrogate
from relax.surrogates.network import Network
from relax.surrogates.relaxed_cost import RelaxedCost

SPEC = SurrogateSpec(latents=3, context=2, hidden=(5, 4), activation="tanh", temperature=0.7)
SEEDS = [0, 1]
SHAPE = (6, 3)


def cost(b):
    """A cost that does not separate over latents, smooth on relaxed values."""
    return torch.sin(2 * b[..., 0] + b[..., 1]) + (b[..., 1] - 0.3) * b[..., 2] ** 2 + 0.5


@pytest.fixture
def problem():
    """Logits, noise (u, v) and context for two replicas, six samples, three latents."""
    u, v = uniform_noise(SEEDS, "noise", 0, (2, *SHAPE)).unbind(1)
    logits = 3 * (uniform_noise(SEEDS, "noise", 1, SHAPE) - 0.5)
    context = uniform_noise(SEEDS, "noise", 2, (SHAPE[0], SPEC.context))
    return logits, u, v, context


def surrogates():
    generators = parameter_generators(SEEDS)
    relaxed, network = RelaxedCost(SPEC, len(SEEDS)), Network(SPEC, generators)
    with torch.no_grad():
        relaxed.scale.fill_(0.8)
    return {"relaxed": relaxed, "network": network, "sum": Sum(relaxed, network)}


def test_zero_surrogate_gives_reinforce_exactly(problem):
    logits, u, v, _ = problem
    estimate = control_variate_estimate(ZeroSurrogate(), cost, logits, Noise(u, v))
    score = estimate.sample - torch.sigmoid(logits)
    assert torch.equal(estimate.gradient, cost(estimate.sample).unsqueeze(-1) * score)


@pytest.mark.parametrize("kind", ["independent", "coupled"])
@pytest.mark.parametrize("name", ["relaxed", "network", "sum"])
def test_formula_equals_automatic_differentiation_of_the_textbook(problem, name, kind):
    """[f(b) - c(z~)] ∂log p(b) + ∂c(z) - ∂c(z~), each ∂ taken by a tape through the sampling."""
    logits, u, v, context = problem
    c = surrogates()[name]
    alpha = logits.clone().requires_grad_()
    z = alpha + torch.logit(u)
    b = (z > 0).double()
    if kind == "coupled":  # the v that makes z~ = z in value, held fixed
        theta = torch.sigmoid(logits)
        v = torch.where(b > 0.5, (u - (1 - theta)) / theta, u / (1 - theta))
    z_tilde = textbook_conditional_sample(alpha, b, v)
    log_p = torch.distributions.Bernoulli(logits=alpha).log_prob(b).sum(-1)
    c_z, c_tilde = c(z, cost, context), c(z_tilde, cost, context)
    terms = (cost(b) - c_tilde.detach()) * log_p + c_z - c_tilde
    (expected,) = torch.autograd.grad(terms.sum(), alpha)
    noise = Noise(u, v if kind == "independent" else None)
    estimate = control_variate_estimate(c, cost, logits, noise, context)
    torch.testing.assert_close(estimate.gradient.detach(), expected, rtol=1e-8, atol=1e-8)


@pytest.fixture
def closed(problem):
    """A network in closed form, the same without one, and an estimate with either."""
    logits, u, _, context = problem
    spec = replace(SPEC, squash=False)
    networks = [Network(spec, parameter_generators(SEEDS)) for _ in range(2)]
    networks[1].closed_form = lambda *_: None
    networks[1].value_and_slope = partial(Surrogate.value_and_slope, networks[1])
    noise = Noise(u)
    return networks, [closed_form_estimate(c, cost, logits, noise, context) for c in networks]


def in_parameters(network, function, estimate):
    return torch.autograd.grad(function(estimate).sum(), network.parameters(), retain_graph=True)


@pytest.mark.parametrize("of", ["gradient", "learning signal", "both"])
def test_the_formula_in_closed_form_is_the_formula(closed, of):
    """Gradient, learning signal, and the derivatives in φ of a function of either or both."""
    networks, (by_hand, by_tape) = closed

    def function(estimate):
        signal = estimate.learning_signal.sin() if of != "gradient" else torch.zeros(())
        return signal.sum() + (estimate.gradient.exp().sum() if of != "learning signal" else 0)

    for one, other in zip(by_hand, by_tape, strict=True):
        if isinstance(one, torch.Tensor):
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
    found = in_parameters(networks[0], function, by_hand)
    expected = in_parameters(networks[1], function, by_tape)
    assert sum(e.abs().sum() for e in expected) > 1
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_derivatives_without_the_tape_are_those_of_the_graph(closed):
    (network, _), (estimate, by_tape) = closed
    w = estimate.gradient.detach().cos()
    parameters = list(network.parameters())
    for one in (estimate, estimate.plus(w)):  # a constant moves no derivative
        expected = in_parameters(network, lambda e: w * e.gradient, one)
        found = derivatives_in_surrogate(one)(w)
        torch.testing.assert_close([found[p] for p in parameters], list(expected))
    torch.testing.assert_close(estimate.plus(w).gradient, estimate.gradient + w)
    assert derivatives_in_surrogate(by_tape) is None


def test_derivatives_of_a_changed_gradient_are_left_to_the_tape(closed):
    """Those written out for another gradient would be wrong without a word."""
    (network, _), (estimate, _) = closed
    weight = estimate.gradient.detach().cos()
    changed = estimate._replace(gradient=weight * estimate.gradient)
    assert derivatives_in_surrogate(changed) is None
    assert derivatives_in_surrogate(changed.plus(weight)) is None
    learn_surrogates(load_estimator("relax"), [network], [changed])
    parameters = list(network.parameters())
    objective = variance_objective(weight * estimate.gradient).sum()
    expected = torch.autograd.grad(objective, parameters)
    torch.testing.assert_close([p.grad for p in parameters], list(expected))


class CostInTurn:
    """A cost that keeps in what order it is told of b, evaluated at b, and elsewhere."""

    def __init__(self):
        self.b, self.calls = None, []

    def expect(self, b):
        self.b = b
        self.calls.append("expect")

    def __call__(self, value):
        self.calls.append("hard" if value is self.b else "relaxed")
        return cost(value)


@pytest.mark.parametrize("name", ["rebar", "relax", "concrete", "muprop"])
@pytest.mark.parametrize("kind", ["independent", "coupled"])
def test_a_cost_hears_of_b_before_it_is_evaluated(problem, name, kind):
    """So that it can evaluate b along with a relaxed value; b itself comes last."""
    logits, u, v, context = problem
    estimator = load_estimator(name)
    spec = replace(SPEC, add_relaxed_cost=True)
    surrogate = estimator.surrogate(spec, parameter_generators(SEEDS))
    noise = Noise(u, v if kind == "independent" else None)
    watched = CostInTurn()
    told = estimator.estimate(surrogate, watched, logits, noise, context)
    assert watched.calls[0] == "expect"
    assert set(watched.calls[1:-1]) == {"relaxed"}
    assert watched.calls[-1] == "hard"
    untold = estimator.estimate(surrogate, cost, logits, noise, context)
    assert torch.equal(told.gradient, untold.gradient)


def test_concrete_is_the_reparameterization_gradient(problem):
    logits, u, _, _ = problem
    alpha = logits.clone().requires_grad_()
    relaxed = torch.sigmoid((alpha + torch.logit(u)) / SPEC.temperature)
    (expected,) = torch.autograd.grad(cost(relaxed).sum(), alpha)
    surrogate = load_estimator("concrete").surrogate(SPEC, SEEDS)
    estimate = pathwise_estimate(surrogate, cost, logits, Noise(u))
    torch.testing.assert_close(estimate.gradient.detach(), expected)


@pytest.mark.parametrize("activation", ["tanh", "relu", "elu"])
@pytest.mark.parametrize("squash", [True, False])
@pytest.mark.parametrize("seen", [0, 2])
def test_networks_slope_by_hand_equals_automatic_differentiation(activation, squash, seen):
    """Value, slope, and the gradient in φ of a function of both."""
    spec = SurrogateSpec(
        latents=3, context=seen, hidden=(5, 4), activation=activation, squash=squash
    )
    network = Network(spec, parameter_generators(SEEDS))
    z = uniform_noise(SEEDS, "noise", 3, SHAPE) * 4 - 2
    context = uniform_noise(SEEDS, "noise", 4, (SHAPE[0], seen)) if seen else None
    results = []
    for method in (network.value_and_slope, super(Network, network).value_and_slope):
        value, slope = method(z, None, context)
        objective = value.sin().sum() + (slope**2).sum()
        parameters = list(network.parameters())
        results.append([value, slope, *torch.autograd.grad(objective, parameters)])
    for by_hand, automatic in zip(*results, strict=True):
        torch.testing.assert_close(by_hand, automatic, rtol=1e-10, atol=1e-12)


def test_without_grad_mode_nothing_carries_a_graph(problem):
    logits, u, v, context = problem
    with torch.no_grad():
        for surrogate in surrogates().values():
            estimate = control_variate_estimate(surrogate, cost, logits, Noise(u, v), context)
            assert not estimate.gradient.requires_grad


@pytest.mark.parametrize("name", estimator_names(samples=1))
def test_estimators_are_pure(problem, name):
    """Same arguments, same answer; the caller's logits and the cost's weights get no gradient."""
    logits, u, v, context = problem
    weight = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    logits = logits.clone().requires_grad_()
    estimator = load_estimator(name)
    surrogate = estimator.surrogate(SPEC, parameter_generators(SEEDS))
    arguments = (surrogate, lambda b: weight * cost(b), logits, Noise(u, v), context)
    first, second = estimator.estimate(*arguments), estimator.estimate(*arguments)
    assert torch.equal(first.gradient, second.gradient)
    assert torch.equal(first.sample, second.sample)
    assert logits.grad is None
    assert weight.grad is None
    assert isinstance(surrogate, Surrogate)
    assert bool([p for p in surrogate.parameters() if p.requires_grad]) == REGISTRY[name].learns


@pytest.mark.parametrize("name", estimator_names(samples=1))
def test_a_replicas_estimate_does_not_depend_on_its_neighbours(problem, name):
    logits, u, v, context = problem
    estimator = load_estimator(name)

    def gradient(rows):
        surrogate = estimator.surrogate(SPEC, parameter_generators([SEEDS[r] for r in rows]))
        noise = Noise(u[rows], v[rows])
        return estimator.estimate(surrogate, cost, logits[rows], noise, context[rows]).gradient

    together = gradient([0, 1])
    for row in (0, 1):
        torch.testing.assert_close(gradient([row])[0], together[row], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", estimator_names(samples=1))
@pytest.mark.parametrize("add_relaxed_cost", [True, False])
def test_surrogates_read_only_the_settings_that_they_declare(name, add_relaxed_cost):
    """An undeclared one would take its default unseen, and would not rerun when it is changed."""

    class Strict:
        """The declared settings, and what every surrogate is told of its problem."""

        def __init__(self):
            values = vars(SPEC) | {"add_relaxed_cost": add_relaxed_cost}
            told = (*REGISTRY[name].reads, "latents", "context", "dtype", "relaxation")
            self.__dict__.update({key: values[key] for key in told})

    load_estimator(name).surrogate(Strict(), parameter_generators(SEEDS))
