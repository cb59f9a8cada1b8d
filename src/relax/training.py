"""What every training loop shares: one update of θ and φ, finite checks, and progress."""

import math
import sys
import time
from contextlib import contextmanager

import torch
from tqdm import tqdm

from relax.errors import NonFiniteError
from relax.estimators.formula import least_variance


def adam(groups, beta2=0.999):
    """One Adam for everything that a run learns, or None where there is nothing to learn.

    It is elementwise, so every replica of the stacked parameters keeps its own moments.

    Args:
        groups: tuples (parameters, learning rate) or (parameters, learning rate, weight decay);
            parameters that need no gradient are left out. A learning rate may be a tuple: the
            replicas then fall into as many equal blocks, and each block has its own. The decay
            adds that multiple of the parameter to its gradient.
        beta2: decay of the second moment.
    """
    alike = {}  # one call of the fused step for all with the same rate and decay
    blocks = []
    for parameters, rate, *decay in groups:
        rates = rate if isinstance(rate, tuple) else (rate,)
        for parameter in parameters:
            if parameter.requires_grad:
                own = [parameter] if len(rates) == 1 else parameter.detach().chunk(len(rates))
                blocks.append((parameter, own))
                for block, block_rate in zip(own, rates, strict=True):
                    alike.setdefault((block_rate, sum(decay)), []).append(block)
    if not alike:
        return None
    learned = [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in alike.items()
    ]
    return _BlockwiseAdam(blocks, learned, beta2)


class _BlockwiseAdam(torch.optim.Adam):
    """Torch's fused Adam, on parameters or on blocks of their replicas.

    A block is a tensor on the parameter's own memory, with a learning rate of its own.

    Args:
        blocks: pairs of a parameter and its blocks (one: the parameter itself).
        groups: the blocks by learning rate, as torch takes them.
        beta2: decay of the second moment.
    """

    def __init__(self, blocks, groups, beta2):
        on_gpu = blocks[0][0].is_cuda
        super().__init__(groups, betas=(0.9, beta2), fused=True, capturable=on_gpu)
        self.blocks = blocks

    def step(self):
        for parameter, blocks in self.blocks:
            gradient = parameter.grad
            if gradient is not None and not gradient.is_contiguous():
                # The fused step reads memory as it lies. Handed a transposed gradient, as automatic
                # differentiation gives for some weights, it would take its elements for others'.
                parameter.grad = gradient = gradient.contiguous()
            if blocks[0] is not parameter:
                parts = [None] * len(blocks) if gradient is None else gradient.chunk(len(blocks))
                for block, part in zip(blocks, parts, strict=True):
                    block.grad = part
        super().step()


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
        if estimator.objective is least_variance:
            # ∂(Σ g² / batch) = Σ (2 g / batch) ∂g, without a tape through the sum.
            outputs = [estimate.gradient for estimate in estimates]
            weights = [g.detach() * (2 / g.shape[1]) for g in outputs]
        else:
            outputs = [estimator.objective(estimate) for estimate in estimates]
            weights = [torch.ones_like(objective) for objective in outputs]
        gradients = torch.autograd.grad(outputs, parameters, weights)
        for parameter, g in zip(parameters, gradients, strict=True):
            parameter.grad = g
    for surrogate, estimate in zip(surrogates, estimates, strict=True):
        surrogate.observe(estimate.cost.detach())


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
