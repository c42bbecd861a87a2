"""Grades in the rich result: the recorded batch 108 of contract 14.1 and 14.2, and batches without grades."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from pytest_eng5.contracts import (
    ELS_CJAssessmentRequestV1,
    EventEnvelope,
    SystemProcessingMetadata,
)
from pytest_eng5.pipeline.cj import events, grading
from pytest_eng5.pipeline.cj.batch import Batch, Essay
from pytest_eng5.pipeline.cj.grading import NO_GRADES, Grades, grade_students
from pytest_eng5.pipeline.cj.projection import Projection
from pytest_eng5.pipeline.cj.scoring import ranking
from pytest_eng5.pipeline.settings import CJSettings

LEGACY, NATIONAL = "eng5_np_legacy_9_step", "eng5_np_national_9_step"

ANCHORS = [
    *(("ANCHOR_12_c4dd6d9e", "A", 3.7212, 1.0035), ("ANCHOR_2_2d2a7021", "B", 2.9503, 0.9488)),
    *(("ANCHOR_5_33226de9", "B", 2.9353, 0.9532), ("ANCHOR_10_3e7b0acc", "A", 2.3140, 0.9343)),
    *(("ANCHOR_6_239581c0", "C+", -0.0322, 1.0460), ("ANCHOR_9_c63d675c", "D+", -1.8802, 1.2828)),
    *(("ANCHOR_3_78552934", "C-", -1.9957, 1.2563), ("ANCHOR_11_497c210e", "E+", -3.2394, 1.4857)),
    *(("ANCHOR_8_c875b810", "D-", -4.0535, 1.6680), ("ANCHOR_4_9a192186", "F+", -5.0355, 1.9033)),
    *(("ANCHOR_1_8daeded7", "F+", -6.3122, 2.0000), ("ANCHOR_7_d6319ec2", "E-", -7.9908, 2.0000)),
]
STUDENTS = [
    *((4.6705, 1.2350, "A"), (4.3233, 1.1928, "A"), (4.0387, 1.0689, "A"), (2.2510, 0.0, "B")),
    *((2.2504, 0.9277, "B"), (1.5259, 0.9416, "B"), (1.1351, 0.9533, "C+"), (0.3722, 1.0131, "C+")),
    *((0.3567, 1.0269, "C+"), (0.0108, 1.0734, "C-"), (-0.9389, 1.1344, "D-"), (-1.3769, 1.2049, "E+")),
]


def a_batch(essays: list[Essay], scale: str | None) -> Batch:
    """A batch with one outcome, so that it has something to be graded by."""
    request = ELS_CJAssessmentRequestV1.model_validate(
        {
            "entity_id": "b",
            "system_metadata": SystemProcessingMetadata(entity_id="b", entity_type="batch"),
            "essays_for_cj": [],
            "language": "en",
            "course_code": "ENG5",
            "user_id": "u",
            "assignment_id": None if scale is None else "a",
        }
    )
    envelope = EventEnvelope(event_type="t", source_service="s", data=request)
    batch = Batch.accept(108, "b", envelope, 200, 1)
    batch.grade_scale = scale
    batch.take_essays(essays)
    batch.record(batch.submit((0, 1)), 0, ("mock", "m"))
    return batch


def batch_108(monkeypatch: pytest.MonkeyPatch, scale: str = LEGACY) -> tuple[Batch, list[float]]:
    """Students first, then anchors, with the recorded standard errors."""
    students = [Essay(f"student::{i}") for i in range(12)]
    national = {
        "A": "9",
        "B": "8",
        "C+": "7",
        "C-": "6",
        "D+": "5",
        "D-": "4",
        "E+": "3",
        "E-": "2",
        "F+": "1",
    }
    grades = {letter: letter if scale == LEGACY else digit for letter, digit in national.items()}
    anchors = [Essay(name, grade=grades[grade]) for name, grade, _, _ in ANCHORS]
    errors = np.array([error for _, error, _ in STUDENTS] + [error for *_, error in ANCHORS])
    monkeypatch.setattr(grading, "standard_errors", lambda *_: errors)
    return a_batch(students + anchors, scale), [s[0] for s in STUDENTS] + [a[2] for a in ANCHORS]


def rich(batch: Batch, theta: list[float]) -> Any:
    return events.rich_result(batch, theta, ranking(theta), CJSettings(), grade_students(batch, theta))


def test_the_published_grades_of_batch_108(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, theta = batch_108(monkeypatch)
    found = {essay.essay_id: essay for essay in rich(batch, theta).essay_results}
    assert [found[f"student::{i}"].letter_grade for i in range(12)] == [grade for *_, grade in STUDENTS]
    assert found["student::0"].normalized_score == 1.0
    assert found["student::11"].normalized_score == 0.27
    # Standard errors of 1.0 and above: MID by the rule of contract 8.3, which the recorded run predates.
    for i, (_, error, _) in enumerate(STUDENTS):
        assert found[f"student::{i}"].confidence_label == ("MID" if error >= 1.0 else "HIGH")
    assert found["student::3"].confidence_score == 1.0
    assert found["student::0"].confidence_score == pytest.approx(math.sqrt(0.6), abs=1e-9)


def test_anchors_of_batch_108_stay_ungraded(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, theta = batch_108(monkeypatch)
    result = rich(batch, theta)
    anchors = [essay for essay in result.essay_results if essay.is_anchor]
    assert {(essay.letter_grade, essay.normalized_score, essay.confidence_label) for essay in anchors} == {
        ("U", 0.0, "LOW")
    }
    assert [essay.rank for essay in anchors] == [4, 5, 6, 7, 15, 18, 19, 20, 21, 22, 23, 24]
    assert "grade_projection_summary" not in result.assessment_metadata


def test_the_same_batch_in_national_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scales have the same structure, so that the n-th grade of one is the n-th of the other."""
    letters = ("F+", "E-", "E+", "D-", "D+", "C-", "C+", "B", "A")
    batch, theta = batch_108(monkeypatch, NATIONAL)
    result = rich(batch, theta)
    assert {essay.letter_grade for essay in result.essay_results} == {"U"}
    assert {essay.normalized_score for essay in result.essay_results} == {0.0}
    summary = result.assessment_metadata["grade_projection_summary"]
    expected = {f"student::{i}": str(letters.index(grade) + 1) for i, (_, _, grade) in enumerate(STUDENTS)}
    assert summary["primary_grades"] == expected
    centres = summary["calibration_info"]["grade_centers"]
    assert centres["1"] == pytest.approx(-3.7640, abs=1e-4)
    assert centres["9"] == pytest.approx(2.3265, abs=1e-4)
    assert result.model_dump_json()  # nothing in it that JSON cannot say


@pytest.mark.parametrize(
    ("scale", "grades"),
    [(None, ("A", "B")), (LEGACY, ()), (LEGACY, ("A",)), (LEGACY, ("A", "A")), (LEGACY, (None, "A"))],
)
def test_nobody_is_graded_without_two_grades(scale: str | None, grades: tuple[str | None, ...]) -> None:
    essays = [Essay("student::0"), Essay("student::1")]
    essays += [Essay(f"ANCHOR_{i}_ab", grade=grade) for i, grade in enumerate(grades)]
    batch = a_batch(essays, scale)
    assert grade_students(batch, [0.0] * len(essays)) is NO_GRADES


def test_nothing_is_graded_without_comparisons() -> None:
    essays = [Essay("student::0"), Essay("ANCHOR_1_a", grade="A"), Essay("ANCHOR_2_b", grade="B")]
    batch = a_batch(essays, LEGACY)
    batch.comparisons.clear()
    assert grade_students(batch, [0.0, 1.0, -1.0]) is NO_GRADES


@pytest.mark.parametrize(("grade", "letter"), [("A-", "A-"), ("F", "F"), ("7", "U"), ("0", "U")])
def test_only_letters_are_letters(grade: str, letter: str) -> None:
    grades = Grades({0: Projection(grade, grade, 0.5, "MID")})
    assert (grades.letter(0), grades.letter(1)) == (letter, "U")
