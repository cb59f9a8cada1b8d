"""A figure of graphs: learned, with the probabilities of their edges, the best and the known."""

import itertools

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch
from matplotlib.path import Path

from relax.presentation.common import count, label
from relax.presentation.style import finish, new_figure

SAME, REVERSED, OTHER = "#0072B2", "#E69F00", "#CC79A7"
NODE = "#333333"
RADIUS = 0.055  # of a node, where those of the circle are 1 from its middle
FAINTEST = 0.05  # an edge less probable than this is not drawn
PULL = 0.45  # how far an edge bends from the chord towards the middle
SHOWN = "relax"  # whose graphs are shown, where there are any


def fig18_graph(edges: pd.DataFrame, graphs: pd.DataFrame) -> Figure:
    """Learned graphs with edge probabilities, the best graph, and the one that is compared with.

    Args:
        edges: rows of `results/structure/*/seeds*/edges.csv`.
        graphs: rows of `results/structure/graphs.csv`.
    """
    learned = edges[edges.problem == "data"]
    known = graphs[graphs.problem == "data"]
    name = SHOWN if (learned.estimator == SHOWN).any() else learned.estimator.iloc[0]
    learned = learned[learned.estimator == name]
    best = _pairs(known[known.graph == "best"])
    panels = [
        (f"learned by {label(name)}: {kind}", _probabilities(learned[learned.latents == kind]))
        for kind in ("edges", "ordering")
        if (learned.latents == kind).any()
    ]
    score = known[known.graph == "best"].score.iloc[0]
    panels.append((f"the best of all graphs: {score:.4f} nats a cell", dict.fromkeys(best, 1.0)))
    reference = known[known.graph == "reference"]
    if not reference.empty:
        score = reference.score.iloc[0]
        title = f"the published consensus: {score:.4f} nats a cell"
        panels.append((title, dict.fromkeys(_pairs(reference), 1.0)))
    places = _places(sorted({*learned.parent, *learned.child}), panels[::-1])
    rows = -(-len(panels) // 2)
    figure, axes = new_figure(rows, 2, row_height=2.9)
    for panel in axes.flat[len(panels) :]:
        panel.set_axis_off()
    for panel, (title, graph) in zip(axes.flat, panels, strict=False):
        _draw(panel, places, graph, best)
        panel.set_title(title)
    words = {SAME: "in the best graph", REVERSED: "the other way round", OTHER: "not in it"}
    handles = [Line2D([], [], color=colour, linewidth=2, label=w) for colour, w in words.items()]
    handles += [
        Line2D([], [], color="#777777", linewidth=_width(p), alpha=_alpha(p), label=f"P = {p:g}")
        for p in (0.1, 0.5, 1.0)
    ]
    size = known.iloc[0]
    seeds = learned.groupby("latents").seeds.first().iloc[0]
    scale = (
        f"{size.nodes} nodes, {size.rows:,} rows; probability of an edge P: "
        f"mean over {count(int(seeds), 'seed')} at the end of training"
    )
    return finish(figure, "Structure of a graph: learned, best and known", handles, scale)


def _pairs(rows):
    rows = rows.dropna(subset=["parent"])
    return list(zip(rows.parent, rows.child, strict=True))


def _probabilities(rows):
    """Of each edge, the mean over all jobs' seeds."""
    weighed = rows.assign(total=rows.probability * rows.seeds)
    sums = weighed.groupby(["parent", "child"])[["total", "seeds"]].sum()
    return (sums.total / sums.seeds).to_dict()


def _places(names, panels):
    """Where each node stands on the circle, {name: [2]}: neighbours in the graphs near each other.

    Pairs of nodes change places as long as that shortens the edges of all panels.
    """
    weights = np.zeros((len(names), len(names)))
    for _, graph in panels:
        for (parent, child), probability in graph.items():
            weights[names.index(parent), names.index(child)] += probability
    weights += weights.T
    angle = 2 * np.pi * np.arange(len(names)) / len(names)
    points = np.stack([np.sin(angle), np.cos(angle)], -1)
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    order, shorter = np.arange(len(names)), True
    while shorter:
        shorter = False
        for first, second in itertools.combinations(range(len(names)), 2):
            other = order.copy()
            other[[first, second]] = order[[second, first]]
            lengths = [(weights[np.ix_(o, o)] * apart).sum() for o in (order, other)]
            if lengths[1] < lengths[0] - 1e-9:
                order, shorter = other, True
    return {names[node]: points[place] for place, node in enumerate(order)}


def _width(probability):
    return 0.5 + 2.3 * probability


def _alpha(probability):
    return 0.12 + 0.83 * probability


def _draw(axes, places, graph, best):
    """Nodes on the circle, and each edge as an arrow that bends towards its middle."""
    for (parent, child), probability in sorted(graph.items(), key=lambda item: item[1]):
        if probability < FAINTEST:
            continue
        colour = OTHER
        if (parent, child) in best:
            colour = SAME
        elif (child, parent) in best:
            colour = REVERSED
        start, end = places[parent], places[child]
        middle = (start + end) / 2 * (1 - PULL)
        start = start + _towards(start, middle, 1.3 * RADIUS)
        end = end + _towards(end, middle, 1.6 * RADIUS)
        arrow = FancyArrowPatch(
            path=Path([start, middle, end], [Path.MOVETO, Path.CURVE3, Path.CURVE3]),
            arrowstyle="-|>,head_length=4,head_width=2",
            color=colour,
            linewidth=_width(probability),
            alpha=_alpha(probability),
            capstyle="round",
            mutation_scale=1.0 + 0.6 * probability,
            zorder=1 + probability,
        )
        axes.add_patch(arrow)
    for name, (x, y) in places.items():
        axes.plot(x, y, "o", color=NODE, markersize=8, markeredgecolor="white", zorder=3)
        side = "center" if abs(x) < 0.2 else "left" if x > 0 else "right"
        height = "center" if abs(y) < 0.9 else "bottom" if y > 0 else "top"
        shown = name if len(name) <= 12 else f"{name[:11]}…"
        axes.annotate(
            shown,
            (1.11 * x, 1.11 * y),
            ha=side,
            va=height,
            fontsize=8,
            color=NODE,
        )
    axes.set(xlim=(-1.65, 1.65), ylim=(-1.3, 1.3), aspect="equal")
    axes.set_axis_off()


def _towards(point, other, length):
    way = other - point
    return way / max(np.linalg.norm(way), 1e-9) * length
