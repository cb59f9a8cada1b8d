"""Derivatives written out where automatic differentiation would take most of a step's time.

A surrogate gives an estimator its value and its slope, and learns from their derivatives: second
derivatives of its value. Here they are in closed form for multilayer perceptrons, and for a cost at
a relaxed value, so that a training step costs its matrix products and little more.
`tests/unit/test_closed_forms.py` holds all of it to automatic differentiation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.autograd import Function

from relax.errors import ArgumentError
from relax.surrogates.perceptron import Perceptron

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from torch import Tensor

    from relax.numerics.signatures import Cost, Derivatives, Pair
    from relax.surrogates.perceptron import Activation


NO_SLOPE = (
    "the cost cannot be differentiated in b (it leaves torch, detaches or rounds what it is "
    "given), and this estimator needs its slope; reinforce, nvil, and relax with its network alone "
    "(add_relaxed_cost off) need none"
)


def differentiate(function: Cost, value: Tensor, refusal: str = NO_SLOPE) -> Pair:
    """A function's value [replica, batch] and slope [replica, batch, latent], by the tape.

    The slope carries a graph, to `value` and to what the function is made of, where the value has
    one and the caller's grad mode is on. In inference mode, the tape runs all the same.

    Args:
        refusal: what to say of a function that does not depend on the value in torch.

    Raises:
        ArgumentError: the function cannot be differentiated in the value.
    """
    if torch.is_inference_mode_enabled():
        with torch.inference_mode(False), torch.no_grad():
            return differentiate(function, value.clone(), refusal)
    keep_graph = torch.is_grad_enabled() and value.requires_grad
    with torch.enable_grad():
        value = value if keep_graph else value.detach().requires_grad_()
        try:
            result = function(value)
        except RuntimeError as error:
            _explain(error, refusal)
            raise
        slope = None
        if result.requires_grad:
            (slope,) = torch.autograd.grad(
                result.sum(), value, create_graph=keep_graph, allow_unused=True
            )
    if slope is None:
        raise ArgumentError(refusal)
    return (result, slope) if keep_graph else (result.detach(), slope)


def _explain(error, refusal):
    """Say what torch's own words mean here, if they are known."""
    if "on Tensor that requires grad" in str(error):
        raise ArgumentError(refusal) from error
    if "Inference tensors cannot be saved" in str(error):
        raise ArgumentError(
            "the cost is made of tensors from torch.inference_mode(), through which its slope "
            "cannot be taken: make them under torch.no_grad() instead"
        ) from error


class ClosedForm(NamedTuple):
    """A value and slope yet to be computed, and their derivatives.

    Attributes:
        evaluate: () -> (value [replica, batch], slope [replica, batch, latent], derivatives), to be
            called without a tape, with derivatives(g, v, wanted) those of Σ g value + Σ v·slope in
            each input, in turn, for g and v like the value and the slope; `wanted` says of which
            inputs they are.
        inputs: tensors; all else that the value is made of counts as constant.
    """

    evaluate: Callable[[], tuple[Tensor, Tensor, Derivatives]]
    inputs: tuple[Tensor, ...]

    def value_and_slope(self) -> Pair:
        """The two, differentiable once in the inputs."""
        with torch.no_grad():
            value, slope, derivatives = self.evaluate()
        return differentiable((value, slope), derivatives, self.inputs)


def differentiable(
    values: tuple[Tensor, ...], derivatives: Derivatives, inputs: Sequence[Tensor]
) -> Any:
    """The values with a graph to the inputs, once: derivatives(*weights, wanted), in turn.

    The weights are one for each value, and what is differentiated the sum of all their products;
    `wanted` says of which inputs the derivatives are.
    """
    return _Differentiable.apply(values, derivatives, *inputs)


class _Differentiable(Function):
    @staticmethod
    def forward(ctx, values, derivatives, *inputs):
        ctx.derivatives = derivatives
        # Other objects than the derivatives hold: an output held by its own graph would stay.
        return tuple(value.detach() for value in values)

    @staticmethod
    def backward(ctx, *weights):
        # A graph of it would lack, without a word, what is not written here.
        if torch.is_grad_enabled():
            raise ArgumentError(
                "an estimate can be differentiated in φ once only: second derivatives through it "
                "are not supported (leave out create_graph)"
            )
        return None, None, *ctx.derivatives(*weights, ctx.needs_input_grad[2:])


def sum_form(first: ClosedForm, second: ClosedForm) -> ClosedForm:
    """The sum of two closed forms, as one: the tape has one function for both."""

    def evaluate():
        value, slope, derivatives = first.evaluate()
        other, other_slope, others = second.evaluate()

        def both(g, v, wanted):
            split = len(first.inputs)
            return *derivatives(g, v, wanted[:split]), *others(g, v, wanted[split:])

        return value + other, slope + other_slope, both

    return ClosedForm(evaluate, (*first.inputs, *second.inputs))


def network_form(
    layers: Iterable[Any],
    activation: Activation,
    z: Tensor,
    context: Tensor | None = None,
    perceptron: type[Perceptron] = Perceptron,
) -> ClosedForm:
    """The output r of a multilayer perceptron of [context, z], and ∂r/∂z.

    Its inputs are z and the layers' parameters.

    Args:
        layers: `relax.numerics.replicas.StackedLinear` each; the last has one output.
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


class Relaxed(NamedTuple):
    """A cost at a relaxed value y, and the tangents: how both change with log λ, or None."""

    value: torch.Tensor  # f(y), [replica, batch]
    slope: torch.Tensor  # ∂f/∂y, [replica, batch, latent]
    value_tangent: torch.Tensor | None = None  # like the value
    slope_tangent: torch.Tensor | None = None  # like the slope


def relaxed_form(
    relaxed: Callable[..., Relaxed], z: Tensor, log_temperature: Tensor, scale: Tensor
) -> ClosedForm:
    """c(z) = η f(σ(z/λ)) and ∂c/∂z; its inputs are log λ and η.

    With s = z/λ, y = σ(s) and y' = ∂y/∂z = y (1 - y) / λ the slope is η ∂f/∂y y'. Written D, the
    tangents, derivatives in log λ, are

        Dy = -y' z,    Dy' = -y' [1 + (1 - 2y) s]

    and those of f and of ∂f/∂y are the cost's to give. λ is one number, so that they are known with
    the value, before it is known what of. Of Σ g c + Σ v·∂c/∂z the derivatives are

        in log λ:  η Σ [g Df + v·(D(∂f/∂y) y' + ∂f/∂y Dy')]
        in η:      Σ [g f + v·(∂f/∂y y')].

    Args:
        relaxed: (y, 1/λ, Dy) -> `Relaxed` of f there; Dy is None where λ is not learned.
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
        f = relaxed(y, inverse, -dy * z if learns else None)
        slope = f.slope * dy

        def derivatives(g, v, wanted):
            in_log = None
            if wanted[0]:
                bend = torch.addcmul(s, y, s, value=-2).add_(1)  # -Dy' / y'
                assert f.slope_tangent is not None
                tangent = torch.addcmul(f.slope_tangent * dy, slope, bend, value=-1)
                in_log = (g * f.value_tangent).sum(-1) + (v * tangent).sum((-2, -1))
                in_log = in_log.view_as(log_temperature) * scale.unsqueeze(-1)
            in_scale = (g * f.value).sum(-1) + (v * slope).sum((-2, -1))
            return in_log, in_scale.view_as(scale)

        return f.value * scale, slope * scale.unsqueeze(-1), derivatives

    return ClosedForm(evaluate, (log_temperature, scale))
