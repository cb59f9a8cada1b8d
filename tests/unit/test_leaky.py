"""The network whose hidden layer is never stored: the plain one's numbers, to rounding."""

import pytest
import torch
from torch.nn.functional import leaky_relu

from relax.estimators import rodeo
from relax.numerics import leaky
from relax.numerics.leaky import leaky_network
from relax.numerics.replicas import parameter_generators
from relax.surrogates.base import SurrogateSpec

REPLICAS, INPUTS, UNITS, OUTPUTS, POINTS, SLOPE = 3, 2, 7, 2, 50, 0.3
EXACT = {"rtol": 1e-12, "atol": 1e-12}


def plain(x, first, weight, slope):
    """The same with the hidden layer in memory."""
    return weight.mT @ leaky_relu(first[:, :-1].mT @ x + first[:, -1:].mT, slope)


def tensors():
    generator = torch.Generator().manual_seed(0)
    shapes = (INPUTS, POINTS), (INPUTS + 1, UNITS), (UNITS, OUTPUTS), (OUTPUTS, POINTS)
    return [
        torch.randn(REPLICAS, *shape, generator=generator, dtype=torch.float64) for shape in shapes
    ]


def outcomes(network, x, first, weight, d):
    """What comes out, and the derivatives in both layers."""
    learned = [first.requires_grad_(), weight.requires_grad_()]
    out = network(x, *learned, SLOPE)
    return [out.detach(), *torch.autograd.grad(out, learned, d)]


@pytest.mark.parametrize("points", [1, 8, 17, POINTS, 99])
def test_parts_change_nothing(points, monkeypatch):
    """Of one point, of some that do not divide them all, of all, of more than there are."""
    monkeypatch.setattr(leaky, "HELD", 8 * points * UNITS * REPLICAS)
    for found, expected in zip(
        outcomes(leaky_network, *tensors()), outcomes(plain, *tensors()), strict=True
    ):
        torch.testing.assert_close(found, expected, **EXACT)


def test_a_wrong_slope_would_be_seen(monkeypatch):
    """The control: with another slope in the derivatives alone they are others."""
    changed = lambda ctx, d: backward(_Other(ctx), d)  # noqa: E731
    backward = leaky._Network.backward
    monkeypatch.setattr(leaky._Network, "backward", staticmethod(changed))
    found, expected = outcomes(leaky_network, *tensors()), outcomes(plain, *tensors())
    torch.testing.assert_close(found[0], expected[0], **EXACT)
    for one, other in zip(found[1:], expected[1:], strict=True):
        assert not torch.allclose(one, other, rtol=1e-3)


class _Other:
    """A context with another slope."""

    def __init__(self, ctx):
        self.saved_tensors, self.slope = ctx.saved_tensors, 0.2


def test_the_heads_of_rodeo_are_its_networks():
    """And so are their derivatives in all that learns, of pairs of samples and several replicas."""
    surrogate = rodeo.Stein(SurrogateSpec(latents=4), parameter_generators(range(REPLICAS)))
    generator = torch.Generator().manual_seed(1)
    for parameter in surrogate.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    surrogate.network.layers[-1].bias.data.zero_()
    shape = REPLICAS, 6, 5, 9
    change, f, *d = torch.randn(4, *shape, generator=generator, dtype=torch.float64)
    network, learned = surrogate.network, surrogate.learned_parameters()

    def by_hand():
        network.activation = lambda z: leaky_relu(z, surrogate.SLOPE)
        heads = network(torch.stack([change, f], -1).flatten(1, -2)).unflatten(1, shape[1:])
        return heads[..., 0], heads[..., 1] + surrogate.bias

    for one, other in zip(surrogate(change, f), by_hand(), strict=True):
        torch.testing.assert_close(one, other, **EXACT)
    learned = [p for p in learned if p is not surrogate.scales]  # which the network knows not
    found, expected = (
        torch.autograd.grad(heads(), learned, d)
        for heads in (lambda: surrogate(change, f), by_hand)
    )
    assert len(found) == len(expected) == len(learned)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, **EXACT)
