"""Exact moments of an estimator on a small problem: every b, quadrature over the noise."""

from __future__ import annotations

import functools
from functools import cache
from typing import TYPE_CHECKING

import torch

from relax.errors import ArgumentError, ConfigError
from relax.estimators.variance import Moments
from relax.numerics import checks
from relax.numerics.streams import KINDS, Noise
from relax.relaxations.bernoulli import BERNOULLI

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from torch import Tensor

    from relax.estimators.formula import Estimator
    from relax.numerics.signatures import Cost, Pair
    from relax.surrogates.base import Surrogate


OPEN_UNIT = (2.0**-53, 1 - 2.0**-53)  # float64 uniforms whose logit is finite


# Of a b that is rarer than e^-25, the noise that gives it is too near to 0 or 1 to be told apart.
LARGEST_LOGIT = 25.0

# Quadrature nodes a dimension, and how far they reach in logit v, by number of latents.
_RESOLUTION = {1: (257, 36.0), 2: (97, 24.0), 3: (33, 18.0)}


@cache
def logistic_nodes(count: int = 257, reach: float = 36.0) -> Pair:
    """Nodes v in (0, 1) and weights for integrals over uniform noise; float64, [count] each.

    With v = σ(t), dv = σ(t) σ(-t) dt and the integrand, a smooth function of z = logit v, decays
    like e^{-|t|}: the trapezoidal rule in t then converges exponentially (Trefethen & Weideman,
    2014), as fast as c is smooth: the error is about exp(-2π² λ / h) for c(z) = f(σ(z/λ)) and a
    step h = 2 reach / (count - 1), so the default is for λ of 0.1 and more. Weights are normalised
    to sum to one.
    """
    t = torch.linspace(-reach, reach, count, dtype=torch.float64)
    weights = torch.sigmoid(t) * torch.sigmoid(-t)
    return torch.sigmoid(t), weights / weights.sum()


@cache
def _grid(latents, count):
    """Product of the nodes over latents: noise [1, node, latent] and weights [node].

    Raises:
        ConfigError: more latents than a product grid can bear.
    """
    if latents not in _RESOLUTION:
        raise ConfigError(
            f"quadrature over the noise takes at most {max(_RESOLUTION)} latents; got {latents}"
        )
    default, reach = _RESOLUTION[latents]
    v, weights = logistic_nodes(count or default, reach)
    points = torch.cartesian_prod(*[v] * latents).view(1, -1, latents)
    products = torch.cartesian_prod(*[weights] * latents).view(-1, latents).prod(-1)
    return points.clamp(*OPEN_UNIT), products


def noise_given(logits: Tensor, b: Tensor, v: Tensor) -> Tensor:
    """The u that gives this b, from uniform v: the conditional law of u given b."""
    theta = torch.sigmoid(logits)
    return torch.where(b > 0.5, v * theta + (1 - theta), v * (1 - theta)).clamp(*OPEN_UNIT)


def centred_lines(
    estimator: Estimator,
    surrogate: Surrogate,
    cost: Cost,
    logits: Tensor,
    noise: str,
    nodes: int | None,
) -> Iterator[Any]:
    """For every b: its probability [replica], E[g|b], [replica, latent]; centred lines, weights.

    Given b, u and v are independent, and the formula is a sum A_b(v) + C_b(u): what the estimator
    does on the (u, v) square is known from the two lines (u_i, v_0) and (u_0, v_j), along which it
    is evaluated as a black box. The lines are [replica, node, latent], less their means.
    """
    checks.named("noise", noise, KINDS)
    checks.tensor("logits", logits, ("replica", "batch", "latent"))
    if logits.shape[1] != 1:
        raise ArgumentError(
            f"logits must be [replica, 1, latent] for quadrature; got {list(logits.shape)}: put "
            "problems side by side along the replica axis"
        )
    if not bool((logits.detach().abs() <= LARGEST_LOGIT).all()):
        raise ArgumentError(
            f"quadrature takes logits from {-LARGEST_LOGIT:g} to {LARGEST_LOGIT:g}: beyond, the "
            "noise of the rarer value is lost in rounding"
        )
    v, weights = _grid(logits.shape[-1], nodes)
    v = v.expand(logits.shape[0], -1, -1)
    middle = torch.full_like(v, 0.5)
    for b, probability in BERNOULLI.states(logits):

        def gradient(u_given, v_fresh, b=b):
            wide = logits.expand_as(u_given)
            u = noise_given(wide, b.expand_as(wide), u_given)
            pair = Noise(u, v_fresh if noise == "independent" else None)
            return estimator.rule(surrogate, cost, wide, pair).gradient.detach()

        lines = [gradient(v, middle)]
        if noise == "independent":
            lines.append(gradient(middle, v))
        means = [torch.einsum("rnl,n->rl", line, weights) for line in lines]
        mean = sum(means)
        if noise == "independent":
            mean = mean - gradient(middle[:, :1], middle[:, :1])[:, 0]
        centred = [line - m.unsqueeze(1) for line, m in zip(lines, means, strict=True)]
        yield probability.squeeze(1), mean, centred, weights


def exact_moments(
    estimator: Estimator,
    surrogate: Surrogate,
    cost: Cost,
    logits: Tensor,
    noise: str = "independent",
    nodes: int | None = None,
) -> Moments:
    """Mean and variance of an estimator of one to three Bernoulli latents, by quadrature.

    Every b is enumerated, and the noise integrated given b, where Var(g|b) = Var(A) + Var(C) (see
    `centred_lines`): integrals over [0, 1]^latents instead of [0, 1]^(2 latents).

    Args:
        estimator: `Estimator`.
        surrogate: its module.
        cost: f, any function of b; must not depend on its batch axis.
        logits: [replica, 1, latent], float64.
        noise: "independent" or "coupled" (then only u is integrated).
        nodes: quadrature nodes a dimension; by default 257, 97, 33 for 1, 2, 3 latents.
    Returns:
        Moments with fields of shape [replica, latent].

    Raises:
        ConfigError: more than three latents.
        ArgumentError: logits of another shape, or beyond ±25, which rounding would make wrong.
    """
    logits = logits.detach()
    pieces = list(centred_lines(estimator, surrogate, cost, logits, noise, nodes))
    mean = functools.reduce(torch.add, (p.unsqueeze(-1) * m for p, m, _, _ in pieces))
    variance = torch.zeros_like(mean)
    for p, m, lines, weights in pieces:
        given_b = sum(torch.einsum("rnl,n->rl", line.square(), weights) for line in lines)
        # The law of total variance, in the form that does not cancel.
        variance = variance + p.unsqueeze(-1) * (given_b + (m - mean).square())
    return Moments(mean, variance)
