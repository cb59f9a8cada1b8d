"""Learn a graph: minimise E[f] over the logits of its latents, every seed side by side."""

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import TextIO

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from relax.errors import ConfigError
from relax.estimators.formula import Estimate
from relax.estimators.learning import learn_surrogates
from relax.estimators.registry import REGISTRY, calls, load_estimator
from relax.experiments.structure import graphs
from relax.experiments.structure.cost import SoftCost, TableCost
from relax.experiments.structure.latents import LATENTS
from relax.experiments.structure.problem import DATA, Problem, graph_of, load_problem
from relax.experiments.structure.slopes import SlopeTable
from relax.numerics.finite import check_finite
from relax.numerics.optimizers import adam
from relax.numerics.replicas import parameter_generators
from relax.numerics.streams import Noise, NoiseStream
from relax.runs.progress import Progress
from relax.runs.settings import collect
from relax.runs.tables import labelled
from relax.surrogates.base import SurrogateSpec

DTYPE = torch.float32
BLOCK = 20  # steps whose noise is drawn at once


@dataclass(frozen=True)
class StructureSettings:
    """Settings of the runs of one estimator, as the configuration names them (`structure:`)."""

    estimator: str
    seeds: range
    problems: dict[str, list[str]]  # of each problem, the latents that this estimator has there
    file: str | None = None
    transform: str = "log"
    start: float = 0.1
    acyclicity: float = 1.0
    evaluations: int = 20_000
    random_evaluations: int = 8000
    evaluations_per_step: int = 8
    learning_rate: float = 0.1
    surrogate_learning_rate: float = 0.01
    noise: str = "coupled"
    measurements: int = 20
    spec: SurrogateSpec = field(default_factory=lambda: SurrogateSpec(samples=8, dtype=DTYPE))

    @classmethod
    def of(cls, wildcards, params, file: str | None = None, beside=()) -> "StructureSettings":
        """From a workflow rule's wildcards and params, and the user's file if there is one."""
        given = {**dict(wildcards.items()), "file": file}
        return collect(cls, given, params, beside, dtype=DTYPE)


class Run:
    """One problem and kind of latents with one estimator: what training and measuring share.

    Args:
        settings: `StructureSettings`.
        problem: `problem.Problem`.
        kind: "edges" or "ordering".

    Raises:
        ConfigError: one estimate takes more evaluations than a step has.
    """

    def __init__(self, settings: StructureSettings, problem: Problem, kind: str) -> None:
        self.settings, self.problem = settings, problem
        self.latents = LATENTS[kind](problem.nodes)
        self.relaxation = self.latents.relaxation
        self.estimator = load_estimator(settings.estimator)
        entry = REGISTRY[settings.estimator]
        shape = {"latents": self.latents.latents, "relaxation": self.relaxation}
        self.spec = replace(settings.spec, **shape)
        arguments = self.latents, problem.table, settings.acyclicity, DTYPE
        if entry.needs_gradient(self.spec.add_relaxed_cost):
            soft = problem.observations.correlation, problem.price
            cost = SlopeTable if SlopeTable.fits(self.latents) else SoftCost
            self.cost = cost(*arguments, *soft)
        else:
            self.cost = TableCost(*arguments)
        samples = self.spec.samples if "samples" in entry.reads else 1
        self.calls = calls(
            settings.estimator,
            samples,
            self.latents.latents,
            settings.noise,
            self.spec.add_relaxed_cost,
        )
        self.batch = settings.evaluations_per_step // self.calls.evaluations
        if self.batch == 0:
            raise ConfigError(
                f"structure.evaluations_per_step: an estimate of '{settings.estimator}' takes "
                f"{self.calls.evaluations} evaluations; got {settings.evaluations_per_step}"
            )
        budget = settings.evaluations if problem.name == DATA else settings.random_evaluations
        self.steps = max(1, budget // (self.batch * self.calls.evaluations))
        self.title = f"structure {problem.name} {kind} {settings.estimator}"

    def surrogate(self) -> nn.Module:
        """A fresh one, a replica a seed."""
        return self.estimator.surrogate(self.spec, parameter_generators(self.settings.seeds))

    def noise(self, purpose: str, batch: int | None = None, block: int = BLOCK) -> NoiseStream:
        """`batch` estimates a step, by default as many as a step of training has."""
        rows = (batch or self.batch) * self.estimator.samples(self.spec)
        seeds, width, kind = self.settings.seeds, self.latents.latents, self.settings.noise
        return NoiseStream(seeds, purpose, rows, width, kind, DTYPE, block=block)

    def estimate(self, surrogate: nn.Module, logits: Tensor, noise: Noise) -> Estimate:
        """An `Estimate` of each row of the logits [replica, batch, latent]."""
        return self.estimator.rule(surrogate, self.cost, logits, noise, relaxation=self.relaxation)

    def check(self, estimate: Estimate, step: int) -> None:
        """Raises NonFiniteError: a cost or gradient is not finite."""
        who = {"seeds": self.settings.seeds, "estimator": self.settings.estimator}
        check_finite(cost=estimate.cost, gradient=estimate.gradient, step=step, **who)

    def parameters(self, start: Tensor) -> Tensor:
        """Logits [latent] as a parameter of every seed: [replica, 1, latent]."""
        wide = start.to(DTYPE).expand(len(self.settings.seeds), 1, -1).clone()
        return wide.requires_grad_()


class Descent:
    """Adam on the logits and on φ, of all seeds side by side.

    Args:
        run: `Run`.
    """

    def __init__(self, run: Run) -> None:
        self.run, settings = run, run.settings
        self.surrogate, self.noise = run.surrogate(), run.noise("noise")
        self.logits = run.parameters(run.latents.start(settings.start))
        self.optimizer = adam(
            [
                ([self.logits], settings.learning_rate),
                (self.surrogate.parameters(), settings.surrogate_learning_rate),
            ]
        )

    def step(self, number: int) -> None:
        """The step of this number, from 1."""
        run = self.run
        now = run.estimate(
            self.surrogate, self.logits.expand(-1, run.batch, -1), self.noise(number)
        )
        run.check(now, number)
        learn_surrogates(run.estimator, [self.surrogate], [now])
        self.logits.grad = now.gradient.detach().mean(1, keepdim=True)
        self.optimizer.step()


def descend(
    run: Run,
    log: TextIO | None,
    record: Callable[[int, Tensor], None],
    after: Collection[int],
) -> None:
    """Train; `record` is called with the logits at the start and at the steps `after`."""
    descent = Descent(run)
    with Progress(run.title, run.steps, log) as bar:
        record(0, descent.logits)
        for step in range(1, run.steps + 1):
            descent.step(step)
            if step in after:
                record(step, descent.logits)
            bar.advance()


def train(run: Run, best: np.ndarray, log: TextIO | None = None) -> dict[str, pd.DataFrame]:
    """Train one `Run`: its tables "training", "edges" and "seconds".

    Args:
        run: `Run`.
        best: the optimum's graph, [parent, child].
    """
    settings, problem = run.settings, run.problem
    look, rows, spent = TableCost(run.latents, problem.table, 0.0, DTYPE), [], []

    def record(step, logits):
        started = time.process_time()
        chances = run.latents.probabilities(logits.detach().double()).squeeze(1).numpy()
        learned = graphs.learned_graphs(chances)
        score = -look.look_up(torch.from_numpy(learned).to(DTYPE).unsqueeze(1)).flatten()
        row = {
            "seed": list(settings.seeds),
            "step": step,
            "evaluations": step * run.batch * run.calls.evaluations,
            "gradients": step * run.batch * run.calls.gradients,
            "score": score.double(),
            "edges": learned.sum((-2, -1)),
            "distance_to_best": graphs.hamming_distance(learned, best),
        }
        if problem.reference is not None:
            row["distance"] = graphs.hamming_distance(learned, problem.reference)
            row["skeleton_distance"] = graphs.skeleton_distance(learned, problem.reference)
        rows.append(pd.DataFrame(row))
        record.last = chances, learned
        spent.append(time.process_time() - started)

    after = np.linspace(0, run.steps, settings.measurements + 1).round().astype(int)[1:]
    started = time.process_time()
    descend(run, log, record, set(after.tolist()))
    seconds = time.process_time() - started - sum(spent)
    labels = {
        "problem": problem.name,
        "latents": run.latents.name,
        "estimator": settings.estimator,
        "noise": settings.noise,
    }
    chances, learned = record.last
    parent, child = np.nonzero(~np.eye(problem.nodes, dtype=bool))
    names = np.array(problem.observations.names)
    edges = {
        "seeds": len(settings.seeds),
        "parent": names[parent],
        "child": names[child],
        "probability": chances.mean(0)[parent, child],
        "learned": learned.mean(0)[parent, child],
    }
    time_of = {"seeds": len(settings.seeds), "steps": run.steps, "seconds": seconds}
    tables = {
        "training": pd.concat(rows, ignore_index=True).sort_values(
            ["seed", "step"], ignore_index=True
        ),
        "edges": pd.DataFrame(edges),
        "seconds": pd.DataFrame([time_of]),
    }
    return {name: labelled(table, **labels) for name, table in tables.items()}


def runs_of(settings: StructureSettings) -> Iterator[Run]:
    """Every `Run` of the settings in turn: problems, and of each the latents."""
    for name, kinds in settings.problems.items():
        problem = load_problem(name, settings.file, settings.transform)
        for kind in kinds:
            yield Run(settings, problem, kind)


def train_all(
    settings: StructureSettings, known: pd.DataFrame, log: TextIO | None = None
) -> dict[str, pd.DataFrame]:
    """Train every problem and kind of latents; tables by name.

    training: one row a seed and measurement. Columns: problem, latents, estimator, noise, seed,
    step, evaluations and gradients (of f, up to there), score (nats a cell, of the learned graph),
    edges, distance_to_best, distance and skeleton_distance (to the truth or the consensus).
    edges: one row an edge, at the end: seeds, parent, child, probability (mean over seeds), learned
    (share of the seeds in whose graph it is). seconds: of the processor, all seeds together.

    Args:
        settings: `StructureSettings`.
        known: the table of `problem.all_known_graphs`.

    Raises:
        DataError: of the user's table.
        NonFiniteError: a cost or gradient stopped being finite.
    """
    found = []
    for run in runs_of(settings):
        names = run.problem.observations.names
        found.append(train(run, graph_of(known, run.problem.name, "best", names), log))
    return {
        name: pd.concat([tables[name] for tables in found], ignore_index=True)
        for name in ("training", "edges", "seconds")
    }
