"""Rule PROJECTION-MISMATCH: grades and confidence follow from scores and anchors (contract section 8.3).

Derived again by :mod:`pytest_eng5.alignment.projection` from the published scores and the expert grades of
the assignment's anchors. Only mode ``execute`` has grades; without an assignment all are ``U``.

Tolerances: means, isotonic means and boundaries are averages of anchors' scores, so that rounding by r moves
each by at most r; the bound of the grade below the lowest adds two standard deviations of the pooled scores
(at most sqrt(3) r each). With the student's own r that is below 6 r; 1e-8 logits are added for arithmetic.
Standard errors may differ by 1e-6 between two ways to invert the information. A grade or confidence that is
possible within these is no finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pytest_eng5.alignment.projection import (
    GradeCalibration,
    calibrate_grades,
    possible_grades,
    project_grades,
)
from pytest_eng5.alignment.reference_errors import reference_standard_errors
from pytest_eng5.checks.doubts import softened
from pytest_eng5.checks.drafting import about, finding
from pytest_eng5.checks.games import Games, games_of, published_rows, rounding_of
from pytest_eng5.checks.naming import essay_name
from pytest_eng5.checks.views import distinct_results
from pytest_eng5.contracts import GRADE_ORDER, GRADE_SCALES, EssayResultV1
from pytest_eng5.evidence import CapturedEvent, Finding, RunEvidence

__all__ = ["NORMALIZED_SCORES", "check_projections"]

NORMALIZED_SCORES: Mapping[str, float] = dict(
    zip(
        (*GRADE_ORDER, "U"),
        (1, 0.93, 0.87, 0.8, 0.73, 0.67, 0.6, 0.53, 0.47, 0.4, 0.33, 0.27, 0.2, 0.13, 0.07, 0, 0),
        strict=True,
    )
)
"""``normalized_score`` of a letter grade (contract 8.3, step 9)."""

_CODE = "PROJECTION-MISMATCH"
_ARITHMETIC = 1e-8
_STEPS_OF_ROUNDING = 6
_ERROR_TOLERANCE = 1e-6
_SCORE_TOLERANCE = 1e-6
_HINT = (
    "compare the anchors' grades in assignment.json with those that the CJ service used, and its calibration "
    "with contract 8.3"
)
_Row = tuple[int, EssayResultV1]
_Confidence = tuple[float, str]


@dataclass(frozen=True)
class _Graded:
    """A rich result, and what its grades are derived from.

    Attributes:
        rows: Place and row of every scored essay.
        games: Between the essays of ``rows`` and others that were compared.
        tolerance: Of scores and boundaries together, in logits.
    """

    evidence: RunEvidence
    event: CapturedEvent
    rows: Mapping[str, _Row]
    games: Games
    tolerance: float

    @property
    def students(self) -> list[str]:
        """Essays that are no anchors, in the order of the result."""
        return [essay for essay in self.rows if not _is_anchor(self.evidence, essay)]

    @property
    def published(self) -> dict[str, float]:
        """Published scores of students and anchors."""
        return {essay: row.bt_score for essay, (_, row) in self.rows.items()}

    def draft(self, essay: str, key: str, text: str) -> Finding:
        """A finding about one row."""
        return about(
            self.event,
            _CODE,
            f"{key} of essay {essay_name(self.evidence, essay)} is {text}",
            hint=_HINT,
            field=f"/data/essay_results/{self.rows[essay][0]}/{key}",
            essay_ids=(essay,),
        )


def check_projections(evidence: RunEvidence) -> list[Finding]:
    """PROJECTION-MISMATCH: grades of one rich result are those of its scores; of other modes nothing."""
    results = distinct_results(evidence) if evidence.plan.mode == "execute" else []
    if not results:
        return []
    problem = _underivable(evidence)
    if problem is not None:
        hint = "the grades stay unproven: run again with a version that knows the scale and keeps the anchors"
        return [finding(_CODE, problem, hint=hint, severity="warning")]
    return min((_result(evidence, event) for event in results), key=len)


def _underivable(evidence: RunEvidence) -> str | None:
    """Why nothing can be derived; without an assignment all grades are U, which needs no derivation."""
    if evidence.plan.assignment_id is None:
        return None
    if evidence.assignment is None:
        return "grades cannot be derived: the anchors of the assignment were not recorded"
    if evidence.assignment.grade_scale not in GRADE_SCALES:
        return f"grades cannot be derived: unknown grade scale {evidence.assignment.grade_scale!r}"
    return None


def _result(evidence: RunEvidence, event: CapturedEvent) -> list[Finding]:
    compared = games_of(evidence)
    rows = published_rows(evidence, event, dict.fromkeys(compared.essays))
    games = games_of(evidence, rows)
    scores = [row.bt_score for _, row in rows.values()]
    if not np.isfinite(scores).all():
        return []
    tolerance = _STEPS_OF_ROUNDING * rounding_of(scores) + _ARITHMETIC
    graded = _Graded(evidence, event, rows, games, tolerance)
    return [
        *_anchors(graded),
        *softened(evidence, _grades(graded)),
        *_normalized(graded),
        *softened(evidence, _confidence(graded)),
    ]


def _is_anchor(evidence: RunEvidence, essay: str) -> bool:
    planned = evidence.essays.get(essay)
    return planned is not None and planned.is_anchor


def _calibrate(evidence: RunEvidence, scores: Mapping[str, float]) -> GradeCalibration | None:
    if evidence.assignment is None:
        return None
    anchors = [essay for essay in scores if _is_anchor(evidence, essay)]
    grades = [evidence.essays[essay].grade for essay in anchors]
    scale = GRADE_SCALES[evidence.assignment.grade_scale]
    return calibrate_grades(scale, grades, [scores[essay] for essay in anchors])


def _anchors(graded: _Graded) -> Iterator[Finding]:
    """Anchors are flagged, and nothing is projected for them."""
    for essay, (_, row) in graded.rows.items():
        anchor = _is_anchor(graded.evidence, essay)
        if row.is_anchor != anchor:
            yield graded.draft(essay, "is_anchor", f"{row.is_anchor}, the run's assignment says {anchor}")
        if anchor and row.letter_grade != "U":
            yield graded.draft(essay, "letter_grade", f"{row.letter_grade}, anchors have U")
        if anchor and (row.confidence_score, row.confidence_label) != (0, "LOW"):
            text = f"{row.confidence_score:.4f} {row.confidence_label}, anchors have 0 LOW"
            yield graded.draft(essay, "confidence_score", text)


def _grades(graded: _Graded) -> Iterator[Finding]:
    """Each student has a grade that its score gives, the published score or the one we derived."""
    possible = _possible(graded)
    told = _summary(graded, "primary_grades")
    for essay in graded.students:
        given = {grade if grade in NORMALIZED_SCORES else "U" for grade in possible[essay]}
        letter = graded.rows[essay][1].letter_grade
        score = f"its score {graded.rows[essay][1].bt_score:.4f}"
        if letter not in given:
            yield graded.draft(essay, "letter_grade", f"{letter}, {score} gives {_either(given)}")
        elif essay in told and told[essay] not in possible[essay]:
            text = f"{told[essay]} in the projection summary, {score} gives {_either(possible[essay])}"
            yield graded.draft(essay, "letter_grade", text)


def _either(grades: frozenset[str] | set[str]) -> str:
    return " or ".join(sorted(grades))


def _possible(graded: _Graded) -> dict[str, frozenset[str]]:
    """Grades that each student may have; a score that is wrong is reported as such, not its grade as well."""
    published = graded.published
    grades = _within(graded, published, graded.tolerance)
    if not graded.games.played:
        return grades
    theta = graded.games.theta()
    tolerance = graded.tolerance + _STEPS_OF_ROUNDING * graded.games.tolerance
    derived = _within(graded, {essay: theta[essay] for essay in published}, tolerance)
    return {essay: given | derived[essay] for essay, given in grades.items()}


def _within(graded: _Graded, scores: Mapping[str, float], tolerance: float) -> dict[str, frozenset[str]]:
    """Grades of the students that these scores, of students and anchors, give within a tolerance."""
    students = graded.students
    theta = [scores[essay] for essay in students]
    calibration = _calibrate(graded.evidence, scores)
    found = possible_grades(calibration, theta, np.zeros(len(theta)), tolerance)
    return dict(zip(students, found, strict=True))


def _summary(graded: _Graded, key: str) -> dict[str, str]:
    """A map of the optional summary (contract 2.4), which alone has room for national digits."""
    summary = graded.event.result.assessment_metadata.get("grade_projection_summary")
    found = summary.get(key) if isinstance(summary, dict) else None
    if not isinstance(found, dict):
        return {}
    return {essay: grade for essay, grade in found.items() if isinstance(grade, str)}


def _normalized(graded: _Graded) -> Iterator[Finding]:
    """The normalised score is that of the published grade; of a national digit it is 0."""
    for essay, (_, row) in graded.rows.items():
        wanted = NORMALIZED_SCORES.get(row.letter_grade, 0.0)
        if abs(row.normalized_score - wanted) > _SCORE_TOLERANCE:
            text = f"{row.normalized_score:g}, grade {row.letter_grade} is {wanted:g}"
            yield graded.draft(essay, "normalized_score", text)


def _confidence(graded: _Graded) -> Iterator[Finding]:
    """Score and label of confidence are those of the standard errors, relative to one of the anchors.

    The contract says which: the last in the order of essays. The service reads its anchors from a table
    without an order, so that any of them will do, but the same one for all students.
    """
    students = graded.students
    told = {
        essay: (graded.rows[essay][1].confidence_score, graded.rows[essay][1].confidence_label)
        for essay in students
    }
    candidates = list(_allowed(graded, students))
    differing = [
        [essay for essay in students if not _agrees(told[essay], allowed[essay])] for allowed in candidates
    ]
    if not candidates:
        return
    best = min(range(len(candidates)), key=lambda index: len(differing[index]))
    for essay in differing[best]:
        wanted = " or ".join(f"{score:.4f} {label}" for score, label in sorted(set(candidates[best][essay])))
        score, label = told[essay]
        yield graded.draft(
            essay, "confidence_score", f"{score:.4f} {label}, its standard error gives {wanted}"
        )


def _agrees(told: _Confidence, allowed: Sequence[_Confidence]) -> bool:
    return any(told[1] == label and abs(told[0] - score) <= _SCORE_TOLERANCE for score, label in allowed)


def _allowed(graded: _Graded, students: Sequence[str]) -> Iterator[dict[str, list[_Confidence]]]:
    """Confidence that each student may have, for each anchor as reference, the last one first.

    With the published scores, then with ours.
    """
    if _calibrate(graded.evidence, graded.published) is None:
        yield {essay: [(0.0, "LOW")] for essay in students}
        return
    games = graded.games
    if set(games.essays) != graded.rows.keys() or not games.played:
        return
    anchors = [essay for essay in graded.evidence.essays if essay in graded.rows]
    anchors = [essay for essay in anchors if _is_anchor(graded.evidence, essay)]
    place = {essay: index for index, essay in enumerate(games.essays)}
    for scores in (graded.published, games.theta()):
        calibration = _calibrate(graded.evidence, scores)
        for anchor in reversed(anchors):
            theta = [scores[essay] for essay in games.essays]
            errors = reference_standard_errors(games.wins, theta, place[anchor]).tolist()
            yield {
                essay: _around(calibration, scores[essay], errors[place[essay]], graded.tolerance)
                for essay in students
            }


def _around(
    calibration: GradeCalibration | None, score: float, error: float, tolerance: float
) -> list[_Confidence]:
    """Confidence of a score and a standard error, and of what lies within the tolerances of them."""
    steps = [
        (score + moved, max(error + more, 0.0))
        for moved in (-tolerance, 0.0, tolerance)
        for more in (-_ERROR_TOLERANCE, 0.0, _ERROR_TOLERANCE)
    ]
    found = project_grades(calibration, [at for at, _ in steps], [se for _, se in steps])
    return list(zip(found.confidence.tolist(), found.labels, strict=True))
