"""Training a discrete VAE, every seed side by side, one estimator for the encoder's gradient.

The decoder's and the prior's gradients are those of the cost at the hard sample b, for every
estimator: what is compared is the encoder's.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from relax.checkpoints import save_checkpoint
from relax.errors import ConfigError
from relax.problems.vae import MODELS, direct_gradient
from relax.registry import REGISTRY, load_estimator
from relax.replicas import parameter_generators
from relax.settings import collect
from relax.streams import NoiseStream, generator
from relax.surrogates import SurrogateSpec
from relax.tables import labelled
from relax.training import adam, check_finite, progress, set_surrogate_gradient

DTYPE = torch.float32
DEFAULT_SPEC = SurrogateSpec(dtype=DTYPE)


@dataclass(frozen=True)
class VAESettings:
    """Settings of a VAE run, as the configuration names them (`vae:` in config.yaml)."""

    dataset: str
    model: str
    estimator: str
    learning_rate: float
    seeds: range
    steps: int = 20_000
    batch: int = 24
    latents: int = 200
    noise: str = "coupled"
    direct_gradient: bool = True
    adam_beta2: float = 0.99999
    evaluation_samples: int = 5
    spec: SurrogateSpec = DEFAULT_SPEC

    @classmethod
    def of(cls, wildcards, params):
        """From a workflow rule's wildcards and params."""
        return collect(cls, wildcards, params, dtype=DTYPE)


def build(settings, images, name=None):
    """A fresh model, and an estimator (by default the run's own) with its surrogate for it."""
    generators = parameter_generators(settings.seeds)
    model = MODELS[settings.model](images.mean.to(DTYPE), settings.latents, generators)
    name = name or settings.estimator
    estimator = load_estimator(name)
    # Of the surrogate's settings it gets those that it declares, in training and in measuring.
    declared = {key: getattr(settings.spec, key) for key in REGISTRY[name].reads}
    shape = {"latents": settings.latents, "context": images.train.shape[1]}
    return (
        model,
        estimator,
        estimator.surrogate(replace(DEFAULT_SPEC, **declared, **shape), generators),
    )


class Minibatches:
    """Training minibatches, each seed in its own order: `batches(step)` is [replica, batch, pixel].

    An epoch is a permutation of the images; what does not fill a minibatch is left out of it.

    Raises:
        ConfigError: a minibatch is larger than the training set.
    """

    def __init__(self, images, seeds, batch, purpose="data order"):
        self.images, self.seeds, self.batch, self.purpose = images, seeds, batch, purpose
        if batch > len(images):
            raise ConfigError(
                f"vae.batch: must be {len(images)} (the training set) or less: {batch}"
            )
        self.per_epoch = len(images) // batch
        self.epoch = None

    def __call__(self, step):
        epoch, offset = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            self.orders = torch.from_numpy(
                np.stack(
                    [
                        generator(s, self.purpose, epoch).permutation(len(self.images))
                        for s in self.seeds
                    ]
                )
            )
            self.epoch = epoch
        return self.images[self.orders[:, offset * self.batch : (offset + 1) * self.batch]]


def encoder_estimate(estimator, surrogate, model, x, noise, direct=True):
    """Logits of q(b|x), with their graph, and the `Estimate` of the encoder's gradient in them.

    With `direct`, ∂f/∂θ at fixed b is added. Its mean is zero but its variance is not: a surrogate
    that can be a constant absorbs it (it amounts to f + 1), REBAR's can in part, Concrete cannot.
    The exact gradient is given none.
    """
    centered = model.center(x)
    logits = model.encode(centered)
    estimate = estimator.estimate(surrogate, model.cost(x, logits), logits, noise, centered)
    if direct and estimator.sampled:
        gradient = estimate.gradient + direct_gradient(logits, estimate.sample)
        estimate = estimate._replace(gradient=gradient)
    return logits, estimate


def set_gradients(surrogate, logits, estimate):
    """Give every parameter the gradient of its own objective, from one estimate.

    The encoder gets the estimate, as it stands, through its logits; the decoder and the prior get
    ∂f(b) at the hard sample; the surrogate gets ∂φ g². Costs are means over the minibatch.
    """
    set_surrogate_gradient(surrogate, estimate.gradient)
    batch = logits.shape[1]
    torch.autograd.backward(
        [logits, estimate.cost.mean(1).sum()], [estimate.gradient.detach() / batch, None]
    )


def mean_elbo(model, images, seeds, step, samples):
    """ELBO of a split, [replica] in nats: the mean over images and `samples` hard samples each."""
    replicas = len(seeds)
    x = images.expand(replicas, -1, -1)
    total = torch.zeros(replicas)
    logits = model.encode(model.center(x))
    cost = model.cost(x, logits)
    draws = NoiseStream(seeds, "evaluation", *logits.shape[1:], "coupled", DTYPE, block=1)
    for sample in range(samples):
        u = draws(step * samples + sample).u
        total -= cost((u < torch.sigmoid(logits)).to(DTYPE)).mean(1)
    return total / samples


def train(settings, images, checkpoints, log=None):
    """Train, and write a checkpoint at each step named in `checkpoints` ({step: path}).

    Returns a tidy table, one row a seed and epoch (and the last step): dataset, model, estimator,
    learning_rate, noise, direct_gradient, seed, step, epoch, train_elbo (running mean over the
    epoch's minibatches, one sample each; empty where the last epoch is not whole), valid_elbo (at
    that step), in nats an image.

    Raises:
        NonFiniteError: a cost or gradient stopped being finite.
    """
    seeds = settings.seeds
    model, estimator, surrogate = build(settings, images)
    learned = [(module.parameters(), settings.learning_rate) for module in (model, surrogate)]
    optimizer = adam(learned, settings.adam_beta2)
    batches = Minibatches(images.train, seeds, settings.batch)
    noise = NoiseStream(seeds, "noise", settings.batch, settings.latents, settings.noise, DTYPE)
    who = {"seeds": seeds, "estimator": settings.estimator}
    rows, running, counted = [], torch.zeros(len(seeds)), 0

    def checkpoint(step):
        if step in checkpoints:
            everything = torch.nn.ModuleDict({"model": model, "surrogate": surrogate})
            check_finite(step=step, **dict(everything.named_parameters()), **who)
            tensors = everything.state_dict() | {"step": torch.tensor(step)}
            save_checkpoint(tensors, checkpoints[step])

    title = f"{settings.dataset} {settings.model} {settings.estimator}"
    with progress(title, settings.steps, log) as bar:
        checkpoint(0)
        note = ""
        for step in range(1, settings.steps + 1):
            x = batches(step - 1)
            logits, estimate = encoder_estimate(
                estimator, surrogate, model, x, noise(step - 1), settings.direct_gradient
            )
            check_finite(cost=estimate.cost, gradient=estimate.gradient, step=step, **who)
            optimizer.zero_grad()
            set_gradients(surrogate, logits, estimate)
            optimizer.step()
            running -= estimate.cost.detach().mean(1)
            counted += 1
            if step % batches.per_epoch == 0 or step == settings.steps:
                with torch.no_grad():
                    valid = mean_elbo(model, images.valid, seeds, step, settings.evaluation_samples)
                check_finite(step=step, validation_elbo=valid, **who)
                whole = counted == batches.per_epoch  # a part of an epoch is no mean over one
                train = running / counted if whole else torch.full_like(running, torch.nan)
                elbos = {"train_elbo": train, "valid_elbo": valid}
                epoch = step / batches.per_epoch
                rows.append(
                    pd.DataFrame({"seed": list(seeds), "step": step, "epoch": epoch, **elbos})
                )
                note = ", ".join(f"{name} {value.mean():.2f}" for name, value in elbos.items())
                running.zero_()
                counted = 0
            checkpoint(step)
            bar.advance(note=note)
    table = pd.concat(rows, ignore_index=True).sort_values(["seed", "step"], ignore_index=True)
    names = ("dataset", "model", "estimator", "learning_rate", "noise", "direct_gradient")
    return labelled(table, **{name: getattr(settings, name) for name in names})
