"""Summary of the gradients compared halfway through training, and of what estimators assume."""

import numpy as np
import pandas as pd

from relax.experiments.vae.selection import on_selected_path
from relax.presentation.common import count, in_registry_order, label

KEYS = ["dataset", "model", "trajectory", "learning_rate", "noise", "checkpoint", "estimator"]


def summarise(training, gradients, assumptions):
    """How far one minibatch gradient is from the true one; means over seeds, standard errors `_se`.

    Args:
        training: rows of `results/vae/**/training.csv`; chooses the trajectory's learning rate.
        gradients: rows of `results/vae/**/gradients.csv`.
        assumptions: rows of `results/vae/**/assumptions.csv`.

    Columns: dataset, model, trajectory, learning_rate, noise, checkpoint, estimator, surrogate,
    seeds; cosine (to the true gradient of the minibatch), relative_error (the root mean square of
    the difference, in units of the true one's norm), squared_bias (of the mean, in units of the
    norm's square; an unbiased estimate, so it may be below zero); assumption: the share of f's
    variance that the estimator's assumption is about (`relax.experiments.vae.assumptions`), where
    it has one.
    """
    runs = on_selected_path(gradients, training)
    groups = runs.groupby([*KEYS, "surrogate"])
    rows = groups.agg(
        seeds=("seed", "nunique"),
        **{
            name + ending: (name, how)
            for name in ("cosine", "relative_error", "squared_bias")
            for ending, how in (("", "mean"), ("_se", "sem"))
        },
    )
    shares = on_selected_path(assumptions, training).groupby(KEYS)
    shares = shares.agg(assumption=("share", "mean"), assumption_se=("share", "sem"))
    rows = rows.reset_index().merge(shares.reset_index(), on=KEYS, how="left")
    return in_registry_order(rows, "dataset", "model", "estimator", "surrogate")


def for_people(table):
    """`summarise`'s table with few and short columns, as text, for Markdown."""
    rows = list(table.itertuples())

    def text(name, digits):
        means, errors = table[name], table[name + "_se"]
        return [
            "" if np.isnan(mean) else f"{mean:.{digits}g}" + ("" if np.isnan(e) else f" ± {e:.1g}")
            for mean, e in zip(means, errors, strict=True)
        ]

    return pd.DataFrame(
        {
            "data set": table.dataset,
            "model": table.model,
            "estimator": [label(row.estimator) for row in rows],
            "surrogate": table.surrogate,
            "cosine to the true gradient": text("cosine", 3),
            "error / its norm": text("relative_error", 3),
            "squared bias / its square": text("squared_bias", 2),
            "share of f's variance that it assumes": text("assumption", 3),
            "scale": [
                f"{count(row.seeds, 'seed')}, step {row.checkpoint:,} of {label(row.trajectory)}"
                for row in rows
            ],
        }
    )
