"""Summary of the benchmark: every estimator's error and cost on every problem, ranked both ways."""

import numpy as np
import pandas as pd

from relax.estimators.registry import REGISTRY, calls
from relax.experiments.benchmark.variants import calls_on_the_bound
from relax.presentation.common import FLOOR, count, label
from relax.presentation.published import ESTIMATOR_VARIANCE

KEYS = ["problem", "objective", "estimator", "samples"]
WHERE = KEYS[:2]


def points(variance, seconds):
    """One row a problem, objective and variant: its error at the common checkpoints, and its cost.

    Args:
        variance: rows of `results/benchmark/**/variance.csv`.
        seconds: rows of `results/benchmark/**/seconds.csv`.

    Columns: problem, objective, estimator, samples, unbiased, noise, seeds, checkpoints,
    log_variance (of the mean over checkpoints, which are the same for all; then the mean over seeds
    of natural logarithms; -inf for a variance of zero), log_error (the same of the mean squared
    error: for the unbiased ones it is the variance), relative_bias (squared bias over variance,
    median over seeds), evaluations, gradients (of f), seconds, seconds_low, seconds_high,
    step_seconds.
    """
    variance = variance.dropna(subset="variance")
    runs = variance.groupby([*KEYS, "seed"], as_index=False, sort=False).agg(
        noise=("noise", "first"),
        latents=("latents", "first"),
        relaxed=("relaxed", "first"),
        checkpoints=("checkpoint", "nunique"),
        variance=("variance", "mean"),
        bias=("squared_bias", "mean"),
    )
    biased = ~runs.estimator.map(lambda name: REGISTRY[name].unbiased)
    runs = runs.assign(
        log_variance=logarithm(runs.variance),
        log_error=logarithm(runs.variance + runs.bias.clip(lower=0).fillna(0).where(biased, 0)),
        share=runs.bias / runs.variance.where(runs.variance > 0),
    )
    found = runs.groupby(KEYS, as_index=False, sort=False).agg(
        noise=("noise", "first"),
        latents=("latents", "first"),
        relaxed=("relaxed", "first"),
        seeds=("seed", "nunique"),
        checkpoints=("checkpoints", "first"),
        log_variance=("log_variance", "mean"),
        log_error=("log_error", "mean"),
        relative_bias=("share", "median"),
    )
    found.insert(4, "unbiased", [REGISTRY[name].unbiased for name in found.estimator])
    cost = [_calls(row) for row in found.itertuples()]
    found["evaluations"] = [each.evaluations for each in cost]
    found["gradients"] = [each.gradients for each in cost]
    found = found.drop(columns=["latents", "relaxed"])
    return found.merge(seconds, on=KEYS, how="left")


def logarithm(values):
    """Natural logarithms; -inf for what is zero but for rounding."""
    return np.log(values.where(values > FLOOR)).fillna(-np.inf)


def _calls(row):
    """How often one estimate of this row's calls f."""
    if row.objective != "cost":
        return calls_on_the_bound(row.estimator, row.samples, row.latents)
    return calls(row.estimator, row.samples, row.latents, row.noise, row.relaxed)


def frontier(table, cost):
    """Whether each row of one problem is on the frontier: none has less error at no more cost.

    Args:
        table: rows of `points` of one problem and objective.
        cost: the column "evaluations" or "seconds".
    """
    return [
        not (
            ((table.log_error < row.log_error) & (table[cost] <= getattr(row, cost)))
            | ((table.log_error <= row.log_error) & (table[cost] < getattr(row, cost)))
        ).any()
        for row in table.itertuples()
    ]


def summarise(variance, seconds):
    """`points`, ranked in each problem by error x evaluations and by error x seconds.

    Further columns: variance, error (exponentials of the logarithms: geometric means), their
    products error_x_evaluations and error_x_seconds, rank_by_evaluations, rank_by_seconds (1 is the
    best), on_frontier_evaluations, on_frontier_seconds, published_variance (where the problem is
    the published one).
    """
    parts = []
    for _, rows in points(variance, seconds).groupby(WHERE, sort=False):
        error = np.exp(rows.log_error)
        rows = rows.assign(variance=np.exp(rows.log_variance), error=error)
        for cost in ("evaluations", "seconds"):
            product = error * rows[cost]
            rows[f"error_x_{cost}"] = product
            rows[f"rank_by_{cost}"] = product.rank(method="min").astype("Int64")
            rows[f"on_frontier_{cost}"] = frontier(rows, cost)
        parts.append(rows.sort_values("error_x_evaluations"))
    table = pd.concat(parts, ignore_index=True)
    keys = zip(table.problem, table.estimator, table.samples, strict=True)
    table["published_variance"] = [ESTIMATOR_VARIANCE.get(key, np.nan) for key in keys]
    return table


def name_of(estimator, samples):
    """How tables and figures call a variant: "DisARM", "ARMS, K = 3"."""
    several = "samples" in REGISTRY[estimator].reads
    return label(estimator) + (f", K = {samples}" if several else "")


def for_people(table):
    """`summarise`'s table with few and short columns, as text, for Markdown.

    Where a variance of the problem is published, it stands at the end, beside ours.
    """
    rows = list(table.itertuples())
    shown = pd.DataFrame(
        {
            "problem": table.problem,
            "objective": table.objective,
            "estimator": [name_of(row.estimator, row.samples) for row in rows],
            "biased": ["" if row.unbiased else "yes" for row in rows],
            "log-variance": [f"{row.log_variance:.2f}" for row in rows],
            "log-MSE": ["" if row.unbiased else f"{row.log_error:.2f}" for row in rows],
            "evaluations": table.evaluations,
            "gradients": table.gradients,
            "microseconds": [f"{1e6 * row.seconds:.0f}" for row in rows],
            "error x evaluations": [f"{row.error_x_evaluations:.3g}" for row in rows],
            "rank": table.rank_by_evaluations,
            "error x seconds": [f"{row.error_x_seconds:.3g}" for row in rows],
            "rank by seconds": table.rank_by_seconds,
            "scale": [
                f"{count(row.seeds, 'seed')}, {count(row.checkpoints, 'checkpoint')}"
                for row in rows
            ],
        }
    )
    if table.published_variance.notna().any():
        ours = {"variance": table.variance, "published variance": table.published_variance}
        for heading, values in ours.items():
            shown[heading] = ["" if np.isnan(value) else f"{value:.3g}" for value in values]
    return shown
