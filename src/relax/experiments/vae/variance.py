"""Every estimator's gradient variance, measured at the same checkpoints of one trained model.

At each checkpoint the model is frozen, and each estimator's surrogate is tuned there until its
variance is flat (`frozen.py` beside this), on the same minibatches and noise: λ and η from where
the checkpoint has them, networks from where they stood at the checkpoint before. Then the variance
is measured on fresh noise, the same for every estimator. Where a row says `flat`, the curves differ
by the estimator alone; where it does not, by how fast its surrogate learns too.

At the last checkpoint all is done a second time with the other choice for the direct term ∂f/∂θ, so
that like can be compared with like: most of Concrete's variance is that term's, which the others'
control variates absorb.
"""

from dataclasses import dataclass

import pandas as pd

from relax.experiments.vae.frozen import FrozenRun, standing
from relax.experiments.vae.trainer import VAESettings
from relax.runs.jobs import say
from relax.runs.progress import Progress
from relax.runs.settings import collect
from relax.runs.tables import labelled

COLUMNS = ["direct_term", "estimator", "seed", "step", "encoder_variance", "logit_variance"]
COLUMNS += ["updates", "flat", "fall"]


@dataclass(frozen=True)
class MeasureSettings:
    """`vae.variance` in config.yaml."""

    estimators: tuple[str, ...]
    tuning_block: int = 100
    tuning_steps: int = 1000
    minibatches: int = 10
    draws: int = 100

    @classmethod
    def of(cls, params):
        """From a workflow rule's params."""
        return collect(cls, {}, params, beside=[VAESettings])


def measure_variance(settings, measure, images, checkpoints, log=None, device="cpu"):
    """The variance of every estimator in `measure.estimators` at every checkpoint.

    Args:
        settings: `VAESettings` of the run that wrote the checkpoints.
        measure: `MeasureSettings`.
        images: `Images`.
        checkpoints: paths, in the order of their steps.
        device: where to compute.

    Returns:
        A tidy table, one row an estimator, seed and checkpoint: dataset, model, trajectory (the
        estimator whose training wrote the checkpoints), learning_rate, noise, direct_gradient,
        direct_term (whether the measured estimates have the direct term), estimator, seed, step,
        encoder_variance, logit_variance (empty where tuning a surrogate left the finite numbers),
        and of the tuning: updates, flat, fall (`Tuning`). A seed that diverged before the last
        checkpoint has no rows.

    Raises:
        DataError: a checkpoint cannot be read or is of another model.
    """
    rows = []
    labels = trajectory_labels(settings)
    settings, places = standing(settings, *checkpoints)
    if not places:
        say("every seed has diverged: there is nothing to measure, and the table is empty", log)
        return pd.DataFrame(columns=[*labels, *COLUMNS])
    title = f"variance {settings.dataset} {settings.model} on {settings.estimator}'s trajectory"
    plan = (measure.tuning_block, measure.tuning_steps, measure.minibatches)
    with Progress(title, len(measure.estimators) * (len(checkpoints) + 1), log) as bar:

        def add(frozen, step):
            tuning = frozen.tune_until_flat(*plan)
            of = {"direct_term": frozen.direct, "estimator": frozen.name}
            table, note = frozen.measure(measure, step, **of)
            rows.append(table.assign(**tuning.columns))
            state = "flat" if tuning.flat.all() else "not flat"
            bar.advance(note=f"{frozen.name} {note}, {state}")

        for name in measure.estimators:
            frozen = FrozenRun(settings, images, name, device, places)
            for path in checkpoints:
                step = frozen.load(path)
                add(frozen, step)
            frozen.direct = not settings.direct_gradient
            frozen.restart_optimizer()
            add(frozen, step)
    return labelled(pd.concat(rows, ignore_index=True), **labels)


def trajectory_labels(settings):
    """The columns that name the run which wrote the checkpoints; `trajectory` is its estimator."""
    return {
        "trajectory" if name == "estimator" else name: value
        for name, value in settings.labels.items()
    }
