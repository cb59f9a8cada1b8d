"""Figure 0: every claim of the ledger at a glance."""

import re
import textwrap
from itertools import groupby

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from relax.presentation.intervals import LEVEL
from relax.presentation.judge import AGAINST, FOR, NOT_REPRODUCED, NOT_TESTED, REPRODUCED
from relax.presentation.style import finish, new_figure

# Okabe & Ito's blue and vermilion, with a form each, so that they stay apart in grey; their sky
# blue and orange for what one seed says.
LOOKS = {
    REPRODUCED: {"color": "#0072B2", "marker": "o"},
    NOT_REPRODUCED: {"color": "#D55E00", "marker": "s"},
    FOR: {"color": "#56B4E9", "marker": "o"},
    AGAINST: {"color": "#E69F00", "marker": "s"},
    NOT_TESTED: {"color": "#767676", "marker": "none"},
}
ALWAYS = (REPRODUCED, NOT_REPRODUCED, NOT_TESTED)  # named also where there is none
PANELS = 2  # columns of claims, side by side
FEW = 4  # claims under a heading that are named though nothing tested them; more are counted
WIDTH, LINE = 66, 0.15  # letters in a line of words, and its height in inches
FAR, BARE = 300.0, 1000.0  # units: what is farther off is an arrow here; no interval: there
TICKS = [-100, -10, -1, 0, 1, 10, 100]


def distance(claim):
    """How far a claim is from its rule's bound, towards where it holds, in half widths.

    The unit is the distance from the estimate to that end of its interval that is nearer to
    failing, so that this end lies one unit to the left of the estimate, and the whole interval to
    the right of 0 where the rule is met.

    Args:
        claim: a row of the table of claims.

    Returns:
        The estimate and the ends of its interval; all infinite, on their side, for a number
        without an interval. None where there is no number or no bound.
    """
    if pd.isna(claim.value) or (pd.isna(claim.holds_above) and pd.isna(claim.holds_below)):
        return None
    low, high = (claim.value if pd.isna(end) else end for end in (claim.ci_low, claim.ci_high))
    # Of two bounds the one that the interval is nearer to.
    upwards = np.isnan(claim.holds_below) or low - claim.holds_above < claim.holds_below - high
    if upwards:
        inside, unit, other = claim.value - claim.holds_above, claim.value - low, high - claim.value
    else:
        inside, unit, other = claim.holds_below - claim.value, high - claim.value, claim.value - low
    if not unit > 0:
        return (np.inf if inside > 0 else -np.inf,) * 3
    return inside / unit, inside / unit - 1, (inside + other) / unit


def number(claim):
    """The number, its interval, and in parentheses where the rule wants it."""
    if claim.verdict == NOT_TESTED:
        return "not tested"
    above, below = claim.holds_above, claim.holds_below
    if pd.notna(above) and pd.notna(below):
        asked = f"  ({above:.3g} to {below:.3g})"
    else:
        asked = f"  (> {above:.3g})" * pd.notna(above) + f"  (< {below:.3g})" * pd.notna(below)
    if pd.isna(claim.value):
        return f"no number{asked}"
    interval = "" if pd.isna(claim.ci_low) else f" [{claim.ci_low:.3g}, {claim.ci_high:.3g}]"
    return f"{claim.value:.3g}{interval}{asked}"


def placed(claim):
    """The heading that a claim stands under, and its words without what the heading says."""
    found = re.search(r" on the VAE \((.*?, \w+)\)", claim.claim)
    if found:
        return f"Discrete VAE: {found[1]}", claim.claim.replace(found[0], "")
    stem = re.sub(r"^fig(\d+)_", r"Figure \1: ", claim.evidence.removesuffix(".csv"))
    return stem.replace("_", " "), claim.claim


def lines_of(claims):
    """What is drawn, in its order: (heading, the claim or None for the heading, wrapped words)."""
    found = [(*placed(claim), claim) for claim in claims.itertuples()]
    order = list(dict.fromkeys(heading for heading, *_ in found))
    found.sort(key=lambda each: order.index(each[0]))
    for heading, members in groupby(found, key=lambda each: each[0]):
        yield heading, None, [heading]
        members = list(members)
        untested = [claim for *_, claim in members if claim.verdict == NOT_TESTED]
        many = len(untested) > FEW
        for _, words, claim in members:
            if not (many and claim.verdict == NOT_TESTED):
                yield heading, claim, textwrap.wrap(words, WIDTH)
        if many:  # any of them stands for all, as it has no number
            others = " other" * (len(untested) < len(members))
            yield heading, untested[0], [f"{len(untested)}{others} claims"]


def panels(lines):
    """The lines cut into `PANELS` of about one height; a heading that is cut stands twice."""
    whole, parts, height = sum(len(words) for *_, words in lines), [[]], 0
    for heading, claim, words in lines:
        if height >= whole / PANELS * len(parts):
            parts.append([] if claim is None else [(heading, None, [f"{heading} (continued)"])])
        parts[-1].append((heading, claim, words))
        height += len(words)
    return parts


def fig0_claims(claims):
    """A line a claim: its distance from the bound of its rule, coloured by its verdict.

    Where more than `FEW` claims under a heading were not tested, one line counts them.

    Args:
        claims: rows of `results/tables/claims.csv`.
    """
    parts = panels(list(lines_of(claims)))
    tallest = max(sum(len(words) for *_, words in part) for part in parts)
    figure, axes = new_figure(
        1,
        3 * len(parts),
        7.5 * len(parts),
        LINE * tallest + 0.6,
        width_ratios=[3.5, 2.3, 1.9] * len(parts),
    )
    figure.get_layout_engine().set(w_pad=0.02, wspace=0.0)
    for part, place in zip(parts, axes.reshape(-1, 3), strict=True):
        _draw_panel(part, tallest, *place)
    counts = claims.verdict.value_counts()
    named = [verdict for verdict in LOOKS if verdict in ALWAYS or verdict in counts]
    told = ", ".join(f"{counts.get(verdict, 0)} {verdict}" for verdict in named)
    handles = [
        Line2D([], [], linewidth=1.3 * (v in ALWAYS[:2]), markersize=5, label=v, **LOOKS[v])
        for v in named
    ]
    bare = {"marker": "D", "markerfacecolor": "white", "color": "#333333", "linestyle": ""}
    handles.append(Line2D([], [], label="no interval: an exact number, or one seed", **bare))
    scale = (
        "0: the bound of the claim's rule (in parentheses). Unit: from the estimate to that end of "
        f"its {LEVEL:.0%} interval that is nearer to failing.\nThe rule is met where the whole "
        "interval lies to the right of 0. How much data is behind a claim stands in the table."
    )
    finish(figure, "", handles, scale)
    figure.suptitle(f"{len(claims)} claims: {told}", fontsize=15)
    return figure


def _draw_panel(part, tallest, words_axes, axes, number_axes):
    for each in (words_axes, number_axes):
        each.axis("off")
        each.set(xlim=(0, 1), ylim=(tallest, 0))
    _set_up(axes, tallest)
    height = 0
    for _, claim, words in part:
        y = height + len(words) / 2
        height += len(words)
        if claim is None:
            words_axes.text(0, y + 0.1, words[0], fontsize=8, fontweight="bold", va="center")
            continue
        look = LOOKS[claim.verdict]
        text = {"fontsize": 7, "va": "center"}
        words_axes.text(0.985, y, "\n".join(words), ha="right", linespacing=1.05, **text)
        number_axes.text(0.02, y, number(claim), color=look["color"], **text)
        axes.axhline(y, color="#EEEEEE", linewidth=0.5, zorder=0)
        _draw_claim(axes, y, claim, look)


def _set_up(axes, tallest):
    axes.set_xscale("symlog", linthresh=1, linscale=0.6)
    axes.set(ylim=(tallest, 0), xlim=(-2 * BARE, 2 * BARE), yticks=[])
    axes.set_xticks([-BARE, *TICKS, BARE], ["\nno interval", *map(str, TICKS), "\nno interval"])
    axes.tick_params(axis="x", labelsize=7)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("fails  ←  half widths of the interval  →  holds", fontsize=8)
    axes.axvspan(0, 2 * BARE, color=LOOKS[REPRODUCED]["color"], alpha=0.07, linewidth=0)
    axes.axvline(0, color="#444444", linewidth=0.8)
    for edge in (-FAR * 1.6, FAR * 1.6):
        axes.axvline(edge, color="#BBBBBB", linewidth=0.6, dashes=(2, 2))


def _draw_claim(axes, y, claim, look):
    found = distance(claim)
    if found is None:
        return
    middle, low, high = found
    style = {"markersize": 4, "color": look["color"], "linestyle": "", "zorder": 3}
    if np.isinf(middle):
        axes.plot(np.sign(middle) * BARE, y, marker="D", markerfacecolor="white", **style)
    elif abs(middle) > FAR:
        axes.plot(np.sign(middle) * FAR, y, marker=">" if middle > 0 else "<", **style)
    else:
        ends = np.clip([low, high], -FAR, FAR)
        axes.plot(ends, [y, y], color=look["color"], linewidth=1.3, zorder=2)
        axes.plot(middle, y, marker=look["marker"], **style)
