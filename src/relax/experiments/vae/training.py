"""Training a discrete VAE, every seed side by side, one estimator for the encoder's gradient."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from relax.errors import Interrupted
from relax.experiments.vae.evaluation import BestModel, bounds
from relax.experiments.vae.trainer import Minibatches, Trainer, of_rows
from relax.numerics.devices import choose
from relax.numerics.finite import NEVER
from relax.runs.checkpoints import save_checkpoint
from relax.runs.jobs import say
from relax.runs.progress import Progress
from relax.runs.resume import stoppable
from relax.runs.tables import labelled


class History:
    """What a run has seen: the running mean of its costs, the ELBOs so far, the best model."""

    def __init__(self, trainer, images, per_epoch):
        self.trainer, self.images, self.per_epoch = trainer, images, per_epoch
        self.divergence = trainer.divergence
        self.running = torch.zeros(trainer.divergence.step.shape, device=images.train.device)
        self.best = BestModel(trainer.model, self.running)
        self.rows, self.counted = [], 0
        self.ended = False  # whether every replica has diverged

    def count(self, cost):
        """Add a minibatch's costs [replica, batch] to the epoch's mean."""
        self.running -= cost.mean(1)
        self.counted += 1

    def evaluate(self, step):
        """End an epoch: measure the validation ELBO, keep the best model; a note for the log."""
        settings, model = self.trainer.settings, self.trainer.model
        how = (settings.seeds, settings.evaluation_samples, "evaluation", step, settings.copies)
        valid, _ = bounds(model, self.images.valid, *how)
        self.divergence.now.fill_(step)
        self.divergence.note(valid)
        alive = self.divergence.alive
        self.best.see(model, torch.where(alive, valid, -torch.inf), step)
        whole = self.counted == self.per_epoch  # a part of an epoch is no mean over one
        train = self.running / self.counted if whole else torch.full_like(valid, torch.nan)
        elbos = {"train_elbo": train, "valid_elbo": valid}
        columns = {name: value.cpu() for name, value in elbos.items()}
        self.rows.append({"step": step, "epoch": step / self.per_epoch, **columns})
        self.running, self.counted = torch.zeros_like(valid), 0
        self.ended = not alive.any()
        if self.ended:
            return "all diverged"
        return ", ".join(f"{name} {value[alive].mean():.2f}" for name, value in elbos.items())

    def table(self):
        """The table `training` of `train`, without the labels; `block` counts the rates."""
        who = {"block": blocks(self.trainer.settings), "seed": self.trainer.settings.replicas}
        return stacked(self.rows, who, self.divergence.step.cpu().numpy(), self.per_epoch)

    def state(self):
        """Everything, as tensors, numbers and containers."""
        best = (self.best.state, self.best.score, self.best.step)
        return {
            "rows": self.rows,
            "running": self.running,
            "counted": self.counted,
            "best": best,
            "ended": self.ended,
        }

    def load(self, state):
        """Go back to a `state`."""
        self.rows, self.counted, self.ended = state["rows"], state["counted"], state["ended"]
        self.running.copy_(state["running"])
        self.best.load(*state["best"])


def train(
    settings,
    images,
    checkpoints,
    best_path=None,
    log=None,
    unfinished=None,
    device="cpu",
    compiled=False,
):
    """Train, and write a checkpoint at each step named in `checkpoints` ({step: path}).

    Before it, φ alone is updated `pretraining_steps` times. Of each seed the model with the best
    validation ELBO is kept, and written to `best_path`. Where there are several learning rates, a
    path is a list, with one for each. `device` is where to train (`relax.numerics.devices.choose`),
    `compiled` whether by a compiled step (`relax.experiments.vae.compiled.choose`).

    With `unfinished`, a `relax.runs.resume.Unfinished`, the run saves its state there from time to
    time and continues from what it finds; checkpoints are placed when the run is done. The
    result is the same to the last bit.

    A replica whose numbers stop being finite has diverged: it is left alone, the others go on, and
    training ends early, at the end of an epoch, where none is left. Log and stderr say which.

    Returns two tidy tables, both with the columns dataset, model, estimator, learning_rate, noise,
    direct_gradient, seed, step, epoch, diverged_step (when the replica diverged, in all its rows;
    empty where it did not), and in nats an image:

    - training, one row a seed and epoch (and the last step): train_elbo (running mean over the
      epoch's minibatches, one sample each; empty where the last epoch is not whole), valid_elbo
      (at that step). Of a replica that diverged, the last row is of that step, without ELBOs;
    - best, one row a seed, of the kept model: valid_elbo and test_elbo, their importance-weighted
      bounds valid_bound and test_bound, and bound_samples, how many samples of b both are from.
      Without ELBOs for a replica that diverged.

    Raises:
        Interrupted: SIGTERM or Ctrl-C came, and the state is saved.
    """
    device = choose(device)
    images = images.to(device)
    trainer = Trainer(settings, images, device, compiled=compiled)
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
        kept = [name for at, name in names.items() if at <= step]
        state = {"trainer": trainer.state(), "history": history.state()}
        unfinished.save(step, {"step": step, "kept": kept} | state)

    start = 0
    if unfinished and (state := unfinished.load()):
        trainer.load(state["trainer"])
        history.load(state["history"])
        start = state["step"]
    else:
        pretrain(trainer, images)
        checkpoint(0)
    title = f"{settings.dataset} {settings.model} {settings.estimator}"
    signals = stoppable() if unfinished else nullcontext(lambda: False)
    with Progress(title, settings.steps, log, start) as bar, signals as asked_to_stop:
        note, step = "", start
        while step < settings.steps and not history.ended:
            step += 1
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
    for later in range(step + 1, settings.steps + 1):  # where training ended early
        checkpoint(later)
    if unfinished:
        for step, path in checkpoints.items():
            save_blocks(unfinished.read(names[step]), path)
    best = history.best
    if best_path:
        tensors = {f"model.{name}": p for name, p in best.state.items()}
        more = {"step": best.step, "diverged_step": trainer.divergence.step}
        save_blocks(tensors | more, one_a_rate(best_path))
    best.put_into(trainer.model)
    scores = score(settings, trainer.model, images, best.step.cpu(), batches.per_epoch)
    diverged = trainer.divergence.step.cpu().numpy()
    scores = without_diverged(scores, diverged)
    tell_of_diverged(settings, diverged, log)
    return label_blocks(history.table(), settings), label_blocks(scores, settings)


def stacked(rows, who, diverged, per_epoch):
    """One table of all evaluations, sorted by `who`, {column: values [replica]}, and step.

    A replica that diverged has the rows before that, and one at that step without ELBOs.

    Args:
        rows: as `History` has them.
        diverged: step of each replica, `NEVER` where it did not.
    """
    every = [*rows, {"step": diverged, "epoch": diverged / per_epoch}]
    parts = [pd.DataFrame({**who, **row, "diverged_step": when(diverged)}) for row in every]
    kept = [part[(diverged == NEVER) | (part.step < diverged)] for part in parts[:-1]]
    table = pd.concat([*kept, parts[-1][diverged != NEVER]])
    table = table[[*who, *rows[0], "diverged_step"]]
    return table.sort_values([*who, "step"], ignore_index=True)


def when(steps):
    """Steps [replica] as a column, empty for `NEVER`."""
    return np.where(steps == NEVER, np.nan, steps)


def without_diverged(scores, steps):
    """The table `best` without the scores of replicas that diverged at these steps [replica]."""
    elbos = [name for name in scores if name.endswith(("_elbo", "_bound"))]
    scores.loc[steps != NEVER, elbos] = float("nan")
    return scores.assign(diverged_step=when(steps))


def tell_of_diverged(settings, steps, log):
    """Say which replicas diverged, and when: `steps` [replica]."""
    for rate, own in zip(settings.learning_rates, np.split(steps, settings.copies), strict=True):
        pairs = [pair for pair in zip(settings.seeds, own, strict=True) if pair[1] != NEVER]
        if pairs:
            each = ", ".join(f"seed {seed} at step {step}" for seed, step in pairs)
            say(
                f"diverged: {settings.estimator} at learning rate {rate:g}, {len(pairs)} of "
                f"{len(own)} seeds ({each}): a cost, gradient or parameter stopped being finite "
                f"there. The rest of the run is not affected.",
                log,
            )
    if (steps != NEVER).all():
        say("every replica of this job has diverged: its tables say when, and hold no ELBO", log)


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
    rows = len(tensors["diverged_step"]) // len(paths)
    for block, path in enumerate(paths):
        own = of_rows(tensors, slice(block * rows, (block + 1) * rows))
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
