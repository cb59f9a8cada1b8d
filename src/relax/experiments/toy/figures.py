"""Figures of the toy problems: a row of panels a target, and one for the categorical toy."""

from relax.presentation.common import count, log_variance
from relax.presentation.style import (
    COST_COLOUR,
    draw_band,
    estimator_look,
    finish,
    new_figure,
    ordered,
)


def _scale(toy, categorical):
    def noise(table):
        return f"{' and '.join(sorted(table.noise.unique()))} noise"

    def size(table):
        return f"{count(table.seed.nunique(), 'seed')}, {count(table.step.max(), 'step')}"

    return (
        f"{size(toy)}, one latent, one sample a step, {noise(toy)}\n"
        f"{_outcomes(categorical)}: {size(categorical)}, one sample a step, {noise(categorical)}"
    )


def _outcomes(categorical):
    return f"one choice among {categorical.outcomes.iloc[0]}"


def _start(toy, categorical):
    targets = sorted(toy.target.unique())
    figure, axes = new_figure(len(targets) + 1, 2)
    return figure, axes[:-1], axes[-1], targets, ordered([*toy.estimator, *categorical.estimator])


def _draw_runs(axes, table, y, estimators):
    """Column `y` against step, a curve an estimator that has any; their handles by name."""
    handles = {}
    for name in estimators:
        if not (table.estimator == name).any():
            continue
        # The exact gradient is the reference: on top, so that it is seen where curves meet.
        front = {"zorder": 5} if name == "exact" else {}
        handles[name] = draw_band(axes, table[table.estimator == name], y, name, **front)
    axes.set(xlabel="step", xlim=(0, table.step.max()))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    return handles


def fig1_toy_training(toy, categorical):
    """Loss and θ against step, one row of panels a target; below, the categorical toy's.

    Args:
        toy: rows of `results/toy/t*/*/seeds*.csv`.
        categorical: rows of `results/toy/categorical/*/seeds*.csv`.
    """
    figure, axes, below, targets, estimators = _start(toy, categorical)
    for row, target in zip(axes, targets, strict=True):
        runs = toy[toy.target == target]
        handles = _draw_runs(row[0], runs, "loss", estimators)
        row[0].set(ylabel=r"expected loss $E[(b-t)^2]$", title=f"loss, $t={target:g}$")
        row[0].ticklabel_format(axis="y", useOffset=False)
        _draw_runs(row[1], runs, "theta", estimators)
        row[1].set(ylabel=r"$\theta$", title=rf"$\theta$, $t={target:g}$")
        row[1].set_ylim(bottom=-0.02)
    handles |= _draw_runs(below[0], categorical, "loss", estimators)
    below[0].set(ylabel="expected loss $E[f(b)]$", title=f"loss, {_outcomes(categorical)}")
    _draw_runs(below[1], categorical, "best_probability", estimators)
    below[1].set(ylabel="probability", title=f"best outcome, {_outcomes(categorical)}")
    below[1].set_ylim(0, 1.02)
    title = "Toy problem: training (lines: median over seeds; bands: quartiles)"
    handles = [handles[name] for name in estimators]
    return finish(figure, title, handles, _scale(toy, categorical))


def fig2_toy_variance_relaxation(toy, relaxation, categorical):
    """Log-variance against step (left), and the relaxations learned at a fixed θ (right).

    Below, the categorical toy's: log-variance against step, and against how far training has come.

    Args:
        toy: rows of `results/toy/t*/*/seeds*.csv`.
        relaxation: rows of `results/toy/t*/*/relaxation_seeds*.csv`.
        categorical: rows of `results/toy/categorical/*/seeds*.csv`.
    """
    figure, axes, below, targets, estimators = _start(toy, categorical)
    estimators = [name for name in estimators if name != "exact"]  # its variance is zero
    theta = relaxation.theta.iloc[0]
    toy = toy.assign(
        # Of several samples there is no quadrature.
        exact=log_variance(toy.exact_variance.fillna(toy.gradient_variance)),
        measured=log_variance(toy.gradient_variance),
    )
    for row, target in zip(axes, targets, strict=True):
        runs = toy[toy.target == target]
        handles = _draw_runs(row[0], runs, "exact", estimators)
        for name in estimators:
            dots = runs[runs.estimator == name].groupby("step").measured.median().iloc[::5]
            row[0].plot(dots.index, dots, ".", color=estimator_look(name)["color"], markersize=4)
        row[0].set(ylabel="log-variance (natural log)", title=f"gradient variance, $t={target:g}$")
        curves = relaxation[relaxation.target == target]
        handle, extra = _draw_relaxations(row[1], curves, theta)
        row[1].set(
            xlabel="$u$",
            ylabel=r"$f(H(z))$, $c(z)$",
            title=rf"relaxations at $\theta={theta:g}$, $t={target:g}$",
            xlim=(0, 1),
        )
        _enlarge_step(row[1], curves, theta)
    handles |= _draw_categorical_variance(below, categorical, estimators)
    handles = [handles[name] for name in estimators]
    title = (
        "Toy problem: gradient variance and learned relaxations\n"
        "left: line = quadrature, dots = fresh samples (last row: samples only)\n"
        "all: median over seeds, bands = quartiles"
    )
    return finish(figure, title, [*handles, *extra, handle], _scale(toy, categorical))


def _enlarge_step(axes, curves, theta):
    """An inset around the cost's step, where that is too small to see."""
    values = curves[curves.estimator == "cost"].value
    low, high = values.min(), values.max()
    bottom, top = axes.get_ylim()
    if high - low >= 0.05 * (top - bottom):
        return
    inset = axes.inset_axes([0.3, 0.42, 0.4, 0.34])
    _draw_relaxations(inset, curves, theta)
    inset.set(xlim=(0, 1), ylim=(low - (high - low), high + (high - low)), xticks=[])
    inset.ticklabel_format(axis="y", useOffset=False)
    inset.tick_params(labelsize=6)
    axes.indicate_inset_zoom(inset, edgecolor="#777777")


def _draw_categorical_variance(axes, categorical, estimators):
    """Log-variance against step (left), and against what is left of the wrong outcomes (right).

    On the right estimators are compared where they have come equally far: medians of both. The
    axis is logarithmic and runs down, so that time runs to the right, as it does on the left.
    Returns the handles by name.
    """
    runs = categorical.assign(
        measured=log_variance(categorical.gradient_variance),
        wrong=1 - categorical.best_probability,
    )
    handles = _draw_runs(axes[0], runs, "measured", estimators)
    for name in handles:
        own = runs[runs.estimator == name].groupby("step")
        axes[1].plot(own.wrong.median(), own.measured.median(), **estimator_look(name))
    which = _outcomes(categorical)
    axes[0].set(ylabel="log-variance (natural log)", title=f"gradient variance, {which}")
    axes[1].set(
        xlabel="1 - probability of the best outcome",
        ylabel="log-variance (natural log)",
        title="the same at equal progress",
        xscale="log",
    )
    axes[1].xaxis.set_major_formatter("{x:g}")
    axes[1].invert_xaxis()
    return handles


def _draw_relaxations(axes, curves, theta):
    """The cost and every tuned c over u; handles of the cost and of the unscaled relaxations."""
    cost = curves[curves.estimator == "cost"].groupby("u").value.first()
    below = cost.index <= 1 - theta
    for part in (cost[below], cost[~below]):  # two parts: f(H(z)) jumps
        (handle,) = axes.plot(part.index, part, color=COST_COLOUR, label=r"cost $f(H(z))$")
    unscaled = []
    for name in ordered(curves.estimator):
        own = curves[curves.estimator == name]
        draw_band(axes, own, "value", name, x="u")
        if own.unscaled.notna().any():
            look = estimator_look(name)
            label = rf"{look['label']} without $\eta$: $f(\sigma(z/\lambda))$"
            medians = own.groupby("u").unscaled.median()
            unscaled += axes.plot(medians, color=look["color"], linewidth=0.8, label=label)
    return handle, unscaled
