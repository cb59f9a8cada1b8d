"""The soft cost at hard bits, with its slope: both looked up.

At hard masks the slope of a node's score in its parents' masks depends on the set of parents alone,
as the score does. So it can be tabled too, a number for each node, set of parents and other node,
and what needs ∇f at hard b alone, as the straight-through family does, solves no linear system.
"""

import numpy as np
import torch
from torch import Tensor

from relax.experiments.structure.cost import SoftCost
from relax.experiments.structure.latents import Edges, Ordering
from relax.experiments.structure.scores import with_gap

MOST_NODES = 14  # whose slopes are tabled: 13 MB in float32


class SlopeTable(SoftCost):
    """`SoftCost` of edges, of not too many nodes, that knows its slopes at hard bits."""

    def __init__(
        self,
        latents: Edges | Ordering,
        table: np.ndarray,
        weight: float,
        dtype: torch.dtype,
        correlation: np.ndarray,
        price: float,
    ) -> None:
        super().__init__(latents, table, weight, dtype, correlation, price)
        slopes = score_slopes(correlation, price)
        self.slopes = torch.from_numpy(slopes).to(dtype).flatten(0, 1)

    @classmethod
    def fits(cls, latents: Edges | Ordering) -> bool:
        """Whether there is such a table: for edges, and not too many nodes."""
        return isinstance(latents, Edges) and latents.nodes <= MOST_NODES

    @torch.no_grad()
    def hard_gradient(self, b: Tensor) -> tuple[Tensor, Tensor]:
        """f(b) and ∂f/∂b of hard bits: [replica, batch], [replica, batch, latent].

        Of h(A) = tr M^p - d with M = I + A/p the slope is (M^{p-1})ᵀ, and p - 1 = 1 + 2 + 4 + ...
        """
        latents, d = self.latents, self.latents.nodes
        sets = latents.parent_sets(b, *self.set_weights)
        f = self.looked_up(sets)
        places = sets.long().add_(self.first).flatten()
        slope = self.slopes.index_select(0, places).view(-1, d, d)  # [..., child, parent]
        if self.weight:
            graph = latents.adjacency(b).flatten(0, 1)
            power = total = torch.add(self.identity, graph, alpha=2.0**-self.doublings)
            for _ in range(self.doublings - 1):
                power = torch.bmm(power, power)
                total = torch.bmm(total, power)
            f.add_(self.closed_walks(power).view_as(f), alpha=self.weight)
            slope.add_(total, alpha=self.weight)
        slope = latents.off_diagonal(slope.mT.reshape(*b.shape[:2], d * d))
        return f, slope.flatten(-2)


def score_slopes(correlation: np.ndarray, price: float) -> np.ndarray:
    """∂(-score)/∂m_k of each node at hard masks: [node, 2^(nodes - 1), k], nats a cell.

    With e of `cost._Variances` it is -½ e_k²/Var(x_i | parents) + price, and 0 for the node itself.

    Args:
        correlation: R, [node, node].
        price: of an edge.
    """
    nodes = len(correlation)
    index, identity = np.arange(2 ** (nodes - 1)), np.eye(nodes)
    slopes = np.empty((nodes, len(index), nodes))
    for node in range(nodes):
        masks = with_gap(index, node)[:, None] >> np.arange(nodes) & 1
        systems = identity + (correlation - identity) * masks[:, None, :]
        e = np.linalg.solve(systems, correlation[node][:, None])[..., 0]
        slopes[node] = price - 0.5 * e**2 / e[:, [node]]
        slopes[node, :, node] = 0
    return slopes
