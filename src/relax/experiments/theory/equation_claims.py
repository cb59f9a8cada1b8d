"""Claims about the draft's equations, judged from both sides of each (`theory/equations.csv`)."""

from relax.presentation.common import FLOOR, count
from relax.presentation.judge import TOLERANCE, judged, missing, row

EVIDENCE = "theory/equations.csv"
SIDES = "largest difference of the two sides, relative to their size"
CONTINUOUS = "continuous c that grows more slowly than the tails of z fall"
OF_VARIANCES = "largest difference of the variances, relative to their size"
# By the equation's name in the table: the claim, where the draft says so, the statistic. All have
# one rule: the two sides are equal in every case.
EQUAL = {
    "unbiased": (
        "Every estimator of the formula is unbiased, as its surrogate starts",
        "section 3",
        SIDES,
    ),
    "every surrogate": (
        f"The RELAX estimator is unbiased for every φ of a {CONTINUOUS}",
        "section 3",
        SIDES + "; of many φ, large ones too, the worst",
    ),
    "every surrogate jump": (
        "The RELAX estimator is unbiased for every φ (as printed: also where c jumps)",
        "section 3",
        SIDES,
    ),
    "gumbel": (
        "The argmax of log α + G has the probabilities α (sign corrected)",
        "section 2.2",
        SIDES,
    ),
    "gumbel printed": (
        "The argmax of log α - G has the probabilities α (as printed)",
        "section 2.2",
        SIDES,
    ),
    "3": ("The scale η of least variance is -Cov/Var", "equation 3", SIDES),
    "5": ("Equation (5) is unbiased, with the score of z at fixed z", "equation 5", SIDES),
    "5 variance": (
        "Equation (5) is the REINFORCE estimator that REBAR corrects",
        "equation 5",
        OF_VARIANCES,
    ),
    "6": ("The control variate of equation (6) has the mean that is given", "equation 6", SIDES),
    "8": ("REBAR's control variate has mean zero (sign corrected)", "equation 8", SIDES),
    "8 printed": ("REBAR's control variate has mean zero (as printed)", "equation 8", SIDES),
    "9 printed": ("REBAR's estimator is unbiased (as printed)", "equation 9", SIDES),
    "10": ("RELAX's control variate has mean zero (sign corrected)", "equation 10", SIDES),
    "10 printed": ("RELAX's control variate has mean zero (as printed)", "equation 10", SIDES),
    "11": (
        "The mean of the gradient of g² is the gradient of the variance",
        "equation 11",
        SIDES,
    ),
    "muprop": (
        "RELAX generalises MuProp: with MuProp's control variate for c it is unbiased, two latents",
        "section 1",
        SIDES,
    ),
}


# The control variate (6) applied to (5), by the equation's name.
INEFFECTIVE = {
    "6 variance": "Simply applying the control variate (6) is ineffective at the first λ of REBAR",
    "6 variance any": "Simply applying the control variate (6) is ineffective at any λ of the grid",
}


def equations(tables):
    """Both sides of an equation, computed; with the sign corrected, and as printed.

    Rule: no difference above `TOLERANCE`, relative to the sides' size. The draft prints the right
    side of (8) and (10) with the opposite sign; for the other slips the table has the printed side.
    """
    for name, (claim, where, statistic) in EQUAL.items():
        opposite = name in ("8 printed", "10 printed")
        cases = _cases(tables, name.removesuffix(" printed") if opposite else name)
        finding = None
        if cases is not None:
            error = (cases.left + cases.right).abs() if opposite else cases.error
            relative = (error / cases["scale"].clip(lower=FLOOR)).max(skipna=False)
            finding = judged(relative, _scale(cases), below=TOLERANCE)
        rule = f"below {TOLERANCE:g} in every case"
        yield row(claim, where, statistic, rule, EVIDENCE, finding)


def ineffective(tables):
    """Equation (6) "simply applied", as a control variate of (5).

    Rule: it is ineffective where (5) with the best multiple of it still has more variance than
    plain REINFORCE, which needs no control variate; at every target and θ. At the temperature that
    REBAR starts from, and at the best one.
    """
    for name, claim in INEFFECTIVE.items():
        cases, finding = _cases(tables, name), None
        if cases is not None:
            least = (cases.left / cases.right.clip(lower=FLOOR) - 1).min(skipna=False)
            finding = judged(least, _scale(cases), above=0)
        yield row(
            claim,
            "section 2.3.2",
            "variance of (5) with the best multiple of (6) / variance of REINFORCE, minus 1; least "
            "over targets and θ",
            "above 0 in every case",
            EVIDENCE,
            finding,
        )


def _cases(tables, name):
    table = tables.get("equations")
    if missing(table):
        return None
    cases = table[table.equation.astype(str) == name]
    return None if cases.empty else cases


def _scale(cases):
    surrogates = int(cases.surrogates.sum())
    more = f", {surrogates:,} surrogates" if surrogates > len(cases) else ""
    return f"exact; {count(len(cases), 'case')}{more}"


CLAIMS = [equations, ineffective]
