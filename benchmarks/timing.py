"""Timing side by side: short slices in turn, so that what disturbs the machine disturbs all alike.

A contestant is a function of a number of steps. A round gives each contestant one slice; rounds go
alternately forwards and backwards, so that a drift of the machine's speed favours nobody. Ratios
are taken between slices of the same round, which are fractions of a second to a second apart, and
their median is what counts: it forgets the slices that something else broke into.
"""

import time

import numpy as np
import pandas as pd


def slice_steps(run, seconds, least=3):
    """How many steps of a contestant take about so many seconds; warms it up.

    A contestant that draws its noise in blocks is told to draw that of a slice at once.
    """
    run(least)
    start, done = time.perf_counter(), 0
    while done < 5 * least and time.perf_counter() - start < seconds:
        run(1)
        done += 1
    steps = max(least, round(seconds * done / (time.perf_counter() - start)))
    if hasattr(run, "restart"):
        run.restart(steps)
    return steps


class CoreShare:
    """In a `with` block: `share` is what the process had of one core, at most about 1.

    Less means that others were computing too, and that rates are lower than they might be.
    """

    def __enter__(self):
        self.started = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *error):
        wall, used = self.started
        self.share = (time.process_time() - used) / (time.perf_counter() - wall)


def timed_rounds(contestants, steps, rounds):
    """Seconds a step: a table with a row a round and a column a contestant."""
    rows = []
    for number in range(rounds):
        order = list(contestants)[:: -1 if number % 2 else 1]
        row = {}
        for name in order:
            start = time.perf_counter()
            contestants[name](steps[name])
            row[name] = (time.perf_counter() - start) / steps[name]
        rows.append(row)
    return pd.DataFrame(rows)[list(contestants)]


def rate(seconds, repeats):
    """Steps a second: the median over all rounds, and the range of the repeats' own medians.

    Args:
        seconds: a step, in each round of all repeats, one after the other.
        repeats: how many repeats there were, parted by other measurements.
    """
    medians = [1 / np.median(part) for part in np.array_split(np.asarray(seconds), repeats)]
    return 1 / np.median(seconds), min(medians), max(medians)


def ratio(above, below):
    """The median over rounds of the ratio of two columns."""
    return float(np.median(np.asarray(above) / np.asarray(below)))
