"""Summary of graph structure learning: where each estimator ended, beside the best graph."""

import pandas as pd

from relax.presentation.common import in_registry_order, label

FOUND = 1e-5  # nats a cell: a score this near to the optimum is the optimum's, in float32
KEYS = ["problem", "latents", "estimator"]


def summarise(training: pd.DataFrame, graphs: pd.DataFrame, seconds: pd.DataFrame) -> pd.DataFrame:
    """One row a problem, kind of latents and estimator, at the end; and one for each known graph.

    Args:
        training: rows of `results/structure/*/seeds*/training.csv`.
        graphs: rows of `results/structure/graphs.csv`.
        seconds: rows of `results/structure/*/seeds*/seconds.csv`.

    Columns: problem, nodes, rows (of observations), latents, estimator ("best graph" and
    "reference" for the known ones: the truth, or Sachs's consensus), noise, seeds, steps,
    evaluations and gradients (of f, a seed), score and its quartiles score_low and score_high,
    optimum, gap and gap_low and gap_high (optimum minus score), found (share of the seeds whose
    graph scores as the best one does), edges, distance_to_best, distance and skeleton_distance (to
    the reference), seconds (of the processor, all seeds together). All but the counts are medians
    over seeds, scores in nats a cell.
    """
    known = graphs.drop_duplicates(["problem", "graph"])
    best = known[known.graph == "best"].set_index("problem")
    last = training[training.step == training.groupby(KEYS).step.transform("max")]
    last = last.assign(optimum=last.problem.map(best.score))
    last["gap"] = last.optimum - last.score
    last["found"] = last.gap < FOUND
    for column in ("distance", "skeleton_distance"):  # without a reference there are none
        last[column] = last[column] if column in last else float("nan")
    rows = last.groupby(KEYS, as_index=False).agg(
        noise=("noise", "first"),
        seeds=("seed", "nunique"),
        steps=("step", "max"),
        evaluations=("evaluations", "max"),
        gradients=("gradients", "max"),
        score=("score", "median"),
        score_low=("score", lambda score: score.quantile(0.25)),
        score_high=("score", lambda score: score.quantile(0.75)),
        optimum=("optimum", "first"),
        gap=("gap", "median"),
        gap_low=("gap", lambda gap: gap.quantile(0.25)),
        gap_high=("gap", lambda gap: gap.quantile(0.75)),
        found=("found", "mean"),
        edges=("edges", "median"),
        distance_to_best=("distance_to_best", "median"),
        distance=("distance", "median"),
        skeleton_distance=("skeleton_distance", "median"),
    )
    rows = rows.merge(seconds.groupby(KEYS, as_index=False).seconds.sum(), on=KEYS, how="left")
    rows = in_registry_order(rows, "problem", "latents", "estimator")
    found = [rows[rows.problem == name] for name in graphs.problem.unique()]
    parts = [part for each in found for part in (each, _known(known, each))]
    table = pd.concat(parts, ignore_index=True)
    for column in ("nodes", "rows"):
        table.insert(1 if column == "nodes" else 2, column, table.problem.map(best[column]))
    return table


def _known(known, rows):
    """Rows of the known graphs of the problem that these rows are of."""
    own = known[known.problem == rows.problem.iloc[0]]
    optimum = own.score[own.graph == "best"].iloc[0]
    return pd.DataFrame(
        {
            "problem": own.problem,
            "latents": "",
            "estimator": own.graph.map({"best": "best graph", "reference": "reference"}),
            "score": own.score,
            "optimum": optimum,
            "gap": optimum - own.score,
            "edges": own.edges.astype(float),
        }
    )


def for_people(table: pd.DataFrame) -> pd.DataFrame:
    """Few columns, with their names in words; the least gap first."""

    def whole(value):
        return "" if pd.isna(value) else f"{value:,.0f}"

    def number(value, form):
        return "" if pd.isna(value) else format(value, form)

    def spread(row):
        if pd.isna(row.gap_low):
            return f"{row.gap:.4f}"
        return f"{row.gap:.4f} [{row.gap_low:.4f}, {row.gap_high:.4f}]"

    ranked = table.assign(place=table.groupby("problem", sort=False).ngroup())
    ranked = ranked.sort_values(["place", "latents", "gap"], kind="stable")
    each = list(ranked.itertuples())
    return pd.DataFrame(
        {
            "problem": [f"{row.problem}, {row.nodes} nodes" for row in each],
            "latents": ranked.latents.to_list(),
            "estimator": [label(name) for name in ranked.estimator],
            "gap to the optimum [quartiles]": [spread(row) for row in each],
            "optimum found": [number(row.found, ".0%") for row in each],
            "edges": [number(row.edges, "g") for row in each],
            "SHD to the best": [number(row.distance_to_best, "g") for row in each],
            "SHD to the reference": [number(row.distance, "g") for row in each],
            "evaluations": [whole(row.evaluations) for row in each],
            "seconds": [number(row.seconds, ".1f") for row in each],
        }
    )
