"""The discrete VAEs: the cost, who receives which gradient, training, and what it keeps."""

import itertools

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli

from relax.data.images import Images
from relax.estimators.learning import learn_surrogates
from relax.estimators.registry import REGISTRY, estimator_names
from relax.experiments.vae.evaluation import bounds
from relax.experiments.vae.gradients import encoder_estimate, set_model_gradients
from relax.experiments.vae.model import MODELS, DiscreteVAE, LayerCost
from relax.experiments.vae.trainer import VAESettings, build
from relax.numerics.replicas import parameter_generators
from relax.numerics.streams import NoiseStream, generator
from relax.surrogates.base import SurrogateSpec

ESTIMATORS = [name for name in estimator_names() if name != "exact"]
SPEC = SurrogateSpec(hidden=(6,), squash=False, add_relaxed_cost=True, dtype=torch.float32)
LATENTS, PIXELS, BATCH = 5, 12, 8


@pytest.fixture(scope="module")
def images():
    draws = generator(0, "split").random((70, PIXELS)) < np.linspace(0.1, 0.9, PIXELS)
    tensor = torch.from_numpy(draws.astype(np.float32))
    return Images(tensor[:50], tensor[50:60], tensor[60:], (3, 4))


def settings(estimator="relax", model="linear1", seeds=range(2), **changes):
    values = {"steps": 12, "batch": BATCH, "latents": LATENTS, "learning_rate": 0.01, "spec": SPEC}
    values |= {"bound_samples": 3}
    return VAESettings("toy", model, estimator, seeds=seeds, **(values | changes))


def one_estimate(run, images, kind="coupled", dtype=torch.float32):
    """A run's parts, a minibatch of it, and the estimate that they give."""
    model, estimator, surrogates = (part for part in build(run, images))
    model, surrogates = model.to(dtype), surrogates.to(dtype)
    x = images.train[:BATCH].to(dtype).expand(len(run.seeds), -1, -1)
    rows = BATCH * estimator.samples(run.spec_of(run.estimator))
    layers = len(model.encoders)
    noise = NoiseStream(run.seeds, "noise", rows, layers * LATENTS, kind, dtype)(0)
    return (
        model,
        estimator,
        surrogates,
        lambda: encoder_estimate(estimator, surrogates, model, x, noise),
    )


def check_bounds(model, x, seeds, exact):
    """ELBO below bound below log p(x), to their errors; with more samples within 0.1 nat."""
    few, many = (
        torch.stack([torch.stack(bounds(model, x, seeds, k, index=i)) for i in range(8)])
        for k in (5, 200)
    )
    slack = 5 * few.std(0).max() / 8**0.5
    elbo, bound = many.mean(0)
    assert (elbo + slack < bound).all()
    assert (bound < exact + slack).all()
    assert (exact - bound < exact - few.mean(0)[1]).all()
    assert (exact - bound < 0.1).all()


@pytest.mark.parametrize("name", MODELS)
def test_cost_is_the_negative_elbo(images, name):
    """Against the library's Bernoulli, layer by layer, and wherever the chain is entered."""
    model = DiscreteVAE(name, images.mean, LATENTS, parameter_generators(range(2)))
    torch.nn.init.normal_(model.prior_logits)
    x = images.train[:BATCH].expand(2, -1, -1)
    layers = len(model.encoders)
    us = NoiseStream(range(2), "noise", BATCH, layers * LATENTS, "coupled", torch.float32)(0).u
    us = us.chunk(layers, -1)
    below, expected, chain = x, torch.zeros(2, BATCH), []
    for layer, u in enumerate(us):
        centred = below - images.mean if layer == 0 else 2 * below - 1
        q = Bernoulli(logits=model.encoders[layer](centred))
        b = (u > 1 - q.probs).float()
        p = Bernoulli(logits=model.decoders[layer](2 * b - 1))
        chain.append((below, q.logits, expected))
        expected = expected + q.log_prob(b).sum(-1) - p.log_prob(below).sum(-1)
        below = b
    expected = expected - Bernoulli(logits=model.prior_logits).log_prob(below).sum(-1)
    torch.testing.assert_close(model.cost(x, model.encode(0, x), us), expected)
    below, logits, spent = chain[-1]
    top = LayerCost(model, layers - 1, below, logits, (), spent)
    torch.testing.assert_close(top((us[-1] > 1 - torch.sigmoid(logits)).float()), expected)


def test_the_models_are_what_their_names_say(images):
    """Stochastic layers, deterministic ones between them, and the output's bias."""
    shapes = {}
    for name in MODELS:
        model = DiscreteVAE(name, images.mean, LATENTS, parameter_generators(range(1)))
        shapes[name] = [
            [tuple(layer.weight.shape[1:]) for layer in one.layers]
            for one in [*model.encoders, *model.decoders]
        ]
        torch.testing.assert_close(
            torch.sigmoid(model.decoders[0].layers[-1].bias).flatten(), images.mean
        )
    wide, square = (PIXELS, LATENTS), (LATENTS, LATENTS)
    back, image = (LATENTS, PIXELS), (PIXELS, PIXELS)
    assert shapes["linear1"] == [[wide], [back]]
    assert shapes["linear2"] == [[wide], [square], [back], [square]]
    assert shapes["nonlinear"] == [[wide, square, square], [square, square, back]]
    assert shapes["nonlinear_wide"] == [[wide, square, square], [back, image, image]]


def relaxed_by_hand(model, x, logits, upper_noise):
    """f at a relaxed b_1 of linear2, b_2 = σ(z/λ), as a function (b_1, 1/λ): a number."""

    def linear(value, alpha):
        return (value * alpha - torch.nn.functional.softplus(alpha)).sum()

    def f(value, inverse):
        upper = model.encode(1, value)
        y = torch.sigmoid((upper + torch.logit(upper_noise)) * inverse)
        log_p = linear(x, model.decode(0, value)) + linear(value, model.decode(1, y))
        log_q = linear(value, logits) + linear(y, upper)
        return log_q - log_p - linear(y, model.prior_logits)

    return f


def test_layers_above_follow_the_value_that_they_are_given(images):
    """Relaxed from a relaxed value, at the mean in the mean-field pass, hard from a hard value;
    value, slope and their derivatives along a tangent as automatic differentiation has them."""
    model = DiscreteVAE("linear2", images.mean, LATENTS, parameter_generators(range(1)))
    x = images.train[:1].unsqueeze(0)
    logits = model.encode(0, x).detach()
    u = torch.full((1, 1, LATENTS), 0.3)
    cost = LayerCost(model, 0, x, logits, [u])
    value, inverse = torch.full((1, 1, LATENTS), 0.6), torch.full((1, 1, 1), 3.0)
    tangent = torch.linspace(-1, 1, LATENTS).expand_as(value)
    f = relaxed_by_hand(model, x, logits, u)

    def value_and_slope(log):
        """At λ e^log, the value moved along the tangent by log."""
        moved = value + tangent * log
        if not moved.requires_grad:
            moved.requires_grad_()
        result = f(moved, 3 * torch.exp(-log))
        (slope,) = torch.autograd.grad(result, moved, create_graph=True)
        return result, slope

    expected = value_and_slope(torch.zeros(()))
    along = torch.autograd.functional.jacobian(value_and_slope, torch.zeros(()))
    found = cost.relaxed(value, inverse, tangent)
    for mine, theirs in zip(found, (*expected, *along), strict=True):
        torch.testing.assert_close(mine.reshape(theirs.shape), theirs.detach())
    assert cost.relaxed(value, inverse)[2:] == (None, None)

    at_mean = relaxed_by_hand(model, x, logits, torch.full_like(u, 0.5))
    leaf = value.clone().requires_grad_()
    result = at_mean(leaf, 1.0)
    (slope,) = torch.autograd.grad(result, leaf)
    mine, own_slope = cost.mean_field(value)
    torch.testing.assert_close(mine.reshape(()), result.detach())
    torch.testing.assert_close(own_slope, slope)

    seen, decode = [], model.decode
    model.decode = lambda layer, value: seen.append(value) or decode(layer, value)
    cost(value.round())
    assert set(seen[-1].flatten().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize(
    ("model_name", "name", "kind"),
    [
        (model_name, name, kind)
        for model_name, name in itertools.product(MODELS, ESTIMATORS)
        for kind in ("independent", "coupled")
        if kind == "coupled" or REGISTRY[name].formula
    ],
)
def test_every_parameter_gets_its_own_gradient_and_nothing_else(images, model_name, name, kind):
    """Each encoder's is its layer's estimate; nothing of ∂φ g² leaks into the model."""
    model, estimator, surrogates, make = one_estimate(settings(name, model_name), images, kind)
    estimate = make()
    learn_surrogates(estimator, surrogates, estimate.layers)
    assert all(p.grad is None for p in model.parameters())
    set_model_gradients(estimate, list(model.parameters()))

    x = images.train[:BATCH].expand(2, -1, -1)
    below = [x, *(layer.sample[:, :BATCH] for layer in estimate.layers)]
    for layer, encoder in enumerate(model.encoders):
        logits = model.encode(layer, below[layer])
        per_logit = estimate.layers[layer].gradient.detach() / BATCH
        expected = torch.autograd.grad(logits, list(encoder.parameters()), per_logit)
        for parameter, gradient in zip(encoder.parameters(), expected, strict=True):
            torch.testing.assert_close(parameter.grad, gradient)

    if estimate.cost.shape[1] > BATCH:  # the layers above are drawn again from each sample
        return
    generative = [*model.decoders.parameters(), model.prior_logits]
    log_p = Bernoulli(logits=model.prior_logits).log_prob(below[-1]).sum(-1)
    for layer in range(len(model.decoders)):
        p = Bernoulli(logits=model.decode(layer, below[layer + 1]))
        log_p = log_p + p.log_prob(below[layer]).sum(-1)
    expected = torch.autograd.grad(-log_p.mean(1).sum(), generative)
    for parameter, gradient in zip(generative, expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


@pytest.mark.parametrize("model_name", MODELS)
@pytest.mark.parametrize("name", [name for name in ESTIMATORS if REGISTRY[name].samples[1]])
def test_several_samples_teach_the_decoder_by_their_mean(images, model_name, name):
    """Two samples of each image are one of each of twice as many, drawn with the same noise."""
    run = settings(name, model_name, direct_gradient=False)
    model, _, _, _ = one_estimate(run, images)
    x = images.train[:BATCH].expand(2, -1, -1)
    noise = run.noise_stream("noise")(0)
    plain = settings("reinforce", model_name)
    estimator, surrogates = build(plain, images)[1:]
    if name in ("rloo", "double_cv", "rodeo"):  # the others couple their samples
        _, own, controls, _ = one_estimate(run, images)
        several = encoder_estimate(own, controls, model, x, noise, False)
        one_by_one = encoder_estimate(estimator, surrogates, model, x.repeat(1, 2, 1), noise)
        torch.testing.assert_close(several.cost, one_by_one.cost)
        gradients = []
        for estimate in (several, one_by_one):
            set_model_gradients(estimate, list(model.parameters()))
            gradients.append([p.grad.clone() for p in model.decoders.parameters()])
        for first, second in zip(*gradients, strict=True):
            torch.testing.assert_close(first, second)


LEARNERS = [name for name in estimator_names() if REGISTRY[name].learns]
BY_SQUARES = ("nvil", "muprop_baseline")


@pytest.mark.parametrize("model_name", ["linear1", "linear2"])
@pytest.mark.parametrize("name", LEARNERS)
def test_surrogates_get_the_derivative_of_their_objective(images, name, model_name):
    """Against central differences, in float64 and on captured noise: Σ mean g², or for those
    with a baseline the squared error of c."""
    run = settings(name, model_name, seeds=range(1))
    _, estimator, surrogates, make = one_estimate(run, images, dtype=torch.float64)

    def objective():
        layers = make().layers
        if name in BY_SQUARES:
            return sum(layer.learning_signal.square().mean(1).sum().item() for layer in layers)
        return sum(layer.gradient.square().mean(1).sum().item() for layer in layers)

    estimate = make()
    parameters = [p for s in surrogates for p in s.learned_parameters()]
    loss = sum(estimator.objective(layer).sum() for layer in estimate.layers)
    slopes = torch.autograd.grad(loss, parameters, retain_graph=True)
    learn_surrogates(estimator, surrogates, estimate.layers)
    step = 1e-5
    for surrogate in surrogates:
        if name == "nvil":  # as it stood when the estimate was made
            surrogate.mean.zero_()
            surrogate.variance.zero_()
    for parameter, slope in zip(parameters, slopes, strict=True):
        assert torch.equal(parameter.grad, slope)
        flat, slope = parameter.data.view(-1), slope.view(-1)
        for index in range(0, flat.numel(), max(1, flat.numel() // 5)):
            start = flat[index].item()
            flat[index] = start + step
            above = objective()
            flat[index] = start - step
            below = objective()
            flat[index] = start
            assert slope[index].item() == pytest.approx(
                (above - below) / (2 * step), rel=1e-4, abs=1e-6
            )
