"""What lies in an inputs folder: essays with their texts, instructions and student prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from pytest_eng5.contracts import text_sha256
from pytest_eng5.evidence import SourceText
from pytest_eng5.runner.errors import InputError
from pytest_eng5.runner.texts import EssayText, extract_text
from pytest_eng5.scenario import (
    ANCHOR_FOLDER,
    STUDENT_FOLDER,
    Anchor,
    Problem,
    ScenarioError,
    Student,
    has_anchors,
    list_essays,
    read_anchors,
    read_students,
)

__all__ = ["Essay", "Inventory", "read_inputs", "read_inventory", "read_source"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Essay:
    """One essay: the user's id, where it lies, its text and expert grade, SHA-256 of its file's bytes."""

    local_id: str
    path: Path
    text: str
    grade: str | None
    source_sha256: str | None = None

    @property
    def checksum(self) -> str:
        """SHA-256 of the text as it is uploaded."""
        return text_sha256(self.text)


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything that goes into a run; paths in texts are relative to the inputs folder.

    Attributes:
        root: The inputs folder.
        anchors: Essays with an expert grade; empty if they were not asked for.
        students: Essays to be graded; empty if they were not asked for.
        notices: Lock files and hidden files, which were passed over, each with what to do if that is wrong.
        problems: Why it cannot be used; empty unless it was asked for with all its problems.
    """

    root: Path
    anchors: tuple[Essay, ...]
    instructions: SourceText | None = None
    prompt: SourceText | None = None
    students: tuple[Essay, ...] = ()
    notices: tuple[Problem, ...] = ()
    problems: tuple[Problem, ...] = ()


class _Reading:
    """One reading of a folder, which goes on after a problem so that all of them can be told together."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.problems: list[Problem] = []
        self.notices: list[Problem] = []

    def attempt(self, read: Callable[[], _T]) -> _T | None:
        """Return what ``read`` returns; ``None`` if it complains."""
        try:
            return read()
        except ScenarioError as error:
            self.problems += error.problems
            return None

    def essays(
        self, folder: str, read: Callable[[Path], Sequence[Anchor] | Sequence[Student]]
    ) -> tuple[Essay, ...]:
        """Read the essays of one folder; their texts are tried even if ids or grades are wrong."""
        found = self.attempt(lambda: read(self.root))
        files = self.attempt(lambda: list_essays(self.root / folder))
        if files is None:
            return ()
        self.notices += files.passed_over
        texts = {path: self.attempt(partial(_text, path, "essay")) for path in files.paths}
        readable = {path: text for path, text in texts.items() if text is not None}
        if found is None:  # ids and grades are in doubt; the texts are still there
            return tuple(
                Essay(path.stem, path, t.text, None, t.source_sha256) for path, t in readable.items()
            )
        return tuple(_essay(entry, readable[entry.path]) for entry in found if entry.path in readable)

    def source(self, name: str) -> SourceText | None:
        """Read a text that a folder may have or not."""
        path = self.root / name
        return (
            self.attempt(lambda: _source(path, self.root, _text(path, "file").text))
            if path.exists()
            else None
        )


def read_inputs(mode: str, inputs: Path) -> Inventory:
    """Read of an inputs folder what a mode needs.

    ``plan`` looks at whatever essays there are and keeps the problems, to tell them. The anchors of
    ``execute`` may be with the CJ service only.

    Raises:
        InputError: See `read_inventory`; not in mode ``plan``.
    """
    if mode == "plan":
        students = (inputs / STUDENT_FOLDER).exists()
        return read_inventory(inputs, anchors=has_anchors(inputs), students=students, refuse=False)
    anchors = mode != "execute" or has_anchors(inputs)
    return read_inventory(inputs, anchors=anchors, students=mode != "anchor-align-test")


def read_inventory(
    inputs: Path, *, anchors: bool = True, students: bool = False, refuse: bool = True
) -> Inventory:
    """Read an inputs folder.

    Args:
        inputs: The folder.
        anchors: Read the folder ``anchors/`` and its table.
        students: Read the folder ``students/``.
        refuse: Raise if there is any problem, rather than return the problems with what could be read.

    Raises:
        InputError: Essays are missing, ambiguous, ungraded or empty, or a file cannot be read; it holds
            every problem of the folder.
    """
    reading = _Reading(inputs.absolute())
    inventory = Inventory(
        root=reading.root,
        anchors=reading.essays(ANCHOR_FOLDER, read_anchors) if anchors else (),
        students=reading.essays(STUDENT_FOLDER, read_students) if students else (),
        instructions=reading.source("instructions.md"),
        prompt=reading.source("prompt.md"),
        notices=tuple(reading.notices),
    )
    problems = tuple(dict.fromkeys(reading.problems))
    if problems and refuse:
        raise InputError(problems)
    return replace(inventory, problems=problems)


def read_source(path: Path, relative_to: Path) -> SourceText:
    """Read a text with its checksum.

    Raises:
        InputError: Missing, blank, or no text.
    """
    try:
        return _source(path, relative_to, _text(path, "file").text)
    except ScenarioError as error:
        raise InputError(error.problems) from error


def _source(path: Path, relative_to: Path, text: str) -> SourceText:
    shown = path.relative_to(relative_to).as_posix() if path.is_relative_to(relative_to) else path.name
    return SourceText(source_path=shown, checksum=text_sha256(text), content=text)


def _essay(entry: Anchor | Student, text: EssayText) -> Essay:
    if isinstance(entry, Anchor):
        return Essay(entry.anchor_id, entry.path, text.text, entry.grade, text.source_sha256)
    return Essay(entry.student_id, entry.path, text.text, None, text.source_sha256)


def _text(path: Path, role: str) -> EssayText:
    try:
        return extract_text(path)
    except ScenarioError as error:
        message = f"the {role} {path.name!r} {error.message}"
        raise ScenarioError.at(error.location, message, error.hint) from error
