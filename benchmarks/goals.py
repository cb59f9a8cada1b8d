"""What the package is to reach, judged from the run at hand.

The rates are multiples of what other implementations reach on a machine of this kind, on MNIST in
batches of 24. The authors' TensorFlow graph code does 186 it/s of RELAX and 325 of REBAR on
`linear1`, and of REBAR 149 on `linear2` and 102 on `nonlinear`; storchastic does 85. The goals are
three times RELAX's, twice REBAR's on `linear1`, and two and a half times REBAR's elsewhere. Rates
are a machine's; ratios are less so.
"""

from typing import NamedTuple


class Goal(NamedTuple):
    """A number of the table, found by its row and column, and its bound."""

    text: str
    model: str
    estimator: str
    column: str
    bound: float
    at_least: bool  # otherwise at most
    replicas: int = 1


RATE, RATIO, AXIS = "per_second", "to_reinforce", "to_unstacked"
GOALS = (
    Goal("RELAX on linear1, time over REINFORCE's", "linear1", "relax", RATIO, 2.5, False),
    Goal("RELAX on linear1, it/s", "linear1", "relax", RATE, 558, True),
    Goal("REBAR on linear1, time over REINFORCE's", "linear1", "rebar", RATIO, 1.8, False),
    Goal("REBAR on linear1, it/s", "linear1", "rebar", RATE, 650, True),
    Goal("REBAR on linear2, it/s", "linear2", "rebar", RATE, 372, True),
    Goal("REBAR on nonlinear, it/s", "nonlinear", "rebar", RATE, 255, True),
    Goal("toy, RELAX, 1000 replicas, seed-steps/s", "toy", "relax", RATE, 500_000, True, 1000),
    *(
        Goal(
            f"{name} on linear1, time over that without the replica axis",
            "linear1",
            name.lower(),
            AXIS,
            1.05,
            False,
        )
        for name in ("REINFORCE", "REBAR", "RELAX")
    ),
)


def judged(table):
    """A line a goal: what it asks, what was measured, and whether it is met."""
    lines = []
    for goal in GOALS:
        rows = table[
            (table.model == goal.model)
            & (table.estimator == goal.estimator)
            & (table.replicas == goal.replicas)
        ]
        sign = ">=" if goal.at_least else "<="
        line = f"{goal.text} {sign} {goal.bound:,g}: "
        if rows.empty or rows[goal.column].isna().all():
            lines.append(line + "not measured")
            continue
        value = rows[goal.column].item()
        met = value >= goal.bound if goal.at_least else value <= goal.bound
        shown = f"{value:,.0f}" if goal.column == RATE else f"{value:.3f}"
        lines.append(line + f"{shown}, {'met' if met else 'not met'}")
    return lines
