"""A decoder's error in closed form; of a linear one, at a hard and a relaxed value together.

A linear decoder takes a value v to the logits a = (2v - 1) W + c of the layer below it, x. Its
error, the slope of it and its curvature along t are, with δ = σ(a) - x,

    E = -log Bernoulli(x; σ(a)) = Σ softplus(a) - x a
    ∂E/∂v = 2 δ Wᵀ
    (∂²E/∂v²) t = 4 [σ'(a) ⊙ (t W)] Wᵀ.

A training step wants E at the hard value b, to learn W and c from, and all three at a relaxed v,
with a t that is known beforehand. So upwards b, v and t are three minibatches of one product, and
downwards δ and σ'(a) ⊙ t W two: fewer and larger products take less time.
"""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from relax.numerics import products
from relax.surrogates.closed_forms import differentiable
from relax.surrogates.perceptron import ACTIVATIONS, Perceptron

TANH = ACTIVATIONS["tanh"]


class LinearError:
    """E at a value, with its derivatives there; no tape is kept.

    Args:
        weight, bias: W, [replica, latent, pixel], and c, [replica, 1, pixel].
        x: binary, [replica, batch, pixel].
        value: v, [replica, batch, latent].
        beside: b, like v, where E is wanted there too (`at_beside`).
        along: t, like v, where the curvature along it is wanted.

    Attributes:
        value: E, [replica, batch].
        slope: ∂E/∂v, like v.
        along: (∂²E/∂v²) t, like v, or None.
    """

    _affine, _down = staticmethod(products.affine), staticmethod(products.down)
    _in_weight = staticmethod(products.in_weight)

    def __init__(self, weight, bias, x, value, beside=None, along=None):
        self.weight, self.bias = weight, bias
        batch = value.shape[-2]
        values = [value] if beside is None else [beside, value]
        rows = len(values) * batch
        h = torch.cat(values if along is None else [*values, along], -2).mul_(2)
        h[..., :rows, :].sub_(1)
        a = self._affine(bias, h, weight)
        if along is not None:
            a, tangent = a[..., :rows, :], a[..., rows:, :] - bias
        x = x if beside is None else torch.cat([x, x], -2)
        error = binary_cross_entropy_with_logits(a, x, reduction="none").sum(-1)
        theta = torch.sigmoid(a)
        delta = theta - x
        self.value = error[..., rows - batch :]
        d, theta = delta[..., rows - batch :, :], theta[..., rows - batch :, :]
        if along is None:
            self.slope, self.along = self._down(d, weight).mul_(2), None
        else:
            # The tangent is that of 2t already: another 2 for each.
            spread = torch.addcmul(theta, theta, theta, value=-1)
            d = torch.cat([d, spread.mul_(tangent)], -2)
            self.slope, self.along = self._down(d, weight).mul_(2).chunk(2, -2)
        if beside is not None:
            self.beside = error[..., :batch], h[..., :batch, :], delta[..., :batch, :]

    def at_beside(self):
        """E at b, [replica, batch], differentiable once in W and c."""
        value, h, delta = self.beside

        def derivatives(g, wanted):
            """Of Σ g E: in W, (2b - 1)ᵀ (g δ), and in c, Σ g δ."""
            weighted = delta * g.unsqueeze(-1)
            return self._in_weight(h, weighted), weighted.sum(-2, keepdim=True)

        return differentiable((value,), derivatives, (self.weight, self.bias))[0]


class DeepError:
    """The same for a decoder with hidden layers, at one value: no decoder's gradient, no b.

    Args:
        parameters: weight and bias of each layer in turn; tanh between them.
        x, value, along: as in `LinearError`.
    """

    def __init__(self, parameters, x, value, along=None):
        error = Perceptron(parameters, TANH, 2 * value - 1, x=x)
        self.value, self.slope = error.value, 2 * error.slope
        self.along = None if along is None else error.second(4 * along)[0]
