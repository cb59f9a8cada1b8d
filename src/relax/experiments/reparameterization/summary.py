"""Summary of the generalised reparameterization: variances, with their terms, at the end."""

import numpy as np
import pandas as pd

from relax.experiments.reparameterization.names import LABELS, TERMS
from relax.presentation.common import log_variance

MODEL = "Poisson factors"


def summarise(costs, training, variances):
    """One row a cost, concentration, estimator and surrogate, where c has been learned.

    Args:
        costs: rows of `results/reparameterization/costs.csv`.
        training: rows of `results/reparameterization/training.csv`.
        variances: rows of `results/reparameterization/variances.csv`.

    Columns: cost, concentration (of the model: empty), estimator, surrogate ("none", "network", or
    "best in span": of 1, z, z², z³, log z), seeds, steps (updates of φ), exact (the gradient in the
    concentration; of the model: empty), variance (geometric mean over seeds), to_generalised and
    to_implicit (that over theirs; empty where they do not apply), the terms' variances, and of the
    model bound (mean over seeds, nats an image, where its own training ended) and bound_se.
    """
    model = variances.assign(cost=MODEL, surrogate=_surrogates(variances))
    rows = pd.concat([costs, model], ignore_index=True)
    keys = ["cost", "concentration", "estimator", "surrogate"]
    last = rows[rows.step == rows.groupby(keys, dropna=False).step.transform("max")]
    named = {name: (name, "mean") for name in TERMS}
    table = (
        last.assign(log=log_variance(last.variance))
        .groupby(keys, as_index=False, dropna=False, sort=False)
        .agg(
            seeds=("seed", "nunique"),
            steps=("step", "max"),
            exact=("exact", "first"),
            variance=("log", "mean"),
            **named,
        )
    )
    table["variance"] = np.exp(table.variance)
    places = table.cost + table.concentration.astype(str)
    for name in ("generalised", "implicit"):
        own = table.estimator == name
        other = places.map(table[own].set_index(places[own]).variance)
        table.insert(table.columns.get_loc("variance") + 1, f"to_{name}", table.variance / other)
    ends = training[training.step == training.step.max()].groupby("estimator").bound
    own = table.estimator.where(table.cost == MODEL)
    return table.assign(bound=own.map(ends.mean()), bound_se=own.map(ends.sem()))


def _surrogates(table):
    learned = table.groupby("estimator").step.transform("max") > 0
    return np.where(learned, "network", "none")


def for_people(table):
    """Estimators by their labels."""
    shown = table.assign(estimator=table.estimator.map(LABELS))
    return shown.rename(columns=lambda name: name.replace("_", " "))
