"""Every estimator on one of the problems without images: measured, trained and timed.

**Measured** at the same logits for all: those that the exact gradient passes, from equal
probabilities of everything, with Adam. There φ descends the variance for so many updates, from
where it stood at the checkpoint before, the second half of them at a tenth of the rate; then the
moments are those of fresh estimates.

**The mean squared error** is the variance plus the square of the bias, where the exact gradient is
known. What is measured of the bias has the noise of the estimates' mean in it, which is taken away;
so it may come out below zero where there is none. All are sums over the logits.
"""

from dataclasses import dataclass, field, replace

import pandas as pd
import torch

from relax.estimators.learning import learn_surrogates
from relax.estimators.registry import load_estimator
from relax.estimators.variance import sample_moments
from relax.experiments.benchmark.problems import problem_of
from relax.experiments.benchmark.timing import in_turns
from relax.experiments.benchmark.variants import Variant, variants
from relax.experiments.toy.problem import RunSettings, train
from relax.numerics.finite import check_finite
from relax.numerics.optimizers import adam
from relax.numerics.replicas import parameter_generators
from relax.numerics.streams import NoiseStream
from relax.runs.progress import Progress
from relax.runs.settings import collect
from relax.runs.tables import labelled
from relax.surrogates.base import SurrogateSpec

BLOCK = 4000  # numbers in the logits of one call, where many estimates are made at once


@dataclass(frozen=True)
class ToySettings:
    """Settings of one problem's job (`benchmark:` in config.yaml, and of `toy:` what it shares)."""

    problem: object
    estimators: tuple[str, ...]
    training: tuple[str, ...]
    samples: tuple[int, ...]
    seeds: range
    steps: int
    checkpoints: int
    tuning_steps: int
    estimates: int
    timings: int
    learning_rate: float
    surrogate_learning_rate: float
    noise: str
    spec: SurrogateSpec

    @classmethod
    def of(cls, wildcards, params):
        """From a workflow rule's wildcards and params."""
        values = dict(params.items())
        parts = ("many_latents", "many_target", "costs")
        problem = problem_of(wildcards["problem"], *(values.pop(name) for name in parts))
        shape = {"latents": problem.latents, "relaxation": problem.relaxation}
        given = {"problem": problem, "first": 0, "last": values.pop("seeds") - 1}
        return collect(cls, given, values, **shape, dtype=torch.float64)

    @property
    def kind(self):
        """Of the latents."""
        return self.problem.relaxation.kind

    def compared(self, estimators):
        """The variants of these estimators on this problem."""
        return variants(estimators, self.samples, self.kind, self.problem.latents)

    def run(self, variant, seeds=None):
        """A training run of this variant."""
        return _Run(
            estimator=variant.estimator,
            seeds=seeds or self.seeds,
            steps=self.steps,
            learning_rate=self.learning_rate,
            surrogate_learning_rate=self.surrogate_learning_rate,
            noise=self.noise,
            record_every=max(1, self.steps // 20),
            variance_samples=2,
            spec=replace(self.spec, samples=variant.samples),
            problem=self.problem,
        )


@dataclass(frozen=True)
class _Run(RunSettings):
    problem: object = field(kw_only=True)


def measure_toys(settings, log=None):
    """A row a variant, seed and checkpoint: the moments of its estimates there.

    Columns: problem, objective ("cost"), noise, latents, relaxed (whether RELAX's surrogate has the
    relaxed cost in it), estimator, samples, seed, checkpoint (steps of the exact gradient),
    variance, squared_bias, estimates (behind both).

    Raises:
        NonFiniteError: a number stopped being finite.
    """
    points, rows = exact_path(settings), []
    compared = settings.compared(settings.estimators)
    title = f"benchmark {settings.problem.title}"
    with Progress(title, len(compared) * len(points), log) as bar:
        for variant in compared:
            frozen = Frozen(settings, variant)
            for step, logits in points.items():
                frozen.tune(logits)
                moments = frozen.moments(logits)
                check_finite(step=step, **frozen.who, **moments)
                labels = {**variant._asdict(), "seed": list(settings.seeds), "checkpoint": step}
                rows.append(pd.DataFrame({**labels, **moments}))
                bar.advance(note=f"{variant.estimator} {moments['variance'].mean():.3g}")
    labels = {"problem": settings.problem.title, "objective": "cost", "noise": settings.noise}
    labels |= {"latents": settings.problem.latents, "relaxed": settings.spec.add_relaxed_cost}
    columns = [*Variant._fields, "seed", "checkpoint", "variance", "squared_bias"]
    return labelled(_stacked(rows, columns), **labels).assign(estimates=settings.estimates)


def _stacked(tables, columns):
    """One table of all; where there is none, as no variant fits the problem, one without rows."""
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)


def exact_path(settings):
    """{step: logits [1, 1, latent]} along the exact gradient, at the ends of equal parts."""
    problem, parts = settings.problem, settings.checkpoints
    wanted = {round(settings.steps * part / parts) for part in range(parts + 1)}
    shape = (1, 1, problem.latents)
    logits = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    optimizer, found = adam([([logits], settings.learning_rate)]), {}
    for step in range(settings.steps + 1):
        if step in wanted:
            found[step] = logits.detach().clone()
        logits.grad = problem.gradient(logits.detach())
        optimizer.step()
    return found


class Frozen:
    """One variant at logits that stand still: φ tuned there, estimates drawn."""

    def __init__(self, settings, variant, seeds=None):
        self.settings, self.problem = settings, settings.problem
        self.seeds = seeds or settings.seeds
        self.estimator = load_estimator(variant.estimator)
        spec = replace(settings.spec, samples=variant.samples)
        self.rows = self.estimator.samples(spec)
        self.surrogate = self.estimator.surrogate(spec, parameter_generators(self.seeds))
        self.optimizer = adam([(self.surrogate.parameters(), settings.surrogate_learning_rate)])
        self.tuning = self._stream("tuning", 1)
        self.who = {"seeds": self.seeds, "estimator": variant.estimator}
        self.done = 0

    def _stream(self, purpose, batch):
        kind, latents = self.settings.noise, self.problem.latents
        block = 200 if batch == 1 else 1
        shape = (self.rows * batch, latents, kind, torch.float64)
        return NoiseStream(self.seeds, purpose, *shape, block=block)

    def estimate(self, logits, noise):
        """One estimate for each row of the logits."""
        cost, relaxation = self.problem.cost, self.problem.relaxation
        return self.estimator.rule(self.surrogate, cost, logits, noise, relaxation=relaxation)

    def learn(self, logits, noise):
        """An estimate, and φ's gradient."""
        estimate = self.estimate(logits, noise)
        learn_surrogates(self.estimator, [self.surrogate], [estimate])
        return estimate

    def tune(self, logits):
        """Descend the variance at these logits; nothing to do without φ.

        The second half at a tenth of the rate, so that what is measured is no jitter of Adam's.
        """
        wide, steps = logits.expand(len(self.seeds), -1, -1), self.settings.tuning_steps
        if self.optimizer is None:
            return
        for count, slower in ((steps - steps // 2, 1), (steps // 2, 10)):
            rate = self.settings.surrogate_learning_rate / slower
            optimizer = adam([(self.surrogate.parameters(), rate)])
            for _ in range(count):
                estimate = self.learn(wide, self.tuning(self.done))
                check_finite(gradient=estimate.gradient, step=self.done, **self.who)
                optimizer.step()
                self.done += 1

    def moments(self, logits):
        """variance and squared_bias, [replica] each."""
        count = self.settings.estimates
        each = max(1, min(count, BLOCK // self.problem.latents))
        noise, drawn = self._stream("variance", each), []
        wide = logits.expand(len(self.seeds), each, -1)
        with torch.no_grad():
            for number in range(-(-count // each)):
                drawn.append(self.estimate(wide, noise(number)).gradient)
        drawn = torch.cat(drawn, 1)[:, :count]
        mean, variance = sample_moments(drawn)
        total = variance.sum(-1)
        gap = (mean - self.problem.gradient(logits)[:, 0]).square().sum(-1)
        return {"variance": total, "squared_bias": gap - total / count}


def train_toys(settings, log=None):
    """A row a variant, seed and recorded step of training: its loss.

    Columns: problem, objective, latents, relaxed, noise, estimator, samples, seed, step, loss
    (E[f], exact).
    """
    tables, columns = [], ["noise", "estimator", "samples", "seed", "step", "loss"]
    for variant in settings.compared(settings.training):
        table = train(settings.run(variant), log).assign(samples=variant.samples)
        tables.append(table[columns])
    labels = {"problem": settings.problem.title, "objective": "cost"}
    labels |= {"latents": settings.problem.latents, "relaxed": settings.spec.add_relaxed_cost}
    return labelled(_stacked(tables, columns), **labels)


def time_toys(settings):
    """A row a variant: the seconds of one estimate with φ's gradient, one seed, one thread.

    Columns: problem, objective, estimator, samples, seconds, seconds_low, seconds_high (the
    quartiles), step_seconds (with the update of θ and φ too).
    """
    compared = settings.compared(dict.fromkeys([*settings.estimators, *settings.training]))
    estimates, steps = {}, {}
    for variant in compared:
        frozen = Frozen(settings, variant, settings.seeds[:1])
        logits = torch.zeros(1, 1, settings.problem.latents, dtype=torch.float64)
        noise, own = frozen.tuning(0), adam([([logits.requires_grad_()], 1e-6)])

        def estimate(frozen=frozen, logits=logits, noise=noise):
            return frozen.learn(logits, noise)

        def step(estimate=estimate, frozen=frozen, logits=logits, own=own):
            logits.grad = estimate().gradient.detach()
            own.step()
            if frozen.optimizer:
                frozen.optimizer.step()

        estimates[variant], steps[variant] = estimate, step
    where = (settings.problem.title, "cost")
    return seconds_table(where, estimates, steps, settings.timings)


def seconds_table(where, estimates, steps, rounds):
    """The table of `time_toys`; a variant that has no step has no step_seconds."""
    taken, whole = in_turns(estimates, rounds), in_turns(steps, rounds)
    rows = [
        (*where, *variant, *taken[variant], whole.get(variant, (float("nan"),))[0])
        for variant in estimates
    ]
    columns = ["problem", "objective", "estimator", "samples"]
    columns += ["seconds", "seconds_low", "seconds_high", "step_seconds"]
    return pd.DataFrame(rows, columns=columns)
