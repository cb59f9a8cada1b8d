"""Figures of the toy problem."""

from relax.figures.style import (
    COST_COLOUR,
    count,
    draw_band,
    estimator_look,
    finish,
    new_figure,
    ordered,
)
from relax.summaries.common import log_variance


def _scale(table):
    return (
        f"{count(table.seed.nunique(), 'seed')}, {count(table.step.max(), 'step')}, one latent, "
        f"one sample a step, {' and '.join(sorted(table.noise.unique()))} noise"
    )


def _start(table):
    targets = sorted(table.target.unique())
    figure, axes = new_figure(len(targets), 2)
    return figure, axes, targets, ordered(table.estimator)


def fig1_toy_training(toy):
    """Loss and θ against step, one row of panels a target.

    Args:
        toy: rows of `results/toy/t*/*/seeds*.csv`.
    """
    figure, axes, targets, estimators = _start(toy)
    for row, target in zip(axes, targets, strict=True):
        handles = []
        for name in estimators:
            runs = toy[(toy.target == target) & (toy.estimator == name)]
            # The exact gradient is the reference: on top, so that it is seen where curves meet.
            front = {"zorder": 5} if name == "exact" else {}
            handles.append(draw_band(row[0], runs, "loss", name, **front))
            draw_band(row[1], runs, "theta", name, **front)
        row[0].set(
            xlabel="step", ylabel=r"expected loss $E[(b-t)^2]$", title=f"loss, $t={target:g}$"
        )
        row[1].set(xlabel="step", ylabel=r"$\theta$", title=rf"$\theta$, $t={target:g}$")
        row[1].set_ylim(bottom=-0.02)
        for panel in row:
            panel.set_xlim(0, toy.step.max())
            panel.xaxis.set_major_formatter("{x:,.0f}")
        row[0].ticklabel_format(axis="y", useOffset=False)
    title = "Toy problem: training (lines: median over seeds; bands: quartiles)"
    return finish(figure, title, handles, _scale(toy))


def fig2_toy_variance_relaxation(toy, relaxation):
    """Log-variance against step (left), and the relaxations learned at a fixed θ (right).

    Args:
        toy: rows of `results/toy/t*/*/seeds*.csv`.
        relaxation: rows of `results/toy/t*/*/relaxation_seeds*.csv`.
    """
    figure, axes, targets, estimators = _start(toy)
    estimators = [name for name in estimators if name != "exact"]  # its variance is zero
    theta = relaxation.theta.iloc[0]
    for row, target in zip(axes, targets, strict=True):
        handles = []
        for name in estimators:
            runs = toy[(toy.target == target) & (toy.estimator == name)]
            runs = runs.assign(
                exact=log_variance(runs.exact_variance),
                measured=log_variance(runs.gradient_variance),
            )
            handles.append(draw_band(row[0], runs, "exact", name))
            dots = runs.groupby("step").measured.median().iloc[::5]
            row[0].plot(dots.index, dots, ".", color=estimator_look(name)["color"], markersize=4)
        row[0].set(
            xlabel="step",
            ylabel="log-variance (natural log)",
            title=f"gradient variance, $t={target:g}$",
        )
        row[0].set_xlim(0, toy.step.max())
        row[0].xaxis.set_major_formatter("{x:,.0f}")
        curves = relaxation[relaxation.target == target]
        handle, extra = _draw_relaxations(row[1], curves, theta)
        row[1].set(
            xlabel="$u$",
            ylabel=r"$f(H(z))$, $c(z)$",
            title=rf"relaxations at $\theta={theta:g}$, $t={target:g}$",
            xlim=(0, 1),
        )
        values = curves[curves.estimator == "cost"].value
        low, high = values.min(), values.max()
        bottom, top = row[1].get_ylim()
        if high - low < 0.05 * (top - bottom):  # a step too small to see: enlarge it
            inset = row[1].inset_axes([0.3, 0.42, 0.4, 0.34])
            _draw_relaxations(inset, curves, theta)
            inset.set(xlim=(0, 1), ylim=(low - (high - low), high + (high - low)), xticks=[])
            inset.ticklabel_format(axis="y", useOffset=False)
            inset.tick_params(labelsize=6)
            row[1].indicate_inset_zoom(inset, edgecolor="#777777")
    title = (
        "Toy problem: gradient variance and learned relaxations\n"
        "left: line = quadrature, dots = fresh samples; all: median over seeds, bands = quartiles"
    )
    return finish(figure, title, [*handles, *extra, handle], _scale(toy))


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
