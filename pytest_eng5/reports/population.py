"""From recorded runs to the population that alignment figures are computed from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_eng5.alignment import AlignmentData
from pytest_eng5.contracts import LLMComparisonResultV1, grade_rank
from pytest_eng5.evidence import PlannedEssay, RunEvidence

__all__ = ["population"]


def population(evidence: RunEvidence | Sequence[RunEvidence]) -> AlignmentData:
    """Anchors of the plan and the comparisons between them that succeeded.

    Every request id counts once. Anchors carry the user's own ids, so the runs of a variant that was repeated
    are pooled. A grade that no scale knows stays unknown.

    Args:
        evidence: One run, or several of the same anchors.

    Raises:
        AlignmentDataError: The runs contradict each other, or the plan contradicts itself.
    """
    runs = [evidence] if isinstance(evidence, RunEvidence) else list(evidence)
    anchors = _anchors(runs)
    rows = [row for run in runs for row in _comparisons(run)]
    return AlignmentData.build(
        ids=[anchor.local_id for anchor in anchors],
        grades=[anchor.grade for anchor in anchors],
        grade_ranks=[None if anchor.grade is None else grade_rank(anchor.grade) for anchor in anchors],
        winners=[winner for winner, _, _, _ in rows],
        losers=[loser for _, loser, _, _ in rows],
        first=[first for _, _, first, _ in rows],
        confidence=[data.confidence for _, _, _, data in rows],
        justification=[data.justification for _, _, _, data in rows],
        request_id=[data.request_id for _, _, _, data in rows],
    )


def _anchors(runs: Iterable[RunEvidence]) -> list[PlannedEssay]:
    """Anchors of all runs; the same id with the same grade is the same anchor."""
    seen: dict[tuple[str, str | None], PlannedEssay] = {}
    repeated: list[PlannedEssay] = []
    for run in runs:
        own: set[str] = set()
        for essay in run.plan.essays:
            if essay.is_anchor:
                known = seen.setdefault((essay.local_id, essay.grade), essay)
                if known is not essay and essay.local_id in own:
                    repeated.append(essay)
                own.add(essay.local_id)
    return [*seen.values(), *repeated]


def _comparisons(run: RunEvidence) -> Iterable[tuple[str, str, str, LLMComparisonResultV1]]:
    """(winner, loser, essay A, callback) by local id, anchors only."""
    anchors = {essay.essay_id: essay.local_id for essay in run.plan.essays if essay.is_anchor}
    for event in run.succeeded:
        data = event.comparison
        winner, loser = anchors.get(data.winner_id or ""), anchors.get(data.loser_id or "")
        if winner is not None and loser is not None:
            yield winner, loser, winner if data.winner == "Essay A" else loser, data
