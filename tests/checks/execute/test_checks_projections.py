"""PROJECTION-MISMATCH: what the reference pipeline projects is no finding, anything else is one."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from pytest_eng5.checks import run_checks
from pytest_eng5.checks.projections import NORMALIZED_SCORES
from pytest_eng5.contracts import GRADE_SCALES

NAMES = ("events", "metadata", "completeness", "scoring")
CODE = "PROJECTION-MISMATCH"


def found(bound: Any) -> list[tuple[str, str, str | None]]:
    return [(f.code, f.severity, f.field) for f in run_checks(bound.load(), NAMES)]


def test_a_clean_run_has_no_finding(bound: Any) -> None:
    evidence = bound.load()
    assert run_checks(evidence, NAMES) == ()
    letters = {row["letter_grade"] for essay, row in bound.rows.items() if essay in bound.students}
    assert letters - {"U"}, "there is something to project"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10**6),
    scale=st.sampled_from(sorted(GRADE_SCALES)),
    students=st.integers(2, 6),
    anchors=st.integers(1, 8),
    reference=st.integers(0, 7),
)
def test_no_projection_of_the_pipeline_is_a_finding(
    make_bound: Callable[..., Any], seed: int, scale: str, students: int, anchors: int, reference: int
) -> None:
    """Any scale, any grades, any outcome of any comparison, any anchor as reference."""
    chance = random.Random(seed)
    known = GRADE_SCALES[scale]
    legal = [*known.grades, *([known.below_lowest] if known.below_lowest else []), "unknown"]
    grades = [chance.choice(legal) for _ in range(anchors)]
    bound = make_bound(students, grades, scale, publish=False)
    bound.play(lambda a, b: chance.choice([a, b]))
    bound.reference = reference % anchors
    bound.publish()
    assert run_checks(bound.load(), NAMES) == ()


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"letter_grade": "C-", "normalized_score": 0.53}, "letter_grade"),
        ({"letter_grade": "U", "normalized_score": 0.0}, "letter_grade"),
        ({"normalized_score": 0.5}, "normalized_score"),
        ({"confidence_score": 0.123}, "confidence_score"),
        ({"confidence_label": "LOW"}, "confidence_score"),
        ({"is_anchor": True}, "is_anchor"),
    ],
)
def test_an_altered_student_is_the_only_error(
    bound: Any, make: Any, changes: dict[str, Any], key: str, snapshot: SnapshotAssertion
) -> None:
    student = bound.students[0]
    row = bound.rows[student]
    assert all(row[name] != value for name, value in changes.items())
    row.update(changes)
    place = [*bound.rows].index(student)
    assert found(bound) == [(CODE, "error", f"/data/essay_results/{place}/{key}")]
    assert make.told(run_checks(bound.load(), NAMES)) == snapshot


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({"letter_grade": "A", "normalized_score": 1.0}, ["letter_grade"]),
        ({"is_anchor": False}, ["is_anchor"]),
        ({"confidence_score": 0.9, "confidence_label": "HIGH"}, ["confidence_score"]),
        ({"normalized_score": 0.2}, ["normalized_score"]),
    ],
)
def test_an_altered_anchor_is_an_error(
    bound: Any, make: Any, changes: dict[str, Any], keys: list[str], snapshot: SnapshotAssertion
) -> None:
    bound.rows[bound.anchors[2]].update(changes)
    assert [(code, field.rpartition("/")[2]) for code, _, field in found(bound)] == [
        (CODE, key) for key in keys
    ]
    assert make.told(run_checks(bound.load(), NAMES)) == snapshot


def test_other_anchor_grades_than_those_of_the_preflight_are_noticed(
    bound: Any, make: Any, snapshot: SnapshotAssertion
) -> None:
    """The service calibrates with other grades than it told: students' grades move."""
    bound.grades, told = tuple(reversed(bound.grades)), bound.grades
    bound.publish()
    bound.grades = told
    assert {(code, severity) for code, severity, _ in found(bound)} == {(CODE, "error")}
    assert make.told(run_checks(bound.load(), NAMES)) == snapshot


def test_a_wrong_score_is_reported_as_such_and_not_its_grade_as_well(bound: Any) -> None:
    bound.rows[bound.students[1]]["bt_score"] += 1.5
    assert {code for code, severity, _ in found(bound) if severity == "error"} == {"SCORE-MISMATCH"}


def test_a_wrong_score_of_an_anchor_moves_no_grade(bound: Any) -> None:
    bound.rows[bound.anchors[1]]["bt_score"] -= 2.5
    assert {code for code, severity, _ in found(bound) if severity == "error"} == {"SCORE-MISMATCH"}


def test_rounded_scores_are_taken_for_what_they_are(bound: Any) -> None:
    for row in bound.rows.values():
        row["bt_score"] = round(row["bt_score"], 4)
    assert found(bound) == []


def test_a_lost_comparison_makes_confidence_unprovable(
    bound: Any, make: Any, snapshot: SnapshotAssertion
) -> None:
    """The service scored it, the harness did not get it: one error, and infos about what follows."""
    del bound.run.comparisons[7:20]
    severities = {code: severity for code, severity, _ in found(bound)}
    assert severities.pop("COUNT-MISSING") == "error"
    assert set(severities.values()) == {"info"}
    assert severities.keys() <= {"SCORE-MISMATCH", "RANK-MISMATCH", "SCORE-CENTRE", CODE}
    assert make.told(run_checks(bound.load(), NAMES)) == snapshot


def test_what_was_not_recorded_is_said(bound: Any, make: Any, snapshot: SnapshotAssertion) -> None:
    (finding,) = run_checks(bound.load(assignment=False), ["scoring"])
    assert (finding.code, finding.severity) == (CODE, "warning")
    assert make.told([finding]) == snapshot


def test_an_unknown_scale_is_said(bound: Any, make: Any, snapshot: SnapshotAssertion) -> None:
    bound.scale = "swedish_1994"
    (finding,) = run_checks(bound.load(), ["scoring"])
    assert make.told([finding]) == snapshot


def test_without_an_assignment_all_grades_are_u(make_bound: Callable[..., Any]) -> None:
    bound = make_bound(publish=False)
    bound.run.score()
    bound.run.plan.update(assignment_id=None)
    bound.run.plan["essays"] += [{**bound.run.plan["essays"][0], "essay_id": e} for e in bound.anchors]
    assert run_checks(bound.load(assignment=False), ["scoring"]) == ()
    bound.rows[bound.students[0]].update(letter_grade="A", normalized_score=1.0)
    (finding,) = run_checks(bound.load(assignment=False), ["scoring"])
    assert finding.message.endswith("gives U")


def test_national_digits_stand_in_the_summary(
    make_bound: Callable[..., Any], make: Any, snapshot: SnapshotAssertion
) -> None:
    bound = make_bound(4, "13579", "eng5_np_national_9_step")
    primary = {essay: projection.grade for essay, projection in bound.project().items()}
    metadata = bound.run.assessment_results[0].data["assessment_metadata"]
    metadata["grade_projection_summary"] = {"primary_grades": primary}
    assert found(bound) == []
    assert {bound.rows[student]["letter_grade"] for student in bound.students} == {"U"}
    student = bound.students[0]
    primary[student] = "2" if primary[student] != "2" else "3"
    assert make.told(run_checks(bound.load(), NAMES)) == snapshot
    metadata["grade_projection_summary"] = {"primary_grades": ["odd"]}
    assert found(bound) == []


def test_grades_of_the_contract() -> None:
    """Contract 8.3, step 9."""
    assert NORMALIZED_SCORES["A"] == 1
    assert NORMALIZED_SCORES["C-"] == 0.53
    assert NORMALIZED_SCORES["F+"] == 0.07
    assert NORMALIZED_SCORES["U"] == NORMALIZED_SCORES["F"] == 0
    assert len(NORMALIZED_SCORES) == 17


def test_only_execute_has_grades(run: Any) -> None:
    for row in run.assessment_results[0].data["essay_results"]:
        row["letter_grade"] = "B"
    assert run_checks(run.load(), ["scoring"]) == ()
