"""Functions of tensors as compiled programs, and whether this machine can make them.

A function is run once on proxies, which write down every operation that it asks of torch: those of
automatic differentiation too, whatever Python stood between. Torch's compiler (Inductor) makes C++
of that list, in which all that lies between two matrix products is one loop. It keeps what it made
in a cache of the machine (docs/running.md), so that another process finds the program there.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from relax.numerics import products

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor
    from torch.fx import GraphModule


def missing() -> str | None:
    """What a machine lacks to compile anything: words for the log, or None."""
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        return f"there is no C++ compiler '{compiler}'"
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        return "Python's header files are not installed"
    return None


def fails() -> str | None:
    """The same, found by compiling a small program: words, or None."""
    if lacks := missing():
        return lacks
    try:
        Compiled(lambda x: [x + 1])(torch.zeros(2))
    except Exception as error:  # whatever a compiler, a file system or a linker may say
        said = (str(error).strip().splitlines() or [""])[0]
        return f"a trial failed: {type(error).__name__}: {said}"
    return None


class Compiled:
    """A function of tensors, compiled at its first call for the shapes that it has there.

    It must do the same work every time and change nothing but the tensors that it is given. It may
    differentiate; its results have no graph.

    Args:
        function: of tensors; returns a list of tensors.
    """

    def __init__(self, function: Callable[..., list[Tensor]]) -> None:
        self.function = function
        self.program: Callable[..., list[Tensor]] | None = None

    def __call__(self, *tensors: Tensor) -> list[Tensor]:
        with torch.no_grad():
            if self.program is None:
                self.program = self._compile(tensors)
            return self.program(*tensors)

    def _compile(self, tensors: Sequence[Tensor]) -> Callable[..., list[Tensor]]:
        # Imported here: that takes longer than torch itself.
        from torch.fx.experimental.proxy_tensor import make_fx

        # A trace runs the function, on copies: it may write to what it is given.
        copies = [tensor.detach().clone() for tensor in tensors]
        with products.by_torch():
            operations = make_fx(self.function)(*copies)
        return program(operations, tensors)


def program(operations: GraphModule, tensors: Sequence[Tensor]) -> Callable[..., list[Tensor]]:
    """The compiled function that does what these operations do, for arguments like `tensors`."""
    from torch import _inductor as inductor

    one_thread = {"compile_threads": 1}  # as a job has
    with warnings.catch_warnings():
        # Of torch, by its own compiler: parts that it imports are about to be renamed.
        warnings.simplefilter("ignore", DeprecationWarning)
        return inductor.compile(operations, list(tensors), options=one_thread)
