"""What φ learns from one estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from relax.estimators.learning import objective_gradients
from relax.surrogates.baselines import ValueFunction

if TYPE_CHECKING:
    from torch import Tensor

    from relax.estimators.formula import Estimate, Estimator
    from relax.surrogates.base import Surrogate


def surrogate_gradients(
    estimator: Estimator, surrogate: Surrogate, estimate: Estimate, context: Tensor | None
) -> list[tuple[Tensor, Tensor]]:
    """Pairs of a parameter φ and the derivative in it of what it descends."""
    phi = surrogate.learned_parameters()
    pairs = list(objective_gradients(estimator, phi, [estimate])) if phi else []
    # A value function is no part of the estimator's objective: it learns by regression on f.
    for part in surrogate.modules():
        if isinstance(part, ValueFunction):
            assert context is not None  # what a value function is of
            f = estimate.cost.detach()
            phi = [p for p in part.parameters() if p.requires_grad]
            error = part.error(context, f, torch.ones_like(f)).sum()
            pairs += zip(phi, torch.autograd.grad(error, phi), strict=True)
    return pairs
