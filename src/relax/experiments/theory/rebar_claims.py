"""Claims about REBAR on the toy: its learned scale η, and the correlations that it lives on."""

from relax.presentation.common import count
from relax.presentation.intervals import interval, worst
from relax.presentation.judge import HIGH, grid_scale, judged, missing, row

EXCESS = 0.01  # an η counts as optimal if its variance is above the least by less than this part


def eta_is_learned(tables):
    """Gradient descent on g² finds the closed form, judged by what η is for: the variance.

    Rule: the exact variance at the learned η is above the least by less than `EXCESS` of it, in
    every case. (A distance of η's is no measure: where REBAR has little to gain, all η near the
    best serve alike.) The control: the same rule must turn down η = 0, REINFORCE, somewhere, or it
    would ask for nothing.
    """
    table = tables.get("eta")
    learned = control = None
    if not missing(table):
        keys = ["target", "theta"]
        # Several temperatures for a seed are cases of their own.
        if table.duplicated([*keys, "seed"]).any():
            keys.append("temperature")
        excess = table.learned_variance / table.closed_variance - 1
        gaps = [interval(rows) for _, rows in excess.groupby([table[key] for key in keys])]
        found = worst(gaps, lambda each: each.high)
        start = (table.start_variance / table.closed_variance - 1).max()
        scale = f"{count(table.seed.nunique(), 'seed')}, {count(len(gaps), 'case')}"
        if found is not None:
            learned = judged(found, f"{scale}; where it starts {start:.2g}", below=EXCESS)
        none = (table.reinforce_variance / table.closed_variance - 1).max()
        control = judged(none, f"exact; {count(len(gaps), 'case')}", above=EXCESS)
    for claim, statistic, rule, finding in (
        (
            "Gradient descent on g² finds REBAR's optimal scale η",
            "variance at the learned η / variance at the closed form, minus 1; worst target and θ",
            f"interval below {EXCESS:g} in every case",
            learned,
        ),
        (
            "Control: η = 0 has not the least variance",
            "variance at η = 0 / variance at the closed form, minus 1; largest over targets and θ",
            f"above {EXCESS:g}",
            control,
        ),
    ):
        yield row(claim, "abstract, section 2.3", statistic, rule, "fig10_eta", finding)


def correlations(tables):
    """Two that the draft speaks of: of REBAR's control variate with the REINFORCE gradient, and
    of the cost at a relaxed input with the cost at b, which REBAR assumed.

    Rule: high is a squared correlation above `HIGH`, as on the VAE; at every target and θ, at the
    temperature that REBAR starts from. Exact. The first is 1 less the share of REINFORCE's variance
    that the best η leaves (docs/errata.md, equations 2 and 3).
    """
    table = tables.get("toy_assumptions")
    rebar = None if missing(table) else table[table.estimator == "rebar"]
    for claim, where, statistic, measure in (
        (
            "REBAR's control variate is highly correlated with the REINFORCE gradient on the toy",
            "section 2.3.2",
            "ρ² = 1 - variance of REBAR at the best η / variance of REINFORCE",
            lambda rows: 1 - rows.left,
        ),
        (
            "The cost at REBAR's relaxed input is highly correlated with the cost on the toy",
            "section 3 (assumed)",
            "ρ² of f(b) and f(σ(z/λ))",
            lambda rows: rows.share,
        ),
    ):
        finding = None
        if rebar is not None and not rebar.empty:
            scale = grid_scale(rebar, target="targets", theta="values of θ")
            finding = judged(measure(rebar).min(skipna=False), scale, above=HIGH)
        yield row(
            claim,
            where,
            f"{statistic}; least over targets and θ, at the λ that REBAR starts from",
            f"above {HIGH:g}",
            "theory/toy_assumptions.csv",
            finding,
        )


CLAIMS = [correlations, eta_is_learned]
