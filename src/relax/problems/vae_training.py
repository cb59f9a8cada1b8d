"""Training a discrete VAE, every seed side by side, one estimator for the encoder's gradient."""

from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch import nn

from relax.checkpoints import save_checkpoint
from relax.devices import Captured
from relax.errors import ConfigError, Interrupted
from relax.problems.vae import MODELS, DiscreteVAE
from relax.problems.vae_evaluation import BestModel, bounds
from relax.problems.vae_gradients import encoder_estimate, network_weights, set_model_gradients
from relax.registry import REGISTRY, load_estimator
from relax.replicas import parameter_generators
from relax.resume import stoppable
from relax.settings import collect
from relax.streams import Noise, NoiseStream, generator
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
    learning_rate: float | tuple[float, ...]  # several: trained side by side, each with every seed
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
    def learning_rates(self):
        """All of them."""
        several = isinstance(self.learning_rate, tuple)
        return self.learning_rate if several else (self.learning_rate,)

    @property
    def replicas(self):
        """The seed of each replica: all seeds for the first learning rate, for the second, ..."""
        return list(self.seeds) * len(self.learning_rates)

    @property
    def labels(self):
        """The columns that say which run a table's rows are of."""
        return {name: getattr(self, name) for name in RUN_LABELS}

    def noise_stream(self, purpose, device="cpu"):
        """The noise of every step's minibatch, that of all stochastic layers in one."""
        layers, _ = MODELS[self.model]
        shape = (self.batch, layers * self.latents, self.noise, DTYPE)
        copies = len(self.learning_rates)
        return NoiseStream(self.seeds, purpose, *shape, copies=copies, device=device)


def build(settings, images, name=None, **changed):
    """A fresh model, an estimator (by default the run's own), and its surrogates for the model.

    There is one surrogate a stochastic layer; its network may see the image and the layers below.

    Args:
        changed: fields of the `SurrogateSpec` to set, whatever the settings say.
    """
    generators = parameter_generators(settings.replicas)
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
    scale = settings.surrogate_learning_rate_scale
    rates = tuple(rate * scale for rate in settings.learning_rates)
    return [(weights, rates, settings.surrogate_weight_decay), (others, rates)]


class Minibatches:
    """Training minibatches, each seed in its own order: `batches(step)` is [replica, batch, pixel].

    An epoch is a permutation of the images; what does not fill a minibatch is left out of it.

    Args:
        images: [image, pixel], on any device.
        seeds: one a replica; where they stand there several times over, give them once and
        copies: how often.

    Raises:
        ConfigError: a minibatch is larger than the training set.
    """

    def __init__(self, images, seeds, batch, purpose="data order", copies=1):
        self.images, self.seeds, self.batch, self.purpose = images, seeds, batch, purpose
        self.copies = copies
        if batch > len(images):
            raise ConfigError(
                f"vae.batch: must be {len(images)} (the training set) or less: {batch}"
            )
        self.per_epoch = len(images) // batch
        self.epoch = None

    def __call__(self, step):
        epoch, offset = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            orders = [
                generator(seed, self.purpose, epoch).permutation(len(self.images))
                for seed in self.seeds
            ]
            orders = torch.from_numpy(np.stack(orders)).to(self.images.device)
            self.orders, self.epoch = orders.repeat(self.copies, 1), epoch
        rows = self.orders[:, offset * self.batch : (offset + 1) * self.batch]
        return self.images.index_select(0, rows.flatten()).view(*rows.shape, -1)


class Trainer:
    """One run's model, estimator and surrogates with their optimiser; `step` is one update.

    On a GPU the step is captured as a graph, and whether its numbers are finite is noted there
    and looked at now and then: asking at every step would leave the GPU waiting.

    Args:
        settings: `VAESettings`.
        images: `Images`, on any device.
        device: where to train.
        captured: `relax.devices.Captured`, or None for a step that runs as it is; by default the
            device decides.
    """

    CHECK_EVERY = 100  # steps between two looks at what was noted

    def __init__(self, settings, images, device="cpu", captured=None):
        self.settings = settings
        self.model, self.estimator, self.surrogates = build(settings, images)
        self.model.to(device)
        self.surrogates.to(device)
        if captured is None and torch.device(device).type == "cuda":
            captured = Captured
        self.captured = captured and captured(self._update)
        self.not_finite = torch.zeros(len(settings.replicas), device=device)
        self.checked = 0
        model = (self.model.parameters(), settings.learning_rates)
        groups = [model, *surrogate_groups(settings, self.surrogates)]
        self.optimizer = adam(groups, settings.adam_beta2)
        self.parameters = list(self.model.parameters())
        self.learned = nn.ModuleDict({"model": self.model, "surrogates": self.surrogates})
        self.who = {"seeds": settings.replicas, "estimator": settings.estimator}

    def step(self, step, x, noise, surrogates_only=False):
        """Update φ, and θ unless only the surrogates are trained; the costs [replica, batch].

        Raises:
            NonFiniteError: a cost or gradient stopped being finite.
        """
        if self.captured is None:
            estimate = self._estimate(x, noise)
            check_finite(cost=estimate.cost, **estimate.gradients, step=step, **self.who)
            return self._learn(estimate, surrogates_only)
        if surrogates_only:
            return self._learn(self._note(self._estimate(x, noise)), surrogates_only)
        cost = self.captured(x, *(tensor for tensor in noise if tensor is not None))
        if step - self.checked >= self.CHECK_EVERY:
            self.check(step)
        return cost

    def check(self, step):
        """Stop a captured run in which a number noted since the last look was not finite."""
        if self.captured:
            name = f"cost_or_a_gradient_after_step_{self.checked}"
            check_finite(step=step, **self.who, **{name: self.not_finite})
            self.checked = step

    def _update(self, x, *noise):
        """A whole step in tensors alone, for a graph."""
        return self._learn(self._note(self._estimate(x, Noise(*noise))))

    def _estimate(self, x, noise):
        direct = self.settings.direct_gradient
        return encoder_estimate(self.estimator, self.surrogates, self.model, x, noise, direct)

    def _note(self, estimate):
        """A sum that stays finite, zero, as long as all its summands are."""
        for value in (estimate.cost, *estimate.gradients.values()):
            self.not_finite += 0 * value.detach().flatten(1).sum(1)
        return estimate

    def _learn(self, estimate, surrogates_only=False):
        learn_surrogates(self.estimator, self.surrogates, estimate.layers)
        if not surrogates_only:
            set_model_gradients(estimate, self.parameters)
        self.optimizer.step()  # leaves alone what has no gradient
        return estimate.cost.detach()

    def checkpoint(self, step):
        """The tensors of a checkpoint; refuses numbers that are not finite."""
        self.check(step)
        check_finite(step=step, **dict(self.learned.named_parameters()), **self.who)
        return self.learned.state_dict() | {"step": torch.tensor(step)}

    def state(self):
        """Everything that the next step depends on."""
        return {"learned": self.learned.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load(self, state):
        """Go back to a `state`."""
        self.learned.load_state_dict(state["learned"])
        self.optimizer.load_state_dict(state["optimizer"])


class History:
    """What a run has seen: the running mean of its costs, the ELBOs so far, the best model."""

    def __init__(self, trainer, images, per_epoch):
        self.trainer, self.images, self.per_epoch = trainer, images, per_epoch
        self.running = torch.zeros_like(trainer.not_finite)
        self.best = BestModel(trainer.model, self.running)
        self.rows, self.counted = [], 0

    def count(self, cost):
        """Add a minibatch's costs [replica, batch] to the epoch's mean."""
        self.running -= cost.mean(1)
        self.counted += 1

    def evaluate(self, step):
        """End an epoch: measure the validation ELBO, keep the best model; a note for the log."""
        settings, model = self.trainer.settings, self.trainer.model
        samples, copies = settings.evaluation_samples, len(settings.learning_rates)
        self.trainer.check(step)
        valid, _ = bounds(
            model, self.images.valid, settings.seeds, samples, index=step, copies=copies
        )
        check_finite(step=step, validation_elbo=valid, **self.trainer.who)
        self.best.see(model, valid, step)
        whole = self.counted == self.per_epoch  # a part of an epoch is no mean over one
        train = self.running / self.counted if whole else torch.full_like(valid, torch.nan)
        elbos = {"train_elbo": train, "valid_elbo": valid}
        columns = {name: value.cpu() for name, value in elbos.items()}
        self.rows.append({"step": step, "epoch": step / self.per_epoch, **columns})
        self.running, self.counted = torch.zeros_like(valid), 0
        return ", ".join(f"{name} {value.mean():.2f}" for name, value in elbos.items())

    def table(self):
        """The table `training` of `train`, without the labels; `block` counts the rates."""
        who = {"block": blocks(self.trainer.settings), "seed": self.trainer.settings.replicas}
        table = pd.concat([pd.DataFrame({**who, **row}) for row in self.rows])
        return table.sort_values(["block", "seed", "step"], ignore_index=True)

    def state(self):
        """Everything, as tensors, numbers and containers."""
        best = (self.best.state, self.best.score, self.best.step)
        return {"rows": self.rows, "running": self.running, "counted": self.counted, "best": best}

    def load(self, state):
        """Go back to a `state`."""
        self.rows, self.counted = state["rows"], state["counted"]
        self.running.copy_(state["running"])
        self.best.load(*state["best"])


def train(settings, images, checkpoints, best_path=None, log=None, unfinished=None, device="cpu"):
    """Train, and write a checkpoint at each step named in `checkpoints` ({step: path}).

    Before it, φ alone is updated `pretraining_steps` times. Of each seed the model with the best
    validation ELBO is kept, and written to `best_path`. Where there are several learning rates, a
    path is a list, with one for each. `device` is where to train, as `relax.devices.choose` has it.

    With `unfinished`, a `relax.resume.Unfinished`, the run saves its state there from time to time
    and continues from what it finds; checkpoints are placed when the run is done. The result is the
    same to the last bit.

    Returns two tidy tables, both with the columns dataset, model, estimator, learning_rate, noise,
    direct_gradient, seed, step, epoch, and in nats an image:

    - training, one row a seed and epoch (and the last step): train_elbo (running mean over the
      epoch's minibatches, one sample each; empty where the last epoch is not whole), valid_elbo
      (at that step);
    - best, one row a seed, of the kept model: valid_elbo and test_elbo, their importance-weighted
      bounds valid_bound and test_bound, and bound_samples, how many samples of b both are from.

    Raises:
        NonFiniteError: a cost or gradient stopped being finite.
        Interrupted: SIGTERM or Ctrl-C came, and the state is saved.
    """
    images = images.to(device)
    copies = len(settings.learning_rates)
    trainer = Trainer(settings, images, device)
    batches = Minibatches(images.train, settings.seeds, settings.batch, copies=copies)
    noise = settings.noise_stream("noise", device)
    history = History(trainer, images, batches.per_epoch)
    checkpoints = {step: one_a_rate(paths) for step, paths in checkpoints.items()}
    names = {step: f"checkpoint_{step}" for step in checkpoints}

    def checkpoint(step):
        if step in checkpoints:
            tensors = trainer.checkpoint(step)
            if unfinished:
                unfinished.keep(names[step], tensors)
            else:
                save_blocks(tensors, checkpoints[step])

    def save(step):
        trainer.check(step)
        kept = [name for at, name in names.items() if at <= step]
        state = {"trainer": trainer.state(), "history": history.state()}
        unfinished.save(step, {"step": step, "kept": kept} | state)

    start = 0
    if unfinished and (state := unfinished.load()):
        trainer.load(state["trainer"])
        history.load(state["history"])
        start = trainer.checked = state["step"]
    else:
        pretrain(trainer, images)
        checkpoint(0)
    title = f"{settings.dataset} {settings.model} {settings.estimator}"
    signals = stoppable() if unfinished else nullcontext(lambda: False)
    with progress(title, settings.steps, log, start) as bar, signals as asked_to_stop:
        note = ""
        for step in range(start + 1, settings.steps + 1):
            history.count(trainer.step(step, batches(step - 1), noise(step - 1)))
            if step % batches.per_epoch == 0 or step == settings.steps:
                note = history.evaluate(step)
            checkpoint(step)
            stop = asked_to_stop()  # once: a signal after this is for the next step
            if unfinished and (unfinished.due() or stop):
                save(step)
            if stop:
                raise Interrupted(f"interrupted after step {step}; the same command goes on")
            bar.advance(note=note)
    if unfinished:
        for step, path in checkpoints.items():
            save_blocks(unfinished.read(names[step]), path)
    best = history.best
    if best_path:
        tensors = {f"model.{name}": p for name, p in best.state.items()} | {"step": best.step}
        save_blocks(tensors, one_a_rate(best_path))
    best.put_into(trainer.model)
    scores = score(settings, trainer.model, images, best.step.cpu(), batches.per_epoch)
    return label_blocks(history.table(), settings), label_blocks(scores, settings)


def blocks(settings):
    """Of each replica, which learning rate it has, counted from 0."""
    return [i for i in range(len(settings.learning_rates)) for _ in settings.seeds]


def label_blocks(table, settings):
    """The table with the run's labels, for the column `block` the learning rate."""
    parts = []
    for block, rate in enumerate(settings.learning_rates):
        part = table[table.block == block].drop(columns="block")
        parts.append(labelled(part, **replace(settings, learning_rate=rate).labels))
    return pd.concat(parts, ignore_index=True)


def one_a_rate(paths):
    """The paths as a list, one a learning rate."""
    return paths if isinstance(paths, list) else [paths]


def save_blocks(tensors, paths):
    """Save a checkpoint: the replicas of each learning rate to a path of their own."""
    for block, path in enumerate(paths):
        own = {
            # All but the mean image and the step have the replica axis.
            name: t if t.dim() == 0 or name.endswith("pixel_mean") else t.chunk(len(paths))[block]
            for name, t in tensors.items()
        }
        # A view would be saved with all of its storage.
        save_checkpoint({name: t.clone() for name, t in own.items()}, path)


def pretrain(trainer, images):
    """Update φ alone, with the model as it starts, for the settings' `pretraining_steps`."""
    settings = trainer.settings
    if not any(p.requires_grad for p in trainer.surrogates.parameters()):
        return
    order = (settings.seeds, settings.batch, "pretraining order", len(settings.learning_rates))
    batches = Minibatches(images.train, *order)
    noise = settings.noise_stream("pretraining", images.train.device)
    for step in range(settings.pretraining_steps):
        trainer.step(step, batches(step), noise(step), surrogates_only=True)


def score(settings, model, images, steps, per_epoch):
    """The table `best` of `train`, of a model that stood at `steps` [replica]."""
    columns = {"block": blocks(settings), "seed": settings.replicas}
    columns |= {"step": steps, "epoch": steps / per_epoch}
    how = (settings.seeds, settings.bound_samples, "bound")
    for index, split in enumerate(("valid", "test")):
        copies = len(settings.learning_rates)
        elbo, bound = bounds(model, getattr(images, split), *how, index, copies)
        columns |= {f"{split}_elbo": elbo.cpu(), f"{split}_bound": bound.cpu()}
    return pd.DataFrame(columns).assign(bound_samples=settings.bound_samples)
