"""The cost of a graph: minus its score, and for edges that may close cycles what those cost.

    f(A) = -Σ_i local(i, parents of i) + λ h(A),     h(A) = tr (I + A/p)^p - d

with d nodes and p the least power of two that is d or more. h counts the closed walks of each
length up to p, with positive weights: it is 0 where there is no cycle, and positive where there is
one (Yu, Chen, Gao and Yu, 2019, with p = d; powers of two take log p products).
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from relax.experiments.structure.latents import Edges, Ordering, bit_values


class TableCost:
    """f as a black box: the local scores are looked up, and b can only be hard.

    Args:
        latents: `latents.Edges` or `latents.Ordering`.
        table: local scores, [node, 2^(nodes - 1)], float64 (`scores.local_scores`).
        weight: λ; cycles cost nothing where the latents have none.
        dtype: of b.
    """

    def __init__(
        self, latents: Edges | Ordering, table: np.ndarray, weight: float, dtype: torch.dtype
    ) -> None:
        self.latents, self.weight = latents, 0.0 if latents.acyclic else weight
        d = latents.nodes
        self.table = torch.from_numpy(table).to(dtype).flatten()
        self.first = torch.arange(d) * 2 ** (d - 1)
        self.codes = torch.from_numpy(bit_values(d)).to(dtype).flatten(0, 1)
        self.set_weights = [weights.to(dtype) for weights in latents.set_weights()]
        self.identity = torch.eye(d, dtype=dtype)
        self.doublings = int(d - 1).bit_length()
        self.room: _Room | None = None

    def __call__(self, b: Tensor) -> Tensor:
        """f, [replica, batch, latent] -> [replica, batch], in nats a cell."""
        with torch.no_grad():
            f = self.looked_up(self.latents.parent_sets(b, *self.set_weights))
            return f.add_(self.cycles_of_bits(b), alpha=self.weight) if self.weight else f

    def look_up(self, graph: Tensor) -> Tensor:
        """f of hard matrices [replica, batch, parent, child], cycles or not, without λ h."""
        return self.looked_up(graph.flatten(-2) @ self.codes)

    def looked_up(self, sets: Tensor) -> Tensor:
        """Minus the score, of the numbers of every node's set of parents [replica, batch, node]."""
        return self.table.take(sets.long().add_(self.first)).sum(-1).neg_()

    def cycles(self, graph: Tensor) -> Tensor:
        """h of matrices [replica, batch, parent, child], hard or not: [replica, batch]."""
        power = torch.add(self.identity, graph.flatten(0, 1), alpha=2.0**-self.doublings)
        for _ in range(self.doublings - 1):
            power = power @ power
        return self.closed_walks(power).view(graph.shape[:2])

    def closed_walks(self, half: Tensor) -> Tensor:
        """h, of the last power but one: the trace of its square, without the product."""
        return (half * half.mT).sum((1, 2)) - self.latents.nodes

    def cycles_of_bits(self, b: Tensor) -> Tensor:
        """The same of hard bits [replica, batch, latent], to the last digit, in memory kept for it.

        For a hundred seeds new memory for each power would cost more than the product itself.
        """
        if self.room is None or self.room.shape != b.shape:
            self.room = _Room.of(self.latents, b)
        _, entries, power, spare = self.room
        torch.mul(b.unflatten(-1, entries.shape[-2:]), 2.0**-self.doublings, out=entries)
        for number in range(self.doublings - 1):
            power = torch.bmm(power, power, out=spare[number % 2])
        torch.mul(power, power.mT, out=(product := spare[(self.doublings - 1) % 2]))
        return product.sum((1, 2)).view(b.shape[:2]) - self.latents.nodes


class _Room(NamedTuple):
    """Memory for I + A/p and its powers."""

    shape: torch.Size  # of b
    entries: Tensor  # of the first, off the diagonal: a view, [replica, batch, node, node - 1]
    start: Tensor  # I + A/p, [replica * batch, node, node]
    spare: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, latents, b):
        d = latents.nodes
        start = torch.eye(d, dtype=b.dtype).repeat(b[..., 0].numel(), 1, 1)
        entries = latents.off_diagonal(start.view(*b.shape[:2], d * d))
        return cls(b.shape, entries, start, (torch.empty_like(start), torch.empty_like(start)))


class SoftCost(TableCost):
    """The same f at hard b, by the table; between them by least squares with soft masks.

    A parent's mask m_k in [0, 1] is a ridge of 1/m_k - 1 on its coefficient: none for 1, and for 0
    the coefficient is 0. With D = diag(1/m - 1) and the correlations R, node i's variance is

        Var_m(x_i) = 1 - R_iᵀ (R + D)⁻¹ R_i,

    for hard m that given its parents. A value that asks for a gradient gets f by this formula; any
    other is taken to be hard.

    Args:
        correlation: R, [node, node].
        price: of an edge, log(n)/(2n) for n rows.
    """

    def __init__(
        self,
        latents: Edges | Ordering,
        table: np.ndarray,
        weight: float,
        dtype: torch.dtype,
        correlation: np.ndarray,
        price: float,
    ) -> None:
        super().__init__(latents, table, weight, dtype)
        self.correlation, self.price = torch.from_numpy(correlation).to(dtype), price

    def __call__(self, b: Tensor) -> Tensor:
        return self.soft(self.latents.adjacency(b)) if b.requires_grad else super().__call__(b)

    def soft(self, graph: Tensor) -> Tensor:
        """f of matrices [replica, batch, parent, child] between 0 and 1, differentiable."""
        variances = _Variances.apply(graph.mT, self.correlation)
        f = 0.5 * torch.log(variances).sum(-1) + self.price * graph.sum((-2, -1))
        return f + self.weight * self.cycles(graph) if self.weight else f


class _Variances(Function):
    """Var_m(x_i), [..., child], of masks [..., child, parent]; twice differentiable in them.

    With the ridge regression's coefficients β = (R + D)⁻¹ R_i, e_k is what the residual x_i - βᵀx
    has in common with x_k, and β_k more: β_k = m_k e_k. Hence e = P⁻¹ R_i, P = I + (R - I) M. As
    m_i = 0, e_i is the variance itself, and ∂Var/∂m_k = βᵀ ∂D/∂m_k β = -β_k²/m_k² = -e_k².
    """

    @staticmethod
    def forward(ctx, mask, correlation):
        identity = torch.eye(len(correlation), dtype=mask.dtype)
        system = identity + (correlation - identity) * mask.unsqueeze(-2)  # P, one for each child
        factors = torch.linalg.lu_factor_ex(system)[:2]
        e = _solve(factors, correlation.expand_as(mask))
        ctx.save_for_backward(mask, correlation, e, *factors)
        return e.diagonal(dim1=-2, dim2=-1).clone()

    @staticmethod
    def backward(ctx, weight):
        mask, correlation, e, *factors = ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradient is to be differentiated
            e = _Shares.apply(mask, correlation, e, *factors)
        others = 1 - torch.eye(len(correlation), dtype=mask.dtype)
        return -weight.unsqueeze(-1) * e.square() * others, None


class _Shares(Function):
    """e, which is known, with its derivative in the masks: of Σ w·e it is -e ⊙ (R - I) P⁻ᵀ w."""

    @staticmethod
    def forward(ctx, mask, correlation, e, *factors):
        ctx.save_for_backward(correlation, e, *factors)
        return e.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, weight):
        correlation, e, *factors = ctx.saved_tensors
        back = _solve(factors, weight, adjoint=True)
        return (back - back @ correlation) * e, None, None, None, None


def _solve(factors, right, adjoint=False):
    return torch.linalg.lu_solve(*factors, right.unsqueeze(-1), adjoint=adjoint).squeeze(-1)
