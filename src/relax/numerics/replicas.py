"""The replica axis: layers whose weights are stacked by replica.

Every tensor carries a leading axis [replica]. Replicas are trained side by side; a single run is
the case of length 1.
"""

import itertools

import numpy as np
import torch
from torch import nn

from relax.numerics.products import affine
from relax.numerics.streams import generator


def parameter_generators(seeds):
    """One generator a seed, to be drawn from in order while a model is built."""
    return [generator(seed, "initialisation") for seed in seeds]


def uniform_parameter(generators, shape, bound, dtype):
    """A parameter [replica, *shape], uniform in [-bound, bound], a replica from its own stream."""
    draws = [g.uniform(-bound, bound, shape) for g in generators]
    return nn.Parameter(torch.as_tensor(np.stack(draws), dtype=dtype))


class StackedLinear(nn.Module):
    """Linear maps side by side: [replica, batch, inputs] -> [replica, batch, outputs].

    Weights start uniform with Glorot's bound sqrt(6 / (inputs + outputs)) (Glorot & Bengio, 2010),
    biases at zero.
    """

    def __init__(self, inputs, outputs, generators, dtype=torch.float32):
        super().__init__()
        bound = (6.0 / (inputs + outputs)) ** 0.5
        self.weight = uniform_parameter(generators, (inputs, outputs), bound, dtype)
        self.bias = nn.Parameter(torch.zeros(len(generators), 1, outputs, dtype=dtype))

    def forward(self, x):
        return affine(self.bias, x, self.weight)


class StackedMLP(nn.Module):
    """Multilayer perceptrons side by side: [replica, batch, widths[0]] -> [..., widths[-1]].

    With two widths it is one linear map; between layers stands `activation`.
    """

    def __init__(self, widths, generators, dtype=torch.float32, activation=torch.tanh):
        super().__init__()
        self.activation = activation
        self.layers = nn.ModuleList(
            StackedLinear(inputs, outputs, generators, dtype)
            for inputs, outputs in itertools.pairwise(widths)
        )

    def forward(self, x):
        *hidden, last = self.layers
        for layer in hidden:
            x = self.activation(layer(x))
        return last(x)
