"""Minimise E[f(b)] over the logits of b, where f is a function of a file of the user's."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from relax.estimators.registry import REGISTRY, calls
from relax.experiments.toy.problem import RunSettings, train
from relax.frontdoor.advice import Circumstances
from relax.frontdoor.costs import UserCost
from relax.frontdoor.latents import Latents
from relax.frontdoor.loading import load_cost
from relax.numerics.streams import uniform_noise
from relax.runs.settings import collect

LOSS_SAMPLES = 1000  # of b, behind each recorded loss; the same noise at every step


@dataclass(frozen=True)
class OwnSettings(RunSettings):
    """Settings of a run (`own:` in config.yaml); `steps` and `record_every` follow from them."""

    file: str = field(kw_only=True)
    function: str = field(kw_only=True)
    latents: int = field(kw_only=True)
    outcomes: int | None = field(kw_only=True)
    evaluations: int = field(kw_only=True)
    measurements: int = field(kw_only=True)

    @classmethod
    def of(cls, wildcards, params, file):
        """From a workflow rule's wildcards and params, and the file among its inputs."""
        known = latents_of(params["latents"], params["outcomes"])
        shape = {"latents": known.flat, "relaxation": known.relaxation, "dtype": torch.float64}
        given = {**dict(wildcards.items()), "file": file}
        settings = collect(cls, given, params, **shape)
        steps = max(1, settings.evaluations // settings.calls.evaluations)
        every = max(1, steps // settings.measurements)
        return replace(settings, steps=steps, record_every=every)

    @property
    def calls(self):
        """How often one step calls f: `Calls`."""
        spec = self.spec
        samples = spec.samples if "samples" in REGISTRY[self.estimator].reads else 1
        return calls(self.estimator, samples, self.latents, self.noise, spec.add_relaxed_cost)

    @property
    def problem(self):
        return OwnCost(self)


def latents_of(latents, outcomes):
    """`Latents` of the configuration's two numbers: bits, or choices among so many outcomes."""
    return Latents((latents, outcomes), "categorical") if outcomes else Latents(latents)


class OwnCost:
    """A function of a file as a `problem` (see `relax.experiments.toy.problem.RunSettings`)."""

    by_quadrature = ()

    def __init__(self, settings):
        self.known = latents_of(settings.latents, settings.outcomes)
        self.relaxation, self.latents = self.known.relaxation, self.known.flat
        self.function = load_cost(settings.file, settings.function)
        self.title = f"{settings.function} of {settings.file}"
        self.labels = {"file": Path(settings.file).name, "function": settings.function}
        shape = (LOSS_SAMPLES, self.latents)
        self.u = uniform_noise(settings.seeds, "split", 0, shape)

    def cost(self, b):
        """f: [replica, batch, latent] -> [replica, batch]; all rows in one call, as float32.

        Raises:
            ArgumentError: naming file, function and what it returned.
        """
        rows = b.shape[0] * b.shape[1]
        f = UserCost(self.function, (rows,), self.known.shape, torch.get_default_dtype())
        return f(b.reshape(1, rows, -1)).reshape(b.shape[:2])

    def state(self, logits):
        """E[f(b)], by samples."""
        b = self.relaxation.hard_sample(logits.expand(-1, LOSS_SAMPLES, -1), self.u)
        return {"loss": self.cost(b).mean(1)}

    def exact(self, estimator, surrogate, logits, noise):
        """Nothing."""
        return {}


def train_own(settings, log=None):
    """Train every seed side by side; a tidy table, one row a seed and recorded step.

    Columns: estimator, file, function, noise, seed, step, loss (E[f(b)] by 1,000 samples),
    gradient_variance (of one estimate, over fresh samples, summed over the logits), evaluations and
    gradients (of f, up to this step).

    Raises:
        ArgumentError: of what the function returned, or that this estimator cannot run on it.
        NonFiniteError: a gradient stopped being finite.
    """
    known = latents_of(settings.latents, settings.outcomes)
    with Circumstances(settings.estimator, known).explained():
        table = train(settings, log)
    each = settings.calls
    return table.assign(
        evaluations=table.step * each.evaluations, gradients=table.step * each.gradients
    )
