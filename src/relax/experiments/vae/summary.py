"""Summary of the discrete VAE's training: its highest ELBOs, beside the published ones."""

import pandas as pd

from relax.experiments.vae.selection import (
    RUN_KEYS,
    ended,
    epochs_to_rebar,
    select_learning_rate,
)
from relax.presentation.common import count, in_registry_order, label
from relax.presentation.divergence import fates, finite
from relax.presentation.published import (
    EPOCHS_TO_REBAR,
    NEVER,
    TRAIN_ELBO,
    VALID_BOUND,
    of_bits,
    published_of,
)

PROBLEM = RUN_KEYS[:-1]  # data set, model, estimator


def summarise(training, best):
    """Highest ELBOs in nats an image, mean and standard error over seeds (columns `_se`).

    Args:
        training: rows of `results/vae/**/training.csv`; of each estimator the learning rate with
            the best validation ELBO counts.
        best: rows of `results/vae/**/best.csv`: the model of each run that validates best.

    Columns: dataset, model, estimator, learning_rate, noise, seeds, steps; best_train_elbo,
    best_valid_elbo: the highest of each run; best_valid_bound, test_elbo, test_bound: of the model
    that validates best, the bounds with `bound_samples` importance samples; published_train_elbo,
    published_valid_bound. epochs_to_rebar: see `relax.experiments.vae.selection`, mean over the
    seeds that get there; seeds_to_rebar: how many do; published_epochs_to_rebar: infinite where
    the published run never does; of packed runs planned: the steps that they were to have, and
    settings: in what they differ from the first packed run of the data set and model. runs,
    diverged: how many runs there are of all learning rates and seeds, and how many of them
    diverged; the other columns are of those that did not. latents, of categorical ones only:
    variables x outcomes. Empty where there is nothing: no published number (there is none of
    categorical latents), no REBAR, no run that did not diverge.

    Raises:
        NonFiniteError: every run diverged.
    """
    runs_of_each = fates(training, PROBLEM, RUN_KEYS[-1:])
    training = select_learning_rate(training)
    keys = [*RUN_KEYS, "noise"]
    runs = training.groupby([*keys, "seed"], as_index=False).agg(
        steps=("step", "max"), train=("train_elbo", "max"), valid=("valid_elbo", "max")
    )
    rows = runs.groupby(keys, as_index=False).agg(
        seeds=("seed", "nunique"),
        steps=("steps", "max"),
        best_train_elbo=("train", "mean"),
        best_train_elbo_se=("train", "sem"),
        best_valid_elbo=("valid", "mean"),
        best_valid_elbo_se=("valid", "sem"),
    )
    kept = (
        finite(best)
        .groupby(keys, as_index=False)
        .agg(
            best_valid_bound=("valid_bound", "mean"),
            best_valid_bound_se=("valid_bound", "sem"),
            bound_samples=("bound_samples", "max"),
            test_elbo=("test_elbo", "mean"),
            test_elbo_se=("test_elbo", "sem"),
            test_bound=("test_bound", "mean"),
            test_bound_se=("test_bound", "sem"),
        )
    )
    epochs = epochs_to_rebar(ended(training)).groupby(PROBLEM)
    epochs = epochs.agg(epochs_to_rebar=("epochs", "mean"), seeds_to_rebar=("epochs", "count"))
    epochs = epochs.reset_index()
    rows = rows.merge(kept, on=keys, how="left").merge(runs_of_each, on=PROBLEM, how="right")
    if "latents" in training:
        kinds = training.groupby(PROBLEM, as_index=False).latents.first()
        rows = rows.merge(kinds, on=PROBLEM, how="left")
    rows["published_train_elbo"] = _published(rows, TRAIN_ELBO)
    rows["published_valid_bound"] = _published(rows, VALID_BOUND)
    rows = rows.merge(epochs, on=PROBLEM, how="left")
    rows["published_epochs_to_rebar"] = _published(rows, EPOCHS_TO_REBAR)
    for name, which in (("planned", "max"), ("settings", "first")):
        if name in training:  # of packed runs
            packed = training.groupby(PROBLEM, as_index=False)[name].agg(which)
            rows = rows.merge(packed, on=PROBLEM, how="left")
    whole = ["seeds", "steps", "bound_samples", "seeds_to_rebar"]  # also where some are empty
    rows[whole] = rows[whole].astype("Int64")
    return in_registry_order(rows, *PROBLEM)


def _published(rows, numbers):
    problems = zip(*(rows[key] for key in PROBLEM), strict=True)
    published = [published_of(numbers, problem) for problem in problems]
    return pd.Series(published, index=rows.index).where(of_bits(rows))


def for_people(table):
    """`summarise`'s table with few and short columns, as text, for Markdown."""
    rows = list(table.itertuples())
    samples = " and ".join(str(n) for n in sorted(table.bound_samples.dropna().unique()))
    return pd.DataFrame(
        {
            "data set": table.dataset,
            "model": table.model,
            "estimator": [label(row.estimator) for row in rows],
            "rate": [_short(row.learning_rate, 6, "g") for row in rows],
            "training ELBO": _mean_se(table, "best_train_elbo"),
            "published ELBO": [_short(row.published_train_elbo) for row in rows],
            "validation ELBO": _mean_se(table, "best_valid_elbo"),
            f"validation bound ({samples})": _mean_se(table, "best_valid_bound"),
            "published validation": [_short(row.published_valid_bound) for row in rows],
            f"test bound ({samples})": _mean_se(table, "test_bound"),
            "epochs to REBAR's best": [_epochs(row) for row in rows],
            "published epochs": [_published_epochs(row) for row in rows],
            "scale": [_scale(row) for row in rows],
        }
    )


def _scale(row):
    parts = []
    if hasattr(row, "latents") and not pd.isna(row.latents):
        parts.append(f"{row.latents} categorical latents")
    if not pd.isna(row.seeds):
        parts.append(f"{count(int(row.seeds), 'seed')}, {_steps(row)}")
    if not pd.isna(own := getattr(row, "settings", "")) and own:  # empty, once read back
        parts.append(own)
    if getattr(row, "diverged", 0):  # tables from before this was noted have none
        parts.append(f"{row.diverged} of {count(row.runs, 'run')} diverged")
    return "; ".join(parts)


def _short(value, digits=2, kind="f"):
    return "" if pd.isna(value) else f"{value:.{digits}{kind}}"


def _mean_se(table, column):
    """As "-20.10 ± 0.03"; without the error where one seed gives none."""
    pairs = zip(table[column], table[column + "_se"], strict=True)
    return [_short(mean) + ("" if pd.isna(se) else f" ± {se:.2f}") for mean, se in pairs]


def _steps(row):
    steps, planned = int(row.steps), getattr(row, "planned", row.steps)
    return f"{steps:,} steps" + (f" of {planned:,.0f}, unfinished" if steps < planned else "")


def _epochs(row):
    if pd.isna(row.seeds_to_rebar):
        return ""
    if row.seeds_to_rebar == 0:
        return "never"
    whole = row.seeds_to_rebar == row.seeds
    some = "" if whole else f" ({row.seeds_to_rebar} of {row.seeds} seeds)"
    return f"{row.epochs_to_rebar:.0f}{some}"


def _published_epochs(row):
    value = row.published_epochs_to_rebar
    return "never" if value == NEVER else _short(value, 0)
