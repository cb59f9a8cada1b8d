"""A cost from a user's file, by its name there."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING

from relax.errors import ArgumentError, RelaxError

if TYPE_CHECKING:
    from torch import Tensor

    from relax.numerics.signatures import Cost


class NamedCost:
    """A cost; what goes wrong in it becomes an `ArgumentError` that names it.

    Attributes:
        described: how messages call it.
    """

    def __init__(self, function: Cost, described: str = "the cost") -> None:
        self.function, self.described = function, described

    def __call__(self, b: Tensor) -> Tensor:
        try:
            return self.function(b)
        except RelaxError:
            raise
        except Exception as error:
            raise ArgumentError(
                f"{self.described} failed for b of shape {list(b.shape)}: {_told(error)}"
            ) from error


class LoadedCost(NamedCost):
    """A function of a file, [rows, *latents] -> [rows]; messages name both.

    Attributes:
        by_rows: so that it is called with rows, whatever the leading axes are.
    """

    by_rows = True

    def __init__(self, function: Cost, name: str, path: str) -> None:
        super().__init__(function, f"'{name}' of {path}")


class _AsItStands(SourceFileLoader):
    """Runs what the file says now, and leaves nothing beside it.

    Python takes the bytecode that it keeps for today's where the file has the same size and was
    written in the same second.
    """

    def get_code(self, fullname):
        return self.source_to_code(self.get_data(self.path), self.path)


def load_cost(path: str, name: str) -> LoadedCost:
    """The function of this name in this file, as a `LoadedCost`.

    Raises:
        ArgumentError: no such file, one that cannot be run, or no such function in it.
    """
    file = Path(path)
    if not file.is_file():
        raise ArgumentError(f"there is no file '{path}'; it is to hold the function '{name}'")
    if file.suffix != ".py":
        raise ArgumentError(f"'{path}' is not a Python file: its name must end in .py")
    loader = _AsItStands(f"cost_of_{file.stem}", str(file))
    spec = ModuleSpec(loader.name, loader, origin=str(file))
    spec.has_location = True  # the module has its __file__
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(file.parent.resolve()))  # as when the file is run
    try:
        loader.exec_module(module)
    except Exception as error:
        raise ArgumentError(f"'{path}' cannot be run: {_told(error)}") from error
    finally:
        sys.path.pop(0)
    function = getattr(module, name, None)
    if not callable(function):
        there = [
            key
            for key, value in vars(module).items()
            if callable(value) and getattr(value, "__module__", None) == module.__name__
        ]
        raise ArgumentError(
            f"'{path}' has no function '{name}'; it has {', '.join(there) or 'none at all'}"
        )
    return LoadedCost(function, name, path)


def _told(error):
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
