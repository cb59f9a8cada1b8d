"""The figure of the generalised reparameterization."""

from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from relax.experiments.reparameterization.names import LABELS, TERMS
from relax.presentation.common import count
from relax.presentation.style import draw_band, estimator_look, finish, new_figure

LOOKS = {
    "score_function": {"color": estimator_look("reinforce")["color"], "dashes": (2.5, 1.2)},
    "generalised": {"color": "#E69F00", "dashes": (5, 1, 1, 1, 1, 1)},
    "implicit": {"color": "#000000", "dashes": (1, 1.2)},
    "recursive": {"color": "#D55E00", "dashes": ()},
    "lax": {"color": "#009E73", "dashes": (9, 2)},
    "implicit_lax": {"color": "#56B4E9", "dashes": (4, 1, 1, 1)},
    "score_recursive": {"color": "#CC79A7", "dashes": (6, 1, 1, 1, 1, 1)},
}
MARKERS = {"reparameterization": "o", "correction": "s", "recursion": "^"}
TERM_LABELS = {
    "reparameterization": r"reparameterization $f'h$",
    "correction": r"correction $f s - c\,\Delta s$",
    "recursion": r"recursion $c'\,\Delta h$",
}
RECURSIONS = ("recursive", "score_recursive")  # whose terms are shown while c is learned
WITH_TERMS = ("generalised", "recursive", "lax", "score_recursive")


def look(name):
    """Colour, dashes and label, the same in every panel."""
    return LOOKS[name] | {"label": LABELS[name]}


def fig16_generalised_reparameterization(costs, training, variances):
    """Variances of the estimators and of their terms: two costs of a Gamma latent, and a model.

    Args:
        costs: rows of `results/reparameterization/costs.csv`.
        training: rows of `results/reparameterization/training.csv`.
        variances: rows of `results/reparameterization/variances.csv`.
    """
    figure, axes = new_figure(3, 3, width=9.5, row_height=2.5)
    titles = {
        "kink": r"$f=|z-2|+0.3z^2$",
        "black box": r"black box $f=(\lfloor z\rfloor-2)^2$",
    }
    values = sorted(costs.concentration.unique())
    shown = values[len(values) // 2]
    for row, (cost, title) in zip(axes, titles.items(), strict=False):
        own = costs[costs.cost == cost]
        _against_concentration(row[0], own, title)
        _terms_against_concentration(row[1], own, f"{title}: terms")
        _while_learned(row[2], own[own.concentration == shown], rf"$\alpha={shown:g}$, $c$ learned")
    _training(axes[2, 0], training)
    _model_terms(axes[2, 1], variances)
    _while_learned(axes[2, 2], variances, "Poisson factors, $c$ learned")
    handles = [Line2D([], [], **look(name)) for name in LABELS]
    handles += [
        Line2D([], [], color="#444444", marker=marker, linestyle="", label=TERM_LABELS[term])
        for term, marker in MARKERS.items()
    ]
    handles.append(
        Line2D([], [], color="#444444", marker="x", linestyle="", label="best $c$ in a span")
    )
    seeds = count(costs[costs.surrogate == "network"].seed.nunique(), "seed")
    steps = f"{costs.step.max():,} updates of $c$"
    of_model = f"{count(training.seed.nunique(), 'seed')}, {training.step.max():,} steps"
    scale = f"one Gamma latent: exact variances, {seeds}, {steps}; Poisson factors: {of_model}"
    title = "Generalised reparameterization and its recursion (median over seeds, quartiles)"
    return finish(figure, title, handles, scale)


def _end(table):
    keys = ["estimator", "surrogate"] if "surrogate" in table else ["estimator"]
    return table[table.step == table.groupby(keys).step.transform("max")]


def _against_concentration(panel, own, title):
    own = _end(own)
    for name in LABELS:
        lines = own[(own.estimator == name) & (own.surrogate != "best in span")]
        if lines.empty:
            continue
        draw_band(panel, lines, "variance", "reinforce", x="concentration", **look(name))
        span = own[(own.estimator == name) & (own.surrogate == "best in span")]
        panel.plot(span.concentration, span.variance, "x", color=LOOKS[name]["color"], markersize=4)
    _concentration_axis(panel, own, title)
    panel.set_ylabel(r"variance of $g$ in $\alpha$")


def _concentration_axis(panel, own, title):
    panel.set(xscale="log", yscale="log", xlabel=r"concentration $\alpha$", title=title)
    ticks = sorted(own.concentration.unique())
    panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.minorticks_off()


def _terms_against_concentration(panel, own, title):
    own = _end(own)
    for name in WITH_TERMS:
        lines = own[(own.estimator == name) & (own.surrogate != "best in span")]
        for term in TERMS:
            curve = lines.groupby("concentration")[term].median()
            if len(curve) and (curve > 0).all():
                style = {key: LOOKS[name][key] for key in ("color", "dashes")}
                panel.plot(curve, marker=MARKERS[term], markersize=3.5, linewidth=1.0, **style)
    _concentration_axis(panel, own, title)
    panel.set_ylabel("variance of a term")


def _while_learned(panel, own, title):
    own = own[own.surrogate != "best in span"] if "surrogate" in own else own
    last = own.step.max()
    for name in LABELS:
        lines = own[own.estimator == name]
        if lines.empty:
            continue
        if lines.step.max() == 0:  # nothing is learned
            panel.plot([0, last], [lines.variance.median()] * 2, **look(name))
        else:
            draw_band(panel, lines, "variance", "reinforce", **look(name))
        if name in RECURSIONS:
            for term, marker in MARKERS.items():
                curve = lines.groupby("step")[term].median()
                style = {"color": LOOKS[name]["color"], "linewidth": 0.6, "markersize": 2.5}
                panel.plot(curve[curve > 0], marker=marker, **style)
    panel.set(yscale="log", xlabel="updates of $c$", title=title, xlim=(0, last))
    panel.set_ylabel("variance of $g$, and of terms")


def _training(panel, training):
    for name in LABELS:
        lines = training[training.estimator == name]
        if not lines.empty:
            draw_band(panel, lines, "bound", "reinforce", **look(name))
    panel.set(xlabel="step", title="Poisson factors: training", xlim=(0, training.step.max()))
    panel.set_ylabel("bound [nats an image]")


def _model_terms(panel, variances):
    end = _end(variances)
    names = [name for name in LABELS if name in set(end.estimator)]
    for place, name in enumerate(names):
        own = end[end.estimator == name]
        panel.plot([place], [own.variance.median()], "_", color="#444444", markersize=14)
        for term in TERMS:
            if (value := own[term].median()) > 0:
                color = LOOKS[name]["color"]
                panel.plot([place], [value], MARKERS[term], color=color, markersize=4.5)
    panel.set(
        yscale="log", title="Poisson factors: terms, and all (bar)", xlim=(-0.6, len(names) - 0.4)
    )
    short = [LABELS[name].replace(" with LAX's control variate", "\n+ LAX's") for name in names]
    panel.set_xticks(range(len(names)), short, rotation=35, ha="right", fontsize=6.5)
    panel.set_ylabel("variance of a term")
