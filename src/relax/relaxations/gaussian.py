"""The Gaussian: a continuous b that is its own relaxation, with which the one formula is LAX."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from relax.errors import ArgumentError, ConfigError
from relax.relaxations.relaxation import Relaxation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from relax.numerics.signatures import Pair


class Gaussian(Relaxation):
    """Continuous b ~ N(mean, e^{2 log_std}), independent coordinates: LAX.

    The parameters are [replica, batch, 2 latent], first the means and then the logarithms of the
    standard deviations; noise, z and b are [replica, batch, latent]. b is z itself, so z given b
    is b, and no derivative flows through it. The one formula becomes LAX (Grathwohl et al., 2018),

        g = [f(b) - c(b)] ∂ log p(b) + ∂c(b).
    """

    kind = "gaussian"

    def sample(self, logits: Tensor, u: Tensor) -> Tensor:
        """z = mean + e^{log_std} ε with ε = Φ^{-1}(u). Its derivative in the mean is 1."""
        mean, log_std = logits.chunk(2, -1)
        return mean + torch.exp(log_std) * torch.special.ndtri(u)

    def threshold(self, z: Tensor) -> Tensor:
        """b = z."""
        return z

    def sample_given(self, logits: Tensor, b: Tensor, v: Tensor) -> Pair:
        """z~ = b, whatever v is: given b nothing is left to draw, and b is held fixed."""
        return b, torch.zeros_like(b)

    def coupled_derivative(self, z: Tensor, score: Tensor) -> Tensor:
        """0, as with independent noise."""
        return torch.zeros_like(z)

    def score(self, logits: Tensor, b: Tensor) -> Tensor:
        """∂ log p(b): ε/std in the means, ε² - 1 in the logarithms, with ε = (b - mean)/std."""
        mean, log_std = logits.chunk(2, -1)
        inverse_std = torch.exp(-log_std)
        epsilon = (b - mean) * inverse_std
        return torch.cat([epsilon * inverse_std, epsilon.square() - 1], -1)

    def pull_back(self, logits: Tensor, z: Tensor, slope: Tensor) -> Tensor:
        """∂z/∂mean = 1 and ∂z/∂log_std = z - mean."""
        mean, _ = logits.chunk(2, -1)
        return torch.cat([slope, slope * (z - mean)], -1)

    def mean(self, logits: Tensor) -> Tensor:
        """The means."""
        return logits.chunk(2, -1)[0]

    def pull_back_mean(self, mean: Tensor, slope: Tensor) -> Tensor:
        """The mean does not depend on the standard deviation."""
        return torch.cat([slope, torch.zeros_like(slope)], -1)

    def entropy(self, logits: Tensor) -> Tensor:
        """Σ log_std + log(2πe)/2, in nats (relative to the units of b): [replica, batch]."""
        _, log_std = logits.chunk(2, -1)
        return (log_std + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)

    def log_prob(self, logits: Tensor, b: Tensor) -> Tensor:
        """log N(b; mean, std), summed over latents: [replica, batch]."""
        mean, log_std = logits.chunk(2, -1)
        epsilon = (b - mean) * torch.exp(-log_std)
        return -(0.5 * epsilon.square() + log_std + 0.5 * math.log(2 * math.pi)).sum(-1)

    def check_width(self, width: int) -> None:
        """Raises ArgumentError: not as many means as standard deviations."""
        if width % 2:
            raise ArgumentError(
                f"Gaussian parameters are means, then log standard deviations, as many of each on "
                f"the last axis; got {width} in all"
            )

    def noise_shape(self, logits: Tensor) -> Sequence[int]:
        """Half as many as parameters: [replica, batch, latent]."""
        return (*logits.shape[:-1], logits.shape[-1] // 2)

    def states(self, logits: Tensor) -> Iterator[Pair]:
        """There is a continuum of them.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("exact enumerates values: a Gaussian latent has too many; leave it out")

    def relax(self, z: Tensor, inverse: Tensor | float) -> Tensor:
        """A continuous b is its own relaxation, and a temperature would have nothing to do.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "Gaussian latents have no temperature: use a surrogate without one, "
            "as RELAX's network with squash: false and add_relaxed_cost: false"
        )


GAUSSIAN = Gaussian()
