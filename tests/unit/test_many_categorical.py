"""Many categorical variables in one row: each block is what one variable alone would be."""

import itertools

import pytest
import torch
from statistical.test_unbiased import SEEDS

import relax
from relax import Categorical, Noise, SurrogateSpec, uniform_noise
from relax.errors import ArgumentError, ConfigError

ONE = Categorical()
SHAPES = [(2, 3), (8, 4), (20, 10)]
KINDS = ("independent", "coupled")
CATEGORICAL = relax.estimator_names(kind="categorical")


def problem(variables, outcomes, batch=5):
    """Logits and noise u, v: [replica, batch, variables x outcomes]."""
    width = variables * outcomes
    u, v = uniform_noise(SEEDS, "noise", 0, (2, batch, width)).unbind(1)
    return 3 * (uniform_noise(SEEDS, "noise", 1, (batch, width)) - 0.5), u, v


def cost(b):
    w = torch.linspace(-1.5, 1, b.shape[-1], dtype=b.dtype)
    return torch.sin(2 * (b * w).sum(-1)) + (b * b * w.flip(-1)).sum(-1) + 0.5


@pytest.mark.parametrize(("variables", "outcomes"), SHAPES)
def test_every_verb_treats_each_variable_as_if_it_were_alone(variables, outcomes):
    many, (logits, u, v) = Categorical(variables=variables), problem(variables, outcomes)
    inverse = torch.tensor([1.5, 0.7], dtype=torch.float64).view(2, 1, 1)
    slope = torch.cos(7 * u)

    def verbs(relaxation, logits, u, v, slope):
        draw = relaxation.draw(logits, Noise(u, v))
        coupled = relaxation.draw(logits, Noise(u))
        value, mean = relaxation.relax(draw.z, inverse), relaxation.mean(logits)
        return [
            *draw,
            coupled.dz_tilde,
            relaxation.pull_back(logits, draw.z, slope),
            mean,
            relaxation.pull_back_mean(mean, slope),
            value,
            relaxation.relax_derivative(value, inverse)(slope),
        ], [relaxation.entropy(logits), relaxation.log_prob(logits, draw.b)]

    together, sums = verbs(many, logits, u, v, slope)
    blocks = [x.split(outcomes, -1) for x in (logits, u, v, slope)]
    alone = [verbs(ONE, *block) for block in zip(*blocks, strict=True)]
    for found, *parts in zip(together, *(block for block, _ in alone), strict=True):
        torch.testing.assert_close(found, torch.cat(parts, -1), rtol=1e-14, atol=1e-15)
    for found, *parts in zip(sums, *(total for _, total in alone), strict=True):
        torch.testing.assert_close(found, sum(parts))
    b = together[1].unflatten(-1, (variables, outcomes))
    assert torch.equal(b.sum(-1), torch.ones_like(b[..., 0]))
    assert len({tuple(row.argmax(-1).tolist()) for row in b.flatten(0, 1)}) > 1


@pytest.mark.parametrize(("variables", "outcomes"), SHAPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [n for n in CATEGORICAL if n != "exact"])
def test_every_estimator_takes_them_flat_or_with_an_axis_of_variables(
    name, kind, variables, outcomes
):
    """And f is then asked in the shape of the logits; φ learns from either."""
    logits, _, _ = problem(variables, outcomes)
    many, shape = Categorical(variables, outcomes), (variables, outcomes)
    spec = SurrogateSpec(
        latents=variables * outcomes, hidden=(5,), add_relaxed_cost=True, relaxation=many
    )
    estimator = relax.load_estimator(name)
    surrogate = estimator.surrogate(spec, relax.parameter_generators(SEEDS))
    rows = estimator.samples(spec) * logits.shape[1]
    u, v = uniform_noise(SEEDS, "noise", 2, (2, rows, logits.shape[-1])).unbind(1)
    noise = Noise(u, v if kind == "independent" else None)
    flat = estimator.estimate(surrogate, cost, logits, noise, relaxation=many)

    def by_variable(b):
        assert b.shape[-2:] == shape
        return cost(b.flatten(-2))

    cut = [x if x is None else x.unflatten(-1, shape) for x in noise]
    deep = estimator.estimate(
        surrogate, by_variable, logits.unflatten(-1, shape), Noise(*cut), relaxation=many
    )
    assert torch.equal(deep.sample.flatten(-2), flat.sample)
    assert torch.equal(deep.gradient.flatten(-2), flat.gradient)
    assert torch.equal(deep.cost, flat.cost)
    assert flat.gradient.shape == logits.shape
    each = flat.gradient.unflatten(-1, shape).sum(-1)
    torch.testing.assert_close(each, torch.zeros_like(each), rtol=0, atol=1e-12)
    parameters = surrogate.learned_parameters()
    if parameters:
        objective = estimator.objective(deep).sum()
        assert all(map(torch.is_tensor, torch.autograd.grad(objective, parameters)))


def test_enumeration_is_the_derivative_of_the_expectation():
    logits, _, _ = problem(2, 3, batch=1)
    free = logits.clone().requires_grad_()
    theta = torch.softmax(free.unflatten(-1, (2, 3)), -1)
    one_hot = torch.eye(3, dtype=torch.float64)
    expectation = sum(
        (theta[..., 0, i] * theta[..., 1, j] * cost(torch.cat([one_hot[i], one_hot[j]]))).sum()
        for i, j in itertools.product(range(3), repeat=2)
    )
    (expected,) = torch.autograd.grad(expectation, free)
    many = Categorical(variables=2)
    torch.testing.assert_close(relax.enumerate_gradient(cost, logits, many), expected)
    deep = relax.enumerate_gradient(
        lambda b: cost(b.flatten(-2)), logits.unflatten(-1, (2, 3)), many
    )
    torch.testing.assert_close(deep.flatten(-2), expected)


def test_enumeration_of_too_many_values_is_refused():
    with pytest.raises(ConfigError, match=r"at most 65536; 10\^20 are too many"):
        relax.enumerate_gradient(cost, problem(20, 10)[0], Categorical(variables=20))
    states = Categorical(variables=8).states(problem(8, 4, batch=1)[0])  # 4^8 = 65536
    assert torch.equal(next(states)[0].sum(-1), torch.full((2, 1), 8.0, dtype=torch.float64))


def test_shapes_that_do_not_fit_are_refused():
    logits, u, _ = problem(4, 3)
    reinforce = relax.load_estimator("reinforce")

    def estimate(logits, relaxation):
        return reinforce.estimate(None, cost, logits, Noise(u), relaxation=relaxation)

    with pytest.raises(ArgumentError, match=r"Categorical\(variables=5\) has 5 x .* got 12"):
        estimate(logits, Categorical(variables=5))
    with pytest.raises(ArgumentError, match=r"variables=4, outcomes=2\) has 4 x 2 .* got 12"):
        estimate(logits, Categorical(4, 2))
    # What used to be a batch of four without a word.
    with pytest.raises(ArgumentError, match=r"4 categorical variables of 3 outcomes.*variables=4"):
        estimate(logits.unflatten(-1, (4, 3)), Categorical())
    with pytest.raises(ArgumentError, match=r"variables=4\) has 4 x outcomes logits .* got 10"):
        SurrogateSpec(latents=10, relaxation=Categorical(variables=4))
