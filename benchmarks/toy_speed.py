"""How fast the toy trains: seed-steps a second of its `train`, at t = 0.499."""

import time
from dataclasses import dataclass

import pandas as pd
from timing import rate

from relax.experiments.toy.problem import SquaredDistance, ToySettings, train

ESTIMATORS = ("reinforce", "rebar", "relax")
REPLICAS = (1, 10, 100, 1000)


class Unmeasured(SquaredDistance):
    """The toy's problem, without the variance by quadrature in its records."""

    def exact(self, estimator, surrogate, logits, noise):
        return {}


@dataclass(frozen=True)
class SpeedSettings(ToySettings):
    """The toy's settings as in `config.yaml`, with records that cost as little as they can."""

    variance_samples: int = 2
    record_every: int = 10**9  # besides the first and the last step, which are always recorded

    @property
    def problem(self):
        return Unmeasured(self.target)


def seconds(estimator, replicas, steps):
    """Of a whole call of `train`."""
    settings = SpeedSettings(estimator, range(replicas), steps=steps, target=0.499)
    start = time.perf_counter()
    train(settings)
    return time.perf_counter() - start


def seconds_a_step(estimator, replicas, steps):
    """The steps alone.

    A run of one step costs what start-up, the two records and the drawing of the first noise cost.
    A longer one costs as much again, and its further steps with their own share of drawing noise.
    """
    while True:
        further = seconds(estimator, replicas, 1 + steps) - seconds(estimator, replicas, 1)
        if further > 0:  # else something broke into the short run
            return further / steps


def toy_speed(repeats, replicas=REPLICAS, steps=1000):
    """A table: estimator, replicas, and seed-steps a second (per_second, low and high).

    Medians and range over repeats, in each of which every estimator and size has its turn.

    Args:
        steps: that are timed; noise is drawn a thousand steps at a time, so a whole multiple of
            that has its share of it, no more and no less.
    """
    cases = [(name, n) for n in replicas for name in ESTIMATORS]
    spent = {case: [] for case in cases}
    for case in cases:  # warm up
        seconds(*case, steps=2)
    for _ in range(repeats):
        for case in cases:
            spent[case].append(seconds_a_step(*case, steps))
    rows = []
    for (name, n), each in spent.items():
        middle, low, high = (n * value for value in rate(each, repeats))
        row = {"estimator": name, "replicas": n}
        rows.append(row | {"per_second": middle, "low": low, "high": high})
    return pd.DataFrame(rows)
