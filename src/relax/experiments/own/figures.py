"""The figure of the user's own problem."""

from relax.presentation.common import count, log_variance
from relax.presentation.style import draw_band, finish, new_figure, ordered


def fig_own(training):
    """Loss and log-variance against evaluations of f.

    Args:
        training: rows of `results/own/*/seeds*.csv`.
    """
    figure, axes = new_figure(1, 2, row_height=3.0)
    runs = training.assign(measured=log_variance(training.gradient_variance))
    handles = []
    for name in ordered(runs.estimator):
        own = runs[runs.estimator == name]
        handles.append(draw_band(axes[0, 0], own, "loss", name, x="evaluations"))
        if name != "exact":  # its variance is zero
            draw_band(axes[0, 1], own, "measured", name, x="evaluations")
    # The exact gradient may take more of them than the budget is.
    within = runs[runs.estimator != "exact"]
    most = (runs if within.empty else within).evaluations.max()
    for panel in axes[0]:
        panel.set(xlabel="evaluations of $f$, each seed", xlim=(0, most))
        panel.xaxis.set_major_formatter("{x:,.0f}")
        panel.locator_params(axis="x", nbins=5)
    axes[0, 0].set(ylabel="expected cost $E[f(b)]$", title="loss")
    axes[0, 1].set(ylabel="log-variance (natural log)", title="gradient variance of one estimate")
    first = training.iloc[0]
    title = (
        f"{first.function} of {first.file}: training (lines: median over seeds; bands: quartiles)"
    )
    scale = f"{count(training.seed.nunique(), 'seed')}, one estimate a step, {first.noise} noise"
    return finish(figure, title, handles, scale)
