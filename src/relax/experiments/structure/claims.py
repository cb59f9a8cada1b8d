"""Claims about graph structure learning, judged from its tables. The draft only names it."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from relax.presentation.common import label
from relax.presentation.intervals import interval, paired_interval, worst
from relax.presentation.judge import judged, log, missing, row, run_scale

WHERE = "section 4 (named as an option)"
NEAR = 0.01  # a gap to the optimum, as a share of the optimum, that counts as near
KINDS = {"edges": "edges with a penalty for cycles", "ordering": "an ordering and its edges"}
# What RELAX's network alone, which never differentiates f, is set against.
RIVALS = ("reinforce", "rloo", "rebar")


def _ends(tables, kind=None):
    """Each seed's last row on the table of observations, with its gap; None without."""
    training, known = tables.get("structure"), tables.get("structure_graphs")
    if missing(training, known):
        return None
    rows = training[training.problem == "data"]
    if kind is not None:
        rows = rows[rows.latents == kind]
    if rows.empty:
        return None
    keys = ["latents", "estimator"]
    rows = rows[rows.step == rows.groupby(keys).step.transform("max")]
    optimum = known[(known.problem == "data") & (known.graph == "best")].score.iloc[0]
    return rows.assign(gap=optimum - rows.score, share=(optimum - rows.score) / optimum)


def near_the_optimum(tables: dict[str, pd.DataFrame]) -> Iterator[dict]:
    """RELAX learns a graph that is near the best of all.

    Rule: the interval of the mean gap, as a share of the optimum's score, is below `NEAR`.
    """
    for kind, what in KINDS.items():
        rows, finding = _ends(tables, kind), None
        if rows is not None:
            own = rows[rows.estimator == "relax"]
            found = interval(own.share)
            finding = found and judged(found, run_scale(own), below=NEAR)
        yield row(
            f"RELAX, the network alone, learns a graph near the best one: {what}",
            WHERE,
            "gap to the exact optimum, as a share of it",
            f"interval below {NEAR:g}",
            "fig17_structure",
            finding,
        )


def nearer_than_others(tables: dict[str, pd.DataFrame]) -> Iterator[dict]:
    """RELAX ends nearer to the optimum than its rivals, at equal evaluations of f.

    Rule: the interval of the gap's difference, paired by seed, is below 0.
    """
    for kind, what in KINDS.items():
        rows = _ends(tables, kind)
        for other in RIVALS:
            finding = None
            if rows is not None:
                found = paired_interval(rows, "gap", "relax", other)
                finding = found and judged(found, _scale(rows, "relax", other), below=0)
            yield row(
                f"At equal evaluations RELAX ends nearer to the best graph than {label(other)}: "
                f"{what}",
                WHERE,
                f"gap to the optimum, nats a cell, RELAX minus {label(other)}",
                "interval below 0",
                "fig17_structure",
                finding,
            )


def ordering_helps(tables: dict[str, pd.DataFrame]) -> Iterator[dict]:
    """With an ordering, in which no sample has a cycle, RELAX ends nearer to the optimum.

    Rule: the interval of the gap with an ordering minus that with edges, by seed, is below 0.
    """
    rows, finding = _ends(tables), None
    if rows is not None:
        own = rows[rows.estimator == "relax"].drop(columns="estimator")
        found = paired_interval(own.rename(columns={"latents": "estimator"}), "gap", *_KINDS)
        finding = found and judged(found, run_scale(own), below=0)
    yield row(
        "RELAX ends nearer to the best graph with an ordering than with penalised edges",
        WHERE,
        "gap to the optimum, nats a cell, ordering minus edges",
        "interval below 0",
        "fig17_structure",
        finding,
    )


def less_variance(tables: dict[str, pd.DataFrame]) -> Iterator[dict]:
    """A step's gradient has less variance with RELAX than with its rivals, at equal evaluations.

    Rule: at every common point the interval of the difference of log-variances, paired by seed, is
    below 0; the row shows the point nearest to failing.
    """
    table = tables.get("structure_variance")
    for kind, what in KINDS.items():
        for other in RIVALS:
            finding = None
            if not missing(table):
                rows = table[table.latents == kind].assign(log=lambda t: log(t.variance))
                found = worst(
                    (paired_interval(own, "log", "relax", other) for _, own in rows.groupby("way")),
                    lambda each: each.high,
                )
                scale = f"points: {rows.way.nunique()}, {rows.seed.nunique()} seeds"
                finding = found and judged(found, scale, below=0)
            yield row(
                f"RELAX's gradient has less variance than {label(other)}'s, at equal evaluations: "
                f"{what}",
                WHERE,
                f"log-variance at common parameters, RELAX minus {label(other)}, the worst point",
                "interval below 0 at every point",
                "fig17_structure",
                finding,
            )


def _scale(rows, *names):
    own = rows[rows.estimator.isin(names)]
    return f"{run_scale(own)}, {int(np.max(own.evaluations)):,} evaluations"


_KINDS = ("ordering", "edges")
CLAIMS = [near_the_optimum, nearer_than_others, ordering_helps, less_variance]
