"""Figure 0, and the one scale on which it draws unlike claims."""

import numpy as np
import pandas as pd
import pytest

from relax.experiments.claims_figures import BARE, FAR, distance, fig0_claims
from relax.presentation.intervals import Interval, OneSeed
from relax.presentation.judge import FOR, NOT_REPRODUCED, REPRODUCED, judged, row, stack
from relax.presentation.style import save


def claims(*findings, words="claim", evidence="fig3_vae_training"):
    rows = [
        row(f"{words} {place}", "section 1", "a number", "a rule", evidence, finding)
        for place, finding in enumerate(findings)
    ]
    return stack(rows)


def distances(*findings):
    return [distance(claim) for claim in claims(*findings).itertuples()]


BELOW = Interval(-2.0, -2.5, -1.5)
CASES = [
    (BELOW, {"below": 0}, (4, 3, 5)),
    (BELOW, {"above": 0}, (-4, -5, -3)),
    (BELOW, {"below": -1.9}, (0.2, -0.8, 1.2)),
    (BELOW, {"above": -10, "below": 0}, (4, 3, 5)),
    (BELOW, {"above": -3, "below": 20}, (2, 1, 3)),
    # An interval that is not symmetric: the end nearer to failing is one unit away.
    (Interval(1.0, 0.5, 3.0), {"above": 0}, (2, 1, 6)),
    (Interval(1.0, 0.5, 3.0), {"below": 5}, (2, 1, 2.25)),
    (0.5, {"below": 1}, (np.inf,) * 3),
    (0.5, {"above": 1}, (-np.inf,) * 3),
    (Interval(0.0, 0.0, 0.0), {"below": 0}, (-np.inf,) * 3),
    (np.nan, {"below": 0}, None),
]


@pytest.mark.parametrize(("found", "bounds", "expected"), CASES)
def test_the_distance_from_the_bound(found, bounds, expected):
    """In half widths, by hand; and right of 0 exactly where the claim is reproduced."""
    (got,) = distances(judged(found, "5 seeds", **bounds))
    assert got == (None if expected is None else pytest.approx(expected))
    (claim,) = claims(judged(found, "5 seeds", **bounds)).itertuples()
    assert (got is not None and got[1] > 0) == (claim.verdict == REPRODUCED)


def test_any_interval_is_right_of_0_where_the_rule_is_met():
    """Three thousand random ones, with one bound or two."""
    draw = np.random.default_rng(0)
    for _ in range(1000):
        low, value, high = sorted(draw.normal(size=3))
        bound = draw.normal()
        for bounds in (
            {"above": bound},
            {"below": bound},
            {"above": bound - 1.0, "below": bound + 1.0},
        ):
            finding = judged(Interval(value, low, high), "", **bounds)
            (found,) = distances(finding)
            assert (found[1] > 0) == finding.holds
            assert found[0] - found[1] == pytest.approx(1)
            assert found[2] >= found[0]


def drawn(figure):
    """Markers by colour and place, and every text."""
    points = {
        (line.get_color(), round(float(line.get_xdata()[0]), 6))
        for axes in figure.axes
        for line in axes.lines
        if line.get_marker() not in ("None", "none", None, "") and len(line.get_xdata()) == 1
    }
    return points, [text.get_text() for axes in figure.axes for text in axes.texts]


def test_figure_0(tmp_path):
    """A line a claim in the colour of its verdict, numbers beside it, and the count above."""
    table = claims(
        judged(BELOW, "5 seeds", below=0),
        judged(BELOW, "5 seeds", above=0),
        judged(Interval(-9.0, -9.01, -8.99), "5 seeds", below=0),
        judged(1e-9, "exact", below=1e-6),
        judged(np.nan, "5 seeds", below=0),
        None,
    )
    figure = fig0_claims(table)
    save(figure, [tmp_path / "figure.png"])
    title = "6 claims: 3 reproduced, 2 not reproduced, 1 not tested at this scale"
    assert figure.get_suptitle() == title
    points, texts = drawn(figure)
    blue, red = "#0072B2", "#D55E00"
    assert points == {(blue, 4), (red, -4), (blue, FAR), (blue, BARE)}
    assert set(texts) >= {f"claim {place}" for place in range(6)}
    assert {"-2 [-2.5, -1.5]  (< 0)", "-2 [-2.5, -1.5]  (> 0)", "1e-09  (< 1e-06)"} <= set(texts)
    assert {"no number  (< 0)", "not tested"} <= set(texts)
    assert "Figure 3: vae training" in texts


def test_claims_about_one_model_stand_together():
    """Their words do not repeat it; a heading that the fold cuts stands twice; none is lost."""
    found = judged(BELOW, "5 seeds", below=0)
    parts = [
        claims(*[found] * 8, words=f"RELAX is better on the VAE (digits, {model})")
        for model in ("linear1", "nonlinear", "linear1")
    ]
    parts[2] = parts[2].assign(claim=parts[2].claim + " again", evidence="fig4_vae_variance")
    _, texts = drawn(fig0_claims(pd.concat(parts, ignore_index=True)))
    headings = [text for text in texts if text.startswith("Discrete VAE")]
    assert headings == [
        "Discrete VAE: digits, linear1",
        "Discrete VAE: digits, nonlinear",
        "Discrete VAE: digits, nonlinear (continued)",
    ] or headings == [
        "Discrete VAE: digits, linear1",
        "Discrete VAE: digits, linear1 (continued)",
        "Discrete VAE: digits, nonlinear",
    ]
    assert sum(text.startswith("RELAX is better ") for text in texts) == 24
    assert sum(text.endswith(" again") for text in texts) == 8


def test_claims_that_nothing_tested_are_counted_in_one_line():
    """Four are named; of more, and of a heading with no other claims, one line says how many."""
    found = judged(BELOW, "5 seeds", below=0)
    parts = [
        claims(found, *[None] * 4, words="named", evidence="fig1_toy_training"),
        claims(found, *[None] * 5, words="counted", evidence="fig2_toy_variance"),
        claims(*[None] * 6, words="empty", evidence="fig3_vae_training"),
    ]
    figure = fig0_claims(pd.concat(parts, ignore_index=True))
    _, texts = drawn(figure)
    shown = [text for text in texts if text.startswith(("named", "counted", "empty"))]
    assert sorted(shown) == ["counted 0", *(f"named {place}" for place in range(5))]
    assert [text for text in texts if text.endswith(" claims")] == ["5 other claims", "6 claims"]
    assert texts.count("not tested") == 6
    assert "15 not tested at this scale" in figure.get_suptitle()


def test_the_colour_is_the_verdicts():
    """Where a rule asks for more than its bounds, a claim right of 0 may yet not hold."""
    figure = fig0_claims(claims(judged(BELOW, "5 seeds", False, below=0)))
    assert NOT_REPRODUCED in figure.get_suptitle()
    points, _ = drawn(figure)
    assert points == {("#D55E00", 4)}


def test_one_seed_stands_apart():
    """On its side, without an interval, in a colour of its own; counted where there is one."""
    one = judged(OneSeed(1.0, 1.0, 1.0), "one seed", above=0)
    figure = fig0_claims(claims(one, judged(BELOW, "5 seeds", below=0)))
    assert f"1 {FOR}" in figure.get_suptitle()
    points, texts = drawn(figure)
    assert points == {("#56B4E9", BARE), ("#0072B2", 4)}
    assert "1  (> 0)" in texts
