"""Training a discrete VAE, every seed side by side, one estimator for the encoder's gradient."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch import nn

from relax.checkpoints import save_checkpoint
from relax.errors import ConfigError
from relax.problems.vae import MODELS, DiscreteVAE
from relax.problems.vae_evaluation import BestModel, bounds
from relax.problems.vae_gradients import encoder_estimate, network_weights, set_model_gradients
from relax.registry import REGISTRY, load_estimator
from relax.replicas import parameter_generators
from relax.settings import collect
from relax.streams import NoiseStream, generator
from relax.surrogates import SurrogateSpec
from relax.tables import labelled
from relax.training import adam, check_finite, learn_surrogates, progress

DTYPE = torch.float32
DEFAULT_SPEC = SurrogateSpec(dtype=DTYPE)
RUN_LABELS = ("dataset", "model", "estimator", "learning_rate", "noise", "direct_gradient")


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
    surrogate_learning_rate_scale: float = 1.0
    surrogate_weight_decay: float = 0.0
    pretraining_steps: int = 0
    evaluation_samples: int = 5
    bound_samples: int = 100
    spec: SurrogateSpec = DEFAULT_SPEC

    @classmethod
    def of(cls, wildcards, params):
        """From a workflow rule's wildcards and params."""
        return collect(cls, wildcards, params, dtype=DTYPE)

    @property
    def labels(self):
        """The columns that say which run a table's rows are of."""
        return {name: getattr(self, name) for name in RUN_LABELS}

    def noise_stream(self, purpose):
        """The noise of every step's minibatch, that of all stochastic layers in one."""
        layers, _ = MODELS[self.model]
        return NoiseStream(
            self.seeds, purpose, self.batch, layers * self.latents, self.noise, DTYPE
        )


def build(settings, images, name=None, **changed):
    """A fresh model, an estimator (by default the run's own), and its surrogates for the model.

    There is one surrogate a stochastic layer; its network may see the image and the layers below.

    Args:
        changed: fields of the `SurrogateSpec` to set, whatever the settings say.
    """
    generators = parameter_generators(settings.seeds)
    model = DiscreteVAE(settings.model, images.mean.to(DTYPE), settings.latents, generators)
    name = name or settings.estimator
    estimator = load_estimator(name)
    # Of the surrogate's settings it gets those that it declares, in training and in measuring.
    declared = {key: getattr(settings.spec, key) for key in REGISTRY[name].reads}
    spec = replace(DEFAULT_SPEC, **declared | changed, latents=settings.latents)
    surrogates = nn.ModuleList(
        estimator.surrogate(
            replace(spec, context=images.train.shape[1] + layer * settings.latents), generators
        )
        for layer in range(len(model.encoders))
    )
    return model, estimator, surrogates


def surrogate_groups(settings, surrogates):
    """The surrogates' parameters for `relax.training.adam`; weight decay is for weights alone."""
    weights, others = network_weights(surrogates)
    rate = settings.learning_rate * settings.surrogate_learning_rate_scale
    return [(weights, rate, settings.surrogate_weight_decay), (others, rate)]


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


class Trainer:
    """One run's model, estimator and surrogates with their optimiser; `step` is one update."""

    def __init__(self, settings, images):
        self.settings = settings
        self.model, self.estimator, self.surrogates = build(settings, images)
        model = (self.model.parameters(), settings.learning_rate)
        groups = [model, *surrogate_groups(settings, self.surrogates)]
        self.optimizer = adam(groups, settings.adam_beta2)
        self.learned = nn.ModuleDict({"model": self.model, "surrogates": self.surrogates})
        self.who = {"seeds": settings.seeds, "estimator": settings.estimator}

    def step(self, step, x, noise, surrogates_only=False):
        """Update φ, and θ unless only the surrogates are trained; the costs [replica, batch]."""
        estimate = encoder_estimate(
            self.estimator, self.surrogates, self.model, x, noise, self.settings.direct_gradient
        )
        check_finite(cost=estimate.cost, **estimate.gradients, step=step, **self.who)
        self.optimizer.zero_grad()
        learn_surrogates(self.estimator, self.surrogates, estimate.layers)
        if not surrogates_only:
            set_model_gradients(estimate)
        self.optimizer.step()  # leaves alone what has no gradient
        return estimate.cost.detach()

    def save(self, step, path):
        """A checkpoint; refuses numbers that are not finite."""
        check_finite(step=step, **dict(self.learned.named_parameters()), **self.who)
        save_checkpoint(self.learned.state_dict() | {"step": torch.tensor(step)}, path)


def train(settings, images, checkpoints, best_path=None, log=None):
    """Train, and write a checkpoint at each step named in `checkpoints` ({step: path}).

    Before it, φ alone is updated `pretraining_steps` times. Of each seed the model with the best
    validation ELBO is kept, and written to `best_path`.

    Returns two tidy tables, both with the columns dataset, model, estimator, learning_rate, noise,
    direct_gradient, seed, step, epoch, and in nats an image:

    - training, one row a seed and epoch (and the last step): train_elbo (running mean over the
      epoch's minibatches, one sample each; empty where the last epoch is not whole), valid_elbo
      (at that step);
    - best, one row a seed, of the kept model: valid_elbo and test_elbo, their importance-weighted
      bounds valid_bound and test_bound, and bound_samples, how many samples of b both are from.

    Raises:
        NonFiniteError: a cost or gradient stopped being finite.
    """
    seeds = settings.seeds
    trainer = Trainer(settings, images)
    model, who = trainer.model, trainer.who
    batches = Minibatches(images.train, seeds, settings.batch)
    noise = settings.noise_stream("noise")
    best = BestModel(model, len(seeds))
    rows, running, counted = [], torch.zeros(len(seeds)), 0

    def evaluate(step):
        valid, _ = bounds(model, images.valid, seeds, settings.evaluation_samples, index=step)
        check_finite(step=step, validation_elbo=valid, **who)
        best.see(model, valid, step)
        whole = counted == batches.per_epoch  # a part of an epoch is no mean over one
        elbos = {
            "train_elbo": running / counted if whole else torch.full_like(running, torch.nan),
            "valid_elbo": valid,
        }
        epoch = step / batches.per_epoch
        rows.append(pd.DataFrame({"seed": list(seeds), "step": step, "epoch": epoch, **elbos}))
        return ", ".join(f"{name} {value.mean():.2f}" for name, value in elbos.items())

    pretrain(trainer, images)
    title = f"{settings.dataset} {settings.model} {settings.estimator}"
    with progress(title, settings.steps, log) as bar:
        note = ""
        if 0 in checkpoints:
            trainer.save(0, checkpoints[0])
        for step in range(1, settings.steps + 1):
            running -= trainer.step(step, batches(step - 1), noise(step - 1)).mean(1)
            counted += 1
            if step % batches.per_epoch == 0 or step == settings.steps:
                note = evaluate(step)
                running.zero_()
                counted = 0
            if step in checkpoints:
                trainer.save(step, checkpoints[step])
            bar.advance(note=note)
    training = pd.concat(rows, ignore_index=True).sort_values(["seed", "step"], ignore_index=True)
    if best_path:
        save_checkpoint(
            {f"model.{name}": p for name, p in best.state.items()} | {"step": best.step}, best_path
        )
    best.put_into(model)
    kept = score(settings, model, images, best.step, batches.per_epoch)
    return labelled(training, **settings.labels), labelled(kept, **settings.labels)


def pretrain(trainer, images):
    """Update φ alone, with the model as it starts, for the settings' `pretraining_steps`."""
    settings = trainer.settings
    if not any(p.requires_grad for p in trainer.surrogates.parameters()):
        return
    batches = Minibatches(images.train, settings.seeds, settings.batch, "pretraining order")
    noise = settings.noise_stream("pretraining")
    for step in range(settings.pretraining_steps):
        trainer.step(step, batches(step), noise(step), surrogates_only=True)


def score(settings, model, images, steps, per_epoch):
    """The table `best` of `train`, of a model that stood at `steps` [replica]."""
    columns = {"seed": list(settings.seeds), "step": steps, "epoch": steps / per_epoch}
    for index, split in enumerate(("valid", "test")):
        elbo, bound = bounds(
            model, getattr(images, split), settings.seeds, settings.bound_samples, "bound", index
        )
        columns |= {f"{split}_elbo": elbo, f"{split}_bound": bound}
    return pd.DataFrame(columns).assign(bound_samples=settings.bound_samples)
