"""Confidence intervals over seeds: Student's, two-sided, at one level throughout."""

from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

LEVEL = 0.95


class Interval(NamedTuple):
    """A mean, and the ends of its confidence interval."""

    mean: float
    low: float
    high: float


class OneSeed(Interval):
    """A single value, which has no interval: `low` and `high` are the value itself."""


def interval(values):
    """The t interval of the mean of independent values; `OneSeed` for one, None for none."""
    values = np.asarray(values, dtype=float)
    if len(values) == 1:
        return OneSeed(*np.repeat(values, 3))
    if len(values) == 0:
        return None
    error = values.std(ddof=1) / np.sqrt(len(values))
    # The same quantile as scipy.stats gives, which takes longer to import than a whole table.
    half = stdtrit(len(values) - 1, (1 + LEVEL) / 2) * error
    return Interval(values.mean(), values.mean() - half, values.mean() + half)


def paired_interval(table, column, name, other):
    """The interval of `column` of estimator `name` minus that of `other`, paired by seed.

    `table` has one row an estimator and seed. None without both estimators on a common seed.
    """
    wide = table.pivot(index="seed", columns="estimator", values=column)
    if not {name, other} <= set(wide.columns):
        return None
    pairs = wide[[name, other]].dropna()
    return interval(pairs[name] - pairs[other])


def worst(intervals, badness):
    """Of several intervals the one with the highest `badness`; None if any or all are missing."""
    intervals = list(intervals)
    if not intervals or any(each is None for each in intervals):
        return None
    return max(intervals, key=badness)
