"""Figures of the optimal relaxation: one latent, where everything is known exactly."""

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.lines import Line2D

from relax.presentation.common import count, log_variance
from relax.presentation.style import COST_COLOUR, draw_band, estimator_look, finish, new_figure

FAMILY = {"color": estimator_look("rebar")["color"], "label": r"best $\eta f(\sigma(z/\lambda))$"}
OPTIMUM = {"color": "#000000", "dashes": (1, 1.2), "label": r"optimum: the constant $c^*$"}
# Ordered shades for θ or t, which are numbers and not estimators.
SHADES = ["#440154", "#3b528b", "#21918c", "#5ec962", "#b8de29"]


def _shades(count):
    """So many of `SHADES`, or of the colours between them where there are more."""
    if count <= len(SHADES):
        return SHADES[:count]
    between = LinearSegmentedColormap.from_list("shades", SHADES)
    return [to_hex(between(place)) for place in np.linspace(0, 1, count)]


def _noise(table):
    return f"{' and '.join(sorted(table.noise.unique()))} noise"


def fig6_optimal_relaxation(relaxations):
    """The optimal, the best Concrete and the learned relaxation at several θ, a row a target.

    Args:
        relaxations: rows of `results/theory/relaxations.csv`.
    """
    # The two nearest one half.
    targets = sorted(sorted(relaxations.target.unique(), key=lambda t: abs(t - 0.5))[:2])
    thetas = _ends_and_middle(sorted(relaxations.theta.unique()))
    figure, axes = new_figure(len(targets), len(thetas), width=8.5, row_height=2.7)
    for row, target in zip(axes, targets, strict=True):
        for panel, theta in zip(row, thetas, strict=True):
            own = relaxations[(relaxations.target == target) & (relaxations.theta == theta)]
            curves = {name: own[own.family == name] for name in own.family.unique()}
            cost = curves["cost"].sort_values("u")
            for side in (cost[cost.u <= 1 - theta], cost[cost.u > 1 - theta]):
                panel.plot(side.u, side.value, color=COST_COLOUR, label=r"cost $f(H(z))$")
            concrete = curves["concrete family"]
            panel.plot(concrete.u, concrete.value, dashes=(9, 2), **FAMILY)
            draw_band(panel, curves["relax"], "value", "relax", x="u")
            panel.plot(curves["constant"].u, curves["constant"].value, zorder=5, **OPTIMUM)
            _show_variances(panel, curves)
            step = np.ptp(cost.value)
            middle = cost.value.mean() if step == 0 else (cost.value.min() + cost.value.max()) / 2
            panel.set(
                xlim=(0, 1),
                ylim=(middle - 1.6 * step, middle + 1.6 * step),
                title=rf"$t={target:g}$, $\theta={theta:g}$",
            )
            panel.ticklabel_format(axis="y", useOffset=False)
        row[0].set_ylabel(r"$f(H(z))$, $c(z)$")
    for panel in axes[-1]:
        panel.set_xlabel("$u$")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    handles = list(dict(zip(labels, handles, strict=True)).values())
    seeds = relaxations[relaxations.family == "relax"].seed.nunique()
    scale = f"{count(seeds, 'seed')} of RELAX's network (median, quartiles), {_noise(relaxations)}"
    title = "The optimal relaxation of one latent; in each panel, the log-variance reached"
    return finish(figure, title, handles, scale)


def _ends_and_middle(values):
    return sorted({values[0], values[len(values) // 2], values[-1]})


def _show_variances(panel, curves):
    """Log-variances in the panel's corner; the constant's is zero."""
    relax = log_variance(curves["relax"].groupby("seed").variance.first()).median()
    concrete = log_variance(curves["concrete family"].variance.head(1)).iloc[0]
    text = (
        f"RELAX {relax:.1f}\n"
        + r"best $\eta f(\sigma(z/\lambda))$ "
        + f"{concrete:.1f}\n$c^*$: no variance"
    )
    panel.text(0.03, 0.97, text, transform=panel.transAxes, fontsize=6.5, va="top")


def fig7_optimum_vs_theta(optimum):
    """How the optimal constant moves with θ and with f, and the least variances along θ.

    Args:
        optimum: rows of `results/theory/optimum.csv`.
    """
    targets = sorted(optimum.target.unique())
    figure, (row,) = new_figure(1, 2, width=8.0, row_height=3.2)
    styles = [{}, {"dashes": (6, 2)}, {"dashes": (2, 1)}, {"dashes": (4, 1, 1, 1)}]
    handles = []
    for index, target in enumerate(targets):
        dashes = styles[index % len(styles)]
        own = optimum[optimum.target == target]
        constant = own[own.family == "constant"]
        shade = SHADES[index % len(SHADES)]
        row[0].plot(constant.theta, constant.constant, color=shade, **dashes)
        ends = [(1 - target) ** 2, target**2]  # the limits of c* at θ = 0 and 1
        row[0].plot([0, 1], ends, "o", color=shade, markersize=4, clip_on=False)
        handles.append(Line2D([], [], color="#444444", label=rf"$t={target:g}$", **dashes))
        for family, colour in (
            ("reinforce", estimator_look("reinforce")["color"]),
            ("concrete family", FAMILY["color"]),
        ):
            part = own[own.family == family]
            row[1].plot(part.theta, log_variance(part.variance), color=colour, **dashes)
    row[0].set(
        xlabel=r"$\theta$", ylabel="$c^*$", xlim=(0, 1), title=r"$c^*=(1-\theta)f(1)+\theta f(0)$"
    )
    row[1].set(xlabel=r"$\theta$", ylabel="least log-variance (natural log)", xlim=(0, 1))
    row[1].set_title("least variance; with $c^*$ it is zero")
    handles += [
        Line2D([], [], color=estimator_look("reinforce")["color"], label="REINFORCE"),
        Line2D([], [], **FAMILY),
    ]
    largest = optimum.temperature.max()
    values = count(optimum.theta.nunique(), "value")
    scale = (
        rf"exact; $f(b)=(b-t)^2$, $\lambda$ from 0.1 to {largest:g}, {values} of $\theta$, "
        f"{_noise(optimum)}"
    )
    return finish(figure, r"The optimum is a function of $f$ and of $\theta$", handles, scale)


def fig8_concrete_bias_variance(concrete):
    """Concrete's exact bias and variance against its temperature, a row a target.

    Args:
        concrete: rows of `results/theory/concrete.csv`.
    """
    targets = sorted(concrete.target.unique())
    figure, axes = new_figure(len(targets), 2, row_height=2.1)
    for row, target in zip(axes, targets, strict=True):
        handles = []
        groups = concrete[concrete.target == target].groupby("theta")
        for (theta, own), shade in zip(groups, _shades(groups.ngroups), strict=True):
            style = {"color": shade, "label": rf"$\theta={theta:g}$"}
            handles += row[0].plot(own.temperature, own.bias, **style)
            row[1].plot(own.temperature, own.variance, **style)
        exact = concrete[concrete.target == target].exact_gradient.max()
        row[0].axhline(0, color="#999999", linewidth=0.8)
        row[0].axhline(exact, color="#999999", linewidth=0.8, linestyle=":")
        row[0].set(ylabel="bias", title=f"bias, $t={target:g}$", xscale="log")
        row[1].set(ylabel="variance", title=f"variance, $t={target:g}$", xscale="log", yscale="log")
    for panel in axes[-1]:
        panel.set_xlabel(r"temperature $\lambda$")
    handles.append(
        Line2D(
            [], [], color="#999999", linestyle=":", linewidth=0.8, label="largest exact gradient"
        )
    )
    title = "Concrete: bias and variance of the gradient in the logit"
    return finish(figure, title, handles, "exact: enumeration and quadrature; one latent")


def fig9_estimator_terms(terms):
    """Histograms of RELAX's terms, with the network tuned: a column a target, a row a term.

    Args:
        terms: rows of `results/theory/terms.csv`.
    """
    targets = sorted(terms.target.unique())
    names = ["score of f", "score of c", "reparameterization", "estimate"]
    titles = {
        "score of f": r"$f(b)\,\partial\log p(b)$",
        "score of c": r"$-c(\tilde z)\,\partial\log p(b)$",
        "reparameterization": r"$\partial c(z)-\partial c(\tilde z)$",
        "estimate": "the sum: RELAX",
    }
    figure, axes = new_figure(len(names), len(targets), width=8.0, row_height=1.45)
    for row, name in zip(axes, names, strict=True):
        for panel, target in zip(row, targets, strict=True):
            own = terms[(terms.target == target) & (terms.term == name)].sort_values("left")
            widths = own.right - own.left
            colour = estimator_look("relax")["color"] if name == "estimate" else "#666666"
            panel.bar(own.left, own.density * widths, widths, align="edge", color=colour)
            panel.set_yticks([])
            text = f"sd {own.deviation.iloc[0]:.2g}"
            panel.text(
                0.5, 0.97, text, transform=panel.transAxes, ha="center", va="top", fontsize=7
            )
        row[0].set_ylabel(titles[name], rotation=0, ha="right", va="center")
    for panel, target in zip(axes[0], targets, strict=True):
        panel.set_title(rf"$t={target:g}$, $\theta={terms.theta.iloc[0]:g}$")
    for panel in axes[-1]:
        panel.set_xlabel("gradient in the logit")
    title = "The terms of RELAX's estimate after tuning (each axis has its own range)"
    handles = [
        Line2D([], [], color="#666666", linewidth=5, label="a term"),
        Line2D([], [], color=estimator_look("relax")["color"], linewidth=5, label="the estimate"),
    ]
    return finish(figure, title, handles, f"fraction of samples a bin; one latent, {_noise(terms)}")


def fig10_eta(eta):
    """REBAR's η at a fixed λ, learned against the closed form, along θ; a panel a target.

    Args:
        eta: rows of `results/theory/eta.csv`.
    """
    targets = sorted(eta.target.unique())
    figure, (row,) = new_figure(1, len(targets), width=8.5, row_height=2.6)
    for panel, target in zip(row, targets, strict=True):
        own = eta[eta.target == target]
        learned = draw_band(panel, own, "learned_eta", "rebar", x="theta", marker="o", markersize=3)
        closed = own.groupby("theta").closed_eta.first()
        (exact,) = panel.plot(
            closed,
            color="#000000",
            dashes=(1, 1.2),
            label=r"$-\mathrm{Cov}/\mathrm{Var}$",
            zorder=5,
        )
        panel.set(xlabel=r"$\theta$", title=f"$t={target:g}$", xlim=(0, 1))
    row[0].set_ylabel(r"$\eta$")
    learned.set_label("REBAR, learned (median, quartiles)")
    scale = (
        rf"{count(eta.seed.nunique(), 'seed')}, $\lambda={eta.temperature.iloc[0]:g}$ fixed, "
        f"one sample a step, mean over the second half of the updates, {_noise(eta)}"
    )
    title = r"The scale $\eta$: learned by descending $g^2$ against its closed form"
    return finish(figure, title, [exact, learned], scale)
