"""Claims about reinforcement learning, judged from the training tables of the policies."""

from relax.experiments.control.summary import run_log_variance, select_rates, solved_at
from relax.presentation.common import count, label
from relax.presentation.intervals import interval, paired_interval
from relax.presentation.judge import judged, missing, row

RIVAL = "a2c"
OURS = ("relax", "lax")  # for discrete and for continuous actions
ENVIRONMENTS = {"CartPole": "relax", "LunarLander": "relax", "InvertedPendulum": "lax"}


def _problems(tables):
    """Each environment with its estimator: the published ones, and whatever else was run."""
    table, found = tables.get("policies"), {}
    if not missing(table):
        for environment, estimators in table.groupby("environment").estimator.unique().items():
            ours = [name for name in OURS if name in estimators]
            found |= {(environment, name): table[table.environment == environment] for name in ours}
    run = {environment.split("-")[0] for environment, _ in found}
    absent = {(name, ours): None for name, ours in ENVIRONMENTS.items() if name not in run}
    return (found | absent).items()


def _scale(runs):
    frames = int(runs.groupby(["estimator", "seed"]).frame.max().min())
    return f"{count(runs.seed.nunique(), 'seed')}, {frames:,} frames"


def fewer_episodes(tables):
    """Episodes until solved, seed by seed.

    A rival that never solves the task counts with the episodes it had, which can only make the
    verdict stricter; where a run of ours never does, the claim is not reproduced.
    """
    for (environment, ours), runs in _problems(tables):
        finding = None
        if runs is not None and RIVAL in set(runs.estimator):
            runs = select_rates(runs[runs.estimator.isin([ours, RIVAL])])
            at = solved_at(runs).set_index("seed")
            own, other = at[at.estimator == ours], at[at.estimator == RIVAL]
            gap = interval(own.episodes - other.episodes.fillna(other.lived))
            reached = own.episodes.notna().sum()
            if gap is not None:
                scale = f"{_scale(runs)}; {reached} of {count(len(own), 'seed')} solve it"
                finding = judged(gap, scale, gap.high < 0)
        yield row(
            f"{label(ours)} solves {environment} in fewer episodes than {label(RIVAL)}",
            "section 5 (planned)",
            f"episodes until solved, {label(ours)} minus {label(RIVAL)}",
            "every run solves it, and the interval is below 0",
            "fig11_rl",
            finding,
        )


def less_variance(tables):
    """The policy gradient's log-variance, each estimator on its own path."""
    for (environment, ours), runs in _problems(tables):
        finding = None
        if runs is not None:
            runs = select_rates(runs[runs.estimator.isin([ours, RIVAL])])
            gap = paired_interval(run_log_variance(runs), "log", ours, RIVAL)
            if gap is not None:
                finding = judged(gap, f"{_scale(runs)}, own paths", gap.high < 0)
        yield row(
            f"The policy gradient of {label(ours)} has less variance than that of {label(RIVAL)} "
            f"on {environment}",
            "section 5 (planned)",
            f"log-variance, mean over the training, {label(ours)} minus {label(RIVAL)}",
            "interval below 0",
            "fig11_rl",
            finding,
        )


CLAIMS = [fewer_episodes, less_variance]
