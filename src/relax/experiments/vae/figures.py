"""Figures of the discrete VAE: training, and the variance of its gradient."""

import pandas as pd
from matplotlib.lines import Line2D

from relax.estimators.registry import REGISTRY
from relax.experiments.vae.selection import (
    as_tuned,
    best_of_rebar,
    difference_to,
    left_out,
    on_selected_path,
    select_learning_rate,
)
from relax.presentation.common import count, log_variance, own_settings
from relax.presentation.published import of_bits, problem_of
from relax.presentation.published_curves import published_at, published_curve
from relax.presentation.style import draw_band, estimator_look, finish, new_figure, ordered

DOT = {"marker": "o", "markersize": 3.5}
HOLLOW = {
    "marker": "o",
    "markersize": 3.5,
    "markerfacecolor": "white",
    "linestyle": "",
    "color": "#444444",
}
DIAMOND = {
    "marker": "D",
    "markersize": 4,
    "markerfacecolor": "none",
    "linestyle": "",
    "color": "#444444",
}
# The published curves: in the estimator's colour, thinner than ours and dotted.
PUBLISHED = {"linewidth": 1.0, "dashes": (1, 1)}
STOPPED = {"marker": "o", "markersize": 4.5, "markerfacecolor": "white", "linestyle": ""}
GOAL = {"color": "#222222", "linewidth": 0.9, "dashes": (5, 3)}
# RELAX with one surrogate or the other, in the table `midtraining`: what differs from its look.
SURROGATES = {
    "network": {"label": "RELAX, network alone", "dashes": (2, 1)},
    "relaxed cost + network": {"label": "RELAX, added to REBAR's relaxation"},
}


def _scale(table, training, steps="iteration"):
    """The scale of what is drawn, and what of the training it is drawn from diverged."""
    rates = ", ".join(f"{rate:g}" for rate in sorted(table.learning_rate.unique()))
    most = "at most " if "planned" in table else ""  # of packed runs, each with its own length
    return "\n".join(
        [
            f"{', '.join(sorted(table.dataset.unique()))}; "
            f"{most}{count(table.seed.nunique(), 'seed')}, "
            f"{count(table.step.max(), steps)}, learning rate {rates}, "
            f"{_latents(training)}"
            f"{' and '.join(sorted(table.noise.unique()))} noise",
            *_own_settings(table),
            *filter(None, [left_out(training)]),
        ]
    )


def _own_settings(table):
    """A line for each data set and model where estimators of packed runs have settings of their
    own."""
    return [
        f"{dataset}, {model}: {settings}"
        for (dataset, model), rows in table.groupby(["dataset", "model"])
        if (settings := own_settings(rows))
    ]


def _stopped(table):
    """Of packed runs that had not ended, the rows of the last training ELBO."""
    if "planned" not in table:
        return table.iloc[:0]

    def last(rows):
        return rows.groupby(["dataset", "model", "estimator"]).step.transform("max")

    # The last step of one that has ended may lie within an epoch, which has no training ELBO then.
    going = table[(last(table) < table.planned) & table.train_elbo.notna()]
    return going[going.step == last(going)]


def _length(runs):
    """Of packed runs, a line with how far they came; nothing of others."""
    if "planned" not in runs or runs.empty:
        return ""
    planned = runs.planned.max()
    planned = f" of {planned:,}" if runs.step.max() < planned else ""
    seeds = count(runs.seed.nunique(), "seed")
    return f"\n{seeds}, {runs.step.max():,}{planned} iterations"


def _latents(training):
    """What the latents are where they are no bits (the configuration tells readers), in words."""
    told = sorted(training.latents.dropna().unique()) if "latents" in training else []
    return "".join(f"{latents} categorical latents, " for latents in told)


def _panels(table, stacked=1, row_height=2.6):
    """A figure with a row for each data set and a column for each model of the table.

    Returns the figure, and for each data set and model `stacked` panels, one below the other, with
    its rows of the table; the first panel has its title.
    """
    datasets, models = sorted(table.dataset.unique()), sorted(table.model.unique())
    width = max(6.5, 3.1 * len(models) + 0.3)
    figure, axes = new_figure(stacked * len(datasets), len(models), width, row_height)
    cells = []
    for row, dataset in enumerate(datasets):
        for panels, model in zip(axes[stacked * row : stacked * (row + 1)].T, models, strict=True):
            runs = table[(table.dataset == dataset) & (table.model == model)]
            panels[0].set_title(f"{dataset}, {model}{_length(runs)}")
            if runs.empty:
                for panel in panels:
                    panel.set_visible(False)
            else:
                cells.append((panels, runs))
    return figure, cells


def _label_columns(cells, *labels):
    """Names of the vertical axes, once a row: on the first panel that it has."""
    named = set()
    for panels, _ in cells:
        row = panels[0].get_subplotspec().rowspan.start
        if row not in named:
            named.add(row)
            for panel, label in zip(panels, labels, strict=True):
                panel.set_ylabel(label)


def _zoom(panel, low, high):
    """Vertical limits with a little room around these."""
    room = 0.05 * (high - low)
    panel.set_ylim(low - room, high + room)


def fig3_vae_training(training):
    """Train and validation ELBO against epoch: a row of panels a data set, a column a model.

    Below each the same curves again, at the height where half of the estimators end. Dashed:
    REBAR's best validation ELBO, the mean over seeds of the best of each run. Dotted, on MNIST,
    once the run comes as far as their axes begin: the published training curves. A hollow dot: a
    packed run that had not ended.

    Args:
        training: rows of `results/vae/**/training.csv`; the learning rate with the best
            validation ELBO is shown for each estimator. The scale says what diverged.
    """
    every, training = training, select_learning_rate(training)
    figure, cells = _panels(training, stacked=2, row_height=2.3)
    handles, published = {}, False
    for panels, runs in cells:
        goal, theirs = best_of_rebar(runs), _published(runs)
        published = published or bool(theirs)
        for axes in panels:
            for name, curve in theirs.items():
                axes.plot(curve.epoch, curve.train_elbo, **estimator_look(name) | PUBLISHED)
            for name in ordered(runs.estimator):
                rows = runs[runs.estimator == name]
                thin = {"linewidth": 0.7, "dashes": ()}  # a dash pattern this thin is a row of dots
                draw_band(axes, rows, "valid_elbo", name, "epoch", "mean", **thin)
                handles[name] = draw_band(axes, rows, "train_elbo", name, "epoch", "mean")
            if not goal.empty:
                axes.plot([0, runs.epoch.max()], [goal.mean()] * 2, **GOAL)
            for name, rows in _stopped(runs).groupby("estimator"):
                colour = estimator_look(name)["color"]
                axes.plot(rows.epoch.iloc[0], rows.train_elbo.mean(), **STOPPED, color=colour)
            axes.set_xlim(0, runs.epoch.max() * (1 if _stopped(runs).empty else 1.02))
        whole, top = panels
        # The first epochs are far below the rest: the axis begins where curves can be told apart.
        late = runs.epoch >= 0.04 * runs.epoch.max()
        elbos = runs[["train_elbo", "valid_elbo"]]  # the first is empty before an epoch is done
        highest = max([elbos.max().max(), *(c.train_elbo.max() for c in theirs.values())])
        _zoom(whole, elbos[late].min().min(), highest)
        best = runs.groupby(["estimator", "seed"]).valid_elbo.max().groupby("estimator").mean()
        distance = (best.max() - best).median()
        _zoom(top, best.max() - max(distance, 0.3), highest)
        top.set_xlabel("epoch")
    _label_columns(cells, "ELBO (nats an image)", "the same, enlarged")
    handles = [handles[name] for name in ordered(handles)]
    handles.append(Line2D([], [], color="#444444", linewidth=0.7, label="thin: validation"))
    if "rebar" in set(training.estimator):
        handles.append(Line2D([], [], label="REBAR's best validation ELBO", **GOAL))
    if published:
        words = "dotted: published, digitised"
        handles.append(Line2D([], [], color="#444444", label=words, **PUBLISHED))
    if not _stopped(training).empty:
        handles.append(Line2D([], [], color="#444444", label="unfinished: so far", **STOPPED))
    title = "Discrete VAE: training and validation ELBO (mean over seeds; bands: range)"
    return finish(figure, title, handles, _scale(training, every))


def _published(runs):
    """{estimator: its published curve, as far as these runs came}, where there are any."""
    curves = {}
    for name in ordered(runs[of_bits(runs)].estimator):
        problem = (problem_of(runs.dataset.iloc[0]), runs.model.iloc[0])
        curve = published_curve(*problem, name)
        # Two points of it at least: between two that are read, a young run's curve is no line.
        if curve is not None and (curve.epoch <= runs.epoch.max()).sum() >= 2:
            end = min(runs.epoch.max(), curve.epoch.max())
            last = {"epoch": [end], "train_elbo": [published_at(*problem, name, end)]}
            curves[name] = pd.concat([curve[curve.epoch < end], pd.DataFrame(last)])
    return curves


def fig4_vae_variance(training, variance):
    """Log-variance of the encoder's gradient against step, every estimator at the same checkpoints.

    A hollow dot: some seed's surrogate was not flat when its updates were used up. A diamond: at
    the last checkpoint, with the other choice for the direct term. Below, for the unbiased
    estimators within a factor e of the trajectory's own, the difference to that one: seed by seed,
    since all share model, data and noise.

    Args:
        training: rows of `results/vae/**/training.csv`; chooses the trajectory's learning rate.
        variance: rows of `results/vae/**/variance.csv`.
    """
    variance = as_tuned(on_selected_path(variance, training))
    variance = variance.assign(log=log_variance(variance.encoder_variance))
    other = variance.direct_term != variance.direct_gradient
    variance, other_way = variance[~other], variance[other]
    paths = ordered(variance.trajectory)  # of packed runs that stand apart there may be several
    parts = [own for _, own in variance.groupby("trajectory", sort=False)]
    parts = [p.assign(difference=difference_to(p.trajectory.iloc[0], p, "log")) for p in parts]
    variance = pd.concat(parts).sort_index()
    label = _labels(paths)
    figure, cells = _panels(variance, stacked=2, row_height=2.3)
    handles = {}
    for (upper, lower), runs in cells:
        for name in ordered(runs.estimator):
            rows = runs[runs.estimator == name]
            handles[name] = draw_band(upper, rows, "log", name, centre="mean", **DOT)
            _hollow(upper, rows, "log", name)
            _diamond(upper, other_way, runs, name)
        near = runs.groupby("estimator").difference.apply(lambda d: d.abs().median() < 1)
        for name in ordered(name for name in near.index[near] if REGISTRY[name].unbiased):
            rows = runs[runs.estimator == name]
            draw_band(lower, rows, "difference", name, centre="mean", **DOT)
            _hollow(lower, rows, "difference", name)
        lower.set_xlabel("training step")
        for panel in (upper, lower):
            panel.xaxis.set_major_formatter("{x:,.0f}")
    _label_columns(cells, "log-variance (natural log)", f"difference to {label}")
    title = (
        f"Discrete VAE: variance of the encoder's gradient at the same checkpoints\n"
        f"(of training with {label}), surrogates tuned there until flat\n"
        "(mean over seeds; bands: range)"
    )
    handles = [handles[name] for name in ordered(handles)]
    training = training[training.estimator.isin(paths)]
    if not other_way.empty:
        word = "with" if other_way.direct_term.all() else "without"
        handles.append(Line2D([], [], **DIAMOND, label=f"{word} the direct term"))
    if (variance.flat == False).any():  # noqa: E712 - unknown (NaN) is not hollow
        handles.append(Line2D([], [], **HOLLOW, label="not flat yet"))
    return finish(figure, title, handles, _scale(variance, training))


def _labels(paths):
    return " or ".join(REGISTRY[name].label for name in paths)


def _hollow(panel, rows, column, name):
    """Empty the dots of the steps where a seed's tuning was not flat."""
    steps = rows[rows.flat == False].step.unique()  # noqa: E712
    middle = rows[rows.step.isin(steps)].groupby("step")[column].mean()
    if len(middle):
        look = HOLLOW | {"color": estimator_look(name)["color"], "zorder": 6}
        panel.plot(middle.index, middle, **look)


def _diamond(panel, other_way, runs, name):
    """What the estimator's variance is with the other choice for the direct term."""
    own = other_way[
        (other_way.estimator == name)
        & other_way.dataset.isin(runs.dataset)
        & other_way.model.isin(runs.model)
    ]
    middle = own.groupby("step")["log"].mean()
    if len(middle):
        panel.plot(middle.index, middle, **DIAMOND | {"color": estimator_look(name)["color"]})


def fig5_vae_midtraining(training, midtraining, gradients):
    """Log-variance against updates of φ, the model frozen halfway through its training.

    Below it, for the surrogates that end within a factor e of REBAR's, the difference to REBAR's,
    seed by seed. At the bottom, after the last update: the cosine between one minibatch gradient
    and the true one, of these and of the other estimators.

    Args:
        training: rows of `results/vae/**/training.csv`; chooses the trajectory's learning rate.
        midtraining: rows of `results/vae/**/midtraining.csv`.
        gradients: rows of `results/vae/**/gradients.csv`.
    """
    runs = on_selected_path(midtraining, training)
    gradients = on_selected_path(gradients, training)
    runs = runs.assign(log=log_variance(runs.encoder_variance))
    runs["difference"] = difference_to("rebar", runs, "log")
    figure, cells = _panels(runs, stacked=3, row_height=2.1)
    handles = {}
    for (upper, lower, bottom), own in cells:
        last = own[own.step == own.step.max()]
        distance = last.groupby("surrogate").difference.median().abs()
        near = own[own.surrogate.isin(distance.index[distance < 1])]
        for panel, column, shown in ((upper, "log", own), (lower, "difference", near)):
            for (name, surrogate), rows in shown.groupby(["estimator", "surrogate"]):
                look = SURROGATES.get(surrogate, {})
                line = draw_band(panel, rows, column, name, centre="mean", **look)
                handles[name, surrogate] = line
            panel.xaxis.set_major_formatter("{x:,.0f}")
        # The first updates change much: the lower axis is for what comes after them.
        settled = near[near.step >= 0.1 * own.step.max()].difference
        if settled.abs().max() > 0:
            _zoom(lower, settled.min(), settled.max())
        lower.set_xlabel("updates of the surrogate")
        same = gradients.dataset.isin(own.dataset) & gradients.model.isin(own.model)
        _draw_cosines(bottom, gradients[same])
    _label_columns(cells, "log-variance (natural log)", "difference to REBAR", "")
    paths = ordered(runs.trajectory)
    stops = " and ".join(f"{step:,}" for step in sorted(runs.checkpoint.unique()))
    title = (
        f"Discrete VAE, frozen at step {stops} of training with {_labels(paths)}:\n"
        "variance while the surrogates are tuned; at the bottom the gradients themselves then\n"
        "(mean over seeds; bands and bars: range)"
    )
    order = sorted(handles, key=lambda key: (list(REGISTRY).index(key[0]), key[1]))
    scale = _scale(runs, training[training.estimator.isin(paths)], "update")
    return finish(figure, title, [handles[key] for key in order], scale)


def _draw_cosines(panel, gradients):
    """One line an estimator and surrogate: the cosine's mean over seeds, and its range."""
    groups = {key: rows.cosine for key, rows in gradients.groupby(["estimator", "surrogate"])}
    order = sorted(groups, key=lambda key: groups[key].mean())
    for height, (name, surrogate) in enumerate(order):
        cosine, colour = groups[name, surrogate], estimator_look(name)["color"]
        panel.plot([cosine.min(), cosine.max()], [height] * 2, color=colour)
        panel.plot(cosine.mean(), height, "o", color=colour, markersize=4)
    words = {"relaxed cost + network": "RELAX, added", "network": "RELAX, alone"}
    labels = [words.get(surrogate, REGISTRY[name].label) for name, surrogate in order]
    panel.set_yticks(range(len(order)), labels, fontsize=6.5)
    panel.set_ylim(-0.6, len(order) - 0.4)
    panel.set_xlim(left=min(0, gradients.cosine.min()))
    panel.set_xlabel("cosine to the true gradient")
