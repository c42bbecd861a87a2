"""Rows of a CSV file, with the place of every cell; the csv module does not tell places."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_eng5.scenario.errors import Location, ScenarioError
from pytest_eng5.scenario.table import Cell, column_name
from pytest_eng5.scenario.textfile import position_at, read_text

__all__ = ["MAX_TABLE_BYTES", "CsvRow", "csv_rows"]

MAX_TABLE_BYTES = 256 * 1024
"""Size limit of a CSV table in bytes."""

_DELIMITERS = (",", ";")
_DECLARED = re.compile(r"sep=([,;])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CsvRow:
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


def csv_rows(path: Path, known: Collection[str]) -> Iterator[CsvRow]:
    """Yield each row that is not blank.

    Args:
        path: A UTF-8 file whose cells are separated by commas or by semicolons. A first line ``sep=;``, which
            spreadsheets write, is honoured.
        known: Names of columns; the separator that finds more of them in the header counts.

    Raises:
        ScenarioError: Not a readable UTF-8 file, or not CSV.
    """
    text = read_text(path, MAX_TABLE_BYTES)
    lines = list(io.StringIO(text, newline=""))
    told = _DECLARED.fullmatch(lines[0].strip()) if lines else None
    delimiter = told[1] if told else _delimiter(lines, known)
    start = 1 if told else 0
    skipped = start
    reader = csv.reader(lines[skipped:], delimiter=delimiter, strict=True)
    while True:
        try:
            values = next(reader, None)
        except csv.Error as error:
            where = Location(path, min(start + 1, len(lines)))
            raise ScenarioError.at(where, f"is not CSV: {error}", "check the quotes of this row") from error
        if values is None:
            return
        end = skipped + reader.line_num
        if any(value.strip() for value in values):
            written = "".join(lines[start:end])
            yield CsvRow(values, written, _offsets(written, delimiter), Location(path, start + 1))
        start = end


def _delimiter(lines: Sequence[str], known: Collection[str]) -> str:
    """Return the separator that finds more of the known columns in the header row."""
    header = next((line for line in lines if line.strip()), "")
    return max(_DELIMITERS, key=lambda mark: sum(column_name(part) in known for part in header.split(mark)))


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
