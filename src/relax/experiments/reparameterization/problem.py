"""One Gamma latent, and costs whose expected gradient is known by quadrature."""

from dataclasses import dataclass, fields
from typing import NamedTuple

import pandas as pd
import torch

from relax.estimators.reparameterization import DECOMPOSITIONS, path_estimate
from relax.estimators.variance import variance_objective
from relax.exact.densities import best_in_span, density_nodes, weighted_moments
from relax.experiments.reparameterization.names import BLACK_BOX, DIFFERENTIABLE, LEARNED, TERMS
from relax.experiments.reparameterization.surrogates import OfFeatures
from relax.numerics.finite import check_finite
from relax.numerics.optimizers import adam
from relax.numerics.replicas import parameter_generators
from relax.numerics.streams import generator
from relax.relaxations.standardised import Gamma
from relax.runs.progress import Progress

GAMMA = Gamma()
BLOCK = 50  # steps whose samples are drawn at once


class Cost(NamedTuple):
    """A function of one latent: the function, where it is not smooth, and who may estimate it."""

    function: object
    breaks: object  # the largest concentration -> the values of z where there is a kink or step
    estimators: tuple


def kinked(z):
    """|z - 2| + 0.3 z²: differentiable but for one point."""
    return ((z - 2).abs() + 0.3 * z.square()).squeeze(-1)


def staircase(z):
    """(⌊z⌋ - 2)²: its slope is zero wherever there is one, and says nothing."""
    return (torch.floor(z) - 2).square().squeeze(-1)


def steps_up_to(largest):
    """Of the staircase, as far out as such a Gamma variable comes."""
    return tuple(map(float, range(1, round(largest + 12 * largest**0.5 + 25))))


COSTS = {
    "kink": Cost(kinked, lambda largest: (2.0,), DIFFERENTIABLE),
    "black box": Cost(staircase, steps_up_to, BLACK_BOX),
}


@dataclass(frozen=True)
class GammaSettings:
    """`reparameterization:` in config.yaml, without `model`."""

    concentrations: tuple[float, ...]
    seeds: int
    steps: int
    batch: int
    surrogate_learning_rate: float
    measurements: int
    surrogate: dict

    @classmethod
    def of(cls, params):
        """From a workflow rule's params."""
        return cls(**{field.name: params[field.name] for field in fields(cls)})


class Exact:
    """Quadrature over z at each concentration: what every estimator is measured with."""

    def __init__(self, concentrations, breaks):
        alpha = torch.tensor(concentrations, dtype=torch.float64).view(-1, 1, 1)
        self.parameters = torch.cat([alpha, torch.ones_like(alpha)], -1)
        z, self.weights = density_nodes(GAMMA, self.parameters, breaks)
        self.drawn = GAMMA.at(self.parameters.expand(-1, z.shape[1], -1), z)

    def moments(self, estimate, copies=1):
        """Of an estimate at the nodes, in the concentration: mean, variance, and of each term."""
        weights = self.weights.repeat_interleave(copies, 0)
        mean, variance = weighted_moments(estimate.gradient[..., :1], weights)
        found = {"mean": mean, "variance": variance}
        for term in TERMS:
            found[term] = weighted_moments(getattr(estimate, term)[..., :1], weights).variance
        return {name: value.squeeze(-1).tolist() for name, value in found.items()}


def measure(settings, log=None):
    """Variances of every estimator on every cost, along the learning of c; a tidy table.

    Columns: cost, concentration, estimator, surrogate ("none", "network", or "best in span": the
    exact least variance over c in the span of 1, z, z², z³ and log z), seed, step (updates of φ),
    exact (the gradient in the concentration), mean and variance of the estimator by quadrature, and
    the variances of its terms: reparameterization, correction, recursion.

    Raises:
        NonFiniteError: c stopped being finite.
    """
    tables = []
    for name, cost in COSTS.items():
        exact = Exact(settings.concentrations, cost.breaks(max(settings.concentrations)))
        truth = exact.moments(path_estimate("score_function", exact.drawn, cost.function))["mean"]
        for estimator in cost.estimators:
            rows = _plain(settings, cost, exact, estimator)
            if estimator in LEARNED:
                rows = [*rows, *_learned(settings, cost, exact, estimator, log)]
            table = pd.concat(rows, ignore_index=True)
            place = {c: k for k, c in enumerate(settings.concentrations)}
            table["exact"] = [truth[place[c]] for c in table.concentration]
            table.insert(0, "cost", name)
            table.insert(1, "estimator", estimator)
            tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _plain(settings, cost, exact, estimator):
    """Without c, or with the best c of a span."""
    base = {"concentration": settings.concentrations, "seed": 0, "step": 0}
    estimate = path_estimate(estimator, exact.drawn, cost.function)
    if estimator not in LEARNED:
        return [pd.DataFrame({**base, "surrogate": "none", **exact.moments(estimate)})]
    least = best_in_span(
        estimate.gradient[..., :1], _controls(estimator, exact.drawn), exact.weights
    )
    found = {key: value.flatten().tolist() for key, value in least._asdict().items()}
    return [pd.DataFrame({**base, "surrogate": "best in span", **found})]


def _controls(estimator, drawn):
    """What each function of the span adds to the gradient in the concentration: [.., node, k]."""
    kind, z = DECOMPOSITIONS[estimator], drawn.z
    removed, returned = drawn.paths[kind.removed], drawn.paths[kind.returned]
    values = torch.cat([torch.ones_like(z), z, z**2, z**3, torch.log(z)], -1)
    slopes = torch.cat([torch.zeros_like(z), torch.ones_like(z), 2 * z, 3 * z**2, 1 / z], -1)
    weight = (removed.weight - returned.weight)[..., :1]
    return slopes * (returned.slope - removed.slope)[..., :1] - values * weight


def _learned(settings, cost, exact, estimator, log):
    """c learned by descending g², all concentrations and seeds side by side."""
    copies = settings.seeds
    replicas = list(range(copies)) * len(settings.concentrations)
    surrogate = OfFeatures(
        parameter_generators(replicas),
        exact.parameters.repeat_interleave(copies, 0),
        _deviation(exact, cost).repeat_interleave(copies, 0),
        **settings.surrogate,
    )
    phi = surrogate.learned_parameters()
    optimizer = adam([(phi, settings.surrogate_learning_rate)])
    nodes, parameters = exact.drawn.repeated(copies), exact.parameters
    wide = parameters.repeat_interleave(copies, 0).expand(-1, BLOCK * settings.batch, -1)
    concentrations = [c for c in settings.concentrations for _ in range(copies)]
    labels = {"concentration": concentrations, "seed": replicas, "surrogate": "network"}
    every = max(1, settings.steps // settings.measurements)

    def rows(step):
        with torch.no_grad():
            found = path_estimate(estimator, nodes, cost.function, surrogate)
        check_finite(step=step, seeds=replicas, estimator=estimator, gradient=found.gradient)
        return pd.DataFrame({**labels, "step": step, **exact.moments(found, copies)})

    tables = [rows(0)]
    with Progress(estimator, settings.steps, log) as bar:
        for step in range(settings.steps):
            if step % BLOCK == 0:
                streams = [generator(seed, "noise", step // BLOCK) for seed in replicas]
                block = GAMMA.draw(wide, streams, DECOMPOSITIONS[estimator].paths)
            start = step % BLOCK * settings.batch
            drawn = block.at(slice(start, start + settings.batch))
            estimate = path_estimate(estimator, drawn, cost.function, surrogate)
            # In the concentration alone: the rate is fixed.
            objective = variance_objective(estimate.gradient[..., :1]).sum()
            for parameter, gradient in zip(phi, torch.autograd.grad(objective, phi), strict=True):
                parameter.grad = gradient
            optimizer.step()
            bar.advance()
            if (step + 1) % every == 0 or step + 1 == settings.steps:
                tables.append(rows(step + 1))
    return tables


def _deviation(exact, cost):
    """The cost's, [replica, 1]."""
    value = cost.function(exact.drawn.z).unsqueeze(-1)
    return weighted_moments(value, exact.weights).variance.sqrt()
