"""What the package is to reach, judged from the run at hand.

Every goal is a ratio of two numbers of one run. A rate is a machine's, and moves with the hour, so
rates are shown and not judged. Over plain PyTorch the goals are the multiples that were once asked
of the authors' own code: three times their RELAX on `linear1`, twice their REBAR there, two and a
half times it elsewhere.
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


REINFORCE, PLAIN, AXIS = "to_reinforce", "speed_up", "to_unstacked"
FLOOR, JAX = "compiled_to_floor", "compiled_over_jax"
INNER = "to_inner"
SINGLE = "to_single"  # made here: seed-steps a second over those of one seed
MODELS = ("linear1", "linear2", "nonlinear")
GOALS = (
    Goal("RELAX on linear1, time over REINFORCE's", "linear1", "relax", REINFORCE, 2.5, False),
    Goal("REBAR on linear1, time over REINFORCE's", "linear1", "rebar", REINFORCE, 1.8, False),
    Goal("RELAX on linear1, speed over plain PyTorch's", "linear1", "relax", PLAIN, 3, True),
    Goal("REBAR on linear1, speed over plain PyTorch's", "linear1", "rebar", PLAIN, 2, True),
    Goal("REBAR on linear2, speed over plain PyTorch's", "linear2", "rebar", PLAIN, 2.5, True),
    Goal("REBAR on nonlinear, speed over plain PyTorch's", "nonlinear", "rebar", PLAIN, 2.5, True),
    *(
        Goal(f"RELAX on {m}, compiled, time over its matrix products'", m, "relax", FLOOR, 2, False)
        for m in MODELS
    ),
    *(
        Goal(f"{name} on linear1, compiled, speed over JAX's", *at, JAX, bound, True)
        for name, *at, bound in (
            ("REINFORCE", "linear1", "reinforce", 1),
            ("REBAR", "linear1", "rebar", 1),
            ("RELAX", "linear1", "relax", 1.2),
        )
    ),
    Goal("toy, RELAX, speed of 1000 seeds over one's", "toy", "relax", SINGLE, 200, True, 1000),
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
    *(
        Goal(
            f"{name}, time of a step through Expectation over that by inner functions",
            "front door",
            name.lower(),
            INNER,
            1.3,
            False,
        )
        for name in ("REINFORCE", "REBAR", "RELAX")
    ),
)


def with_ratios(table):
    """The table with the column `to_single`."""
    keys = ["model", "estimator"]
    one = table[table.replicas == 1].set_index(keys).per_second
    ones = one.reindex(table.set_index(keys).index).to_numpy()
    return table.assign(to_single=table.per_second / ones)


def judged(table):
    """A line a goal: what it asks, what was measured, and whether it is met."""
    table, lines = with_ratios(table), []
    for goal in GOALS:
        rows = table[
            (table.model == goal.model)
            & (table.estimator == goal.estimator)
            & (table.replicas == goal.replicas)
        ]
        line = f"{goal.text} {'>=' if goal.at_least else '<='} {goal.bound:,g}: "
        if rows.empty or goal.column not in rows or rows[goal.column].isna().all():
            lines.append(line + "not measured")
            continue
        value = rows[goal.column].item()
        met = value >= goal.bound if goal.at_least else value <= goal.bound
        lines.append(line + f"{value:.4g}, {'met' if met else 'not met'}")
    return lines
