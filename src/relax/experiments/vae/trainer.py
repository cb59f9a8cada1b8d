"""One run of a discrete VAE: its settings, its minibatches, and a step of its training."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from relax.errors import ConfigError
from relax.estimators.learning import learn_surrogates
from relax.estimators.registry import REGISTRY, load_estimator
from relax.experiments.vae.compiled import CompiledGradients
from relax.experiments.vae.gradients import encoder_estimate, network_weights, set_model_gradients
from relax.experiments.vae.model import MODELS, DiscreteVAE
from relax.numerics.devices import Captured
from relax.numerics.finite import Divergence
from relax.numerics.optimizers import adam
from relax.numerics.replicas import parameter_generators
from relax.numerics.streams import Noise, NoiseStream, generator
from relax.relaxations.bernoulli import BERNOULLI
from relax.relaxations.categorical import Categorical
from relax.runs.settings import collect
from relax.surrogates.base import SurrogateSpec

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
    outcomes: int | None = None  # of a categorical variable; None: the latents are bits
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
    def of(cls, wildcards, params, beside=(), tables=()):
        """From a workflow rule's wildcards and params; `beside`: who else reads these.

        Learning rates that are no wildcard stand in the paths of the run's tables, as
        `.../lr{rate}/seeds{first}-{last}/training.csv`: as a param, how many of them a job takes
        would be a reason to train again.
        """
        wildcards = dict(wildcards.items())
        if tables:
            rates = [float(Path(table).parts[-3].removeprefix("lr")) for table in tables]
            wildcards["learning_rate"] = rates if len(rates) > 1 else rates[0]
        return collect(cls, wildcards, params, beside, dtype=DTYPE)

    @property
    def learning_rates(self):
        """All of them."""
        several = isinstance(self.learning_rate, tuple)
        return self.learning_rate if several else (self.learning_rate,)

    @property
    def copies(self):
        """How often the seeds stand in a row on the replica axis: once a learning rate."""
        return len(self.learning_rates)

    @property
    def relaxation(self):
        """What the latents of a stochastic layer are."""
        return BERNOULLI if self.outcomes is None else Categorical(self.latents, self.outcomes)

    @property
    def width(self):
        """How many logits a stochastic layer has."""
        return self.latents * (self.outcomes or 1)

    @property
    def replicas(self):
        """The seed of each replica: all seeds for the first learning rate, for the second, ..."""
        return list(self.seeds) * self.copies

    @property
    def labels(self):
        """The columns that say which run a table's rows are of."""
        return {name: getattr(self, name) for name in RUN_LABELS}

    def spec_of(self, name, **changed):
        """Of the surrogate's settings those that this estimator declares, in all that it does."""
        declared = {key: getattr(self.spec, key) for key in REGISTRY[name].reads}
        shape = {"latents": self.width, "relaxation": self.relaxation}
        return replace(DEFAULT_SPEC, **declared | changed, **shape)

    def noise_stream(self, purpose, device="cpu", estimator=None):
        """The noise of every step's minibatch, that of all stochastic layers in one.

        It is for the run's own estimator, or another that is measured; each has as many rows an
        image as it takes samples.
        """
        name, (layers, _) = estimator or self.estimator, MODELS[self.model]
        rows = load_estimator(name).samples(self.spec_of(name)) * self.batch
        kind = self.relaxation.noise_type(DTYPE)
        shape = (rows, layers * self.width, self.noise, kind)
        return NoiseStream(self.seeds, purpose, *shape, copies=self.copies, device=device)


def fresh_model(settings, images, generators):
    """A `DiscreteVAE` as these settings have it, for these images."""
    shape = images.mean.to(DTYPE), settings.width, generators, settings.relaxation
    return DiscreteVAE(settings.model, *shape)


def build(settings, images, name=None, **changed):
    """A fresh model, an estimator (by default the run's own), and its surrogates for the model.

    There is one surrogate a stochastic layer; its network may see the image and the layers below.

    Args:
        changed: fields of the `SurrogateSpec` to set, whatever the settings say.
    """
    generators = parameter_generators(settings.replicas)
    model = fresh_model(settings, images, generators)
    name = name or settings.estimator
    estimator = load_estimator(name)
    spec = settings.spec_of(name, **changed)
    surrogates = nn.ModuleList(
        estimator.surrogate(
            replace(spec, context=images.train.shape[1] + layer * settings.width), generators
        )
        for layer in range(len(model.encoders))
    )
    return model, estimator, surrogates


def surrogate_groups(settings, surrogates):
    """The surrogates' parameters for the optimiser; weight decay is for weights alone."""
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


def of_rows(tensors, rows):
    """A checkpoint's tensors, of these replicas; the mean image and the step are all replicas'."""
    return {
        name: t if t.dim() == 0 or name.endswith("pixel_mean") else t[rows]
        for name, t in tensors.items()
    }


class Trainer:
    """One run's model, estimator and surrogates with their optimiser; `step` is one update.

    A replica whose cost, gradient or parameters stop being finite is noted in `divergence`, and
    nothing stops: replicas do not meet. On a GPU the step is captured as a graph, and the note is
    made there: asking at every step would leave the GPU waiting.

    Args:
        settings: `VAESettings`.
        images: `Images`, on any device.
        device: where to train.
        captured: `relax.numerics.devices.Captured`, or None for a step that runs as it is; by
            default the device decides.
        compiled: whether estimates and gradients are to be one compiled program.
    """

    def __init__(self, settings, images, device="cpu", captured=None, compiled=False):
        self.settings = settings
        self.model, self.estimator, self.surrogates = build(settings, images)
        self.model.to(device)
        self.surrogates.to(device)
        if captured is None and torch.device(device).type == "cuda":
            captured = Captured
        self.captured = captured and captured(self._update)
        step = (self.estimator, self.model, self.surrogates, settings.direct_gradient)
        self.compiled = CompiledGradients(*step) if compiled else None
        self.divergence = Divergence(len(settings.replicas), device)
        model = (self.model.parameters(), settings.learning_rates)
        groups = [model, *surrogate_groups(settings, self.surrogates)]
        self.optimizer = adam(groups, settings.adam_beta2)
        self.parameters = list(self.model.parameters())
        self.learned = nn.ModuleDict({"model": self.model, "surrogates": self.surrogates})

    def step(self, step, x, noise, surrogates_only=False):
        """Update φ, and θ unless only the surrogates are trained.

        Returns the costs, [replica, samples * batch].
        """
        self.divergence.now.fill_(0 if surrogates_only else step)  # before training is step 0
        if surrogates_only:
            return self._learn(self._note(self._estimate(x, noise)), surrogates_only)
        update = self.captured or self._update
        return update(x, *(tensor for tensor in noise if tensor is not None))

    def _update(self, x, *noise):
        """A whole step in tensors alone, for a graph."""
        if self.compiled is None:
            return self._learn(self._note(self._estimate(x, Noise(*noise))))
        found = self._note(self.compiled(x, *noise))
        self.optimizer.step()
        return found.cost

    def _estimate(self, x, noise):
        direct = self.settings.direct_gradient
        return encoder_estimate(self.estimator, self.surrogates, self.model, x, noise, direct)

    def _note(self, estimate):
        self.divergence.note(estimate.cost, *estimate.gradients.values())
        return estimate

    def _learn(self, estimate, surrogates_only=False):
        learn_surrogates(self.estimator, self.surrogates, estimate.layers)
        if not surrogates_only:
            set_model_gradients(estimate, self.parameters)
        self.optimizer.step()  # leaves alone what has no gradient
        return estimate.cost.detach()

    def checkpoint(self, step):
        """The tensors of a checkpoint; with them, when each replica diverged, if it did."""
        self.divergence.now.fill_(step)
        self.divergence.note(*self.learned.parameters())
        return self.learned.state_dict() | {
            "step": torch.tensor(step),
            "diverged_step": self.divergence.step,
        }

    def state(self):
        """Everything that the next step depends on."""
        return {
            "learned": self.learned.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "diverged_step": self.divergence.step,
        }

    def load(self, state):
        """Go back to a `state`."""
        self.learned.load_state_dict(state["learned"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.divergence.step.copy_(state["diverged_step"])
