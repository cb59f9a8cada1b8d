"""The variance of a step's gradient, at parameters that all estimators have in common."""

from dataclasses import dataclass
from typing import TextIO

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from relax.estimators.learning import learn_surrogates
from relax.estimators.registry import REGISTRY, load_estimator
from relax.experiments.structure.cost import TableCost
from relax.experiments.structure.problem import DATA, graph_of
from relax.experiments.structure.training import DTYPE, Run, StructureSettings, runs_of
from relax.numerics.optimizers import adam
from relax.numerics.streams import NoiseStream
from relax.runs.progress import Progress
from relax.runs.settings import collect
from relax.runs.tables import labelled

SAMPLES = 16  # behind one leave-one-out estimate of the true gradient


@dataclass(frozen=True)
class MeasureSettings:
    """Where and how variances are measured (`structure.variance` in config.yaml)."""

    points: int = 5
    tuning_steps: int = 200
    estimates: int = 50
    reference_estimates: int = 200

    @classmethod
    def of(cls, params) -> "MeasureSettings":
        """From a rule's params."""
        return collect(cls, {}, params, [StructureSettings])


def measure_variance(
    settings: StructureSettings,
    measure: MeasureSettings,
    known: pd.DataFrame,
    log: TextIO | None = None,
) -> pd.DataFrame:
    """The variance of a step's gradient at parameters that all estimators have in common.

    They lie on the line from where training starts to logits that are sure of the best graph, of
    the user's table or Sachs's. At each φ is learned first. Columns: problem, latents, estimator,
    noise, seed, way (0 at the start, 1 at the best graph), variance (of a step's gradient, summed
    over the logits), mean_squared_error (the same about the true gradient, which
    `reference_estimates` leave-one-out estimates of 16 samples a seed stand for; of an unbiased
    estimator the variance).
    """
    tables = []
    for run in runs_of(settings):
        if run.problem.name != DATA:
            continue
        best = graph_of(known, DATA, "best", run.problem.observations.names)
        line = [run.latents.start(settings.start), run.latents.at(best)]
        for way in np.linspace(0, 1, measure.points):
            logits = run.parameters((1 - way) * line[0] + way * line[1]).detach()
            tables.append(
                labelled(
                    _moments(run, measure, logits, log),
                    problem=DATA,
                    latents=run.latents.name,
                    estimator=settings.estimator,
                    noise=settings.noise,
                ).assign(way=way)
            )
    return pd.concat(tables, ignore_index=True)


def _moments(run, measure, logits, log):
    """One row a seed, at these logits [replica, 1, latent]."""
    surrogate = _tuned(run, measure, logits, log)
    wide = logits.expand(-1, run.batch * measure.estimates, -1)
    with torch.no_grad():
        found = run.estimate(surrogate, wide, run.noise("variance", wide.shape[1], block=1)(0))
    run.check(found, measure.tuning_steps)
    steps = found.gradient.unflatten(1, (measure.estimates, run.batch)).mean(2).double()
    variance = steps.var(1).sum(-1)
    error = variance
    if not REGISTRY[run.settings.estimator].unbiased:
        truth = true_gradient(run, logits, measure.reference_estimates)
        error = (steps - truth).square().sum(-1).mean(1)
    table = {"seed": list(run.settings.seeds), "variance": variance, "mean_squared_error": error}
    return pd.DataFrame(table)


def _tuned(run, measure, logits, log):
    """The surrogate, learned where the logits are."""
    surrogate = run.surrogate()
    optimizer = adam([(surrogate.parameters(), run.settings.surrogate_learning_rate)])
    if optimizer:
        wide, noise = logits.expand(-1, run.batch, -1), run.noise("tuning")
        with Progress(f"{run.title}, variance", measure.tuning_steps, log) as bar:
            for step in range(1, measure.tuning_steps + 1):
                now = run.estimate(surrogate, wide, noise(step))
                run.check(now, step)
                learn_surrogates(run.estimator, [surrogate], [now])
                optimizer.step()
                bar.advance()
    return surrogate


def true_gradient(run: Run, logits: Tensor, estimates: int) -> Tensor:
    """Its mean over leave-one-out estimates of every seed, at logits that they share: [latent]."""
    cost = TableCost(run.latents, run.problem.table, run.settings.acyclicity, DTYPE)
    seeds, width = run.settings.seeds, run.latents.latents
    noise = NoiseStream(seeds, "reference", estimates * SAMPLES, width, "coupled", DTYPE, block=1)
    with torch.no_grad():
        wide = logits.expand(-1, estimates, -1)
        rloo = load_estimator("rloo")
        found = rloo.rule(None, cost, wide, noise(0), relaxation=run.relaxation)
    return found.gradient.double().mean((0, 1))
