"""The table of `compare` as it prints: whole, four digits a number, however narrow the terminal."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@functools.cache
def comparison() -> type[pd.DataFrame]:
    """The class of the table; pandas loads on use, and with it this."""
    import pandas as pd

    class Comparison(pd.DataFrame):
        """A pandas `DataFrame` that prints all of its columns."""

        @property
        def _constructor(self):
            return Comparison

        def __repr__(self):
            return self.to_string(float_format="{:.4g}".format)

    # So that a table can be pickled: it is found here by name.
    Comparison.__module__, Comparison.__qualname__ = __name__, "Comparison"
    return Comparison


def __getattr__(name):
    if name == "Comparison":
        return comparison()
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
