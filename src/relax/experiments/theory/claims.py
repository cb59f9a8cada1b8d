"""Claims about the estimators themselves, judged from exact numbers (`results/theory/`)."""

import numpy as np

from relax.presentation.common import count
from relax.presentation.intervals import interval, worst
from relax.presentation.judge import (
    FLOOR,
    HARD,
    TOLERANCE,
    grid_scale,
    judged,
    log,
    missing,
    row,
)

NOT_OPTIMAL = 1e-4  # a variance larger by a smaller part could be the error of the grid over λ
ETA_MARGIN = 0.1  # a learned η this close to the closed form counts as found; it starts at 1
LEAST_ORDER = 0.5  # a bias that falls as √λ or faster vanishes with λ
POINT = ["target", "noise", "theta"]


def equations(tables):
    """Both sides of an equation, computed; with the sign corrected, and as printed."""
    table = tables.get("equations")

    def verdict(name, claim, where, as_printed=False):
        statistic = "largest difference of the two sides, relative to their size"
        if as_printed:
            statistic += ", right side as printed"
        return row(
            claim,
            where,
            statistic,
            f"below {TOLERANCE:g} in every case",
            "theory/equations.csv",
            _equation(table, name, as_printed),
        )

    yield verdict("unbiased", "The RELAX estimator is unbiased for every φ", "section 3")
    yield verdict("3", "The scale η of least variance is -Cov/Var", "equation 3")
    for name, what in (("8", "REBAR's"), ("10", "RELAX's")):
        where = f"equation {name}"
        yield verdict(name, f"{what} control variate has mean zero (sign corrected)", where)
        yield verdict(name, f"{what} control variate has mean zero (as printed)", where, True)
    yield verdict(
        "11", "The mean of the gradient of g² is the gradient of the variance", "equation 11"
    )


def _equation(table, name, as_printed):
    if missing(table):
        return None
    cases = table[table.equation.astype(str) == name]
    if cases.empty:
        return None
    # The draft prints the right side of (8) and (10) with the opposite sign.
    error = (cases.left + cases.right).abs() if as_printed else cases.error
    relative = (error / cases["scale"].clip(lower=FLOOR)).max(skipna=False)
    return judged(relative, f"exact; {count(len(cases), 'case')}", below=TOLERANCE)


def concrete_is_biased(tables):
    """At every temperature above zero, at some target and θ."""
    table = tables.get("concrete")
    finding = None
    if not missing(table):
        least = _worst_bias(table).min()
        finding = judged(least, _bias_scale(table), above=TOLERANCE)
    yield row(
        "The Concrete estimator is biased at every temperature above zero",
        "section 2.2",
        "bias relative to the gradient: largest over θ, least over λ",
        f"above {TOLERANCE:g}",
        "fig8_concrete_bias_variance",
        finding,
    )


def bias_vanishes(tables):
    """The bias falls to zero with the temperature."""
    table = tables.get("concrete")
    finding = None
    if not missing(table) and table.temperature.nunique() > 1:
        low, high = _worst_bias(table).sort_index().iloc[:2].items()
        order = np.log(high[1] / low[1]) / np.log(high[0] / low[0])
        finding = judged(order, _bias_scale(table), order >= LEAST_ORDER, above=LEAST_ORDER)
    yield row(
        "Concrete's bias vanishes as its temperature goes to zero",
        "section 2.2",
        "slope of log bias (largest over θ) in log λ, at the two lowest λ",
        f"at least {LEAST_ORDER:g}",
        "fig8_concrete_bias_variance",
        finding,
    )


def _worst_bias(table):
    relative = table.bias.abs().clip(lower=FLOOR) / table.exact_gradient.abs().clip(lower=FLOOR)
    return relative.groupby(table.temperature).max()


def _bias_scale(table):
    return grid_scale(table, target="targets", theta="values of θ", temperature="temperatures")


def concrete_is_not_optimal(tables):
    """The best member of the Concrete family against the best surrogate, at every θ."""
    optimum, latents = tables.get("optimum"), tables.get("latents")
    rule = f"at least {NOT_OPTIMAL:g} at every θ"
    statistic = "best Concrete variance / best variance, minus 1; least over θ"
    finding = None
    if not missing(optimum):
        bound = optimum.temperature.max()
        scale = grid_scale(optimum, target="targets", theta="values of θ", noise="kinds of noise")
        wide = optimum.pivot_table("variance", POINT, "family")
        finding = _excess(wide, "concrete family", "constant", f"{scale}, λ up to {bound:.3g}")
    yield row(
        "Concrete is not the optimal relaxation, one latent",
        "abstract, section 3",
        statistic,
        rule,
        "fig6_optimal_relaxation",
        finding,
    )
    finding = None
    if not missing(latents) and (latents.latents == 2).any():
        two = latents[latents.latents == 2]
        wide = two.pivot_table("variance", ["noise", "theta"], "surrogate")
        scale = grid_scale(two, theta="values of θ", noise="kinds of noise")
        finding = _excess(wide, "rebar optimum", "best of class", scale)
    yield row(
        "Concrete is not the optimal relaxation, two latents",
        "abstract, section 3",
        statistic,
        rule,
        "theory/latents.csv",
        finding,
    )


def _excess(wide, name, best, scale):
    if not {name, best} <= set(wide.columns):
        return None
    excess = (wide[name] / wide[best].clip(lower=FLOOR) - 1).min(skipna=False)
    return judged(excess, scale, excess >= NOT_OPTIMAL, above=NOT_OPTIMAL)


def optimum_depends(tables):
    """The best constant (the surrogate of zero variance) moves with θ, and with the target in f."""
    table = tables.get("optimum")
    for what, moving, fixed in (
        ("θ", "theta", ["target", "noise"]),
        ("f", "target", ["theta", "noise"]),
    ):
        finding = None
        if not missing(table):
            best = table[table.family == "constant"].groupby(fixed)
            if (best[moving].nunique() > 1).any():
                grown = best.constant.agg(lambda c: (c.max() - c.min()) / c.abs().max())
                moved = grown[best[moving].nunique() > 1].min()
                scale = grid_scale(table, target="targets", theta="values of θ")
                finding = judged(moved, scale, above=TOLERANCE)
        yield row(
            f"The optimal surrogate depends on {what}",
            "section 3",
            f"range of the best constant over {what}, relative; least over the rest",
            f"above {TOLERANCE:g}",
            "fig7_optimum_vs_theta",
            finding,
        )


def learned_surrogate_beats_concrete(tables):
    """The trained network against the best of the Concrete family, at fixed θ."""
    shapes, latents = tables.get("relaxations"), tables.get("latents")
    findings, targets = [], {HARD}
    if not missing(shapes):
        targets |= {float(target) for target in shapes.target.unique()}
        shapes = shapes.drop_duplicates([*POINT, "family", "seed"])
    for target in sorted(targets):
        found = None
        if not missing(shapes):
            rows = shapes[np.isclose(shapes.target, target)]
            found = _learned(rows, "family", "relax", "concrete family", ["noise", "theta"])
        findings.append((f"toy, t = {target:g}", found, "fig6_optimal_relaxation"))
    found = None
    if not missing(latents):
        pairs = latents[latents.latents == 2]
        found = _learned(pairs, "surrogate", "relax trained", "rebar optimum", ["noise", "theta"])
    findings.append(("two latents", found, "theory/latents.csv"))
    for problem, finding, evidence in findings:
        yield row(
            f"A learned surrogate has less variance than the best Concrete relaxation, {problem}",
            "abstract, section 3",
            "log-variance, RELAX trained minus best Concrete; worst θ",
            "interval below 0 at every θ",
            evidence,
            finding,
        )


def _learned(table, column, name, other, keys):
    best = table[table[column] == other].groupby(keys).variance.mean()
    groups = table[table[column] == name].groupby(keys)
    if best.empty or not groups.ngroups or not set(groups.groups) <= set(best.index):
        return None
    gaps = [interval(log(rows.variance) - log(best[key])) for key, rows in groups]
    found = worst(gaps, lambda gap: gap.high)
    if found is None:
        return None
    seeds = table[table[column] == name].seed.nunique()
    return judged(found, f"{count(seeds, 'seed')}, {count(len(gaps), 'case')}", below=0)


def eta_is_learned(tables):
    """Gradient descent on g² finds the closed form."""
    table = tables.get("eta")
    finding = None
    if not missing(table):
        keys = ["target", "theta"]
        # Several temperatures for a seed are cases of their own.
        if table.duplicated([*keys, "seed"]).any():
            keys.append("temperature")
        gap = table.learned_eta - table.closed_eta
        gaps = [interval(rows) for _, rows in gap.groupby([table[key] for key in keys])]
        found = worst(gaps, lambda each: max(-each.low, each.high))
        if found is not None:
            scale = f"{count(table.seed.nunique(), 'seed')}, {count(len(gaps), 'case')}"
            finding = judged(found, scale, above=-ETA_MARGIN, below=ETA_MARGIN)
    yield row(
        "Gradient descent on g² finds REBAR's optimal scale η",
        "abstract, section 2.3",
        "η learned minus closed form; worst target and θ",
        f"interval within ±{ETA_MARGIN:g} in every case",
        "fig10_eta",
        finding,
    )


CLAIMS = [
    equations,
    concrete_is_biased,
    bias_vanishes,
    concrete_is_not_optimal,
    optimum_depends,
    learned_surrogate_beats_concrete,
    eta_is_learned,
]
