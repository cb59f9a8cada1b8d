"""The toy problem (draft 4.1): minimise E[(b - t)²] over θ, b ~ Bernoulli(θ), one latent.

Every replica is a seed; the logit starts at 0 and Adam follows one single-sample estimate a step.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from relax.exact import exact_moments
from relax.registry import load_estimator
from relax.replicas import parameter_generators
from relax.settings import collect
from relax.streams import NoiseStream
from relax.surrogates import RelaxedCost, SurrogateSpec
from relax.tables import labelled
from relax.training import adam, check_finite, learn_surrogates, progress
from relax.variance import sample_moments

DEFAULT_SPEC = SurrogateSpec(latents=1, dtype=torch.float64)


@dataclass(frozen=True)
class ToySettings:
    """Settings of a toy run, as the configuration names them (`toy:` in config.yaml)."""

    target: float
    estimator: str
    seeds: range
    steps: int = 10_000
    learning_rate: float = 0.01
    surrogate_learning_rate: float = 0.01
    noise: str = "independent"
    record_every: int = 250
    variance_samples: int = 1000
    spec: SurrogateSpec = DEFAULT_SPEC

    @classmethod
    def of(cls, wildcards, params):
        """From a workflow rule's wildcards and params."""
        return collect(cls, wildcards, params, latents=1, dtype=torch.float64)


def squared_distance(target):
    """f(b) = Σ_latent (b - t)²: [replica, batch, latent] -> [replica, batch]."""
    return lambda b: (b - target).square().sum(-1)


def expected_loss(theta, target):
    """E[f(b)] = (1-θ) t² + θ (1-t)²."""
    return (1 - theta) * target**2 + theta * (1 - target) ** 2


def train(settings, log=None):
    """Train every seed side by side; a tidy table, one row a seed and recorded step.

    Columns: estimator, target, noise, seed, step, theta, loss (the expected loss at θ),
    gradient_variance (over fresh samples at the current θ and φ), exact_variance (the same by
    quadrature).

    Raises:
        NonFiniteError: a cost or gradient stopped being finite.
    """
    estimator = load_estimator(settings.estimator)
    seeds, cost = settings.seeds, squared_distance(settings.target)
    surrogate = estimator.surrogate(settings.spec, parameter_generators(seeds))
    logits = torch.zeros(len(seeds), 1, 1, dtype=torch.float64, requires_grad=True)
    optimizer = adam(
        [
            ([logits], settings.learning_rate),
            (surrogate.parameters(), settings.surrogate_learning_rate),
        ]
    )
    noise = NoiseStream(seeds, "noise", 1, 1, settings.noise, torch.float64, block=1000)
    who = {"seeds": seeds, "estimator": settings.estimator}
    evaluation_noise = NoiseStream(
        seeds, "evaluation", settings.variance_samples, 1, settings.noise, torch.float64, block=1
    )
    rows = []

    def record(step):
        with torch.no_grad():
            theta = torch.sigmoid(logits).flatten()
            loss = expected_loss(theta, settings.target)
            fresh = evaluation_noise(step)
            wide = logits.expand_as(fresh.u)
            gradient = estimator.estimate(surrogate, cost, wide, fresh).gradient
            measured = sample_moments(gradient).variance.flatten()
            # Half the default nodes: four digits at λ = 0.1 and seven at 0.5, enough for a curve.
            exact = exact_moments(
                estimator, surrogate, cost, logits, settings.noise, nodes=129
            ).variance.squeeze(-1)
        columns = {
            "theta": theta,
            "loss": loss,
            "gradient_variance": measured,
            "exact_variance": exact,
        }
        check_finite(step=step, **columns, **who)
        rows.append(pd.DataFrame({"seed": list(seeds), "step": step, **columns}))
        return f"loss {loss.mean():.5f}, theta {theta.mean():.4f}"

    title = f"toy t={settings.target:g} {settings.estimator}"
    with progress(title, settings.steps, log) as bar:
        note = record(0)
        for step in range(1, settings.steps + 1):
            estimate = estimator.estimate(surrogate, cost, logits, noise(step))
            check_finite(cost=estimate.cost, gradient=estimate.gradient, step=step, **who)
            learn_surrogates(estimator, [surrogate], [estimate])
            logits.grad = estimate.gradient.detach()
            optimizer.step()
            if step % settings.record_every == 0 or step == settings.steps:
                note = record(step)
            bar.advance(note=note)
    table = pd.concat(rows, ignore_index=True).sort_values(["seed", "step"], ignore_index=True)
    return labelled(
        table, estimator=settings.estimator, target=settings.target, noise=settings.noise
    )


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
    with progress(title, steps, log) as bar:
        for step in range(1, steps + 1):
            estimate = estimator.estimate(surrogate, cost, logits, noise(step))
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
