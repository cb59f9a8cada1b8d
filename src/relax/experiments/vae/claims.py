"""Claims about the discrete VAE, judged from its training and variance tables."""

from relax.experiments.vae.selection import epochs_to_rebar, on_selected_path, select_learning_rate
from relax.presentation.common import count, label
from relax.presentation.intervals import interval, paired_interval, worst
from relax.presentation.judge import (
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


def better_elbo(tables):
    """RELAX's highest ELBO against that of each competitor, and REBAR's against Concrete's."""
    for problem in _problems(tables):
        runs = _of(tables.get("training"), problem)
        runs = None if runs is None else select_learning_rate(runs)
        rivals = with_others(runs, ELBO_RIVALS, ("exact", "relax"))
        pairs = [(column, "relax", o) for column in ("train_elbo", "valid_elbo") for o in rivals]
        for column, name, other in [*pairs, ("train_elbo", "rebar", "concrete")]:
            finding = None
            if runs is not None:
                best = runs.groupby(["estimator", "seed"], as_index=False)[column].max()
                gain = paired_interval(best, column, name, other)
                if gain is not None:
                    scale = run_scale(runs[runs.estimator.isin([name, other])])
                    finding = judged(gain, scale, above=0)
            kind = {"train_elbo": "training", "valid_elbo": "validation"}[column]
            yield row(
                f"{label(name)} has a better {kind} ELBO than {label(other)} on {_name(problem)}",
                "abstract, section 4.2" if name == "relax" else "section 2.3",
                f"best {kind} ELBO in nats, {label(name)} minus {label(other)}",
                "interval above 0",
                "fig3_vae_training",
                finding,
            )


def faster_than_rebar(tables):
    """Epochs until the validation ELBO is the best of REBAR's run with the same seed.

    REBAR's own are the epochs to its best. Where a run of RELAX never gets there, there is no mean
    to take (its epochs are NaN, and so are the mean and its interval): the claim is not reproduced,
    the row has no number, and its scale says how many runs get there.
    """
    for problem in _problems(tables):
        runs = _of(tables.get("training"), problem)
        finding = None
        if runs is not None:
            runs = select_learning_rate(runs)
            epochs = epochs_to_rebar(runs).set_index("seed")
            relax, rebar = (epochs[epochs.estimator == n].epochs for n in ("relax", "rebar"))
            gap = interval(relax - rebar[relax.index])
            reached = relax.notna().sum()
            if gap is not None:
                scale = run_scale(runs[runs.estimator == "relax"])
                scale += f"; {reached} of {count(len(relax), 'seed')} get there"
                finding = judged(gap, scale, below=0)
        yield row(
            f"RELAX reaches REBAR's best validation ELBO in fewer epochs than REBAR "
            f"on {_name(problem)}",
            "published tables",
            "epochs to it, RELAX minus REBAR",
            "every run gets there, and the interval is below 0",
            "fig3_vae_training",
            finding,
        )


def _on_selected_path(tables, name, problem):
    """Log-variances of one table, on the path of the trajectory's selected learning rate."""
    runs, training = _of(tables.get(name), problem), _of(tables.get("training"), problem)
    if runs is None or training is None:
        return None
    runs = on_selected_path(runs, training)
    return None if runs.empty else runs.assign(log=log(runs.encoder_variance))


def _gap(runs, name, other):
    """The difference in log-variance at each step given; the one nearest to failing is shown."""
    steps = runs.groupby("step")
    gap = worst((paired_interval(r, "log", name, other) for _, r in steps), lambda g: g.high)
    if gap is None:
        return None
    source = [f"on {label(t)}'s path" for t in runs.trajectory.unique()]
    return judged(gap, run_scale(runs, *source), below=0)


def less_variance(tables):
    """RELAX against each other unbiased estimator, and REBAR against REINFORCE and Concrete.

    Same model, data and noise: at the last checkpoint, and for RELAX at all of them too.
    """
    for problem in _problems(tables):
        runs = _on_selected_path(tables, "variance", problem)
        last = None if runs is None else runs[runs.step == runs.step.max()]
        rivals = with_others(runs, ("reinforce", "rebar"), NOT_A_RIVAL_IN_VARIANCE)
        when = {"last": ("the last checkpoint", last), "all": ("every checkpoint", runs)}
        pairs = [("relax", other, which) for other in rivals for which in when]
        pairs += [("rebar", other, "last") for other in ("reinforce", "concrete")]
        for name, other, which in pairs:
            words, rows = when[which]
            statistic = f"log-variance, {label(name)} minus {label(other)}"
            yield row(
                f"{label(name)} has less variance than {label(other)} on {_name(problem)}, {words}",
                "abstract, section 4.2" if name == "relax" else "sections 1, 2.3",
                statistic + ("; worst checkpoint" if which == "all" else ""),
                "interval below 0" + (" at every checkpoint" if which == "all" else ""),
                "fig4_vae_variance",
                None if rows is None else _gap(rows, name, other),
            )


def less_variance_halfway(tables):
    """A VAE stopped halfway, its surrogates tuned there: the variance at the last tuning step."""
    for problem in _problems(tables):
        runs = _on_selected_path(tables, "midtraining", problem)
        for surrogate, words in HALFWAY.items():
            finding = None
            if runs is not None:
                last = runs[runs.step == runs.step.max()]
                pair = last[(last.estimator == "rebar") | (last.surrogate == surrogate)]
                finding = _gap(pair, "relax", "rebar")
            yield row(
                f"Stopped halfway and tuned, {words} has less variance than REBAR "
                f"on {_name(problem)}",
                "section 4 (planned)",
                f"log-variance after tuning, {words} minus REBAR",
                "interval below 0",
                "fig5_vae_midtraining",
                finding,
            )


CLAIMS = [better_elbo, faster_than_rebar, less_variance, less_variance_halfway]
