"""A VAE's training stopped halfway: from there only the variance of the gradient is optimised.

The experiment that the draft asks for. The model of one checkpoint stands still; REBAR descends its
variance over (λ, η), RELAX over its network, alone and added to REBAR's relaxation, and NVIL fits
its baseline. All see the same minibatches and the same noise, in tuning and in measuring, and start
from one point: λ and η as the checkpoint has them (where REBAR wrote it; else as configured), and
networks whose last layer is zero, so that RELAX with both parts starts where REBAR does, and the
network alone where REINFORCE does.
"""

from dataclasses import dataclass

import pandas as pd

from relax.experiments.vae.trainer import VAESettings
from relax.experiments.vae.variance import FrozenRun, load_model, trajectory_labels
from relax.runs.progress import progress
from relax.runs.settings import collect
from relax.runs.tables import labelled
from relax.surrogates.relaxed_cost import RelaxedCost

# Estimator, what its surrogate is made of, and the settings that make it so.
CONTESTANTS = (
    ("rebar", "relaxed cost", {}),
    ("relax", "network", {"add_relaxed_cost": False}),
    ("relax", "relaxed cost + network", {"add_relaxed_cost": True}),
    ("nvil", "baseline", {}),
)


@dataclass(frozen=True)
class MidtrainingSettings:
    """`vae.midtraining` in config.yaml."""

    tuning_steps: int = 2000
    measurements: int = 8
    minibatches: int = 10
    draws: int = 100

    @classmethod
    def of(cls, params):
        """From a workflow rule's params."""
        return collect(cls, {}, params, beside=[VAESettings])


def take_relaxations(surrogates, tensors):
    """Give relaxed costs the λ and η of the checkpoint's tensors, if REBAR wrote it."""
    for layer, surrogate in enumerate(surrogates):
        for module in surrogate.modules():
            if isinstance(module, RelaxedCost):
                prefix = f"surrogates.{layer}."
                names = [name for name, _ in module.named_parameters()]
                if all(prefix + name in tensors for name in names):
                    module.load_state_dict({name: tensors[prefix + name] for name in names})


def optimise_variance(settings, midtraining, images, path, log=None, device="cpu"):
    """Tune every contestant at the checkpoint in `path`, and measure on the way.

    Args:
        settings: `VAESettings` of the run that wrote the checkpoint.
        midtraining: `MidtrainingSettings`.
        images: `Images`.
        device: where to compute.

    Returns:
        A tidy table, one row a contestant, seed and measurement: dataset, model, trajectory (the
        estimator that wrote the checkpoint), learning_rate, noise, direct_gradient, checkpoint (its
        step), estimator, surrogate, seed, step (updates of φ), encoder_variance, logit_variance.

    Raises:
        DataError: the checkpoint cannot be read or is of another model.
        NonFiniteError: tuning a surrogate left the finite numbers.
    """
    parts = midtraining.measurements
    steps = [round(midtraining.tuning_steps * part / parts) for part in range(parts + 1)]
    rows = []
    title = f"midtraining {settings.dataset} {settings.model}"
    with progress(title, len(CONTESTANTS) * len(steps), log) as bar:
        for name, made_of, changed in CONTESTANTS:
            frozen = FrozenRun(settings, images, name, device, **changed)
            tensors = load_model(frozen.model, path)
            take_relaxations(frozen.surrogates, tensors)
            checkpoint = int(tensors["step"])
            labels = {"checkpoint": checkpoint, "estimator": name, "surrogate": made_of}
            for step in steps:
                frozen.tune(step - frozen.done)
                table, note = frozen.measure(midtraining, step, **labels)
                rows.append(table)
                bar.advance(note=f"{name} ({made_of}) {note}")
    return labelled(pd.concat(rows, ignore_index=True), **trajectory_labels(settings))
