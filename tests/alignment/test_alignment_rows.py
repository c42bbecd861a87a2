"""Rows of the report: one per anchor, one per inverted comparison."""

from __future__ import annotations

import pytest

from pytest_eng5.alignment import (
    AlignmentData,
    AnchorRow,
    alignment_metrics,
)


class TestAnchorRows:
    def test_same_grades_share_their_expected_ranks(self, make, full_round) -> None:
        """Nothing among equals is right or wrong (defect R15)."""
        rows = alignment_metrics(make(["A", "B", "B", "C"], full_round(4)), bootstrap=0).anchors
        assert [(row.expected_low, row.expected_high) for row in rows] == [(1, 1), (2, 3), (2, 3), (4, 4)]
        assert [row.expected_rank for row in rows] == [1.0, 2.5, 2.5, 4.0]
        assert [row.misplaced_by for row in rows] == [0, 0, 0, 0]

    def test_misplaced(self, make) -> None:
        """The order of scores is E, A, C: E is two places too high, A and C one too low."""
        rows = alignment_metrics(make(["A", "C", "E"], [(2, 0), (2, 1), (0, 1)]), bootstrap=0).anchors
        assert [(row.grade, row.rank, row.misplaced_by) for row in rows] == [
            ("E", 1, -2),
            ("A", 2, 1),
            ("C", 3, 1),
        ]

    def test_equal_scores_share_a_rank(self, make) -> None:
        rows = alignment_metrics(make(["A", "B", "C"], [(0, 1), (1, 2), (2, 0)]), bootstrap=0).anchors
        assert [row.rank for row in rows] == [1, 1, 1]
        rows = alignment_metrics(make(["A", "B", "C"], [(0, 1), (0, 2), (1, 2), (2, 1)]), bootstrap=0).anchors
        assert [row.rank for row in rows] == [1, 2, 2]

    def test_counts_and_errors(self, make) -> None:
        data = make(["A", "B", None], [(0, 1), (0, 1), (1, 0), (2, 0)])
        first, second, unknown = alignment_metrics(data, bootstrap=0).anchors
        assert (first.wins, first.losses, first.comparisons) == (2, 1, 3)  # not the one against None
        assert first.win_rate == pytest.approx(2 / 3)
        assert first.standard_error == pytest.approx(second.standard_error)
        assert unknown.grade_rank is None
        assert unknown.comparisons == 0

    def test_best_first_and_those_without_a_score_last(self, make) -> None:
        data = make([None, "C", "F+", "A", "B"], [(4, 3)])
        rows = alignment_metrics(data, bootstrap=0).anchors
        assert [row.grade for row in rows] == ["B", "A", "C", "F+", None]

    def test_a_row_without_rank_is_not_misplaced(self) -> None:
        row = AnchorRow("x", None, None, None, None, None, None, None, None, 0, 0, 0, None)
        assert row.misplaced_by == 0


class TestInversionRows:
    def test_every_occurrence_has_a_row(self, make) -> None:
        data = make(["A", "C"], [(1, 0, "A"), (0, 1, "B"), (1, 0, "B")])
        rows = alignment_metrics(data, bootstrap=0).inversions
        assert [(row.request_id, row.winner_position) for row in rows] == [
            ("request-0", "A"),
            ("request-2", "B"),
        ]
        assert {(row.lower_won, row.pair_comparisons) for row in rows} == {(2, 3)}

    def test_what_the_judge_said_is_kept(self) -> None:
        data = AlignmentData.build(
            ids=["good", "poor"],
            grades=["A", "E"],
            grade_ranks=[0, 12],
            winners=["poor", "poor"],
            losers=["good", "good"],
            first=["poor", "good"],
            confidence=[3.5, None],
            justification=["longer", None],
            request_id=["r1", None],
        )
        without, told = alignment_metrics(data, bootstrap=0).inversions
        assert (told.confidence, told.justification, told.request_id) == (3.5, "longer", "r1")
        assert (without.confidence, without.justification, without.request_id) == (None, None, None)
        assert (told.higher_id, told.higher_grade, told.lower_id, told.lower_grade) == (
            "good",
            "A",
            "poor",
            "E",
        )

    def test_best_grade_first(self, make) -> None:
        data = make(["C", "A", "E"], [(2, 0), (0, 1), (2, 1)])
        rows = alignment_metrics(data, bootstrap=0).inversions
        assert [(row.higher_grade, row.lower_grade) for row in rows] == [("A", "C"), ("A", "E"), ("C", "E")]
