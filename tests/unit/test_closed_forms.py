"""Derivatives in closed form against automatic differentiation, in float64."""

import gc
import weakref

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from relax.errors import ArgumentError
from relax.estimators.registry import load_estimator
from relax.experiments.vae.error import LinearError
from relax.experiments.vae.model import MODELS, DiscreteVAE, LayerCost
from relax.numerics.replicas import StackedMLP, parameter_generators
from relax.numerics.streams import Noise, uniform_noise
from relax.surrogates.base import Sum, Surrogate, SurrogateSpec
from relax.surrogates.closed_forms import Relaxed, differentiate, network_form
from relax.surrogates.network import Network
from relax.surrogates.perceptron import ACTIVATIONS, Perceptron
from relax.surrogates.relaxed_cost import RelaxedCost

SEEDS = [0, 1]
BATCH, LATENTS, CONTEXT, PIXELS = 5, 3, 2, 7


def uniform(index, *shape):
    return uniform_noise(SEEDS, "noise", index, shape)


def network(hidden, outputs, activation, context=0):
    widths = [context + LATENTS, *hidden, outputs]
    function = ACTIVATIONS[activation].function
    mlp = StackedMLP(widths, parameter_generators(SEEDS), torch.float64, function)
    with torch.no_grad():
        for k, layer in enumerate(mlp.layers):
            layer.bias += uniform(20 + k, *layer.bias.shape[1:]) - 0.5
    return mlp


def assert_equal(by_hand, by_tape):
    assert len(by_hand) == len(by_tape) > 0
    for one, other in zip(by_hand, by_tape, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [[], [5], [5, 4], [4, 3, 6]])
@pytest.mark.parametrize("context", [0, CONTEXT])
def test_network(activation, hidden, context):
    """Value, slope, and the gradient of a function of both in z and in every parameter."""
    mlp = network(hidden, 1, activation, context)
    z = (6 * uniform(0, BATCH, LATENTS) - 3).requires_grad_()
    seen = uniform(1, BATCH, context) if context else None
    wanted = [z, *mlp.parameters()]

    def results(value, slope):
        objective = (value.sin() * uniform(2, BATCH)).sum() + (
            slope.exp() * uniform(3, BATCH, LATENTS)
        ).sum()
        return [value, slope, *torch.autograd.grad(objective, wanted)]

    def forward(z):
        return mlp(z if seen is None else torch.cat([seen, z], -1)).squeeze(-1)

    by_hand = network_form(mlp.layers, ACTIVATIONS[activation], z, seen)
    assert_equal(results(*by_hand.value_and_slope()), results(*differentiate(forward, z)))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [[], [5], [5, 4]])
def test_bernoulli_error(activation, hidden):
    """Value, slope, and the product of the Hessian with a vector, as the tape has them."""
    mlp = network(hidden, PIXELS, activation)
    z = 6 * uniform(0, BATCH, LATENTS) - 3
    x = (uniform(1, BATCH, PIXELS) < 0.3).double()
    v, g = uniform(2, BATCH, LATENTS) - 0.5, uniform(3, BATCH)

    def error(z):
        return binary_cross_entropy_with_logits(mlp(z), x, reduction="none").sum(-1)

    at = Perceptron(list(mlp.parameters()), ACTIVATIONS[activation], z, x=x)
    z.requires_grad_()
    value, slope = differentiate(error, z)
    (product,) = torch.autograd.grad((slope * v).sum(), z, retain_graph=True)
    assert_equal([at.value, at.slope, at.second(v)[0]], [value, slope, product])
    assert_equal([at.second(v, g)[0]], [product + g.unsqueeze(-1) * slope])


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("along", [True, False])
def test_error_of_a_linear_decoder(beside, along):
    """At a relaxed value, with its curvature, and at a hard one, with its decoder's gradient."""
    decoder = network([], PIXELS, "tanh")
    (layer,) = decoder.layers
    value, x = uniform(0, BATCH, LATENTS), (uniform(1, BATCH, PIXELS) < 0.3).double()
    b = (uniform(2, BATCH, LATENTS) < 0.5).double() if beside else None
    t = uniform(3, BATCH, LATENTS) - 0.5

    def error(value):
        logits = decoder(2 * value - 1)
        return binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)

    def curvature(slope, vector):
        return torch.autograd.grad((slope * vector).sum(), value, retain_graph=True)[0]

    with torch.no_grad():
        at = LinearError(layer.weight, layer.bias, x, value, b, t if along else None)
        by_hand = [at.value, at.slope]
    value.requires_grad_()
    of_value, slope = differentiate(error, value)
    assert_equal(by_hand, [of_value, slope])
    if along:
        assert_equal([at.along], [curvature(slope, t)])
    if beside:
        weight = uniform(5, BATCH)
        sides = []
        for hard in (at.at_beside(), error(b)):
            sides.append([hard, *torch.autograd.grad((weight * hard).sum(), decoder.parameters())])
        assert_equal(*sides)


@pytest.mark.parametrize("name", MODELS)
def test_the_error_at_b_is_evaluated_along(name, monkeypatch):
    """Told of b, a cost has f(b) and its decoder's gradient from the relaxed value's products."""
    pixel_mean = torch.full((PIXELS,), 0.4, dtype=torch.float64)
    model = DiscreteVAE(name, pixel_mean, LATENTS, parameter_generators(SEEDS))
    x = (uniform(1, BATCH, PIXELS) < 0.4).double()
    b = (uniform(2, BATCH, LATENTS) < 0.5).double()
    sides, asked = [], []

    def error(self, *arguments):
        asked.append(arguments)
        return plain(self, *arguments)

    plain = DiscreteVAE.error
    monkeypatch.setattr(DiscreteVAE, "error", error)
    for told in (True, False):
        cost = LayerCost(model, 0, x, model.encode(0, x))
        if told:
            cost.expect(b)
        cost.relaxed(uniform(3, BATCH, LATENTS), torch.ones(len(SEEDS), 1, 1))
        f = cost(b)
        decoder = model.decoders[0].parameters()
        sides.append([f, *torch.autograd.grad(f.sin().sum(), decoder)])
    assert_equal(*sides)
    linear = name.startswith("linear")
    assert len(asked) == (1 if linear else 2)
    assert not torch.equal(cost(1 - b), sides[0][0])  # another value is not taken for b


def test_an_expected_value_of_another_shape_does_not_come_along():
    pixel_mean = torch.full((PIXELS,), 0.4, dtype=torch.float64)
    model = DiscreteVAE("linear1", pixel_mean, LATENTS, parameter_generators(SEEDS))
    x = (uniform(1, BATCH, PIXELS) < 0.4).double()
    value, inverse = uniform(3, BATCH, LATENTS), torch.ones(len(SEEDS), 1, 1)
    b = (uniform(2, BATCH, LATENTS) < 0.5).double()
    cost = LayerCost(model, 0, x, model.encode(0, x))
    plain = cost.relaxed(value, inverse), cost(b)
    cost.expect(b[:, :2])
    torch.testing.assert_close((cost.relaxed(value, inverse), cost(b)), plain)


def wave(y):
    """A cost that does not separate over latents."""
    return torch.sin(2 * y[..., 0] + y[..., 1]) + (y[..., 1] - 0.3) * y[..., 2] ** 2


class Wave:
    """The same cost as one that knows its derivatives."""

    def __call__(self, y):
        return wave(y)

    def relaxed(self, y, inverse, tangent):
        y = y.detach().requires_grad_()
        with torch.enable_grad():
            value, slope = differentiate(wave, y)
        (along,) = torch.autograd.grad(slope, y, tangent, retain_graph=True)
        slope = slope.detach()
        return Relaxed(value.detach(), slope, (slope * tangent).sum(-1), along)


def gradient_in_surrogate(surrogate, cost, z):
    value, slope = surrogate.value_and_slope(z, cost)
    objective = (value.sin() * uniform(1, BATCH)).sum() + (
        slope.exp() * uniform(2, BATCH, LATENTS)
    ).sum()
    return [value, slope, *torch.autograd.grad(objective, surrogate.learned_parameters())]


def test_relaxed_cost():
    """c = η f(σ(z/λ)) and its slope, with their derivatives in λ and η."""
    surrogate = RelaxedCost(SurrogateSpec(latents=LATENTS, temperature=0.7, scale=0.8), len(SEEDS))
    z = 4 * uniform(0, BATCH, LATENTS) - 2
    assert_equal(
        gradient_in_surrogate(surrogate, Wave(), z), gradient_in_surrogate(surrogate, wave, z)
    )


def test_a_sum_is_one_closed_form():
    """RELAX's relaxation and network together: the same as apart; a part without one ends it."""
    spec = SurrogateSpec(latents=LATENTS, hidden=(5, 4), squash=False, temperature=0.7, scale=0.8)
    relaxed, network = RelaxedCost(spec, len(SEEDS)), Network(spec, parameter_generators(SEEDS))
    z = 4 * uniform(0, BATCH, LATENTS) - 2
    whole = Sum(relaxed, network)
    assert len(whole.closed_form(z, Wave()).inputs) == 2 + 1 + 6
    assert whole.closed_form(z, wave) is None  # which does not know its derivatives
    assert_equal(gradient_in_surrogate(whole, Wave(), z), gradient_in_surrogate(whole, wave, z))


@pytest.mark.parametrize("name", MODELS)
def test_relaxed_cost_of_a_vae(name):
    """Of every layer, with the layers above it, against the cost as one plain function."""
    pixel_mean = torch.linspace(0.1, 0.9, PIXELS, dtype=torch.float64)
    model = DiscreteVAE(name, pixel_mean, LATENTS, parameter_generators(SEEDS))
    layers = len(model.encoders)
    with torch.no_grad():
        for k, parameter in enumerate(model.parameters()):
            parameter += 0.5 * uniform(30 + k, *parameter.shape[1:])
    x = (uniform(1, BATCH, PIXELS) < 0.4).double()
    for layer in range(layers):
        below = x if layer == 0 else (uniform(2, BATCH, LATENTS) < 0.5).double()
        above = [uniform(3 + k, BATCH, LATENTS) for k in range(layers - layer - 1)]
        cost = LayerCost(model, layer, below, model.encode(layer, below), above, uniform(9, BATCH))
        surrogate = RelaxedCost(
            SurrogateSpec(latents=LATENTS, temperature=0.7, scale=0.8), len(SEEDS)
        )
        z = 4 * uniform(0, BATCH, LATENTS) - 2
        plain = PlainCost(surrogate, cost, model)
        by_tape = Surrogate.value_and_slope(plain, z, None)
        objective = (by_tape[0].sin() * uniform(1, BATCH)).sum()
        objective = objective + (by_tape[1].exp() * uniform(2, BATCH, LATENTS)).sum()
        gradients = torch.autograd.grad(objective, surrogate.learned_parameters())
        assert_equal(gradient_in_surrogate(surrogate, cost, z), [*by_tape, *gradients])


class PlainCost(Surrogate):
    """η f(σ(z/λ)) of a VAE's layer written with torch.distributions, for the tape alone."""

    def __init__(self, surrogate, cost, model):
        super().__init__()
        self.surrogate, self.cost, self.model = surrogate, cost, model

    def forward(self, z, cost, context=None):
        def log_prob(logits, b):
            return torch.distributions.Bernoulli(logits=logits, validate_args=False).log_prob(b)

        squash, given, model = self.surrogate.temperature, self.cost, self.model
        value, below = squash(z), given.below
        q = given.factor if given.noise else given.factor + model.prior_logits
        f = given.spent + log_prob(q.detach(), value).sum(-1)
        f = f - log_prob(model.decode(given.layer, value), below).sum(-1)
        for layer, u in enumerate(given.noise, given.layer + 1):
            logits = model.encode(layer, value)
            below, value = value, squash(logits + torch.logit(u))
            f = f + log_prob(logits, value).sum(-1)
            f = f - log_prob(model.decode(layer, value), below).sum(-1)
        return self.surrogate.scale * (f - log_prob(model.prior_logits, value).sum(-1))


def test_a_second_graph_is_refused():
    """What the closed forms leave out would otherwise be missing without a word."""
    mlp = network([4], 1, "tanh")
    z = uniform(0, BATCH, LATENTS).requires_grad_()
    value, _ = network_form(mlp.layers, ACTIVATIONS["tanh"], z).value_and_slope()
    with pytest.raises(ArgumentError, match=r"second derivatives .* not supported"):
        torch.autograd.grad(value.sum(), z, create_graph=True)


def test_nothing_is_kept_alive():
    """A pass is freed with its outputs, not by the garbage collector."""
    seen = []

    class Watched(Perceptron):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            seen.append(weakref.ref(self))

    mlp = network([4], 1, "tanh")
    gc.disable()
    try:
        z = uniform(0, BATCH, LATENTS)
        form = network_form(mlp.layers, ACTIVATIONS["tanh"], z, perceptron=Watched)
        value, slope = form.value_and_slope()
        assert seen[0]() is not None
        del value, slope
        assert seen[0]() is None
    finally:
        gc.enable()


def test_nothing_of_an_estimate_is_kept_alive():
    """Neither the passes behind it nor the cost: a training would fill the memory."""
    pixel_mean = torch.full((PIXELS,), 0.4, dtype=torch.float64)
    model = DiscreteVAE("linear1", pixel_mean, LATENTS, parameter_generators(SEEDS))
    x, u = (uniform(1, BATCH, PIXELS) < 0.4).double(), uniform(2, BATCH, LATENTS)
    spec = SurrogateSpec(latents=LATENTS, squash=False, add_relaxed_cost=True)
    estimator = load_estimator("relax")
    surrogate = estimator.surrogate(spec, parameter_generators(SEEDS))
    gc.disable()
    try:
        cost = LayerCost(model, 0, x, model.encode(0, x))
        estimate = estimator.estimate(surrogate, cost, model.encode(0, x), Noise(u))
        seen = [weakref.ref(thing) for thing in (cost, cost.passed[1], *estimate[1:4])]
        assert all(ref() is not None for ref in seen)
        del cost, estimate
        assert [ref() for ref in seen] == [None] * len(seen)
    finally:
        gc.enable()
