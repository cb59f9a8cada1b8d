"""The estimators of several samples and of the straight-through family, beside their own floors.

    python benchmarks/several.py [--quick]

On `linear1`, one thread, batch 24: how many times its own matrix products a training step takes,
for REINFORCE and each of the others, timed in turn in one process. It writes `bench_estimators.csv`
and `.md` into `results/tables`. Its goal: none is worse than REINFORCE by more than a quarter.

**Floors** are counted as in `floor.py`. With K samples the encoder works on one minibatch and the
decoder on K at once: p's logits at every b, and ∂f(b) in its weights. An estimator that reads ∇f at
hard b carries ∂f back through the decoder as well. What local expectations and bit flips evaluate
besides, no model learns from. RODEO's network has its products: forwards, and for ∂φ g² the
gradients of its weights and what is carried back to its units.
"""

from dataclasses import replace
from functools import partial

import pandas as pd
import torch
from cases import BATCH, LATENTS, PIXELS, Training, settings, synthetic_images
from command import command, with_machine
from timing import CoreShare, rate, ratio, slice_steps, timed_rounds

from relax.estimators.registry import REGISTRY, load_estimator
from relax.estimators.rodeo import Stein
from relax.experiments.benchmark.variants import variants
from relax.experiments.vae.trainer import Trainer
from relax.numerics.products import is_large, one
from relax.presentation.common import rounded

COMPARED = (
    *("reinforce", "rloo", "arm", "disarm", "arms", "double_cv", "rodeo", "vimco", "bitflip"),
    *("local_expectation", "straight_through", "st_gumbel", "gumbel_rao", "reinmax"),
)
SAMPLES = (2, 3)
WORSE = 1.25  # time over floor, over REINFORCE's: the goal
MORE = {"local_expectation": LATENTS, "bitflip": 1}  # evaluations that no model learns from


def products(name, samples):
    """The products of a step as (rows, inner, columns)."""
    rows = samples * BATCH
    encoder, decoder = (PIXELS, LATENTS), (LATENTS, PIXELS)
    found = [(BATCH, *encoder), (encoder[0], BATCH, encoder[1])]
    found += [(rows, *decoder), (decoder[0], rows, decoder[1])]
    if name in MORE:
        found.append((MORE[name] * BATCH, *decoder))
    if REGISTRY[name].gradients(samples, LATENTS):
        found.append((rows, decoder[1], decoder[0]))
    if name == "rodeo":
        points, units = samples * (samples - 1) * BATCH * (LATENTS + 1), Stein.UNITS
        found += [(points, 2, units), (points, units, 2), (points, 2, units)]
        found += [(2, points, units), (units, points, 2)]
    return found


class Floor:
    """The products alone; `floor(steps)` does them so many times, each by the faster routine."""

    def __init__(self, name, samples):
        self.calls = []
        for rows, inner, columns in products(name, samples):
            left, right = torch.randn(rows, inner), torch.randn(inner, columns)
            if is_large(left, columns):
                self.calls.append(partial(one, left, right.T))
            else:
                out = torch.empty(rows, columns)
                self.calls.append(partial(torch.mm, left, right, out=out))

    def __call__(self, steps):
        for _ in range(steps):
            for call in self.calls:
                call()


class Several(Training):
    """A training whose noise has as many rows an image as the estimator takes samples."""

    def restart(self, block):
        super().restart(block)
        run, spec = self.run, self.run.spec_of(self.run.estimator)
        rows = load_estimator(run.estimator).samples(spec) * run.batch
        self.noise.shape = (block, 1, rows, run.latents)


def training(name, samples, images):
    """The package's own training of this variant."""
    run = settings("linear1", "reinforce")
    run = replace(run, estimator=name, spec=replace(run.spec, samples=samples))
    trainer = Trainer(run, images)
    return Several(run, images, lambda step, x, noise: trainer.step(step + 1, x, noise))


def measure(repeats, rounds, seconds, count):
    """The table: a row a variant, as in `bench.csv`, with `to_reinforce_floor`."""
    images, runs = synthetic_images(count), {}
    for variant in variants(COMPARED, SAMPLES):
        runs["package", variant] = training(*variant, images)
        runs["floor", variant] = Floor(*variant)
    steps = {name: slice_steps(run, seconds) for name, run in runs.items()}
    with CoreShare() as core:
        turns = [timed_rounds(runs, steps, rounds) for _ in range(repeats)]
    times, rows = pd.concat(turns, ignore_index=True), []
    for variant in variants(COMPARED, SAMPLES):
        own, floor = times[("package", variant)], times[("floor", variant)]
        per_second, low, high = rate(own, repeats)
        row = {"model": "linear1", **variant._asdict(), "per_second": per_second}
        rows.append(row | {"low": low, "high": high, "to_floor": ratio(own, floor)})
    table = pd.DataFrame(rows)
    first = table.to_floor[table.estimator == "reinforce"].item()
    table = table.assign(to_reinforce_floor=table.to_floor / first, core_share=core.share)
    return with_machine(table)


def markdown(table):
    """The table, and whether the goal is met."""
    shown = table[["estimator", "samples", "per_second", "to_floor", "to_reinforce_floor"]]
    missed = table[table.to_reinforce_floor > WORSE]
    names = ", ".join(f"{row.estimator} (K = {row.samples})" for row in missed.itertuples())
    goal = f"Time over floor at most {WORSE:g} times REINFORCE's: "
    text = rounded(shown, digits=3).to_markdown(index=False, disable_numparse=True)
    return f"{text}\n\n{goal}{'met' if missed.empty else f'not met by {names}'}"


def _measured(quick):
    table = measure(1, 1, 0.005, 240) if quick else measure(3, 4, 0.1, 6000)
    return table, markdown(table)


if __name__ == "__main__":
    command("Estimators of several samples, and their floors.", "bench_estimators", _measured)
