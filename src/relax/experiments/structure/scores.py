"""The score of a graph as a look-up: one table of local scores, a number a node and set of parents.

The Gaussian BIC (Schwarz, 1978; Geiger & Heckerman, 1994), a cell of the data, in nats:

    score(A) = Σ_i local(i, parents of i),    local(i, S) = -½ log Var(x_i | x_S) - log(n)/(2n) |S|

for n rows of standardised columns, so that the graph without an edge scores 0. With d nodes there
are d 2^(d-1) local scores. All come from the determinants of the correlations of every subset:
Var(x_i | x_S) = det R_{S∪i} / det R_S.
"""

import numpy as np

from relax.errors import DataError

MOST_BYTES = 2**27  # of a table of local scores: that of 20 nodes has 84 MB


def table_bytes(nodes: int) -> int:
    """How much memory the table for so many nodes takes."""
    return 8 * nodes * 2 ** (nodes - 1)


def most_nodes() -> int:
    """The most nodes whose table stays within `MOST_BYTES`."""
    return max(nodes for nodes in range(1, 64) if table_bytes(nodes) <= MOST_BYTES)


def check_nodes(nodes: int, where: str) -> None:
    """Raises DataError: the table for so many nodes would be too large; says how large."""
    if table_bytes(nodes) > MOST_BYTES:
        raise DataError(
            f"{where} has {nodes} nodes, and their table of {nodes} x 2^{nodes - 1} scores would "
            f"take {_readable(table_bytes(nodes))} of memory; at most {most_nodes()} nodes fit "
            f"({_readable(table_bytes(most_nodes()))})"
        )


def _readable(size):
    for unit in ("bytes", "kB", "MB", "GB", "TB", "PB", "EB"):
        if size < 1000 or unit == "EB":
            return f"{size:.3g} {unit}"
        size /= 1000


def log_determinants(correlation: np.ndarray) -> np.ndarray:
    """log det R_S of every subset S of the columns, [2^nodes]; bit j of the index is column j.

    Column by column, every subset of those before is kept with the Schur complement of the rest:
    a column enters (its variance given the subset is the pivot) or stays out. All in all it takes
    Σ_k 2^k (d - k)² < 6 · 2^d operations.
    """
    rest, found = correlation[None], np.zeros(1)
    for _ in range(len(correlation)):
        pivot, row = rest[:, 0, 0], rest[:, 0, 1:]
        out = rest[:, 1:, 1:]
        enters = out - row[:, :, None] * (row / pivot[:, None])[:, None, :]
        rest, found = np.concatenate([out, enters]), np.concatenate([found, found + np.log(pivot)])
    return found


def with_gap(index: np.ndarray, node: int) -> np.ndarray:
    """Subsets of the other nodes, numbered without a bit for this node, as subsets of all."""
    low = index & ((1 << node) - 1)
    return low | ((index ^ low) << 1)


def without_gap(subset: np.ndarray, node: int) -> np.ndarray:
    """The inverse of `with_gap`, for subsets that the node is not in."""
    low = subset & ((1 << node) - 1)
    return low | ((subset ^ low) >> 1)


def local_scores(correlation: np.ndarray, rows: int) -> np.ndarray:
    """The table, [node, 2^(nodes - 1)], in nats a cell; columns are numbered as in `without_gap`.

    Args:
        correlation: of the columns, [node, node], not singular.
        rows: n.
    """
    nodes = len(correlation)
    determinants = log_determinants(correlation)
    index = np.arange(2 ** (nodes - 1))
    price = np.log(rows) / (2 * rows) * np.bitwise_count(index)
    table = np.empty((nodes, len(index)))
    for node in range(nodes):
        parents = with_gap(index, node)
        gain = determinants[parents] - determinants[parents | (1 << node)]
        table[node] = 0.5 * gain - price
    return table


def score_of(table: np.ndarray, graph: np.ndarray) -> float:
    """The score of a graph, a matrix [parent, child] of bools; of one with cycles too."""
    nodes = len(table)
    codes = [int(sum(1 << int(p) for p in np.flatnonzero(graph[:, i]))) for i in range(nodes)]
    return float(sum(table[i, without_gap(np.int64(c), i)] for i, c in enumerate(codes)))
