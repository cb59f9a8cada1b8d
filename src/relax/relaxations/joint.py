"""Latents of several kinds side by side: a relaxation made of relaxations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from relax.errors import ArgumentError
from relax.relaxations.relaxation import Draw, Relaxation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from relax.numerics.signatures import Pair
    from relax.numerics.streams import Noise


class Joint(Relaxation):
    """Independent parts along the last axis, each a relaxation with so many latents.

    Everything is done part by part, so that a surrogate or a cost sees all of them together. For
    parts with a parameter a latent.

    Args:
        parts: pairs (relaxation, number of latents), in the order in which they stand.
    """

    kind = "joint"

    def __init__(self, *parts: tuple[Relaxation, int]) -> None:
        self.parts, self.widths = zip(*parts, strict=True)

    def __repr__(self):
        parts = zip(self.parts, self.widths, strict=True)
        return f"Joint({', '.join(f'({part!r}, {width})' for part, width in parts)})"

    def check_width(self, width: int) -> None:
        """Raises ArgumentError: so many logits are not those of the parts."""
        if width != sum(self.widths):
            raise ArgumentError(f"{self} has {sum(self.widths)} logits; got {width}")
        for part, own in zip(self.parts, self.widths, strict=True):
            part.check_width(own)

    def check_logits(self, logits: Tensor) -> None:
        """Raises ArgumentError: those of a part are not what it takes."""
        for part, own in zip(self.parts, logits.split(self.widths, -1), strict=True):
            part.check_logits(own)

    def settle(self, logits: Tensor) -> tuple[Tensor, Tensor | None]:
        settled, fixed = [], []
        for part, own in zip(self.parts, logits.split(self.widths, -1), strict=True):
            own, held = part.settle(own)
            settled.append(own)
            fixed.append(torch.zeros_like(own, dtype=torch.bool) if held is None else held)
        return torch.cat(settled, -1), torch.cat(fixed, -1)

    def _each(self, call, *tensors):
        """call(part, its own slices) of every part, side by side."""
        pieces = [tensor.split(self.widths, -1) for tensor in tensors]
        return torch.cat([call(*those) for those in zip(self.parts, *pieces, strict=True)], -1)

    def sample(self, logits: Tensor, u: Tensor) -> Tensor:
        return self._each(lambda part, *own: part.sample(*own), logits, u)

    def threshold(self, z: Tensor) -> Tensor:
        return self._each(lambda part, own: part.threshold(own), z)

    def sample_given(self, logits: Tensor, b: Tensor, v: Tensor) -> Pair:
        pieces = [tensor.split(self.widths, -1) for tensor in (logits, b, v)]
        found = [p.sample_given(*own) for p, *own in zip(self.parts, *pieces, strict=True)]
        z_tilde, derivative = (torch.cat(those, -1) for those in zip(*found, strict=True))
        return z_tilde, derivative

    def draw(self, logits: Tensor, noise: Noise) -> Draw:
        draws = self._draws(logits, noise)
        found = Draw(*(torch.cat(those, -1) for those in zip(*draws, strict=True)))
        # Coupled noise is told by z~ being z itself.
        return found if noise.v is not None else found._replace(z_tilde=found.z)

    def _draws(self, logits, noise):
        pieces = [logits.split(self.widths, -1)]
        pieces += [
            [None] * len(self.parts) if n is None else n.split(self.widths, -1) for n in noise
        ]
        return [
            part.draw(own, type(noise)(u, v))
            for part, own, u, v in zip(self.parts, *pieces, strict=True)
        ]

    def correction(self, logits: Tensor, draw: Draw, slope: Tensor, slope_tilde: Tensor) -> Tensor:
        coupled = draw.z_tilde is draw.z
        pieces = [tensor.split(self.widths, -1) for tensor in (logits, slope, slope_tilde, *draw)]
        found = []
        for part, own, own_slope, own_tilde, *drawn in zip(self.parts, *pieces, strict=True):
            own_draw = Draw(*drawn)
            own_draw = own_draw._replace(z_tilde=own_draw.z) if coupled else own_draw
            found.append(part.correction(own, own_draw, own_slope, own_tilde))
        return torch.cat(found, -1)

    def score(self, logits: Tensor, b: Tensor) -> Tensor:
        return self._each(lambda part, *own: part.score(*own), logits, b)

    def pull_back(self, logits: Tensor, z: Tensor, slope: Tensor) -> Tensor:
        return self._each(lambda part, *own: part.pull_back(*own), logits, z, slope)

    def mean(self, logits: Tensor) -> Tensor:
        return self._each(lambda part, own: part.mean(own), logits)

    def pull_back_mean(self, mean: Tensor, slope: Tensor) -> Tensor:
        return self._each(lambda part, *own: part.pull_back_mean(*own), mean, slope)

    def entropy(self, logits: Tensor) -> Tensor:
        pieces = logits.split(self.widths, -1)
        return sum(part.entropy(own) for part, own in zip(self.parts, pieces, strict=True))

    def states(self, logits: Tensor) -> Iterator[Pair]:
        """Every combination of the parts' states."""
        yield from self._states(list(zip(self.parts, logits.split(self.widths, -1), strict=True)))

    def _states(self, parts):
        (part, logits), *rest = parts
        for b, probability in part.states(logits):
            if not rest:
                yield b, probability
                continue
            for others, own in self._states(rest):
                yield torch.cat([b, others], -1), probability * own

    def relax(self, z: Tensor, inverse: Tensor | float) -> Tensor:
        return self._each(lambda part, own: part.relax(own, inverse), z)

    def relaxed(
        self, z: Tensor, inverse: Tensor | float
    ) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        values, functions = zip(
            *(p.relaxed(own, inverse) for p, own in zip(self.parts, z.split(self.widths, -1))),
            strict=True,
        )

        def to_z(slope):
            slopes = slope.split(self.widths, -1)
            return torch.cat([f(own) for f, own in zip(functions, slopes, strict=True)], -1)

        return torch.cat(values, -1), to_z
