"""What every training loop shares: the gradient in φ, finite checks, and progress."""

import math
import sys
import time
from contextlib import contextmanager

import torch
from tqdm import tqdm

from relax.errors import NonFiniteError
from relax.estimators.formula import least_variance


def learn_surrogates(estimator, surrogates, estimates):
    """Give φ the gradient of the estimator's objective, and show the costs to the surrogates.

    `torch.autograd.grad` names φ, so nothing leaks into the model: g depends on the decoder's
    weights too, through c(z) = η f(σ(z/λ)), and a plain `.backward()` would reach them.

    Args:
        estimator: `Estimator`, whose objective each surrogate descends.
        surrogates: modules, whose parameters are φ.
        estimates: one `Estimate` a surrogate, made with it and with its graph.
    """
    parameters = [p for s in surrogates for p in s.learned_parameters()]
    if parameters:
        for parameter, g in _objective_gradients(estimator, parameters, estimates):
            parameter.grad = g
    for surrogate, estimate in zip(surrogates, estimates, strict=True):
        surrogate.observe(estimate.cost.detach())


def _objective_gradients(estimator, parameters, estimates):
    """Pairs of a parameter and the derivative in it of the estimator's objective."""
    if estimator.objective is not least_variance:
        objectives = [estimator.objective(estimate).sum() for estimate in estimates]
        return zip(parameters, torch.autograd.grad(objectives, parameters), strict=True)
    # ∂(Σ g² / batch) = Σ (2 g / batch) ∂g, without a tape through the sum.
    outputs = [estimate.gradient for estimate in estimates]
    weights = [g.detach() * (2 / g.shape[-2]) for g in outputs]
    written_out = [estimate.derivatives_in_surrogate() for estimate in estimates]
    if all(written_out):
        found = {}
        for derivatives, weight in zip(written_out, weights, strict=True):
            found |= derivatives(weight)
        return [(parameter, found[parameter]) for parameter in parameters]
    return zip(parameters, torch.autograd.grad(outputs, parameters, weights), strict=True)


def check_finite(*, step, seeds, estimator, **values):
    """Stop a run in which a number is not finite.

    Args:
        values: by name, tensors whose first axis is the replica.

    Raises:
        NonFiniteError: naming the value, step, seed and estimator.
    """
    # A sum is finite only if every summand is: one cheap test, the search only where it fails.
    if math.isfinite(sum(value.sum().item() for value in values.values())):
        return
    for name, value in values.items():
        for row, seed in enumerate(seeds):
            if not torch.isfinite(value[row]).all():
                raise NonFiniteError(
                    f"the {name.replace('_', ' ')} stopped being finite at step {step}, seed "
                    f"{seed}, estimator '{estimator}'. Lower the learning rate, or look for an "
                    f"overflow in the cost."
                )


class Progress:
    """Progress of a long loop: a line in the log every few seconds, a bar in a terminal."""

    def __init__(self, title, total, log=None, start=0, every=5.0):
        self.title, self.total, self.log, self.every = title, total, log, every
        self.started = self.last = time.monotonic()
        self.start = self.done = start
        # disable=None: tqdm draws only where stderr is a terminal
        options = {"unit": "step", "disable": None, "leave": False}
        self.bar = tqdm(total=total, initial=start, desc=title, **options)

    def advance(self, steps=1, note=""):
        """Count steps; `note` is the state worth reading in the log."""
        self.done += steps
        self.bar.update(steps)
        now = time.monotonic()
        if self.log and (now - self.last > self.every or self.done >= self.total):
            self.last = now
            rate = (self.done - self.start) / max(now - self.started, 1e-9)
            self.log.write(
                f"{self.title}: step {self.done}/{self.total}, {rate:.0f} steps/s"
                f"{', ' + note if note else ''}\n"
            )
            self.log.flush()

    def close(self):
        self.bar.close()


@contextmanager
def progress(title, total, log=None, start=0):
    """A `Progress`, closed at the end; `log` is an open text file or None."""
    bar = Progress(title, total, log, start)
    try:
        yield bar
    finally:
        bar.close()
        sys.stderr.flush()
