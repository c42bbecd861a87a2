"""The grades of students: those that the pipeline reports, with the probabilities behind them.

The rich result publishes no probabilities, except for national digits in an optional extension (contract
2.4). Where it has none they are worked out from the captured comparisons, as contract 8.3 defines them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from pytest_eng5.alignment import fit_bradley_terry
from pytest_eng5.alignment.projection import calibrate_grades, project_grades
from pytest_eng5.alignment.reference_errors import reference_standard_errors
from pytest_eng5.contracts import GRADE_SCALES
from pytest_eng5.evidence import GradeProjection, RunEvidence
from pytest_eng5.reports.scores import reported_results

__all__ = ["grade_projections"]

_UNGRADED = "U"
Probabilities = Mapping[str, Mapping[str, float]]


def grade_projections(evidence: RunEvidence) -> Iterator[GradeProjection]:
    """The reported grade of each student of an assignment who got one; of no one in a GUEST batch."""
    assignment, reported = evidence.assignment, reported_results(evidence)
    if assignment is None or not reported:
        return
    published = _published(evidence)
    digits, shares = _texts(published, "primary_grades"), _shares(published)
    derived = {} if shares else _derived(evidence, assignment.grade_scale)
    for essay_id, row in reported.items():
        essay = evidence.essays.get(essay_id)
        grade = digits.get(essay_id, row.letter_grade)
        found = shares.get(essay_id) or derived.get(essay_id)
        if essay is None or essay.is_anchor or grade == _UNGRADED or found is None:
            continue
        yield GradeProjection(
            essay_id=essay_id,
            grade_scale=assignment.grade_scale,
            grade=grade,
            probabilities=dict(found),
            probabilities_source="published" if essay_id in shares else "derived",
            normalized_score=row.normalized_score,
            confidence_score=row.confidence_score,
            confidence_label=row.confidence_label,
        )


def _published(evidence: RunEvidence) -> Mapping[str, Any]:
    found = evidence.results[0].result.assessment_metadata.get("grade_projection_summary")
    return found if isinstance(found, dict) else {}


def _texts(summary: Mapping[str, Any], key: str) -> dict[str, str]:
    found = summary.get(key)
    items = found.items() if isinstance(found, dict) else ()
    return {name: value for name, value in items if isinstance(value, str)}


def _shares(summary: Mapping[str, Any]) -> Probabilities:
    """Published probabilities, as far as they are any."""
    found = summary.get("grade_probabilities")
    rows = found.items() if isinstance(found, dict) else ()
    return {name: row for name, row in rows if isinstance(row, dict) and _is_distribution(row)}


def _is_distribution(row: Mapping[str, Any]) -> bool:
    return bool(row) and all(
        isinstance(share, int | float) and not isinstance(share, bool) and 0 <= share <= 1
        for share in row.values()
    )


def _derived(evidence: RunEvidence, scale_id: str) -> Probabilities:
    """Probabilities of the students by contract 8.1 and 8.3; none where nothing can be calibrated."""
    scale = GRADE_SCALES.get(scale_id)
    reported = reported_results(evidence)
    essays = [essay for essay in evidence.plan.essays if essay.essay_id in reported]
    anchors = [i for i, essay in enumerate(essays) if essay.is_anchor]
    index = {essay.essay_id: i for i, essay in enumerate(essays)}
    games = [(event.comparison.winner_id, event.comparison.loser_id) for event in evidence.succeeded]
    usable = [(index[won], index[lost]) for won, lost in games if won in index and lost in index]
    if scale is None or not anchors or not usable:
        return {}
    fit = fit_bradley_terry(len(essays), [won for won, _ in usable], [lost for _, lost in usable])
    calibration = calibrate_grades(scale, [essays[i].grade for i in anchors], fit.theta[anchors])
    if calibration is None:
        return {}
    errors = reference_standard_errors(fit.wins, fit.theta, anchors[-1])
    students = np.array([i for i, essay in enumerate(essays) if not essay.is_anchor], dtype=np.intp)
    rows = project_grades(calibration, fit.theta[students], errors[students]).probabilities
    return {
        essays[i].essay_id: {
            grade: float(share) for grade, share in zip(scale.grades, row, strict=True) if share > 0
        }
        for i, row in zip(students, rows, strict=True)
    }
