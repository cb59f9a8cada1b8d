"""What is measured: every estimator that trains the VAE, on every model, at the size of MNIST."""

import numpy as np
import torch

from relax.data.images import Images
from relax.experiments.vae.trainer import Minibatches, Trainer, VAESettings
from relax.numerics.streams import NoiseStream
from relax.surrogates.base import SurrogateSpec

MODELS = ("linear1", "linear2", "nonlinear")
# By the name in the tables: the package's name, and whether RELAX's network is added to REBAR's
# relaxation or stands alone.
ESTIMATORS = {
    "reinforce": ("reinforce", True),
    "nvil": ("nvil", True),
    "muprop": ("muprop", True),
    "concrete": ("concrete", True),
    "rebar": ("rebar", True),
    "relax": ("relax", True),
    "relax, network alone": ("relax", False),
}
SHAPE = (28, 28)
PIXELS, BATCH, LATENTS, HIDDEN = SHAPE[0] * SHAPE[1], 24, 200, (200, 200)
# How many stochastic layers: what the noise of a step is for.
LAYERS = {"linear1": 1, "linear2": 2, "nonlinear": 1}


def use_one_thread():
    """Set torch up as every job of the pipeline does."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def synthetic_images(count=6000, shape=SHAPE, dtype=torch.float32):
    """`count` training images of random pixels, about as many of them on as in handwritten digits.

    A step's arithmetic does not depend on what is in the images, so nothing need be downloaded.
    """
    draws = np.random.default_rng(0).random((count + 20, shape[0] * shape[1]), np.float32) < 0.13
    pixels = torch.from_numpy(draws).to(dtype)
    return Images(pixels[:count], pixels[count:-10], pixels[-10:], shape)


def settings(model, estimator, **changed):
    """The `VAESettings` of a row of the table, for one seed: those of `config.yaml`."""
    name, added = ESTIMATORS[estimator]
    values = {"seeds": range(1), "batch": BATCH, "latents": LATENTS, "learning_rate": 0.001}
    surrogate = {"hidden": HIDDEN, "activation": "relu", "squash": False, "dtype": torch.float32}
    surrogate |= {"add_relaxed_cost": added} | changed.pop("surrogate", {})
    spec = SurrogateSpec(**surrogate)
    return VAESettings("synthetic", model, name, spec=spec, **(values | changed))


class Training:
    """Steps of one training run; `training(steps)` takes so many.

    Minibatches and noise are drawn as the package's own loop draws them, and their drawing is part
    of the step. The noise of `block` steps is drawn at once: a slice of as many steps has its
    share of that, no more and no less.

    Args:
        run: `VAESettings`.
        images: `Images`.
        update: (step from 0, x, noise) -> anything: one update.
    """

    def __init__(self, run, images, update):
        self.run, self.images, self.update = run, images, update
        self.restart(block=10)

    def restart(self, block):
        """Begin the minibatches and the noise anew, in blocks of so many steps."""
        run, latents = self.run, LAYERS[self.run.model] * self.run.latents
        images, shape = self.images.train, (run.batch, latents, run.noise, torch.float32, block)
        where = {"copies": run.copies, "device": images.device}
        self.batches = Minibatches(images, run.seeds, run.batch, copies=run.copies)
        self.noise = NoiseStream(run.seeds, "noise", *shape, **where)
        self.done = 0

    def __call__(self, steps):
        for step in range(self.done, self.done + steps):
            self.update(step, self.batches(step), self.noise(step))
        self.done += steps


def package_training(model, estimator, images, compiled=False, trainer=None, **changed):
    """The package's own `Training`, by the plain step or the compiled one.

    Args:
        trainer: further arguments of `Trainer`.
        changed: settings.
    """
    run = settings(model, estimator, **changed)
    trainer = Trainer(run, images, compiled=compiled, **(trainer or {}))
    training = Training(run, images, lambda step, x, noise: trainer.step(step + 1, x, noise))
    training.trainer = trainer
    return training
