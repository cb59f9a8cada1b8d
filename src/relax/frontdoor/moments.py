"""Moments of estimates as they come, and how far their means are from a reference."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from relax.estimators.registry import REGISTRY
from relax.exact.enumeration import enumerate_gradient
from relax.frontdoor.costs import UserCost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relax.frontdoor.latents import Latents
    from relax.numerics.signatures import Cost


MOST_VALUES = 4096  # values of b that are enumerated for the truth
RARE = 10  # draws expected of a value of b, at least, where its coordinate is tested
MOVED = 50  # draws, at least, in which a tested coordinate is not zero: of fewer no mean is normal


class Moments:
    """Mean and variance of draws, added a block at a time (Chan et al., 1979); in float64."""

    def __init__(self) -> None:
        self.draws = 0
        self.moved = torch.zeros((), dtype=torch.int64)  # draws that are not zero, elementwise
        self.mean = self.squares = torch.zeros((), dtype=torch.float64)

    def add(self, block: Tensor) -> None:
        """Take in a block of draws, [draws, ...]."""
        count, block = len(block), block.double()
        mean = block.mean(0)
        squares = (block - mean).square().sum(0)
        self.moved = self.moved + (block != 0).sum(0)
        total = self.draws + count
        shift = mean - self.mean
        self.squares = self.squares + squares + shift.square() * (self.draws * count / total)
        self.mean = self.mean + shift * (count / total)
        self.draws = total

    @property
    def variance(self) -> Tensor:
        """Of one draw, elementwise."""
        return self.squares / (self.draws - 1)

    @property
    def enough(self) -> Tensor:
        """Where the mean is that of enough draws to be normal, elementwise."""
        return (self.moved >= MOVED) | (self.moved == self.draws)

    @property
    def error(self) -> Tensor:
        """The standard error of the mean, elementwise."""
        return (self.variance / self.draws).sqrt()


class Reference(NamedTuple):
    """The gradient that an estimator is held to, its standard error, and where both are known."""

    gradient: Tensor
    error: Tensor
    known: Tensor


def reference(
    moments: Mapping[str, Moments],
    cost: Cost,
    logits: Tensor,
    context: Tensor | None,
    latents: Latents,
    any_leading: bool,
) -> tuple[dict[str, Reference | None], str]:
    """The `Reference` of each estimator; and what it is, in words.

    Enumeration where b has few values. Else, for each estimator, the means of all other unbiased
    ones, weighted by the inverse of their total variance; with fewer than one other there is none.

    Args:
        moments: by name, the `Moments` of each estimator.

    Returns:
        {name: `Reference` or None}, and a sentence.
    """
    values = latents.values
    if values is not None and values <= MOST_VALUES:
        batch = latents.batch(logits)
        f = UserCost(cost, batch, latents.shape, logits.dtype, any_leading)
        with torch.no_grad():
            wide = logits.reshape(1, f.rows, -1)
            truth = enumerate_gradient(f, wide, latents.relaxation).reshape(logits.shape).double()
        exact = Reference(truth, torch.zeros_like(truth), torch.ones_like(truth, dtype=torch.bool))
        return dict.fromkeys(moments, exact), f"enumeration of the {values} values of b"
    found = {name: _pooled(moments, but=name) for name in moments}
    return found, "the pooled means of the other unbiased estimators"


def _pooled(moments, but):
    others = [m for name, m in moments.items() if name != but and REGISTRY[name].unbiased]
    if not others:
        return None
    weights = [1 / m.error.square().sum().clamp(min=1e-300) for m in others]
    # In each coordinate those that have moved enough there; where none has, all, and it is said.
    known = torch.stack([m.enough.expand_as(m.mean) for m in others]).any(0)
    shares = [w * (m.enough | ~known) for w, m in zip(weights, others)]
    whole = sum(shares)
    mean = sum(w / whole * m.mean for w, m in zip(shares, others))
    error = sum((w / whole * m.error).square() for w, m in zip(shares, others)).sqrt()
    return Reference(mean, error, known)


def largest_z(moments: Moments, held_to: Reference, tested: Tensor) -> float:
    """The largest |z| of the tested coordinates as one standard normal would have it; or NaN.

    With n coordinates the largest of n is far out even where nothing is wrong. If one of them is as
    far out with probability p, then, were they independent, the largest is with 1 - (1 - p)^n
    (Šidák); what is returned is as far out as that.
    """
    # Rounding: a mean without variance is not infinitely far from a truth that differs in the last
    # digits.
    truth, error, known = held_to
    scale = torch.maximum(truth.abs(), moments.mean.abs()).amax()
    floor = scale * 10 * torch.finfo(torch.float32).eps
    z = (moments.mean - truth).abs() / (moments.error.square() + error.square()).sqrt().clamp(
        min=floor
    )
    z = z[(tested & known & moments.enough).expand_as(z)]
    if not z.numel():
        return math.nan
    largest = z.max()
    if largest > 8:  # then n no longer matters, and p underflows
        return largest.item()
    p = -torch.expm1(z.numel() * torch.log1p(-torch.special.erfc(largest / math.sqrt(2))))
    return -torch.special.ndtri(p / 2).item()


def common(latents: Latents, logits: Tensor, draws: int) -> Tensor:
    """Which coordinates of the logits are tested: where no value of b is expected too rarely."""
    if latents.kind == "gaussian":
        return torch.ones_like(logits, dtype=torch.bool)
    wide = logits.double().reshape(1, -1, latents.flat)
    expected = draws * latents.relaxation.mean(wide).reshape(logits.shape)
    return (expected >= RARE) & (draws - expected >= RARE)
