"""Figures of the benchmark: variance against cost, and training at equal cost."""

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from relax.estimators.registry import REGISTRY, calls
from relax.experiments.benchmark.summary import WHERE, frontier, name_of, points
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
    pairs = axes.reshape(-1, 2)
    for pair, rows in zip(pairs, problems, strict=False):
        for panel, cost in zip(pair, COSTS, strict=True):
            _draw_points(panel, rows, cost)
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
    scale = _scale(table)
    return finish(figure, title, handles, scale, columns=6)


def _draw_points(panel, rows, cost):
    """The points of one problem, the frontier and the names on it."""
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
    _name(panel, on, xs, heights)
    if cost == "evaluations":
        ticks = sorted(rows.evaluations.unique())
        panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        panel.xaxis.set_minor_locator(NullLocator())
    else:
        wide = rows.seconds.max() > 30 * rows.seconds.min()
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 3) if wide else (1, 2, 3, 5, 7)))
        panel.xaxis.set_major_formatter(lambda value, _: f"{1000 * value:g}")
        panel.xaxis.set_minor_locator(NullLocator())


def _name(panel, on, xs, heights):
    """The names of the points on the frontier, each where no marker and no other name stands.

    Where there is no such place close by, on a marker. Distances are reckoned in points, by the
    length of a text at this size.
    """
    unit, names = 72 / panel.figure.dpi, []
    places = {i: panel.transData.transform((xs[i], heights[i])) * unit for i in xs.index}
    markers = [(x - 3, x + 3, y - 3, y + 3) for x, y in places.values()]
    for row in on.itertuples():
        text = name_of(row.estimator, row.samples) + ": 0" * bool(np.isinf(row.log_error))
        x, y = places[row.Index]
        boxes = {
            up: (x + 5, x + 5 + 3.4 * len(text), y + up, y + up + 6) for up in (-8, 4, -15, 11)
        }
        free = [
            up
            for others in (names + markers, names)
            for up, box in boxes.items()
            if not any(_overlap(box, other) for other in others)
        ]
        up = [*free, -8][0]
        names.append(boxes[up])
        how = {"xytext": (5, up), "textcoords": "offset points", "fontsize": 6}
        panel.annotate(text, (xs[row.Index], heights[row.Index]), **how, color="#444444")


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
    return count(low, noun) if low == high else f"{low} to {count(high, noun)}"


def fig15_training_at_equal_cost(training, seconds):
    """Loss against evaluations of f, and against seconds: a pair of panels a problem.

    Args:
        training: rows of `results/benchmark/**/training.csv`.
        seconds: rows of `results/benchmark/**/seconds.csv`: what a step takes.
    """
    training = training[training.step > 0].dropna(subset="loss")
    taken = seconds[seconds.objective == "cost"].drop_duplicates([*WHERE, "estimator", "samples"])
    keys = ["problem", "objective", "estimator", "samples"]
    table = training.merge(taken[[*keys, "step_seconds"]], on=keys, how="left")
    each = {
        (name, k, noise): calls(name, k, 1, noise).evaluations
        for name, k, noise in table[["estimator", "samples", "noise"]].drop_duplicates().values
    }
    runs = zip(table.estimator, table.samples, table.noise, strict=True)
    table = table.assign(evaluations=[each[run] for run in runs])
    table["evaluations"] *= table.step
    table["seconds"] = table.step * table.step_seconds
    problems = [rows for _, rows in table.groupby("problem", sort=False)]
    figure, axes = new_figure(-(-len(problems) // 2), 4, width=12.5, row_height=2.7)
    pairs = axes.reshape(-1, 2)
    for pair, rows in zip(pairs, problems, strict=False):
        for panel, cost in zip(pair, ("evaluations", "seconds"), strict=True):
            for (name, samples), own in rows.groupby(["estimator", "samples"], sort=False):
                width = {"linewidth": 1.2 if samples < 3 else 2.2}
                draw_band(panel, own, "loss", name, x=cost, **width)
            # Where half of them still have a curve.
            most = rows.groupby(["estimator", "samples"])[cost].max().median()
            seen = rows.loss[rows[cost] <= most].quantile([0.01, 0.99])
            room = 0.08 * (seen.max() - seen.min()) + 1e-9
            panel.set(xlim=(0, most), ylim=(seen.min() - room, seen.max() + room))
        pair[0].set_title(rows.problem.iloc[0], loc="left")
        is_vae = rows.problem.iloc[0].count(", ") and "t = " not in rows.problem.iloc[0]
        pair[0].set(
            xlabel="evaluations of $f$, a datum and seed",
            ylabel="-ELBO (nats an image)" if is_vae else "expected cost $E[f(b)]$",
        )
        pair[1].set(xlabel="seconds of training, one seed")
        pair[0].ticklabel_format(axis="y", useOffset=False)
        pair[1].ticklabel_format(axis="y", useOffset=False)
    for pair in pairs[len(problems) :]:
        for panel in pair:
            panel.set_visible(False)
    handles = [Line2D([], [], linewidth=1.4, **estimator_look(n)) for n in ordered(table.estimator)]
    handles.append(Line2D([], [], color="#444444", linewidth=2.2, label="thick: K = 3 or more"))
    title = "Training at equal cost (lines: median over seeds; bands: quartiles)"
    steps = f"{_range(table.groupby('problem').step.max(), 'step')}"
    scale = f"{_range(table.groupby('problem').seed.nunique(), 'seed')}, {steps}"
    return finish(figure, title, handles, scale, columns=6)
