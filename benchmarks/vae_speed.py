"""How fast the VAEs train: every estimator on every model, beside its floor and the reference."""

import pandas as pd
from cases import BATCH, ESTIMATORS, MODELS, Training, package_training, settings, synthetic_images
from floor import Floor
from matching import start_alike
from reference import Reference
from timing import CoreShare, rate, ratio, slice_steps, timed_rounds
from unstacked import Unstacked

from relax.experiments.vae.trainer import Trainer
from relax.numerics.streams import Noise

# What is timed without the replica axis as well, on linear1.
UNSTACKED = ("reinforce", "rebar", "relax")


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


def contestants(model, images):
    """What is timed side by side: by (kind, estimator), a function of a number of steps."""
    found = {}
    for estimator in ESTIMATORS:
        found["package", estimator] = package_training(model, estimator, images)
        if model == "linear1" and estimator in UNSTACKED:
            found["unstacked", estimator] = unstacked_training(estimator, images)
        found["floor", estimator] = Floor(model, estimator, BATCH)
        found["reference", estimator] = reference_training(model, estimator, images)
    return found


def time_models(repeats, rounds, seconds, images):
    """Seconds a step by model: tables with a row a round, and a column a contestant.

    The models take turns, so that the repeats of each are minutes apart.

    Args:
        repeats: times that each model has its turn.
        rounds: of each turn.
        seconds: about how long a slice takes.
    """
    runs = {model: contestants(model, images) for model in MODELS}
    steps = {
        model: {name: slice_steps(run, seconds) for name, run in those.items()}
        for model, those in runs.items()
    }
    turns = {model: [] for model in MODELS}
    for repeat in range(repeats):
        for model in MODELS:
            print(f"repeat {repeat + 1} of {repeats}: {model}", flush=True)
            turns[model].append(timed_rounds(runs[model], steps[model], rounds))
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
            if ("unstacked", estimator) in seconds:
                row["to_unstacked"] = ratio(own, seconds["unstacked", estimator])
            else:
                row["to_unstacked"] = float("nan")
            rows.append(row)
    return pd.DataFrame(rows)


def vae_speed(repeats, rounds, seconds, image_count):
    """`vae_table` of a new measurement."""
    images = synthetic_images(image_count)
    with CoreShare() as core:
        times = time_models(repeats, rounds, seconds, images)
    return vae_table(times, repeats).assign(core_share=core.share)
