"""The table of anchors (``anchors.csv``): id, file and expert grade of each, with the place of every cell."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_eng5.scenario.errors import Location, ScenarioError
from pytest_eng5.scenario.explain import quoted_list
from pytest_eng5.scenario.textfile import position_at, read_text

__all__ = ["AnchorRow", "Cell", "read_anchor_table"]

_DELIMITERS = (",", ";")
_ID_NAMES = ("anchor_id",)
_FILE_NAMES = ("file_name",)
_GRADE_NAMES = ("grade", "pred_mode_grade")


@dataclass(frozen=True, slots=True)
class Cell:
    """The text of one cell, stripped, and where it starts."""

    text: str
    location: Location


@dataclass(frozen=True, slots=True)
class AnchorRow:
    """One row: ``line`` is the first line of the row in the file."""

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
    """Read a table with a header row, separated by commas or semicolons.

    Columns are found by name in any case, ``-`` and blanks counting as ``_``: ``anchor_id``, ``file_name``,
    and ``grade`` or ``pred_mode_grade`` (the first that is not empty counts). Blank rows are passed over.

    Returns:
        The rows in order; a cell that a row does not have is empty.

    Raises:
        ScenarioError: Not a readable UTF-8 file, not CSV, no rows, or a column is missing.
    """
    text = read_text(path)
    delimiter = _delimiter(text)
    records = _records(text, delimiter, path)
    header = next(records, None)
    if header is None:
        raise ScenarioError.at(
            Location(path), "the table is empty", "write a header row and one row per anchor"
        )
    columns = _columns(header)
    rows = [_row(record, columns) for record in records]
    if not rows:
        raise ScenarioError.at(Location(path), "the table has no rows", "write one row per anchor")
    return rows


def _delimiter(text: str) -> str:
    """Return the separator that finds more of the known columns in the header row."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    known = {*_ID_NAMES, *_FILE_NAMES, *_GRADE_NAMES}
    return max(_DELIMITERS, key=lambda mark: sum(_column_name(part) in known for part in header.split(mark)))


def _column_name(text: str) -> str:
    return re.sub(r"[-\s]+", "_", text.strip().strip('"').strip()).lower()


def _records(text: str, delimiter: str, path: Path) -> Iterator[list[Cell]]:
    """Yield the cells of each row that is not blank."""
    lines = list(io.StringIO(text, newline=""))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    start = 0
    while True:
        try:
            values = next(reader, None)
        except csv.Error as error:
            where = Location(path, min(start + 1, len(lines)))
            raise ScenarioError.at(where, f"is not CSV: {error}", "check the quotes of this row") from error
        if values is None:
            return
        record = "".join(lines[start : reader.line_num])
        if any(value.strip() for value in values):
            yield _cells(values, record, delimiter, Location(path, start + 1))
        start = reader.line_num


def _cells(values: Sequence[str], record: str, delimiter: str, start: Location) -> list[Cell]:
    offsets = _offsets(record, delimiter)
    if len(offsets) != len(values):
        return [Cell(value.strip(), start) for value in values]
    return [
        Cell(value.strip(), _at(start, record, offset)) for value, offset in zip(values, offsets, strict=True)
    ]


def _offsets(record: str, delimiter: str) -> list[int]:
    """Return where each cell of a row starts; the csv module does not say."""
    starts = [0]
    quoted = False
    for index, char in enumerate(record):
        if char == '"':
            quoted = not quoted
        elif char == delimiter and not quoted:
            starts.append(index + 1)
    return [start + len(record[start:]) - len(record[start:].lstrip(" \t")) for start in starts]


def _at(start: Location, record: str, offset: int) -> Location:
    line, column = position_at(record, offset)
    return Location(start.path, start.line + line - 1, column)


def _columns(header: Sequence[Cell]) -> _Columns:
    names = [_column_name(cell.text) for cell in header]
    found = {
        "anchor_id": [index for index, name in enumerate(names) if name in _ID_NAMES],
        "file_name": [index for index, name in enumerate(names) if name in _FILE_NAMES],
        "grade": [index for index, name in enumerate(names) if name in _GRADE_NAMES],
    }
    missing = [name for name, indices in found.items() if not indices]
    if missing:
        had = quoted_list(cell.text for cell in header)
        message = f"the header has no column {quoted_list(missing)}; it has {had}"
        hint = "columns are anchor_id, file_name and grade, separated by commas or semicolons"
        raise ScenarioError.at(header[0].location, message, hint)
    return _Columns(found["anchor_id"][0], found["file_name"][0], tuple(found["grade"]))


def _row(record: Sequence[Cell], columns: _Columns) -> AnchorRow:
    start = record[0].location

    def cell(index: int) -> Cell:
        return record[index] if index < len(record) else Cell("", start)

    grades = [cell(index) for index in columns.grades]
    grade = next((found for found in grades if found.text), grades[0])
    return AnchorRow(start.line, cell(columns.anchor_id), cell(columns.file_name), grade)
