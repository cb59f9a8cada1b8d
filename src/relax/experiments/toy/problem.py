"""The toy problem (draft 4.1): minimise E[(b - t)²] over θ, b ~ Bernoulli(θ), one latent.

Every replica is a seed; the logits start at 0 and Adam follows one single-sample estimate a step.
The loop is the same for the categorical toy (`categorical.py`): what differs is its `problem`.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch

from relax.estimators.learning import learn_surrogates
from relax.estimators.registry import load_estimator
from relax.estimators.variance import sample_moments
from relax.exact.quadrature import exact_moments
from relax.numerics.finite import check_finite
from relax.numerics.optimizers import adam
from relax.numerics.replicas import parameter_generators
from relax.numerics.streams import NoiseStream
from relax.relaxations.bernoulli import BERNOULLI
from relax.runs.progress import Progress
from relax.runs.settings import collect
from relax.runs.tables import labelled
from relax.surrogates.base import SurrogateSpec
from relax.surrogates.relaxed_cost import RelaxedCost

DEFAULT_SPEC = SurrogateSpec(latents=1, dtype=torch.float64)


@dataclass(frozen=True)
class RunSettings:
    """Settings of a run of any toy, as the configuration names them (`toy:` in config.yaml).

    A subclass adds what its problem needs, and has `problem`, an object with

        title                  what the log calls it
        labels                 columns that say which problem it is, by name
        relaxation, latents    what b is; the number of latents, or of outcomes
        cost(b)                f: [replica, batch, latent] -> [replica, batch]
        state(logits)          what is recorded of θ, by column: [replica] each
        exact(...)             what is known of the variance without sampling, by column
        by_quadrature          those columns
    """

    estimator: str
    seeds: range
    steps: int = 10_000
    learning_rate: float = 0.01
    surrogate_learning_rate: float = 0.01
    noise: str = "independent"
    record_every: int = 250
    variance_samples: int = 1000
    spec: SurrogateSpec = DEFAULT_SPEC


@dataclass(frozen=True)
class ToySettings(RunSettings):
    """Settings of a run of the draft's toy."""

    target: float = field(kw_only=True)

    @classmethod
    def of(cls, wildcards, params):
        """From a workflow rule's wildcards and params."""
        return collect(cls, wildcards, params, ["theta"], latents=1, dtype=torch.float64)

    @property
    def problem(self):
        return SquaredDistance(self.target)


def squared_distance(target):
    """f(b) = Σ_latent (b - t)²: [replica, batch, latent] -> [replica, batch]."""
    return lambda b: (b - target).square().sum(-1)


def expected_loss(theta, target):
    """E[f(b)] = (1-θ) t² + θ (1-t)²."""
    return (1 - theta) * target**2 + theta * (1 - target) ** 2


class SquaredDistance:
    """The draft's toy as a `problem` (see `RunSettings`)."""

    relaxation, latents, by_quadrature = BERNOULLI, 1, ("exact_variance",)

    def __init__(self, target):
        self.target, self.cost = target, squared_distance(target)
        self.title, self.labels = f"t={target:g}", {"target": target}

    def state(self, logits):
        """θ, and the expected loss at it."""
        theta = torch.sigmoid(logits).flatten()
        return {"theta": theta, "loss": expected_loss(theta, self.target)}

    def exact(self, estimator, surrogate, logits, noise):
        """The variance by quadrature."""
        # Half the default nodes: four digits at λ = 0.1 and seven at 0.5, enough for a curve.
        moments = exact_moments(estimator, surrogate, self.cost, logits, noise, nodes=129)
        return {"exact_variance": moments.variance.squeeze(-1)}


def train(settings, log=None):
    """Train every seed side by side; a tidy table, one row a seed and recorded step.

    Columns: estimator, the problem's labels, noise, seed, step, the problem's state,
    gradient_variance (over fresh samples at the current θ and φ, summed over the logits), and what
    the problem knows exactly. For the draft's toy: estimator, target, noise, seed, step, theta,
    loss (the expected loss at θ), gradient_variance, exact_variance (by quadrature; empty for an
    estimator of several samples).

    Raises:
        NonFiniteError: a cost or gradient stopped being finite.
    """
    problem, estimator = settings.problem, load_estimator(settings.estimator)
    seeds, cost, latents = settings.seeds, problem.cost, problem.latents
    surrogate = estimator.surrogate(settings.spec, parameter_generators(seeds))
    logits = torch.zeros(len(seeds), 1, latents, dtype=torch.float64, requires_grad=True)
    optimizer = adam(
        [
            ([logits], settings.learning_rate),
            (surrogate.parameters(), settings.surrogate_learning_rate),
        ]
    )
    shape = {"latents": latents, "kind": settings.noise, "dtype": torch.float64}
    samples, fresh = estimator.samples(settings.spec), settings.variance_samples
    noise = NoiseStream(seeds, "noise", samples, block=1000, **shape)
    evaluation_noise = NoiseStream(seeds, "evaluation", samples * fresh, block=1, **shape)
    who = {"seeds": seeds, "estimator": settings.estimator}
    rows = []

    def estimate(logits, noise):
        return estimator.rule(surrogate, cost, logits, noise, relaxation=problem.relaxation)

    def record(step):
        with torch.no_grad():
            state = problem.state(logits)
            wide = logits.expand(-1, fresh, -1)
            gradient = estimate(wide, evaluation_noise(step)).gradient
            measured = sample_moments(gradient).variance.sum(-1)
            # The quadrature is over the noise of one sample.
            known = (estimator, surrogate, logits, settings.noise)
            exact = problem.exact(*known) if samples == 1 else {}
        columns = {**state, "gradient_variance": measured, **exact}
        check_finite(step=step, **columns, **who)
        columns = dict.fromkeys((*columns, *problem.by_quadrature), np.nan) | columns
        rows.append(pd.DataFrame({"seed": list(seeds), "step": step, **columns}))
        return ", ".join(f"{name} {value.mean():.5f}" for name, value in state.items())

    title = f"toy {problem.title} {settings.estimator}"
    with Progress(title, settings.steps, log) as bar:
        note = record(0)
        for step in range(1, settings.steps + 1):
            now = estimate(logits, noise(step))
            check_finite(cost=now.cost, gradient=now.gradient, step=step, **who)
            learn_surrogates(estimator, [surrogate], [now])
            logits.grad = now.gradient.detach()
            optimizer.step()
            if step % settings.record_every == 0 or step == settings.steps:
                note = record(step)
            bar.advance(note=note)
    table = pd.concat(rows, ignore_index=True).sort_values(["seed", "step"], ignore_index=True)
    return labelled(table, estimator=settings.estimator, **problem.labels, noise=settings.noise)


def tune(settings, surrogate, logits, seeds, cost, log=None, after=None):
    """Descend the variance over c alone, at fixed logits, for `settings.steps` steps.

    Args:
        surrogate: the module to tune, a replica a row of logits.
        logits: [replica, 1, latent].
        seeds: one a replica; a seed that stands at several logits has the same noise at each.
        cost: f.
        after: called with the step after each update.

    Raises:
        NonFiniteError: a cost or gradient stopped being finite.
    """
    estimator = load_estimator(settings.estimator)
    optimizer = adam([(surrogate.parameters(), settings.surrogate_learning_rate)])
    noise = NoiseStream(
        seeds, "noise", 1, logits.shape[-1], settings.noise, torch.float64, block=1000
    )
    who = {"seeds": seeds, "estimator": settings.estimator}
    title = f"relaxation t={settings.target:g} {settings.estimator}"
    # An estimator with nothing to learn is done at once.
    steps = settings.steps if optimizer else 0
    with Progress(title, steps, log) as bar:
        for step in range(1, steps + 1):
            estimate = estimator.rule(surrogate, cost, logits, noise(step))
            check_finite(cost=estimate.cost, gradient=estimate.gradient, step=step, **who)
            learn_surrogates(estimator, [surrogate], [estimate])
            optimizer.step()
            if after:
                after(step)
            bar.advance()


def tune_relaxations(settings, theta, points=201, log=None):
    """Tune the surrogate at a fixed θ, and tabulate c over u (figure 2, right).

    The surrogate c(z) is read at z = logit θ + logit u. Columns: estimator ("cost" for f(H(z)),
    which has one seed), target, noise, theta, seed, u, value, unscaled (f(σ(z/λ)) without REBAR's
    η, where there is one), exact_variance (of the tuned estimator, by quadrature).

    Raises:
        NonFiniteError: a cost or gradient stopped being finite.
    """
    estimator = load_estimator(settings.estimator)
    seeds, cost = settings.seeds, squared_distance(settings.target)
    surrogate = estimator.surrogate(settings.spec, parameter_generators(seeds))
    logits = torch.full((len(seeds), 1, 1), theta, dtype=torch.float64).logit()
    tune(settings, surrogate, logits, seeds, cost, log)
    u = torch.from_numpy((np.arange(points) + 0.5) / points)
    z = (logits + torch.logit(u).view(1, -1, 1)).expand(len(seeds), -1, -1)
    with torch.no_grad():
        curves = {settings.estimator: surrogate(z, cost), "cost": cost((z > 0).to(z.dtype))[:1]}
        variance = exact_moments(estimator, surrogate, cost, logits, settings.noise).variance
        unscaled = surrogate.relaxed_cost(z, cost) if isinstance(surrogate, RelaxedCost) else None
    check_finite(
        relaxation=curves[settings.estimator],
        step=settings.steps,
        seeds=seeds,
        estimator=settings.estimator,
    )
    tables = []
    for name, values in curves.items():
        learned = name == settings.estimator
        for row, value in enumerate(values.detach()):
            columns = {
                "estimator": name,
                "target": settings.target,
                "noise": settings.noise,
                "theta": theta,
                "seed": seeds[row],
                "u": u,
                "value": value,
                "unscaled": unscaled[row] if learned and unscaled is not None else np.nan,
                "exact_variance": variance[row].item() if learned else np.nan,
            }
            tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)
