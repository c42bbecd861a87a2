"""Scores of a run, re-derived from its captured comparisons."""

from __future__ import annotations

import math
from collections import Counter

from pytest_eng5.alignment import BradleyTerryFit, fit_bradley_terry
from pytest_eng5.contracts import EssayResultV1
from pytest_eng5.evidence import BtEntry, RunEvidence

__all__ = ["reported_results", "score_run"]


def score_run(evidence: RunEvidence) -> tuple[BtEntry, ...]:
    """Bradley-Terry scores of all essays of a run, best first; empty without comparisons.

    All essays of the plan take part in the fit, as they do in the pipeline (contract 8.1), and θ has mean 0
    over all of them. Only essays that were compared get an entry: the θ of another one would come from the
    regularisation alone and has no standard error. Equal scores keep the order of the plan.
    """
    essays = evidence.plan.essays
    index = {essay.essay_id: position for position, essay in enumerate(essays)}
    winners = [index[event.comparison.winner_id or ""] for event in evidence.succeeded]
    losers = [index[event.comparison.loser_id or ""] for event in evidence.succeeded]
    if not winners:
        return ()
    fit = fit_bradley_terry(len(essays), winners, losers)
    counts = Counter(winners) + Counter(losers)
    order = sorted(counts, key=lambda position: (-fit.theta[position], position))
    reported = reported_results(evidence)
    return tuple(
        _entry(evidence, position, rank, fit, counts[position], reported)
        for rank, position in enumerate(order, start=1)
    )


def reported_results(evidence: RunEvidence) -> dict[str, EssayResultV1]:
    """What the first rich result says, by essay id."""
    if not evidence.results:
        return {}
    return {row.essay_id: row for row in evidence.results[0].result.essay_results}


def _entry(
    evidence: RunEvidence,
    position: int,
    rank: int,
    fit: BradleyTerryFit,
    count: int,
    reported: dict[str, EssayResultV1],
) -> BtEntry:
    essay = evidence.plan.essays[position]
    row = reported.get(essay.essay_id)
    score = row.bt_score if row is not None and math.isfinite(row.bt_score) else None
    return BtEntry(
        essay_id=essay.essay_id,
        theta=float(fit.theta[position]),
        standard_error=float(fit.standard_error[position]),
        rank=rank,
        comparison_count=count,
        is_anchor=essay.is_anchor,
        anchor_id=essay.local_id if essay.is_anchor else None,
        anchor_grade=essay.grade if essay.is_anchor else None,
        grade_projection=row.letter_grade if row is not None and not essay.is_anchor else None,
        reported_score=score,
        reported_rank=row.rank if row is not None else None,
    )
