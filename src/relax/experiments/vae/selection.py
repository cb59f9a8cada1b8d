"""Of the VAE's runs: which learning rate counts, which diverged, and how runs compare.

A run whose numbers stopped being finite has diverged (`diverged_step`). That is a result, which
tables and figures name; nothing else of such a run is used. Of an estimator's learning rates those
come first at which the fewest seeds diverged; the validation ELBO decides between them.
"""

import pandas as pd

from relax.errors import NonFiniteError
from relax.presentation import divergence
from relax.presentation.divergence import finite, has_diverged, preferred

RUN_KEYS = ["dataset", "model", "estimator", "learning_rate"]


def left_out(training):
    """In words, how many runs diverged at which learning rates; "" where none did."""
    return divergence.left_out(training, RUN_KEYS[:-1], RUN_KEYS[-1:])


def _scores(training):
    """The best validation ELBO of each run, empty for one that diverged; by `RUN_KEYS`, seed."""
    elbos = training.valid_elbo.mask(has_diverged(training))
    return elbos.groupby([training[key] for key in (*RUN_KEYS, "seed")]).max()


def select_learning_rate(training):
    """For each estimator, the rows of the learning rate that counts, without diverged runs.

    An estimator whose runs all diverged has none.

    Raises:
        NonFiniteError: every run diverged.
    """
    chosen = []
    for problem, own in _scores(training).groupby(RUN_KEYS[:-1]):
        rate = preferred(own.droplevel(RUN_KEYS[:-1]).unstack("seed"))
        if rate is not None:
            chosen.append((*problem, rate))
    if not chosen:
        raise NonFiniteError(f"no run of the VAE is left to show ({left_out(training)})")
    return finite(training.set_index(RUN_KEYS).loc[chosen].reset_index())


def chosen_on_other_seeds(training):
    """Of each estimator and seed, the learning rate that counts by the others alone.

    So no seed is judged at a rate that was chosen by its own luck. A single seed has no others: its
    rate is chosen on itself.

    Returns:
        Columns dataset, model, estimator, learning_rate, seed: to merge tables of runs with.
    """
    rows = []
    for key, scores in _scores(training).groupby(RUN_KEYS[:-1]):
        wide = scores.droplevel(RUN_KEYS[:-1]).unstack("seed")
        for seed in wide.columns:
            rate = preferred(wide.drop(columns=seed) if wide.shape[1] > 1 else wide)
            if rate is not None:
                rows.append((*key, rate, seed))
    return pd.DataFrame(rows, columns=[*RUN_KEYS, "seed"])


def on_selected_path(measured, training):
    """Of measurements along training runs, those on the path with its selected learning rate.

    A variance that is not finite, as its surrogate's tuning has diverged, is left out.

    Args:
        measured: rows with the columns dataset, model, trajectory (whose path), learning_rate.
        training: rows of `results/vae/**/training.csv`.

    Raises:
        NonFiniteError: nothing is left.
    """
    chosen = select_learning_rate(training)[RUN_KEYS].drop_duplicates()
    chosen = chosen.rename(columns={"estimator": "trajectory"})
    found = measured.merge(chosen, on=["dataset", "model", "trajectory", "learning_rate"])
    found = found.dropna(subset=[name for name in ("encoder_variance",) if name in found])
    if found.empty:
        raise NonFiniteError(
            "nothing is left that was measured along training: every run whose checkpoints were "
            f"measured has diverged ({left_out(training)})"
        )
    return found


def difference_to(name, table, column):
    """`column` minus that of estimator `name`, paired by data set, model, seed and step.

    Without a partner a row has none (NaN).
    """
    keys = ["dataset", "model", "seed", "step"]
    partner = table[table.estimator == name].set_index(keys)[column]
    return table[column] - partner.reindex(table.set_index(keys).index).to_numpy()


def as_tuned(variance):
    """The table `variance` with the columns `direct_term` and `flat`, which earlier tables lack.

    There every estimate had the direct term that the training had, and nobody asked what is flat.
    """
    missing = {"direct_term": variance.get("direct_gradient", True), "flat": float("nan")}
    return variance.assign(**{n: v for n, v in missing.items() if n not in variance})


def first_passages(runs, *names):
    """The epoch at which each run of these estimators first reaches one validation ELBO, the same
    for all: the highest that every one of the runs reaches.

    Whatever is compared, it is a first passage of one level, on both sides. (REBAR's epoch to the
    best of its own run is the place of a noisy maximum, which lies late: against it REBAR with
    other seeds is "faster" too.)

    Args:
        runs: training rows of one data set and model, one learning rate an estimator and seed.

    Returns:
        Columns estimator, seed, epochs, level.
    """
    runs = runs[runs.estimator.isin(names) & runs.valid_elbo.notna()]
    level = runs.groupby(["estimator", "seed"]).valid_elbo.max().min()
    there = runs[runs.valid_elbo >= level]
    first = there.groupby(["estimator", "seed"], as_index=False).epoch.min()
    return first.rename(columns={"epoch": "epochs"}).assign(level=level)


def best_of_rebar(runs):
    """The best validation ELBO of each of REBAR's runs, by data set, model and seed."""
    rebar = runs[runs.estimator == "rebar"]
    return rebar.groupby(["dataset", "model", "seed"]).valid_elbo.max().dropna()


def ended(runs):
    """Without the runs that had not ended, which packed tables may have: the column `planned` says.

    One row an epoch, as in `results/vae/**/training.csv`.
    """
    if "planned" not in runs:
        return runs
    return runs[runs.groupby([*RUN_KEYS, "seed"]).step.transform("max") >= runs.planned]


def epochs_to_rebar(runs):
    """How long each run takes to validate as well as REBAR does at its best, with the same seed.

    Args:
        runs: training rows, of one learning rate for each estimator.

    Returns:
        Columns dataset, model, estimator, seed, epochs: the first epoch whose `valid_elbo` is at
        least that best one; NaN for a run that never gets there. Seeds without REBAR are left out.
    """
    goal = best_of_rebar(runs).rename("goal")
    runs = runs.join(goal, on=goal.index.names, how="inner").reset_index(drop=True)
    runs = runs.assign(epochs=runs.epoch.where(runs.valid_elbo >= runs.goal))
    return runs.groupby(["dataset", "model", "estimator", "seed"]).epochs.min().reset_index()
