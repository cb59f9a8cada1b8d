"""Claims about the estimators themselves, judged from exact numbers (`results/theory/`)."""

import numpy as np

from relax.experiments.theory import equation_claims, rebar_claims
from relax.presentation.common import FLOOR, count
from relax.presentation.intervals import interval, worst
from relax.presentation.judge import (
    HARD,
    TOLERANCE,
    grid_scale,
    judged,
    log,
    missing,
    row,
)

NOT_OPTIMAL = 1e-4  # a variance larger by a smaller part could be the error of the grid over λ
SMALL = 0.1  # a bias below this part of the gradient is small
LEAST_ORDER = 0.5  # a bias that falls as √λ or faster vanishes with λ
POINT = ["target", "noise", "theta"]
LIMITS = ("rebar optimum", "best constant")  # of two latents: at bounded λ, and as λ grows


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


def small_bias(tables):
    """ "A small amount of bias is present": against the gradient, which it has to be small against.

    Rule: at some temperature of the grid the bias is below `SMALL` of the gradient at every target
    and θ. The scale says how large it is at the temperature nearest to 0.5, where the toy's
    Concrete and REBAR start.
    """
    table = tables.get("concrete")
    finding = None
    if not missing(table):
        bias = _worst_bias(table)
        nearest = bias.index[np.abs(bias.index - 0.5).argmin()]
        scale = f"{_bias_scale(table)}; at λ = {nearest:.2g} it is {bias[nearest]:.2g}"
        finding = judged(bias.min(), scale, below=SMALL)
    yield row(
        "Concrete's bias is small",
        "section 2.2",
        "bias relative to the gradient: largest over targets and θ, least over λ",
        f"below {SMALL:g}",
        "fig8_concrete_bias_variance",
        finding,
    )


def _worst_bias(table):
    relative = table.bias.abs().clip(lower=FLOOR) / table.exact_gradient.abs().clip(lower=FLOOR)
    return relative.groupby(table.temperature).max()


def _bias_scale(table):
    return grid_scale(table, target="targets", theta="values of θ", temperature="temperatures")


def concrete_is_not_optimal(tables):
    """The best member of the Concrete family, η f(σ(z/λ)), against the best surrogate.

    With one latent the best surrogate, a constant, has no variance: what the family leaves is
    measured in units of REINFORCE's. The family's infimum is zero as well, and no λ attains it
    (docs/estimators.md): its variance falls as 1/λ², so times 1 + λ² it stays away from zero. At
    bounded λ, where σ(z/λ) is still a relaxation, the share itself does. With two latents the
    family tends to the best constant as λ grows, which is taken in: there no λ is left out.
    """
    family, optimum, latents = (tables.get(name) for name in ("family", "optimum", "latents"))
    finding = None
    if not missing(family):
        share = family.variance / family.reinforce_variance
        hottest = family.temperature.max()
        least = (share * (1 + family.temperature**2)).min(skipna=False)
        scale = grid_scale(family, target="targets", theta="values of θ", temperature="λ")
        scale += f", up to {hottest:.3g}, where the share is at most "
        finding = judged(
            least, f"{scale}{share[family.temperature == hottest].max():.2g}", above=TOLERANCE
        )
    yield row(
        "No Concrete relaxation of finite λ is optimal, one latent",
        "abstract, section 3",
        "share of REINFORCE's variance that the best η leaves, times 1 + λ²; least over λ and θ",
        f"above {TOLERANCE:g}",
        "theory/family.csv",
        finding,
    )
    finding = None
    if not missing(optimum):
        bound = optimum.temperature.max()
        scale = grid_scale(optimum, target="targets", theta="values of θ", noise="kinds of noise")
        wide = optimum.pivot_table("variance", POINT, "family")
        if {"concrete family", "reinforce"} <= set(wide.columns):
            share = (wide["concrete family"] / wide["reinforce"]).min(skipna=False)
            finding = judged(
                share, f"{scale}, λ up to {bound:.3g}", share >= NOT_OPTIMAL, above=NOT_OPTIMAL
            )
    yield row(
        "Concrete of bounded λ is not the optimal relaxation, one latent",
        "abstract, section 3",
        "share of REINFORCE's variance that the best η and λ leave; least over θ",
        f"at least {NOT_OPTIMAL:g} at every θ",
        "fig7_optimum_vs_theta",
        finding,
    )
    finding = None
    if not missing(latents) and (latents.latents == 2).any():
        two = latents[latents.latents == 2]
        wide = two.pivot_table("variance", ["noise", "theta"], "surrogate")
        if {*LIMITS, "best of class"} <= set(wide.columns):
            best = wide[list(LIMITS)].min(axis=1, skipna=False)
            excess = (best / wide["best of class"].clip(lower=FLOOR) - 1).min(skipna=False)
            scale = grid_scale(two, theta="values of θ", noise="kinds of noise")
            finding = judged(excess, scale, excess >= NOT_OPTIMAL, above=NOT_OPTIMAL)
    yield row(
        "Concrete is not the optimal relaxation, two latents",
        "abstract, section 3",
        "variance of the best Concrete, or of its limit, over the best's, minus 1; least over θ",
        f"at least {NOT_OPTIMAL:g} at every θ",
        "theory/latents.csv",
        finding,
    )


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
    """The trained network against the best of the Concrete family, at fixed θ.

    On the toy once at bounded λ, and once at the hottest λ that was computed: with one latent the
    family's variance goes to zero as λ grows, so that there is always a λ that beats a network
    (which one, for the network at its worst θ, is in the scale). With two latents the family's
    limit, the best constant, is taken in.
    """
    shapes, latents, family = (tables.get(name) for name in ("relaxations", "latents", "family"))
    findings, targets = [], {HARD}
    if not missing(shapes):
        targets |= {float(target) for target in shapes.target.unique()}
        shapes = shapes.drop_duplicates([*POINT, "family", "seed"])
    for target in sorted(targets):
        bounded = hot = None
        if not missing(shapes):
            rows = shapes[np.isclose(shapes.target, target)]
            learned = rows[rows.family == "relax"]
            best = rows[rows.family == "concrete family"].groupby(["noise", "theta"]).variance
            bounded = _learned(learned, best.mean())
            of_target = None if missing(family) else family[np.isclose(family.target, target)]
            if not missing(of_target):
                hottest = of_target[of_target.temperature == of_target.temperature.max()]
                best = hottest.groupby(["noise", "theta"]).variance.mean()
                hot = _learned(learned, best, _needed(learned, of_target))
        findings += [
            (f"the best Concrete relaxation of bounded λ, toy, t = {target:g}", bounded),
            (f"every Concrete relaxation, toy, t = {target:g}", hot),
        ]
    found = None
    if not missing(latents):
        pairs = latents[latents.latents == 2]
        wide = pairs.pivot_table("variance", ["noise", "theta"], "surrogate")
        if set(LIMITS) <= set(wide.columns):
            best = wide[list(LIMITS)].min(axis=1)
            found = _learned(pairs[pairs.surrogate == "relax trained"], best)
    findings.append(("the best Concrete relaxation, two latents", found))
    for other, finding in findings:
        yield row(
            f"A learned surrogate has less variance than {other}",
            "abstract, section 3",
            "log-variance, RELAX trained minus best Concrete; worst θ",
            "interval below 0 at every θ",
            "theory/latents.csv" if "latents" in other else "fig6_optimal_relaxation",
            finding,
        )


def _learned(learned, best, *more):
    """The trained networks' log-variances less those of `best`, a series by noise and θ.

    Over seeds the mean of logarithms decides (`relax.presentation.judge`); the scale says how the
    arithmetic mean of the variances stands, where that is the one with more to say against us.
    """
    groups = dict(list(learned.groupby(["noise", "theta"])))
    if best.empty or not groups or not set(groups) <= set(best.index):
        return None
    gaps = {key: interval(log(rows.variance) - log(best[key])) for key, rows in groups.items()}
    found = worst(gaps.values(), lambda gap: gap.high)
    if found is None:
        return None
    means = [log(rows.variance.mean()) - log(best[key]) for key, rows in groups.items()]
    scale = [count(learned.seed.nunique(), "seed"), count(len(gaps), "case")]
    scale.append(f"by arithmetic means over seeds {max(means):+.2f} at the worst θ")
    return judged(found, ", ".join([*scale, *more]), below=0)


def _needed(learned, family):
    """In words, the first λ from which the family has less variance, at its most over θ."""
    reached = learned.groupby("theta").variance.agg(lambda v: np.exp(log(v).mean()))
    first = [
        rows.temperature[rows.variance < reached.get(theta, np.inf)].min()
        for theta, rows in family.groupby("theta")
    ]
    if np.isnan(first).any():
        return f"at no λ up to {family.temperature.max():.2g} at every θ less"
    return f"from λ = {max(first):.2g} on less at every θ"


CLAIMS = [
    *equation_claims.CLAIMS,
    concrete_is_biased,
    bias_vanishes,
    small_bias,
    concrete_is_not_optimal,
    optimum_depends,
    learned_surrogate_beats_concrete,
    *rebar_claims.CLAIMS,
]
