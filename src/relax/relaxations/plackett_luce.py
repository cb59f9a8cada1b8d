"""The Plackett-Luce relaxation: an ordering of k items, and z given the ordering."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import torch

from relax.errors import ConfigError
from relax.relaxations.relaxation import Draw, Relaxation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from relax.numerics.signatures import Pair
    from relax.numerics.streams import Noise


MOST_STATES = 50_000  # orderings that enumeration bears: those of eight items


class PlackettLuce(Relaxation):
    """An ordering of k items: b_i is the place of item i, 0 for the first to k - 1 for the last.

    With logits ℓ (any constant may be added) and Gumbel noise G, z = ℓ + G, and the items stand by
    z, the largest first. The exponentials e^{-z_i} are then independent, of rates e^{ℓ_i}: they
    come one after another, and whichever is left, the next is i with probability e^{ℓ_i} over the
    sum of those left (Plackett, 1975; Luce, 1959; by Gumbel noise: Yellott, 1977). With (m) for the
    item in place m, and R_m for the logarithm of that sum over the places from m on,

        log P(b) = Σ_m [ℓ_(m) - R_m].

    The relaxation at a temperature λ is the soft place Σ_{j≠i} σ((z_j - z_i)/λ), whose limit at
    λ = 0 is b. Given b, a z~_i depends on the logits of other items too, so `draw` gives only the
    diagonal of the derivative, and `correction` has the rest.
    """

    kind = "ordering"

    def sample(self, logits: Tensor, u: Tensor) -> Tensor:
        """z = ℓ - log(-log u). Its derivative in ℓ is 1."""
        return logits - torch.log(-torch.log(u))

    def threshold(self, z: Tensor) -> Tensor:
        """The places, as whole numbers in z's type."""
        order = z.argsort(dim=-1, descending=True, stable=True)
        return _places(order).to(z.dtype)

    def sample_given(self, logits: Tensor, b: Tensor, v: Tensor) -> Pair:
        """z~ given the ordering b by fresh noise v, and the diagonal of its derivative in ℓ.

        The first exponential is the least of all, of rate e^{R_0}; each exceeds the one before by
        one of rate e^{R_m}, for they have no memory. With log E_m = log(-log v_m) - R_m,

            z~_(m) = -log Σ_{n≤m} E_n

        which falls with m. Where it does not in the precision at hand, it becomes the number next
        below: H(z~) = b always.
        """
        order = b.argsort(-1)
        own, noise = logits.gather(-1, order), v.gather(-1, order)
        steps = torch.log(-torch.log(noise)) - _log_remaining(own)
        falling = _strictly_falling(-torch.logcumsumexp(steps, -1))
        z_tilde = falling.gather(-1, b.long())
        return z_tilde, self.derivative(logits, z_tilde)

    def derivative(self, logits: Tensor, z_tilde: Tensor) -> Tensor:
        """∂z~_i/∂ℓ_i at fixed v and b, in [0, 1]."""
        order, chosen, waited = _parts(logits, z_tilde)
        return (chosen * waited).sum(-2).gather(-1, _places(order))

    def draw(self, logits: Tensor, noise: Noise) -> Draw:
        """z, b, z~ and the score from one `Noise`."""
        z = self.sample(logits, noise.u)
        b = self.threshold(z)
        score = self.score(logits, b)
        if noise.v is None:
            return Draw(z, b, z, self.derivative(logits, z), score)
        return Draw(z, b, *self.sample_given(logits, b, noise.v), score)

    def correction(self, logits: Tensor, draw: Draw, slope: Tensor, slope_tilde: Tensor) -> Tensor:
        """∂c(z) - ∂c(z~), from the slopes of c at both.

        z = ℓ + G moves with its own logit alone. For z~, with Σ_{n≤m} E_n = e^{-z~_(m)} and
        ∂R_n/∂ℓ_j = e^{ℓ_j - R_n} for the items j that are left at n,

            ∂z~_(m)/∂ℓ_j = Σ_n [E_n e^{z~_(m)}] [e^{ℓ_j - R_n}],  n up to m and to j's place,

        where E_n e^{z~_(m)} = (1 - e^{z~_(n) - z~_(n-1)}) e^{z~_(m) - z~_(n)}. Both brackets are
        probabilities. It is a function of z~, not of how z~ was drawn: so too with coupled noise.
        """
        order, chosen, waited = _parts(logits, draw.z_tilde)
        own = slope_tilde.gather(-1, order).unsqueeze(-1)
        through = (chosen * (waited @ own)).sum(-2)
        return slope - through.gather(-1, _places(order))

    def score(self, logits: Tensor, b: Tensor) -> Tensor:
        """∂ log P(b) / ∂ℓ_j = 1 - Σ_n e^{ℓ_j - R_n}, n up to j's place."""
        places = b.long()
        own = logits.expand_as(b).gather(-1, _places(places))
        return 1 - _chosen(own).sum(-2).gather(-1, places)

    def pull_back(self, logits: Tensor, z: Tensor, slope: Tensor) -> Tensor:
        """The location is the logit itself: ∂z/∂ℓ = 1."""
        return slope

    def mean(self, logits: Tensor) -> Tensor:
        """E[b_i] = Σ_{j≠i} P(j stands before i) = Σ_{j≠i} σ(ℓ_j - ℓ_i)."""
        return self.relax(logits, 1.0)

    def pull_back_mean(self, mean: Tensor, slope: Tensor) -> Tensor:
        """Not to be had from the mean.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("the mean of an ordering does not give its logits: leave MuProp out")

    def entropy(self, logits: Tensor) -> Tensor:
        """There is no closed form.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("the entropy of an ordering has no closed form")

    def states(self, logits: Tensor) -> Iterator[Pair]:
        """All k! orderings.

        Raises:
            ConfigError: more than eight items.
        """
        items = logits.shape[-1]
        if math.factorial(items) > MOST_STATES:
            raise ConfigError(f"exact enumerates {items}! orderings: at most 8 items")
        for places in itertools.permutations(range(items)):
            order = torch.tensor(places, device=logits.device)
            own = logits[..., order]
            b = _places(order).to(logits.dtype).expand_as(logits)
            yield b, (own - _log_remaining(own)).sum(-1).exp()

    def relax(self, z: Tensor, inverse: Tensor | float) -> Tensor:
        """The soft places Σ_{j≠i} σ((z_j - z_i)/λ)."""
        return torch.sigmoid(_differences(z, inverse)).sum(-1) - 0.5

    def relaxed(
        self, z: Tensor, inverse: Tensor | float
    ) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """The soft places, and the function that takes a slope in them to one in z."""
        before = torch.sigmoid(_differences(z, inverse))  # [i, j]: j stands before i

        def to_z(slope):
            steep = (before - before * before) * _lifted(inverse)
            return steep.mT @ slope.unsqueeze(-1) - steep.sum(-1, keepdim=True) * slope.unsqueeze(
                -1
            )

        return before.sum(-1) - 0.5, lambda slope: to_z(slope).squeeze(-1)


PLACKETT_LUCE = PlackettLuce()


def _differences(z, inverse):
    """(z_j - z_i)/λ at [i, j]; the diagonal's σ is one half."""
    return (z.unsqueeze(-2) - z.unsqueeze(-1)) * _lifted(inverse)


def _lifted(inverse):
    return inverse.unsqueeze(-1) if torch.is_tensor(inverse) and inverse.dim() else inverse


def _places(order):
    """Where each item stands, from which item stands where; and the other way round.

    The inverse of a permutation: written to its places, not sorted.
    """
    items = torch.arange(order.shape[-1], device=order.device).expand_as(order)
    return torch.empty_like(order).scatter_(-1, order, items)


def _log_remaining(own):
    """R_m, from the logits in the ordering's order."""
    return own.flip(-1).logcumsumexp(-1).flip(-1)


def _chosen(own):
    """e^{ℓ_(m) - R_n} at [n, m], zero for m before n: that (m) comes next, of those left at n."""
    return torch.triu(torch.exp(own.unsqueeze(-2) - _log_remaining(own).unsqueeze(-1)))


def _parts(logits, z):
    """The order by z, and both brackets of the derivative at [n, m], zero for m before n."""
    order = z.argsort(dim=-1, descending=True, stable=True)
    falling = z.gather(-1, order)
    gaps = falling[..., 1:] - falling[..., :-1]
    share = torch.cat([torch.ones_like(z[..., :1]), -torch.expm1(gaps)], -1).unsqueeze(-1)
    waited = torch.triu(share * torch.exp(falling.unsqueeze(-2) - falling.unsqueeze(-1)))
    return order, _chosen(logits.expand_as(z).gather(-1, order)), waited


def _strictly_falling(z):
    """z, with every number that is not below the one before it made the next below that one."""
    if (z[..., 1:] < z[..., :-1]).all():
        return z
    lowest, columns = z.new_tensor(-torch.inf), list(z.unbind(-1))
    for m in range(1, len(columns)):
        columns[m] = torch.minimum(columns[m], torch.nextafter(columns[m - 1], lowest))
    return torch.stack(columns, -1)
