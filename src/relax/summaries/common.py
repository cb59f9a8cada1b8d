"""What the summaries, the figures and the claims share: which runs count, and how they compare."""

import numpy as np

from relax.registry import REGISTRY

RUN_KEYS = ["dataset", "model", "estimator", "learning_rate"]


def count(number, noun):
    """ "3 seeds", "1 seed", "10,000 steps"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def label(name):
    """How tables and claims call an estimator: its label, without the warning of figures."""
    return REGISTRY[name].label.removesuffix(" (biased)") if name in REGISTRY else name


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


def on_selected_path(measured, training):
    """Of measurements along training runs, those on the path with its selected learning rate.

    Args:
        measured: rows with the columns dataset, model, trajectory (whose path), learning_rate.
        training: rows of `results/vae/**/training.csv`.
    """
    chosen = select_learning_rate(training)[RUN_KEYS].drop_duplicates()
    chosen = chosen.rename(columns={"estimator": "trajectory"})
    return measured.merge(chosen, on=["dataset", "model", "trajectory", "learning_rate"])


def difference_to(name, table, column):
    """`column` minus that of estimator `name`, paired by data set, model, seed and step.

    Without a partner a row has none (NaN).
    """
    keys = ["dataset", "model", "seed", "step"]
    partner = table[table.estimator == name].set_index(keys)[column]
    return table[column] - partner.reindex(table.set_index(keys).index).to_numpy()


def best_of_rebar(runs):
    """The best validation ELBO of each of REBAR's runs, by data set, model and seed."""
    rebar = runs[runs.estimator == "rebar"]
    return rebar.groupby(["dataset", "model", "seed"]).valid_elbo.max().dropna()


def epochs_to_rebar(runs):
    """How long each run takes to validate as well as REBAR does at its best, with the same seed.

    Args:
        runs: training rows, of one learning rate for each estimator.

    Returns:
        Columns dataset, model, estimator, seed, epochs: the first epoch whose `valid_elbo` is at
        least that best one; NaN for a run that never gets there. Seeds without REBAR are left out.
    """
    goal = best_of_rebar(runs).rename("goal")
    runs = runs.join(goal, on=goal.index.names, how="inner")
    runs = runs.assign(epochs=runs.epoch.where(runs.valid_elbo >= runs.goal))
    return runs.groupby(["dataset", "model", "estimator", "seed"], as_index=False).epochs.min()
