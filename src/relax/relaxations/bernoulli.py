"""Bernoulli latents: b in {0, 1}, behind it a logistic z."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import logsigmoid, softplus

from relax.errors import ArgumentError, ConfigError
from relax.relaxations import MOST_ENUMERATED
from relax.relaxations.relaxation import CERTAIN, Relaxation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from relax.numerics.signatures import Pair


class Bernoulli(Relaxation):
    """b ~ Bernoulli(σ(α)) with logits α: z = α + logit u, b = 1[z > 0] (draft, equation 4)."""

    kind = "bernoulli"

    def sample(self, logits: Tensor, u: Tensor) -> Tensor:
        """z = α + logit u. Its derivative in α is 1."""
        return logits + torch.logit(u)

    def threshold(self, z: Tensor) -> Tensor:
        """b = 1[z > 0], as 0. and 1."""
        # Several times faster than a comparison and the conversion of its result.
        return torch.sign(z).clamp_(min=0)

    def hard_sample(self, logits: Tensor, u: Tensor) -> Tensor:
        """b = 1[u > σ(-α)], which is 1[α + logit u > 0] without a logarithm of every u."""
        return (u - torch.sigmoid(-logits)).sign_().clamp_(min=0)

    def sample_given(self, logits: Tensor, b: Tensor, v: Tensor) -> Pair:
        """z~ given b by fresh noise v, and its derivative in the logits.

        With v' = v(1-θ) for b = 0 and v' = vθ + (1-θ) for b = 1, z~ = α + logit v' (Tucker et al.,
        2017, appendix). Written out it needs neither θ nor a clipped v':

            b = 1:  z~ = softplus(α + log v) - log(1 - v)      dz~/dα = σ(α + log v)
            b = 0:  z~ = log v - softplus(-α + log(1 - v))     dz~/dα = σ(-α + log(1 - v))

        so the derivative lies in (0, 1) and float32 is safe.
        """
        log_v, log_1mv = torch.log(v), torch.log1p(-v)
        one = b > 0.5
        inner = torch.where(one, logits + log_v, log_1mv - logits)
        bend = softplus(inner)
        z_tilde = torch.where(one, bend - log_1mv, log_v - bend)
        return z_tilde, torch.sigmoid(inner)

    def coupled_derivative(self, z: Tensor, score: Tensor) -> Tensor:
        """dz~/dα where z~ equals z in value: p(b|θ)(1 - e^{-|z|}).

        Put v = (e^z~ - 1) / (e^z~ + e^α) (b = 1, from z~ above) into σ(α + log v); b = 0 follows
        by the symmetry (α, z, b) -> (-α, -z, 1 - b). And p(b|θ) = 1 - |b - θ|.
        """
        return (score.abs() - 1).mul_(torch.expm1(-z.abs()))

    def score(self, logits: Tensor, b: Tensor) -> Tensor:
        """∂ log p(b|θ) / ∂α = b - σ(α)."""
        return b - torch.sigmoid(logits)

    def pull_back(self, logits: Tensor, z: Tensor, slope: Tensor) -> Tensor:
        """The location is the logit itself: ∂z/∂α = 1."""
        return slope

    def mean(self, logits: Tensor) -> Tensor:
        """θ = σ(α)."""
        return torch.sigmoid(logits)

    def pull_back_mean(self, mean: Tensor, slope: Tensor) -> Tensor:
        """∂θ/∂α = θ (1 - θ)."""
        return slope * mean * (1 - mean)

    def entropy(self, logits: Tensor) -> Tensor:
        """-Σ θ log θ + (1-θ) log(1-θ), in nats: [replica, batch]. A θ of 0 or 1 adds nothing."""
        least = torch.finfo(logits.dtype).min  # for log 0: 0 times it is 0
        inside = torch.sigmoid(logits) * logsigmoid(logits).clamp(min=least)
        return -(inside + torch.sigmoid(-logits) * logsigmoid(-logits).clamp(min=least)).sum(-1)

    def log_prob(self, logits: Tensor, b: Tensor) -> Tensor:
        """log p(b) = Σ b log θ + (1-b) log(1-θ), in nats, linear in b: [replica, batch]."""
        least = torch.finfo(logits.dtype).min
        one, zero = (logsigmoid(x).clamp(min=least) for x in (logits, -logits))
        return (b * one + (1 - b) * zero).sum(-1)

    def normaliser(self, logits: Tensor) -> Tensor:
        """A of each latent, with log p(b) = Σ b α - Σ A, in nats: softplus(α), like the logits."""
        return softplus(logits)

    def check_logits(self, logits: Tensor) -> None:
        """Raises ArgumentError: a logit is NaN; ±∞ is a probability of 1 or 0."""
        if logits.isnan().any():
            raise ArgumentError("Bernoulli logits must be numbers, inf allowed; some are NaN")

    def settle(self, logits: Tensor) -> tuple[Tensor, Tensor | None]:
        """±∞ becomes ±CERTAIN."""
        infinite = logits.isinf()
        return torch.where(infinite, logits.sign() * CERTAIN, logits), infinite

    def states(self, logits: Tensor) -> Iterator[Pair]:
        """All 2^latents values of b.

        Raises:
            ConfigError: more than 16 latents.
        """
        latents = logits.shape[-1]
        if latents > MOST_ENUMERATED:
            raise ConfigError(
                f"exact enumerates 2^latents values: at most {MOST_ENUMERATED} latents; got "
                f"{latents}"
            )
        for state in itertools.product((0.0, 1.0), repeat=latents):
            b = torch.tensor(state, dtype=logits.dtype, device=logits.device).expand_as(logits)
            yield b, logsigmoid((2 * b - 1) * logits).sum(-1).exp()

    def relax(self, z: Tensor, inverse: Tensor | float) -> Tensor:
        """σ(z/λ)."""
        return torch.sigmoid(z * inverse)

    def relax_derivative(
        self, value: Tensor, inverse: Tensor | float
    ) -> Callable[[Tensor], Tensor]:
        """∂y/∂z = y (1 - y) / λ, with y = σ(z/λ)."""
        outer = (value - value * value) * inverse
        return lambda slope: slope * outer

    def slopes_given(
        self, logits: Tensor, b: Tensor, v: Tensor, inverse: Tensor, slope: Tensor
    ) -> Tensor:
        """The same by way of q = e^{-|z~|}, in few passes over the draws.

        With w = v for b = 0, w = 1 - v for b = 1, and p = p(1 - b), z~ as written out above has

            q = w p / (w p + 1 - w)      y (1 - y) = s / (1 + s)²,   s = q^{1/λ}
        """
        hard, other = b.unsqueeze(1), torch.where(b > 0.5, -logits, logits)
        s = torch.sub(v, hard).abs_().mul_(torch.sigmoid(other).unsqueeze(1))
        whole = torch.sub(v, 1 - hard).abs_().add_(s)
        s.div_(whole).log_().mul_(inverse.unsqueeze(1)).exp_()
        return slope * inverse * s.div_((s + 1).square_()).sum(1)


BERNOULLI = Bernoulli()
