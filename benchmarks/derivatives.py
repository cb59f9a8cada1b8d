"""What the derivatives that are written out are worth: `python benchmarks/derivatives.py [ROUNDS]`.

RELAX's step on linear1, one seed, plain and compiled, each with the closed forms
(`relax.surrogates.closed_forms`) and with the formula by automatic differentiation alone. Processor
time in µs; medians of slices in turn, ratios to the compiled step with closed forms within a round.
It prints the rows of `docs/tables/compiled/derivatives.csv`.
"""

import sys
import time
from contextlib import contextmanager, nullcontext

import pandas as pd
from cases import package_training, synthetic_images, use_one_thread

from relax.surrogates.base import Sum, Surrogate
from relax.surrogates.network import Network
from relax.surrogates.relaxed_cost import RelaxedCost

STEPS = 25
WAYS = {"written out": nullcontext}


@contextmanager
def automatic():
    """In a `with` block no surrogate has a closed form, and the tape takes every derivative."""
    kept = [(kind, kind.closed_form, kind.value_and_slope) for kind in (Sum, Network, RelaxedCost)]
    for kind, _, value_and_slope in kept:
        kind.closed_form = Surrogate.closed_form
        kind.value_and_slope = Surrogate.value_and_slope if kind is Network else value_and_slope
    try:
        yield
    finally:
        for kind, closed_form, value_and_slope in kept:
            kind.closed_form, kind.value_and_slope = closed_form, value_and_slope


WAYS["automatic"] = automatic


def main(rounds=15):
    use_one_thread()
    images, runs = synthetic_images(), {}
    for derivatives, way in WAYS.items():
        for step in ("plain", "compiled"):
            run = package_training("linear1", "relax", images, step == "compiled")
            with way():
                run(STEPS)  # compiles, where it is to be
            runs[step, derivatives] = run
    rows = []
    for _ in range(rounds):
        row = {}
        for (step, derivatives), run in runs.items():
            start = time.process_time()
            with WAYS[derivatives]():
                run(STEPS)
            row[step, derivatives] = (time.process_time() - start) / STEPS
        rows.append(row)
    times = pd.DataFrame(rows)
    best = times["compiled", "written out"]
    table = [
        {
            "step": step,
            "derivatives": derivatives,
            "us": round(1e6 * times[step, derivatives].median()),
            "ratio": round((times[step, derivatives] / best).median(), 2),
        }
        for step, derivatives in runs
    ]
    print(pd.DataFrame(table).to_csv(index=False), end="")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
