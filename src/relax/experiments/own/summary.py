"""Summary of the user's own problem: where training ended, beside the table of `compare`."""

import numpy as np

from relax.presentation.common import in_registry_order, log_variance


def summarise(training, comparison):
    """One row an estimator: training's end, then `compare` at the start of training.

    Args:
        training: rows of `results/own/*/seeds*.csv`.
        comparison: rows of `results/own/compare.csv`.

    Columns: estimator, file, function, seeds, steps, evaluations_spent (of f, a seed), loss and
    loss_se (mean over seeds of the last loss, and its standard error), least_loss (of the best
    seed), log_variance (median over seeds of the natural logarithm, at the end); and those of the
    comparison.
    """
    last = training[training.step == training.groupby("estimator").step.transform("max")]
    last = last.assign(log_variance=log_variance(last.gradient_variance))
    rows = last.groupby("estimator", as_index=False).agg(
        file=("file", "first"),
        function=("function", "first"),
        seeds=("seed", "nunique"),
        steps=("step", "max"),
        evaluations_spent=("evaluations", "max"),
        loss=("loss", "mean"),
        loss_se=("loss", "sem"),
        least_loss=("loss", "min"),
        log_variance=("log_variance", "median"),
    )
    # The exact gradient has no variance; what its measurement shows is rounding.
    rows.loc[rows.estimator == "exact", "log_variance"] = np.nan
    return in_registry_order(rows.merge(comparison, on="estimator", how="left"), "estimator")


SHOWN = [
    *("estimator", "seeds", "evaluations_spent", "loss", "loss_se", "least_loss", "unbiased"),
    *("bias", "z", "variance", "evaluations", "gradients", "seconds"),
    *("variance_x_evaluations", "variance_x_seconds"),
]


def for_people(table):
    """The columns that are read, with their names in words; the best first."""
    return table.sort_values("loss")[SHOWN].rename(columns=lambda name: name.replace("_", " "))
