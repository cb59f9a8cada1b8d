"""Products of stacked matrices, by the faster of the two libraries that torch has for them.

Of a map W [inputs, outputs] and a minibatch there are three: h W upwards, d Wᵀ downwards, and hᵀ d,
the derivative in W. Torch leaves float32 matrices to MKL, which keeps to 256-bit instructions on
processors that are not Intel's. oneDNN uses what there is; torch's own compiler calls it, through
the operator below, for linear maps. At MNIST's size and batches of 24 its products take two thirds
of MKL's time, at batches of 100 half (docs/performance.md). So large products are its work; small
ones, other devices, other types, and a torch without oneDNN have `torch.bmm`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch.autograd import Function

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor


# Multiplications of one replica. With fewer, the operator costs more to reach than it saves.
LARGE = 1_500_000
ONEDNN = None
if torch.backends.mkldnn.is_available():
    ONEDNN = getattr(torch.ops.mkldnn, "_linear_pointwise", None)


@contextmanager
def by_torch() -> Iterator[None]:
    """In a `with` block all products are torch's own: the operator's is not one to compile."""
    global ONEDNN
    kept, ONEDNN = ONEDNN, None
    try:
        yield
    finally:
        ONEDNN = kept


def affine(bias: Tensor, h: Tensor, weight: Tensor) -> Tensor:
    """bias + h W: [replica, batch, outputs], differentiable as often as the caller likes.

    Args:
        bias: [replica, 1, outputs].
        h: [replica, batch, inputs].
        weight: [replica, inputs, outputs].
    """
    if not is_large(h, weight.shape[-1]):
        return torch.baddbmm(bias, h, weight)
    if leaves_tape(bias, h, weight):
        return _Affine.apply(bias, h, weight)
    return _each(h, weight.mT, bias)


def up(h: Tensor, weight: Tensor) -> Tensor:
    """h W: [replica, batch, outputs]."""
    if not is_large(h, weight.shape[-1]) or leaves_tape(h, weight):
        return torch.bmm(h, weight)
    return _each(h, weight.mT)


def down(d: Tensor, weight: Tensor) -> Tensor:
    """d Wᵀ, for d like the outputs: [replica, batch, inputs]."""
    if not is_large(d, weight.shape[-2]) or leaves_tape(d, weight):
        return torch.bmm(d, weight.mT)
    return _each(d, weight)


def in_weight(h: Tensor, d: Tensor) -> Tensor:
    """hᵀ d, the derivative in W: [replica, inputs, outputs]."""
    # Of several replicas, stacking results of this size would cost what the operator saves.
    if not is_large(h, d.shape[-1]) or h.shape[0] > 1 or leaves_tape(h, d):
        return torch.bmm(h.mT, d)
    return _each(h.mT, d.mT)


def is_large(factor: Tensor, width: int) -> bool:
    """Whether oneDNN is to do a product of one replica's factor that adds an axis of this width."""
    *_, rows, columns = factor.shape
    large = rows * columns * width >= LARGE
    return large and ONEDNN is not None and factor.dtype is torch.float32 and factor.is_cpu


def leaves_tape(*factors: Tensor) -> bool:
    """Whether the caller may want derivatives, which the operator does not know."""
    return torch.is_grad_enabled() and any(factor.requires_grad for factor in factors)


def one(left: Tensor, right_transposed: Tensor, bias: Tensor | None = None) -> Tensor:
    """oneDNN's product; the left side may be stacked, the right is one replica's, transposed."""
    assert ONEDNN is not None
    return ONEDNN(left, right_transposed, bias, "none", [], "")


def _each(left, right_transposed, bias=None):
    if left.shape[0] == 1:
        return one(left, right_transposed[0], None if bias is None else bias.view(-1))
    biases = [None] * len(left) if bias is None else bias.squeeze(1)
    return torch.stack([one(*those) for those in zip(left, right_transposed, biases, strict=True)])


class _Affine(Function):
    @staticmethod
    def forward(ctx, bias, h, weight):
        ctx.save_for_backward(h, weight)
        return _each(h, weight.mT, bias)

    @staticmethod
    def backward(ctx, d):
        # Where these are differentiated in turn, they are products that leave a tape.
        h, weight = ctx.saved_tensors
        of_bias, of_h, of_weight = ctx.needs_input_grad
        return (
            d.sum(1, keepdim=True) if of_bias else None,
            down(d, weight) if of_h else None,
            in_weight(h, d) if of_weight else None,
        )
