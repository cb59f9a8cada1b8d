"""Noise for one call, from torch's own generators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from relax.numerics.streams import Noise

if TYPE_CHECKING:
    from collections.abc import Sequence


SMALLEST = {torch.float32: 2.0**-25, torch.float64: 2.0**-54}  # half a step of torch.rand


def new_seed(generator: torch.Generator | None = None) -> int:
    """A seed drawn from the generator, or from torch's own."""
    device = generator.device if generator else "cpu"
    return int(torch.randint(2**62, (), generator=generator, device=device))


def draw_noise(
    shape: Sequence[int],
    dtype: torch.dtype,
    device: torch.device,
    kind: str,
    generator: torch.Generator | None = None,
) -> Noise:
    """`Noise` of this shape, uniform strictly inside (0, 1).

    torch.rand draws from [0, 1); a zero becomes half a step.

    Args:
        kind: "coupled" (u alone) or "independent" (u and v).
        generator: on that device; None for torch's own.
    """
    count = 1 if kind == "coupled" else 2
    drawn = torch.rand((count, *shape), dtype=dtype, device=device, generator=generator)
    return Noise(*drawn.clamp_(min=SMALLEST[dtype]))
