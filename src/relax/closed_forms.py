"""Derivatives written out where automatic differentiation would take most of a step's time.

A surrogate gives an estimator its value and its slope, and learns from their derivatives: second
derivatives of its value. Here they are in closed form for multilayer perceptrons, and for a cost at
a relaxed value, so that a training step costs its matrix products and little more.
`tests/unit/test_closed_forms.py` holds all of it to automatic differentiation.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.autograd import Function

from relax.perceptron import Perceptron


def differentiate(function, value):
    """A function's value [replica, batch] and slope [replica, batch, latent], by the tape.

    The slope carries a graph, to `value` and to what the function is made of, where the value has
    one and the caller's grad mode is on.
    """
    keep_graph = torch.is_grad_enabled() and value.requires_grad
    with torch.enable_grad():
        value = value if keep_graph else value.detach().requires_grad_()
        result = function(value)
        (slope,) = torch.autograd.grad(result.sum(), value, create_graph=keep_graph)
    return (result, slope) if keep_graph else (result.detach(), slope)


class ClosedForm(NamedTuple):
    """A value and slope yet to be computed, and their derivatives.

    Attributes:
        evaluate: () -> (value [replica, batch], slope [replica, batch, latent], derivatives), to be
            called without a tape, with derivatives(g, v, wanted) those of Σ g value + Σ v·slope in
            each input, in turn, for g and v like the value and the slope; `wanted` says of which
            inputs they are.
        inputs: tensors; all else that the value is made of counts as constant.
    """

    evaluate: Callable
    inputs: tuple

    def value_and_slope(self):
        """The two, differentiable once in the inputs."""
        with torch.no_grad():
            value, slope, derivatives = self.evaluate()
        return differentiable(value, slope, derivatives, self.inputs)


def differentiable(value, slope, derivatives, inputs):
    """A value and slope with a graph to the inputs, through the derivatives of a `ClosedForm`."""
    return _Differentiable.apply(value, slope, derivatives, *inputs)


class _Differentiable(Function):
    @staticmethod
    def forward(ctx, value, slope, derivatives, *inputs):
        ctx.derivatives = derivatives
        # Other objects than the derivatives hold: an output held by its own graph would stay.
        return value.detach(), slope.detach()

    @staticmethod
    def backward(ctx, g, v):
        # A graph of it would lack, without a word, what is not written here.
        if torch.is_grad_enabled():
            raise RuntimeError("this closed form can be differentiated once only")
        return None, None, None, *ctx.derivatives(g, v, ctx.needs_input_grad[3:])


def sum_form(first, second):
    """The sum of two closed forms, as one: the tape has one function for both."""

    def evaluate():
        value, slope, derivatives = first.evaluate()
        other, other_slope, others = second.evaluate()

        def both(g, v, wanted):
            split = len(first.inputs)
            return *derivatives(g, v, wanted[:split]), *others(g, v, wanted[split:])

        return value + other, slope + other_slope, both

    return ClosedForm(evaluate, (*first.inputs, *second.inputs))


def network_form(layers, activation, z, context=None, perceptron=Perceptron):
    """The output r of a multilayer perceptron of [context, z], and ∂r/∂z.

    Its inputs are z and the layers' parameters.

    Args:
        layers: `relax.replicas.StackedLinear` each; the last has one output.
        activation, z, context: as in `Perceptron`.
    """
    parameters = [p for layer in layers for p in (layer.weight, layer.bias)]

    def evaluate():
        at = perceptron(parameters, activation, z, context)

        def derivatives(g, v, wanted):
            in_z, gradients = at.second(v, g, learns=True, of_z=wanted[0])
            return in_z, *gradients

        return at.value, at.slope, derivatives

    return ClosedForm(evaluate, (z, *parameters))


class Curved(NamedTuple):
    """A function at a point: its value and slope, and its curvature f'' along vectors."""

    value: torch.Tensor  # [replica, batch]
    slope: torch.Tensor  # [replica, batch, latent]
    product: Callable  # v -> f'' v, [replica, batch, latent]
    along: torch.Tensor | None = None  # f'' t of a t that was given with the point


def curved_form(curved, value):
    """f and ∂f/∂value of a function that gives its `Curved`; the input is the value."""

    def evaluate():
        at = curved(value)

        def derivatives(g, v, wanted):
            return (at.product(v).addcmul(g.unsqueeze(-1), at.slope),)

        return at.value, at.slope, derivatives

    return ClosedForm(evaluate, (value,))


def relaxed_form(curved, z, log_temperature, scale):
    """c(z) = η f(σ(z/λ)) and ∂c/∂z; its inputs are log λ and η.

    With y = σ(z/λ) and y' = y (1 - y) / λ the slope is η f'(y) y'. What is differentiated is
    Σ g c + Σ v·∂c/∂z; with s = z/λ, ∂y/∂(log λ) = -y' z and ∂y'/∂(log λ) = -y' [1 + (1 - 2y) s],
    the derivative in log λ is

        -η Σ [(y' v)·f'' (y' z) + (g z + v (1 + (1 - 2y) s)) f' y'],

    and that in η is Σ g f + Σ v f' y'. The curvature is wanted along y' z alone, which is known
    with the point.

    Args:
        curved: (y, t) -> `Curved` of f at y, along t; t is None where λ is not learned.
        z: [replica, batch, latent], a constant.
        log_temperature: log λ, [replica, 1, 1].
        scale: η, [replica, 1].
    """
    learns = torch.is_grad_enabled() and log_temperature.requires_grad

    def evaluate():
        inverse = torch.exp(-log_temperature)
        s = z * inverse
        y = torch.sigmoid(s)
        dy = torch.addcmul(y, y, y, value=-1).mul_(inverse)
        f = curved(y, dy * z if learns else None)
        slope = f.slope * dy

        def derivatives(g, v, wanted):
            along = v * slope
            each = torch.addcmul(along, along, torch.addcmul(s, y, s, value=-2))  # s - 2 y s
            each.addcmul_(g.unsqueeze(-1) * z, slope)
            each.addcmul_(v * dy, f.along)
            in_log = each.sum((-2, -1), keepdim=True) * -scale.unsqueeze(-1)
            in_scale = (g * f.value).sum(-1, keepdim=True) + along.sum((-2, -1)).unsqueeze(-1)
            return in_log, in_scale

        return f.value * scale, slope * scale.unsqueeze(-1), derivatives

    return ClosedForm(evaluate, (log_temperature, scale))
