"""A user's cost, with the user's shapes, as the estimators call one; and what it must return."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from relax.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from relax.numerics.signatures import Cost


class UserCost:
    """f with plain shapes, b [*batch, *latents] -> [*batch], as [1, rows, *latents] -> [1, rows].

    An estimator that evaluates several samples in one call puts them on the batch axis, copy after
    copy. The user's f is called for each copy in turn, since it may close over data of the batch;
    or once, with the copies as a further axis in front, if it takes any leading axes; or, if it has
    an attribute `by_rows`, with all of them as rows, [rows, *latents] -> [rows].

    Args:
        function: the user's.
        batch: the leading axes of the logits.
        latents: the axes of one b.
        dtype: of the b that the user's function is given; that of the logits.
        any_leading: whether the function takes b [copies, *batch, *latents] too.

    Attributes:
        evaluations, gradients: of f at one b, how often it was asked for, and how often at a b that
            its gradient was wanted in: each over the batch.

    Raises:
        ArgumentError: the function is none.
    """

    def __init__(
        self,
        function: Cost,
        batch: Sequence[int],
        latents: Sequence[int],
        dtype: torch.dtype,
        any_leading: bool = False,
    ) -> None:
        if not callable(function):
            raise ArgumentError(
                "the cost must be a function of b, which is drawn inside, as in E(cost, logits); "
                f"got {_described(function)}"
            )
        self.function, self.any_leading = function, any_leading
        self.batch, self.latents, self.dtype = tuple(batch), tuple(latents), dtype
        self.by_rows = getattr(function, "by_rows", False)
        self.who = getattr(function, "described", "the cost")
        self.rows = math.prod(self.batch)
        self.evaluations = self.gradients = 0
        self.surroundings: Callable[[], Any] = contextlib.nullcontext

    def __call__(self, b: Tensor) -> Tensor:
        """f at every row: [1, rows].

        Raises:
            ArgumentError: f returned something that is not a value for every b, or is not finite.
        """
        copies = b.shape[1] // self.rows
        self.evaluations += copies
        self.gradients += copies * b.requires_grad
        if self.by_rows:
            values = self.checked(b.reshape(-1, *self.latents), (b.shape[1],))
        elif copies == 1:
            values = self.checked(b.reshape(*self.batch, *self.latents), self.batch)
        elif self.any_leading:
            shape = (copies, *self.batch)
            values = self.checked(b.reshape(*shape, *self.latents), shape)
        else:
            parts = b.reshape(copies, *self.batch, *self.latents)
            values = torch.stack([self.checked(part, self.batch) for part in parts])
        return values.to(b.dtype).reshape(1, -1)

    def checked(self, b: Tensor, shape: Sequence[int]) -> Tensor:
        """f(b), where it is what it should be: a finite floating-point tensor of this shape."""
        # A copy: what f does to its b in place, in numpy too, must not change the sample.
        with self.surroundings():
            values = self.function(b.to(self.dtype, copy=True))
        if not isinstance(values, Tensor):
            raise ArgumentError(
                f"{self.who} must return a tensor of shape {list(shape)}, a value for each b; "
                f"it returned {_described(values)}"
            )
        if values.shape != shape:
            raise ArgumentError(
                f"{self.who} must return one value for each b, shape {list(shape)} for b of shape "
                f"{list(b.shape)}; it returned shape {list(values.shape)}{self.hint(values, shape)}"
            )
        if not values.is_floating_point():
            raise ArgumentError(
                f"{self.who} must return floating-point numbers; it returned {values.dtype}: "
                "convert them, as with .to(b.dtype)"
            )
        # A sum is finite only if every summand is.
        if not math.isfinite(values.detach().sum().item()) and not values.isfinite().all():
            bad = int((~values.isfinite()).sum())
            relaxed = bool(((b != 0) & (b != 1)).any())
            where = " at relaxed values of b" if relaxed else ""
            raise ArgumentError(
                f"{self.who} must return finite numbers; {bad} of {values.numel()} values{where} "
                "are not: look for an overflow, or a logarithm of zero, in the cost"
            )
        return values

    @staticmethod
    def hint(values: Tensor, shape: Sequence[int]) -> str:
        """What the mistake probably is."""
        if values.shape == (*shape, 1):
            return ": take the last axis away, as with .squeeze(-1)"
        if values.dim() == 0:
            return ": leave the mean or sum over the batch to the loss"
        return ""


def _described(value):
    if isinstance(value, int | float):
        return f"the Python number {value!r}"
    return "None" if value is None else f"an object of type {type(value).__name__}"
