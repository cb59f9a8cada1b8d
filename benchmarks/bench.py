"""How fast the package trains: `make bench`, or `python benchmarks/bench.py [--quick]`.

It writes `bench.csv` and `bench.md` into `results/tables`, prints the latter, and ends with the
goals. One thread throughout; a machine that does nothing else gives the steadiest numbers.

Columns of `bench.csv`, a row a model (or "toy", or "front door"), estimator and number of replicas:

- per_second, low, high: updates a second, of all replicas together; the median over all slices of
  time, and the range of the repeats' medians.
- to_reinforce: time of an update over that of REINFORCE on the same model.
- to_floor: the same over the time of its matrix products alone (`floor.py`).
- reference_per_second, speed_up: updates a second of the eager PyTorch of `reference.py`, which
  computes the same, and its time over the package's.
- to_unstacked: time over that of the same formulas without the replica axis (`unstacked.py`).
- to_inner: time of a step through `relax.Expectation` over that by inner functions
  (`front_door.py`).
- compiled_per_second, compiled_speed_up, compiled_to_floor: updates a second of the compiled step
  (`vae.compile`), the plain step's time over its own, and its own over the floor.
- jax_per_second, compiled_over_jax: updates a second of the peer in JAX (`jax_peer.py`), and its
  time over the compiled step's; empty where `JAX_PYTHON` names no environment with JAX.
- memory_mib, peak_memory_mib: what a training adds to a process that has all code loaded, and the
  whole process's peak, interpreter and torch included (`memory.py`).
- core_share: how much of a core the process had while the VAEs were timed; less than about 1 means
  that others were computing too.
- noise, batch, latents, pixels, machine, torch, threads: what was run, and where.
"""

from dataclasses import dataclass, field

import pandas as pd
from cases import BATCH, ESTIMATORS, LATENTS, MODELS, PIXELS
from command import command, with_machine
from front_door import front_door
from jax_contestant import python
from memory import memory
from report import markdown
from toy_speed import REPLICAS, toy_speed
from vae_speed import COMPILED, vae_speed

from relax.runs.tables import labelled


@dataclass(frozen=True)
class Scale:
    """How much is measured: `FULL` is for numbers, `QUICK` shows in seconds that all works."""

    repeats: int
    rounds: int
    seconds: float  # of a slice
    images: int
    memories: int  # how many of the table's rows have their memory measured
    toy_repeats: int
    toy_steps: int
    replicas: tuple[int, ...] = REPLICAS
    # By model, the estimators whose step is compiled as well.
    compiled: dict = field(default_factory=lambda: dict.fromkeys(MODELS, COMPILED))


FULL = Scale(5, 4, 0.2, 6000, len(MODELS) * len(ESTIMATORS), toy_repeats=3, toy_steps=1000)
QUICK = Scale(1, 1, 0.005, 240, 1, toy_repeats=1, toy_steps=100, replicas=(1, 10), compiled={})


def measure(scale):
    """The whole table."""
    how = (scale.repeats, scale.rounds, scale.seconds, scale.images)
    vae = vae_speed(*how, scale.compiled, python())
    print("memory", flush=True)
    few = vae.head(scale.memories)
    found = [memory(*pair) for pair in zip(few.model, few.estimator, strict=True)]
    added, peak = (pd.Series(values, few.index) for values in zip(*found, strict=True))
    vae = vae.assign(memory_mib=added, peak_memory_mib=peak)
    vae = vae.assign(noise="coupled", batch=BATCH, latents=LATENTS, pixels=PIXELS)
    print("toy", flush=True)
    toy = toy_speed(scale.toy_repeats, scale.replicas, scale.toy_steps)
    toy = labelled(toy, model="toy").assign(noise="independent", batch=1, latents=1)
    print("front door", flush=True)
    door = front_door(scale.repeats, scale.rounds, scale.seconds)
    door = labelled(door, model="front door").assign(noise="coupled", batch=BATCH)
    door = door.assign(latents=LATENTS, pixels=PIXELS)
    return with_machine(pd.concat([vae, toy, door], ignore_index=True))


def _measured(quick):
    table = measure(QUICK if quick else FULL)
    return table, markdown(table, quick)


if __name__ == "__main__":
    command("How fast the package trains.", "bench", _measured)
