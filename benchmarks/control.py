"""How fast policies train, and where the time goes: CartPole, one thread, 1 and 5 seeds.

    python benchmarks/control.py [--quick]

For A2C and RELAX, medians over three runs that alternate: frames a second, of all seeds together,
and the shares of living the episodes (of which: gymnasium's own steps), of learning from them, and
of measuring the variance as often as the default preset does. It writes `bench_policies.csv` and
`.md` into `results/tables`.

Seconds are of the processor, so that others who compute on the same core count for little.
"""

import time

import pandas as pd
from command import command, with_machine

from relax.experiments.control import training as control_training
from relax.experiments.control.training import ControlSettings, Trainer, train
from relax.presentation.common import label

ESTIMATORS, SEEDS = ("a2c", "relax"), (1, 5)
FRAMES, RUNS = 20_000, 3
RATES = {"learning_rate": 0.003, "surrogate_learning_rate": 0.01}


class Clock:
    """Wraps functions, and adds up the seconds spent in each."""

    def __init__(self):
        self.seconds = {}

    def timed(self, name, function):
        """The function, timed under this name."""

        def wrapper(*arguments, **options):
            start = time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                spent = time.process_time() - start
                self.seconds[name] = self.seconds.get(name, 0.0) + spent

        return wrapper


def timed_run(estimator, seeds, frames):
    """A row: frames a second, and the share of each part."""
    clock = Clock()
    settings = ControlSettings(
        "cartpole",
        "CartPole-v1",
        estimator,
        seeds=range(seeds),
        frames=frames,
        episode_steps=200,
        **RATES,
    )

    class Timed(Trainer):
        """A trainer whose parts are timed."""

        def __init__(self, chosen):
            super().__init__(chosen)
            self.live = clock.timed("living", self.live)
            self.update = clock.timed("learning", self.update)
            for environment in self.environments:
                environment.step = clock.timed("gymnasium", environment.step)

    whole = control_training.Trainer, control_training.Measurement
    control_training.Trainer = Timed
    control_training.Measurement = lambda t: clock.timed("measuring", whole[1](t))
    start = time.process_time()
    table, _ = train(settings)
    seconds = time.process_time() - start
    control_training.Trainer, control_training.Measurement = whole
    per_second = table.groupby("seed").frame.max().sum() / seconds
    shares = {name: spent / seconds for name, spent in clock.seconds.items()}
    return {"estimator": estimator, "seeds": seeds, "per_second": per_second, **shares}


def measure(runs, frames):
    """The table: a row an estimator and number of seeds, with the lowest and the highest rate."""
    cases = [(name, seeds) for name in ESTIMATORS for seeds in SEEDS]
    rows = pd.DataFrame([timed_run(*case, frames) for _ in range(runs) for case in cases])
    groups = rows.groupby(["estimator", "seeds"], sort=False)
    table = groups.median().reset_index()
    rates = groups.per_second.agg(low="min", high="max").reset_index(drop=True)
    return with_machine(pd.concat([table, rates], axis=1))


def markdown(table):
    """The table for people."""
    rates = zip(table.per_second, table.low, table.high, strict=True)
    shown = pd.DataFrame(
        {
            "estimator": table.estimator.map(label),
            "seeds": table.seeds,
            "frames/s": [f"{rate:,.0f} ({low:,.0f} to {high:,.0f})" for rate, low, high in rates],
            "living the episodes": table.living.map("{:.0%}".format),
            "of it gymnasium": table.gymnasium.map("{:.0%}".format),
            "learning": table.learning.map("{:.0%}".format),
            "measuring": table.measuring.map("{:.0%}".format),
        }
    )
    return shown.to_markdown(index=False, disable_numparse=True)


def _measured(quick):
    table = measure(1, 500) if quick else measure(RUNS, FRAMES)
    return table, markdown(table)


if __name__ == "__main__":
    command("How fast policies train, and where the time goes.", "bench_policies", _measured)
