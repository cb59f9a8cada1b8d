"""Control variates that are free of z: baselines of what the surrogate may see besides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from relax.numerics.replicas import StackedMLP
from relax.surrogates.base import Surrogate
from relax.surrogates.perceptron import ACTIVATIONS

if TYPE_CHECKING:
    from torch import Tensor

    from relax.numerics.signatures import Cost, Generators, Pair
    from relax.surrogates.base import SurrogateSpec


class Baseline(Surrogate):
    """c = m + s r(context), free of z: a multilayer perceptron in units of the cost's spread.

    m is the running mean of the costs and s their running standard deviation, or 1 where that is
    less; both forget at the rate 1 - 0.8 a step (Mnih & Gregor, 2014). Without context r is a
    learned constant.
    """

    MEMORY = 0.8
    if TYPE_CHECKING:  # buffers
        mean: Tensor
        variance: Tensor

    def __init__(self, spec: SurrogateSpec, generators: Generators) -> None:
        super().__init__()
        replicas, dtype = len(generators), spec.dtype
        activation = ACTIVATIONS[spec.activation].function
        widths = [spec.context, *spec.hidden, 1]
        self.network = StackedMLP(widths, generators, dtype, activation) if spec.context else None
        if self.network is None:
            self.constant = nn.Parameter(torch.zeros(replicas, 1, dtype=dtype))
        self.register_buffer("mean", torch.zeros(replicas, 1, dtype=dtype))
        self.register_buffer("variance", torch.zeros(replicas, 1, dtype=dtype))

    def forward(self, z: Tensor, cost: Cost | None = None, context: Tensor | None = None) -> Tensor:
        r = self.constant if self.network is None else self.network(context).squeeze(-1)
        return (self.mean + self.variance.sqrt().clamp(min=1) * r).expand(z.shape[:2])

    def value_and_slope(
        self, z: Tensor, cost: Cost | None = None, context: Tensor | None = None
    ) -> Pair:
        return self(z, cost, context), torch.zeros_like(z)

    def observe(self, cost: Tensor) -> None:
        with torch.no_grad():
            # In place: the replicas' statistics are buffers, saved with every checkpoint.
            self.mean.lerp_(cost.mean(1, keepdim=True), 1 - self.MEMORY)
            spread = (cost - self.mean).square().mean(1, keepdim=True)
            self.variance.lerp_(spread, 1 - self.MEMORY)


class ValueFunction(Surrogate):
    """c = V(context), free of z: a multilayer perceptron that predicts the cost.

    It is learned by regression on the costs (`error`), not through the estimator: as part of a sum
    it is a constant to the others' objective.
    """

    def __init__(self, spec: SurrogateSpec, generators: Generators) -> None:
        super().__init__()
        activation = ACTIVATIONS[spec.activation].function
        widths = [spec.context, *spec.hidden, 1]
        self.network = StackedMLP(widths, generators, spec.dtype, activation)

    def forward(self, z: Tensor, cost: Cost | None = None, context: Tensor | None = None) -> Tensor:
        return self.network(context).squeeze(-1).detach()

    def value_and_slope(
        self, z: Tensor, cost: Cost | None = None, context: Tensor | None = None
    ) -> Pair:
        return self(z, cost, context), torch.zeros_like(z)

    def learned_parameters(self) -> list[nn.Parameter]:
        return []

    def error(self, context: Tensor, cost: Tensor, weight: Tensor) -> Tensor:
        """Mean of [f - V]² where the weight is 1: [replica]."""
        errors = (cost - self.network(context).squeeze(-1)).square() * weight
        return errors.sum(1) / weight.sum(1).clamp(min=1)
