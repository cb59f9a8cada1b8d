"""Every estimator at the same checkpoints of a discrete VAE, and on its multi-sample bound.

As figure 4 does it (`relax.experiments.vae.variance`): the model is frozen, φ is tuned there until
its variance is flat, and the minibatch gradient of the encoder is measured on fresh noise. Added is
the bias: the reference is the mean of local expectations (`relax.estimators.local_expectation`) on
the same minibatches, with noise of its own. The zero-mean part of ∂f/∂θ is left out of all, as the
newer papers do it; on the bound, where its mean is not zero, it is always there.

All numbers are means over the encoder's parameters.
"""

from dataclasses import dataclass, replace

import pandas as pd

from relax.errors import NonFiniteError
from relax.estimators.bound import on_bound
from relax.estimators.learning import learn_surrogates
from relax.estimators.registry import REGISTRY
from relax.experiments.benchmark.toys import seconds_table
from relax.experiments.benchmark.variants import Variant, on_the_bound, variants
from relax.experiments.vae.frozen import FrozenRun, RunningMoments, standing
from relax.experiments.vae.trainer import Minibatches, Trainer, VAESettings
from relax.runs.progress import Progress
from relax.runs.settings import collect
from relax.runs.tables import labelled

REFERENCE, NAN = Variant("local_expectation", 1), float("nan")


@dataclass(frozen=True)
class MeasureSettings:
    """`benchmark` in config.yaml, of the VAE."""

    estimators: tuple[str, ...]
    training: tuple[str, ...]
    bound: tuple[str, ...]
    samples: tuple[int, ...]
    tuning_block: int
    tuning_steps: int
    minibatches: int
    draws: int
    reference_draws: int
    timings: int

    @classmethod
    def of(cls, params):
        """From a workflow rule's params."""
        return collect(cls, {}, params, beside=[VAESettings])


class Frozen(FrozenRun):
    """A `FrozenRun` of a variant; on the bound of K samples if `bound` says K."""

    def __init__(self, settings, images, variant, device="cpu", rows=None, bound=None):
        spec = replace(settings.spec, samples=bound or variant.samples)
        settings = replace(settings, direct_gradient=False, spec=spec)
        super().__init__(settings, images, variant.estimator, device, rows)
        if bound and REGISTRY[variant.estimator].samples == (1, 0):
            self.estimator = on_bound(self.estimator)
            for name, purpose in (
                ("noise", "tuning"),
                ("fresh_noise", "variance"),
                ("look_noise", "tuning look"),
            ):
                setattr(self, name, settings.noise_stream(purpose, device, "vimco"))

    def moments(self, minibatches, draws, noise):
        """Of each minibatch the mean and the variance of the encoder's gradient."""
        found = []
        for minibatch in range(minibatches):
            x, moments = self.fixed_batches(minibatch), RunningMoments()
            for draw in range(draws):
                moments.add(self.gradient(x, noise(minibatch * draws + draw))[0])
            found.append((moments.mean, moments.variance))
        return found


def measure_vae(settings, measure, images, checkpoints, log=None, device="cpu"):
    """A row a variant, objective, seed and checkpoint.

    Columns: problem, noise, latents, relaxed, objective ("cost", or "bound of K"), estimator,
    samples, seed, checkpoint (its step), variance, squared_bias (empty on the bound), estimates (a
    minibatch), and of the tuning: updates, flat.

    Args:
        settings: `VAESettings` of the run that wrote the checkpoints.
        measure: `MeasureSettings`.
        checkpoints: paths, in the order of their steps.

    A seed that diverged before the last checkpoint has no rows. A variance that is not finite, as
    tuning left the finite numbers, is empty.

    Raises:
        NonFiniteError: every seed diverged.
    """
    settings, places = standing(settings, *checkpoints)
    if not places:
        raise NonFiniteError("every seed of the training that is to be measured has diverged")
    latents = settings.latents
    compared = {"cost": variants(measure.estimators, measure.samples, latents=latents)}
    compared |= {f"bound of {k}": on_the_bound(measure.bound, k) for k in measure.samples}
    runs = [(where, each) for where, those in compared.items() for each in those]
    rows, plan = [], (measure.tuning_block, measure.tuning_steps, measure.minibatches)
    reference = Frozen(settings, images, REFERENCE, device, places)
    truths = {}
    with Progress(f"benchmark {name_of(settings)}", len(runs) * len(checkpoints), log) as bar:
        for path in checkpoints:
            step = reference.load(path)
            size = (measure.minibatches, measure.reference_draws, reference.reference_noise)
            truths[step] = reference.moments(*size)
        for where, variant in runs:
            bound = None if where == "cost" else variant.samples
            frozen = Frozen(settings, images, variant, device, places, bound)
            for path in checkpoints:
                step = frozen.load(path)
                tuning = frozen.tune_until_flat(*plan)
                size = (measure.minibatches, measure.draws, frozen.fresh_noise)
                found = errors(frozen.moments(*size), truths[step], measure)
                found = {n: v.where(v.isfinite(), NAN).cpu().tolist() for n, v in found.items()}
                if bound:
                    found["squared_bias"] = NAN
                found |= {name: tuning.columns[name] for name in ("updates", "flat")}
                labels = {"objective": where, **variant._asdict()}
                labels |= {"seed": list(settings.seeds), "checkpoint": step}
                rows.append(pd.DataFrame({**labels, **found}))
                bar.advance(note=f"{variant.estimator} {rows[-1].variance.mean():.3g}")
    labels = {"problem": name_of(settings), "noise": settings.noise, "latents": settings.latents}
    labels["relaxed"] = settings.spec.add_relaxed_cost
    table = labelled(pd.concat(rows, ignore_index=True), **labels)
    return table.assign(estimates=measure.draws)


def errors(found, truths, measure):
    """variance and squared_bias, means over minibatches and parameters: [replica] each.

    The noise of both means is taken away from the square of their difference.
    """
    variance = bias = 0.0
    for (mean, own), (truth, noise) in zip(found, truths, strict=True):
        of_means = own / measure.draws + noise / measure.reference_draws
        variance = variance + own.mean(1) / len(found)
        bias = bias + ((mean - truth).square() - of_means).mean(1) / len(found)
    return {"variance": variance, "squared_bias": bias}


def time_vae(settings, measure, images):
    """Seconds of one minibatch estimate and of a whole training step, as `toys.time_toys`."""
    settings = replace(settings, seeds=settings.seeds[:1])
    names = dict.fromkeys([*measure.estimators, *measure.training])
    seen = variants(names, measure.samples, latents=settings.latents)
    tables = []
    for bound in (None, *measure.samples):
        those = on_the_bound(measure.bound, bound) if bound else seen
        estimates, steps = {}, {}
        for variant in those:
            estimates[variant] = estimate_of(Frozen(settings, images, variant, bound=bound))
            if not bound:
                steps[variant] = step_of(settings, images, variant)
        where = (name_of(settings), f"bound of {bound}" if bound else "cost")
        tables.append(seconds_table(where, estimates, steps, measure.timings))
    return pd.concat(tables, ignore_index=True)


def estimate_of(frozen):
    """A function that makes one estimate, and φ's gradient."""
    x, noise = frozen.batches(0), frozen.noise(0)

    def estimate():
        made = frozen.estimate(x, noise)
        learn_surrogates(frozen.estimator, frozen.surrogates, made.layers)

    return estimate


def step_of(settings, images, variant):
    """A function that makes one step of training."""
    spec = replace(settings.spec, samples=variant.samples)
    settings = replace(settings, estimator=variant.estimator, direct_gradient=False, spec=spec)
    trainer = Trainer(settings, images)
    x = Minibatches(images.train, settings.seeds, settings.batch)(0)
    noise = settings.noise_stream("noise")(0)
    return lambda: trainer.step(0, x, noise)


def name_of(settings):
    """How tables call the problem."""
    return f"{settings.dataset}, {settings.model}"
