"""The problems: the user's table or Sachs's, and random graphs; their scores and best graphs."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from relax.experiments.structure import graphs
from relax.experiments.structure.observations import (
    Observations,
    consensus,
    correlation_of,
    read_observations,
)
from relax.experiments.structure.optimum import best_graph
from relax.experiments.structure.scores import check_nodes, local_scores, score_of

DATA = "data"  # the problem that the configuration's file, or Sachs's table, is
RANDOM = "random"  # the others: this and the number of nodes


@dataclass(frozen=True)
class Problem:
    """A table of observations, its local scores, and the graph that it is compared with."""

    name: str
    observations: Observations
    reference: np.ndarray | None  # the truth of a random graph, Sachs's consensus, or None

    @property
    def nodes(self) -> int:
        return len(self.observations.names)

    @property
    def price(self) -> float:
        """What an edge costs, in nats a cell: log(n)/(2n) for n rows."""
        rows = self.observations.rows
        return float(np.log(rows) / (2 * rows))

    @cached_property
    def table(self) -> np.ndarray:
        """Local scores (`scores.local_scores`)."""
        return local_scores(self.observations.correlation, self.observations.rows)


def load_problem(name: str, file: str | None, transform: str) -> Problem:
    """The problem of this name: "data", or "random" and a number of nodes.

    Args:
        name: of the problem.
        file: the user's table; None: Sachs's.
        transform: of that table, before it is standardised.

    Raises:
        DataError: of the table (`observations.read_observations`), or too many nodes.
    """
    if name == DATA:
        found = read_observations(file, transform)
        check_nodes(len(found.names), "structure.file" if file else "the table")
        return Problem(name, found, consensus(found.names))
    nodes = int(name.removeprefix(RANDOM))
    check_nodes(nodes, "structure.random")
    truth = graphs.random_graph(nodes)
    names = [f"x{node + 1}" for node in range(nodes)]
    correlation = correlation_of(graphs.observe(truth))
    return Problem(name, Observations(names, graphs.ROWS, correlation), truth)


def problem_names(nodes: list[int]) -> list[str]:
    """Of the table and of random graphs with these numbers of nodes."""
    return [DATA, *(f"{RANDOM}{number}" for number in nodes)]


def known_graphs(problem: Problem) -> pd.DataFrame:
    """The best graph and the one that is compared with, edge by edge, and what they score.

    One row an edge; columns: problem, nodes, rows, graph ("best" or "reference"), score (nats a
    cell, above the graph without edges), acyclic, edges, parent, child (both empty in the one row
    of a graph without edges).
    """
    table = problem.table
    highest, best = best_graph(table)
    known = {"best": (highest, best)}
    if problem.reference is not None:
        known["reference"] = (score_of(table, problem.reference), problem.reference)
    rows = []
    for which, (score, graph) in known.items():
        shared = {
            "problem": problem.name,
            "nodes": problem.nodes,
            "rows": problem.observations.rows,
            "graph": which,
            "score": score,
            "acyclic": graphs.is_acyclic(graph),
            "edges": int(graph.sum()),
        }
        rows += [
            shared
            | {"parent": problem.observations.names[p], "child": problem.observations.names[c]}
            for p, c in np.argwhere(graph)
        ] or [shared | {"parent": None, "child": None}]
    return pd.DataFrame(rows)


def all_known_graphs(names: list[str], file: str | None, transform: str) -> pd.DataFrame:
    """`known_graphs` of every problem; all are looked at before any is computed on."""
    problems = [load_problem(name, file, transform) for name in names]
    return pd.concat([known_graphs(problem) for problem in problems], ignore_index=True)


def graph_of(known: pd.DataFrame, problem: str, which: str, names: list[str]) -> np.ndarray | None:
    """The matrix [parent, child] of one of the known graphs, or None where there is none."""
    rows = known[(known.problem == problem) & (known.graph == which)]
    if rows.empty:
        return None
    graph = np.zeros((len(names), len(names)), dtype=bool)
    for row in rows.dropna(subset=["parent"]).itertuples():
        graph[names.index(row.parent), names.index(row.child)] = True
    return graph
