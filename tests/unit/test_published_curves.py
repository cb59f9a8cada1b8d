"""The published curves beside ours: only where both are."""

import numpy as np
import pytest
from unit import made_up

from relax.experiments.vae import published_summary
from relax.experiments.vae import summary as vae_summary
from relax.experiments.vae.figures import PUBLISHED, fig3_vae_training
from relax.presentation.published_curves import published_at, published_curve


def training(epochs, dataset="mnist", names=("concrete", "rebar", "relax")):
    """Runs whose training ELBO at epoch e is -200 + e / 10."""
    runs = {
        (name, seed): -200.5 + np.arange(1, epochs + 1) / 10 for name in names for seed in (0, 1)
    }
    return made_up.training(runs, dataset)


def test_what_was_read_out_of_the_figures():
    """Six curves, rising; between two points by a straight line, outside them nothing."""
    for model in ("linear1", "linear2", "nonlinear"):
        for name in ("rebar", "relax"):
            curve = published_curve("mnist", model, name)
            assert curve.epoch.is_monotonic_increasing
            assert curve.train_elbo.diff().min() > -0.5
            assert curve.epoch.max() == 950
    wide = published_curve("mnist", "nonlinear_wide", "rebar")
    assert wide.equals(published_curve("mnist", "nonlinear", "rebar"))
    assert published_curve("omniglot", "linear1", "rebar") is None
    assert published_curve("mnist", "linear1", "concrete") is None
    assert published_at("mnist", "linear1", "rebar", 50) == -120.43
    assert published_at("mnist", "linear1", "relax", 55) == pytest.approx(-119.33)
    assert np.isnan(published_at("mnist", "linear1", "relax", 39))
    assert np.isnan(published_at("mnist", "linear2", "rebar", 951))


def test_ours_and_theirs_at_the_same_epochs():
    """Means over seeds; empty where our run ends before, or their axes begin after."""
    table = published_summary.summarise(training(120))
    assert list(table.estimator.unique()) == ["rebar", "relax"]
    rebar = table[table.estimator == "rebar"].set_index("epoch")
    assert list(rebar.index) == [50, 100, 200, 500, 900]
    assert rebar.train_elbo[50] == pytest.approx(-195)
    assert rebar.difference[100] == pytest.approx(-190 + 117.93)
    assert rebar.train_elbo[[200, 500, 900]].isna().all()
    assert rebar.published_train_elbo[900] == -111.7
    assert set(rebar.epochs_to_rebar) == {120}
    assert set(rebar.published_epochs_to_rebar) == {857}
    people = published_summary.for_people(table)
    assert list(people["epoch 50"]) == ["-195.00 / -120.43", "-195.00 / -119.66"]
    assert list(people["epoch 200"]) == ["– / -115.30", "– / -114.91"]
    assert list(people["epochs to REBAR's best"]) == ["120 / 857", "120 / 531"]
    assert published_summary.summarise(training(60, "digits")).empty
    assert set(published_summary.summarise(training(60, "mnist (mine)")).epoch) == set(
        published_summary.EPOCHS
    )


def test_a_run_that_had_not_ended_has_no_epochs_to_its_best():
    """Its best is still to come: a dash, in place of a number or "never"."""
    runs = training(120).assign(planned=2000)
    people = published_summary.for_people(published_summary.summarise(runs))
    assert list(people["epochs to REBAR's best"]) == ["– / 857", "– / 531"]
    table = vae_summary.summarise(runs, made_up.best(runs))
    assert table.epochs_to_rebar.isna().all()
    assert set(vae_summary.for_people(table).scale) == {"2 seeds, 1,200 steps of 2,000, unfinished"}


def dotted(figure):
    return [
        line
        for axes in figure.axes
        for line in axes.lines
        if line.get_linewidth() == PUBLISHED["linewidth"] and len(line.get_xdata())
    ]


def test_figure_3_shows_them_where_the_run_comes_so_far():
    """As dotted lines in the estimator's colour, called what they are; else not at all."""
    figure = fig3_vae_training(training(120))
    curves = dotted(figure)
    assert len(curves) == 4  # two estimators, in both panels
    assert max(line.get_xdata().max() for line in curves) == 120
    said = "dotted: published, digitised"
    assert said in [text.get_text() for text in figure.legends[0].get_texts()]
    for short in (training(39), training(120, "digits"), training(120, names=["concrete"])):
        figure = fig3_vae_training(short)
        assert dotted(figure) == []
        assert said not in [text.get_text() for text in figure.legends[0].get_texts()]


def test_figure_3_says_what_had_not_ended():
    """A hollow dot where the run stood, and in the scale how far it was to go."""
    runs = training(60).assign(planned=2000)
    figure = fig3_vae_training(runs)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "unfinished: so far" in texts
    assert "at most 2 seeds, 600 iterations" in figure.legends[0].get_title().get_text()
    assert figure.axes[0].get_title() == "mnist, linear1\n2 seeds, 600 of 2,000 iterations"
    ended = fig3_vae_training(training(60).assign(planned=600))
    assert ended.axes[0].get_title() == "mnist, linear1\n2 seeds, 600 iterations"
    assert "unfinished: so far" not in [t.get_text() for t in ended.legends[0].get_texts()]
