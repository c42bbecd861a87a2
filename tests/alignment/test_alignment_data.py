"""The population: what it holds, what it refuses, how it is cut down."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.alignment import AlignmentData, AlignmentDataError
from pytest_eng5.errors import Eng5Error

GOOD: dict[str, Any] = {
    "ids": ["x", "y", "z"],
    "grades": ["A", "B", "B"],
    "grade_ranks": [0, 3, 3],
    "winners": ["x", "y", "x"],
    "losers": ["y", "z", "y"],
    "first": ["x", "z", "y"],
}


def build(**changes: Any) -> AlignmentData:
    return AlignmentData.build(**{**GOOD, **changes})


def test_names_become_positions() -> None:
    data = build()
    assert data.winners.tolist() == [0, 1, 0]
    assert data.losers.tolist() == [1, 2, 1]
    assert data.first.tolist() == [0, 2, 1]
    assert data.n_anchors == 3
    assert data.n_comparisons == 3


def test_columns_left_out_are_unknown_not_zero() -> None:
    data = build()
    assert all(math.isnan(value) for value in data.confidence)
    assert data.justification == (None, None, None)
    assert data.request_id == (None, None, None)


def test_columns_are_kept_in_order() -> None:
    data = build(confidence=[4.5, None, 1], justification=["clear", None, ""], request_id=["r1", "r2", None])
    assert data.confidence[0] == 4.5
    assert math.isnan(data.confidence[1])
    assert data.confidence[2] == 1.0
    assert data.justification == ("clear", None, "")
    assert data.request_id == ("r1", "r2", None)


def test_arrays_cannot_be_changed_afterwards() -> None:
    data = build()
    with pytest.raises(ValueError, match="read-only"):
        data.winners[0] = 2


def test_changing_what_was_passed_in_changes_nothing() -> None:
    winners = np.array([0, 1])
    data = AlignmentData(
        ("x", "y"),
        ("A", "B"),
        (0, 3),
        winners,
        np.array([1, 0]),
        winners,
        np.full(2, np.nan),
        (None,) * 2,
        (None,) * 2,
    )
    winners[0] = 1
    assert data.winners.tolist() == [0, 1]


def test_wins_count_every_occurrence() -> None:
    assert build().wins().tolist() == [[0, 2, 0], [0, 0, 1], [0, 0, 0]]


def test_outcomes_tell_the_position_of_the_winner() -> None:
    outcomes = build().outcomes()
    assert outcomes[0, 1].tolist() == [1, 1]  # x beat y once as essay A, once as essay B
    assert outcomes[1, 2].tolist() == [0, 1]  # y beat z as essay B
    assert outcomes.sum() == 3


def test_a_population_without_anything_is_allowed() -> None:
    data = build(ids=[], grades=[], grade_ranks=[], winners=[], losers=[], first=[])
    assert data.n_anchors == data.n_comparisons == 0
    assert data.outcomes().shape == (0, 0, 2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ids": ["x", "y"]}, ["2 ids", "3 grades"]),
        ({"grade_ranks": [0, 3]}, ["2 grade ranks"]),
        ({"ids": ["x", "y", "x"]}, ["'x'", "twice"]),
        ({"winners": ["x", "y", "w"]}, ["comparison 2", "winner 'w'", "3 anchors"]),
        ({"losers": ["y", "z", "student"]}, ["comparison 2", "loser 'student'"]),
        ({"first": ["x", "z", "q"]}, ["first 'q'"]),
        ({"losers": ["y", "z"]}, ["3 winners", "2 losers"]),
        ({"first": ["x"]}, ["3 winners", "1 first"]),
        ({"confidence": [1.0]}, ["1 confidence"]),
        ({"justification": ["a", "b"]}, ["2 justification"]),
        ({"request_id": ["a", "b", "c", "d"]}, ["4 request_id"]),
        ({"losers": ["x", "z", "y"]}, ["comparison 0", "'x' with itself"]),
        ({"first": ["z", "z", "y"]}, ["comparison 0", "essay A"]),
        ({"grades": [None, "B", "B"]}, ["'x'", "None", "rank 0"]),
        ({"grade_ranks": [-1, 3, 3]}, ["'x'", "-1"]),
        ({"grade_ranks": [0, 3, 4]}, ["'B'", "ranks 3 and 4"]),
        ({"grade_ranks": [0, 3, None]}, ["'B'", "ranks 3 and None"]),
        ({"grades": ["A", "9", "8"], "grade_ranks": [0, 0, 1]}, ["'A'", "'9'", "share rank 0"]),
        ({"grades": ["A", "7", "7"], "grade_ranks": [0, 2, 2]}, ["letters and digits", "7, A"]),
    ],
)
def test_contradictions_are_refused_and_named(changes: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(AlignmentDataError) as caught:
        build(**changes)
    for word in words:
        assert word in str(caught.value)


def test_the_error_belongs_to_the_family() -> None:
    assert issubclass(AlignmentDataError, Eng5Error)
    assert AlignmentDataError.exit_code == 2


@pytest.mark.parametrize("position", [-1, 3])
@pytest.mark.parametrize("column", ["winners", "losers"])
def test_positions_outside_the_anchors_are_refused(column: str, position: int) -> None:
    columns = {"winners": np.array([0]), "losers": np.array([1])}
    columns[column] = np.array([position])
    with pytest.raises(AlignmentDataError, match=column):
        AlignmentData(
            ("x", "y", "z"), ("A", "B", "B"), (0, 3, 3), columns["winners"], columns["losers"],
            columns["winners"], np.array([np.nan]), (None,), (None,),
        )  # fmt: skip


def test_spelling_of_a_grade_does_not_matter() -> None:
    assert build(grades=["a", "B", " b "]).grades == ("a", "B", " b ")


def test_a_grade_without_a_rank_is_unknown() -> None:
    data = build(grades=["A", "UNKNOWN", "UNKNOWN"], grade_ranks=[0, None, None])
    with pytest.raises(AlignmentDataError, match="y, z is unknown"):
        data.ranks()


def test_ranks_are_an_array_of_all_known_grades() -> None:
    assert build().ranks().tolist() == [0, 3, 3]


def test_select_keeps_only_comparisons_between_the_kept() -> None:
    data = build(request_id=["r0", "r1", "r2"], confidence=[1, 2, 3], justification=["a", "b", "c"])
    kept = data.select([1, 2])
    assert kept.ids == ("y", "z")
    assert kept.grades == ("B", "B")
    assert kept.winners.tolist() == [0]
    assert kept.losers.tolist() == [1]
    assert kept.first.tolist() == [1]
    assert kept.request_id == ("r1",)
    assert kept.confidence.tolist() == [2.0]
    assert kept.justification == ("b",)


def test_select_nothing_and_select_everything() -> None:
    assert build().select([]).n_comparisons == 0
    same = build().select(range(3))
    assert same.ids == build().ids
    assert same.winners.tolist() == build().winners.tolist()


@given(st.data())
def test_selecting_never_invents_and_keeps_the_counts_of_the_kept(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 6))
    pairs = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda p: p[0] != p[1])
    games = data.draw(st.lists(pairs, max_size=20))
    keep = data.draw(st.sets(st.integers(0, n - 1)))
    names = [f"a{k}" for k in range(n)]
    whole = AlignmentData.build(
        ids=names,
        grades=["A"] * n,
        grade_ranks=[0] * n,
        winners=[names[w] for w, _ in games],
        losers=[names[loser] for _, loser in games],
        first=[names[w] for w, _ in games],
    )
    part = whole.select(keep)
    for i in sorted(keep):
        for j in sorted(keep):
            expected = games.count((i, j))
            assert part.wins()[part.ids.index(f"a{i}"), part.ids.index(f"a{j}")] == expected
    assert part.n_comparisons == sum(w in keep and loser in keep for w, loser in games)
