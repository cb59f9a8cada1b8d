"""Figures of reinforcement learning."""

import numpy as np
from matplotlib.patches import Rectangle

from relax.experiments.control.summary import frames_of, left_out, select_rates
from relax.presentation.common import count, log_variance
from relax.presentation.style import draw_band, estimator_look, finish, new_figure, ordered
from relax.runs.environments import DRAWN

BINS = 50  # of the frames, within which a seed's episodes are averaged
SNAPSHOTS = 9
MEAN = {"x": "x", "centre": "mean", "band": "quartiles"}


def _rewards(runs):
    """Reward against frames: each seed's mean over the episodes that end in a bin.

    The budget of frames, the least that any run has, is cut into `BINS`; what comes after is left
    out. An episode of many frames counts as many times.
    """
    budget = runs.groupby(["estimator", "seed"]).frame.max().min()
    runs = runs.assign(weight=frames_of(runs))[runs.frame <= budget]
    edges = np.ceil(runs.frame * BINS / budget) / BINS * budget
    runs = runs.assign(x=edges, sum=runs.reward * runs.weight)
    sums = runs.groupby(["estimator", "seed", "x"])[["sum", "weight"]].sum()
    return (sums["sum"] / sums.weight).rename("value").reset_index()


def _variances(runs):
    """Log-variance against frames: where every seed was measured, at their mean of frames then.

    As of the rewards, what comes after the least frames that any run has is left out.
    """
    budget = runs.groupby(["estimator", "seed"]).frame.max().min()
    runs = runs[runs.gradient_variance.notna()]
    runs = runs.assign(value=log_variance(runs.gradient_variance))
    at = runs.groupby(["estimator", "update"]).agg(x=("frame", "mean"), seeds=("seed", "count"))
    every = runs.groupby("estimator").seed.nunique().reindex(at.index, level="estimator")
    at = at[(at.seeds == every) & (at.x <= budget)]
    return runs.merge(at, on=["estimator", "update"])


def fig11_rl(policies):
    """Reward (top) and log-variance of the policy gradient (bottom) against frames.

    Args:
        policies: rows of `results/rl/**/training.csv`; of each estimator the pair of learning rates
            with the most reward is shown; and `solved`, the mean reward of 100 episodes above which
            the task counts as solved.
    """
    gone, policies = left_out(policies), select_rates(policies)
    tasks = policies.task.unique()
    figure, axes = new_figure(2, len(tasks), max(3.6 * len(tasks), 7.0), 2.1, sharex="col")
    handles, scales, goals = {}, [], []
    for column, task in enumerate(tasks):
        upper, lower = axes[:, column]
        runs = policies[policies.task == task]
        solved = runs.solved.iloc[0]
        if np.isfinite(solved):
            goal = upper.axhline(solved, color="#777777", linewidth=0.8, dashes=(4, 3), zorder=1)
            goal.set_label("solved: mean of 100 episodes above this")
            goals = [goal]
        for name, rows in _rewards(runs).groupby("estimator"):
            handles[name] = draw_band(upper, rows, "value", name, **MEAN)
        for name, rows in _variances(runs).groupby("estimator"):
            draw_band(lower, rows, "value", name, marker=".", markersize=4, **MEAN)
        upper.set_title(f"{task} ({runs.environment.iloc[0]})")
        lower.set_xlabel("frames")
        lower.xaxis.set_major_formatter(_short)
        frames = int(runs.groupby(["estimator", "seed"]).frame.max().min())
        scales.append(f"{task}: {count(runs.seed.nunique(), 'seed')}, {frames:,} frames")
    axes[0, 0].set_ylabel("reward of an episode")
    axes[1, 0].set_ylabel("log-variance (natural log)")
    title = (
        "Reinforcement learning: reward, and variance of the policy gradient\n"
        "(mean over seeds; bands: quartiles)"
    )
    order = [handles[name] for name in ordered(handles)]
    scale = "\n".join(filter(None, ["; ".join(scales), gone]))
    return finish(figure, title, [*order, *goals], scale)


def _short(frames, _):
    """As "0", "100k", "1.5M"."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if frames >= size:
            return f"{frames / size:g}{unit}"
    return f"{frames:g}"


def fig13_cartpole(policies, shown):
    """Trained policies at work: an episode of each estimator's first seed, in snapshots.

    A strip a task and estimator.

    Args:
        policies: rows of `results/rl/**/training.csv` of the CartPole tasks; choose the rates.
        shown: rows of `results/rl/**/shown.csv` of the same runs.
    """
    # Packed runs may be of other tasks too.
    policies, shown = (t[t.environment.str.startswith(DRAWN)] for t in (policies, shown))
    keys = ["task", "estimator", "learning_rate", "surrogate_learning_rate"]
    chosen = select_rates(policies)[keys].drop_duplicates()
    shown = shown.merge(chosen, on=keys)
    strip = ["task", "estimator"]
    shown = shown[shown.seed == shown.groupby(strip).seed.transform("min")]
    seed = " or ".join(str(seed) for seed in sorted(shown.seed.unique()))
    tasks, names = shown.task.unique(), ordered(shown.estimator)
    there = set(shown[strip].itertuples(index=False, name=None))
    strips = [(task, name) for task in tasks for name in names if (task, name) in there]
    figure, axes = new_figure(len(strips), SNAPSHOTS, 9.0, 0.75)
    for row, (task, name) in zip(axes, strips, strict=True):
        episode = shown[(shown.task == task) & (shown.estimator == name)].sort_values("step")
        places = np.linspace(0, len(episode) - 1, SNAPSHOTS).round().astype(int)
        for panel, (_, frame) in zip(row, episode.iloc[places].iterrows(), strict=True):
            _draw_cartpole(panel, frame.observation_0, frame.observation_2, name)
            panel.set_title(f"step {frame.step:.0f}", fontsize=7, pad=2)
        label = estimator_look(name)["label"]
        label = f"{task}\n{label}" if len(tasks) > 1 else label
        row[0].set_ylabel(f"{label}\n{count(len(episode), 'step')}", fontsize=8)
    frames = int(policies.groupby(["estimator", "seed"]).frame.max().min())
    figure.suptitle("CartPole: an episode of a trained policy, from left to right", fontsize=10)
    figure.supxlabel(
        f"seed {seed}, after {frames:,} frames of training; the track ends at ±2.4, and a pole at "
        f"12° (grey) counts as fallen",
        fontsize=8,
        color="#444444",
    )
    return figure


def _draw_cartpole(axes, position, angle, name):
    """A cart at `position` (in units of the track) with its pole at `angle` (in radians)."""
    colour = estimator_look(name)["color"]
    for limit in (-np.deg2rad(12), np.deg2rad(12)):
        x = position + 1.6 * np.sin(limit)
        axes.plot([position, x], [0.2, 0.2 + 1.6 * np.cos(limit)], color="#CCCCCC", linewidth=0.7)
    axes.plot([-2.4, 2.4], [0, 0], color="#444444", linewidth=0.8)
    axes.add_patch(Rectangle((position - 0.4, 0), 0.8, 0.3, facecolor="#444444"))
    tip = (position + 1.6 * np.sin(angle), 0.2 + 1.6 * np.cos(angle))
    axes.plot([position, tip[0]], [0.2, tip[1]], color=colour, linewidth=2.6)
    axes.set(xlim=(-2.6, 2.6), ylim=(-0.15, 2.05), xticks=[], yticks=[], aspect="equal")
    axes.spines[:].set_visible(False)
