"""What the packed runs were: how far each came, in how much time, and to which score."""

import pandas as pd

from relax.presentation.common import in_registry_order, label
from relax.presentation.published import TRAIN_ELBO, VALID_BOUND, of_bits, published_of

KEYS = ["dataset", "model", "estimator", "learning_rate"]


def summarise(jobs):
    """One row a packed job.

    Args:
        jobs: table of `relax.experiments.archive.stack.stack`.

    Columns: run, dataset (of a policy the task), model, estimator, learning_rate, settings (in what
    they differ from those of the first packed run of the data set and model), drawn (whether
    figures show it), seeds (first and last), steps it reached, planned, finished; processor_seconds
    (empty where nobody noted it), wall_seconds, interruptions; best_train_elbo, best_valid_elbo:
    the highest, mean over its seeds, nats an image; valid_bound: of the model that validates best
    (so far); published_train_elbo, published_valid_bound.
    """
    rows = jobs.copy()
    problems = list(zip(rows.dataset, rows.model, rows.estimator, strict=True))
    for column, numbers in (
        ("published_train_elbo", TRAIN_ELBO),
        ("published_valid_bound", VALID_BOUND),
    ):
        found = pd.Series([published_of(numbers, each) for each in problems], index=rows.index)
        rows[column] = found.where(of_bits(rows))
    first = ["run", *KEYS, "settings", "drawn", "seeds", "steps", "planned", "finished"]
    others = {*first, "job", "machine", "latents"}
    rows = rows[[*first, *(name for name in rows if name not in others)]]
    return in_registry_order(rows, "dataset", "model", "run", "estimator", "learning_rate", "seeds")


def for_people(table):
    """`summarise`'s table with few and short columns, as text, for Markdown."""
    rows = list(table.itertuples())

    def text(column, digits=2):
        return ["" if pd.isna(value) else f"{value:,.{digits}f}" for value in table[column]]

    def words(column):  # one of which every cell is empty is read as numbers
        return table[column].astype(object).fillna("")

    return pd.DataFrame(
        {
            "run": table.run,
            "data set": table.dataset,
            "model": words("model"),
            "estimator": [label(row.estimator) for row in rows],
            "rate": [f"{row.learning_rate:g}" for row in rows],
            "other settings": words("settings"),
            "in figures": table.drawn.map({True: "yes", False: "no"}),
            "seeds": table.seeds,
            "iterations": [
                f"{row.steps:,}" + ("" if row.finished else f" of {row.planned:,}, unfinished")
                for row in rows
            ],
            "processor time (s)": text("processor_seconds", 0),
            "wall time (s)": text("wall_seconds", 0),
            "interruptions": table.interruptions.astype("Int64").astype(str).replace("<NA>", ""),
            "best training ELBO": text("best_train_elbo"),
            "published ELBO": text("published_train_elbo"),
            "validation ELBO": text("best_valid_elbo"),
            "validation bound": text("valid_bound"),
            "published validation": text("published_valid_bound"),
        }
    )
