"""Keys of mode execute: the assignment, and the table of students' grades for the simulated judge."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.contracts import known_grades
from pytest_eng5.scenario import ScenarioError, has_anchors, read_student_grades

UUID = "0d8f7a54-64f0-4b2f-8d2e-3d6a4c6f9d01"
BOUND = f"mode: execute\nassignment_id: {UUID}\ncourse_id: {UUID}\n"


@pytest.fixture
def students(workspace: Any) -> Any:
    """The workspace with two students' essays."""
    for name in ("anna", "bo"):
        workspace.put(f"role_models/students/{name}.txt", f"Essay of {name}.\n")
    return workspace


def test_all_keys(students: Any, minimal: str) -> None:
    text = f"{minimal}{BOUND}expected_grade_scale: eng5_np_legacy_9_step\n"
    variant = students.load(f"{text}thresholds: {{kendall_tau: {{min: 0.5}}}}\n").variants[0]
    assert (variant.mode, variant.assignment_id, variant.course_id) == ("execute", UUID, UUID)
    assert variant.expected_grade_scale == "eng5_np_legacy_9_step"
    assert variant.to_dict()["assignment_id"] == UUID


def test_without_an_assignment_it_is_a_guest(students: Any, minimal: str) -> None:
    variant = students.load(f"{minimal}mode: execute\n").variants[0]
    assert (variant.mode, variant.assignment_id) == ("execute", None)


@pytest.mark.parametrize(
    ("keys", "line", "message"),
    [
        (f"assignment_id: {UUID}\n", 6, "an assignment needs the key 'course_id'"),
        (
            "expected_grade_scale: swedish_8_anchor\n",
            6,
            "'expected_grade_scale' is that of an assignment, and there is none",
        ),
        (
            "thresholds: {kendall_tau: {min: 0.5}}\n",
            6,
            "without an assignment there are no anchors to judge 'kendall_tau' by",
        ),
    ],
)
def test_what_does_not_go_together_is_told_in_its_place(
    students: Any, minimal: str, keys: str, line: int, message: str
) -> None:
    error = students.error(f"{minimal}mode: execute\n{keys}")
    assert (error.message, error.line) == (message, line)
    assert error.hint


def test_students_have_to_be_there_and_anchors_need_not(students: Any, minimal: str) -> None:
    students.put("pupils/students/a.txt", "An essay.\n")
    assert students.load(f"{minimal.replace('role_models', 'pupils')}{BOUND}").variants[0].inputs_dir.name
    assert not has_anchors(students.root / "pupils")
    assert has_anchors(students.root / "role_models")
    students.put("empty/students/.keep", "")
    error = students.error(f"{minimal.replace('role_models', 'empty')}{BOUND}")
    assert error.message == "the inputs folder empty holds no students' essays"


def test_an_essay_that_cannot_be_read_is_told_with_its_file(students: Any, minimal: str) -> None:
    students.put("role_models/students/torn.txt", b"\xff\xfe\xfd")
    error = students.error(f"{minimal}{BOUND}")
    assert "torn.txt" in str(error)


def test_the_table_of_grades(students: Any, minimal: str) -> None:
    table = students.put("grades.csv", "Grade;File name\nb;anna.txt\nF+;bo.txt\n")
    text = f"{minimal}{BOUND}judge: {{mock: {{student_grades: grades.csv}}}}\n"
    variant = students.load(text).variants[0]
    assert variant.judge.mock.student_grades == table
    assert read_student_grades(table) == {"anna.txt": "B", "bo.txt": "F+"}
    assert variant.to_dict()["judge"]["mock"]["student_grades"] == "grades.csv"


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("", 1, "the table of students' grades grades.csv is empty"),
        ("file_name\na.txt\n", 1, "the table of students' grades has no column grade"),
        ("file_name,grade\na.txt,Z\n", 2, "unknown grade 'Z'"),
        ("file_name,grade\na.txt,\n", 2, "the row has no grade"),
        ("file_name,grade\n,A\n", 2, "the row has no file_name"),
        ("file_name,grade\na.txt,A\na.txt,B\n", 3, "the file 'a.txt' is listed twice"),
    ],
)
def test_a_table_that_cannot_be_used(
    students: Any, minimal: str, content: str, line: int, message: str
) -> None:
    students.put("grades.csv", content)
    error = students.error(f"{minimal}{BOUND}judge: {{mock: {{student_grades: grades.csv}}}}\n")
    assert error.message == message
    assert error.line == (line if content else 8)


def test_a_table_that_is_not_there(students: Any, minimal: str) -> None:
    students.put("grades.csv", "file_name,grade\n")
    error = students.error(f"{minimal}{BOUND}judge: {{mock: {{student_grades: grade.csv}}}}\n")
    assert error.message == "the table of students' grades grade.csv does not exist"
    assert "grades.csv" in (error.hint or "")


NAMES = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=12)


@given(st.dictionaries(NAMES, st.sampled_from(known_grades()), max_size=20), st.sampled_from(",;"))
def test_what_is_written_is_read(tmp_path_factory: Any, grades: dict[str, str], mark: str) -> None:
    path = tmp_path_factory.mktemp("table") / "grades.csv"
    rows = [f"{name}.txt{mark}{grade}" for name, grade in grades.items()]
    path.write_text("\n".join([f"file_name{mark}grade", *rows]), encoding="utf-8")
    assert read_student_grades(path) == {f"{name}.txt": grade for name, grade in grades.items()}


@given(st.binary(max_size=200))
def test_any_bytes_are_a_table_or_an_error(tmp_path_factory: Any, content: bytes) -> None:
    path = tmp_path_factory.mktemp("table") / "grades.csv"
    path.write_bytes(content)
    grades: dict[str, str] = {}
    with contextlib.suppress(ScenarioError):
        grades = read_student_grades(path)
    assert set(grades.values()) <= set(known_grades())
