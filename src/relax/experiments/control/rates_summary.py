"""Every pair of learning rates of a task: how soon each estimator solves it there."""

import pandas as pd

from relax.errors import NonFiniteError
from relax.experiments.control.summary import RATES, RUN, for_people
from relax.experiments.control.summary import summarise as summarise_at_best
from relax.presentation.common import in_registry_order
from relax.presentation.divergence import fates

__all__ = ["for_people", "summarise"]


def summarise(policies):
    """The summary of each pair of learning rates by itself, that of the least rates first.

    The estimators are compared at a pair: followed until the last episode that every run of the
    task at that pair lived. So two rows of one pair have one horizon, and two pairs may have two.

    Args:
        policies: as of `relax.experiments.control.summary.summarise`.

    Columns: those of that summary. Where every run at a pair diverged, `runs` and `diverged` alone.
    """
    parts = []
    for (_, *rates), rows in policies.groupby(["task", *RATES]):
        try:
            part = summarise_at_best(rows)
        except NonFiniteError:
            part = in_registry_order(fates(rows, RUN, RATES), *RUN)
        parts.append(part.assign(**dict(zip(RATES, rates, strict=True))))
    return pd.concat(parts, ignore_index=True)
