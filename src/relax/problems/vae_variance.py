"""Every estimator's gradient variance, measured at the same checkpoints of one trained model.

At each checkpoint the model is frozen and each estimator's surrogate descends its own variance
there, for the same number of steps on the same minibatches and noise, continuing from where it
stood at the checkpoint before. Then the variance is measured on fresh noise, the same for every
estimator. So the curves differ by the estimator alone: same parameters, same data, same budget.
"""

from dataclasses import dataclass

import pandas as pd
import torch

from relax.checkpoints import load_checkpoint
from relax.errors import DataError
from relax.problems.vae_training import DTYPE, Minibatches, build, encoder_estimate
from relax.settings import collect
from relax.streams import NoiseStream
from relax.tables import labelled
from relax.training import adam, check_finite, progress, set_surrogate_gradient


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
        return collect(cls, {}, params)


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
    """Put a checkpoint's model parameters into `model`; the step it was taken at.

    Raises:
        DataError: the checkpoint belongs to another model.
    """
    tensors = load_checkpoint(path)
    state = {
        name.removeprefix("model."): t for name, t in tensors.items() if name.startswith("model.")
    }
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise DataError(f"{path} does not fit the configured model: {error}") from None
    return int(tensors["step"])


def tune(estimator, surrogate, model, settings, batches, first, steps, name):
    """Descend the variance over φ with the model frozen, for the tuning steps from `first`."""
    optimizer = adam([(surrogate.parameters(), settings.learning_rate)], settings.adam_beta2)
    if optimizer is None:
        return
    noise = NoiseStream(
        settings.seeds, "tuning", settings.batch, settings.latents, settings.noise, DTYPE
    )
    who = {"seeds": settings.seeds, "estimator": name}
    for step in range(first, first + steps):
        _, estimate = encoder_estimate(
            estimator, surrogate, model, batches(step), noise(step), settings.direct_gradient
        )
        check_finite(cost=estimate.cost, tuning_gradient=estimate.gradient, step=step, **who)
        set_surrogate_gradient(surrogate, estimate.gradient)
        optimizer.step()


def encoder_variance(estimator, surrogate, model, settings, batches, noise, measure):
    """Variance over the noise, at fixed minibatches, of the encoder's gradient and of the logits'.

    Returns two tensors [replica]: the mean over the encoder's parameters of the variance of the
    minibatch gradient, and the mean over images and latents of the variance of one image's
    gradient in its logits. Units: (nats a unit of parameter)².
    """
    parameters = list(model.encoder.parameters())
    replicas = len(settings.seeds)
    of_encoder, of_logits = torch.zeros(replicas), torch.zeros(replicas)
    for minibatch in range(measure.minibatches):
        x = batches(minibatch)
        encoder, logit = RunningMoments(), RunningMoments()
        for draw in range(measure.draws):
            fresh = noise(minibatch * measure.draws + draw)
            logits, estimate = encoder_estimate(
                estimator, surrogate, model, x, fresh, settings.direct_gradient
            )
            gradient = estimate.gradient.detach()
            gradients = torch.autograd.grad(logits, parameters, gradient / settings.batch)
            encoder.add(torch.cat([g.flatten(1) for g in gradients], dim=1))
            logit.add(gradient)
        of_encoder += encoder.variance.mean(1)
        of_logits += logit.variance.mean((1, 2))
    return of_encoder / measure.minibatches, of_logits / measure.minibatches


def measure_variance(settings, measure, images, checkpoints, log=None):
    """The variance of every estimator in `measure.estimators` at every checkpoint.

    Args:
        settings: `VAESettings` of the run that wrote the checkpoints.
        measure: `MeasureSettings`.
        images: `Images`.
        checkpoints: paths, in the order of their steps.
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
            model, estimator, surrogate = build(settings, images, name)
            for p in model.decoder.parameters():
                p.requires_grad_(False)  # frozen: spares the second derivatives in its weights
            model.prior_logits.requires_grad_(False)
            tuning = Minibatches(images.train, settings.seeds, settings.batch, "tuning")
            fixed = Minibatches(images.train, settings.seeds, settings.batch, "variance")
            noise = NoiseStream(
                settings.seeds, "variance", settings.batch, settings.latents, settings.noise, DTYPE
            )
            for index, path in enumerate(checkpoints):
                step = load_model(model, path)
                first = index * measure.tuning_steps
                tune(
                    estimator, surrogate, model, settings, tuning, first, measure.tuning_steps, name
                )
                encoder, logit = encoder_variance(
                    estimator, surrogate, model, settings, fixed, noise, measure
                )
                variances = {"encoder_variance": encoder, "logit_variance": logit}
                check_finite(step=step, seeds=settings.seeds, estimator=name, **variances)
                rows.append(
                    pd.DataFrame(
                        {
                            "estimator": name,
                            "seed": list(settings.seeds),
                            "step": step,
                            **variances,
                        }
                    )
                )
                bar.advance(note=f"{name} at step {step}: log-variance {encoder.log().mean():.3f}")
    return labelled(
        pd.concat(rows, ignore_index=True),
        dataset=settings.dataset,
        model=settings.model,
        trajectory=settings.estimator,
        learning_rate=settings.learning_rate,
        noise=settings.noise,
        direct_gradient=settings.direct_gradient,
    )
