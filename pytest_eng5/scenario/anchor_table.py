"""The table of anchors (CSV or XLSX): id, file and expert grade of each, with the place of every cell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_eng5.scenario.csv_table import MAX_TABLE_BYTES, csv_rows
from pytest_eng5.scenario.errors import Location, Problem, ScenarioError, shown_text
from pytest_eng5.scenario.table import Cell, TableRow, column_name
from pytest_eng5.scenario.xlsx_table import SHEET, xlsx_rows

__all__ = ["MAX_TABLE_BYTES", "AnchorRow", "Cell", "read_anchor_table"]

_ID_NAMES = ("anchor_id",)
_FILE_NAMES = ("file_name",)
_GRADE_NAMES = ("grade", "pred_mode_grade")
_KNOWN = frozenset({*_ID_NAMES, *_FILE_NAMES, *_GRADE_NAMES})


@dataclass(frozen=True, slots=True)
class AnchorRow:
    """One row: ``line`` is the first line of the row in the file, or its number in the worksheet."""

    line: int
    anchor_id: Cell
    file_name: Cell
    grade: Cell

    def missing(self) -> list[str]:
        """Return the names of the columns in which this row has nothing."""
        cells = {"anchor_id": self.anchor_id, "file_name": self.file_name, "grade": self.grade}
        return [name for name, cell in cells.items() if not cell.text]


@dataclass(frozen=True, slots=True)
class _Columns:
    anchor_id: int
    file_name: int
    grades: tuple[int, ...]


def read_anchor_table(path: Path) -> list[AnchorRow]:
    """Read a table with a header row: a workbook if its suffix is ``.xlsx``, else CSV.

    Columns are found by name in any case, ``-`` and blanks counting as ``_``: ``anchor_id``, ``file_name``,
    and ``grade`` or ``pred_mode_grade`` (the first that is not empty counts). Blank rows are passed over.

    Returns:
        The rows in order; a cell that a row does not have is empty.

    Raises:
        ScenarioError: Not a readable file, no rows, a column is missing, or cells of a workbook that hold no
            text or number (all of them are told).
    """
    records = _records(path)
    header = next(records, None)
    if header is None:
        raise ScenarioError.at(
            Location(path), "the table is empty", "write a header row and one row per anchor"
        )
    columns = _columns(header)
    rows, problems = _rows(records, columns)
    if problems:
        raise ScenarioError(problems)
    if not rows:
        raise ScenarioError.at(Location(path), "the table has no rows", "write one row per anchor")
    return rows


def _records(path: Path) -> Iterator[TableRow]:
    return xlsx_rows(path) if path.suffix.lower() == ".xlsx" else csv_rows(path, _KNOWN)


def _columns(header: TableRow) -> _Columns:
    names = [column_name(value) for value in header.values]
    found = {
        "anchor_id": [index for index, name in enumerate(names) if name in _ID_NAMES],
        "file_name": [index for index, name in enumerate(names) if name in _FILE_NAMES],
        "grade": [index for index, name in enumerate(names) if name in _GRADE_NAMES],
    }
    missing = [name for name, indices in found.items() if not indices]
    if missing:
        had = shown_text(", ".join(value.strip() for value in header.values), 200)
        message = f"the header has no column {', '.join(missing)}; it has {had}"
        raise ScenarioError.at(header.start, message, _columns_hint(header.start.path))
    return _Columns(found["anchor_id"][0], found["file_name"][0], tuple(found["grade"]))


def _columns_hint(path: Path) -> str:
    if path.suffix.lower() == ".xlsx":
        return f"columns are anchor_id, file_name and grade; of several sheets the one called {SHEET} is read"
    return "columns are anchor_id, file_name and grade, separated by commas or semicolons"


def _rows(records: Iterator[TableRow], columns: _Columns) -> tuple[list[AnchorRow], list[Problem]]:
    rows: list[AnchorRow] = []
    problems: list[Problem] = []
    for record in records:
        try:
            rows.append(_row(record, columns))
        except ScenarioError as error:
            problems += error.problems
    return rows, problems


def _row(record: TableRow, columns: _Columns) -> AnchorRow:
    grades = [record.cell(index) for index in columns.grades]
    grade = next((found for found in grades if found.text), grades[0])
    return AnchorRow(record.start.line, record.cell(columns.anchor_id), record.cell(columns.file_name), grade)
