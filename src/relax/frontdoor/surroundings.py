"""Where an estimate is made: outside of torch.compile's graphs, autocast and torch.func."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import torch

from relax.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from relax.frontdoor.costs import UserCost


def uncompiled(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method as torch.compile leaves it alone: the model around it may be compiled."""
    method = torch.compiler.disable(method)
    # What torch says where it may not break the graph, with fullgraph=True.
    method._torchdynamo_disable_msg = (  # type: ignore[attr-defined]
        "an Expectation draws and differentiates on its own, so torch.compile leaves it out of the "
        "graph: compile the encoder and the decoder, or the whole model without fullgraph=True"
    )
    return method


@contextlib.contextmanager
def full_precision(cost: UserCost, device: str) -> Iterator[None]:
    """In the block autocast is off, but for the user's cost."""
    if not torch.is_autocast_enabled(device):
        yield
        return
    dtype = torch.get_autocast_dtype(device)
    cost.surroundings = lambda: torch.autocast(device, dtype=dtype)
    with torch.autocast(device, enabled=False):
        yield


def refuse_transforms() -> None:
    """Raise under torch.func's transforms.

    Raises:
        ArgumentError: always there.
    """
    if torch._C._functorch.peek_interpreter_stack() is not None:
        raise ArgumentError(
            "an Expectation cannot run under torch.func's transforms (vmap, grad, jacrev and so "
            "on): give it the batch as leading axes of the logits, of which it takes any, and call "
            "backward() on the loss"
        )
