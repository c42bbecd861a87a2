"""Coverage and connectedness, against networkx."""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.alignment import connected, coverage
from pytest_eng5.alignment.graph import closes_circle, component_means, reachable


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    n = draw(st.integers(1, 12))
    node = st.integers(0, n - 1)
    edges = draw(st.lists(st.tuples(node, node).filter(lambda e: e[0] != e[1]), max_size=20))
    return n, edges if n > 1 else []


def games_of(n: int, edges: list[tuple[int, int]]) -> np.ndarray:
    games = np.zeros((n, n))
    for i, j in edges:
        games[i, j] += 1
        games[j, i] += 1
    return games


def as_graph(n: int, edges: list[tuple[int, int]]) -> nx.Graph:
    graph = nx.Graph(edges)
    graph.add_nodes_from(range(n))
    return graph


@given(graphs())
def test_circles(graph: tuple[int, list[tuple[int, int]]]) -> None:
    n, edges = graph
    assert closes_circle(games_of(n, edges)) == (not nx.is_forest(as_graph(n, edges)))


@given(graphs())
def test_connected(graph: tuple[int, list[tuple[int, int]]]) -> None:
    assert bool(connected(games_of(*graph))) == nx.is_connected(as_graph(*graph))


@given(graphs())
def test_reachable(graph: tuple[int, list[tuple[int, int]]]) -> None:
    found = reachable(games_of(*graph))
    for component in nx.connected_components(as_graph(*graph)):
        for node in component:
            assert set(np.flatnonzero(found[node])) == component


@given(graphs())
def test_component_means_average_within_components(graph: tuple[int, list[tuple[int, int]]]) -> None:
    n, _ = graph
    values = np.arange(n, dtype=float) ** 2
    averaged = component_means(games_of(*graph)) @ values
    for component in nx.connected_components(as_graph(*graph)):
        nodes = sorted(component)
        assert averaged[nodes] == pytest.approx(values[nodes].mean())


@given(graphs())
def test_coverage_counts_each_pair_once(graph: tuple[int, list[tuple[int, int]]]) -> None:
    n, edges = graph
    found = coverage(games_of(n, edges))
    if n < 2:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(as_graph(n, edges).number_of_edges() / math.comb(n, 2))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 9, 16, 17, 33, 64, 65])
def test_the_longest_path_is_followed_to_its_end(n: int) -> None:
    path = [(k, k + 1) for k in range(n - 1)]
    assert bool(connected(games_of(n, path)))
    assert not bool(connected(games_of(n + 1, path)))


def test_one_answer_per_row_of_a_batch() -> None:
    rng = np.random.default_rng(0)
    upper = np.triu(rng.random((100, 6, 6)) < 0.25, 1).astype(float)
    games = upper + upper.swapaxes(-1, -2)
    expected = [nx.is_connected(nx.from_numpy_array(one)) for one in games]
    assert connected(games).tolist() == expected
    assert 0 < sum(expected) < 100  # both answers occur


def test_nothing_is_not_connected() -> None:
    assert not bool(connected(np.zeros((0, 0))))
    assert math.isnan(coverage(np.zeros((0, 0))))
