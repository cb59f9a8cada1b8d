"""A step of structure learning with a hundred seeds side by side, against that of one seed.

    python benchmarks/structure_seeds.py [--quick]

On Sachs's table, eight evaluations a step, one thread: for every estimator of the experiment and
both kinds of latents, how long a step takes with 1 and with 100 seeds, timed in turn in one
process; and how long it takes with 100 to draw the step's uniform numbers, and nothing else. It
writes `bench_structure.csv` and `.md` into `results/tables`. Its goal: a hundred seeds take at most
five times as long as one.

Seconds are of the processor, so that others who compute on the same core count for little.
"""

import time
from functools import partial

import numpy as np
import pandas as pd
from command import command, with_machine
from timing import ratio

from relax.experiments.structure.latents import LATENTS
from relax.experiments.structure.problem import DATA, load_problem
from relax.experiments.structure.training import DTYPE, Descent, Run, StructureSettings
from relax.presentation.common import label
from relax.runs.memory import keep_freed_memory
from relax.runs.misfits import structure_latents
from relax.surrogates.base import SurrogateSpec

COMPARED = ("reinforce", "rloo", "arms", "relax", "concrete", "rebar", "reinmax")
SEEDS = 100
GOAL = 5.0  # times one seed's step
SURROGATE = SurrogateSpec(
    samples=8, dtype=DTYPE, hidden=(50,), activation="tanh", squash=True, temperature=0.5
)


class Steps:
    """Called with a number of steps, it does them, and says how many seconds each took."""

    def __init__(self, problem, kind, estimator, seeds):
        settings = StructureSettings(estimator, range(seeds), {DATA: [kind]}, spec=SURROGATE)
        run = Run(settings, problem, kind)
        self.descent, self.other_noise, self.done = Descent(run), run.noise("noise"), 0

    def __call__(self, steps):
        return self.timed(self.descent.step, steps)

    def draw(self, steps):
        """The same of the step's noise alone."""
        return self.timed(self.other_noise, steps)

    def timed(self, work, steps):
        started = time.process_time()
        for number in range(self.done, self.done + steps):  # whole blocks of noise
            work(number)
        self.done += steps
        return (time.process_time() - started) / steps


def measure(estimators, rounds, seconds):
    """The table: a row an estimator and kind of latents, microseconds a step and their ratio."""
    problem, rows = load_problem(DATA, None, "log"), []
    for kind in LATENTS:
        for name in estimators:
            if not structure_latents(name, [kind]):
                continue
            sizes = [Steps(problem, kind, name, seeds) for seeds in (1, SEEDS)]
            # Slices of the same length: the first warms up.
            steps = [max(20, 20 * round(seconds / (20 * each(20)))) for each in sizes]
            turns = [partial(each, n) for each, n in zip(sizes, steps, strict=True)]
            turns.append(partial(sizes[-1].draw, steps[-1]))
            one, many, drawn = np.array([[turn() for turn in turns] for _ in range(rounds)]).T
            row = {"latents": kind, "estimator": name, "seeds": SEEDS, "ratio": ratio(many, one)}
            row |= {"one": 1e6 * np.median(one), "all": 1e6 * np.median(many)}
            rows.append(row | {"drawing": 1e6 * np.median(drawn)})
    return with_machine(pd.DataFrame(rows))


def markdown(table):
    """The table for people, and whether the goal is met."""
    shown = pd.DataFrame(
        {
            "latents": table.latents,
            "estimator": table.estimator.map(label),
            "one seed, μs a step": table.one.map("{:,.0f}".format),
            f"{SEEDS} seeds, μs a step": table["all"].map("{:,.0f}".format),
            "ratio": table.ratio.map("{:.1f}".format),
            "of it noise, μs": table.drawing.map("{:,.0f}".format),
        }
    )
    missed = table[table.ratio > GOAL]
    names = ", ".join(f"{label(row.estimator)} ({row.latents})" for row in missed.itertuples())
    text = shown.to_markdown(index=False, disable_numparse=True)
    goal = f"A step of {SEEDS} seeds takes at most {GOAL:g} times that of one: "
    return f"{text}\n\n{goal}{'met' if missed.empty else f'not met by {names}'}"


def _measured(quick):
    keep_freed_memory()  # as every job of the pipeline does
    table = measure(("rloo",), 1, 0.001) if quick else measure(COMPARED, 15, 0.1)
    return table, markdown(table)


if __name__ == "__main__":
    command("A hundred seeds of structure learning beside one.", "bench_structure", _measured)
