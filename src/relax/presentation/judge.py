"""How a claim becomes a verdict. Reads tables only.

**Level.** Every interval is a two-sided Student t interval (`intervals.py` beside this) over
independent seeds; where two estimators are compared, over the differences taken seed by seed. Exact
numbers have none.

**Verdicts.** *reproduced*: the whole interval (or the exact number) lies where the rule wants it.
*not reproduced*: it does not; the interval says whether the data speak against the claim or are
too few to speak for it. *not tested at this scale*: a table, a target or an estimator that the
rule needs is not part of this run, or the run is too short. *one seed*: the number of a single
seed, which has no interval and decides nothing; the verdict says which way it points.

**Means of variances.** Within a run, over parameters and minibatches, the arithmetic mean: a
variance is an expected square, and those add. Over seeds, and along a run, the mean of logarithms,
which is the geometric mean: runs differ by factors, so it is differences of logarithms that are
nearly normal, and it speaks of a typical run where the arithmetic mean speaks of the worst one.
The two can disagree on an order; where they do, the docs say so.

**Many comparisons.** A claim about several cases at once (every θ, every checkpoint) is reproduced
only if each case is, at the full level; that can only make the verdict stricter, so no correction
is needed, and the row shows the case nearest to failing. Between rows nothing is corrected: each
verdict stands for itself. Of the claims that rest on an interval and are false, up to one in forty
may be called reproduced by chance.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from relax.estimators.registry import REGISTRY
from relax.presentation.common import FLOOR, count, own_settings
from relax.presentation.intervals import Interval, OneSeed

TOLERANCE = 1e-6  # exact numbers that differ by less, relative to their size, count as equal
HARD = 0.499  # the draft's target for the toy
HIGH = 0.5  # a squared correlation above this explains more of the variance than it leaves

REPRODUCED, NOT_REPRODUCED = "reproduced", "not reproduced"
NOT_TESTED = "not tested at this scale"
ONE_SEED = "one seed: "  # then which way it points
FOR, AGAINST = ONE_SEED + "for", ONE_SEED + "against"
COLUMNS = ["claim", "where", "statistic", "value", "ci_low", "ci_high"]
COLUMNS += ["holds_above", "holds_below", "scale", "evidence", "rule", "verdict"]

# RELAX's variance is compared with that of the other unbiased estimators that have one.
NOT_A_RIVAL_IN_VARIANCE = {"exact", "relax"}.union(
    name for name, entry in REGISTRY.items() if not entry.unbiased
)


class Finding(NamedTuple):
    """What the data say: a number, how much data, whether the rule is met, and the interval.

    above, below: the rule's bounds, between which the whole interval, or the exact number, has to
    lie; NaN where there is none on that side.
    """

    value: float
    scale: str
    holds: bool
    low: float = np.nan
    high: float = np.nan
    above: float = np.nan
    below: float = np.nan
    one_seed: bool = False


def judged(found, scale, holds=None, *, above=np.nan, below=np.nan):
    """A finding from an interval over seeds, or from an exact number.

    Args:
        found: a `relax.presentation.intervals.Interval`, or a number that has none.
        scale: how much data is behind it.
        holds: whether the rule is met; left out where `above` and `below` are all that it asks.
            Of one seed the bounds alone are asked, where there are any.
        above, below: the rule's bounds. Figure 0 draws the distance to them.
    """
    exact = not isinstance(found, Interval)
    value, low, high = (found, np.nan, np.nan) if exact else found
    one_seed = isinstance(found, OneSeed)
    bounded = not (np.isnan(above) and np.isnan(below))
    if holds is None or (one_seed and bounded):
        least, most = (value, value) if exact else (low, high)
        over = np.isnan(above) or least > above
        holds = bool(over and (np.isnan(below) or most < below))
    if one_seed:
        low = high = np.nan
    return Finding(value, scale, holds, low, high, above, below, one_seed)


def row(claim, where, statistic, rule, evidence, finding):
    """One row of the table. A finding of None means: not tested."""
    finding, tested = finding or Finding(np.nan, "", False), finding is not None
    verdict = (REPRODUCED if finding.holds else NOT_REPRODUCED) if tested else NOT_TESTED
    if finding.one_seed:
        verdict = FOR if finding.holds else AGAINST
    numbers = (finding.value, finding.low, finding.high, finding.above, finding.below)
    cells = (claim, where, statistic, *numbers, finding.scale, evidence, rule, verdict)
    return dict(zip(COLUMNS, cells, strict=True))


def log(variance):
    """Natural logarithm of variances, those below `FLOOR` raised to it."""
    return np.log(np.maximum(variance, FLOOR))


def with_others(table, expected, excluded):
    """The expected estimators, then whatever else the table has, without the excluded."""
    found = [] if table is None else sorted(set(table.estimator) - set(expected) - set(excluded))
    return [*expected, *found]


def run_scale(rows, *more):
    """How much data is behind rows of a training table."""
    noise = " and ".join(sorted(rows.noise.unique()))
    steps = count(int(rows.step.max()), "step")
    if "planned" in rows and rows.step.max() < rows.planned.max():  # of packed runs
        steps += f" of {int(rows.planned.max()):,}, unfinished"
    own = filter(None, [own_settings(rows)])
    return ", ".join([count(rows.seed.nunique(), "seed"), steps, f"{noise} noise", *own, *more])


def grid_scale(rows, **names):
    """How large an exact grid is: "exact; targets: 2, values of θ: 9"."""
    parts = [f"{what}: {rows[column].nunique()}" for column, what in names.items()]
    return "exact; " + ", ".join(parts)


def missing(*tables):
    """Whether any of these tables is absent or empty."""
    return any(table is None or table.empty for table in tables)


def stack(rows):
    """The table of claims from its rows."""
    return pd.DataFrame(rows, columns=COLUMNS)
