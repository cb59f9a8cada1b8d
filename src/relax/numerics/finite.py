"""The check that numbers stay finite."""

import math

import torch

from relax.errors import NonFiniteError


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
