"""A VAE's training stopped halfway: from there only the variance of the gradient is optimised.

The experiment that the draft asks for. The model of one checkpoint stands still; REBAR descends its
variance over (λ, η), RELAX over its network, alone and added to REBAR's relaxation, and NVIL fits
its baseline. All see the same minibatches and the same noise, in tuning and in measuring, and start
from one point: λ and η as the checkpoint has them (where REBAR wrote it; else as configured), and
networks whose last layer is zero, so that RELAX with both parts starts where REBAR does, and the
network alone where REINFORCE does.

Then the gradients themselves are compared (`comparison.py`), of these and of the other estimators,
and what earlier estimators assume of the cost is measured (`assumptions.py`).
"""

from dataclasses import dataclass

import pandas as pd

from relax.experiments.vae.assumptions import assumptions
from relax.experiments.vae.comparison import compare, many_sample_gradient
from relax.experiments.vae.frozen import FrozenRun, standing
from relax.experiments.vae.trainer import VAESettings
from relax.experiments.vae.variance import trajectory_labels
from relax.runs.jobs import say
from relax.runs.progress import Progress
from relax.runs.settings import collect
from relax.runs.tables import labelled

# Estimator, what its surrogate is made of, and the settings that make it so. REBAR first: its
# gradient, averaged over many draws, is what the others' are compared with.
CONTESTANTS = (
    ("rebar", "relaxed cost", {}),
    ("relax", "network", {"add_relaxed_cost": False}),
    ("relax", "relaxed cost + network", {"add_relaxed_cost": True}),
    ("nvil", "baseline", {}),
)
# Of these the gradients are compared too; their variance is not followed.
OTHERS = (
    ("reinforce", "nothing", {}),
    ("muprop", "expansion at the mean", {}),
    ("concrete", "relaxed cost, λ fixed", {}),
)
# Of the three tables, after the labels of the trajectory.
COLUMNS = {
    "midtraining": [*("checkpoint", "estimator", "surrogate", "seed", "step"),
                    *("encoder_variance", "logit_variance")],
    "gradients": [*("checkpoint", "estimator", "surrogate", "seed"),
                  *("cosine", "relative_error", "squared_bias")],
    "assumptions": ["checkpoint", "estimator", "seed", "share"],
}  # fmt: skip
REFERENCE = 10  # times as many draws behind the gradient that the others are compared with


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


def halfway(settings, plan, images, path, log=None, device="cpu"):
    """Tune every contestant at the checkpoint in `path`, and measure on the way.

    Args:
        settings: `VAESettings` of the run that wrote the checkpoint.
        plan: `MidtrainingSettings`.
        images: `Images`.
        device: where to compute.

    Returns:
        Three tidy tables by name, each with the columns dataset, model, trajectory (the estimator
        that wrote the checkpoint), learning_rate, noise, direct_gradient, checkpoint (its step),
        estimator and seed:

        - midtraining, one row a contestant, seed and measurement: surrogate, step (updates of φ),
          encoder_variance, logit_variance;
        - gradients, one row an estimator and seed, after the last update: surrogate, cosine,
          relative_error, squared_bias (`comparison.py`);
        - assumptions, one row an assumption and seed: estimator (whose it is), share of f's
          variance (`assumptions.py`).

        A seed that diverged before the checkpoint has no rows; what tuning a surrogate took out of
        the finite numbers is empty.

    Raises:
        DataError: a checkpoint cannot be read or is of another model.
    """
    who = trajectory_labels(settings)
    settings, places = standing(settings, path)
    if not places:
        say("every seed has diverged: there is nothing to measure, and the tables are empty", log)
        return {name: pd.DataFrame(columns=[*who, *columns]) for name, columns in COLUMNS.items()}
    steps = [round(plan.tuning_steps * part / plan.measurements)
             for part in range(plan.measurements + 1)]  # fmt: skip
    curves, gradients, shares, reference = [], [], [], None
    seeds = {"seed": list(settings.seeds)}
    title = f"midtraining {settings.dataset} {settings.model}"
    with Progress(title, len(CONTESTANTS) * len(steps) + len(OTHERS), log) as bar:
        for contestant in (*CONTESTANTS, *OTHERS):
            name, made_of, changed = contestant
            frozen = FrozenRun(settings, images, name, device, places, **changed)
            checkpoint = frozen.load(path)
            labels = {"checkpoint": checkpoint, "estimator": name, "surrogate": made_of}
            for step in steps if contestant in CONTESTANTS else ():
                frozen.tune(step - frozen.done)
                table, note = frozen.measure(plan, step, **labels)
                curves.append(table)
                bar.advance(note=f"{name} ({made_of}) {note}")
            if contestant in OTHERS:
                frozen.tune(plan.tuning_steps)
                bar.advance(note=f"{name} ({made_of})")
            if reference is None:
                draws = REFERENCE * plan.draws
                reference = many_sample_gradient(frozen, plan.minibatches, draws)
                for whose, share in assumptions(frozen, plan.minibatches, plan.draws).items():
                    row = {"checkpoint": checkpoint, "estimator": whose, **seeds, "share": share}
                    shares.append(pd.DataFrame(row))
            compared = compare(frozen, reference, plan.draws)
            gradients.append(pd.DataFrame({**labels, **seeds, **compared}))
    tables = {"midtraining": curves, "gradients": gradients, "assumptions": shares}
    return {
        name: labelled(pd.concat(rows, ignore_index=True), **who) for name, rows in tables.items()
    }
