"""Summary of the toy problem."""

import numpy as np

from relax.published import TOY_LOSS
from relax.summaries.common import in_registry_order, log_variance


def summarise_toy(toy):
    """The last step of every target and estimator: medians over seeds, and the loss's mean.

    Columns: target, estimator, noise, seeds, steps, theta, loss, loss_se, log_variance,
    log_variance_exact (medians over seeds of the natural logarithms; empty for a variance of zero),
    published_loss.
    """
    last = toy[toy.step == toy.step.max()]
    last = last.assign(
        log_variance=log_variance(last.gradient_variance),
        log_variance_exact=log_variance(last.exact_variance),
    )
    rows = last.groupby(["target", "estimator", "noise"], as_index=False).agg(
        seeds=("seed", "nunique"),
        steps=("step", "max"),
        theta=("theta", "median"),
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
    return in_registry_order(rows, "target", "estimator")
