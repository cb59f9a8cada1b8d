"""What the tests of the front door share: a cost with plain shapes, and logits to hold it at."""

import torch

import relax

LOGITS = torch.tensor([0.3, -0.5, 0.1], dtype=torch.float64)


def cost(b):
    """Does not separate; its exact gradient is far from zero in every coordinate: [...]."""
    return b[..., 0] - 1.2 * b[..., 1] + b[..., 2] * (0.8 + 0.7 * b[..., 0] * b[..., 1]) - 0.4


def expectation(name, **settings):
    """An `Expectation` over three Bernoullis in float64."""
    chosen = {"latents": 3, "hidden": (4,), "dtype": torch.float64} | settings
    return relax.Expectation(name, **chosen)
