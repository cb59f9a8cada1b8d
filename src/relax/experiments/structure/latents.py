"""What the latents are: which edges there are, or an ordering and the edges that it allows.

Both turn b, [replica, batch, latent], into a matrix [replica, batch, parent, child], whose entries
are 0 or 1 for a hard b, and between them for a relaxed one.
"""

import numpy as np
import torch
from torch import Tensor

from relax.experiments.structure.graphs import topological_order
from relax.relaxations.bernoulli import BERNOULLI
from relax.relaxations.joint import Joint
from relax.relaxations.plackett_luce import PLACKETT_LUCE

SURE = 3.0  # the logit of what a graph says, where latents are set to it


def bit_values(nodes: int) -> np.ndarray:
    """What an edge adds to the number of its child's set of parents: [parent, child, child].

    A node's own bit is left out of that number (`scores.without_gap`).
    """
    parent, child = np.indices((nodes, nodes))
    values = np.where(parent == child, 0, 2.0 ** (parent - (parent > child)))
    return values[:, :, None] * np.eye(nodes)


class Edges:
    """A bit for each of the d (d - 1) directed edges, independent of each other; cycles may occur.

    Args:
        nodes: d.
    """

    name, acyclic = "edges", False

    def __init__(self, nodes: int) -> None:
        self.nodes, self.latents = nodes, nodes * (nodes - 1)
        self.relaxation = BERNOULLI

    def adjacency(self, b: Tensor) -> Tensor:
        """The bits, row by row, around an empty diagonal."""
        d = self.nodes
        graph = b.new_zeros(*b.shape[:-1], d * d)
        self.off_diagonal(graph)[:] = b.unflatten(-1, (d - 1, d))
        return graph.unflatten(-1, (d, d))

    def off_diagonal(self, graph: Tensor) -> Tensor:
        """A view [..., d - 1, d] of a matrix [..., d * d]: what is not on its diagonal, in turn."""
        # Between one entry of the diagonal and the next lie d others: d - 1 rows of d + 1, the
        # last of each on the diagonal, behind the first.
        d = self.nodes
        return graph[..., 1:].unflatten(-1, (d - 1, d + 1))[..., :d]

    def set_weights(self) -> tuple[Tensor, ...]:
        """What `parent_sets` multiplies by: 2^k of the edge whose parent is the child's k-th."""
        return (torch.from_numpy(bit_values(self.nodes)[~np.eye(self.nodes, dtype=bool)]),)

    def parent_sets(self, b: Tensor, values: Tensor) -> Tensor:
        """Of hard b the number of each node's set of parents, without the node's own bit.

        Args:
            b: [replica, batch, latent].
            values: `set_weights`, in b's type, in which all numbers are whole and exact.
        """
        return b @ values

    def start(self, probability: float) -> Tensor:
        """Logits [latent] with this probability of every edge."""
        return torch.full((self.latents,), probability, dtype=torch.float64).logit()

    def at(self, graph: np.ndarray) -> Tensor:
        """Logits [latent] that are `SURE` of a graph."""
        bits = graph[~np.eye(self.nodes, dtype=bool)]
        return SURE * (2 * torch.from_numpy(bits).double() - 1)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Of each edge, [..., latent] -> [..., parent, child]."""
        return self.adjacency(torch.sigmoid(logits))


class Ordering:
    """An ordering of the nodes and a bit for each pair: joined or not, the earlier is the parent.

    The d logits of a Plackett-Luce ordering come first, then those of the d (d - 1) / 2 pairs. No
    sample has a cycle.

    Args:
        nodes: d.
    """

    name, acyclic = "ordering", True

    def __init__(self, nodes: int) -> None:
        pairs = nodes * (nodes - 1) // 2
        self.nodes, self.latents = nodes, nodes + pairs
        self.relaxation = Joint((PLACKETT_LUCE, nodes), (BERNOULLI, pairs))
        self.pairs = torch.triu_indices(nodes, nodes, 1)
        place = torch.zeros(nodes, nodes, dtype=torch.long)
        place[*self.pairs] = torch.arange(nodes, nodes + pairs)
        self.place = (place + place.T).flatten()  # of a pair's bit among the latents
        self.others = 1 - torch.eye(nodes, dtype=torch.float64)

    def adjacency(self, b: Tensor) -> Tensor:
        """Bit of the pair, times whether the parent stands first.

        The latter is a smooth step in the difference of two places, 0 at -1 and below, 1 at 1 and
        above: exact for an ordering, and differentiable between orderings.
        """
        d = self.nodes
        places = b[..., :d]
        before = ((places.unsqueeze(-2) - places.unsqueeze(-1) + 1) / 2).clamp(0, 1)
        before = before * before * (3 - 2 * before) * self.others.to(b.dtype)
        return b[..., self.place].unflatten(-1, (d, d)) * before

    def set_weights(self) -> tuple[Tensor, ...]:
        """What `parent_sets` multiplies by, pair by pair.

        The difference of the pair's places, and the values of its edge to the first node and of
        that to the second, the latter with the former taken off.
        """
        values = torch.from_numpy(bit_values(self.nodes))
        first, second = self.pairs
        nodes = torch.eye(self.nodes, dtype=torch.float64)
        back = values[second, first]
        return (nodes[second] - nodes[first]).T, back, values[first, second] - back

    def parent_sets(self, b: Tensor, gaps: Tensor, back: Tensor, turn: Tensor) -> Tensor:
        """Of hard b the number of each node's set of parents, without the node's own bit.

        Args:
            b: [replica, batch, latent].
            gaps, back, turn: `set_weights`, in b's type, in which all numbers are whole and exact.
        """
        places, joined = b.split((self.nodes, len(back)), -1)
        forth = torch.sign(places @ gaps).clamp_(min=0).mul_(joined)
        return (joined @ back).add_(forth @ turn)

    def start(self, probability: float) -> Tensor:
        """Logits [latent] with this probability of every directed edge, in a random order."""
        bits = torch.full((len(self.pairs[0]),), min(2 * probability, 0.999), dtype=torch.float64)
        return torch.cat([torch.zeros(self.nodes, dtype=torch.float64), bits.logit()])

    def at(self, graph: np.ndarray) -> Tensor:
        """Logits [latent] that are `SURE` of a graph: of its pairs, and of one of its orderings."""
        joined = torch.from_numpy(graph | graph.T)[*self.pairs].double()
        order = torch.zeros(self.nodes, dtype=torch.float64)
        steps = SURE * (0.5 - torch.linspace(0, 1, self.nodes, dtype=torch.float64))
        order[topological_order(graph)] = steps * 2
        return torch.cat([order, SURE * (2 * joined - 1)])

    def probabilities(self, logits: Tensor) -> Tensor:
        """Of each edge, [..., latent] -> [..., parent, child]: the pair's, times σ(ℓ_j - ℓ_i)."""
        d = self.nodes
        own = logits[..., :d]
        first = torch.sigmoid(own.unsqueeze(-1) - own.unsqueeze(-2)) * self.others
        return torch.sigmoid(logits)[..., self.place].unflatten(-1, (d, d)) * first


LATENTS = {kind.name: kind for kind in (Edges, Ordering)}
