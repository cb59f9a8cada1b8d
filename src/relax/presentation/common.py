"""What summaries, figures and claims share: words for counts and names, one order, logarithms."""

import numpy as np
import pandas as pd

from relax.estimators.registry import REGISTRY

FLOOR = 1e-30  # a variance below this is the rounding of float64, and counts as zero


def count(number, noun):
    """ "3 seeds", "1 seed", "10,000 steps"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def label(name):
    """How tables and claims call an estimator: its label, without the warning of figures."""
    return REGISTRY[name].label.removesuffix(" (biased)") if name in REGISTRY else name


def own_settings(runs):
    """In words, the settings that estimators of packed runs have of their own; "" where none has.

    As "Concrete with surrogate.temperature: 0.2"; `runs`: rows with the column `settings`, or
    without, as those of runs that are not packed.
    """
    if "settings" not in runs:
        return ""
    parts = []
    for settings, rows in runs[runs.settings.fillna("") != ""].groupby("settings"):
        names = in_registry_order(rows, "estimator").estimator.unique()
        parts.append(f"{' and '.join(map(label, names))} with {settings}")
    return "; ".join(parts)


def log_variance(variance):
    """Natural logarithm of a variance; one that is zero but for rounding has none (NaN)."""
    return np.log(variance.where(variance > FLOOR))


def in_registry_order(table, *keys):
    """Rows sorted by `keys`, with estimators in the order of the registry."""
    order = {name: index for index, name in enumerate(REGISTRY)}
    return table.sort_values(
        list(keys),
        key=lambda column: column.map(order) if column.name == "estimator" else column,
        ignore_index=True,
    )


def rounded(table, digits=5):
    """The same table with numbers as short text, for Markdown; missing values are empty."""

    def text(value):
        if not isinstance(value, float):
            return str(value)
        short = "" if pd.isna(value) else f"{value:.{digits}g}"
        # A count or a time is read more easily whole.
        return f"{value:.0f}" if "e+" in short and abs(value) < 1e15 else short

    return table.map(text)
