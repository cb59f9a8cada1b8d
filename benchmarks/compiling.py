"""What the compiled step (`vae.compile`) saves, and what the compiling costs.

    python benchmarks/compiling.py [--quick] [--cases linear1/relax/3,...] [--folder results/tables]

It writes `compiled.csv`, a row a case (model, estimator, seeds side by side): each VAE job of the
default preset, and one seed of what the peers have; with JAX where `JAX_PYTHON` names it
(`jax_contestant.py`). Contestants take slices in turn. The machine may be
shared: seconds are those of the processor, and ratios the medians over rounds. Columns:

- first_seconds: processor time from the start of training to the end of its first step where the
  compiler's cache is empty, with that of the C++ compiler; again_seconds: where another process has
  filled it; plain_seconds: of the plain step. Python's and the package's imports are not in them.
- plain_us, compiled_us: processor time of a step; speed_up: the ratio of the two.
- to_floor: the compiled step over its matrix products alone; one seed only.
- over_jax: the peer's time over the compiled step's, by the clock; one seed of linear1 only.
- even_first, even_again: steps after which the compiling is repaid, with the cache empty or filled.
- job_plain, job_first, job_again: seconds of a job of the default preset, with its steps, likewise.
- hours_plain, hours_first of 100,000 and of 2,000,000 steps, compiling included: arithmetic from
  the columns before, evaluation left out.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import yaml
from cases import BATCH, package_training, synthetic_images, use_one_thread
from floor import Floor
from jax_contestant import ESTIMATORS as OF_JAX
from jax_contestant import JaxPeer, python

from relax.numerics.compiled import missing
from relax.runs.machine import machine
from relax.runs.tables import write_table

DEFAULT = yaml.safe_load((Path(__file__).parents[1] / "config.yaml").read_text("utf-8"))["vae"]
JOBS = [
    f"{m}/{e}/{DEFAULT['seeds_per_job']}" for m in DEFAULT["models"] for e in DEFAULT["estimators"]
]
ALONE = [f"{m}/{e}/1" for m in DEFAULT["models"] for e in OF_JAX]
RUNS = (100_000, 2_000_000)
SMALL = {"batch": 4, "latents": 6, "surrogate": {"hidden": (5, 5)}}


def processor_time():
    """Of this process and of those that it has waited for."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def training(case, compiled, quick):
    model, name, seeds = case.split("/")
    changed = {"seeds": range(int(seeds))} | (SMALL if quick else {})
    return package_training(model, name, synthetic_images(240), compiled, **changed)


def start(case, compiled, quick):
    """Seconds of processor time to the end of the first step."""
    use_one_thread()
    training(case, False, quick)  # what any first training of a process sets up is not counted
    before = processor_time()
    training(case, compiled, quick)(1)
    return processor_time() - before


def start_elsewhere(case, compiled, quick, cache):
    """The same in a process of its own, with this folder for the compiler's cache."""
    command = [sys.executable, __file__, "--start", case, "--compiled", str(int(compiled))]
    surroundings = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(cache)}
    done = subprocess.run(
        command + ["--quick"] * quick, env=surroundings, check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def rounds(contestants, steps, count):
    """Seconds a step: of the processor, or by the clock for who computes elsewhere."""
    rows = []
    for number in range(count):
        row = {}
        for name in list(contestants)[:: -1 if number % 2 else 1]:
            clock, used = time.perf_counter(), time.process_time()
            contestants[name](steps)
            row[name] = (time.process_time() - used) / steps
            row[name, "clock"] = (time.perf_counter() - clock) / steps
        rows.append(row)
    return pd.DataFrame(rows)


def measure(case, quick, jax, count):
    """A row of the table."""
    model, name, seeds = case.split("/")
    with tempfile.TemporaryDirectory() as cache:
        row = {
            "first_seconds": start_elsewhere(case, True, quick, cache),
            "again_seconds": start_elsewhere(case, True, quick, cache),
            "plain_seconds": start_elsewhere(case, False, quick, cache),
        }
    contestants = {
        kind: training(case, kind == "compiled", quick) for kind in ("plain", "compiled")
    }
    if seeds == "1" and not quick:
        contestants["floor"] = Floor(model, name, BATCH)
        if jax and model == "linear1" and name in OF_JAX:
            contestants["jax"] = JaxPeer(jax, name)
    for run in contestants.values():
        run(20)
    times = rounds(contestants, 30, count)
    plain, program = times["plain"].median(), times["compiled"].median()
    row |= {"plain_us": 1e6 * plain, "compiled_us": 1e6 * program}
    row["speed_up"] = (times["plain"] / times["compiled"]).median()
    if "floor" in contestants:
        row["to_floor"] = (times["compiled"] / times["floor"]).median()
    if "jax" in contestants:
        row["over_jax"] = (times["jax", "clock"] / times["compiled", "clock"]).median()
        contestants["jax"].close()
    for kind in ("first", "again"):
        cost = row[f"{kind}_seconds"] - row["plain_seconds"]
        row[f"even_{kind}"] = cost / (plain - program) if plain > program else float("inf")
    for kind, step in (("plain", plain), ("first", program), ("again", program)):
        if case in JOBS:
            row[f"job_{kind}"] = row[f"{kind}_seconds"] + step * DEFAULT["steps"]
    for steps in RUNS:
        row[f"hours_plain_{steps}"] = (row["plain_seconds"] + plain * steps) / 3600
        row[f"hours_first_{steps}"] = (row["first_seconds"] + program * steps) / 3600
    return {"model": model, "estimator": name, "seeds": int(seeds)} | row


def main(arguments=None):
    parser = argparse.ArgumentParser(description="What the compiled step saves and costs.")
    parser.add_argument("--quick", action="store_true", help="small: does all of it work?")
    parser.add_argument("--cases", default=",".join([*ALONE, *JOBS]))
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--folder", default="results/tables")
    parser.add_argument("--start", help=argparse.SUPPRESS)
    parser.add_argument("--compiled", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.start:
        print(json.dumps(start(chosen.start, bool(chosen.compiled), chosen.quick)))
        return
    if lacks := missing():
        sys.exit(f"nothing can be compiled here: {lacks}")
    use_one_thread()
    jax = python()
    path = Path(chosen.folder) / "compiled.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    for case in chosen.cases.split(","):
        rows.append(measure(case, chosen.quick, jax, 2 if chosen.quick else chosen.rounds))
        write_table(pd.DataFrame(rows).assign(machine=machine()), path)
        print(pd.Series(rows[-1]).to_string(), flush=True)


if __name__ == "__main__":
    main()
