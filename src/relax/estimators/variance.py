"""The variance of a gradient estimator: the objective that surrogates descend, and its measure."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


def variance_objective(gradient: Tensor) -> Tensor:
    """Sum over latents of the batch mean of g²: [replica, batch, latent] -> [replica].

    So too of [replica, batch, variable, outcome].

    The estimator is unbiased for every φ, so ∂φ Var(g) = ∂φ E[g²] = E[∂φ g²]: descending the
    single-sample g² descends the variance (draft, equation 11, with its sign put right).
    """
    flat = gradient.flatten(2)
    return torch.linalg.vecdot(flat, flat).mean(1)


class Moments(NamedTuple):
    """Moments of a gradient estimate, elementwise over the axes behind the sample axis."""

    mean: Tensor
    variance: Tensor


def sample_moments(gradient: Tensor, dim: int = 1) -> Moments:
    """Mean and unbiased variance of per-sample gradients over their sample axis `dim`."""
    variance, mean = torch.var_mean(gradient, dim=dim, correction=1)
    return Moments(mean, variance)
