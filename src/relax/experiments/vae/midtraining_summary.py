"""Summary of the VAE whose training is stopped halfway, and its surrogates tuned there."""

import numpy as np
import pandas as pd

from relax.experiments.vae.selection import difference_to, on_selected_path
from relax.presentation.common import count, in_registry_order, label, log_variance
from relax.presentation.intervals import OneSeed, interval


def summarise(training, midtraining):
    """Variances at the last tuning step, and their ratio to REBAR's.

    Args:
        training: rows of `results/vae/**/training.csv`; chooses the trajectory's learning rate.
        midtraining: rows of `results/vae/**/midtraining.csv`.

    Columns: dataset, model, trajectory, learning_rate, noise, checkpoint (training step of the
    frozen model), estimator, surrogate, seeds, steps (updates of φ); log_variance: natural
    logarithm of the encoder's, mean over seeds; ratio_to_rebar: exponential of the mean difference
    in it, paired by seed, with the ends ratio_low and ratio_high of its 95% t interval. Empty where
    REBAR is missing; without an interval for fewer than two seeds.
    """
    runs = on_selected_path(midtraining, training)
    runs = runs[runs.step == runs.groupby(["dataset", "model"]).step.transform("max")]
    runs = runs.assign(log=log_variance(runs.encoder_variance))
    runs["difference"] = difference_to("rebar", runs, "log")
    keys = ["dataset", "model", "trajectory", "learning_rate", "noise", "checkpoint"]
    keys += ["estimator", "surrogate"]
    groups = runs.groupby(keys)
    rows = groups.agg(
        seeds=("seed", "nunique"), steps=("step", "max"), log_variance=("log", "mean")
    )
    rows["ratio_to_rebar"] = np.exp(groups.difference.mean())
    found = [interval(differences.dropna()) for _, differences in groups.difference]
    without = [each is None or isinstance(each, OneSeed) for each in found]
    rows["ratio_low"] = [np.nan if no else np.exp(i.low) for i, no in zip(found, without)]
    rows["ratio_high"] = [np.nan if no else np.exp(i.high) for i, no in zip(found, without)]
    return in_registry_order(rows.reset_index(), "dataset", "model", "estimator", "surrogate")


def for_people(table):
    """`summarise`'s table with few and short columns, as text, for Markdown."""
    rows = list(table.itertuples())
    return pd.DataFrame(
        {
            "data set": table.dataset,
            "model": table.model,
            "stopped at": [f"{row.checkpoint:,}, {label(row.trajectory)}'s path" for row in rows],
            "estimator": [label(row.estimator) for row in rows],
            "surrogate": table.surrogate,
            "log-variance": [f"{row.log_variance:.2f}" for row in rows],
            "variance / REBAR's [95% interval]": [_ratio(row) for row in rows],
            "scale": [f"{count(row.seeds, 'seed')}, {row.steps:,} updates of φ" for row in rows],
        }
    )


def _ratio(row):
    if pd.isna(row.ratio_to_rebar) or row.estimator == "rebar":
        return ""
    ends = "" if pd.isna(row.ratio_low) else f" [{row.ratio_low:.3g}, {row.ratio_high:.3g}]"
    return f"{row.ratio_to_rebar:.3g}{ends}"
