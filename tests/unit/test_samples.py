"""Several samples a latent: what each estimator asks for, and what it refuses."""

import pytest
import torch

from relax.errors import ArgumentError
from relax.estimators.registry import (
    REGISTRY,
    calls,
    estimator_names,
    load_estimator,
    misfit,
)
from relax.numerics.replicas import parameter_generators
from relax.numerics.streams import Noise, uniform_noise
from relax.relaxations.bernoulli import BERNOULLI
from relax.relaxations.categorical import CATEGORICAL
from relax.relaxations.gaussian import GAUSSIAN
from relax.surrogates.base import SurrogateSpec

SEEDS, BATCH, LATENTS = [1, 2], 5, 4
NAMES = [
    name for name in [*estimator_names(section="toy"), "vimco", "disarm_iw"] if name != "exact"
]
RELAXATIONS = {r.kind: r for r in (BERNOULLI, CATEGORICAL, GAUSSIAN)}


class Counting:
    """A cost that counts at how many values of b it is asked for f, and for its gradient."""

    def __init__(self):
        self.evaluations = self.gradients = 0

    def __call__(self, b):
        self.evaluations += b.shape[0] * b.shape[1]
        f = (b.pow(3) * torch.linspace(-1, 1, LATENTS, dtype=b.dtype)).sum(-1) + b[..., 0] * b[
            ..., 1
        ]
        if b.requires_grad:
            self.gradients += b.shape[0] * b.shape[1]
        return f


def estimate(name, samples=2, kind=None, cost=None, noise="coupled", batch=BATCH, **changed):
    kind = kind or REGISTRY[name].kinds[0]
    relaxation, estimator = RELAXATIONS[kind], load_estimator(name)
    spec = SurrogateSpec(
        latents=LATENTS, samples=samples, add_relaxed_cost=True, relaxation=relaxation, **changed
    )
    surrogate = estimator.surrogate(spec, parameter_generators(SEEDS))
    u, v = uniform_noise(SEEDS, "noise", 0, (2, estimator.samples(spec) * batch, LATENTS)).unbind(1)
    logits = torch.linspace(-1, 1, LATENTS, dtype=torch.float64).expand(len(SEEDS), batch, -1)
    both = Noise(u, v if noise == "independent" else None)
    cost = cost or Counting()
    return estimator.estimate(surrogate, cost, logits, both, relaxation=relaxation), cost


@pytest.mark.parametrize("noise", ["independent", "coupled"])
@pytest.mark.parametrize("name", NAMES)
def test_the_registry_says_how_often_the_cost_is_called(name, noise):
    """Counted by a cost, in values of b for one image, with and without a graph."""
    for samples in (2, 4):
        for grad in (True, False):
            with torch.set_grad_enabled(grad):
                _, counted = estimate(name, samples, noise=noise)
            each = len(SEEDS) * BATCH
            said = calls(name, samples, LATENTS, noise)
            found = counted.evaluations / each, counted.gradients / each
            assert found == (said.evaluations, said.gradients)


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_one_an_image(name):
    found, _ = estimate(name, 4)
    assert found.gradient.shape == (len(SEEDS), BATCH, LATENTS)
    rows = BATCH * (4 if REGISTRY[name].samples[1] else 1)
    assert found.sample.shape == (len(SEEDS), rows, LATENTS)
    assert found.cost.shape[1] == (BATCH if found.weights is not None else rows)


@pytest.mark.parametrize("name", [n for n in NAMES if REGISTRY[n].samples[1]])
def test_images_do_not_mix(name):
    """An image's estimate is made of its own rows of noise: sample k at k * batch + image."""
    estimator = load_estimator(name)
    relaxation = RELAXATIONS[REGISTRY[name].kinds[0]]
    spec = SurrogateSpec(latents=LATENTS, samples=2, relaxation=relaxation)
    surrogate = estimator.surrogate(spec, parameter_generators(SEEDS))
    u = uniform_noise(SEEDS, "noise", 0, (2 * BATCH, LATENTS))
    logits = uniform_noise(SEEDS, "split", 0, (BATCH, LATENTS)) - 0.5
    whole = estimator.estimate(surrogate, Counting(), logits, Noise(u), relaxation=relaxation)
    for image in range(BATCH):
        own = Noise(u[:, image::BATCH])
        alone = estimator.estimate(
            surrogate, Counting(), logits[:, image : image + 1], own, relaxation=relaxation
        )
        torch.testing.assert_close(alone.gradient[:, 0], whole.gradient[:, image])


@pytest.mark.parametrize("name", [n for n in NAMES if REGISTRY[n].samples[1]])
def test_too_few_samples_are_refused(name):
    if name == "disarm_iw":  # a pair of each is enough
        return
    with pytest.raises(ArgumentError, match=f"{name} takes .* samples of each latent; .* for 1"):
        estimate(name, 1)
    if REGISTRY[name].samples[1] == 2:
        with pytest.raises(ArgumentError, match=f"{name} takes a multiple of 2 samples"):
            estimate(name, 3)


@pytest.mark.parametrize("name", ["arm", "disarm", "arms", "rodeo", "bitflip", "disarm_tree"])
def test_latents_of_another_kind_are_refused(name):
    other = "bernoulli" if name == "disarm_tree" else "categorical"
    with pytest.raises(ArgumentError, match=f"{name} is for .* latents, not {other} ones"):
        estimate(name, kind=other)


@pytest.mark.parametrize(
    "name",
    [n for n in NAMES if REGISTRY[n].gradients(2, 2)],
)
@pytest.mark.parametrize(
    "cost", [lambda b: b.detach().sum(-1), lambda b: b.sum(-1).round().detach()]
)
def test_a_cost_without_a_gradient_is_refused(name, cost):
    with pytest.raises(ArgumentError, match=r"cannot be differentiated in b.*rloo, disarm"):
        estimate(name, cost=cost)


def test_what_does_not_fit_is_said_with_what_it_takes():
    assert misfit("rloo", samples=1) == "takes 2 or more samples of a latent, not 1"
    assert misfit("disarm", samples=3) == "takes a multiple of 2 samples of a latent, not 3"
    assert misfit("arm", kind="categorical") == "is for bernoulli latents, not for categorical ones"
    assert (
        misfit("double_cv", differentiable=False)
        == "needs the gradient of the cost, which has none"
    )
    assert misfit("relax", differentiable=False) is None  # its network alone needs none
    assert "rebar" not in estimator_names(differentiable=False)
    assert "rloo" in estimator_names(kind="gaussian", differentiable=False)


def test_one_pair_of_arms_is_disarm():
    first, second = (estimate(name, 2)[0] for name in ("arms", "disarm"))
    assert torch.equal(first.gradient, second.gradient)
    first, second = (estimate(name, 4)[0] for name in ("arms", "disarm"))
    assert not torch.equal(first.gradient, second.gradient)


def test_antithetic_samples_have_their_law_each():
    """The share of ones of every sample, at 5 standard errors; and no pair has the rarer twice."""
    from relax.estimators.arms import antithetic_samples

    n, logits = 50_000, torch.tensor([-1.2, 0.0, 2.0], dtype=torch.float64)
    u = uniform_noise([0], "noise", 0, (4, n, 3))
    theta = torch.sigmoid(logits)
    for samples in (2, 3, 4):
        b, _ = antithetic_samples(logits.expand(1, n, 3), u[:, :samples])
        error = (theta * (1 - theta) / n).sqrt()
        assert ((b.mean(2) - theta).abs() < 5 * error).all()
    b, _ = antithetic_samples(logits.expand(1, n, 3), u[:, :2])
    assert not (b[..., 0].sum(1) == 2).any()
    assert not (b[..., 2].sum(1) == 0).any()


@pytest.mark.parametrize("name", [n for n in NAMES if "bernoulli" in REGISTRY[n].kinds])
def test_float32_stays_finite_at_extreme_logits(name):
    estimator = load_estimator(name)
    spec = SurrogateSpec(latents=LATENTS, samples=2, add_relaxed_cost=True, dtype=torch.float32)
    surrogate = estimator.surrogate(spec, parameter_generators([0]))
    logits = torch.tensor([[[-100.0, -30.0, 30.0, 100.0]]])
    for edge in (2.0**-25, 0.5, 1 - 2.0**-24):
        noise = Noise(torch.full((1, estimator.samples(spec), LATENTS), edge))
        found = estimator.estimate(surrogate, Counting(), logits, noise)
        assert torch.isfinite(found.gradient).all()
