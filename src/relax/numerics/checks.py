"""What the library takes and what it does not: one sentence each, with what is allowed.

Names, shapes and types are checked wherever they come in; that costs a microsecond. Whether the
numbers of a tensor are in order is looked at on the processor alone: a GPU would have to be waited
for.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from relax.errors import ArgumentError, NonFiniteError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor

    from relax.numerics.signatures import Cost


FLOATS = (torch.float32, torch.float64)


def named(name: str, value: str, allowed: Iterable[str]) -> str:
    """`value`, one of the names that are allowed.

    Raises:
        ArgumentError: it is another.
    """
    if not isinstance(value, str) or value not in allowed:
        raise ArgumentError(f"{name} must be one of {', '.join(allowed)}; got {value!r}")
    return value


def count(name: str, value: int, least: int = 1) -> int:
    """`value`, a whole number, at least `least`.

    Raises:
        ArgumentError: it is not.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < least:
        raise ArgumentError(f"{name} must be a whole number, {least} or more; got {value!r}")
    return value


def number(name: str, value: float, above: float = -math.inf) -> float:
    """`value`, a finite number, greater than `above`.

    Raises:
        ArgumentError: it is not.
    """
    try:
        fine = math.isfinite(value) and value > above
    except (TypeError, ValueError):
        fine = False
    if not fine:
        wanted = "a finite number" if above == -math.inf else f"finite and greater than {above:g}"
        raise ArgumentError(f"{name} must be {wanted}; got {value!r}")
    return value


def float_type(name: str, dtype: torch.dtype) -> torch.dtype:
    """`dtype`, float32 or float64: what relaxed samples can be drawn in.

    Raises:
        ArgumentError: it is another.
    """
    if dtype not in FLOATS:
        raise ArgumentError(f"{name} must be torch.float32 or torch.float64; got {dtype}")
    return dtype


def tensor(name: str, value: Tensor, axes: Sequence[str]) -> Tensor:
    """`value`, a tensor of float32 or float64 with these axes (their names).

    Raises:
        ArgumentError: it is something else, or has another number of axes.
    """
    if not isinstance(value, torch.Tensor):
        kind = type(value).__name__
        raise ArgumentError(f"{name} must be a tensor [{', '.join(axes)}]; got a {kind}")
    if value.dtype not in FLOATS:
        float_type(f"the type of {name}", value.dtype)
    if value.dim() != len(axes):
        raise ArgumentError(f"{name} must be [{', '.join(axes)}]; got {list(value.shape)}")
    return value


def shaped(name: str, value: Tensor, shape: Sequence[int], like: str = "logits") -> Tensor:
    """`value`, a tensor of this very shape: nothing is broadcast, which hides mistakes.

    Raises:
        ArgumentError: it has another shape.
    """
    if value.shape != torch.Size(shape):
        raise ArgumentError(
            f"{name} must be {list(shape)}, as the {like} are; got {list(value.shape)}"
        )
    return value


def is_finite(value: Tensor) -> bool:
    """Whether all numbers of a tensor are: true where it lies on another device than the processor.

    A sum is finite only if every summand is: the search is for the rare rest.
    """
    if not value.is_cpu or math.isfinite(value.detach().sum().item()):
        return True
    return bool(torch.isfinite(value).all())


def evaluate(cost: Cost, b: Tensor, what: str = "the cost") -> Tensor:
    """f(b), held to what a cost promises: a float for every sample, [replica, batch].

    A mean over the batch, or a last axis of one, would be broadcast further on, and the gradient
    would be a fraction of the truth.

    Args:
        cost: f.
        b: [replica, batch, latent].
        what: how a message calls f.

    Returns:
        Its value, of b's type.

    Raises:
        ArgumentError: it returned no tensor, integers, or another shape than [replica, batch].
    """
    f = cost(b)
    shape = b.shape[:-1]
    if not isinstance(f, torch.Tensor):
        raise ArgumentError(
            f"{what}{_called(cost)} must return a tensor of shape {list(shape)}, a value for every "
            f"sample; it returned {_indefinite(type(f).__name__)}"
        )
    if not f.is_floating_point():
        raise ArgumentError(
            f"{what}{_called(cost)} must return floats, as {b.dtype}; it returned {f.dtype}"
        )
    if f.shape != shape:
        raise ArgumentError(
            f"{what}{_called(cost)} must return a value for every sample, of shape {list(shape)}; "
            f"it returned shape {list(f.shape)}{_hint(f.shape, shape)}"
        )
    return f if f.dtype == b.dtype else f.to(b.dtype)


def evaluate_untouched(cost: Cost, b: Tensor) -> Tensor:
    """f(b) as `evaluate` gives it, of a cost that leaves b as it was.

    Raises:
        ArgumentError: as `evaluate`, or the cost changed b in place.
    """
    if b.is_inference():  # such tensors do not count their changes
        return evaluate(cost, b)
    version = b._version
    f = evaluate(cost, b)
    if b._version != version:
        raise ArgumentError(
            f"the cost{_called(cost)} changes in place the b that it is given, which the estimate "
            "still needs: let it make a new tensor, as 2 * b - 1 does in the place of "
            "b.mul_(2).sub_(1)"
        )
    return f


def finite_cost(f: Tensor) -> Tensor:
    """f(b), finite.

    Raises:
        NonFiniteError: naming the first sample where it is not.
    """
    if is_finite(f):
        return f
    bad = (~torch.isfinite(f)).nonzero()
    where = ", ".join(map(str, bad[0].tolist()))
    raise NonFiniteError(
        f"the cost is not finite: {f[tuple(bad[0])].item()} at [replica, batch] = [{where}], and "
        f"so at {len(bad)} of {f.numel()} samples; look for an overflow, a division by zero or the "
        "logarithm of zero in it"
    )


def finite_gradient(gradient: Tensor) -> Tensor:
    """A gradient estimate, finite.

    Raises:
        NonFiniteError: it is not. The cost at the b that was drawn is, so what was asked of it
            elsewhere, or its slope, is not.
    """
    if is_finite(gradient):
        return gradient
    bad = int((~torch.isfinite(gradient)).sum())
    raise NonFiniteError(
        f"the gradient is not finite in {bad} of {gradient.numel()} places, though the cost is at "
        "the b that was drawn: look for a slope of the cost that is infinite there, or for values "
        "of b where the cost is not finite"
    )


def _called(cost):
    name = getattr(cost, "__name__", type(cost).__name__)
    return "" if name in ("<lambda>", "function") else f" '{name}'"


def _indefinite(kind):
    return "None" if kind == "NoneType" else f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _hint(shape, wanted):
    if len(shape) == len(wanted) + 1 and shape[:-1] == wanted and shape[-1] == 1:
        return ": drop the last axis, with .squeeze(-1)"
    if shape.numel() == 1 or shape == wanted[:1]:
        return ": a mean over the batch is not wanted"
    return ""
