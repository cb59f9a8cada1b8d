"""`relax.Expectation` over every kind of latents, given as logits or as a distribution."""

import pytest
import torch
from torch import distributions
from unit.plain import LOGITS, cost

import relax

CHOICE = torch.tensor([[0.5, -0.2, 0.1, 0.0], [-0.7, 0.3, 0.9, -0.1]], dtype=torch.float64)
NORMAL = torch.tensor([0.4, -0.3, -0.5, -0.1], dtype=torch.float64)


def drawn(E, f, given, seed=3):
    torch.manual_seed(seed)
    return E.estimate(f, given)


@pytest.mark.parametrize(
    ("latents", "kind", "logits", "distribution"),
    [
        (3, None, LOGITS, distributions.Bernoulli),
        (4, "categorical", CHOICE, distributions.OneHotCategorical),
        ((2, 4), None, CHOICE, distributions.Categorical),
    ],
)
def test_a_distribution_stands_for_its_logits(latents, kind, logits, distribution):
    f = cost if kind is None and latents == 3 else lambda b: b[..., 0].square().flatten(1).sum(-1)
    if latents == 4:
        f = weights_of_one
    torch.manual_seed(0)
    E = relax.Expectation("relax", latents=latents, kind=kind, dtype=torch.float64)
    given = logits.expand(5, *logits.shape) if latents == (2, 4) else logits
    plain, made = drawn(E, f, given), drawn(E, f, distribution(logits=given))
    torch.testing.assert_close(made.sample, plain.sample)
    torch.testing.assert_close(made.gradient, plain.gradient)
    torch.testing.assert_close(
        drawn(E, f, distributions.Independent(distribution(logits=given), 0)).value, plain.value
    )
    # by probabilities: autograd goes on through them
    p = torch.sigmoid(given) if latents == 3 else torch.softmax(given, -1)
    p = p.clone().requires_grad_()
    torch.manual_seed(3)
    E(f, distribution(probs=p)).sum().backward()
    assert p.grad.isfinite().all()
    assert p.grad.any()


def weights_of_one(b):
    return (b * torch.linspace(-1, 2, 4, dtype=b.dtype)).sum(-1).square()


def test_a_normal_stands_for_its_mean_and_deviation():
    torch.manual_seed(0)
    E = relax.Expectation("lax", latents=2, kind="gaussian", dtype=torch.float64)
    f = lambda b: b.sin().sum(-1)  # noqa: E731
    mean, log_std = NORMAL.chunk(2)
    loc, scale = mean.clone().requires_grad_(), log_std.exp().requires_grad_()
    torch.testing.assert_close(
        drawn(E, f, distributions.Normal(loc, scale)).gradient, drawn(E, f, NORMAL).gradient
    )
    torch.manual_seed(3)
    E(f, distributions.Normal(loc, scale)).backward()
    gradient = drawn(E, f, NORMAL).gradient
    torch.testing.assert_close(loc.grad, gradient[:2])
    torch.testing.assert_close(scale.grad, gradient[2:] / scale.detach())


def test_the_cost_sees_plain_shapes():
    shapes = []

    def f(b):
        shapes.append(tuple(b.shape))
        return b.flatten(2).sum(-1)

    E = relax.Expectation("rebar", latents=(20, 10))
    value = E(f, torch.zeros(2, 3, 20, 10, requires_grad=True))
    assert value.shape == (2, 3)
    assert set(shapes) == {(2, 3, 20, 10)}
    one_hot = E.estimate(f, torch.zeros(2, 3, 20, 10)).sample
    assert torch.equal(one_hot.sum(-1), torch.ones(2, 3, 20))


@pytest.mark.parametrize("name", ["reinforce", "concrete", "muprop", "nvil"])
def test_certain_latents(name):
    """Probabilities of exactly 0 and 1: b is what it must be, and their gradient is zero."""
    inf = torch.inf
    alpha = torch.tensor([inf, -inf, 0.3], dtype=torch.float64).requires_grad_()
    torch.manual_seed(0)
    E = relax.Expectation(name, latents=3, dtype=torch.float64)
    E(cost, alpha.expand(20, 3)).sum().backward()
    assert alpha.grad.isfinite().all()
    assert not alpha.grad[:2].any()
    assert alpha.grad[2]
    assert all(p.grad is None or p.grad.isfinite().all() for p in E.parameters())
    sample = E.estimate(cost, alpha.expand(20, 3)).sample
    assert sample[:, 0].all()
    assert not sample[:, 1].any()
    masked = torch.tensor([0.0, -inf, 0.0, 0.5], dtype=torch.float64).requires_grad_()
    E = relax.Expectation(name, latents=4, kind="categorical", dtype=torch.float64)
    E(weights_of_one, masked.expand(50, 4)).sum().backward()
    assert masked.grad.isfinite().all()
    assert masked.grad[1] == 0
    assert not E.estimate(weights_of_one, masked.expand(50, 4)).sample[:, 1].any()
