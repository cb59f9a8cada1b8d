"""Figure of graph structure learning: how near each estimator comes to the best graph."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from relax.presentation.common import count
from relax.presentation.style import (
    COST_COLOUR,
    draw_band,
    estimator_look,
    estimator_marker,
    finish,
    new_figure,
    ordered,
)

WORDS = {"edges": "edges, cycles penalised", "ordering": "an ordering and its edges"}
SHOWN = 0.75  # of the optimum: scores below this share of it are off the panel


def fig17_structure(training: pd.DataFrame, graphs: pd.DataFrame, variance: pd.DataFrame) -> Figure:
    """Score against evaluations, and variance at common parameters; below, random graphs.

    Args:
        training: rows of `results/structure/*/seeds*/training.csv`.
        graphs: rows of `results/structure/graphs.csv`.
        variance: rows of `results/structure/*/seeds*/variance.csv`.
    """
    kinds = [kind for kind in WORDS if (training.latents == kind).any()]
    random = training[training.problem != "data"]
    figure, axes = new_figure(len(kinds) + (not random.empty), 2, row_height=2.6)
    best = graphs[graphs.graph == "best"].groupby("problem").score.first()
    data = training[training.problem == "data"]
    names, handles = ordered(training.estimator), {}
    for row, kind in zip(axes, kinds, strict=False):
        runs = data[data.latents == kind]
        for name in ordered(runs.estimator):
            own = runs[runs.estimator == name]
            handles[name] = draw_band(row[0], own, "score", name, x="evaluations", **_marked(name))
            _draw_variance(row[1], variance[variance.latents == kind], name)
        optimum = row[0].axhline(
            best["data"], color=COST_COLOUR, linewidth=0.9, zorder=0, label="the best graph of all"
        )
        row[0].set(
            xlabel="evaluations of $f$, each seed",
            ylabel="score, nats a cell",
            title=f"learned graph: {WORDS[kind]}",
            xlim=(0, runs.evaluations.max()),
            ylim=(SHOWN * best["data"], 1.03 * best["data"]),
        )
        row[0].xaxis.set_major_formatter("{x:,.0f}")
        row[0].locator_params(axis="x", nbins=5)
        row[1].set(
            xlabel="way from the start (0) to the best graph (1)",
            ylabel="variance of a step's gradient",
            title=f"variance: {WORDS[kind]}",
            yscale="log",
            xlim=(0, 1),
        )
    if not random.empty:
        _draw_random(axes[-1], random, best)
    title = "Learning a graph's structure (lines: median over seeds; bands: quartiles)"
    each = [handles[name] for name in names if name in handles]
    return finish(figure, title, [*each, optimum], _scale(training, graphs))


def _marked(name, every=3):
    """Markers on a curve, for readers without colours."""
    return {"marker": estimator_marker(name), "markersize": 4, "markevery": every}


def _draw_variance(axes, variance, name):
    """The variance, and thin the squared error where there is a bias."""
    own = variance[variance.estimator == name]
    if own.empty:
        return
    draw_band(axes, own, "variance", name, x="way", **_marked(name, every=1))
    middle = own.groupby("way")[["variance", "mean_squared_error"]].median()
    if not np.allclose(middle.variance, middle.mean_squared_error):
        axes.plot(middle.mean_squared_error, color=estimator_look(name)["color"], linewidth=0.8)


def _draw_random(axes, random, best):
    """At the end of training: the gap to the optimum, and the distance to the truth."""
    keys = ["problem", "latents", "estimator"]
    last = random[random.step == random.groupby(keys).step.transform("max")]
    last = last.assign(
        gap=last.problem.map(best) - last.score,
        nodes=last.problem.str.removeprefix("random").astype(int),
    )
    sizes = sorted(last.nodes.unique())
    groups = [(name, kind) for name in ordered(last.estimator) for kind in WORDS]
    groups = [g for g in groups if ((last.estimator == g[0]) & (last.latents == g[1])).any()]
    for place, (name, kind) in enumerate(groups):
        own = last[(last.estimator == name) & (last.latents == kind)].groupby("nodes")
        shift = 0.6 * ((place + 0.5) / len(groups) - 0.5)
        for panel, column in zip(axes, ("gap", "distance"), strict=True):
            middle = own[column].median()
            low, high = own[column].quantile(0.25), own[column].quantile(0.75)
            panel.errorbar(
                [sizes.index(nodes) + shift for nodes in middle.index],
                middle,
                [middle - low, high - middle],
                fmt=estimator_marker(name),
                color=estimator_look(name)["color"],
                markerfacecolor="white" if kind == "ordering" else None,
                markersize=4.5,
                linewidth=1,
            )
    for panel in axes:
        panel.set_xticks(range(len(sizes)), [f"{nodes}" for nodes in sizes])
        panel.set(xlabel="nodes", ylim=(-0.04 * panel.get_ylim()[1], None))
        panel.axhline(0, color=COST_COLOUR, linewidth=0.6, zorder=0)
    marks = "filled: edges; open: ordering"
    axes[0].set(ylabel="gap, nats a row", title=f"random graphs, gap to the best\n({marks})")
    axes[1].set(
        ylabel="edges that differ", title=f"random graphs, distance to the truth\n({marks})"
    )


def _scale(training, graphs):
    own = training.problem == "data"
    data, random = training[own], training[~own]
    size = graphs[graphs.problem == "data"].iloc[0]
    noise = " and ".join(sorted(training.noise.unique()))
    less = "" if random.empty else f" ({random.evaluations.max():,} on random graphs)"
    return (
        f"{size.nodes} nodes, {size.rows:,} rows; {count(data.seed.nunique(), 'seed')}, "
        f"{data.evaluations.max():,} evaluations of f each{less}, {noise} noise\n"
        f"thin lines: mean squared error of the biased estimators"
    )
