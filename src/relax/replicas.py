"""The replica axis: random streams, one a seed, and layers whose weights are stacked by replica.

Every tensor carries a leading axis [replica]. A replica is one independent run (a seed), trained
side by side with the others; a single run is the case of length 1. A seed draws from its own
streams, so its numbers do not depend on the seeds that it shares a process with.
"""

import numpy as np
import torch
from torch import nn

# What a random number is for. Part of every stream's identity: append, never reorder.
_PURPOSES = ("initialisation", "data order", "noise", "evaluation", "binarization", "split")


def generator(seed, purpose, index=0):
    """The random stream of (seed, purpose, index), independent of every other.

    Streams are addressed, not advanced: block `index` of a purpose can be drawn without drawing
    the blocks before it, so a resumed run needs only its step number.
    """
    key = (_PURPOSES.index(purpose), index)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def uniform_noise(seeds, purpose, index, shape, dtype=torch.float64):
    """Uniform noise strictly inside (0, 1): [replica, *shape], one replica a seed.

    numpy draws from [0, 1) in steps of 2^-24 (float32) or 2^-53 (float64); a zero, whose logit
    would be -inf, becomes half a step.
    """
    numpy_dtype, smallest = {
        torch.float32: (np.float32, 2.0**-25),
        torch.float64: (np.float64, 2.0**-54),
    }[dtype]
    noise = np.empty((len(seeds), *shape), dtype=numpy_dtype)
    for row, seed in zip(noise, seeds, strict=True):
        generator(seed, purpose, index).random(dtype=numpy_dtype, out=row)
    return torch.from_numpy(np.maximum(noise, numpy_dtype(smallest), out=noise))


def parameter_generators(seeds):
    """One generator a seed, to be drawn from in order while a model is built."""
    return [generator(seed, "initialisation") for seed in seeds]


def uniform_parameter(generators, shape, bound, dtype):
    """A parameter [replica, *shape], uniform in [-bound, bound], each replica from its own stream."""
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
        return torch.baddbmm(self.bias, x, self.weight)
