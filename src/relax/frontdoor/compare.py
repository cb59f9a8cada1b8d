"""`compare`: every estimator on the user's own cost, and which of them to take."""

from __future__ import annotations

import contextlib
import statistics
import time
from typing import TYPE_CHECKING

import torch

from relax.errors import ArgumentError, RelaxError
from relax.estimators.registry import REGISTRY, load_estimator
from relax.frontdoor.expectation import Expectation
from relax.frontdoor.latents import Latents
from relax.frontdoor.loading import NamedCost
from relax.frontdoor.moments import Moments, common, largest_z, reference
from relax.frontdoor.printed import comparison
from relax.numerics import checks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    import pandas as pd
    from torch import Tensor
    from torch.distributions import Distribution

    from relax.numerics.signatures import Cost


TIMINGS = 21
BLOCK = 20_000  # numbers in the logits of one call, where many draws can be made at once


def compare(
    cost: Cost,
    logits: Tensor | Distribution,
    context: Tensor | None = None,
    *,
    estimators: Sequence[str] | None = None,
    latents: int | Sequence[int] | None = None,
    kind: str | None = None,
    steps: int = 500,
    learning_rate: float = 0.01,
    estimates: int = 1000,
    seed: int = 0,
    progress: bool = True,
    **settings: Any,
) -> pd.DataFrame:
    """Bias, variance and price of every estimator of d E[f(b)] / d logits that can run here.

    Each estimator is made as an `Expectation`, its φ tuned at these logits, and then drawn from.
    The user's logits, parameters and random numbers are left as they are. The cost is called many
    times: what it keeps for itself, as a BatchNorm does in training, it keeps here too.

    Args:
        cost, logits, context: as in a call of `Expectation`.
        estimators: names; by default all of the registry.
        latents: as of `Expectation`; by default the last axis of the logits, and of categorical
            ones the last two, (variables, outcomes), if there are two. For a batch of single
            choices say how many outcomes there are.
        kind: of the latents; by default that of the distribution given, or Bernoulli.
        steps: updates of φ before measuring, by Adam.
        learning_rate: of these.
        estimates: of the gradient, behind each mean and variance.
        seed: of all noise, and of φ at the start.
        progress: show a bar in a terminal (with the package tqdm).
        settings: further arguments of `Expectation` (samples, noise, hidden, any_leading, ...).

    Returns:
        A pandas `DataFrame` that prints whole, one row an estimator, best first: the unbiased ones
        by variance x seconds, then the biased ones by mean squared error x seconds. For a batch of
        logits, each number is the batch's mean. Columns:

        - unbiased: whether its mean is the gradient, by its definition.
        - bias: the length of (mean of the draws - reference), over the latents of one datum; of an
          unbiased estimator it is noise, which the next column measures.
        - z: the largest |z-score| of all coordinates, corrected for how many there are (Šidák), so
          that an unbiased estimator exceeds 3 once in 370 times. Coordinates are left out where a
          value of b is expected less than 10 times, or fewer than 50 estimates are not zero.
        - variance: of one estimate, summed over the latents of one datum.
        - mean squared error: the same, plus the square of the bias where there is one.
        - evaluations, gradients: of f, in one estimate.
        - seconds: the median for one estimate, with what φ needs to learn from it.
        - variance x evaluations, variance x seconds.

        `table.attrs` has "reference" (what stands for the truth: enumeration where b has at most
        4096 values, else the pooled means of the other unbiased estimators) and "left out", the
        estimators that cannot run here, each with the reason.

    Raises:
        ArgumentError: f returned what it must not, or none of the estimators can run.
        ConfigError: no such estimator.
    """
    try:  # on use: who only trains needs none
        import pandas as pd
    except ImportError:
        raise ArgumentError("compare makes a table with pandas: pip install pandas") from None
    checks.count("steps", steps, 0)
    checks.count("estimates", estimates, 2)
    checks.number("learning_rate", learning_rate, above=0)
    shapes = Latents.of(logits, kind, latents)
    if callable(cost) and not isinstance(cost, NamedCost):
        cost = NamedCost(cost)
    with torch.inference_mode(False), torch.enable_grad():
        tensor = shapes.take(logits)
        tensor = tensor.clone() if tensor.is_inference() else tensor.detach()
        problem = (cost, tensor, context)
        settings = {"latents": shapes.argument, "kind": shapes.kind, **settings}
        leading = settings.get("any_leading", False)
        settings.setdefault("context", 0 if context is None else context.shape[-1])
        estimators = [estimators] if isinstance(estimators, str) else estimators
        names = list(REGISTRY) if estimators is None else list(estimators)
        for name in names:
            load_estimator(name)
        devices = [] if tensor.device.type == "cpu" else [tensor.device]
        with torch.random.fork_rng(devices), _bar(len(names), steps, estimates, progress) as bar:
            torch.manual_seed(seed)
            _try(problem, settings)
            made, left_out = {}, {}
            for number, name in enumerate(names):
                generator = torch.Generator(tensor.device).manual_seed(1000 * seed + number)
                bar.set_description(name)
                if REGISTRY[name].sections == ("bound",):
                    left_out[name] = f"'{name}' is for the multi-sample bound, another objective"
                    continue
                try:
                    fits = {k: v for k, v in settings.items() if k != "samples" or _several(name)}
                    expectation = Expectation(name, generator=generator, **fits)
                    run = _Run(expectation, problem)
                    run.tune(steps, learning_rate, bar)
                    run.measure(estimates, bar)
                    made[name] = run
                except RelaxError as error:
                    left_out[name] = str(error)
            if not made:
                raise ArgumentError(f"no estimator can run here: {'; '.join(left_out.values())}")
            for _ in range(TIMINGS):  # in turn: a slow moment is then everybody's
                for run in made.values():
                    run.time()
                    bar.update(1)
            truths, source = reference(
                {name: run.moments for name, run in made.items()}, *problem, shapes, leading
            )
    rows = [_row(name, run, truths[name], shapes, tensor) for name, run in made.items()]
    table = pd.DataFrame(rows)
    price = table["mean squared error"] * table["seconds"]
    table = table.assign(price=price).sort_values(["unbiased", "price"], ascending=[False, True])
    table = comparison()(table.drop(columns="price").set_index("estimator"))
    table.attrs = {"reference": source, "left out": left_out}
    return table


def _several(name):
    return "samples" in REGISTRY[name].reads


class _Run:
    """One estimator on the problem: tuned, drawn from, timed."""

    def __init__(self, expectation, problem):
        self.expectation, self.problem = expectation, problem
        self.seconds = []

    def tune(self, steps, rate, bar):
        """φ by Adam; an estimator that has none is done at once."""
        phi = list(self.expectation.parameters())
        phi = [p for p in phi if p.requires_grad]
        optimizer = torch.optim.Adam(phi, rate) if phi else None
        for _ in range(steps if optimizer else 0):
            assert optimizer is not None
            optimizer.zero_grad()
            self.expectation.learn(*self.problem)
            optimizer.step()
            bar.update(1)

    def measure(self, draws, bar):
        """The moments of so many estimates, and what one costs in calls of f."""
        self.moments = Moments()
        cost, logits, context = self.problem
        block = max(1, BLOCK // logits.numel()) if self.expectation.any_leading else 1
        for done in range(0, draws, block):
            count = min(block, draws - done)
            wide = logits.expand(count, *logits.shape) if block > 1 else logits
            seen = (
                context.expand(count, *context.shape)
                if block > 1 and context is not None
                else context
            )
            made, counted = self.expectation.draw(cost, wide, seen)
            self.moments.add(made.gradient.reshape(count, *logits.shape))
            bar.update(count)
        self.evaluations, self.gradients = counted.evaluations, counted.gradients

    def time(self):
        """One estimate, and the gradient in φ."""
        begun = time.perf_counter()
        self.expectation.learn(*self.problem)
        if self.problem[1].is_cuda:
            torch.cuda.synchronize()
        self.seconds.append(time.perf_counter() - begun)


def _try(problem, settings):
    """Raise at once for a cost or a setting that is wrong whatever the estimator."""
    plain = {key: value for key, value in settings.items() if key != "samples"}
    with torch.no_grad():
        Expectation("reinforce", **plain).estimate(*problem)


def _row(name, run, truth, latents, logits):
    """One estimator's line of the table."""
    moments, unbiased = run.moments, REGISTRY[name].unbiased
    rows = logits.numel() // latents.parameter_count
    # Without noise there is none; what the draws show is rounding.
    sampled = load_estimator(name).sampled
    variance = moments.variance.sum().item() / rows if sampled else 0.0
    bias = z = error = float("nan")
    if truth is not None:
        bias = (moments.mean - truth.gradient).square().sum().div(rows).sqrt().item()
        z = largest_z(moments, truth, common(latents, logits, moments.draws))
        # The square of the measured bias has the noise of both means in it.
        error = variance
        if not unbiased:
            noise = (moments.error.square() + truth.error.square()).sum().item() / rows
            error += max(bias**2 - noise, 0.0)
    seconds = statistics.median(run.seconds)
    return {
        "estimator": name,
        "unbiased": unbiased,
        "bias": bias,
        "z": z,
        "variance": variance,
        "mean squared error": error,
        "evaluations": run.evaluations,
        "gradients": run.gradients,
        "seconds": seconds,
        "variance x evaluations": variance * run.evaluations,
        "variance x seconds": variance * seconds,
    }


@contextlib.contextmanager
def _bar(estimators, steps, draws, wanted):
    """tqdm's bar, where it is installed and there is a terminal; else one that shows nothing."""
    try:
        from tqdm import tqdm
    except ImportError:
        wanted = False
    if not wanted:
        yield _NoBar()
        return
    total = estimators * (steps + draws + TIMINGS)
    with tqdm(total=total, unit="estimate", disable=None, leave=False) as bar:
        yield bar


class _NoBar:
    def update(self, count):
        pass

    def set_description(self, text):
        pass
