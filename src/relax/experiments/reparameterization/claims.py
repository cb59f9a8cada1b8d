"""Does the recursion lower the variance, and where? Judged from exact variances."""

from relax.experiments.reparameterization.names import LABELS
from relax.presentation.common import count
from relax.presentation.intervals import interval, worst
from relax.presentation.judge import judged, log, missing, row

FIGURE = "fig16_generalised_reparameterization"
WHERE = "section 5"
# On a cost of one Gamma latent, and in the model: whose variance is below whose.
ORDERS = (
    ("recursive", "generalised", "The recursion lowers the generalised gradient's variance"),
    ("recursive", "implicit", "The recursion is below the implicit gradient"),
    ("implicit_lax", "recursive", "LAX's control variate lowers it further than the recursion"),
)
ON_COSTS = (
    *(("kink", *order) for order in ORDERS),
    ("kink", "lax", "recursive", "LAX through the implicit path is below the recursion"),
    (
        "black box",
        "score_recursive",
        "score_function",
        "The recursion's control variate lowers the score function's variance",
    ),
    ("black box", "lax", "score_recursive", "LAX's control variate lowers it further"),
)


def orders_on_costs(tables):
    """One latent; exact variances of c as each seed has learned it, at every concentration."""
    table = tables.get("gamma_costs")
    for cost, name, other, claim in ON_COSTS:
        finding = None
        if not missing(table):
            own = _learned(table[table.cost == cost])
            gaps = {c: _gap(rows, name, other) for c, rows in own.groupby("concentration")}
            found = worst(gaps.values(), lambda gap: gap.high)
            if found is not None:
                below = sum(gap.high < 0 for gap in gaps.values())
                scale = f"{count(own.seed.nunique(), 'seed')}; below 0 at {below} of {len(gaps)} α"
                finding = judged(found, scale, below=0)
        yield row(
            f"{claim}, {cost} cost of a Gamma latent",
            WHERE,
            f"log-variance, {LABELS[name]} minus {LABELS[other]}; worst α",
            "interval below 0 at every α",
            FIGURE,
            finding,
        )


def orders_in_the_model(tables):
    """The model at common parameters."""
    table = tables.get("factor_variances")
    for name, other, claim in ORDERS:
        finding = None
        if not missing(table):
            own = _learned(table)
            found = _gap(own, name, other)
            if found is not None:
                finding = judged(found, count(own.seed.nunique(), "seed"), below=0)
        yield row(
            f"{claim}, Poisson factors of digits",
            WHERE,
            f"log-variance, {LABELS[name]} minus {LABELS[other]}, at common parameters",
            "interval below 0",
            FIGURE,
            finding,
        )


def _learned(table):
    """The last step of each estimator; what was computed and not learned is left out."""
    if "surrogate" in table:
        table = table[table.surrogate != "best in span"]
    return table[table.step == table.groupby("estimator").step.transform("max")]


def _gap(rows, name, other):
    """Over the seeds of the one that has most; an exact number is every seed's."""
    values = {
        key: log(rows[rows.estimator == key].set_index("seed").variance) for key in (name, other)
    }
    if not all(len(each) for each in values.values()):
        return None
    one, two = values[name], values[other]
    return interval(one - two if len(two) > 1 else one - two.iloc[0])


CLAIMS = [orders_on_costs, orders_in_the_model]
