"""The essay files of a folder."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_eng5.scenario.errors import Location, Problem, ScenarioError, shown_path
from pytest_eng5.scenario.textfile import read_text, reason_of

__all__ = ["NOT_YET_SUFFIXES", "TEXT_SUFFIXES", "EssayFiles", "essay_problem", "list_essays"]

TEXT_SUFFIXES = frozenset({".txt", ".md"})
NOT_YET_SUFFIXES = frozenset({".docx", ".pdf"})
"""Recognised as essays, but not supported yet: nothing extracts their text."""


@dataclass(frozen=True, slots=True)
class EssayFiles:
    """What a folder holds: usable essays by name, and a problem for each other file.

    Attributes:
        folder: The folder.
        paths: Essays, sorted by name.
        problems: Files of kinds that cannot be used.
        by_name: Essays by name, and by name without suffix where that is unambiguous.
        refused: Names of files that ``problems`` is about.
    """

    folder: Path
    paths: tuple[Path, ...]
    problems: tuple[Problem, ...]
    by_name: dict[str, Path]
    refused: frozenset[str]

    def find(self, name: str) -> Path | None:
        """Return the essay with this name, or the only one with this name before its suffix."""
        return self.by_name.get(_normal(name))

    def is_refused(self, name: str) -> bool:
        """Whether the name is that of a file which was refused for its kind."""
        return _normal(name) in self.refused


def _normal(name: str) -> str:
    # Some file systems decompose letters such as å, tables usually do not.
    return unicodedata.normalize("NFC", name)


def list_essays(folder: Path) -> EssayFiles:
    """Return the essays of a folder; hidden files and lock files (``~$...``) are passed over.

    Raises:
        ScenarioError: There is no such folder, or it cannot be listed.
    """
    try:
        entries = sorted(folder.iterdir(), key=lambda path: path.name)
    except (OSError, ValueError) as error:
        hint = f"create {shown_path(folder)} with one text file per anchor essay"
        raise ScenarioError.at(
            Location(folder), f"cannot list the essays: {reason_of(error)}", hint
        ) from error
    seen = [path for path in entries if not path.name.startswith((".", "~$"))]
    complaints = {path: _kind_complaint(path) for path in seen}
    paths = tuple(path for path, complaint in complaints.items() if not complaint)
    return EssayFiles(
        folder=folder,
        paths=paths,
        by_name=_by_name(paths),
        refused=frozenset(_normal(path.name) for path, complaint in complaints.items() if complaint),
        problems=tuple(
            Problem(
                Location(path), complaint, "save it as UTF-8 text (.txt or .md), or take it out of the folder"
            )
            for path, complaint in complaints.items()
            if complaint
        ),
    )


def _by_name(paths: Sequence[Path]) -> dict[str, Path]:
    stems = [_normal(path.stem) for path in paths]
    lone = {stem: path for stem, path in zip(stems, paths, strict=True) if stems.count(stem) == 1}
    return lone | {_normal(path.name): path for path in paths}


def _kind_complaint(path: Path) -> str | None:
    if not path.name.isprintable():
        return f"the file name {path.name!r} holds characters that cannot be printed"
    suffix = path.suffix.lower()
    if suffix in NOT_YET_SUFFIXES:
        return f"essays in {suffix} files are not supported yet"
    if suffix not in TEXT_SUFFIXES or path.is_dir():
        return f"{path.name!r} is no essay: neither .txt nor .md"
    return None


def essay_problem(path: Path) -> Problem | None:
    """Return what is wrong with the text of an essay; None if it is UTF-8 and not blank."""
    try:
        text = read_text(path)
    except ScenarioError as error:
        return Problem(error.location, f"the essay {path.name!r} {error.message}", error.hint)
    if text.strip():
        return None
    return Problem(
        Location(path), f"the essay {path.name!r} is empty", "write its text into it, or remove it"
    )
