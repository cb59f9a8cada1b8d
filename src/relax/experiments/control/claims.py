"""Claims about reinforcement learning, judged from the training tables of the policies."""

from relax.errors import NonFiniteError
from relax.experiments.control.summary import (
    followed_alike,
    left_out,
    run_log_variance,
    select_rates,
    solved_at,
)
from relax.presentation.common import count, label
from relax.presentation.intervals import LEVEL, paired_interval
from relax.presentation.judge import judged, missing, row

RIVAL = "a2c"
OURS = ("relax", "lax")  # for discrete and for continuous actions
ENVIRONMENTS = {"CartPole": "relax", "LunarLander": "relax", "InvertedPendulum": "lax"}
# The draft names reinforcement learning as an option; the rival is the published version's.
WHERE = "section 4 (named, not carried out)"


def _problems(tables):
    """Each task with its estimator: the published ones, and whatever else was run.

    A list of (name, estimator, rows); two tasks of one environment are two problems.
    """
    table, found = tables.get("policies"), []
    if not missing(table):
        tasks = table.groupby("environment").task.nunique()
        for (environment, task), runs in table.groupby(["environment", "task"]):
            name = environment.split("-")[0] + (f" ({task})" if tasks[environment] > 1 else "")
            found += [(name, ours, runs) for ours in OURS if ours in set(runs.estimator)]
    run = {name.split(" ")[0] for name, _, _ in found}
    return found + [(name, ours, None) for name, ours in ENVIRONMENTS.items() if name not in run]


def _scale(runs):
    frames = int(runs.groupby(["estimator", "seed"]).frame.max().min())
    return f"{count(runs.seed.nunique(), 'seed')}, {frames:,} frames"


def _selected(runs, ours):
    """The rows of two estimators that count, or None, and which diverged, for the scale."""
    runs = runs[runs.estimator.isin([ours, RIVAL])]
    try:
        return select_rates(runs), "".join(f"; {gone}" for gone in [left_out(runs)] if gone)
    except NonFiniteError:
        return None, ""


def fewer_episodes(tables):
    """Episodes until solved: a comparison of times of which some are censored.

    Rule: the log-rank test of the two estimators' times rejects at 5%, and the restricted mean of
    ours is the lower one. Every run is followed to the same episode, the last that all runs of the
    task lived (`summary.followed_alike`): a run that has not solved the task by then is censored
    there. The log-rank test (Mantel, 1966; `scipy.stats.logrank`) uses the order of the times and
    who was still at risk, so a run that never ends counts the same wherever it is cut off; a t
    interval over times cut off at a limit does not do that, since the limit hides their spread. The
    row shows the difference of the restricted means with its t interval, and its scale the p-value.
    A task that has no threshold cannot be solved: nothing is tested.
    """
    for name, ours, runs in _problems(tables):
        finding = None
        solvable = runs is not None and runs.solved.notna().all()
        if solvable and RIVAL in set(runs.estimator):
            runs, gone = _selected(runs, ours)
            at = None if runs is None else followed_alike(solved_at(runs))
            gap = None if runs is None else paired_interval(at, "time", ours, RIVAL)
            if gap is not None:
                p = _logrank(*(at[at.estimator == each] for each in (ours, RIVAL)))
                solved = " and ".join(
                    f"{at[at.estimator == each].seen.sum()} of "
                    f"{count((at.estimator == each).sum(), 'seed')} of {label(each)}"
                    for each in (ours, RIVAL)
                )
                scale = f"{_scale(runs)}{gone}; followed for {at.horizon.iloc[0]:,} episodes, in "
                scale += f"which {solved} solve it; log-rank p = {p:.2g}"
                finding = judged(gap, scale, gap.mean < 0 and p < 1 - LEVEL, below=0)
        yield row(
            f"{label(ours)} solves {name} in fewer episodes than {label(RIVAL)}",
            WHERE,
            f"restricted mean of the episodes until solved, {label(ours)} minus {label(RIVAL)}",
            f"below 0, and the log-rank test rejects at {1 - LEVEL:.0%}",
            "fig11_rl",
            finding,
        )


def _logrank(own, other):
    """The two-sided p-value; 1 where nobody solves anything, which tells nothing apart."""
    if not (own.seen.any() or other.seen.any()):
        return 1.0
    from scipy.stats import CensoredData, logrank  # on use: slow to import

    def censored(runs):
        return CensoredData(uncensored=runs.time[runs.seen], right=runs.time[~runs.seen])

    return float(logrank(censored(own), censored(other)).pvalue)


def less_variance(tables):
    """The policy gradient's log-variance, each estimator on its own path.

    Rule: the interval of the difference in each run's mean log-variance, paired by seed, is below
    zero. The mean of logarithms is a run's typical level: variances of one run differ by factors.
    """
    for name, ours, runs in _problems(tables):
        finding = None
        if runs is not None:
            runs, gone = _selected(runs, ours)
            log = None if runs is None else run_log_variance(runs)
            gap = None if runs is None else paired_interval(log, "log", ours, RIVAL)
            if gap is not None:
                finding = judged(gap, f"{_scale(runs)}, own paths{gone}", below=0)
        yield row(
            f"The policy gradient of {label(ours)} has less variance than that of {label(RIVAL)} "
            f"on {name}",
            WHERE,
            f"log-variance, mean over the training, {label(ours)} minus {label(RIVAL)}",
            "interval below 0",
            "fig11_rl",
            finding,
        )


CLAIMS = [fewer_episodes, less_variance]
