"""Runs whose numbers stopped being finite: a result that readers of tables name and leave out.

Tables of training say of each row when its run diverged, in `diverged_step` or `diverged_update`;
empty where it did not. Tables from before that was noted have no such column, and no such run.
"""

import pandas as pd

COLUMNS = ("diverged_step", "diverged_update")


def has_diverged(runs):
    """Of each row, whether its run has."""
    found = [name for name in COLUMNS if name in runs]
    return runs[found[0]].notna() if found else pd.Series(False, index=runs.index)


def finite(runs):
    """The rows of the runs that did not diverge."""
    return runs[~has_diverged(runs)]


def left_out(training, run, rates):
    """In words, how many runs diverged at which learning rates; "" where none did.

    Args:
        run: columns that name an estimator's problem, and the estimator.
        rates: columns of the learning rates.
    """
    gone = has_diverged(training)
    each = training.assign(gone=gone).groupby([*run, *rates, "seed"]).gone.any()
    noun = "learning rate" if len(rates) == 1 else "learning rates"
    parts = [
        f"{int(own.sum())} of {len(own)} runs at {noun} {', '.join(f'{rate:g}' for rate in key)}"
        for key, own in each.groupby(list(rates))
        if own.any()
    ]
    return f"diverged, left out: {'; '.join(parts)}" if parts else ""


def fates(training, run, rates):
    """Of each estimator how many runs there are, and how many of them diverged.

    Arguments as above. Returns the columns of `run`, runs and diverged.
    """
    each = training.assign(diverged=has_diverged(training))
    each = each.groupby([*run, *rates, "seed"], as_index=False).diverged.any()
    return each.groupby(list(run), as_index=False).agg(
        runs=("diverged", "size"), diverged=("diverged", "sum")
    )


def preferred(scores):
    """Of scores [rate, seed], empty where a run diverged, the rate that counts; None without any.

    Those come first at which the fewest seeds diverged; of them, the one with the best mean.
    """
    scores = scores[scores.notna().any(axis=1)]
    if scores.empty:
        return None
    lost = scores.isna().sum(axis=1)
    return scores[lost == lost.min()].mean(axis=1).idxmax()
