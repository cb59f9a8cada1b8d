"""How fast the VAEs train: every estimator on every model, beside its floor and the reference."""

import pandas as pd
from cases import BATCH, ESTIMATORS, MODELS, Training, package_training, settings, synthetic_images
from floor import Floor
from jax_contestant import ESTIMATORS as OF_JAX
from jax_contestant import JaxPeer
from matching import start_alike
from reference import Reference
from timing import CoreShare, rate, ratio, slice_steps, timed_rounds
from unstacked import Unstacked

from relax.experiments.vae.trainer import Trainer
from relax.numerics.streams import Noise

# What is timed without the replica axis as well, on linear1; and compiled, on every model.
UNSTACKED = COMPILED = ("reinforce", "rebar", "relax")


def reference_training(model, estimator, images):
    """The reference's `Training`, from the package's initial parameters."""
    run = settings(model, estimator)
    reference = Reference(run, images)
    start_alike(reference, Trainer(run, images))
    return Training(run, images, lambda _, x, noise: reference.step(x[0], noise.u[0]))


def unstacked_training(estimator, images):
    """The `Training` of `linear1` without the replica axis."""
    run = settings("linear1", estimator)
    unstacked = Unstacked(Trainer(run, images))

    def update(step, x, noise):
        unstacked.step(step + 1, x[0], Noise(noise.u[0]))

    return Training(run, images, update)


def contestants(model, images, compiled=COMPILED, jax=None):
    """What is timed side by side: by (kind, estimator), a function of a number of steps.

    Args:
        compiled: estimators whose step is compiled as well.
        jax: an interpreter that has JAX, for the peer on linear1; or None.
    """
    found = {}
    for estimator in ESTIMATORS:
        found["package", estimator] = package_training(model, estimator, images)
        if estimator in compiled:
            found["compiled", estimator] = package_training(model, estimator, images, True)
        if model == "linear1" and estimator in OF_JAX and jax:
            found["jax", estimator] = JaxPeer(jax, estimator)
        if model == "linear1" and estimator in UNSTACKED:
            found["unstacked", estimator] = unstacked_training(estimator, images)
        found["floor", estimator] = Floor(model, estimator, BATCH)
        found["reference", estimator] = reference_training(model, estimator, images)
    return found


def time_models(repeats, rounds, seconds, images, compiled=None, jax=None):
    """Seconds a step by model: tables with a row a round, and a column a contestant.

    The models take turns, so that the repeats of each are minutes apart.

    Args:
        repeats: times that each model has its turn.
        rounds: of each turn.
        seconds: about how long a slice takes.
        compiled: by model, the estimators whose step is compiled as well; None: `COMPILED`.
        jax: as in `contestants`.
    """
    compiled = dict.fromkeys(MODELS, COMPILED) if compiled is None else compiled
    runs = {model: contestants(model, images, compiled.get(model, ()), jax) for model in MODELS}
    steps = {
        model: {name: slice_steps(run, seconds) for name, run in those.items()}
        for model, those in runs.items()
    }
    turns = {model: [] for model in MODELS}
    for repeat in range(repeats):
        for model in MODELS:
            print(f"repeat {repeat + 1} of {repeats}: {model}", flush=True)
            turns[model].append(timed_rounds(runs[model], steps[model], rounds))
    for run in (run for those in runs.values() for run in those.values()):
        if hasattr(run, "close"):
            run.close()
    return {model: pd.concat(tables, ignore_index=True) for model, tables in turns.items()}


def vae_table(times, repeats):
    """A row a model and estimator; the columns are explained in `bench.py`."""
    rows = []
    for model, seconds in times.items():
        for estimator in ESTIMATORS:
            own = seconds["package", estimator]
            reference = seconds["reference", estimator]
            per_second, low, high = rate(own, repeats)
            row = {"model": model, "estimator": estimator, "replicas": 1}
            row |= {"per_second": per_second, "low": low, "high": high}
            row["to_reinforce"] = ratio(own, seconds["package", "reinforce"])
            row["to_floor"] = ratio(own, seconds["floor", estimator])
            row["reference_per_second"], _, _ = rate(reference, repeats)
            row["speed_up"] = ratio(reference, own)
            row |= beside(seconds, estimator, repeats)
            rows.append(row)
    return pd.DataFrame(rows)


def beside(seconds, estimator, repeats):
    """The columns of what is timed for some rows only; NaN in the others."""
    own, nothing = seconds["package", estimator], float("nan")
    found = {kind: seconds.get((kind, estimator)) for kind in ("compiled", "jax", "unstacked")}
    program, jax = found["compiled"], found["jax"]

    def over(above, below):
        return nothing if above is None or below is None else ratio(above, below)

    return {
        "to_unstacked": over(own, found["unstacked"]),
        "compiled_per_second": nothing if program is None else rate(program, repeats)[0],
        "compiled_speed_up": over(own, program),
        "compiled_to_floor": over(program, seconds["floor", estimator]),
        "jax_per_second": nothing if jax is None else rate(jax, repeats)[0],
        "compiled_over_jax": over(jax, program),
    }


def vae_speed(repeats, rounds, seconds, image_count, compiled=None, jax=None):
    """`vae_table` of a new measurement."""
    images = synthetic_images(image_count)
    with CoreShare() as core:
        times = time_models(repeats, rounds, seconds, images, compiled, jax)
    return vae_table(times, repeats).assign(core_share=core.share)
