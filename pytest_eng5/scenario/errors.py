"""Where a problem of a scenario or of its files lies, and the errors that carry such problems.

One error holds every problem that one reading of a file found; the first one leads. Each problem is one
line ``path:line:column: message``, so that terminals and editors can jump to it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pytest_eng5.errors import UsageError

__all__ = [
    "AnchorError",
    "Location",
    "OverrideError",
    "Problem",
    "ScenarioError",
    "shown_path",
    "shown_text",
]

_MAX_SHOWN = 20


def shown_path(path: Path) -> str:
    """Return ``path`` as messages show it: relative to the working directory if it lies below that."""
    try:
        shown = os.fspath(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        shown = os.fspath(path)
    return shown_text(shown, 1000)


def shown_text(text: str, limit: int = 60) -> str:
    """Return ``text`` as messages show it: one line, printable, cut to ``limit`` characters."""
    shown = text if text.isprintable() else ascii(text)[1:-1]
    return shown if len(shown) <= limit else shown[: limit - 3] + "..."


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a file; for a value that an option gave, that option.

    Attributes:
        path: The file.
        line: Line, counted from 1.
        column: Column in characters, counted from 1.
        option: The text of the ``--eng5-set`` option that gave the value, else None.
    """

    path: Path
    line: int = 1
    column: int = 1
    option: str | None = None

    def __str__(self) -> str:
        if self.option is not None:
            return f"--eng5-set {self.option}"
        return f"{shown_path(self.path)}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, what, and (``hint``) how to fix it."""

    location: Location
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        head = f"{self.location}: {self.message}"
        return f"{head}\n  fix: {self.hint}" if self.hint else head


class ScenarioError(UsageError):
    """A scenario file, or a file that it names, cannot be used as it is.

    The text starts with ``path:line:column: message`` of the first problem; further problems follow, each
    with its own position.

    Attributes:
        problems: Every problem found, at least one.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        first = self.problems[0]
        super().__init__(first.message, where=str(first.location), fix=first.hint)

    @classmethod
    def at(cls, location: Location, message: str, hint: str | None = None) -> Self:
        """Return an error with a single problem."""
        return cls([Problem(location, message, hint)])

    @property
    def location(self) -> Location:
        """Place of the first problem."""
        return self.problems[0].location

    @property
    def path(self) -> Path:
        """File of the first problem."""
        return self.location.path

    @property
    def line(self) -> int:
        """Line of the first problem, counted from 1."""
        return self.location.line

    @property
    def column(self) -> int:
        """Column of the first problem, counted from 1."""
        return self.location.column

    @property
    def message(self) -> str:
        """What is wrong, of the first problem, without its position."""
        return self.problems[0].message

    @property
    def hint(self) -> str | None:
        """How to fix the first problem, if that can be said."""
        return self.problems[0].hint

    def __str__(self) -> str:
        lines = [str(problem) for problem in self.problems[:_MAX_SHOWN]]
        if len(self.problems) > _MAX_SHOWN:
            lines.append(f"... and {len(self.problems) - _MAX_SHOWN} more problems")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problems,)


class AnchorError(ScenarioError):
    """The anchors of an inputs folder, or their grades, cannot be used as they are."""


class OverrideError(ScenarioError):
    """An ``--eng5-set`` option cannot be applied; the text starts with that option instead of a position."""
