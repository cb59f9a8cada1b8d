"""Graph structure learning: scores, the exact optimum, costs, graphs; all against plain code."""

import itertools
import time

import numpy as np
import pytest
import torch

from relax.estimators.samples import value_and_gradient
from relax.experiments.structure import graphs
from relax.experiments.structure.cost import SoftCost, TableCost
from relax.experiments.structure.latents import LATENTS, Edges, Ordering
from relax.experiments.structure.observations import consensus, correlation_of, read_observations
from relax.experiments.structure.optimum import best_graph
from relax.experiments.structure.problem import (
    all_known_graphs,
    graph_of,
    load_problem,
    problem_names,
)
from relax.experiments.structure.scores import (
    local_scores,
    log_determinants,
    score_of,
    with_gap,
    without_gap,
)
from relax.experiments.structure.slopes import SlopeTable
from relax.experiments.structure.training import StructureSettings
from relax.numerics.streams import generator
from relax.surrogates.base import SurrogateSpec

ROWS = 200


def correlation(nodes, seed=0):
    draw = generator(seed, "split", nodes)
    mixed = draw.standard_normal((ROWS, nodes)) @ draw.standard_normal((nodes, nodes))
    return correlation_of(mixed)


def plain_local(R, node, parents):
    """By a regression: half the log of what the parents leave of the variance, and the price."""
    left = 1.0
    if parents:
        left -= R[node, parents] @ np.linalg.solve(R[np.ix_(parents, parents)], R[parents, node])
    return -0.5 * np.log(left) - np.log(ROWS) / (2 * ROWS) * len(parents)


def every_graph(nodes):
    pairs = [(i, j) for i in range(nodes) for j in range(nodes) if i != j]
    for bits in itertools.product((False, True), repeat=len(pairs)):
        graph = np.zeros((nodes, nodes), dtype=bool)
        graph[tuple(np.transpose(pairs))] = bits
        yield graph


def test_determinants_of_every_subset():
    R = correlation(5)
    found = log_determinants(R)
    for subset in range(2**5):
        own = [node for node in range(5) if subset >> node & 1]
        assert found[subset] == pytest.approx(np.linalg.slogdet(R[np.ix_(own, own)])[1], abs=1e-10)


def test_local_scores_are_those_of_regressions():
    """Of every node and set of parents; the numbering leaves out the node's own bit."""
    R = correlation(5)
    table = local_scores(R, ROWS)
    assert table.shape == (5, 16)
    for node in range(5):
        for index in range(16):
            subset = int(with_gap(np.int64(index), node))
            assert not subset >> node & 1
            assert without_gap(np.int64(subset), node) == index
            parents = [other for other in range(5) if subset >> other & 1]
            assert table[node, index] == pytest.approx(plain_local(R, node, parents), abs=1e-10)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_optimum_is_that_of_all_graphs(seed):
    """All 4096 graphs of four nodes, of which 543 have no cycle."""
    table = local_scores(correlation(4, seed), ROWS)
    acyclic = [graph for graph in every_graph(4) if graphs.is_acyclic(graph)]
    assert len(acyclic) == 543
    highest = max(score_of(table, graph) for graph in acyclic)
    found, graph = best_graph(table)
    assert found == pytest.approx(highest, abs=1e-12)
    assert graphs.is_acyclic(graph)
    assert score_of(table, graph) == pytest.approx(found, abs=1e-12)


def test_the_optimum_on_the_proteins():
    """1.2262 nats a cell above the graph without edges, in less than a second."""
    data = read_observations(None)
    assert (data.rows, len(data.names)) == (853, 11)
    started = time.process_time()
    table = local_scores(data.correlation, data.rows)
    found, graph = best_graph(table)
    assert time.process_time() - started < 1
    assert f"{found:.4f}" == "1.2262"
    assert abs(score_of(table, np.zeros_like(graph))) < 1e-12
    known = consensus(data.names)
    assert known.sum() == 17
    assert score_of(table, known) < found


@pytest.mark.parametrize("kind", LATENTS)
def test_the_table_cost_is_the_score(kind):
    """Of random samples; edges pay for their cycles as well, and only for those."""
    R = correlation(6)
    table, latents = local_scores(R, ROWS), LATENTS[kind](6)
    cost = TableCost(latents, table, 0.7, torch.float64)
    u = torch.from_numpy(generator(0, "split", 9).random((1, 60, latents.latents)))
    b = latents.relaxation.hard_sample(latents.start(0.25).expand_as(u), u)
    cyclic = 0
    for matrix, value in zip(latents.adjacency(b)[0].numpy(), cost(b)[0], strict=True):
        graph = matrix == 1
        assert ((matrix == 0) | graph).all()
        walks = np.trace(np.linalg.matrix_power(np.eye(6) + matrix / 8, 8)) - 6
        assert (walks > 1e-9) != graphs.is_acyclic(graph)
        cyclic += not graphs.is_acyclic(graph)
        expected = -score_of(table, graph) + (0.7 * walks if kind == "edges" else 0)
        assert value.item() == pytest.approx(expected, abs=1e-9)
    assert (cyclic > 5) == (kind == "edges")


@pytest.mark.parametrize("nodes", [2, 3, 6, 9])
@pytest.mark.parametrize("kind", LATENTS)
def test_the_cost_of_bits_is_that_of_their_matrices(kind, nodes):
    """To the last digit, call after call: the memory that is kept for the powers keeps no graph."""
    latents = LATENTS[kind](nodes)
    cost = TableCost(latents, local_scores(correlation(nodes), ROWS), 0.7, torch.float32)
    draw = generator(0, "split", 10)
    for shape in ((2, 3), (2, 3), (1, 8)):
        u = torch.from_numpy(draw.random((*shape, latents.latents), dtype=np.float32))
        b = latents.relaxation.hard_sample(latents.start(0.4).float().expand_as(u), u)
        graph = latents.adjacency(b)
        expected = cost.look_up(graph)
        if not latents.acyclic:
            expected = expected.add(cost.cycles(graph), alpha=0.7)
        assert torch.equal(cost(b), expected)


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_the_table_of_slopes_is_the_soft_costs_slope(weight):
    """At hard bits, with and without cycles that pay; the bits one by one."""
    R, latents = correlation(5), Edges(5)
    price = np.log(ROWS) / (2 * ROWS)
    arguments = (latents, local_scores(R, ROWS), weight, torch.float64, R, price)
    tabled, soft = SlopeTable(*arguments), SoftCost(*arguments)
    u = torch.from_numpy(generator(0, "split", 11).random((2, 30, latents.latents)))
    b = latents.relaxation.hard_sample(latents.start(0.3).expand_as(u), u).requires_grad_()
    f, slope = value_and_gradient(tabled, b)
    expected = soft(b)
    torch.testing.assert_close(f, expected.detach())
    torch.testing.assert_close(slope, torch.autograd.grad(expected.sum(), b)[0])
    assert SlopeTable.fits(latents)
    assert not SlopeTable.fits(Ordering(5))
    assert not SlopeTable.fits(Edges(20))


@pytest.mark.parametrize("kind", LATENTS)
def test_the_soft_cost(kind):
    """Equal to the table's at hard values, a ridge regression between, twice differentiable."""
    R = correlation(4)
    table, latents = local_scores(R, ROWS), LATENTS[kind](4)
    price = np.log(ROWS) / (2 * ROWS)
    soft = SoftCost(latents, table, 0.7, torch.float64, R, price)
    u = torch.from_numpy(generator(0, "split", 8).random((2, 9, latents.latents)))
    b = latents.relaxation.hard_sample(latents.start(0.3).expand_as(u), u)
    torch.testing.assert_close(soft(b.clone().requires_grad_()), soft(b))
    y = (0.1 + 0.8 * u[:1, :2]).requires_grad_()
    assert torch.autograd.gradcheck(soft, y)
    assert torch.autograd.gradgradcheck(soft, y)
    mask = latents.adjacency(y.detach())[0, 0].numpy()
    expected = price * mask.sum()
    for node in range(4):
        others = [other for other in range(4) if other != node and mask[other, node] > 0]
        ridge = R[np.ix_(others, others)] + np.diag(1 / mask[others, node] - 1)
        explained = R[node, others] @ np.linalg.solve(ridge, R[others, node])
        expected += 0.5 * np.log(1 - explained)
    if kind == "edges":
        expected += 0.7 * (np.trace(np.linalg.matrix_power(np.eye(4) + mask / 4, 4)) - 4)
    assert soft(y)[0, 0].item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("kind", LATENTS)
def test_logits_that_are_sure_of_a_graph(kind):
    """The graph that they stand for is that one; probabilities are those of samples."""
    graph = graphs.random_graph(6)
    latents = LATENTS[kind](6)
    logits = latents.at(graph)
    assert logits.shape == (latents.latents,)
    chances = latents.probabilities(logits)
    assert (graphs.learned_graphs(chances.numpy()) == graph).all()
    u = torch.from_numpy(generator(0, "split", 7).random((1, 20_000, latents.latents)))
    b = latents.relaxation.hard_sample((logits / 3).expand_as(u), u)
    drawn = latents.adjacency(b)[0].mean(0)
    # 36 shares of 20,000 samples: six standard errors
    assert (drawn - latents.probabilities(logits / 3)).abs().max() < 6 * 0.5 / 20_000**0.5
    start = latents.probabilities(latents.start(0.1))
    assert start[0, 1].item() == pytest.approx(0.1)
    assert start.diagonal().abs().max() == 0


def test_learned_graphs_have_no_cycle():
    """The most probable edges stay; an edge of at most one half never comes in."""
    chances = generator(0, "split", 6).random((50, 7, 7)) * (1 - np.eye(7))
    learned = graphs.learned_graphs(chances)
    assert all(graphs.is_acyclic(graph) for graph in learned)
    assert not learned[chances <= 0.5].any()
    assert not graphs.is_acyclic(chances[0] > 0.5)  # they are not so by themselves
    circle = np.array([[0, 0.9, 0], [0, 0, 0.8], [0.7, 0, 0]])
    assert np.argwhere(graphs.learned_graphs(circle)).tolist() == [[0, 1], [1, 2]]


def test_distances():
    """A reversed edge is one difference, and none of the skeleton's."""
    graph = np.zeros((4, 4), dtype=bool)
    graph[0, 1] = graph[1, 2] = True
    other = graph.copy()
    other[0, 1], other[1, 0], other[2, 3] = False, True, True
    assert graphs.hamming_distance(graph, other) == 2
    assert graphs.skeleton_distance(graph, other) == 1
    assert graphs.hamming_distance(np.stack([graph, other]), graph).tolist() == [0, 2]


@pytest.mark.parametrize("nodes", [5, 20])
def test_random_graphs(nodes):
    """Acyclic, always the same; their observations have the correlations of the model."""
    graph = graphs.random_graph(nodes)
    assert graphs.is_acyclic(graph)
    assert (graph == graphs.random_graph(nodes)).all()
    assert 0.5 * graphs.PARENTS * nodes < graph.sum() < 2 * graphs.PARENTS * nodes
    values = graphs.observe(graph, 2000)
    table = local_scores(correlation_of(values), 2000) if nodes == 5 else None
    if table is not None:
        assert score_of(table, graph) > score_of(table, graph & False) + 0.5
        assert score_of(table, graph) <= best_graph(table)[0] + 1e-12


SPEC = SurrogateSpec(hidden=(6,), samples=8, dtype=torch.float32)
KNOWN = {"data": ["edges", "ordering"], "random4": ["edges"]}


def settings(name, seeds=range(2), problems=KNOWN, **more):
    chosen = {"evaluations": 400, "random_evaluations": 400, "measurements": 4, "spec": SPEC} | more
    return StructureSettings(estimator=name, seeds=seeds, problems=problems, **chosen)


@pytest.fixture(scope="module")
def known():
    return all_known_graphs(["data", "random4"], None, "log")


def test_known_graphs_come_back(known):
    """From the table of their edges; the truth of a random graph is among them."""
    assert problem_names([4]) == ["data", "random4"]
    problem = load_problem("random4", None, "log")
    found = graph_of(known, "random4", "reference", problem.observations.names)
    assert (found == graphs.random_graph(4)).all()
    assert graph_of(known, "random5", "best", ["a"]) is None
