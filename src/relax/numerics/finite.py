"""The check that numbers stay finite."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import torch

from relax.errors import NonFiniteError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


def check_finite(*, step: int, seeds: Sequence[int], estimator: str, **values: Tensor) -> None:
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


NEVER = -1  # the step at which a replica diverged that has not


class Divergence:
    """Of replicas side by side, when the numbers of each stopped being finite, if they did.

    Replicas do not meet, so one that has diverged disturbs no other: it is noted, and left out by
    whoever reads. The note is made in tensors alone: nothing waits for it, on a GPU either.

    Args:
        replicas: how many.
        device: where their numbers are.

    Attributes:
        step: [replica], `NEVER` where the numbers are still finite.
    """

    def __init__(self, replicas: int, device: torch.device | str = "cpu") -> None:
        self.step = torch.full((replicas,), NEVER, dtype=torch.int64, device=device)
        self.now = torch.zeros((), dtype=torch.int64, device=device)

    def note(self, *values: Tensor) -> None:
        """Look at tensors whose first axis is the replica, at the step `now`."""
        # A sum is finite only if every summand is; one that overflows is as good as none.
        sums = (value.detach().reshape(len(self.step), -1).sum(1) for value in values)
        total = functools.reduce(torch.add, sums)
        broken = ~torch.isfinite(total) & (self.step == NEVER)
        self.step.copy_(torch.where(broken, self.now, self.step))

    @property
    def alive(self) -> Tensor:
        """Whether the numbers of each replica are finite so far: bools, [replica]."""
        return self.step == NEVER
