"""Rows of a worksheet. openpyxl is imported only where there is a workbook to read."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

from pytest_eng5.scenario.document_file import archive_complaint
from pytest_eng5.scenario.errors import Location, Problem, ScenarioError, shown_text
from pytest_eng5.scenario.table import Cell
from pytest_eng5.scenario.textfile import read_bytes

__all__ = ["MAX_WORKBOOK_BYTES", "SHEET", "XlsxRow", "xlsx_rows"]

MAX_WORKBOOK_BYTES = 1 << 20
"""Size limit of a workbook in bytes."""

SHEET = "anchors"
"""Name, in any case, of the worksheet that is read; without it the first one is."""

_MAX_ROWS = 10_000
_MAX_CELLS = 1_000_000
_RESAVE = "open it in a spreadsheet program and save it again as .xlsx"
_RETYPE = "format the column as text and type the cell again"
_NO_VALUE = "a formula without a stored value"


@dataclass(frozen=True, slots=True)
class _Unusable:
    """A cell whose value is not what a person sees; ``kind`` says what it is."""

    kind: str


@dataclass(frozen=True, slots=True)
class XlsxRow:
    """A row of a worksheet; lines of its locations are row numbers, columns are column numbers."""

    contents: Sequence[str | _Unusable]
    start: Location

    @property
    def values(self) -> Sequence[str]:
        """The text of each cell."""
        return [content if isinstance(content, str) else "" for content in self.contents]

    def cell(self, index: int) -> Cell:
        """Return a cell with its place; an empty one if the row is shorter.

        Raises:
            ScenarioError: The cell holds a date, an error, or a formula whose value was never computed.
        """
        where = Location(self.start.path, self.start.line, index + 1)
        content = self.contents[index] if index < len(self.contents) else ""
        if isinstance(content, str):
            return Cell(content, where)
        hint = _RESAVE if content.kind == _NO_VALUE else _RETYPE
        raise ScenarioError.at(where, f"the cell holds {content.kind}", hint)


def xlsx_rows(path: Path) -> Iterator[XlsxRow]:
    """Yield each row that is not blank; of formulas the value that was stored with them.

    Numbers become the shortest text that means them: 7.0 is ``7``.

    Raises:
        ScenarioError: Not a readable workbook, larger than ``MAX_WORKBOOK_BYTES``, or without a worksheet.
    """
    try:
        rows = _rows(read_bytes(path, MAX_WORKBOOK_BYTES))
    except _Refused as refused:
        raise ScenarioError([Problem(Location(path), refused.message, refused.hint)]) from refused
    for number, contents in rows:
        yield XlsxRow(contents, Location(path, number))


class _Refused(Exception):
    def __init__(self, message: str, hint: str = _RESAVE) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


_Rows = tuple[tuple[int, tuple[str | _Unusable, ...]], ...]


@lru_cache(maxsize=8)
def _rows(content: bytes) -> _Rows:
    """The rows that are not blank, each with its number; a workbook is read once however often it is used."""
    complaint = archive_complaint(content, _RESAVE, claimed="xl/")
    if complaint:
        raise _Refused(complaint.message, complaint.hint)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and extensions, which do not matter here
            return tuple(_filled(_sheet_rows(content)))
    except _Refused:
        raise
    except Exception as error:  # openpyxl raises whatever a damaged part provokes
        reason = shown_text(str(error) or type(error).__name__, 200)
        raise _Refused(f"is no workbook that can be read: {reason}") from error


def _filled(rows: Iterator[tuple[str | _Unusable, ...]]) -> Iterator[tuple[int, tuple[str | _Unusable, ...]]]:
    count = 0
    for number, contents in enumerate(rows, 1):
        if any(contents):
            count += 1
            if count > _MAX_ROWS:
                raise _Refused(f"has more than {_MAX_ROWS} rows", "keep one row per anchor")
            yield number, contents


def _sheet_rows(content: bytes) -> Iterator[tuple[str | _Unusable, ...]]:
    """Every row: stored values and, where there is none, the formula that should have one."""
    values, formulas = (_cells(content, data_only=stored) for stored in (True, False))
    for value_row, formula_row in zip_longest(values, formulas, fillvalue=()):
        pairs = zip_longest(value_row, formula_row)
        yield tuple(_content(value, formula) for value, formula in pairs)


def _cells(content: bytes, *, data_only: bool) -> Iterator[tuple[Any, ...]]:
    from openpyxl import load_workbook

    book = load_workbook(io.BytesIO(content), read_only=True, data_only=data_only)
    try:
        sheet = _sheet(book)
        sheet.reset_dimensions()  # the stated dimensions of some writers are wrong
        yield from _bounded(sheet.iter_rows())
    finally:
        book.close()


def _bounded(rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """The rows as they are, up to a limit: cells far to the right make wide rows of nothing."""
    cells = 0
    for row in rows:
        cells += len(row)
        if cells > _MAX_CELLS:
            raise _Refused(
                f"has more than {_MAX_CELLS:,} cells", "clear what is right of and below the table"
            )
        yield row


def _sheet(book: Any) -> Any:
    sheets = book.worksheets
    return next((sheet for sheet in sheets if sheet.title.strip().lower() == SHEET), sheets[0])


def _content(cell: Any, formula: Any) -> str | _Unusable:
    value, kind = getattr(cell, "value", None), getattr(cell, "data_type", "n")
    if value is None:
        return _Unusable(_NO_VALUE) if getattr(formula, "data_type", "n") == "f" else ""
    if kind == "e":
        return _Unusable(f"the error {shown_text(str(value))}")
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, str | int):
        return str(value).strip()
    return _Unusable("a date or a time")
