"""Random streams: addressed by (seed, purpose, index), so that every draw can be made again.

A replica is one independent run, known by its seed. A seed draws from its own streams, so its
numbers do not depend on the seeds that it shares a process with.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from relax.numerics import checks

if TYPE_CHECKING:
    from collections.abc import Sequence


# What a random number is for. Part of every stream's identity: append, never reorder.
_PURPOSES = (
    "initialisation",
    "data order",
    "noise",
    "evaluation",
    "split",
    "tuning",
    "variance",
    "binarization",
    "tuning order",
    "variance order",
    "pretraining order",
    "pretraining",
    "bound",
    "pictures",
    "environment",
    "fresh environment",
    "fresh noise",
    "shown environment",
    "shown noise",
    "tuning look",
    "reference",
    "graph",
)


KINDS = ("independent", "coupled")  # of noise

# The least and the greatest number strictly inside (0, 1) that noise of each type may be: half a
# step of a uniform draw above 0, and one below 1.
EDGES = {
    torch.float32: (2.0**-25, 1 - 2.0**-24),
    torch.float64: (2.0**-54, 1 - 2.0**-53),
}


MANY = 1024  # numbers, from which on it pays to convert them at once


def generator(seed: int, purpose: str, index: int = 0) -> np.random.Generator:
    """The random stream of (seed, purpose, index), independent of every other.

    Streams are addressed, not advanced: block `index` of a purpose can be drawn without drawing
    the blocks before it, so a resumed run needs only its step number.

    Raises:
        ArgumentError: a seed or index that is no whole number, 0 or more, or an unknown purpose.
    """
    checks.named("the purpose of a random stream", purpose, _PURPOSES)
    checks.count("a seed", seed, 0)
    key = (_PURPOSES.index(purpose), checks.count("the index of a random stream", index, 0))
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def uniform_noise(
    seeds: Sequence[int],
    purpose: str,
    index: int,
    shape: Sequence[int],
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Uniform noise strictly inside (0, 1): [replica, *shape], one replica a seed.

    numpy draws from [0, 1) in steps of 2^-24 (float32) or 2^-53 (float64); a zero, whose logit
    would be -inf, becomes half a step.

    Raises:
        ArgumentError: another type of floats; and as `generator` does.
    """
    smallest, _ = EDGES[checks.float_type("the type of noise", dtype)]
    numpy_dtype = np.float32 if dtype is torch.float32 else np.float64
    noise = np.empty((len(seeds), *shape), dtype=numpy_dtype)
    for row, seed in zip(noise, seeds, strict=True):
        _fill(row, generator(seed, purpose, index))
    return torch.from_numpy(np.maximum(noise, numpy_dtype(smallest), out=noise))


def _fill(row, source):
    """What `source.random` would fill an array with, number for number.

    A float32 is 24 bits of one half of a raw number, the lower half first. Converted all at once
    they take two thirds of the time that numpy takes, which converts one by one.
    """
    if row.dtype != np.float32 or row.size < MANY or row.size % 2 or sys.byteorder != "little":
        source.random(dtype=row.dtype, out=row)
        return
    halves = source.bit_generator.random_raw(row.size // 2).view(np.uint32)
    halves >>= np.uint32(8)
    # Signed, which the processor converts faster; the uppermost bits are zero.
    row[...] = halves.view(np.int32).reshape(row.shape)
    row *= np.float32(2.0**-24)


class Noise(NamedTuple):
    """The randomness of one estimate; shapes [replica, batch, latent], uniform on (0, 1).

    With `v` (independent noise) z~ is drawn afresh given b. Without it (coupled noise) z~ equals
    z in value: v is then the number that the conditional map takes to z.

    Numbers of exactly 0 and 1, which `torch.rand` draws, are taken for those next to them by
    `Estimator.estimate`.
    """

    u: Tensor
    v: Tensor | None = None


class NoiseStream:
    """The noise of every step of a run: `stream(step)` is the `Noise` of that step, from 0.

    Noise is drawn a block of steps at a time, which is what makes small steps cheap.

    Args:
        seeds: one a replica.
        purpose: see `generator`.
        batch, latents: the shape of one step's noise is [replica, batch, latents].
        kind: "independent" (u and v) or "coupled" (u alone).
        block: steps drawn at once; part of the stream's identity.
        copies: how often the seeds stand in a row on the replica axis.
        device: where the noise is to lie; it is drawn by the processor and is the same everywhere.

    Raises:
        ArgumentError: a kind, number or type that is not allowed; a wrong seed or purpose with the
            first step.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        purpose: str,
        batch: int,
        latents: int,
        kind: str,
        dtype: torch.dtype,
        block: int = 100,
        copies: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        checks.named("the kind of noise", kind, KINDS)
        checks.named("the purpose of a random stream", purpose, _PURPOSES)
        checks.float_type("the type of noise", dtype)
        for name, value in (("batch", batch), ("latents", latents), ("block", block)):
            checks.count(name, value)
        self.arguments = (seeds, purpose)
        self.shape = (block, 2 if kind == "independent" else 1, batch, latents)
        self.dtype, self.block = dtype, block
        self.drawn: int | None = None
        self.copies, self.device = copies, device

    def __call__(self, step: int) -> Noise:
        index, offset = divmod(step, self.block)
        if index != self.drawn:
            noise = uniform_noise(*self.arguments, index, self.shape, self.dtype)
            noise = noise.to(self.device)
            if self.copies > 1:
                noise = noise.repeat(self.copies, *[1] * (noise.dim() - 1))
            # unbind once a block: slicing at every step costs more
            self.steps = [Noise(*pair.unbind(1)) for pair in noise.unbind(1)]
            self.drawn = index
        return self.steps[offset]
