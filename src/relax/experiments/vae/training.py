"""Training a discrete VAE, every seed side by side, one estimator for the encoder's gradient."""

from contextlib import nullcontext
from dataclasses import replace

import pandas as pd
import torch

from relax.errors import Interrupted
from relax.experiments.vae.evaluation import BestModel, bounds
from relax.experiments.vae.trainer import Minibatches, Trainer
from relax.numerics.devices import choose
from relax.numerics.finite import check_finite
from relax.runs.checkpoints import save_checkpoint
from relax.runs.progress import progress
from relax.runs.resume import stoppable
from relax.runs.tables import labelled


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
        self.trainer.check(step)
        how = (settings.seeds, settings.evaluation_samples, "evaluation", step, settings.copies)
        valid, _ = bounds(model, self.images.valid, *how)
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
    path is a list, with one for each. `device` is where to train (`relax.numerics.devices.choose`).

    With `unfinished`, a `relax.runs.resume.Unfinished`, the run saves its state there from time to
    time and continues from what it finds; checkpoints are placed when the run is done. The
    result is the same to the last bit.

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
    device = choose(device)
    images = images.to(device)
    trainer = Trainer(settings, images, device)
    batches = Minibatches(images.train, settings.seeds, settings.batch, copies=settings.copies)
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


def by_step(steps, files):
    """{step: paths of its checkpoint, one a rate}, of files a rate after the other."""
    return {step: list(files[place :: len(steps)]) for place, step in enumerate(steps)}


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
    order = (settings.seeds, settings.batch, "pretraining order", settings.copies)
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
        elbo, bound = bounds(model, getattr(images, split), *how, index, settings.copies)
        columns |= {f"{split}_elbo": elbo.cpu(), f"{split}_bound": bound.cpu()}
    return pd.DataFrame(columns).assign(bound_samples=settings.bound_samples)
