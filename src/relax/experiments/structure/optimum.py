"""The best directed acyclic graph of all, by dynamic programming over subsets of nodes.

Silander & Myllymäki (2006). A graph without cycles has a sink; without it, it is the best graph of
the other nodes. So with best(i, S) the highest local score of node i over the subsets of S,

    B(S) = max_{i∈S} [ B(S \\ i) + best(i, S \\ i) ],    B(∅) = 0,

and B(all) is the optimum. It takes d 2^(d-1) steps for each of the two, and as many numbers.
"""

import numpy as np

from relax.experiments.structure.scores import with_gap, without_gap


def best_graph(table: np.ndarray) -> tuple[float, np.ndarray]:
    """The optimum, and a graph that has it: a matrix [parent, child] of bools.

    Several graphs may have the same score: the Gaussian BIC cannot tell the members of a Markov
    equivalence class apart.

    Args:
        table: local scores, [node, 2^(nodes - 1)], as `scores.local_scores` makes them.
    """
    nodes = len(table)
    best, which = zip(*(best_parents(row) for row in table), strict=True)
    highest = np.full(2**nodes, -np.inf)
    highest[0], sink = 0.0, np.zeros(2**nodes, dtype=np.int8)
    every = np.arange(2**nodes)
    size = np.bitwise_count(every)
    for layer in range(1, nodes + 1):
        subsets = every[size == layer]
        for node in range(nodes):
            own = subsets[subsets >> node & 1 == 1]
            rest = own ^ (1 << node)
            reached = highest[rest] + best[node][without_gap(rest, node)]
            better = reached > highest[own]
            highest[own[better]], sink[own[better]] = reached[better], node
    graph, left = np.zeros((nodes, nodes), dtype=bool), 2**nodes - 1
    while left:
        node = int(sink[left])
        left ^= 1 << node
        parents = int(with_gap(which[node][without_gap(np.int64(left), node)], node))
        graph[:, node] = [parents >> other & 1 for other in range(nodes)]
    return float(highest[-1]), graph


def best_parents(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every set the highest score of its subsets, and the subset that has it.

    Args:
        scores: of one node, by set of parents, [2^(nodes - 1)].
    """
    best, which = scores.copy(), np.arange(len(scores), dtype=np.int32)
    for bit in range(len(scores).bit_length() - 1):
        pairs, names = best.reshape(-1, 2, 1 << bit), which.reshape(-1, 2, 1 << bit)
        worse = pairs[:, 1] < pairs[:, 0]
        np.copyto(pairs[:, 1], pairs[:, 0], where=worse)
        np.copyto(names[:, 1], names[:, 0], where=worse)
    return best, which
