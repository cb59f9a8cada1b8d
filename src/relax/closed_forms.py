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
from torch.nn.functional import binary_cross_entropy_with_logits, elu

from relax import products


class Activation(NamedTuple):
    """φ, and its derivatives as functions of the input a and the output h."""

    function: Callable
    derivative: Callable
    second_derivative: Callable | None  # None: zero


ACTIVATIONS = {
    "tanh": Activation(torch.tanh, lambda a, h: 1 - h * h, lambda a, h: -2 * h * (1 - h * h)),
    # Of h >= 0 the sign is 1[a > 0], and much faster than a comparison and its conversion.
    "relu": Activation(torch.relu, lambda a, h: torch.sign(h), None),
    "elu": Activation(
        elu,
        lambda a, h: torch.where(a > 0, 1.0, h + 1),
        lambda a, h: torch.where(a > 0, 0.0, h + 1),
    ),
}


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
        parameters: weight and bias of each layer in turn, stacked as in `relax.replicas`.
        activation: `Activation`, between the layers.
        z: [replica, batch, latent].
        context: [replica, batch, feature], a constant; or None.
        x: binary, [replica, batch, output]; None for the value a_K, of one output.

    Attributes:
        value: r, [replica, batch].
        slope: ∂r/∂z, [replica, batch, latent].
    """

    _affine = staticmethod(products.affine)

    def __init__(self, parameters, activation, z, context=None, x=None):
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
        self.betas, self.deltas = [], [delta]
        for k in reversed(range(len(self.weights))):
            self.betas.insert(0, self._down(self.deltas[0], k))
            if k:
                self.deltas.insert(0, self.betas[0] * self.slopes[k - 1])
        self.slope = self.betas[0].expand_as(z)

    def second(self, v, g=None, learns=False, of_z=True):
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
        gradients, below = [], None
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

    def bilinear(self, v, u):
        """v·(∂²r/∂z²) u, for v and u like z: [replica, batch].

        Both tangents go up in one product a layer; none goes down. With s_k of v, s'_k of u it is

            Σ_k φ''(a_k) ⊙ β_k ⊙ s_k ⊙ s'_k + σ'(a_K) ⊙ s_K ⊙ s'_K, summed over units.
        """
        tangents, bends = torch.cat([v, u], -2), []
        last, second = len(self.weights) - 1, self.activation.second_derivative
        for k in range(last):
            s, other = self._up(tangents, k).chunk(2, -2)
            if second:
                bends.append(second(self.a[k], self.h[k + 1]) * self.betas[k + 1] * s * other)
            tangents = torch.cat([s * self.slopes[k], other * self.slopes[k]], -2)
        if self.x is not None:
            s, other = self._up(tangents, last).chunk(2, -2)
            bends.append(self._spread() * s * other)
        return sum(bend.sum(-1) for bend in bends)

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


class ClosedForm(NamedTuple):
    """A value and slope yet to be computed, and their derivatives.

    Attributes:
        evaluate: () -> (value [replica, batch], slope [replica, batch, latent], derivatives), with
            derivatives(g, v, wanted) those of Σ g value + Σ v·slope in each input, in turn, for g
            and v like the value and the slope; `wanted` says of which inputs they are.
        inputs: tensors; all else that the value is made of counts as constant.
    """

    evaluate: Callable
    inputs: tuple

    def value_and_slope(self):
        """The two, differentiable once in the inputs."""
        return _Differentiable.apply(self.evaluate, *self.inputs)


class _Differentiable(Function):
    @staticmethod
    def forward(ctx, evaluate, *inputs):
        value, slope, ctx.derivatives = evaluate()
        # Other objects than the context holds: an output that it held would hold it in turn.
        return value.detach(), slope.detach()

    @staticmethod
    def backward(ctx, g, v):
        # A graph of it would lack, without a word, what is not written here.
        if torch.is_grad_enabled():
            raise RuntimeError("this closed form can be differentiated once only")
        return None, *ctx.derivatives(g, v, ctx.needs_input_grad[1:])


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
    bilinear: Callable  # v, u -> v·f'' u, [replica, batch]


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

    and that in η is Σ g f + Σ v f' y'.

    Args:
        curved: y -> `Curved` of f there.
        z: [replica, batch, latent], a constant.
        log_temperature: log λ, [replica, 1, 1].
        scale: η, [replica, 1].
    """

    def evaluate():
        inverse = torch.exp(-log_temperature)
        s = z * inverse
        y = torch.sigmoid(s)
        dy = torch.addcmul(y, y, y, value=-1).mul_(inverse)
        f = curved(y)
        slope = f.slope * dy

        def derivatives(g, v, wanted):
            along = v * slope
            each = torch.addcmul(along, along, torch.addcmul(s, y, s, value=-2))  # s - 2 y s
            each.addcmul_(g.unsqueeze(-1) * z, slope)
            in_log = each.sum((-2, -1)) + f.bilinear(v * dy, dy * z).sum(-1)
            in_scale = (g * f.value).sum(-1) + along.sum((-2, -1))
            return in_log.view_as(log_temperature) * -scale.unsqueeze(-1), in_scale.view_as(scale)

        return f.value * scale, slope * scale.unsqueeze(-1), derivatives

    return ClosedForm(evaluate, (log_temperature, scale))
