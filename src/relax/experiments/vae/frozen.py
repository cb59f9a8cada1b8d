"""A model that stands still, and one estimator whose surrogates are tuned at it until flat.

**Tuning.** The model of a checkpoint does not move, so φ descends Σ g² as a problem of its own,
with Adam at rates of its own: `SCALARS` for what is one number a layer (λ, η), which converges in a
few hundred updates, `NETWORKS` for networks. λ and η start where the checkpoint's own surrogates
have them, if those are there. A seed whose numbers stop being finite in it has no variance (NaN).

**Flat.** After every block of updates the log-variance is looked at, on noise that neither the
tuning nor the measurement sees, the same at every look, and the best φ so far is kept. A seed is
flat when its best has fallen by less than `FLAT` over the last `PATIENCE` blocks together; its φ
then stays. Tuning ends where every seed is flat, or at the most updates that are allowed; the
tables say how many were made, and whether the seed was flat. A seed's result does not depend on the
others beside it.
"""

from dataclasses import replace
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from relax.errors import DataError
from relax.estimators.learning import learn_surrogates
from relax.estimators.samples import first_of
from relax.experiments.vae.gradients import encoder_estimate
from relax.experiments.vae.trainer import Minibatches, build, of_rows
from relax.numerics.devices import choose
from relax.numerics.finite import NEVER
from relax.numerics.optimizers import adam
from relax.runs.checkpoints import load_checkpoint
from relax.surrogates.relaxed_cost import RelaxedCost

FLAT = 0.01  # a fall of the log-variance that counts as none: one percent
PATIENCE = 2  # blocks
LOOK_DRAWS = 5  # draws of the noise for each minibatch behind a look
SCALARS, NETWORKS, DECAY = 0.01, 0.001, 0.999  # Adam's rates, and its second-moment decay


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


def standing(settings, *paths):
    """Who is left to measure: settings of the seeds that diverged before none of these checkpoints.

    Returns:
        The settings with those seeds alone, and their rows in the checkpoints.
    """
    rows = range(len(settings.seeds))
    for path in paths:
        # Checkpoints from before this was noted have none that did.
        diverged = load_checkpoint(path).get("diverged_step")
        if diverged is not None:
            rows = [row for row in rows if diverged[row] == NEVER]
    return replace(settings, seeds=[settings.seeds[row] for row in rows]), list(rows)


def load_model(model, path, rows=None):
    """Put a checkpoint's model parameters into `model`; all the checkpoint's tensors.

    Args:
        rows: which of the checkpoint's replicas the model has; by default all.

    Raises:
        DataError: the checkpoint cannot be read, or belongs to another model.
    """
    tensors = load_checkpoint(path)
    tensors = tensors if rows is None else of_rows(tensors, rows)
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


def take_relaxations(surrogates, tensors):
    """Give relaxed costs the λ and η of the checkpoint's tensors, if those are learned there."""
    for layer, surrogate in enumerate(surrogates):
        for module in surrogate.modules():
            if isinstance(module, RelaxedCost) and module.scale.requires_grad:
                names = [name for name, _ in module.named_parameters()]
                # REBAR's surrogate is the relaxed cost, RELAX's has it as its first part.
                for prefix in (f"surrogates.{layer}.", f"surrogates.{layer}.parts.0."):
                    if all(prefix + name in tensors for name in names):
                        module.load_state_dict({name: tensors[prefix + name] for name in names})


class Tuning(NamedTuple):
    """How tuning went, of each seed: [replica] each."""

    updates: Tensor  # of φ, until it was flat or the most were made
    flat: Tensor  # whether it was
    fall: Tensor  # of the log-variance in all, on the looks' noise

    @property
    def columns(self):
        """By the names of the tables' columns."""
        return {name: value.cpu().tolist() for name, value in self._asdict().items()}


class BestState:
    """A module's state where each replica's level was least; every tensor has the replica axis."""

    def __init__(self, module, level):
        self.module, self.level = module, level
        self.state = {name: t.detach().clone() for name, t in module.state_dict().items()}

    def see(self, level, open_):
        """Keep the state of the replicas in `open_` whose level [replica] is a new least."""
        better = open_ & (level < self.level)
        self.level = torch.where(better, level, self.level)
        for name, tensor in self.module.state_dict().items():
            self.state[name][better] = tensor.detach()[better]

    def put_back(self):
        """Give the module the best states."""
        self.module.load_state_dict(self.state)


class FrozenRun:
    """A model that stands still, and one estimator whose surrogates descend their variance there.

    Of the replicas in the checkpoints it has those that the settings name (`standing`). Networks
    start silent, so RELAX starts where REBAR does, and NVIL where REINFORCE does: what a random
    start costs is not measured.

    Args:
        settings: `VAESettings` of the run that wrote the checkpoints.
        images: `Images`.
        name: the estimator.
        device: where to compute (`relax.numerics.devices.choose`).
        rows: of the settings' seeds, in the checkpoints; by default all that are there.
        changed: fields of the `SurrogateSpec` to set.

    Attributes:
        direct: whether the estimates have the direct term ∂f/∂θ; as the settings say, at first.
    """

    def __init__(self, settings, images, name, device="cpu", rows=None, **changed):
        self.settings, self.name, self.rows, device = settings, name, rows, choose(device)
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
        self.look_noise = settings.noise_stream("tuning look", device, name)
        self.reference_noise = settings.noise_stream("reference", device, name)
        self.direct = settings.direct_gradient
        self.done = 0
        self.restart_optimizer()

    def load(self, path):
        """Stand at a checkpoint, with its λ and η where it has ones; its step."""
        tensors = load_model(self.model, path, self.rows)
        take_relaxations(self.surrogates, tensors)
        self.restart_optimizer()
        return int(tensors["step"])

    def estimate(self, x, noise):
        """The `EncoderEstimate` at the frozen model."""
        return encoder_estimate(self.estimator, self.surrogates, self.model, x, noise, self.direct)

    def restart_optimizer(self):
        """Forget the moments of the gradients so far."""
        named = dict(self.surrogates.named_parameters())
        weights = {n: p for n, p in named.items() if "layers." in n and n.endswith(".weight")}
        biases = {n: p for n, p in named.items() if "layers." in n and n not in weights}
        scalars = [p for n, p in named.items() if n not in weights and n not in biases]
        decay = self.settings.surrogate_weight_decay
        groups = [(weights.values(), NETWORKS, decay), (biases.values(), NETWORKS)]
        self.optimizer = adam([*groups, (scalars, SCALARS)], DECAY)

    def tune(self, steps):
        """Update φ for this many more steps; an estimator that learns nothing is done at once."""
        if self.optimizer is None:
            return
        for step in range(self.done, self.done + steps):
            estimate = self.estimate(self.batches(step), self.noise(step))
            learn_surrogates(self.estimator, self.surrogates, estimate.layers)
            self.optimizer.step()
        self.done += steps

    def look(self, minibatches):
        """The log-variance of the encoder's gradient on the looks' noise: [replica]."""
        variances = self.variance(minibatches, LOOK_DRAWS, self.look_noise)
        return variances["encoder_variance"].log()

    def tune_until_flat(self, block, most, minibatches):
        """Tune in blocks until every seed is flat or `most` updates are made; a `Tuning`."""
        replicas = len(self.settings.seeds)
        updates, flat = torch.zeros(replicas, dtype=torch.int64), torch.zeros(replicas).bool()
        if self.optimizer is None or most == 0:
            return Tuning(updates, flat | (self.optimizer is None), torch.zeros(replicas))
        best = BestState(self.surrogates, self.look(minibatches))
        levels, done = [best.level], 0
        while done < most and not flat.all():
            steps = min(block, most - done)
            self.tune(steps)
            done += steps
            best.see(self.look(minibatches), ~flat)
            levels.append(best.level)
            updates[~flat] = done
            if len(levels) > PATIENCE:
                flat |= levels[-1 - PATIENCE] - levels[-1] < FLAT
        best.put_back()
        return Tuning(updates, flat, levels[0] - levels[-1])

    def gradient(self, x, noise):
        """The encoder's minibatch gradient [replica, parameter], and one an image in the logits."""
        with torch.no_grad():  # no graph to φ
            estimate = self.estimate(x, noise)
        gradients = [layer.gradient for layer in estimate.layers]
        below = [x, *(first_of(layer.sample, x) for layer in estimate.layers[:-1])]
        logits = [self.model.encode(layer, value) for layer, value in enumerate(below)]
        received = torch.autograd.grad(
            logits,
            list(self.model.encoders.parameters()),
            [g / self.settings.batch for g in gradients],
        )
        return torch.cat([g.flatten(1) for g in received], dim=1), torch.cat(gradients, dim=-1)

    def variance(self, minibatches, draws, noise=None):
        """Variance over the noise, at fixed minibatches, of the encoder's gradient and the logits'.

        Returns two tensors [replica] by the names of their columns: `encoder_variance`, the mean
        over the encoder's parameters of the variance of the minibatch gradient, and
        `logit_variance`, the mean over images and latents of the variance of one image's gradient
        in its logits. Units: (nats a unit of parameter)². Arithmetic means: a variance is an
        expected square, and those of parts add.
        """
        noise = noise or self.fresh_noise
        of_encoder, of_logits = 0.0, 0.0
        for minibatch in range(minibatches):
            x = self.fixed_batches(minibatch)
            encoder, logit = RunningMoments(), RunningMoments()
            for draw in range(draws):
                of_parameters, of_latents = self.gradient(x, noise(minibatch * draws + draw))
                encoder.add(of_parameters)
                logit.add(of_latents)
            of_encoder = of_encoder + encoder.variance.mean(1)
            of_logits = of_logits + logit.variance.mean((1, 2))
        variances = {"encoder_variance": of_encoder, "logit_variance": of_logits}
        return {name: value.cpu() / minibatches for name, value in variances.items()}

    def measure(self, plan, step, **labels):
        """A row a seed: `labels`, seed, step and the variances; and a note for the log.

        `plan` has `minibatches` and `draws`. A variance that is not finite is empty.
        """
        seeds = self.settings.seeds
        variances = self.variance(plan.minibatches, plan.draws)
        variances = {n: v.where(v.isfinite(), torch.nan) for n, v in variances.items()}
        level = variances["encoder_variance"].log().nanmean()
        table = pd.DataFrame({**labels, "seed": list(seeds), "step": step, **variances})
        return table, f"at step {step}: log-variance {level:.3f}"
