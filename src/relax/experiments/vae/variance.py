"""Every estimator's gradient variance, measured at the same checkpoints of one trained model.

At each checkpoint the model is frozen and each estimator's surrogate descends its own variance
there, for the same number of steps on the same minibatches and noise, continuing from where it
stood at the checkpoint before. Then the variance is measured on fresh noise, the same for every
estimator. So the curves differ by the estimator alone: same parameters, same data, same budget.
"""

from dataclasses import dataclass

import pandas as pd
import torch

from relax.errors import DataError
from relax.estimators.learning import learn_surrogates
from relax.estimators.samples import first_of
from relax.experiments.vae.gradients import encoder_estimate
from relax.experiments.vae.trainer import Minibatches, VAESettings, build, surrogate_groups
from relax.numerics.devices import choose
from relax.numerics.finite import check_finite
from relax.numerics.optimizers import adam
from relax.runs.checkpoints import load_checkpoint
from relax.runs.progress import progress
from relax.runs.settings import collect
from relax.runs.tables import labelled


@dataclass(frozen=True)
class MeasureSettings:
    """`vae.variance` in config.yaml."""

    estimators: tuple[str, ...]
    tuning_steps: int = 1000
    minibatches: int = 10
    draws: int = 100

    @classmethod
    def of(cls, params):
        """From a workflow rule's params."""
        return collect(cls, {}, params, beside=[VAESettings])


class RunningMoments:
    """Mean and variance of a stream of tensors (Welford, 1962), stable in float32."""

    def __init__(self):
        self.count, self.mean, self.m2 = 0, 0.0, 0.0

    def add(self, value):
        self.count += 1
        delta = value - self.mean
        self.mean = self.mean + delta / self.count
        self.m2 = self.m2 + delta * (value - self.mean)

    @property
    def variance(self):
        """Unbiased variance, elementwise."""
        return self.m2 / (self.count - 1)


def load_model(model, path):
    """Put a checkpoint's model parameters into `model`; all the checkpoint's tensors.

    Raises:
        DataError: the checkpoint cannot be read, or belongs to another model.
    """
    tensors = load_checkpoint(path)
    prefix = "model."
    state = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise DataError(f"{path} does not fit the configured model: {error}") from None
    return tensors


def silence_networks(surrogates):
    """Zero the last layer of every network, so that its estimator starts as if it had none."""
    for module in surrogates.modules():
        if hasattr(module, "layers"):
            torch.nn.init.zeros_(module.layers[-1].weight)
            torch.nn.init.zeros_(module.layers[-1].bias)


class FrozenRun:
    """A model that stands still, and one estimator whose surrogates descend their variance there.

    Networks start silent, so RELAX starts where REBAR does, and NVIL where REINFORCE does: what a
    random start costs is not measured.

    Args:
        settings: `VAESettings` of the run that wrote the checkpoints.
        images: `Images`.
        name: the estimator.
        device: where to compute (`relax.numerics.devices.choose`).
        changed: fields of the `SurrogateSpec` to set.
    """

    def __init__(self, settings, images, name, device="cpu", **changed):
        self.settings, self.name, device = settings, name, choose(device)
        self.model, self.estimator, self.surrogates = build(settings, images, name, **changed)
        self.model.to(device)
        self.surrogates.to(device)
        images = images.to(device)
        silence_networks(self.surrogates)
        for frozen in (self.model.decoders, self.model.prior_logits):
            frozen.requires_grad_(False)  # spares the second derivatives in the decoder's weights
        order = (images.train, settings.seeds, settings.batch)
        self.batches = Minibatches(*order, "tuning order")
        self.noise = settings.noise_stream("tuning", device, name)
        self.fixed_batches = Minibatches(*order, "variance order")
        self.fresh_noise = settings.noise_stream("variance", device, name)
        self.done = 0
        self.restart_optimizer()

    def estimate(self, x, noise):
        """The `EncoderEstimate` at the frozen model."""
        return encoder_estimate(
            self.estimator, self.surrogates, self.model, x, noise, self.settings.direct_gradient
        )

    def restart_optimizer(self):
        """Forget the moments of the last checkpoint's gradients."""
        self.optimizer = adam(
            surrogate_groups(self.settings, self.surrogates), self.settings.adam_beta2
        )

    def tune(self, steps):
        """Update φ for this many more steps; an estimator that learns nothing is done at once."""
        if self.optimizer is None:
            return
        who = {"seeds": self.settings.seeds, "estimator": self.name}
        for step in range(self.done, self.done + steps):
            estimate = self.estimate(self.batches(step), self.noise(step))
            check_finite(cost=estimate.cost, **estimate.gradients, step=step, **who)
            learn_surrogates(self.estimator, self.surrogates, estimate.layers)
            self.optimizer.step()
        self.done += steps

    def variance(self, minibatches, draws):
        """Variance over the noise, at fixed minibatches, of the encoder's gradient and the logits'.

        Returns two tensors [replica] by the names of their columns: `encoder_variance`, the mean
        over the encoder's parameters of the variance of the minibatch gradient, and
        `logit_variance`, the mean over images and latents of the variance of one image's gradient
        in its logits. Units: (nats a unit of parameter)².
        """
        parameters = list(self.model.encoders.parameters())
        of_encoder = parameters[0].new_zeros(len(self.settings.seeds))
        of_logits = torch.zeros_like(of_encoder)
        for minibatch in range(minibatches):
            x = self.fixed_batches(minibatch)
            encoder, logit = RunningMoments(), RunningMoments()
            for draw in range(draws):
                with torch.no_grad():  # no graph to φ
                    estimate = self.estimate(x, self.fresh_noise(minibatch * draws + draw))
                gradients = [layer.gradient for layer in estimate.layers]
                below = [x, *(first_of(layer.sample, x) for layer in estimate.layers[:-1])]
                logits = [self.model.encode(layer, value) for layer, value in enumerate(below)]
                received = torch.autograd.grad(
                    logits, parameters, [g / self.settings.batch for g in gradients]
                )
                encoder.add(torch.cat([g.flatten(1) for g in received], dim=1))
                logit.add(torch.cat(gradients, dim=-1))
            of_encoder += encoder.variance.mean(1)
            of_logits += logit.variance.mean((1, 2))
        variances = {"encoder_variance": of_encoder, "logit_variance": of_logits}
        return {name: value.cpu() / minibatches for name, value in variances.items()}

    def measure(self, plan, step, **labels):
        """A row a seed: `labels`, seed, step and the variances; and a note for the log.

        `plan` has `minibatches` and `draws`. Raises NonFiniteError.
        """
        seeds = self.settings.seeds
        variances = self.variance(plan.minibatches, plan.draws)
        check_finite(step=step, seeds=seeds, estimator=self.name, **variances)
        level = variances["encoder_variance"].log().mean()
        table = pd.DataFrame({**labels, "seed": list(seeds), "step": step, **variances})
        return table, f"at step {step}: log-variance {level:.3f}"


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
        estimator, seed, step, encoder_variance, logit_variance.

    Raises:
        DataError: a checkpoint cannot be read or is of another model.
        NonFiniteError: tuning a surrogate left the finite numbers.
    """
    rows = []
    title = f"variance {settings.dataset} {settings.model} on {settings.estimator}'s trajectory"
    with progress(title, len(measure.estimators) * len(checkpoints), log) as bar:
        for name in measure.estimators:
            frozen = FrozenRun(settings, images, name, device)
            for path in checkpoints:
                step = int(load_model(frozen.model, path)["step"])
                frozen.restart_optimizer()
                frozen.tune(measure.tuning_steps)
                table, note = frozen.measure(measure, step, estimator=name)
                rows.append(table)
                bar.advance(note=f"{name} {note}")
    return labelled(pd.concat(rows, ignore_index=True), **trajectory_labels(settings))


def trajectory_labels(settings):
    """The columns that name the run which wrote the checkpoints; `trajectory` is its estimator."""
    return {
        "trajectory" if name == "estimator" else name: value
        for name, value in settings.labels.items()
    }
