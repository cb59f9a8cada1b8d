"""Summary of the toy problems."""

import numpy as np
import pandas as pd

from relax.presentation.common import in_registry_order, log_variance
from relax.presentation.published import TOY_LOSS


def summarise(toy, categorical):
    """The last step of every problem and estimator: medians over seeds, and the loss's mean.

    Args:
        toy: rows of `results/toy/t*/*/seeds*.csv`.
        categorical: rows of `results/toy/categorical/*/seeds*.csv`.

    Columns: problem ("bernoulli", with its target, or "categorical"), target, estimator, noise,
    seeds, steps, theta (of the one), best_probability (of the other), loss, loss_se, log_variance,
    log_variance_exact (medians over seeds of the natural logarithms; empty for a variance of zero,
    and the second for the categorical toy), published_loss.
    """
    problems = {"bernoulli": toy, "categorical": categorical}
    ends = [
        table[table.step == table.step.max()].assign(problem=problem)
        for problem, table in problems.items()
    ]
    last = pd.concat(ends, ignore_index=True)
    last = last.assign(
        log_variance=log_variance(last.gradient_variance),
        log_variance_exact=log_variance(last.exact_variance),
    )
    keys = ["problem", "target", "estimator", "noise"]
    rows = last.groupby(keys, as_index=False, dropna=False).agg(
        seeds=("seed", "nunique"),
        steps=("step", "max"),
        theta=("theta", "median"),
        best_probability=("best_probability", "median"),
        loss=("loss", "mean"),
        loss_se=("loss", "sem"),
        log_variance=("log_variance", "median"),
        log_variance_exact=("log_variance_exact", "median"),
    )
    # The exact gradient has no variance; what its measurement shows is rounding.
    rows.loc[rows.estimator == "exact", ["log_variance", "log_variance_exact"]] = np.nan
    rows["published_loss"] = [
        TOY_LOSS.get((target, estimator), np.nan)
        for target, estimator in zip(rows.target, rows.estimator, strict=True)
    ]
    return in_registry_order(rows, "problem", "target", "estimator")
