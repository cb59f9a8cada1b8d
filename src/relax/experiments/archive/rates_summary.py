"""What each learning rate, and each setting that was tried, comes to at one and the same epoch."""

import numpy as np
import pandas as pd

from relax.presentation.common import count, in_registry_order, label
from relax.presentation.published import of_bits, problem_of
from relax.presentation.published_curves import published_at

KEYS = ["dataset", "model", "estimator", "learning_rate", "settings", "run"]


def summarise(tried):
    """Training ELBOs of every run of a data set and model, at the last epoch that all reached.

    Args:
        tried: training rows of `relax.experiments.archive.stack.stack`.

    Columns: dataset, model, estimator, learning_rate, settings (in what they differ from those of
    the first packed run; empty where in nothing), run, seeds, epoch, step; train_elbo, valid_elbo:
    means over seeds, nats an image, with standard errors `_se`; published_train_elbo of the
    published curve at that epoch, whatever its rate was.
    """
    tried = tried.assign(settings=tried.settings.fillna(""), bits=of_bits(tried))
    parts = []
    for _, rows in tried[tried.train_elbo.notna()].groupby(["dataset", "model"]):
        last = rows.groupby([*KEYS, "seed"]).epoch.max().min()
        parts.append(rows[rows.epoch == last])
    columns = {"seeds": ("seed", "nunique")}
    columns |= {name: (name, "first") for name in ("epoch", "step", "bits")}
    for name in ("train_elbo", "valid_elbo"):
        columns |= {name: (name, "mean"), f"{name}_se": (name, "sem")}
    chosen = pd.concat(parts) if parts else tried
    rows = chosen.groupby(KEYS, as_index=False).agg(**columns)
    rows["published_train_elbo"] = [
        published_at(problem_of(row.dataset), row.model, row.estimator, row.epoch)
        if row.bits
        else np.nan
        for row in rows.itertuples()
    ]
    rows = rows.drop(columns="bits")
    return in_registry_order(
        rows, "dataset", "model", "estimator", "learning_rate", "settings", "run"
    )


def for_people(table):
    """`summarise`'s table with few and short columns, as text, for Markdown."""
    rows = list(table.itertuples())
    return pd.DataFrame(
        {
            "data set": table.dataset,
            "model": table.model,
            "estimator": [label(row.estimator) for row in rows],
            "rate": [f"{row.learning_rate:g}" for row in rows],
            "other settings": table.settings.fillna(""),
            "training ELBO": _mean_se(table, "train_elbo"),
            "validation ELBO": _mean_se(table, "valid_elbo"),
            "published curve": [
                "" if pd.isna(v) else f"{v:.2f}" for v in table.published_train_elbo
            ],
            "scale": [f"{count(row.seeds, 'seed')}, epoch {row.epoch:g}" for row in rows],
        }
    )


def _mean_se(table, column):
    pairs = zip(table[column], table[column + "_se"], strict=True)
    return [f"{mean:.2f}" + ("" if pd.isna(se) else f" ± {se:.2f}") for mean, se in pairs]
