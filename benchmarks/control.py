"""How fast policies train, and where the time goes: CartPole, one thread, 1 and 5 seeds.

    python benchmarks/control.py

For A2C and RELAX, medians over three runs that alternate: frames a second, of all seeds together,
and the shares of living the episodes (of which: gymnasium's own steps), of learning from them, and
of measuring the variance as often as the default preset does.
"""

import statistics
import time

import torch

from relax.experiments.control import training as control_training
from relax.experiments.control.training import ControlSettings, Trainer, train

FRAMES, RUNS = 20_000, 3
RATES = {"learning_rate": 0.003, "surrogate_learning_rate": 0.01}


class Clock:
    """Wraps functions, and adds up the seconds spent in each."""

    def __init__(self):
        self.seconds = {}

    def timed(self, name, function):
        """The function, timed under this name."""

        def wrapper(*arguments, **options):
            start = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                spent = time.perf_counter() - start
                self.seconds[name] = self.seconds.get(name, 0.0) + spent

        return wrapper


def timed_run(estimator, seeds):
    """Frames a second, and the share of each part."""
    clock = Clock()
    settings = ControlSettings(
        "cartpole",
        "CartPole-v1",
        estimator,
        seeds=range(seeds),
        frames=FRAMES,
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
                environment.step = clock.timed("of it gymnasium", environment.step)

    whole = control_training.Trainer, control_training.Measurement
    control_training.Trainer = Timed
    control_training.Measurement = lambda t: clock.timed("measuring", whole[1](t))
    start = time.perf_counter()
    table, _ = train(settings)
    seconds = time.perf_counter() - start
    control_training.Trainer, control_training.Measurement = whole
    frames = table.groupby("seed").frame.max().sum()
    return frames / seconds, {name: spent / seconds for name, spent in clock.seconds.items()}


def main():
    """Print a line an estimator and number of seeds."""
    torch.set_num_threads(1)
    cases = [(name, seeds) for name in ("a2c", "relax") for seeds in (1, 5)]
    runs = {case: [] for case in cases}
    for _ in range(RUNS):
        for case in cases:
            runs[case].append(timed_run(*case))
    for (name, seeds), measured in runs.items():
        rates = [rate for rate, _ in measured]
        shares = {
            part: statistics.median(share[part] for _, share in measured) for part in measured[0][1]
        }
        print(
            f"{name}, {seeds} seed{'s' * (seeds > 1)}: {statistics.median(rates):,.0f} frames/s "
            f"({min(rates):,.0f} to {max(rates):,.0f}); "
            + ", ".join(f"{part} {share:.0%}" for part, share in sorted(shares.items()))
        )


if __name__ == "__main__":
    main()
