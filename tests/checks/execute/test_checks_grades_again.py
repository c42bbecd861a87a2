"""Grades and confidence derived again, rule by rule: tolerances from both sides, and every sentence.

What the pipeline would publish comes from the reference pipeline, which shares no code with the check.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pytest_eng5.alignment.projection import GradeCalibration
from pytest_eng5.checks.projections import _around, check_projections
from pytest_eng5.contracts import GradeScale
from pytest_eng5.evidence import RunEvidence

HINT = (
    "compare the anchors' grades in assignment.json with those that the CJ service used, and its calibration "
    "with contract 8.3"
)
UNPROVEN = "the grades stay unproven: run again with a version that knows the scale and keeps the anchors"


def told(evidence: RunEvidence) -> list[str]:
    """Messages of errors, which all have the same code and hint."""
    findings = check_projections(evidence)
    assert {(f.code, f.severity, f.hint) for f in findings} <= {("PROJECTION-MISMATCH", "error", HINT)}
    return [finding.message for finding in findings]


def told_of(evidence: RunEvidence, key: str) -> list[str]:
    """Those of one field."""
    return [message for message in told(evidence) if message.startswith(f"{key} of ")]


def test_what_the_pipeline_projects_is_right(bound: Any) -> None:
    assert told(bound.load()) == []


@pytest.mark.parametrize("grade", ["A", "F", "U", "B+"])
def test_a_grade_is_that_of_the_published_score_or_of_ours(bound: Any, grade: str) -> None:
    """The published score is wrong as well: what either of the two gives would have been right."""
    student = bound.students[1]
    ours = bound.project()[student].grade
    bound.rows[student]["bt_score"] -= 1.5
    theirs = bound.project()[student].grade
    assert len({ours, theirs, grade}) == 3
    for right in (ours, theirs):
        bound.rows[student]["letter_grade"] = right
        assert told_of(bound.load(), "letter_grade") == []
    bound.rows[student]["letter_grade"] = grade
    either = " or ".join(sorted((ours, theirs)))
    score = bound.rows[student]["bt_score"]
    text = f"letter_grade of essay 'anchor-1' is {grade}, its score {score:.4f} gives {either}"
    assert told_of(bound.load(), "letter_grade") == [text]


def flips(bound: Any, student: str) -> tuple[float, str]:
    """A score with two decimals, and the grade that it gives but one hundredth less does not."""
    row = bound.rows[student]
    before = None
    for hundredths in range(-300, 300):
        row["bt_score"] = hundredths / 100
        grade = bound.project()[student].grade
        if before not in (None, grade):
            return hundredths / 100, grade
        before = grade
    raise AssertionError("all scores give the same grade")


@pytest.mark.parametrize(("below", "mismatches"), [(0.02, 0), (0.05, 1)])
def test_a_rounded_score_may_lie_six_half_units_from_a_boundary(
    bound: Any, below: float, mismatches: int
) -> None:
    """With two decimals these are 0.03 logits; our own score is far away and gives neither grade."""
    for row in bound.rows.values():
        row["bt_score"] = round(row["bt_score"], 2)
    student = bound.students[3]
    theta, letter = bound.rows[student]["bt_score"], bound.rows[student]["letter_grade"]
    score, grade = flips(bound, student)
    assert theta > score + 0.5
    assert letter != grade
    bound.rows[student].update(bt_score=round(score - below, 2), letter_grade=grade)
    assert len(told_of(bound.load(), "letter_grade")) == mismatches


def test_without_any_game_the_published_score_alone_decides(bound: Any, make: Any) -> None:
    """All comparisons failed: nothing can be derived but from what was published, and no confidence."""
    for message in bound.run.comparisons:
        make.fail(message)
    assert told(bound.load()) == []
    student = bound.students[3]
    score, letter = (bound.rows[student][key] for key in ("bt_score", "letter_grade"))
    assert letter != "F+"
    bound.rows[student].update(letter_grade="F+", normalized_score=0.07)
    text = f"letter_grade of essay 'anchor-3' is F+, its score {score:.4f} gives {letter}"
    assert told(bound.load()) == [text]


def silence(bound: Any, essay: str) -> None:
    """Drop every comparison of an essay."""
    bound.run.comparisons = [message for message in bound.run.comparisons if essay not in message.pair]


def test_an_essay_without_a_score_has_no_grade_to_check(make_bound: Callable[..., Any]) -> None:
    """Contract 2.4: score 0 and rank 999."""
    bound = make_bound(publish=False)
    student = bound.students[2]
    silence(bound, student)
    bound.publish()
    bound.rows[student].update(bt_score=0.0, rank=999, letter_grade="C-", normalized_score=0.53)
    assert check_projections(bound.load()) == []


@pytest.fixture
def uncompared(make_bound: Callable[..., Any]) -> Any:
    """A run that scores and grades a student who was not compared with anybody."""
    bound = make_bound(publish=False)
    silence(bound, bound.students[2])
    bound.publish()
    return bound


def test_an_essay_that_has_a_score_without_having_been_compared(uncompared: Any) -> None:
    """It is graded like the others; whether it really was not compared is another question."""
    assert check_projections(uncompared.load()) == []


def test_what_is_wrong_with_an_essay_that_was_not_compared_is_not_provable(uncompared: Any) -> None:
    row = uncompared.rows[uncompared.students[2]]
    grade = row["letter_grade"]
    row.update(letter_grade="A", normalized_score=1.0)
    (finding,) = check_projections(uncompared.load())
    assert finding.severity == "info"
    assert finding.message.endswith(f" gives {grade}")


def test_confidence_needs_the_scores_of_all_that_were_compared(bound: Any) -> None:
    student, absent = bound.students[0], bound.students[2]
    bound.rows[student].update(confidence_score=0.123)
    assert len(told(bound.load())) == 1
    rows = bound.run.assessment_results[0].data["essay_results"]
    rows.remove(bound.rows[absent])
    assert check_projections(bound.load()) == []


@pytest.mark.parametrize("reference", [0, 1])
def test_confidence_is_told_for_the_anchor_that_fits_best(
    make_bound: Callable[..., Any], reference: int
) -> None:
    """The service takes its errors relative to either anchor; only the student that differs is named."""
    bound = make_bound(5, ["E+", "B"])
    first, other = bound.students[0], bound.students[2]
    others = []
    for bound.reference in (1 - reference, reference):
        others.append(bound.project()[first].confidence_label)
        bound.publish()
    assert len(set(others)) == 2, "it matters which anchor it is"
    right = bound.project()[other]
    bound.rows[other].update(confidence_score=0.25, confidence_label="LOW")
    wanted = f"{right.confidence_score:.4f} {right.confidence_label}"
    text = f"confidence_score of essay 'anchor-2' is 0.2500 LOW, its standard error gives {wanted}"
    assert told(bound.load()) == [text]


def test_where_the_standard_error_steps_both_confidences_are_right(bound: Any) -> None:
    """A student's score is moved to where the pipeline's confidence falls, to less than a millionth."""
    student = bound.students[2]
    row = bound.rows[student]

    def confidence(score: float) -> tuple[float, str]:
        row["bt_score"] = score
        projection = bound.project()[student]
        return projection.confidence_score, projection.confidence_label

    near, far = 0.0, 4.0
    inner, outer = confidence(near), confidence(far)
    while far - near > 1e-7:
        middle = (near + far) / 2
        if confidence(middle) == inner:
            near = middle
        else:
            far, outer = middle, confidence(middle)
    bound.publish()
    for score, label in (inner, outer):
        row.update(confidence_score=score, confidence_label=label)
        assert told_of(bound.load(), "confidence_score") == []
    row.update(confidence_score=0.25, confidence_label="LOW")
    either = " or ".join(f"{score:.4f} {label}" for score, label in sorted((inner, outer)))
    text = f"confidence_score of essay 'anchor-2' is 0.2500 LOW, its standard error gives {either}"
    assert told_of(bound.load(), "confidence_score") == [text]


@pytest.mark.parametrize(
    ("label", "score", "right"),
    [("LOW", 0.0, True), ("LOW", 1e-6, True), ("LOW", 1.1e-6, False), ("MID", 0.0, False)],
)
def test_confidence_without_a_calibration_is_none(
    make_bound: Callable[..., Any], label: str, score: float, right: bool
) -> None:
    """Anchors of one grade: nothing can be projected."""
    bound = make_bound(3, ["B", "B"])
    student = bound.students[1]
    assert bound.rows[student]["letter_grade"] == "U"
    bound.rows[student].update(confidence_score=score, confidence_label=label)
    text = f"confidence_score of essay 'anchor-1' is 0.0000 {label}, its standard error gives 0.0000 LOW"
    assert told(bound.load()) == ([] if right else [text])


@pytest.mark.parametrize(
    ("letter", "score", "wanted"),
    [
        ("U", 0.0, None),
        ("U", 1e-6, None),
        ("U", 1.1e-6, "1.1e-06, grade U is 0"),
        ("U", 0.5, "0.5, grade U is 0"),
        # Legal by its pattern, but no grade of the contract.
        ("A+", 0.0, None),
        ("A+", 0.5, "0.5, grade A+ is 0"),
        ("C+", 0.67, None),
        ("C+", 0.6, "0.6, grade C+ is 0.67"),
    ],
)
def test_the_normalised_score_is_that_of_the_published_grade(
    bound: Any, letter: str, score: float, wanted: str | None
) -> None:
    bound.rows[bound.anchors[1]].update(letter_grade=letter, normalized_score=score)
    expected = [] if wanted is None else [f"normalized_score of essay 'anchor-1' is {wanted}"]
    assert told_of(bound.load(), "normalized_score") == expected


def test_of_several_rich_results_the_one_that_fits_best_is_told(bound: Any) -> None:
    (right,) = bound.run.assessment_results
    worse, bad = right.again(second=80.0, offset=1), right.again(second=81.0, offset=2)
    for message, scores in ((worse, (0.3, 0.5)), (bad, (0.4,))):
        for row, score in zip(message.data["essay_results"], scores, strict=False):
            row["normalized_score"] = score
    bound.run.assessment_results[:] = [worse, bad]
    (text,) = told(bound.load())
    assert text.startswith("normalized_score of essay 'anchor-0' is 0.4, grade ")
    bound.run.assessment_results[:] = [worse, bad, right]
    assert told(bound.load()) == []


@pytest.mark.parametrize("summary", ["odd", ["primary_grades"], None, {}, {"primary_grades": "A"}])
def test_an_odd_summary_of_grades_does_no_harm(bound: Any, summary: object) -> None:
    bound.run.assessment_results[0].data["assessment_metadata"]["grade_projection_summary"] = summary
    assert told(bound.load()) == []


def test_what_cannot_be_derived_is_said(bound: Any) -> None:
    bound.scale = "swedish_1994"
    for evidence, problem in (
        (bound.load(assignment=False), "the anchors of the assignment were not recorded"),
        (bound.load(), "unknown grade scale 'swedish_1994'"),
    ):
        (finding,) = check_projections(evidence)
        assert (finding.code, finding.severity) == ("PROJECTION-MISMATCH", "warning")
        assert (finding.message, finding.hint) == (f"grades cannot be derived: {problem}", UNPROVEN)


PASS_OR_FAIL = GradeCalibration(
    scale=GradeScale("pass or fail", ("F", "P"), (0.5, 0.5)),
    means=np.array([0.0, 1.0]),
    variances=np.array([0.25, 0.25]),
    boundaries=np.array([0.5]),
    pooled_variance=0.25,
    used=np.array([True, True]),
)
SURE, TORN = (1.0, "HIGH"), (0.0, "LOW")


@pytest.mark.parametrize(
    ("score", "allowed"),
    [
        (0.25, {SURE}),
        (0.375, {SURE, TORN}),
        (0.5, {SURE, TORN}),
        (0.625, {SURE, TORN}),
        (0.75, {SURE}),
    ],
)
def test_at_a_boundary_a_score_belongs_to_either_side_or_to_none(
    score: float, allowed: set[tuple[float, str]]
) -> None:
    """Within an eighth of a logit: on the boundary of two grades each has half of the probability."""
    assert set(_around(PASS_OR_FAIL, score, 0.2, 0.125)) == allowed


@pytest.mark.parametrize(
    ("error", "allowed"),
    [
        (0.0, {(1.0, "HIGH")}),
        (0.5 - 2e-6, {(1.0, "HIGH")}),
        (0.5 - 5e-7, {(1.0, "HIGH"), (0.8944, "HIGH")}),
        (0.5 + 5e-7, {(1.0, "HIGH"), (0.8944, "HIGH")}),
        (0.5 + 2e-6, {(0.8944, "HIGH")}),
        (1.0 - 5e-7, {(0.8944, "HIGH"), (0.7746, "MID")}),
        (1.5 + 5e-7, {(0.7746, "MID"), (0.5477, "LOW")}),
        (2.0, {(0.5477, "LOW")}),
    ],
)
def test_confidence_steps_where_the_standard_error_does(
    error: float, allowed: set[tuple[float, str]]
) -> None:
    """Contract 8.3: the root of 1, 0.8, 0.6 or 0.3, from errors of 0.5, 1 and 1.5 on."""
    found = {(round(score, 4), label) for score, label in _around(PASS_OR_FAIL, 0.0, error, 1e-8)}
    assert found == allowed
