"""Figures of the benchmark: variance against cost, and training at equal cost."""

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from relax.estimators.registry import REGISTRY, calls
from relax.experiments.benchmark.summary import KEYS, WHERE, frontier, name_of, points
from relax.presentation.common import count
from relax.presentation.style import (
    draw_band,
    estimator_look,
    estimator_marker,
    finish,
    new_figure,
    ordered,
)

COSTS = {
    "evaluations": "evaluations of $f$ in one estimate",
    "seconds": "milliseconds of one estimate",
}
FRONTIER = {"color": "#444444", "linewidth": 0.9, "zorder": 1}
SIZE = {1: 5, 2: 5, 3: 7.5}  # of a marker, by K
# The columns of figure 15.
GROUPS = ("one sample, unbiased", "several samples, unbiased", "biased")
TRAINING_COSTS = {
    "evaluations": "evaluations of $f$, a datum",
    "seconds": "seconds of one seed",
}
THIN, THICK = 1.2, 2.2  # of a curve, by K
LEGEND = 0.8  # height of the row of legends, of a panel's
OTHERS = {"color": "#D4D4D4", "linewidth": 0.7, "zorder": 1}


def fig14_estimators(variance, seconds):
    """Log-variance against evaluations of f and against seconds: a pair of panels a problem.

    One point an estimator and number of samples; biased ones are hollow, and their mean squared
    error stands for the variance. The line is the frontier.

    Args:
        variance: rows of `results/benchmark/**/variance.csv`.
        seconds: rows of `results/benchmark/**/seconds.csv`.
    """
    table = points(variance, seconds)
    problems = [rows for _, rows in table.groupby(WHERE, sort=False)]
    figure, axes = new_figure(-(-len(problems) // 2), 4, width=12.5, row_height=2.7)
    pairs, drawn = axes.reshape(-1, 2), []
    for pair, rows in zip(pairs, problems, strict=False):
        for panel, cost in zip(pair, COSTS, strict=True):
            drawn.append((panel, *_draw_points(panel, rows, cost)))
            panel.set_xlabel(COSTS[cost])
        first = rows.iloc[0]
        where = "" if first.objective == "cost" else f", {first.objective} samples"
        pair[0].set(ylabel="log-variance or log-MSE")
        pair[0].set_title(f"{first.problem}{where}", loc="left")
    for pair in pairs[len(problems) :]:
        for panel in pair:
            panel.set_visible(False)
    handles = [_handle(name, table) for name in ordered(table.estimator)]
    handles.append(Line2D([], [], **FRONTIER, label="frontier: none has less at no more cost"))
    larger = {"marker": "o", "linestyle": "", "color": "#444444", "markersize": SIZE[3]}
    handles.append(Line2D([], [], **larger, label="larger: K = 3 or more"))
    title = "Variance of one gradient estimate against what it costs (hollow: biased, its MSE)"
    finish(figure, title, handles, _scale(table), columns=6)
    figure.draw_without_rendering()  # now the panels have the sizes that names are placed by
    for points_of in drawn:
        _name(*points_of)
    return figure


def _draw_points(panel, rows, cost):
    """The points of one problem, and the frontier; rows on it, and where the points stand."""
    on = rows[frontier(rows, cost)].sort_values(cost)
    levels = rows.log_error[np.isfinite(rows.log_error)]
    room = 0.1 * (levels.max() - levels.min()) + 0.05
    floor = levels.min() - 1.5 * room  # where a variance of zero stands
    heights = rows.log_error.clip(lower=floor)
    xs = _apart(rows[cost], heights) if cost == "evaluations" else rows[cost]
    panel.plot(on[cost], heights[on.index], drawstyle="steps-post", **FRONTIER)
    panel.set_ylim(floor - room, levels.max() + room)
    panel.set_xscale("log")
    for place, row in rows.iterrows():
        panel.plot(xs[place], heights[place], **_marker(row.estimator, row.samples))
    if cost == "evaluations":
        ticks = sorted(rows.evaluations.unique())
        panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        panel.xaxis.set_minor_locator(NullLocator())
    else:
        ratio = rows.seconds.max() / rows.seconds.min()
        subs = (1, 3) if ratio > 30 else (1, 2, 5) if ratio > 6 else (1, 2, 3, 5, 7)
        panel.xaxis.set_major_locator(LogLocator(subs=subs))
        panel.xaxis.set_major_formatter(lambda value, _: f"{1000 * value:g}")
        panel.xaxis.set_minor_locator(NullLocator())
    return on, xs, heights


def _name(panel, on, xs, heights):
    """The names of the points on the frontier, each where no marker and no other name stands.

    Where there is no such place close by in the panel, on a marker. Distances are reckoned in
    points, by the length of a text at this size.
    """
    unit, names = 72 / panel.figure.dpi, []
    places = {i: panel.transData.transform((xs[i], heights[i])) * unit for i in xs.index}
    markers = [(x - 3, x + 3, y - 3, y + 3) for x, y in places.values()]
    left, low, right, high = panel.get_window_extent().extents * unit
    outside = [(-9e9, left, -9e9, 9e9), (right, 9e9, -9e9, 9e9)]
    outside += [(-9e9, 9e9, -9e9, low), (-9e9, 9e9, high, 9e9)]
    for row in on.itertuples():
        text = name_of(row.estimator, row.samples) + ": 0" * bool(np.isinf(row.log_error))
        x, y = places[row.Index]
        length = 3.4 * len(text)
        boxes = {
            (side, up): (x + near, x + near + length, y + up, y + up + 6)
            for side, near in (("left", 5), ("right", -5 - length))
            for up in (-8, 4, -15, 11)
        }
        free = [
            place
            for others in (names + outside + markers, names + outside, names)
            for place, box in boxes.items()
            if not any(_overlap(box, other) for other in others)
        ]
        side, up = [*free, ("left", -8)][0]
        names.append(boxes[side, up])
        how = {"xytext": (5 if side == "left" else -5, up), "textcoords": "offset points"}
        how |= {"horizontalalignment": side, "fontsize": 6, "color": "#444444"}
        panel.annotate(text, (xs[row.Index], heights[row.Index]), **how).set_in_layout(False)


def _overlap(one, other):
    """Whether two boxes (left, right, low, high) have something in common."""
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]


def _apart(values, heights):
    """Of points with the same value, places side by side, so that all can be seen."""
    places, apart = values.astype(float).copy(), (values.max() / values.min()) ** (1 / 45)
    for value, group in values.groupby(values):
        order = heights[group.index].sort_values().index
        for number, index in enumerate(order):
            places[index] = value * apart ** ((number % 5 - 2) * (len(order) > 1))
    return places


def _marker(name, samples):
    colour = estimator_look(name)["color"]
    return {
        "marker": estimator_marker(name),
        "linestyle": "",
        "color": colour,
        "markersize": SIZE.get(samples, SIZE[3]),
        "markerfacecolor": colour if REGISTRY[name].unbiased else "white",
        "markeredgewidth": 1.1,
        "zorder": 2,
        "clip_on": True,
    }


def _handle(name, table):
    return Line2D([], [], **_marker(name, 1), label=REGISTRY[name].label)


def _scale(table):
    seeds, points_ = table.seeds.unique(), table.checkpoints.unique()
    measured = f"{_range(seeds, 'seed')}, at {_range(points_, 'checkpoint')}"
    return f"{measured}; seconds of the processor: medians, one thread"


def _range(numbers, noun):
    low, high = min(numbers), max(numbers)
    return count(low, noun) if low == high else f"{low:,} to {count(high, noun)}"


def fig15_training_at_equal_cost(training, seconds):
    """Loss against evaluations of f, and against seconds: a row of panels a problem.

    A pair of columns for each of `GROUPS`, whose curves have their colours there; those of the
    others are behind them, grey.

    Args:
        training: rows of `results/benchmark/**/training.csv`.
        seconds: rows of `results/benchmark/**/seconds.csv`: what a step takes.
    """
    table = _at_cost(training, seconds)
    problems = [rows for _, rows in table.groupby("problem", sort=False)]
    groups = [name for name in GROUPS if name in set(table.group)]
    heights = [*[1] * len(problems), LEGEND]  # the last row is the legends'
    rows, columns = len(heights), 2 * len(groups)
    row_height = 1.9 * sum(heights) / rows
    options = {"height_ratios": heights, "width": 4.4 * len(groups) + 0.6, "row_height": row_height}
    figure, axes = new_figure(rows, columns, **options)
    for line, own in zip(axes, problems, strict=False):
        # Where half of all still have a curve.
        most = own.groupby(KEYS[2:])[list(TRAINING_COSTS)].max().median()
        seen = own.loss[(own[most.index] <= most).all(axis=1)].quantile([0.01, 0.99])
        room = 0.08 * (seen.max() - seen.min()) + 1e-9
        for place, panel in enumerate(line):
            cost, group = list(TRAINING_COSTS)[place % 2], groups[place // 2]
            _draw_training(panel, own, cost, group)
            panel.set(xlim=(0, most[cost]), ylim=(seen.min() - room, seen.max() + room))
            panel.ticklabel_format(axis="y", useOffset=False)
            panel.tick_params(labelleft=place == 0)
            panel.locator_params(axis="x", nbins=4)
            panel.locator_params(axis="y", nbins=5)
        _say_what(line, own.problem.iloc[0])
    for place, group in enumerate(groups):
        heading = {"transform": axes[0, 2 * place + 1].transAxes, "weight": "bold", "ha": "center"}
        axes[0, 2 * place + 1].text(-0.1, 1.06, group, **heading).set_in_layout(False)
        _legend(axes[-1, 2 * place : 2 * place + 2], table[table.group == group])
    handles = [
        Line2D([], [], color="#444444", linewidth=THICK, label="thick: K = 3 or more"),
        Line2D([], [], **OTHERS, label="those of the other columns"),
    ]
    title = "Training at equal cost (lines: median over seeds; bands: quartiles)"
    steps = _range(table.groupby("problem").step.max(), "step")
    scale = f"{_range(table.groupby('problem').seed.nunique(), 'seed')}, {steps}"
    return finish(figure, title, handles, scale)


def _at_cost(training, seconds):
    """The rows that have a loss and a cost, with evaluations, seconds and group."""
    training = training[training.step > 0].dropna(subset="loss")
    taken = seconds[seconds.objective == "cost"].drop_duplicates(KEYS)
    table = training.merge(taken[[*KEYS, "step_seconds"]], on=KEYS, how="left")
    what = ["estimator", "samples", "latents", "noise", "relaxed"]
    each = table[what].drop_duplicates()
    each = each.assign(each=[calls(*run).evaluations for run in each.itertuples(index=False)])
    table = table.merge(each, on=what)
    return table.assign(
        evaluations=table.each * table.step,
        seconds=table.step * table.step_seconds,
        group=[group_of(name) for name in table.estimator],
    )


def group_of(name):
    """Which of `GROUPS` an estimator is in."""
    if not REGISTRY[name].unbiased:
        return GROUPS[2]
    return GROUPS["samples" in REGISTRY[name].reads]


def _draw_training(panel, rows, cost, group):
    """The curves of one group, and behind them those of all others."""
    for (name, samples), own in rows.groupby(KEYS[2:], sort=False):
        if own.group.iloc[0] == group:
            width = {"linewidth": THIN if samples < 3 else THICK, "zorder": 2}
            draw_band(panel, own, "loss", name, x=cost, **width)
        else:
            middle = own.groupby(cost).loss.median()
            panel.plot(middle.index, middle, **OTHERS)


def _say_what(line, problem):
    """A row's title, and its labels."""
    is_vae = problem.count(", ") and "t = " not in problem
    line[0].set_title(problem, loc="left")
    line[0].set_ylabel("-ELBO (nats an image)" if is_vae else "expected cost $E[f(b)]$")
    for place, panel in enumerate(line):
        panel.set_xlabel(list(TRAINING_COSTS.values())[place % 2])


def _legend(pair, table):
    """Under a pair of columns what their curves are."""
    for panel in pair:
        panel.axis("off")
    handles = [
        Line2D([], [], linewidth=1.4, **estimator_look(name)) for name in ordered(table.estimator)
    ]
    place = {"loc": "upper center", "bbox_to_anchor": (1.05, 1)}
    shape = {"ncols": 2, "handlelength": 3.6, "columnspacing": 1.2, "frameon": False}
    pair[0].legend(handles=handles, **place, **shape).set_in_layout(False)
