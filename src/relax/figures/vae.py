"""Figures of the discrete VAE."""

from matplotlib.lines import Line2D

from relax.figures.style import count, draw_band, finish, new_figure, ordered
from relax.registry import REGISTRY
from relax.summaries import log_variance, select_learning_rate


def _scale(table):
    rates = ", ".join(f"{rate:g}" for rate in sorted(table.learning_rate.unique()))
    return (
        f"{', '.join(sorted(table.dataset.unique()))}; {count(table.seed.nunique(), 'seed')}, "
        f"{count(table.step.max(), 'iteration')}, learning rate {rates}, "
        f"{' and '.join(sorted(table.noise.unique()))} noise"
    )


def _panels(table, row_height=3.0):
    groups = list(table.groupby(["dataset", "model"], sort=True))
    columns = min(len(groups), 3)
    rows = -(-len(groups) // columns)
    figure, axes = new_figure(rows, columns, width=max(6.0, 3.2 * columns), row_height=row_height)
    for spare in axes.flat[len(groups) :]:
        spare.set_visible(False)
    return figure, list(zip(axes.flat, groups, strict=False))


def fig3_vae_training(training):
    """Train and validation ELBO against epoch, a panel a data set and model.

    Args:
        training: rows of `results/vae/**/training.csv`; the learning rate with the best
            validation ELBO is shown for each estimator.
    """
    training = select_learning_rate(training)
    figure, panels = _panels(training)
    for axes, ((dataset, model), runs) in panels:
        handles = []
        for name in ordered(runs.estimator):
            rows = runs[runs.estimator == name]
            handles.append(draw_band(axes, rows, "train_elbo", name, "epoch", "mean"))
            draw_band(axes, rows, "valid_elbo", name, "epoch", "mean", linewidth=0.8, alpha=0.9)
        # The first epochs are far below the rest: the axis begins where curves can be told apart.
        late = runs[runs.epoch >= 0.04 * runs.epoch.max()]
        elbos = ["train_elbo", "valid_elbo"]  # the first is empty before a whole epoch is done
        low, high = late[elbos].min().min(), runs[elbos].max().max()
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
        axes.set(xlabel="epoch", ylabel="ELBO (nats an image)", title=f"{dataset}, {model}")
        axes.set_xlim(0, runs.epoch.max())
    handles.append(Line2D([], [], color="#444444", linewidth=0.7, label="thin: validation"))
    title = "Discrete VAE: training and validation ELBO (mean over seeds; bands: range)"
    return finish(figure, title, handles, _scale(training))


def fig4_vae_variance(training, variance):
    """Log-variance of the encoder's gradient against step, every estimator at the same checkpoints.

    Below it, for the unbiased estimators within a factor e of the trajectory's own, the difference
    to that one: seed by seed, since all share model, data and noise.

    Args:
        training: rows of `results/vae/**/training.csv`; chooses the trajectory's learning rate.
        variance: rows of `results/vae/**/variance.csv`.
    """
    chosen = select_learning_rate(training)[["dataset", "model", "estimator", "learning_rate"]]
    chosen = chosen.drop_duplicates().rename(columns={"estimator": "trajectory"})
    variance = variance.merge(chosen, on=["dataset", "model", "trajectory", "learning_rate"])
    variance = variance.assign(log=log_variance(variance.encoder_variance))
    (trajectory,) = variance.trajectory.unique()
    pairs = ["dataset", "model", "seed", "step"]
    own = variance[variance.estimator == trajectory].set_index(pairs).log
    variance["difference"] = variance.log - own.reindex(variance.set_index(pairs).index).to_numpy()

    groups = list(variance.groupby(["dataset", "model"], sort=True))
    figure, axes = new_figure(2, len(groups), width=max(6.0, 3.2 * len(groups)), row_height=2.3)
    label = REGISTRY[trajectory].label
    for (upper, lower), ((dataset, model), runs) in zip(axes.T, groups, strict=True):
        handles = [
            draw_band(upper, runs[runs.estimator == name], "log", name, centre="mean", marker="o")
            for name in ordered(runs.estimator)
        ]
        near = runs.groupby("estimator").difference.apply(lambda d: d.abs().median() < 1)
        for name in ordered(name for name in near.index[near] if REGISTRY[name].unbiased):
            rows = runs[runs.estimator == name]
            draw_band(lower, rows, "difference", name, centre="mean", marker="o")
        upper.set(ylabel="log-variance (natural log)", title=f"{dataset}, {model}")
        lower.set(xlabel="training step", ylabel=f"difference to {label}")
        for panel in (upper, lower):
            panel.xaxis.set_major_formatter("{x:,.0f}")
    title = (
        f"Discrete VAE: variance of the encoder's gradient at the same checkpoints\n"
        f"(of training with {label}; mean over seeds; bands: range)"
    )
    return finish(figure, title, handles, _scale(variance))
