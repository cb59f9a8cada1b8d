"""Where a step's time goes: `python benchmarks/parts.py [MODEL]`, by default linear1.

Processor time of the parts of `relax.experiments.vae.trainer.Trainer.step`, in µs: medians over
steps. The parts are timed in the step's own order, so that each finds the caches as it does there.
"""

import sys
import time

import numpy as np
import pandas as pd
from cases import package_training, synthetic_images, use_one_thread

from relax.estimators.learning import learn_surrogates
from relax.experiments.vae.gradients import set_model_gradients

NAMES, WARM_UP, STEPS = ("reinforce", "rebar", "relax"), 50, 600


class Stopwatch:
    """Times by name: `stopwatch(name)` ends the part of that name."""

    def __init__(self):
        self.parts, self.last = {}, None

    def start(self):
        self.last = time.process_time()

    def __call__(self, name):
        now = time.process_time()
        self.parts.setdefault(name, []).append(now - self.last)
        self.last = now


def parts(training):
    """µs a step of each part of this `cases.Training`, by name."""
    trainer, stopwatch = training.trainer, Stopwatch()
    for step in range(WARM_UP, WARM_UP + STEPS):
        stopwatch.start()
        x, noise = training.batches(step), training.noise(step)
        stopwatch("minibatch and noise")
        estimate = trainer._estimate(x, noise)
        stopwatch("f, c, its slope, g")
        trainer.divergence.note(estimate.cost, *estimate.gradients.values())
        stopwatch("finite check")
        learn_surrogates(trainer.estimator, trainer.surrogates, estimate.layers)
        stopwatch("gradient in φ")
        set_model_gradients(estimate, trainer.parameters)
        stopwatch("gradient in θ")
        trainer.optimizer.step()
        stopwatch("Adam")
    return {name: 1e6 * np.median(seconds) for name, seconds in stopwatch.parts.items()}


def main(model="linear1"):
    use_one_thread()
    images, columns = synthetic_images(), {}
    for name in NAMES:
        training = package_training(model, name, images)
        training(WARM_UP)
        columns[name] = parts(training)
    table = pd.DataFrame(columns)
    table.loc["together"] = table.sum()
    print(table.round().astype(int).to_markdown())


if __name__ == "__main__":
    main(*sys.argv[1:])
