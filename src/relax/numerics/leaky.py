"""A network with one hidden layer of leaky ReLUs, which is never stored.

At many points the hidden layer is far larger than what goes in and what comes out, and writing it
to memory and reading it again takes longer than computing it. So the points go through a part at a
time, whose hidden layer stays in the processor's cache, and for the derivatives it is made again.

**Derivatives.** With the slope s below zero the hidden layer is h = m z, where m is 1 or s, and
z = Vᵀ x: x has a one as its last input, and V the first layer's bias as its last row. Then both
layers' derivatives, for d that is carried back to the outputs, are in one sum over the points,

    T[u; c, o] = Σ m_u x_c d_o,     ∂W[u, o] = Σ_c V[c, u] T,     ∂V[c, u] = Σ_o W[u, o] T.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import leaky_relu_

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

HELD = 2**19  # bytes of the hidden layer in one part, of all replicas


def leaky_network(x: Tensor, first: Tensor, weight: Tensor, slope: float) -> Tensor:
    """Wᵀ leaky(Vᵀ [x; 1]): [replica, outputs, point]; differentiable once, in V and W alone.

    Args:
        x: [replica, inputs, point].
        first: V, [replica, inputs + 1, units], in its last row the units' biases.
        weight: W, [replica, units, outputs].
        slope: s, below zero.
    """
    with_one = torch.cat([x.detach(), torch.ones_like(x[:, :1])], 1)
    return _Network.apply(with_one, first, weight, slope)


def _parts(x: Tensor, first: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Ranges of the points and the z of each, in the same memory; off the processor one part."""
    points, units = x.shape[-1], first.shape[-1]
    each = max(1, HELD // (units * x.shape[0] * x.element_size())) if x.is_cpu else points
    held = x.new_empty(x.shape[0] * units * min(each, points))
    for start in range(0, points, each):
        part = slice(start, min(start + each, points))
        shape = x.shape[0], units, part.stop - start
        z = held[: math.prod(shape)].view(shape)
        yield part, torch.bmm(first.mT, x[..., part], out=z)


class _Network(Function):
    @staticmethod
    def forward(ctx, x, first, weight, slope):
        ctx.save_for_backward(x, first, weight)
        ctx.slope = slope
        out = x.new_empty(x.shape[0], weight.shape[-1], x.shape[-1])
        for part, z in _parts(x, first):
            out[..., part] = torch.bmm(weight.mT, leaky_relu_(z, slope))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, d):
        x, first, weight = ctx.saved_tensors
        pairs = (x.unsqueeze(2) * d.unsqueeze(1)).flatten(1, 2)
        sums = x.new_zeros(x.shape[0], weight.shape[1], pairs.shape[1])
        for part, z in _parts(x, first):
            sums.baddbmm_(z.gt_(0), pairs[..., part].mT)
        sums = sums.mul_(1 - ctx.slope) + ctx.slope * pairs.sum(-1).unsqueeze(1)
        sums = sums.unflatten(-1, (x.shape[1], d.shape[1]))
        of_first = (sums * weight.unsqueeze(2)).sum(-1).mT.contiguous()
        of_weight = (sums * first.mT.unsqueeze(-1)).sum(2)
        return None, of_first, of_weight, None
