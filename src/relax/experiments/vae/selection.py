"""Of the VAE's runs: which learning rate counts, and how runs compare."""

RUN_KEYS = ["dataset", "model", "estimator", "learning_rate"]


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
