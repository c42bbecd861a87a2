"""The students' essays of an inputs folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pytest_eng5.scenario.errors import Location, ScenarioError
from pytest_eng5.scenario.essay_ids import EssayId, equal_ids
from pytest_eng5.scenario.essays import essay_problem, list_essays, normal_name

__all__ = ["STUDENT_FOLDER", "Student", "read_students"]

STUDENT_FOLDER = "students"


@dataclass(frozen=True, slots=True)
class Student:
    """A student's essay; its text is not held.

    Attributes:
        student_id: File name without its suffix, composed letters (NFC). Never sent to the judge.
        path: The essay file.
    """

    student_id: str
    path: Path


def read_students(inputs_dir: Path) -> tuple[Student, ...]:
    """Return the essays of the folder ``students/``, in the order of their names.

    They are found and checked as anchors are (see `read_anchors`), but have no grade and no table.

    Raises:
        ScenarioError: No such folder, an essay that cannot be used, or ids that are equal once normalised.
    """
    essays = list_essays(inputs_dir.absolute() / STUDENT_FOLDER)
    students = tuple(Student(normal_name(path.stem), path) for path in essays.paths)
    problems = [*essays.problems, *(problem for path in essays.paths if (problem := essay_problem(path)))]
    problems += equal_ids(
        "student", (EssayId(found.student_id, found.path.name, Location(found.path)) for found in students)
    )
    if problems:
        raise ScenarioError(problems)
    return students
