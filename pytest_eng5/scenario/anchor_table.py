"""The table of anchors (``anchors.csv``): id, file and expert grade of each, with the place of every cell."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_eng5.scenario.errors import Location, ScenarioError, shown_text
from pytest_eng5.scenario.textfile import position_at, read_text

__all__ = ["MAX_TABLE_BYTES", "AnchorRow", "Cell", "read_anchor_table"]

MAX_TABLE_BYTES = 256 * 1024
"""Size limit of a table in bytes."""

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
class _Record:
    """A row as it is written: its cells, and at which character of the row each starts."""

    values: Sequence[str]
    written: str
    offsets: Sequence[int]
    start: Location

    def cell(self, index: int) -> Cell:
        """Return a cell with its place; an empty one if the row is shorter."""
        if index >= len(self.values) or len(self.offsets) != len(self.values):
            return Cell(self.values[index].strip() if index < len(self.values) else "", self.start)
        offset = self.offsets[index]
        while self.written[offset : offset + 1] in (" ", "\t"):
            offset += 1
        line, column = position_at(self.written, offset)
        return Cell(self.values[index].strip(), Location(self.start.path, self.start.line + line - 1, column))


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
    text = read_text(path, MAX_TABLE_BYTES)
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


def _records(text: str, delimiter: str, path: Path) -> Iterator[_Record]:
    """Yield each row that is not blank."""
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
        if any(value.strip() for value in values):
            written = "".join(lines[start : reader.line_num])
            yield _Record(values, written, _offsets(written, delimiter), Location(path, start + 1))
        start = reader.line_num


def _offsets(written: str, delimiter: str) -> list[int]:
    """Return where each cell of a row starts; the csv module does not say."""
    starts = [0]
    quoted = False
    for index, char in enumerate(written):
        if char == '"':
            quoted = not quoted
        elif char == delimiter and not quoted:
            starts.append(index + 1)
    return starts


def _columns(header: _Record) -> _Columns:
    names = [_column_name(value) for value in header.values]
    found = {
        "anchor_id": [index for index, name in enumerate(names) if name in _ID_NAMES],
        "file_name": [index for index, name in enumerate(names) if name in _FILE_NAMES],
        "grade": [index for index, name in enumerate(names) if name in _GRADE_NAMES],
    }
    missing = [name for name, indices in found.items() if not indices]
    if missing:
        had = shown_text(", ".join(value.strip() for value in header.values), 200)
        message = f"the header has no column {', '.join(missing)}; it has {had}"
        hint = "columns are anchor_id, file_name and grade, separated by commas or semicolons"
        raise ScenarioError.at(header.start, message, hint)
    return _Columns(found["anchor_id"][0], found["file_name"][0], tuple(found["grade"]))


def _row(record: _Record, columns: _Columns) -> AnchorRow:
    grades = [record.cell(index) for index in columns.grades]
    grade = next((found for found in grades if found.text), grades[0])
    return AnchorRow(record.start.line, record.cell(columns.anchor_id), record.cell(columns.file_name), grade)
