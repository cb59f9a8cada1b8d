"""Relaxations: a continuous z behind a b that is drawn, as three verbs.

    sample(logits, u)            z, the relaxed sample
    threshold(z)                 b = H(z), the hard sample
    sample_given(logits, b, v)   z~, the relaxed sample given b, so that H(z~) = b always

Shapes are [replica, batch, latent] throughout; u and v are uniform on (0, 1). Next to z~ stands
its derivative, in closed form: the estimators need no tape through the sampling.

Derivatives are taken in two stages. z moves one for one with its location (the logit α, the
log-probabilities ℓ, the mean), and z~ with its own location coordinate by coordinate; from there
`pull_back` takes them to the parameters, by the chain rule. Where a z~ moves with the locations of
others too, the relaxation has a `correction` of its own. The parameters are called logits whatever
they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from relax.errors import ArgumentError
from relax.numerics.checks import is_finite, shaped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import torch

    from relax.numerics.signatures import Pair
    from relax.numerics.streams import Noise

# A logit, or a difference of logits, that no noise reaches: uniform noise in float64 moves z by
# less than 41, and a probability of e^-64 is below rounding beside 1.
CERTAIN = 64.0


class Draw(NamedTuple):
    """One draw of a relaxation; all shapes [replica, batch, latent]."""

    z: Tensor
    b: Tensor
    z_tilde: Tensor  # the very tensor z when the noise is coupled
    dz_tilde: Tensor  # derivative of z~ in its location, at fixed v and b
    score: Tensor  # ∂ log p(b) / ∂ logits, of the logits' shape


class Relaxation:
    """What the relaxations share. Besides the three verbs, each of them has

    coupled_derivative(z, score)       derivative of z~ in its location where z~ is z in value
    score(logits, b)                   ∂ log p(b) / ∂ logits
    pull_back(logits, z, slope)        ∂c(z) / ∂ logits, from the slope ∂c/∂z
    mean(logits)                       E[b]
    pull_back_mean(mean, slope)        ∂c(E[b]) / ∂ logits, from the slope in E[b]
    entropy(logits)                    of b, summed over latents
    log_prob(logits, b)                log p(b), summed over latents
    states(logits)                     every b with its probability, in turn
    relax(z, inverse)                  b's relaxed value at the temperature 1 / inverse
    relax_derivative(value, inverse)   how a slope in value = relax(z) becomes one in z
    """

    if TYPE_CHECKING:  # what the list above says
        kind: str
        variables: int

        def sample(self, logits: Tensor, u: Tensor) -> Tensor: ...
        def threshold(self, z: Tensor) -> Tensor: ...
        def sample_given(self, logits: Tensor, b: Tensor, v: Tensor) -> Pair: ...
        def coupled_derivative(self, z: Tensor, score: Tensor) -> Tensor: ...
        def score(self, logits: Tensor, b: Tensor) -> Tensor: ...
        def pull_back(self, logits: Tensor, z: Tensor, slope: Tensor) -> Tensor: ...
        def mean(self, logits: Tensor) -> Tensor: ...
        def pull_back_mean(self, mean: Tensor, slope: Tensor) -> Tensor: ...
        def entropy(self, logits: Tensor) -> Tensor: ...
        def log_prob(self, logits: Tensor, b: Tensor) -> Tensor: ...
        def states(self, logits: Tensor) -> Iterator[Pair]: ...
        def relax(self, z: Tensor, inverse: Tensor | float) -> Tensor: ...
        def relax_derivative(
            self, value: Tensor, inverse: Tensor | float
        ) -> Callable[[Tensor], Tensor]: ...

    def __repr__(self):
        # Settings print it, and a run is known by how its settings print.
        return f"{type(self).__name__}()"

    def __eq__(self, other):
        return type(self) is type(other) and repr(self) == repr(other)

    def __hash__(self):
        return hash(repr(self))

    def check_width(self, width: int) -> None:
        """Raises ArgumentError: there cannot be so many logits on the last axis; here any may."""

    def check_logits(self, logits: Tensor) -> None:
        """Raises ArgumentError: logits that are no parameters of this law; here if not finite."""
        if not is_finite(logits):
            raise ArgumentError(f"the parameters of {self} must be finite; some are NaN or inf")

    def settle(self, logits: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits that are finite, and where they were not.

        A logit of ±∞, which is a certainty, becomes one that no noise reaches, so that everything
        made of it is finite; the gradient in it is zero, for the caller to see to.

        Returns:
            The logits, and a tensor of bools like them, or None where none can be infinite.
        """
        return logits, None

    def noise_type(self, dtype: torch.dtype) -> torch.dtype:
        """The type of the noise for logits of this type."""
        return dtype

    def noise_shape(self, logits: Tensor) -> Sequence[int]:
        """The shape of the noise for these logits, and of b."""
        return logits.shape

    def hard_sample(self, logits: Tensor, u: Tensor) -> Tensor:
        """b from u, in one go."""
        return self.threshold(self.sample(logits, u))

    def draw(self, logits: Tensor, noise: Noise) -> Draw:
        """z, b, z~ and the score from one `Noise`.

        Raises:
            ArgumentError: noise of another shape than that of the latents.
        """
        shape = self.noise_shape(logits)
        for name, given in zip(("u", "v"), noise[:2], strict=False):
            if given is not None:
                shaped(f"noise.{name}", given, shape, "latents")
        z = self.sample(logits, noise.u)
        b = self.threshold(z)
        score = self.score(logits, b)
        if noise.v is None:
            return Draw(z, b, z, self.coupled_derivative(z, score), score)
        z_tilde, derivative = self.sample_given(logits, b, noise.v)
        return Draw(z, b, z_tilde, derivative, score)

    def correction(self, logits: Tensor, draw: Draw, slope: Tensor, slope_tilde: Tensor) -> Tensor:
        """∂c(z) - ∂c(z~), from the slopes of c at z and at z~; with coupled noise they are one."""
        if draw.z_tilde is draw.z:
            return self.pull_back(logits, draw.z, slope_tilde * (1 - draw.dz_tilde))
        return self.pull_back(logits, draw.z, slope) - self.pull_back(
            logits, draw.z_tilde, slope_tilde * draw.dz_tilde
        )

    def relaxed(
        self, z: Tensor, inverse: Tensor | float
    ) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """relax(z, inverse), and the function that takes a slope in it to one in z."""
        value = self.relax(z, inverse)
        return value, self.relax_derivative(value, inverse)

    def slopes_given(
        self, logits: Tensor, b: Tensor, v: Tensor, inverse: Tensor, slope: Tensor
    ) -> Tensor:
        """Σ_k of what a slope in relax(z~_k) becomes in z~_k, over draws of z~ given b.

        Args:
            v: uniform on (0, 1), [replica, draw, batch, latent].
            inverse: 1/λ, [replica, 1, 1].
            slope: the same for every draw, [replica, batch, latent].
        """
        each = logits.unsqueeze(1).expand_as(v), b.unsqueeze(1).expand_as(v)
        z_tilde, _ = self.sample_given(*each, v)
        _, to_z = self.relaxed(z_tilde, inverse.unsqueeze(1))
        return to_z(slope.unsqueeze(1)).sum(1)
