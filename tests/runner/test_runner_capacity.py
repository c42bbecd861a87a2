"""Enough essays for a mode, enough comparisons for the essays."""

from __future__ import annotations

from itertools import combinations

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_eng5.runner import Capacity, comparison_shortages, essay_shortages

ANCHORS = "the inputs folder holds no anchors"
STUDENTS = "the inputs folder holds no students' essays"


@pytest.mark.parametrize(
    ("mode", "anchors", "students", "messages"),
    [
        ("plan", 0, 0, ["the inputs folder holds no essays"]),
        ("plan", 1, 0, []),
        ("plan", 0, 1, []),
        ("dry-run", 0, 0, [STUDENTS, ANCHORS]),
        ("dry-run", 1, 0, [STUDENTS]),
        ("dry-run", 0, 1, [ANCHORS]),
        ("dry-run", 1, 1, []),
        ("execute", 12, 0, [STUDENTS]),
        ("execute", 0, 12, ["the assignment has no anchors in the CJ service"]),
        ("execute", 1, 1, []),
        ("anchor-align-test", 0, 5, ["the inputs folder holds no anchors; a comparison needs 2"]),
        ("anchor-align-test", 1, 5, ["the inputs folder holds one anchor; a comparison needs 2"]),
        ("anchor-align-test", 2, 0, []),
    ],
)
def test_what_each_mode_needs(mode: str, anchors: int, students: int, messages: list[str]) -> None:
    found = essay_shortages(mode, Capacity(anchors, students))
    assert [shortage.message for shortage in found] == messages
    assert all(shortage.fix and shortage.refused for shortage in found)


def test_the_fix_of_missing_anchors_is_where_they_are_looked_for() -> None:
    (stored,) = essay_shortages("execute", Capacity(0, 1))
    (local,) = essay_shortages("dry-run", Capacity(0, 1))
    assert "register-anchors" in stored.fix
    assert "anchors/" in local.fix


def test_an_unknown_mode_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="unknown mode 'dance'"):
        essay_shortages("dance", Capacity(1, 1))


def test_alignment_compares_anchors_only() -> None:
    """R21: it needs no student file, and never uses one."""
    assert Capacity(12, 5).compared("anchor-align-test") == 12
    assert Capacity(12, 5).compared("execute") == 17


@pytest.mark.parametrize(
    ("essays", "comparisons", "refused", "words"),
    [
        (12, 5, True, "5 comparisons reach at most 10 of 12 essays"),
        (11, 5, True, "5 comparisons reach at most 10 of 11 essays"),
        (12, 6, False, "6 comparisons cannot connect 12 essays"),
        (12, 10, False, "10 comparisons cannot connect 12 essays"),
    ],
)
def test_too_few_comparisons(essays: int, comparisons: int, refused: bool, words: str) -> None:
    (found,) = comparison_shortages(essays, comparisons)
    assert found.message.startswith(words)
    assert found.refused is refused
    assert found.fix == (
        f"allow at least {essays - 1} comparisons; a full round-robin has {essays * (essays - 1) // 2}"
    )


@pytest.mark.parametrize(("essays", "comparisons"), [(12, 11), (12, 66), (12, 500), (2, 1), (1, 1), (0, 1)])
def test_enough_comparisons(essays: int, comparisons: int) -> None:
    """R20: 66 comparisons of 12 essays are all of them, not a reason to keep 9."""
    assert comparison_shortages(essays, comparisons) == ()


@settings(deadline=None, max_examples=80)
@given(st.integers(2, 5), st.integers(1, 6))
def test_the_bounds_are_those_of_graphs(essays: int, comparisons: int) -> None:
    """Every graph with so many edges: can one of them reach all essays, can one connect them?"""
    pairs = list(combinations(range(essays), 2))
    graphs = []
    for edges in combinations(pairs, min(comparisons, len(pairs))):
        graph = networkx.Graph(edges)
        graph.add_nodes_from(range(essays))
        graphs.append(graph)
    reaches = any(not list(networkx.isolates(graph)) for graph in graphs)
    connects = any(networkx.is_connected(graph) for graph in graphs)
    found = comparison_shortages(essays, comparisons)
    assert any(shortage.refused for shortage in found) is not reaches
    assert bool(found) is not connects
