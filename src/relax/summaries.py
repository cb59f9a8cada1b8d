"""Summaries of the result tables: what the figures and the README quote. Reads tables only."""

import numpy as np
import pandas as pd

from relax.registry import REGISTRY

# Published loss at step 10,000 of the toy problem (read off the published figure).
PUBLISHED_TOY_LOSS = {
    (0.499, "reinforce"): 0.25,
    (0.499, "rebar"): 0.25,
    (0.499, "relax"): 0.2491,
}
RUN_KEYS = ["dataset", "model", "estimator", "learning_rate"]


def log_variance(variance):
    """Natural logarithm of a variance; a variance of exactly zero has none (NaN)."""
    return np.log(variance.where(variance > 0))


def in_registry_order(table, *keys):
    """Rows sorted by `keys`, with estimators in the order of the registry."""
    order = {name: index for index, name in enumerate(REGISTRY)}
    return table.sort_values(
        list(keys),
        key=lambda column: column.map(order) if column.name == "estimator" else column,
        ignore_index=True,
    )


def select_learning_rate(training):
    """For each estimator, the rows of the learning rate with the best mean validation ELBO."""
    best = training.groupby([*RUN_KEYS, "seed"]).valid_elbo.max().groupby(RUN_KEYS).mean()
    chosen = best.groupby(RUN_KEYS[:-1]).idxmax()
    return training.set_index(RUN_KEYS).loc[list(chosen)].reset_index()


def summarise_toy(table):
    """The last step of every target and estimator: medians over seeds, and the loss's mean.

    Columns: target, estimator, noise, seeds, steps, theta, loss, loss_se, log_variance,
    log_variance_exact (medians over seeds of the natural logarithms; empty for a variance of zero),
    published_loss.
    """
    last = table[table.step == table.step.max()]
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
        PUBLISHED_TOY_LOSS.get((target, estimator), np.nan)
        for target, estimator in zip(rows.target, rows.estimator, strict=True)
    ]
    return in_registry_order(rows, "target", "estimator")


def summarise_vae(training):
    """Highest ELBOs in nats, mean and standard error over seeds, at the selected learning rate.

    Columns: dataset, model, estimator, learning_rate, noise, seeds, steps, best_train_elbo,
    best_train_elbo_se, best_valid_elbo, best_valid_elbo_se.
    """
    keys = [*RUN_KEYS, "noise"]
    runs = (
        select_learning_rate(training)
        .groupby([*keys, "seed"], as_index=False)
        .agg(steps=("step", "max"), train=("train_elbo", "max"), valid=("valid_elbo", "max"))
    )
    rows = runs.groupby(keys, as_index=False).agg(
        seeds=("seed", "nunique"),
        steps=("steps", "max"),
        best_train_elbo=("train", "mean"),
        best_train_elbo_se=("train", "sem"),
        best_valid_elbo=("valid", "mean"),
        best_valid_elbo_se=("valid", "sem"),
    )
    return in_registry_order(rows, "dataset", "model", "estimator")


SUMMARIES = {"toy": summarise_toy, "vae": summarise_vae}


def rounded(table, digits=5):
    """The same table with numbers as short text, for Markdown; missing values are empty."""

    def text(value):
        if isinstance(value, float):
            return "" if pd.isna(value) else f"{value:.{digits}g}"
        return str(value)

    return table.map(text)
