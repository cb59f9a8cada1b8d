"""Exact answers by enumeration over b."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import torch

from relax.estimators.border import by_variable
from relax.numerics.checks import evaluate_untouched, is_finite
from relax.relaxations.bernoulli import BERNOULLI

if TYPE_CHECKING:
    from torch import Tensor

    from relax.numerics.signatures import Cost
    from relax.relaxations.relaxation import Relaxation


def enumerate_expectation(
    function: Cost, logits: Tensor, relaxation: Relaxation = BERNOULLI
) -> Tensor:
    """E[function(b)] by enumeration; `function`: [replica, batch, latent] -> [replica, batch].

    A b of probability 0 adds nothing, whatever the function is there.

    Raises:
        ConfigError: as `enumerate_gradient`.
        ArgumentError: a function that does not return [replica, batch].
    """
    parts = (_weighted(function, b, p) for b, p in relaxation.states(logits))
    return functools.reduce(torch.add, parts)


def _weighted(function, b, probability):
    """p f(b), 0 where p is."""
    return torch.where(probability > 0, probability * evaluate_untouched(function, b), 0.0)


def enumerate_gradient(cost: Cost, logits: Tensor, relaxation: Relaxation = BERNOULLI) -> Tensor:
    """d E[f(b)] / d logits = Σ_b p(b) f(b) (b - θ), by enumeration: [replica, batch, latent].

    A b of probability 0 adds nothing, whatever f is there. Categorical logits may be [replica,
    batch, variable, outcome]: the cost then gets b in that shape.

    Raises:
        ConfigError: more than 16 Bernoulli latents, several categorical variables with more than
            2^16 values, or a relaxation that cannot be enumerated.
        ArgumentError: logits that are not the relaxation's, or a cost that does not return
            [replica, batch].
    """
    if logits.dim() == 4:
        cost, shape = by_variable(cost, logits, relaxation)
        return enumerate_gradient(cost, logits.flatten(-2), relaxation).unflatten(-1, shape)
    logits = logits.detach()
    relaxation.check_width(logits.shape[-1])
    if not is_finite(logits):
        relaxation.check_logits(logits)
    parts = (
        _weighted(cost, b, p).unsqueeze(-1) * relaxation.score(logits, b)
        for b, p in relaxation.states(logits)
    )
    return functools.reduce(torch.add, parts).detach()
