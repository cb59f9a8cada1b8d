"""Claims about the toy problem, judged from its training tables."""

import numpy as np

from relax.presentation.common import label
from relax.presentation.intervals import interval, paired_interval
from relax.presentation.judge import (
    FLOOR,
    HARD,
    NOT_A_RIVAL_IN_VARIANCE,
    judged,
    log,
    missing,
    row,
    run_scale,
    with_others,
)

SOLVED = 0.1  # θ below this: four fifths of the loss between the start and the answer are closed
NOTICEABLE = 0.1  # a gain, as a fraction of REINFORCE's distance to the exact gradient


def _runs(tables, target):
    """The rows of one target; None where there are none."""
    table = tables.get("toy")
    if missing(table):
        return None
    rows = table[np.isclose(table.target, target, rtol=0, atol=1e-9)]
    return None if rows.empty else rows


def _at_the_end(rows):
    return rows[rows.step == rows.step.max()]


def theta_at_the_end(tables):
    """RELAX finds θ = 0 at the hard target, and its rivals do not.

    A run in which the exact gradient itself has not got there is too short to tell.
    """
    rows = _runs(tables, HARD)
    for name in (
        "relax",
        *with_others(rows, ("reinforce", "concrete", "rebar"), ("exact", "relax")),
    ):
        finding = None
        if rows is not None:
            theta = _at_the_end(rows).set_index("estimator").theta
            reached = interval(theta[theta.index == name])
            long_enough = (theta[theta.index == "exact"] < SOLVED).all() and "exact" in theta.index
            if reached is not None and long_enough:
                bound = {"below" if name == "relax" else "above": SOLVED}
                finding = judged(reached, run_scale(rows[rows.estimator == name]), **bound)
        side = ("finds", "below") if name == "relax" else ("does not find", "above")
        yield row(
            f"{label(name)} {side[0]} the solution θ = 0 at t = {HARD:g}",
            "section 4.1, figure 1",
            "mean θ at the last step",
            f"interval {side[1]} {SOLVED:g}, and the exact gradient gets below it",
            "fig1_toy_training",
            finding,
        )


def rebar_no_faster_than_reinforce(tables):
    """REBAR's gain in final loss over REINFORCE, in units of what there is to gain."""
    rows = _runs(tables, HARD)
    finding = None
    if rows is not None:
        end = _at_the_end(rows)
        mean = end.groupby("estimator").loss.mean()
        gain = paired_interval(end, "loss", "reinforce", "rebar")
        distance = mean.get("reinforce", np.nan) - mean.get("exact", np.nan)
        if gain is not None and distance > 0:
            gain = type(gain)(*(each / distance for each in gain))
            scale = run_scale(rows[rows.estimator == "rebar"])
            finding = judged(gain, scale, below=NOTICEABLE)
    yield row(
        f"REBAR is not noticeably faster than REINFORCE at t = {HARD:g}",
        "section 4.1",
        "final loss, REINFORCE minus REBAR, over REINFORCE minus exact",
        f"interval below {NOTICEABLE:g}",
        "fig1_toy_training",
        finding,
    )


def rebar_signal_below_noise(tables):
    """The size of the true gradient against the standard deviation of REBAR's estimate of it."""
    rows = _runs(tables, HARD)
    finding = None
    if rows is not None and "rebar" in set(rows.estimator):
        rows = rows[rows.estimator == "rebar"]
        gradient = (1 - 2 * rows.target) * rows.theta * (1 - rows.theta)
        ratio = gradient.abs() / np.sqrt(rows.exact_variance.clip(lower=FLOOR))
        found = interval(ratio[_second_half(rows)].groupby(rows.seed).median())
        if found is not None:
            finding = judged(found, run_scale(rows), below=1)
    yield row(
        f"The noise of REBAR's gradient outweighs its signal at t = {HARD:g}",
        "section 4.1",
        "gradient / standard deviation, median over the second half",
        "interval below 1",
        "fig2_toy_variance_relaxation",
        finding,
    )


def _second_half(rows):
    return rows.step >= rows.step.max() / 2


def relax_has_less_variance(tables):
    """RELAX against each other unbiased estimator, each on its own path, at every target."""
    table = tables.get("toy")
    targets = {HARD} if missing(table) else {HARD, *(float(t) for t in table.target.unique())}
    for target in sorted(targets):
        rows = _runs(tables, target)
        for other in with_others(rows, ("reinforce", "rebar"), NOT_A_RIVAL_IN_VARIANCE):
            finding = None
            if rows is not None:
                late = rows[_second_half(rows)]
                runs = late.groupby(["estimator", "seed"], as_index=False).exact_variance.median()
                runs["log"] = log(runs.exact_variance)
                gap = paired_interval(runs, "log", "relax", other)
                if gap is not None:
                    scale = run_scale(rows[rows.estimator == "relax"])
                    finding = judged(gap, scale, below=0)
            yield row(
                f"RELAX has less variance than {label(other)} on the toy, t = {target:g}",
                "section 4.1, figure 2",
                f"log of the median variance of the second half, RELAX minus {label(other)}",
                "interval below 0",
                "fig2_toy_variance_relaxation",
                finding,
            )


CLAIMS = [
    theta_at_the_end,
    rebar_no_faster_than_reinforce,
    rebar_signal_below_noise,
    relax_has_less_variance,
]
