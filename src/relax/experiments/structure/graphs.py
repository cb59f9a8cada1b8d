"""Graphs as matrices [..., parent, child] of bools: drawn at random, learned, compared."""

import numpy as np

from relax.numerics.streams import generator

ROWS = 1000  # observations drawn of a random graph
PARENTS = 1.5  # a node's expected number of parents in a random graph
WEIGHTS = (0.5, 1.0)  # least and greatest size of an edge's weight; the sign is drawn


def random_graph(nodes: int) -> np.ndarray:
    """A directed acyclic graph, always the same for this number of nodes.

    An ordering is drawn, and of the pairs that it allows each is an edge with one probability, so
    that a node has `PARENTS` parents on average.
    """
    draw = generator(0, "graph", nodes)
    order = draw.permutation(nodes)
    share = min(1.0, PARENTS * 2 / (nodes - 1))
    graph = np.zeros((nodes, nodes), dtype=bool)
    graph[np.ix_(order, order)] = np.triu(draw.random((nodes, nodes)) < share, 1)
    return graph


def observe(graph: np.ndarray, rows: int = ROWS) -> np.ndarray:
    """Observations [row, node] of a linear Gaussian model on a graph without cycles.

    Each node is the weighted sum of its parents and standard normal noise.
    """
    nodes = len(graph)
    draw = generator(0, "graph", 2**20 + nodes)
    weights = draw.uniform(*WEIGHTS, graph.shape) * draw.choice([-1, 1], graph.shape) * graph
    return draw.standard_normal((rows, nodes)) @ np.linalg.inv(np.eye(nodes) - weights)


def is_acyclic(graph: np.ndarray) -> bool:
    """Whether it has no directed cycle."""
    return topological_order(graph) is not None


def topological_order(graph: np.ndarray) -> list[int] | None:
    """The nodes with every parent before its children, or None where there is a cycle."""
    left, order = list(range(len(graph))), []
    while left:
        first = next((node for node in left if not graph[left, node].any()), None)
        if first is None:
            return None
        left.remove(first)
        order.append(first)
    return order


def learned_graphs(probabilities: np.ndarray) -> np.ndarray:
    """Of edge probabilities [..., parent, child] the graphs that they stand for, without cycles.

    The edges of a probability above one half, the most probable first; one that would close a cycle
    is left out.
    """
    shape, nodes = probabilities.shape, probabilities.shape[-1]
    wanted = probabilities.reshape(-1, nodes * nodes)
    order = np.argsort(-wanted, axis=1, kind="stable")
    runs = np.arange(len(wanted))
    graphs = np.zeros((len(wanted), nodes, nodes), dtype=bool)
    reaches = np.broadcast_to(np.eye(nodes, dtype=bool), graphs.shape).copy()
    for place in range(int((wanted > 0.5).sum(1).max(initial=0))):
        parent, child = np.divmod(order[:, place], nodes)
        chosen = wanted[runs, order[:, place]] > 0.5
        chosen &= ~reaches[runs, child, parent]
        graphs[runs, parent, child] |= chosen
        # Whatever reached the parent now reaches what the child reaches.
        new = reaches[runs, :, parent][:, :, None] & reaches[runs, child][:, None, :]
        reaches |= new & chosen[:, None, None]
    return graphs.reshape(shape)


def hamming_distance(graph: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Structural Hamming distance: pairs of nodes whose edge differs; a reversed edge is one.

    Tsamardinos, Brown and Aliferis (2006), of directed graphs; leading axes are kept.
    """
    differs = graph != other
    return np.triu(differs | np.swapaxes(differs, -1, -2), 1).sum((-2, -1))


def skeleton_distance(graph: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Pairs of nodes that are joined in one of the two alone, whatever the direction."""
    first, second = (g | np.swapaxes(g, -1, -2) for g in (graph, other))
    return np.triu(first != second, 1).sum((-2, -1))
