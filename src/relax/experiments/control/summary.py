"""Summary of reinforcement learning: how soon a task is solved, beside the published numbers."""

import numpy as np
import pandas as pd

from relax.errors import NonFiniteError
from relax.presentation import divergence
from relax.presentation.common import count, in_registry_order, label, log_variance
from relax.presentation.divergence import fates, finite, has_diverged, preferred
from relax.presentation.published import EPISODES_TO_SOLVE

WINDOW = 100  # episodes: a task is solved where their mean reward is above its threshold
RATES = ["learning_rate", "surrogate_learning_rate"]
RUN = ["environment", "task", "estimator"]
SOLVING = ["solved_seeds", "episodes_to_solve", "episodes_to_solve_se"]
SOLVING += ["frames_to_solve", "frames_to_solve_se"]


def select_rates(training):
    """For each task and estimator, the rows of the pair of rates that counts, but diverged runs.

    It is the one with the most reward: the mean reward an episode, weighted by its frames, which is
    the area under the curve of reward against frames; its mean over seeds. Pairs at which fewer
    seeds diverged come first. An estimator whose runs all diverged has no rows.

    Raises:
        NonFiniteError: every run diverged.
    """
    keys = [*RUN, *RATES]
    weighted = training.assign(frames=frames_of(training), gone=has_diverged(training))
    weighted["weighted"] = weighted.reward * weighted.frames
    sums = weighted.groupby([*keys, "seed"]).agg(
        weighted=("weighted", "sum"), frames=("frames", "sum"), gone=("gone", "any")
    )
    areas = (sums.weighted / sums.frames).mask(sums.gone)
    chosen = []
    for run, own in areas.groupby(RUN):
        rates = preferred(own.droplevel(RUN).unstack("seed"))
        if rates is not None:
            chosen.append((*run, *rates))
    if not chosen:
        raise NonFiniteError(f"no run of a policy is left to show ({left_out(training)})")
    weighted = weighted.drop(columns=["weighted", "gone"])
    return finite(weighted.set_index(keys).loc[chosen].reset_index())


def left_out(training):
    """In words, how many runs diverged at which learning rates; "" where none did."""
    return divergence.left_out(training, RUN, RATES)


def frames_of(training):
    """Frames of each episode."""
    before = training.groupby([*RUN, *RATES, "seed"]).frame.shift(fill_value=0)
    return training.frame - before


def solved_at(training):
    """When each run solves its task: the end of the first `WINDOW` episodes good enough.

    Returns:
        Columns environment, task, estimator, seed, episodes and frames (until then; NaN for a run
        that never does), lived and lived_frames (its episodes and frames in all).
    """
    rows = []
    for keys, run in training.groupby([*RUN, "seed"]):
        mean = run.reward.rolling(WINDOW).mean()
        good = run[mean > run.solved]
        first = (good.episode.iloc[0], good.frame.iloc[0]) if len(good) else (np.nan, np.nan)
        rows.append((*keys, *first, run.episode.max(), run.frame.max()))
    columns = ["episodes", "frames", "lived", "lived_frames"]
    return pd.DataFrame(rows, columns=[*RUN, "seed", *columns])


def followed_alike(solved):
    """`solved_at`'s rows with every run of a task followed equally long.

    Runs have equal frames, hence unequal numbers of episodes: how long one is followed depends on
    how it fares, which no method for censored times allows. So all are cut at the horizon, the last
    episode that every run of the task lived: whether a run solved the task by then, and when, is
    known of each, and the mean of the times up to it (the restricted mean) needs no estimate of a
    tail. Where all runs solve the task before the horizon it is the plain mean.

    Added columns: horizon, time (episodes until solved, or the horizon), seen (whether solved by
    then); frame_time, the same in frames.
    """
    tasks = solved.groupby(RUN[:2])
    horizon, most = tasks.lived.transform("min"), tasks.lived_frames.transform("min")
    return solved.assign(
        horizon=horizon,
        time=solved.episodes.fillna(np.inf).clip(upper=horizon),
        seen=solved.episodes <= horizon,
        frame_time=solved.frames.fillna(np.inf).clip(upper=most),
    )


def run_log_variance(training):
    """Mean of each run's log-variances: columns environment, task, estimator, seed, log."""
    measured = training[training.gradient_variance.notna()]
    measured = measured.assign(log=log_variance(measured.gradient_variance))
    return measured.groupby([*RUN, "seed"], as_index=False)["log"].mean()


def summarise(policies):
    """When each task is solved, mean and standard error over seeds (columns `_se`).

    Args:
        policies: rows of `results/rl/**/training.csv`, with the column `solved`, the mean reward
            of 100 episodes above which the task counts as solved (NaN: nothing is to be solved, and
            what is said of solving it is empty); of each estimator the pair of learning rates with
            the most reward counts.

    Columns: environment, task, estimator, learning_rate, surrogate_learning_rate, noise, seeds,
    frames (that each seed trained for, at least), episodes (mean); solved_seeds: how many seeds
    solve the task within the horizon, the last episode that every run of the task lived;
    episodes_to_solve and frames_to_solve: restricted means over all seeds, a seed that has not
    solved it counting as the horizon (`followed_alike`); final_reward: mean over the last 100
    episodes; log_variance: of the policy gradient, mean over the run's measurements;
    published_episodes_to_solve, published_se; runs, diverged: how many there are of all rates and
    seeds, and how many of them diverged: the other columns are of those that did not.

    Raises:
        NonFiniteError: every run diverged.
    """
    training = select_rates(policies)
    keys = [*RUN, *RATES, "noise"]
    last = training.groupby([*keys, "seed"]).tail(WINDOW)
    solved = followed_alike(solved_at(training)).groupby(RUN, as_index=False)
    log = run_log_variance(training).groupby(RUN, as_index=False)
    frames = training.groupby([*keys, "seed"], as_index=False).agg(
        frames=("frame", "max"), episodes=("episode", "max")
    )
    reward = last.groupby([*keys, "seed"], as_index=False).reward.mean()
    rows = frames.groupby(keys, as_index=False).agg(
        seeds=("seed", "nunique"), frames=("frames", "min"), episodes=("episodes", "mean")
    )
    rows = rows.merge(
        solved.agg(
            horizon=("horizon", "first"),
            solved_seeds=("seen", "sum"),
            episodes_to_solve=("time", "mean"),
            episodes_to_solve_se=("time", "sem"),
            frames_to_solve=("frame_time", "mean"),
            frames_to_solve_se=("frame_time", "sem"),
        ),
        on=RUN,
    )
    rows = rows.merge(
        reward.groupby(keys, as_index=False).agg(
            final_reward=("reward", "mean"), final_reward_se=("reward", "sem")
        ),
        on=keys,
    )
    rows = rows.merge(
        log.agg(log_variance=("log", "mean"), log_variance_se=("log", "sem")), on=RUN, how="left"
    )
    bars = training.groupby(RUN).solved.first()
    nothing_to_solve = rows.set_index(RUN).index.isin(bars[bars.isna()].index)
    rows.loc[nothing_to_solve, SOLVING] = np.nan
    pairs = [published(row.environment, row.estimator) for row in rows.itertuples()]
    rows["published_episodes_to_solve"] = [mean for mean, _ in pairs]
    rows["published_se"] = [error for _, error in pairs]
    rows = rows.merge(fates(policies, RUN, RATES), on=RUN, how="right")
    whole = ["seeds", "frames", "horizon", "solved_seeds"]  # also where some are empty
    rows[whole] = rows[whole].astype("Int64")
    return in_registry_order(rows, *RUN)


def published(environment, estimator):
    """Episodes to solve as published, and their standard error; NaN where there are none."""
    return EPISODES_TO_SOLVE.get((environment.split("-")[0], estimator), (np.nan, np.nan))


def for_people(table):
    """`summarise`'s table with few and short columns, as text, for Markdown."""
    rows = list(table.itertuples())
    gone = [getattr(row, "diverged", 0) for row in rows]  # older tables have none

    def mean_se(mean, error, digits=0):
        if pd.isna(mean):
            return ""
        return f"{mean:,.{digits}f}" + ("" if pd.isna(error) else f" ± {error:,.{digits}f}")

    def at_least(row):
        missing = pd.isna([row.episodes_to_solve, row.solved_seeds]).any()
        if missing or row.solved_seeds == row.seeds:
            return ""
        return "≥ "  # a restricted mean bounds the mean

    return pd.DataFrame(
        {
            "environment": table.environment,
            "estimator": [label(row.estimator) for row in rows],
            "rates": [
                f"{r.learning_rate:g}, {r.surrogate_learning_rate:g}"
                if pd.notna(r.learning_rate)
                else ""
                for r in rows
            ],
            "solved": [
                # Tables that were written down by hand may not say how many.
                ""
                if pd.isna([r.seeds, r.solved_seeds]).any()
                else f"{int(r.solved_seeds)} of {_seeds(r)}"
                for r in rows
            ],
            "episodes to solve": [
                at_least(row) + mean_se(row.episodes_to_solve, row.episodes_to_solve_se)
                for row in rows
            ],
            "published": [
                mean_se(row.published_episodes_to_solve, row.published_se) for row in rows
            ],
            "frames to solve": [
                at_least(r) + mean_se(r.frames_to_solve, r.frames_to_solve_se) for r in rows
            ],
            "final reward": [mean_se(r.final_reward, r.final_reward_se, 1) for r in rows],
            "log-variance": [mean_se(r.log_variance, r.log_variance_se, 2) for r in rows],
            "scale": [
                "; ".join(
                    ([] if pd.isna(r.seeds) else [f"{_seeds(r)}, {int(r.frames):,} frames"])
                    + ([f"{lost} of {count(r.runs, 'run')} diverged"] if lost else [])
                )
                for r, lost in zip(rows, gone, strict=True)
            ],
        }
    )


def _seeds(row):
    return count(int(row.seeds), "seed")
