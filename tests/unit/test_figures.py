"""Figures from made-up tables: every panel, curve and label that should be there."""

import numpy as np
import pandas as pd
import pytest
from unit import made_up

from relax.estimators.registry import REGISTRY, Entry
from relax.experiments.theory.figures import fig8_concrete_bias_variance
from relax.experiments.toy.figures import fig1_toy_training, fig2_toy_variance_relaxation
from relax.experiments.vae.figures import fig3_vae_training, fig4_vae_variance, fig5_vae_midtraining
from relax.experiments.vae.picture_figures import fig12_vae_pictures, tiled
from relax.presentation.common import log_variance
from relax.presentation.style import finish, new_figure, save

ONE = [("digits", "linear1")]
FOUR = [(d, m) for d in ("digits", "mnist") for m in ("linear1", "nonlinear")]
ELBOS = {"reinforce": -25.0, "concrete": -22.0, "rebar": -20.0, "relax": -19.0}
VARIANCES = {"reinforce": 1.0, "concrete": 0.03, "rebar": 0.02, "relax": 0.01}


@pytest.fixture(autouse=True)
def baselines(monkeypatch):
    """The registry with NVIL in it, whatever it holds otherwise."""
    monkeypatch.setitem(REGISTRY, "nvil", Entry("none", "NVIL"))


def over(problems, make, *arguments, **options):
    tables = [make(*arguments, dataset=d, model=m, **options) for d, m in problems]
    return pd.concat(tables, ignore_index=True)


def training(problems, seeds, names=("nvil", *ELBOS)):
    runs = {
        (name, seed): ELBOS.get(name, -24) + np.array([-9.0, -2.0, 0.0, -0.5]) + seed / 10
        for name in names
        for seed in range(seeds)
    }
    return over(problems, made_up.training, runs)


def panels(figure):
    """Titles of the visible panels that have one."""
    return [axes.get_title() for axes in figure.axes if axes.get_visible() and axes.get_title()]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def lines(axes, label):
    return [line for line in axes.lines if line.get_label() == label]


TOY = {"exact": 0.0, "reinforce": 0.5, "relax": 0.01}
BOTH_SCALES = (
    "3 seeds, 10,000 steps, one latent, one sample a step, independent noise\n"
    "one choice among 8: 3 seeds, 1,500 steps, one sample a step, coupled noise"
)


def test_figure_1(tmp_path):
    """A row a target, and the categorical toy's below, at its own scale."""
    figure = fig1_toy_training(made_up.toy(TOY), made_up.categorical(TOY))
    save(figure, [tmp_path / "figure.png"])
    assert panels(figure)[-2:] == ["loss, one choice among 8", "best outcome, one choice among 8"]
    assert legend(figure) == ["exact gradient", "REINFORCE", "RELAX"]
    assert figure.legends[0].get_title().get_text() == BOTH_SCALES
    assert [axes.get_xlim()[1] for axes in figure.axes] == [10_000] * 4 + [1500] * 2
    *_, loss, best = figure.axes
    for name in ("exact gradient", "REINFORCE", "RELAX"):
        assert list(lines(loss, name)[0].get_ydata()) == [0.875, 0.25]
        assert list(lines(best, name)[0].get_ydata()) == [0.125, 0.75]


def test_figure_2(tmp_path):
    """The exact gradient has no variance to draw; the last panel goes down from 7/8 to 1/4."""
    figure = fig2_toy_variance_relaxation(
        made_up.toy(TOY), made_up.relaxation(["relax"]), made_up.categorical(TOY)
    )
    save(figure, [tmp_path / "figure.png"])
    assert len(panels(figure)) == 6
    assert legend(figure) == ["REINFORCE", "RELAX", "cost $f(H(z))$"]
    assert figure.legends[0].get_title().get_text() == BOTH_SCALES
    left, right = (
        a for a in figure.axes if "one choice" in a.get_title() or "equal" in a.get_title()
    )
    for axes, expected in ((left, [0, 1500]), (right, [0.875, 0.25])):
        assert [line.get_label() for line in axes.lines] == ["REINFORCE", "RELAX"]
        relax = lines(axes, "RELAX")[0]
        assert list(relax.get_xdata()) == pytest.approx(expected)
        assert list(relax.get_ydata()) == pytest.approx([np.log(0.01)] * 2)
    assert right.xaxis_inverted()


def test_a_variance_of_rounding_alone_is_not_drawn():
    """The logarithm of 1e-31 set the axes, and all other curves were one line at the top."""
    variance = pd.Series([1e-31, 0.0, 1e-29, 1.0])
    expected = [np.nan, np.nan, np.log(1e-29), 0.0]
    np.testing.assert_allclose(log_variance(variance), expected)


def test_figure_8_draws_every_theta():
    """Those after the fifth were left out without a word."""
    thetas = [0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9]
    rows = [
        (target, theta, temperature, theta * temperature, 1 + temperature, 1.0)
        for target in (0.45, 0.499)
        for theta in thetas
        for temperature in (0.1, 1.0)
    ]
    columns = "target theta temperature bias variance exact_gradient"
    figure = fig8_concrete_bias_variance(pd.DataFrame(rows, columns=columns.split()))
    shown = legend(figure)
    assert [text for text in shown if "theta" in text] == [rf"$\theta={t:g}$" for t in thetas]
    colours = {line.get_color() for line in figure.axes[1].lines}
    assert len(colours) == len(thetas)


SIZES = pytest.mark.parametrize(("problems", "seeds"), [(ONE, 1), (ONE, 3), (FOUR, 2)])


@SIZES
def test_figure_3(problems, seeds, tmp_path):
    figure = fig3_vae_training(training(problems, seeds))
    save(figure, [tmp_path / "figure.png"])
    assert panels(figure) == [f"{d}, {m}" for d, m in problems]
    labels = [REGISTRY[name].label for name in REGISTRY if name in ("nvil", *ELBOS)]
    assert legend(figure) == [*labels, "thin: validation", "REBAR's best validation ELBO"]
    for axes in figure.axes:
        goal = axes.lines[-1]
        assert list(goal.get_ydata()) == pytest.approx([-20 + (seeds - 1) / 20] * 2)
        assert goal.is_dashed()


def test_figure_3_without_rebar():
    figure = fig3_vae_training(training(ONE, 2, names=("reinforce", "relax")))
    assert legend(figure) == ["REINFORCE", "RELAX", "thin: validation"]


@pytest.mark.parametrize(("further", "expected"), [(1, False), (0, True)])
def test_figure_3_says_what_had_not_ended(further, expected):
    """Not of a run that has ended within an epoch, whose last row has no training ELBO."""
    runs = training(ONE, 1, names=("rebar", "relax"))
    last = runs[runs.step == runs.step.max()]
    ends = last.assign(step=last.step + further, train_elbo=np.nan)
    runs = pd.concat([runs, ends]).assign(planned=last.step.max() + 1)
    figure = fig3_vae_training(runs)
    assert ("unfinished: so far" in legend(figure)) == expected
    rings = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "white"]
    assert len(rings) == (2 if expected else 0)
    assert ("of" in figure.axes[0].get_title().split("\n")[1]) == expected


def test_a_long_scale_stays_within_the_figure():
    """Lines of it are broken where they would pass the edges, and nowhere else."""
    for words in (60, 12):
        figure, axes = new_figure(1, 1, 6.5)
        (line,) = axes[0, 0].plot([0, 1], label="a curve")
        scale = " ".join(["seeds"] * words)
        finish(figure, "Title", [line], scale)
        figure.draw_without_rendering()
        (legend,) = figure.legends
        box = legend.get_window_extent()
        assert 0 <= box.x0 < box.x1 <= figure.bbox.width
        shown = legend.get_title().get_text()
        assert shown.replace("\n", " ") == scale
        assert ("\n" in shown) == (words == 60)


def test_figure_3_before_the_first_epoch_ends():
    """The training ELBO is then empty, the validation ELBO is not."""
    figure = fig3_vae_training(training(ONE, 2).assign(train_elbo=np.nan))
    low, high = figure.axes[0].get_ylim()
    assert low < -34
    assert high > -19


@SIZES
def test_figure_4(problems, seeds, tmp_path):
    variance = over(problems, made_up.variance, VARIANCES | {"nvil": 0.5}, seeds=seeds)
    figure = fig4_vae_variance(training(problems, seeds), variance)
    save(figure, [tmp_path / "figure.png"])
    assert panels(figure) == [f"{d}, {m}" for d, m in problems]
    labels = [REGISTRY[name].label for name in REGISTRY if name in ("nvil", *ELBOS)]
    assert legend(figure) == labels
    assert len(figure.axes) == 2 * len(problems)
    below = [axes for axes in figure.axes if axes.get_xlabel() == "training step"]
    assert len(below) == len(problems)
    for axes in below:
        assert [line.get_label() for line in axes.lines] == ["REBAR", "RELAX"]
        (relax,) = lines(axes, "RELAX")
        assert list(relax.get_ydata()) == pytest.approx([np.log(0.5)] * 2)


def test_figure_4_shows_what_is_not_flat_and_what_the_direct_term_is():
    """A hollow dot where a seed was not flat; a diamond for the other choice of the term."""
    table = made_up.variance(VARIANCES).assign(direct_term=True, flat=True)
    table.loc[(table.estimator == "relax") & (table.step == 0) & (table.seed == 1), "flat"] = False
    other = table[table.step == 40].assign(direct_term=False, flat=True)
    other["encoder_variance"] /= 10
    figure = fig4_vae_variance(training(ONE, 2), pd.concat([table, other]))
    assert legend(figure)[-2:] == ["without the direct term", "not flat yet"]
    upper, lower = figure.axes
    (relax,) = lines(upper, "RELAX")
    hollow = [line for line in upper.lines if line.get_markerfacecolor() == "white"]
    assert [line.get_color() for line in hollow] == [relax.get_color()]
    assert list(hollow[0].get_xdata()) == [0]
    diamonds = [line for line in upper.lines if line.get_marker() == "D"]
    assert len(diamonds) == table.estimator.nunique()
    own = [line.get_ydata()[0] for line in diamonds if line.get_color() == relax.get_color()]
    assert own == pytest.approx([relax.get_ydata()[-1] - np.log(10)])
    assert all(line.get_marker() != "D" for line in lower.lines)


@SIZES
def test_figure_5(problems, seeds, tmp_path):
    table = over(problems, made_up.midtraining, np.linspace(0.9, 1.1, seeds))
    gradients = over(problems, made_up.gradients, seeds)
    figure = fig5_vae_midtraining(training(problems, seeds), table, gradients)
    save(figure, [tmp_path / "figure.png"])
    alone, added = "RELAX, network alone", "RELAX, added to REBAR's relaxation"
    assert panels(figure) == [f"{d}, {m}" for d, m in problems]
    assert sorted(legend(figure)) == sorted(["REBAR", "NVIL", alone, added])
    assert "frozen at step 50 of training with REBAR" in figure.get_suptitle()
    assert f"{seeds} seed{'s' if seeds > 1 else ''}, 100 updates" in (
        figure.legends[0].get_title().get_text()
    )
    for upper in (axes for axes in figure.axes if axes.get_title()):
        assert len(upper.lines) == 4
        (one,), (other,) = lines(upper, alone), lines(upper, added)
        assert one.get_color() == other.get_color()
        assert one.is_dashed()
        assert not other.is_dashed()
    for bottom in (axes for axes in figure.axes if axes.get_xlabel().startswith("cosine")):
        names = [text.get_text() for text in bottom.get_yticklabels()]
        assert names == ["RELAX, alone", "REBAR", "RELAX, added"]  # from the least to the greatest
        assert [line.get_xdata()[0] for line in bottom.lines[1::2]] == pytest.approx(
            [0.1, 0.2, 0.3]
        )
    for lower in (axes for axes in figure.axes if axes.get_xlabel().startswith("updates")):
        assert sorted(line.get_label() for line in lower.lines) == ["REBAR", added]
        (zero,) = lines(lower, "REBAR")
        assert list(zero.get_ydata()) == [0, 0]
        (relax,) = lines(lower, added)
        factors = np.log(np.linspace(0.9, 1.1, seeds))
        assert relax.get_ydata()[-1] == pytest.approx(np.log(0.5) + factors.mean())


def test_figure_12(tmp_path):
    table = over(FOUR, made_up.pictures)
    figure = fig12_vae_pictures(pd.concat([table, table.assign(seed=1)]))
    save(figure, [tmp_path / "figure.png"])
    titles = [f"{d}, {m}\nRELAX, 40 iterations, learning rate 0.001" for d, m in FOUR]
    assert [axes.get_title("left") for axes in figure.axes] == titles
    assert "digits, mnist, RELAX, seed 0" in figure.get_supxlabel()
    for axes in figure.axes:
        names = [text.get_text() for text in axes.get_yticklabels()]
        assert names == ["data", "reconstruction", "sample"]
        assert list(axes.get_yticks()) == pytest.approx([0.5, 3.5, 6.5], abs=0.4)
        assert len(axes.get_xticks()) == 0


def test_three_runs_leave_no_empty_panel():
    figure = fig12_vae_pictures(over(FOUR[:3], made_up.pictures))
    assert [axes.get_visible() for axes in figure.axes] == [True, True, True, False]


def test_tiles():
    """Two images of 2 x 3 pixels beside each other, one blank pixel between; three rows of them."""
    table = made_up.pictures().assign(image=lambda t: t.image * 7 + 4)  # numbered as they may be
    tiles = tiled(table.sample(frac=1, random_state=0))
    assert tiles.shape == (8, 7)
    first = np.array([[0, 1, 2, np.nan, 6, 7, 8], [3, 4, 5, np.nan, 9, 10, 11]]) / 100
    assert tiles[:2] == pytest.approx(first, nan_ok=True)
    assert np.isnan(tiles[[2, 5]]).all()
    assert set(tiles[3:5].ravel()[[0, 6]]) == {0.5}
    assert set(tiles[6:].ravel()[[0, 6]]) == {0.9}
