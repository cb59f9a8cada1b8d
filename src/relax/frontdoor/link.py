"""The tie between a value and the estimate of its gradient, as one function of the tape."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.autograd import Function

from relax.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor


def linked(
    value: Tensor, logits: Tensor, gradient: Tensor, learned: Iterable[tuple[Tensor, Tensor]]
) -> Tensor:
    """The value, unchanged, whose backward pass hands out estimates.

    With w the gradient that arrives at the value, what goes on is

        to the value itself    w, into f's own graph (a decoder, a direct term in the logits)
        to the logits          w · gradient, so that every reduction and weight counts for them
        to each φ              its own gradient, whatever w is: φ descends an objective of its own

    Args:
        value: f(b), [...].
        logits: [..., *parameters].
        gradient: the estimate for every value, of the logits' shape; a constant.
        learned: pairs of a surrogate's parameter φ and its gradient, a constant.
    """
    phi, phi_gradients = zip(*learned) if learned else ((), ())
    return _Link.apply(value, logits, gradient, phi_gradients, *phi)


class _Link(Function):
    @staticmethod
    def forward(ctx, value, logits, gradient, phi_gradients, *phi):
        ctx.gradient, ctx.phi_gradients = gradient, phi_gradients
        ctx.save_for_backward(logits, *phi)
        return value.detach().clone()  # the caller's to change in place

    @staticmethod
    def backward(ctx, weight):
        of_value, of_logits, _, _, *of_phi = ctx.needs_input_grad
        extra = ctx.gradient.dim() - weight.dim()
        in_logits = (
            weight.reshape(*weight.shape, *[1] * extra) * ctx.gradient if of_logits else None
        )
        in_phi = [g if wanted else None for g, wanted in zip(ctx.phi_gradients, of_phi)]
        if torch.is_grad_enabled():  # create_graph=True: an estimate has no derivative of its own
            found = zip((in_logits, *in_phi), ctx.saved_tensors, strict=True)
            in_logits, *in_phi = (g if g is None else once(g, of) for g, of in found)
        return weight if of_value else None, in_logits, None, None, *in_phi


def once(gradient: Tensor, of: Tensor) -> Tensor:
    """The gradient, with a graph that has nothing to say but that it ends here.

    It leads to what the gradient is of where that is a leaf, so that whoever asks for the second
    derivative there is told. Logits that were made of something may be those of an Expectation
    inside another's cost: their estimate is a constant to the outer one's φ.
    """
    end = of if of.is_leaf else torch.ones((), requires_grad=True)
    return _Once.apply(gradient, end)


class _Once(Function):
    @staticmethod
    def forward(ctx, gradient, end):
        return gradient.detach().clone()

    @staticmethod
    def backward(ctx, weight):
        raise ArgumentError(
            "second derivatives through an Expectation are not supported: an estimate of the "
            "gradient is not a function whose derivative would estimate the second one; "
            "differentiate what does not pass through the logits or φ"
        )
