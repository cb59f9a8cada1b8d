"""What every training loop shares: one update of θ and φ, finite checks, and progress."""

import math
import sys
import time
from contextlib import contextmanager
from typing import NamedTuple

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
    groups = [
        (parameter, rate if isinstance(rate, tuple) else (rate,), sum(decay))
        for parameters, rate, *decay in groups
        for parameter in parameters
        if parameter.requires_grad
    ]
    return Adam(groups, beta2) if groups else None


class Adam:
    """Torch's fused Adam step (Kingma & Ba, 2015), on parameters or on blocks of their replicas.

    A block is a tensor on its parameter's own memory, with a learning rate of its own. It is the
    step of `torch.optim.Adam`, without that class: making an object of it imports torch's compiler,
    which takes as long as most of torch, and it sorts its tensors anew at every step.

    Args:
        groups: tuples (parameter, learning rates, weight decay).
        beta2: decay of the second moment.
    """

    def __init__(self, groups, beta2):
        self.beta2 = beta2
        self.parameters = [parameter for parameter, *_ in groups]
        # How often each parameter was stepped, in one tensor, so that it can be counted at once.
        self.counts = torch.zeros(len(groups), device=self.parameters[0].device)
        self.blocks = []  # of each parameter: blocks in turn
        for (parameter, rates, decay), count in zip(groups, self.counts, strict=True):
            blocks = parameter.detach().chunk(len(rates))
            pairs = zip(blocks, rates, strict=True)
            self.blocks.append([_Block.fresh(block, count, rate, decay) for block, rate in pairs])
        self._calls = {}

    @torch.no_grad()
    def step(self):
        """Move every parameter that has a gradient."""
        moved = tuple(parameter.grad is not None for parameter in self.parameters)
        if moved not in self._calls:
            self._calls[moved] = self._plan(moved)
        counted, calls = self._calls[moved]
        self.counts += counted
        gradients = []
        for parameter, blocks in zip(self.parameters, self.blocks, strict=True):
            if parameter.grad is None:
                continue
            # The fused step reads memory as it lies. Handed a transposed gradient, as automatic
            # differentiation gives for some weights, it would take its elements for others'.
            gradient = parameter.grad.contiguous()
            gradients += gradient.chunk(len(blocks)) if len(blocks) > 1 else (gradient,)
        for (rate, decay), places, parameters, first, second, counts in calls:
            torch._fused_adam_(
                parameters,
                [gradients[place] for place in places],
                first,
                second,
                [],
                counts,
                lr=rate,
                beta1=0.9,
                beta2=self.beta2,
                weight_decay=decay,
                eps=1e-8,
                amsgrad=False,
                maximize=False,
            )

    def _plan(self, moved):
        """What a step that moves these parameters counts, and its calls of the fused step.

        There is one call for all blocks with the same rate and decay: where their gradients are
        among all, and the lists of their tensors.
        """
        blocks = [
            b for blocks, moves in zip(self.blocks, moved, strict=True) if moves for b in blocks
        ]
        alike = {}
        for place, block in enumerate(blocks):
            alike.setdefault((block.rate, block.decay), []).append((place, *block[:4]))
        calls = [(key, *map(list, zip(*those, strict=True))) for key, those in alike.items()]
        return torch.tensor(moved, dtype=torch.float32, device=self.counts.device), calls

    def zero_grad(self):
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def state_dict(self):
        """Every block's state, in order."""
        return {"states": [block.state for blocks in self.blocks for block in blocks]}

    def load_state_dict(self, saved):
        """Go back to what `state_dict` gave."""
        mine = self.state_dict()["states"]
        for state, given in zip(mine, saved["states"], strict=True):
            for tensor, value in zip(state, given, strict=True):
                tensor.copy_(value)


class _Block(NamedTuple):
    """What the fused step needs of a block, with its rate and decay."""

    values: torch.Tensor
    first: torch.Tensor  # moments, like the values
    second: torch.Tensor
    count: torch.Tensor  # how often it was stepped, a scalar
    rate: float
    decay: float

    @classmethod
    def fresh(cls, values, count, rate, decay):
        return cls(values, torch.zeros_like(values), torch.zeros_like(values), count, rate, decay)

    @property
    def state(self):
        return self.first, self.second, self.count


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
