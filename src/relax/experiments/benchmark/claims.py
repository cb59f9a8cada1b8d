"""Claims of the papers after the draft, judged from the measurements at common checkpoints.

Every rule compares the logarithm of a variance between two estimators of the same problem, seed by
seed: Student's interval over the seeds has to lie on the claim's side. The variance is the mean
over checkpoints, which are the same for all. With "an evaluation" it is multiplied by the
evaluations of f that one estimate takes.
"""

import numpy as np

from relax.estimators.registry import calls
from relax.experiments.benchmark.summary import name_of
from relax.presentation.common import count
from relax.presentation.intervals import interval
from relax.presentation.judge import judged, log, missing, row

EVIDENCE = "fig14_estimators"
BETWEEN = (1.4, 1.7)  # RELAX's variance over that of ARMS with three samples
# The problems without images are those of the papers where a claim names one: there D = 200.
VAE, MANY = "vae", "many latents"


def _problems(tables):
    """{problem: rows}, of the VAEs and of the many latents; what is absent has no rows."""
    table = tables.get("estimators")
    if missing(table):
        return {}
    cost = table[table.objective == "cost"]
    groups = dict(list(cost.groupby("problem", sort=False)))
    found = {name: rows for name, rows in groups.items() if kind_of(name)}
    return found


def kind_of(problem):
    """`VAE`, `MANY`, or None for the other toys."""
    if "t = " in problem:
        return MANY if "latents" in problem else None
    return None if problem.startswith("one choice") else VAE


def _level(rows, variant, evaluations=False):
    """By seed, the logarithm of the mean over checkpoints; None where the variant is absent."""
    own = rows[(rows.estimator == variant[0]) & (rows.samples == variant[1])]
    if own.empty:
        return None
    each = log(own.groupby("seed").variance.mean())
    if evaluations:
        each = each + np.log(calls(*variant, own.latents.iloc[0]).evaluations)
    return each


def _gap(rows, one, other, **how):
    """The interval of one's level less the other's, over common seeds; None without both."""
    if rows is None:
        return None
    levels = [_level(rows, variant, **how) for variant in (one, other)]
    if any(level is None for level in levels):
        return None
    return interval((levels[0] - levels[1]).dropna())


def _scale(rows, *variants):
    own = rows[[pair in variants for pair in zip(rows.estimator, rows.samples, strict=True)]]
    parts = [count(own.seed.nunique(), "seed"), count(own.checkpoint.nunique(), "checkpoint")]
    return ", ".join([*parts, f"{count(int(own.estimates.min()), 'estimate')} each"])


def _rows(tables, kinds):
    """(problem, rows) of these kinds; one without rows where there is none."""
    found = [(name, rows) for name, rows in _problems(tables).items() if kind_of(name) in kinds]
    return found or [("the VAE" if VAE in kinds else "many latents", None)]


# (one, other, where, kinds of problems, whether an evaluation): one has less variance than other.
LESS = (
    (("disarm", 2), ("arm", 2), "Dong et al., 2020; Yin et al., 2020", (VAE, MANY), False),
    (("arms", 3), ("rloo", 3), "Dimitriev & Zhou, 2021", (VAE, MANY), False),
    (("arms", 3), ("disarm", 2), "Dimitriev & Zhou, 2021", (VAE, MANY), True),
    (("double_cv", 2), ("disarm", 2), "Titsias & Shi, 2022", (VAE, MANY), False),
    (("rodeo", 2), ("disarm", 2), "Shi et al., 2022", (VAE, MANY), False),
    (("gumbel_rao", 1), ("st_gumbel", 1), "Paulus et al., 2021", (VAE, MANY), False),
)


def less_variance(tables):
    """One estimator's variance is below another's; rule: the interval of the difference is."""
    for one, other, where, kinds, each in LESS:
        names = [name_of(*variant) for variant in (one, other)]
        for problem, rows in _rows(tables, kinds):
            gap = _gap(rows, one, other, evaluations=each)
            finding = gap and judged(gap, _scale(rows, one, other), below=0)
            times = " x evaluations" if each else ""
            yield row(
                f"{names[0]} has less variance{', an evaluation,' if each else ''} than "
                f"{names[1]} on {problem}",
                where,
                f"log of the variance{times}, {names[0]} minus {names[1]}",
                "interval below 0",
                EVIDENCE,
                finding,
            )


def relax_against_arms(tables):
    """RELAX's variance over that of ARMS with three samples; rule: the interval is in `BETWEEN`.

    Three evaluations are what papers charge RELAX with independent noise.
    """
    one, other = ("relax", 1), ("arms", 3)
    for problem, rows in _rows(tables, (VAE,)):
        gap = _gap(rows, one, other)
        low, high = np.log(BETWEEN)
        finding = gap and judged(gap, _scale(rows, one, other), above=low, below=high)
        yield row(
            f"RELAX's variance is {BETWEEN[0]:g} to {BETWEEN[1]:g} times that of ARMS, K = 3, on "
            f"{problem}",
            "Shi et al., 2022",
            "log of the variance, RELAX minus ARMS, K = 3",
            f"interval between log {BETWEEN[0]:g} and log {BETWEEN[1]:g}",
            EVIDENCE,
            finding,
        )


def less_bias(tables):
    """ReinMax's squared bias against straight-through's; rule: the interval is below 0.

    The squared biases are measured with noise, which may take them below zero, so it is their
    difference that is judged, and no logarithm or ratio: mean over checkpoints, seed by seed.
    """
    one, other = ("reinmax", 1), ("straight_through", 1)
    for problem, rows in _rows(tables, (VAE,)):
        finding = None
        if rows is not None:
            levels = [_mean(rows, variant) for variant in (one, other)]
            if all(level is not None for level in levels):
                gap = interval((levels[0] - levels[1]).dropna())
                finding = gap and judged(gap, _scale(rows, one, other), below=0)
        yield row(
            f"ReinMax has less bias than straight-through on {problem}",
            "Liu et al., 2023",
            "squared bias, ReinMax minus straight-through",
            "interval below 0",
            EVIDENCE,
            finding,
        )


def _mean(rows, variant):
    own = rows[(rows.estimator == variant[0]) & (rows.samples == variant[1])]
    return None if own.empty else own.groupby("seed").squared_bias.mean()


def on_the_bound(tables):
    """VIMCO's variance against REINFORCE's on the same bound; rule: the interval is below 0."""
    table = tables.get("estimators")
    bounds = [] if missing(table) else sorted(set(table.objective) - {"cost"})
    groups = [
        (f"{problem}, {bound} samples", rows)
        for bound in bounds
        for problem, rows in table[table.objective == bound].groupby("problem", sort=False)
    ]
    for problem, rows in groups or [("the multi-sample bound", None)]:
        finding = None
        if rows is not None:
            samples = int(rows.samples.iloc[0])
            pair = ("vimco", samples), ("reinforce", samples)
            gap = _gap(rows, *pair)
            finding = gap and judged(gap, _scale(rows, *pair), below=0)
        yield row(
            f"VIMCO has less variance than REINFORCE on {problem}",
            "Mnih & Rezende, 2016; the draft's section 5",
            "log of the variance, VIMCO minus REINFORCE",
            "interval below 0",
            EVIDENCE,
            finding,
        )


CLAIMS = [less_variance, relax_against_arms, less_bias, on_the_bound]
