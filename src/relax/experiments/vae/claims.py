"""Claims about the discrete VAE, judged from its training and variance tables."""

import numpy as np

from relax.errors import NonFiniteError
from relax.experiments.vae.selection import (
    as_tuned,
    chosen_on_other_seeds,
    first_passages,
    left_out,
    on_selected_path,
)
from relax.presentation.common import count, label
from relax.presentation.divergence import finite
from relax.presentation.intervals import interval, paired_interval, worst
from relax.presentation.judge import (
    HIGH,
    NOT_A_RIVAL_IN_VARIANCE,
    judged,
    log,
    missing,
    row,
    run_scale,
    with_others,
)

ELBO_RIVALS = ("reinforce", "nvil", "muprop", "concrete", "rebar")
# The surrogates of RELAX in the table `midtraining`, and how the claims call RELAX with them.
HALFWAY = {
    "relaxed cost + network": "RELAX added to REBAR's relaxation",
    "network": "RELAX's network alone",
}


def _problems(tables):
    """Every data set and model of the run; one without names where nothing was trained."""
    table = tables.get("training")
    if missing(table):
        return [(None, None)]
    return sorted(set(zip(table.dataset, table.model, strict=True)))


def _name(problem):
    return "the VAE" if problem[0] is None else f"the VAE ({problem[0]}, {problem[1]})"


def _of(table, problem):
    """The rows of one data set and model; None where there are none."""
    if missing(table):
        return None
    rows = table[(table.dataset == problem[0]) & (table.model == problem[1])]
    return None if rows.empty else rows


def _of_runs(tables, name, problem):
    """Of a table the rows of one problem at the learning rates `chosen_on_other_seeds`, without
    runs that diverged; None where there are none.
    """
    rows, training = _of(tables.get(name), problem), _of(tables.get("training"), problem)
    if rows is None or training is None:
        return None
    rows = finite(rows.merge(chosen_on_other_seeds(training)))
    return None if rows.empty else rows


def _gone(tables, problem, *names):
    """In words, for the scale, which runs of these estimators diverged: one text or none."""
    training = _of(tables.get("training"), problem)
    return list(filter(None, [left_out(training[training.estimator.isin(names)])]))


def _as_far_as_both(runs, name, other):
    """Rows of two estimators up to the last epoch that every run of both reached, or None.

    And whether that leaves rows out, as of runs that had not ended.
    """
    rows = None if runs is None else runs[runs.estimator.isin([name, other])]
    if rows is None or rows.estimator.nunique() < 2:
        return None, False
    both = rows[rows.epoch <= rows.groupby(["estimator", "seed"]).epoch.max().min()]
    return both, len(both) < len(rows)


def better_elbo(tables):
    """RELAX's ELBO against that of each competitor, and REBAR's against Concrete's.

    The best of many noisy evaluations is better than the model is, by more the noisier they are. So
    *validation* is judged on `best.csv`: the model that validated best, evaluated afresh with
    `bound_samples` samples an image. *Training* is the mean of the running mean over the last tenth
    of the epochs. Where there are several learning rates, each seed is judged at the one that did
    best on the other seeds; runs that diverged are no pair, and the scale counts them. Runs that
    had not ended are compared as far as both came, and only in training: of their kept models one
    has been trained for longer. Rule: the interval of the difference, paired by seed, is above
    zero.
    """
    for problem in _problems(tables):
        runs, best = (_of_runs(tables, name, problem) for name in ("training", "best"))
        rivals = with_others(runs, ELBO_RIVALS, ("exact", "relax"))
        pairs = [(kind, "relax", o) for kind in ("training", "validation") for o in rivals]
        for kind, name, other in [*pairs, ("training", "rebar", "concrete")]:
            finding, column = None, "train_elbo"
            both, cut = _as_far_as_both(runs, name, other)
            scores = None
            if kind == "validation":
                column, scores = "valid_elbo", None if both is None or cut else best
            elif both is not None:
                scores = both[both.epoch > 0.9 * both.epoch.max()]
                scores = scores.groupby(["estimator", "seed"], as_index=False)[column].mean()
            if scores is not None:
                gain = paired_interval(scores, column, name, other)
                if gain is not None:
                    gone = _gone(tables, problem, name, other)
                    finding = judged(gain, run_scale(both, *gone), above=0)
            what = "of the kept model, fresh" if kind == "validation" else "mean of the last tenth"
            yield row(
                f"{label(name)} has a better {kind} ELBO than {label(other)} on {_name(problem)}",
                "abstract, section 4.2" if name == "relax" else "section 2.3",
                f"{kind} ELBO in nats, {what}, {label(name)} minus {label(other)}",
                "interval above 0",
                "fig3_vae_training",
                finding,
            )


def faster_than_rebar(tables):
    """Epochs until a validation ELBO that every run of both reaches (`first_passages`).

    Rule: the interval of the difference, paired by seed, is below zero. A first passage is compared
    with a first passage of the same level, so two runs of one estimator differ by nothing in the
    mean. Rates as in `better_elbo`.
    """
    for problem in _problems(tables):
        runs, finding = _of_runs(tables, "training", problem), None
        if runs is not None:
            passages = first_passages(runs, "relax", "rebar")
            gap = paired_interval(passages, "epochs", "relax", "rebar")
            if gap is not None:
                gone = _gone(tables, problem, "relax", "rebar")
                scale = run_scale(runs[runs.estimator == "relax"], *gone)
                scale += f"; to {passages.level.iloc[0]:.2f} nats"
                finding = judged(gap, scale, below=0)
        yield row(
            f"RELAX reaches a validation ELBO that both reach in fewer epochs than REBAR "
            f"on {_name(problem)}",
            "published tables",
            "epochs to the best ELBO that every run of both reaches, RELAX minus REBAR",
            "interval below 0",
            "fig3_vae_training",
            finding,
        )


def _on_selected_path(tables, name, problem):
    """Rows of one table on the path of the selected rate; variances have their logarithm, `log`."""
    runs, training = _of(tables.get(name), problem), _of(tables.get("training"), problem)
    if runs is None or training is None:
        return None
    try:
        runs = on_selected_path(runs, training)
    except NonFiniteError:  # every run on whose path it was measured has diverged
        return None
    return runs.assign(log=log(runs.encoder_variance)) if "encoder_variance" in runs else runs


def _gap(runs, name, other, *more):
    """The difference in log-variance at each step given; the one nearest to failing is shown."""
    steps = runs.groupby("step")
    gap = worst((paired_interval(r, "log", name, other) for _, r in steps), lambda g: g.high)
    if gap is None:
        return None
    source = [f"on {label(t)}'s path" for t in runs.trajectory.unique()]
    return judged(gap, run_scale(runs, *source, *more), below=0)


def _how_flat(runs, *names):
    """In words, how many of these estimators' tunings reached the end that they were to."""
    flat = runs[runs.estimator.isin(names)].flat
    if flat.isna().any():
        return "tuned for a fixed number of updates"
    short = int((~flat.astype(bool)).sum())
    return f"{short} of {len(flat)} tunings not flat" if short else "tuned until flat"


def less_variance(tables):
    """RELAX against each other unbiased estimator, and REBAR against REINFORCE and Concrete.

    Same model, data and noise, every surrogate tuned there until it is flat (the scale says where
    one is not): at the last checkpoint, and for RELAX at all of them too. At the last checkpoint
    once more with the other choice for the direct term ∂f/∂θ: Concrete has no control variate to
    absorb it, so only without it is Concrete compared as like with like.
    """
    for problem in _problems(tables):
        runs = _on_selected_path(tables, "variance", problem)
        own = other_way = last = None
        words = "without the direct term"
        if runs is not None:
            runs = as_tuned(runs)
            trained = runs.get("direct_gradient", True)
            own, other_way = runs[runs.direct_term == trained], runs[runs.direct_term != trained]
            last = own[own.step == own.step.max()]
            if not np.all(trained):
                words = "with the direct term"
        rivals = with_others(runs, ("reinforce", "rebar"), NOT_A_RIVAL_IN_VARIANCE)
        when = {
            "last": ("the last checkpoint", last),
            "all": ("every checkpoint", own),
            "other": (f"the last checkpoint, {words}", other_way),
        }
        pairs = [("relax", other, which) for other in rivals for which in when]
        pairs += [("rebar", o, w) for o in ("reinforce", "concrete") for w in ("last", "other")]
        for name, other, which in pairs:
            words, rows = when[which]
            finding = None
            if rows is not None and not rows.empty:
                finding = _gap(rows, name, other, _how_flat(rows, name, other))
            statistic = f"log-variance, {label(name)} minus {label(other)}"
            yield row(
                f"{label(name)} has less variance than {label(other)} on {_name(problem)}, {words}",
                "abstract, section 4.2" if name == "relax" else "sections 1, 2.3",
                statistic + ("; worst checkpoint" if which == "all" else ""),
                "interval below 0" + (" at every checkpoint" if which == "all" else ""),
                "fig4_vae_variance",
                finding,
            )


def high_correlation(tables):
    """REBAR's control variate against the REINFORCE gradient that it corrects.

    At the best η the least variance is (1 - ρ²) times that of REINFORCE (docs/errata.md, equations
    2 and 3), so ρ² = 1 - Var(REBAR)/Var(REINFORCE), at the last checkpoint, over the encoder's
    parameters together. Rule: high is ρ² above `HIGH`: it explains more of the variance than not.
    """
    for problem in _problems(tables):
        runs, finding = _on_selected_path(tables, "variance", problem), None
        if runs is not None:
            runs = as_tuned(runs)
            runs = runs[runs.direct_term == runs.get("direct_gradient", True)]
            last = runs[runs.step == runs.step.max()]
            wide = last.pivot(index="seed", columns="estimator", values="encoder_variance")
            if {"rebar", "reinforce"} <= set(wide.columns):
                found = interval((1 - wide.rebar / wide.reinforce).dropna())
                if found is not None:
                    scale = run_scale(last, _how_flat(last, "rebar"))
                    finding = judged(found, scale, above=HIGH)
        yield row(
            "REBAR's control variate is highly correlated with the REINFORCE gradient "
            f"on {_name(problem)}",
            "section 2.3.2",
            "ρ² = 1 - variance of REBAR / variance of REINFORCE",
            f"interval above {HIGH:g}",
            "fig4_vae_variance",
            finding,
        )


def assumed_correlation(tables):
    """What REBAR assumes: that the cost at a relaxed input goes with the cost, halfway.

    Not of the gradients, which `high_correlation` is about, but of the costs: what the draft says
    was assumed (section 3), and what RELAX is there to do without. Rule: as there.
    """
    for problem in _problems(tables):
        shares, finding = _on_selected_path(tables, "assumptions", problem), None
        if shares is not None:
            own = shares[shares.estimator == "rebar"]
            found = interval(own.share)
            if found is not None:
                scale = f"{count(own.seed.nunique(), 'seed')}, on {label(own.trajectory.iloc[0])}'s"
                finding = judged(
                    found, f"{scale} path at step {own.checkpoint.max():,}", above=HIGH
                )
        yield row(
            "The cost at REBAR's relaxed input is highly correlated with the cost "
            f"on {_name(problem)}",
            "section 3 (assumed)",
            "ρ² of f(b) and f(σ(z/λ)) over the noise, mean over images",
            f"interval above {HIGH:g}",
            "tables/gradients.csv",
            finding,
        )


def less_variance_halfway(tables):
    """A VAE stopped halfway, its surrogates tuned there: the variance at the last tuning step.

    The statistic says after how many updates, and the scale by how much each log-variance still
    fell between the last two measurements: a network that is still falling is judged as it is then.
    """
    for problem in _problems(tables):
        runs = _on_selected_path(tables, "midtraining", problem)
        for surrogate, words in HALFWAY.items():
            finding, when = None, "tuning"
            if runs is not None:
                pair = runs[(runs.estimator == "rebar") | (runs.surrogate == surrogate)]
                last = pair[pair.step == pair.step.max()]
                when = count(int(last.step.max()), "update")
                finding = _gap(last, "relax", "rebar", _still_falling(pair))
            yield row(
                f"Stopped halfway and tuned, {words} has less variance than REBAR "
                f"on {_name(problem)}",
                "section 4 (planned)",
                f"log-variance after {when}, {words} minus REBAR",
                "interval below 0",
                "fig5_vae_midtraining",
                finding,
            )


def _still_falling(pair):
    """By how much the mean log-variance of each fell between the last two measurements."""
    level = pair.groupby(["estimator", "step"])["log"].mean().unstack("step").sort_index(axis=1)
    if level.shape[1] < 2:
        return "measured once"
    fall = level.iloc[:, -2] - level.iloc[:, -1]
    falls = ", ".join(f"{label(name)} {value:.3f}" for name, value in fall.items())
    return f"fall over the last {level.columns[-1] - level.columns[-2]:,} updates: {falls}"


CLAIMS = [
    better_elbo,
    faster_than_rebar,
    less_variance,
    high_correlation,
    assumed_correlation,
    less_variance_halfway,
]
