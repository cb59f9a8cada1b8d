"""The replica axis: layers whose weights are stacked by replica.

Every tensor carries a leading axis [replica]. Replicas are trained side by side; a single run is
the case of length 1.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from relax.numerics.products import affine
from relax.numerics.streams import generator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torch import Tensor

    from relax.numerics.signatures import Generators


def parameter_generators(seeds: Iterable[int]) -> list[np.random.Generator]:
    """One generator a seed, to be drawn from in order while a model is built."""
    return [generator(seed, "initialisation") for seed in seeds]


def uniform_parameter(
    generators: Generators, shape: Sequence[int], bound: float, dtype: torch.dtype
) -> nn.Parameter:
    """A parameter [replica, *shape], uniform in [-bound, bound], a replica from its own stream."""
    draws = [g.uniform(-bound, bound, shape) for g in generators]
    return nn.Parameter(torch.as_tensor(np.stack(draws), dtype=dtype))


class StackedLinear(nn.Module):
    """Linear maps side by side: [replica, batch, inputs] -> [replica, batch, outputs].

    Weights start uniform with Glorot's bound sqrt(6 / (inputs + outputs)) (Glorot & Bengio, 2010),
    biases at zero.
    """

    def __init__(
        self, inputs: int, outputs: int, generators: Generators, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        bound = (6.0 / (inputs + outputs)) ** 0.5
        self.weight = uniform_parameter(generators, (inputs, outputs), bound, dtype)
        self.bias = nn.Parameter(torch.zeros(len(generators), 1, outputs, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        return affine(self.bias, x, self.weight)


class StackedMLP(nn.Module):
    """Multilayer perceptrons side by side: [replica, batch, widths[0]] -> [..., widths[-1]].

    With two widths it is one linear map; between layers stands `activation`.
    """

    def __init__(
        self,
        widths: Sequence[int],
        generators: Generators,
        dtype: torch.dtype = torch.float32,
        activation: Callable[[Tensor], Tensor] = torch.tanh,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.layers = nn.ModuleList(
            StackedLinear(inputs, outputs, generators, dtype)
            for inputs, outputs in itertools.pairwise(widths)
        )

    def forward(self, x: Tensor) -> Tensor:
        *hidden, last = self.layers
        for layer in hidden:
            x = self.activation(layer(x))
        return last(x)
