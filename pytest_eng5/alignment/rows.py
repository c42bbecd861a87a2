"""Rows of the alignment report: one per anchor, one per inverted comparison."""

from __future__ import annotations

import math

import numpy as np

from pytest_eng5.alignment.agreement import TIE
from pytest_eng5.alignment.data import AlignmentData, FloatArray
from pytest_eng5.alignment.results import AnchorRow, InversionRow

__all__ = ["anchor_rows", "inversion_rows"]


def anchor_rows(
    data: AlignmentData, scored: AlignmentData, theta: FloatArray, standard_error: FloatArray
) -> tuple[AnchorRow, ...]:
    """One row per anchor of ``data``; those of ``scored`` with score and ranks, best first.

    Args:
        data: All anchors.
        scored: The anchors that are graded and compared.
        theta: Scores of ``scored``, shape (n,).
        standard_error: Their standard errors, shape (n,).
    """
    rows = _scored_rows(scored, theta, standard_error)
    order = sorted(rows, key=lambda row: (row.rank or 0, row.grade_rank or 0, row.id))
    known = {row.id for row in rows}
    others = [
        AnchorRow(anchor, grade, rank, None, None, None, None, None, None, 0, 0, 0, None)
        for anchor, grade, rank in zip(data.ids, data.grades, data.grade_ranks, strict=True)
        if anchor not in known
    ]
    return (*order, *sorted(others, key=lambda row: (row.grade_rank is None, row.grade_rank or 0, row.id)))


def _scored_rows(scored: AlignmentData, theta: FloatArray, standard_error: FloatArray) -> list[AnchorRow]:
    table = scored.wins()
    wins, losses = table.sum(axis=1).astype(int), table.sum(axis=0).astype(int)
    ranks = scored.ranks()
    better_score = (theta[None, :] > theta[:, None] + TIE).sum(axis=1)
    better_grade = (ranks[None, :] < ranks[:, None]).sum(axis=1)
    same_grade = (ranks[None, :] == ranks[:, None]).sum(axis=1)
    return [
        AnchorRow(
            id=scored.ids[i],
            grade=scored.grades[i],
            grade_rank=int(ranks[i]),
            theta=float(theta[i]),
            standard_error=float(standard_error[i]),
            rank=int(better_score[i]) + 1,
            expected_rank=float(better_grade[i] + (same_grade[i] + 1) / 2),
            expected_low=int(better_grade[i]) + 1,
            expected_high=int(better_grade[i] + same_grade[i]),
            wins=int(wins[i]),
            losses=int(losses[i]),
            comparisons=int(wins[i] + losses[i]),
            win_rate=float(wins[i] / (wins[i] + losses[i])),
        )
        for i in range(scored.n_anchors)
    ]


def inversion_rows(scored: AlignmentData) -> tuple[InversionRow, ...]:
    """Every comparison won by the lower grade, best grade first; grades must all be known."""
    ranks = scored.ranks()
    table = scored.wins()
    inverted = np.flatnonzero(ranks[scored.winners] > ranks[scored.losers])
    rows = [_inversion_row(scored, int(row), table) for row in inverted]
    grade_rank = dict(zip(scored.ids, scored.grade_ranks, strict=True))
    return tuple(
        sorted(
            rows,
            key=lambda row: (
                grade_rank[row.higher_id] or 0,
                row.higher_id,
                grade_rank[row.lower_id] or 0,
                row.lower_id,
                row.request_id or "",
            ),
        )
    )


def _inversion_row(scored: AlignmentData, row: int, table: FloatArray) -> InversionRow:
    winner, loser = int(scored.winners[row]), int(scored.losers[row])
    confidence = float(scored.confidence[row])
    return InversionRow(
        higher_id=scored.ids[loser],
        higher_grade=scored.grades[loser] or "",
        lower_id=scored.ids[winner],
        lower_grade=scored.grades[winner] or "",
        request_id=scored.request_id[row],
        confidence=None if math.isnan(confidence) else confidence,
        justification=scored.justification[row],
        winner_position="A" if scored.first[row] == winner else "B",
        lower_won=int(table[winner, loser]),
        pair_comparisons=int(table[winner, loser] + table[loser, winner]),
    )
