"""Where an estimate is made: outside of torch.compile's graphs, autocast and torch.func."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from typing import TYPE_CHECKING

import torch

from relax.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from relax.frontdoor.advice import Circumstances
    from relax.frontdoor.costs import UserCost
    from relax.frontdoor.expectation import Expectation

# The modules that are making an estimate, of each thread its own.
_RUNNING: ContextVar[frozenset[int]] = ContextVar("running", default=frozenset())


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


@contextlib.contextmanager
def alone(module: Expectation, asked: Circumstances) -> Iterator[None]:
    """In the block no further call of the module is borne where its c contains the cost.

    The inner call would be a part of the outer one's c, and φ would learn of itself.

    Raises:
        ArgumentError: it is such a call.
    """
    outer = _RUNNING.get()
    if id(module) in outer and asked.of_cost and torch.is_grad_enabled():
        raise ArgumentError(
            f"this Expectation('{asked.name}') is called inside its own cost, and its control "
            "variate contains that cost: give each of the calls an Expectation of its own, such as "
            "copy.deepcopy makes"
        )
    token = _RUNNING.set(outer | {id(module)})
    try:
        yield
    finally:
        _RUNNING.reset(token)


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
