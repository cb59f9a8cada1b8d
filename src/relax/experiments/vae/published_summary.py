"""Our training curves beside the published ones, at chosen epochs, and epochs to REBAR's best."""

import numpy as np
import pandas as pd

from relax.experiments.vae.selection import (
    RUN_KEYS,
    ended,
    epochs_to_rebar,
    select_learning_rate,
)
from relax.presentation.common import count, in_registry_order, label
from relax.presentation.published import EPOCHS_TO_REBAR, NEVER, of_bits, problem_of, published_of
from relax.presentation.published_curves import published_at, published_curve

EPOCHS = (50, 100, 200, 500, 900)
PROBLEM = RUN_KEYS[:-1]


def summarise(training):
    """Training ELBOs, nats an image, of REBAR and RELAX on MNIST, where there are published curves
    (of models whose latents are bits).

    Args:
        training: rows of `results/vae/**/training.csv`; of each estimator the learning rate with
            the best validation ELBO counts.

    Columns: dataset, model, estimator, learning_rate, noise, seeds, steps; epoch, one of `EPOCHS`;
    train_elbo, the running mean over that epoch, mean over seeds, with its standard error `_se`:
    empty where the run did not come so far; published_train_elbo, read out of the published figure:
    empty where its axes leave the curve out; difference, ours minus theirs. epochs_to_rebar and
    published_epochs_to_rebar are as in the table `vae`, empty where the run or REBAR's had not
    ended: they are of the run and stand in each of its rows.
    """
    training = select_learning_rate(training)
    there = [
        published_curve(problem_of(d), m, e) is not None
        for d, m, e in zip(*(training[key] for key in PROBLEM), strict=True)
    ]
    runs = training[of_bits(training) & np.array(there)]
    epochs = epochs_to_rebar(ended(training)).groupby(PROBLEM).epochs.agg(["mean", "count"])
    rows = []
    for key, own in runs.groupby([*RUN_KEYS, "noise"]):
        problem = key[:3]
        who = dict(zip([*RUN_KEYS, "noise"], key, strict=True))
        who |= {"seeds": own.seed.nunique(), "steps": own.step.max()}
        reached, seeds = epochs.loc[problem] if problem in epochs.index else (np.nan, np.nan)
        for epoch in EPOCHS:
            ours = own[own.epoch == epoch].train_elbo
            theirs = published_at(problem_of(problem[0]), *problem[1:], epoch)
            elbos = {"train_elbo": ours.mean(), "train_elbo_se": ours.sem()}
            elbos |= {"published_train_elbo": theirs, "difference": ours.mean() - theirs}
            way = {"epochs_to_rebar": reached, "seeds_to_rebar": seeds}
            way |= {"published_epochs_to_rebar": published_of(EPOCHS_TO_REBAR, problem)}
            rows.append(who | {"epoch": epoch} | elbos | way)
    names = [*RUN_KEYS, "noise", "seeds", "steps", "epoch", "train_elbo", "train_elbo_se"]
    names += ["published_train_elbo", "difference", "epochs_to_rebar", "seeds_to_rebar"]
    table = pd.DataFrame(rows, columns=[*names, "published_epochs_to_rebar"])
    return in_registry_order(table, "dataset", "model", "estimator", "epoch")


def for_people(table):
    """A row a run, "ours / published" at each epoch, as text, for Markdown."""
    rows = []
    for key, own in table.groupby(["dataset", "model", "estimator"], sort=False):
        first = own.iloc[0]
        who = {"data set": key[0], "model": key[1], "estimator": label(key[2])}
        who["rate"] = f"{first.learning_rate:g}"
        at = {
            f"epoch {row.epoch}": f"{_short(row.train_elbo)} / {_short(row.published_train_elbo)}"
            for row in own.itertuples()
        }
        never = pd.notna(first.seeds_to_rebar) and first.seeds_to_rebar == 0
        reached = "never" if never else _short(first.epochs_to_rebar, 0)
        theirs = first.published_epochs_to_rebar
        epochs = f"{reached} / {'never' if theirs == NEVER else _short(theirs, 0)}"
        scale = f"{count(first.seeds, 'seed')}, {first.steps:,} steps"
        rows.append(who | at | {"epochs to REBAR's best": epochs, "scale": scale})
    return pd.DataFrame(rows)


def _short(value, digits=2):
    return "–" if pd.isna(value) else f"{value:.{digits}f}"
