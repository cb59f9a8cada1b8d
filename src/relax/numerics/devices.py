"""Where tensors live: the configuration's `device`, and steps captured as CUDA graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from relax.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from torch import Tensor


WARM_UP = 3  # calls before a capture: libraries set themselves up in the first ones


def choose(device: str) -> torch.device:
    """The `torch.device` that the configuration's `device` stands for.

    Args:
        device: "cpu", "cuda", or "auto": a GPU where torch finds one.

    Raises:
        ConfigError: "cuda", and torch finds no GPU.
    """
    found = torch.cuda.is_available()
    if device == "cuda" and not found:
        raise ConfigError(
            "device: 'cuda' is asked for, and torch finds no GPU that it can use here; set device "
            "to cpu or auto, or run on a machine with a GPU and a CUDA build of torch"
        )
    return torch.device("cuda" if found and device != "cpu" else "cpu")


class Captured:
    """A function of tensors, run as one CUDA graph: launched whole, instead of kernel by kernel.

    The first calls run as they are, the next one is captured, and from then on the graph is
    replayed on copies of the arguments. So the function must do the same work every time, wait for
    nothing on the device, and change nothing but tensors in place. What it returns is overwritten
    by the next call.

    Args:
        function: of tensors, whose shapes stay the same; returns a tensor.
        graph: a CUDA graph by default; the tests have one that needs no GPU.
    """

    def __init__(self, function: Callable[..., Any], graph: Any | None = None) -> None:
        self.function, self.graph = function, graph or CudaGraph()
        self.calls = 0
        self.arguments: list[Tensor] | None = None

    def __call__(self, *arguments: Tensor) -> Any:
        self.calls += 1
        if self.calls <= WARM_UP:
            return self.graph.warm_up(self.function, arguments)
        if self.arguments is None:
            self.arguments = [argument.clone() for argument in arguments]
            # Capturing records the work and does not do it: the replay below is the first.
            self.result = self.graph.capture(self.function, self.arguments)
        else:
            for kept, argument in zip(self.arguments, arguments, strict=True):
                kept.copy_(argument)
        self.graph.replay()
        return self.result


class CudaGraph:
    """What `Captured` needs of torch's CUDA graphs."""

    def __init__(self) -> None:
        self.graph = torch.cuda.CUDAGraph()

    def warm_up(self, function: Callable[..., Any], arguments: Sequence[Tensor]) -> Any:
        """Run the function beside the default stream, as a capture will."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            result = function(*arguments)
        torch.cuda.current_stream().wait_stream(stream)
        return result

    def capture(self, function: Callable[..., Any], arguments: Sequence[Tensor]) -> Any:
        """Record the function's work; its result, which every replay writes anew."""
        with torch.cuda.graph(self.graph):
            return function(*arguments)

    def replay(self) -> None:
        self.graph.replay()
