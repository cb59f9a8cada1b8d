"""A multilayer perceptron's value and slope, and the derivatives of both, written out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    elu,
    gelu,
    leaky_relu,
    silu,
    softplus,
)

from relax.numerics import products

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


SLOPE = 0.3  # of leaky ReLUs below zero, as in the networks of the newer papers


class Activation(NamedTuple):
    """φ, and its derivatives as functions of the input a and the output h."""

    function: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor, Tensor], Tensor]
    second_derivative: Callable[[Tensor, Tensor], Tensor] | None  # None: zero


# Named, so that a surrogate can be pickled.
def _tanh_slope(a, h):
    return 1 - h * h


def _tanh_bend(a, h):
    return -2 * h * (1 - h * h)


def _relu_slope(a, h):
    # Of h >= 0 the sign is 1[a > 0], and much faster than a comparison and its conversion.
    return torch.sign(h)


def _elu_slope(a, h):
    return torch.where(a > 0, 1.0, h + 1)


def _elu_bend(a, h):
    return torch.where(a > 0, 0.0, h + 1)


def _leaky_relu(a):
    return leaky_relu(a, SLOPE)


def _leaky_relu_slope(a, h):
    return torch.where(a > 0, torch.ones_like(a), SLOPE)


def _sigmoid_slope(a, h):
    return h - h * h


def _sigmoid_bend(a, h):
    return (h - h * h) * (1 - 2 * h)


def _softplus_slope(a, h):
    return torch.sigmoid(a)


def _softplus_bend(a, h):
    return torch.sigmoid(a) * torch.sigmoid(-a)


def _silu_slope(a, h):
    return torch.sigmoid(a) + h * torch.sigmoid(-a)


def _silu_bend(a, h):
    return torch.sigmoid(a) * torch.sigmoid(-a) * (2 + a - 2 * h)


def _gelu_slope(a, h):
    return torch.special.ndtr(a) + a * _density(a)


def _gelu_bend(a, h):
    return (2 - a * a) * _density(a)


def _density(a):
    """That of the standard normal distribution."""
    return torch.exp(-0.5 * a * a) / math.sqrt(2 * math.pi)


ACTIVATIONS = {
    "tanh": Activation(torch.tanh, _tanh_slope, _tanh_bend),
    "relu": Activation(torch.relu, _relu_slope, None),
    "elu": Activation(elu, _elu_slope, _elu_bend),
    "leaky_relu": Activation(_leaky_relu, _leaky_relu_slope, None),
    "sigmoid": Activation(torch.sigmoid, _sigmoid_slope, _sigmoid_bend),
    "softplus": Activation(softplus, _softplus_slope, _softplus_bend),
    "silu": Activation(silu, _silu_slope, _silu_bend),
    "gelu": Activation(gelu, _gelu_slope, _gelu_bend),
}


class Perceptron:
    """A pass forwards and back through a multilayer perceptron; no tape is kept.

    With h_0 = [context, z], a_k = h_{k-1} W_k + bias_k, h_k = φ(a_k), and as its value r the output
    a_K itself, or the Bernoulli error e = -log Bernoulli(x; σ(a_K)) summed over x, the slopes are

        β_k = ∂r/∂h_k = δ_{k+1} W_{k+1}ᵀ,    δ_k = ∂r/∂a_k = β_k ⊙ φ'(a_k),   δ_K = 1 or σ(a_K) - x.

    `second(v, g)` differentiates Σ g r + Σ v·∂r/∂z. There v·∂r/∂z is the tangent of r along v: with
    the tangents t_0 = [0, v], s_k = t_{k-1} W_k, t_k = φ'(a_k) ⊙ s_k, the derivatives are

        in W_k:     (g h_{k-1} + t_{k-1})ᵀ δ_k + h_{k-1}ᵀ e_k
        in bias_k:  Σ_batch (g δ_k + e_k)
        in z:       g ∂r/∂z + e_1 W_1ᵀ

        e_k = φ''(a_k) ⊙ s_k ⊙ β_k + φ'(a_k) ⊙ (e_{k+1} W_{k+1}ᵀ),    e_K = 0 or σ'(a_K) ⊙ s_K.

    Args:
        parameters: weight and bias of each layer in turn, stacked as in `relax.numerics.replicas`.
        activation: `Activation`, between the layers.
        z: [replica, batch, latent].
        context: [replica, batch, feature], a constant; or None.
        x: binary, [replica, batch, output]; None for the value a_K, of one output.

    Attributes:
        value: r, [replica, batch].
        slope: ∂r/∂z, [replica, batch, latent].
    """

    _affine = staticmethod(products.affine)

    def __init__(
        self,
        parameters: Sequence[Tensor],
        activation: Activation,
        z: Tensor,
        context: Tensor | None = None,
        x: Tensor | None = None,
    ) -> None:
        self.weights, self.activation, self.x = list(parameters[::2]), activation, x
        self.latents = z.shape[-1]
        biases = parameters[1::2]
        self.h = [z if context is None else torch.cat([context, z], -1)]
        self.a, self.slopes = [], []
        for weight, bias in zip(self.weights[:-1], biases[:-1], strict=True):
            a = self._affine(bias, self.h[-1], weight)
            self.h.append(activation.function(a))
            self.a.append(a)
            self.slopes.append(activation.derivative(a, self.h[-1]))
        output = self._affine(biases[-1], self.h[-1], self.weights[-1])
        if context is not None:
            # From here on only the rows that z meets: context is constant.
            self.weights[0] = self.weights[0][..., -self.latents :, :]
        if x is None:
            self.value = output.squeeze(-1)
            delta = None  # of a number in itself: 1
        else:
            self.value = binary_cross_entropy_with_logits(output, x, reduction="none").sum(-1)
            self.theta = torch.sigmoid(output)
            delta = self.theta - x
        self.betas: list[Tensor] = []
        self.deltas: list[Tensor | None] = [delta]
        for k in reversed(range(len(self.weights))):
            self.betas.insert(0, self._down(self.deltas[0], k))
            if k:
                self.deltas.insert(0, self.betas[0] * self.slopes[k - 1])
        self.slope = self.betas[0].expand_as(z)

    def second(
        self, v: Tensor, g: Tensor | None = None, learns: bool = False, of_z: bool = True
    ) -> tuple[Tensor | None, list[Tensor]]:
        """The derivatives of Σ g r + Σ v·∂r/∂z, for v like z and g [replica, batch].

        Args:
            g: None for zero: then the derivative in z is (∂²r/∂z²) v.
            learns: whether those in the parameters are wanted, for which g is needed.
            of_z: whether that in z is.

        Returns:
            The derivative in z, or None; and a list, for each parameter in turn.
        """
        g = None if g is None else g.unsqueeze(-1)
        tangents, bends = self._bend(v)
        gradients: list[Tensor] = []
        below = None
        for k in reversed(range(len(bends))):
            e = bends[k]
            if below is not None:
                e = below * self.slopes[k] if e is None else e.addcmul_(below, self.slopes[k])
            if learns:
                gradients = [*self._in_parameters(k, g, tangents[k], e), *gradients]
            below = self._down(e, k) if e is not None and (k or of_z) else None
        if of_z and g is not None:
            below = g * self.slope if below is None else below.addcmul_(g, self.slope)
        return below, gradients

    def _spread(self):
        """σ'(a_K)."""
        return torch.addcmul(self.theta, self.theta, self.theta, value=-1)

    def _bend(self, v):
        """The tangents t_k, and of every e_k the part that is layer k's own; None for zero."""
        last = len(self.weights) - 1
        tangents, bends = [v], []
        for k in range(last):
            s = self._up(tangents[k], k)
            tangents.append(s * self.slopes[k])
            second = self.activation.second_derivative
            bends.append(second and second(self.a[k], self.h[k + 1]) * s * self.betas[k + 1])
        bend = None
        if self.x is not None:
            bend = self._up(tangents[last], last).mul_(self._spread())
        return tangents, [*bends, bend]

    def _in_parameters(self, k, g, tangent, e):
        h, delta = self.h[k], self.deltas[k]
        if h.shape == tangent.shape:
            factor = torch.addcmul(tangent, g, h)
        else:  # of the context there is no tangent
            factor = g * h
            factor[..., -self.latents :].add_(tangent)
        if delta is None:
            return factor.sum(1).unsqueeze(-1), g.sum(1, keepdim=True)
        in_weight = products.in_weight(factor, delta)
        in_bias = torch.bmm(g.transpose(1, 2), delta)
        if e is not None:
            in_weight.baddbmm_(h.transpose(1, 2), e)
            in_bias += e.sum(1, keepdim=True)
        return in_weight, in_bias

    def _up(self, tangent, k):
        return products.up(tangent, self.weights[k])

    def _down(self, slope, k):
        return self.weights[k].mT if slope is None else products.down(slope, self.weights[k])
