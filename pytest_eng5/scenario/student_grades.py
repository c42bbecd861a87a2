"""Grades of students' essays for the simulated judge, which needs to know what it is supposed to see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pytest_eng5.contracts import grade_rank, known_grades
from pytest_eng5.scenario.csv_table import CsvRow, csv_rows
from pytest_eng5.scenario.errors import Location, Problem, ScenarioError, shown_text
from pytest_eng5.scenario.essays import normal_name
from pytest_eng5.scenario.table import column_name

__all__ = ["read_student_grades"]

_COLUMNS = ("file_name", "grade")


def read_student_grades(path: Path) -> dict[str, str]:
    """Read a CSV table with the columns ``file_name`` and ``grade``, separated by commas or semicolons.

    Returns:
        Grade by file name (composed letters), in the order of the table.

    Raises:
        ScenarioError: Not a readable table, a column is missing, an unknown grade, or a file twice.
    """
    rows = csv_rows(path, _COLUMNS)
    header = next(rows, None)
    names = [column_name(value) for value in header.values] if header else []
    missing = [name for name in _COLUMNS if name not in names]
    if missing:
        message = f"the table of students' grades has no column {', '.join(missing)}"
        fix = "its columns are file_name and grade, separated by commas or semicolons"
        raise ScenarioError.at(header.start if header else Location(path), message, fix)
    grades: dict[str, str] = {}
    problems = list(_read(rows, names, grades))
    if problems:
        raise ScenarioError(problems)
    return grades


def _read(rows: Iterator[CsvRow], names: list[str], grades: dict[str, str]) -> Iterator[Problem]:
    """Fill ``grades``; yield what is wrong with a row."""
    for row in rows:
        file_name, grade = (row.cell(names.index(column)) for column in _COLUMNS)
        name = normal_name(file_name.text)
        if not name or not grade.text:
            lacking = "file_name" if not name else "grade"
            yield Problem(row.start, f"the row has no {lacking}", "fill in the cell or remove the row")
        elif grade_rank(grade.text) is None:
            hint = f"known grades: {', '.join(known_grades())}"
            yield Problem(grade.location, f"unknown grade {shown_text(grade.text)!r}", hint)
        elif name in grades:
            message = f"the file {shown_text(name)!r} is listed twice"
            yield Problem(file_name.location, message, "remove one row")
        else:
            grades[name] = grade.text.upper()
