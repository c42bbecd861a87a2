"""Rows of a table, whatever file they come from, with the place of every cell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pytest_eng5.scenario.errors import Location

__all__ = ["Cell", "TableRow", "column_name"]


@dataclass(frozen=True, slots=True)
class Cell:
    """The text of one cell, stripped, and where it starts."""

    text: str
    location: Location


class TableRow(Protocol):
    """A row that is not blank; a table's first one is its header."""

    @property
    def start(self) -> Location:
        """Where the row begins."""
        ...

    @property
    def values(self) -> Sequence[str]:
        """The text of each cell."""
        ...

    def cell(self, index: int) -> Cell:
        """Return a cell with its place; an empty one if the row is shorter."""
        ...


def column_name(text: str) -> str:
    """Return the name of a column as it is compared: any case, ``-`` and blanks counting as ``_``."""
    return re.sub(r"[-\s]+", "_", text.strip().strip('"').strip()).lower()
