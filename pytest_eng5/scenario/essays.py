"""The essay files of a folder."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_eng5.scenario.document_file import MAX_DOCUMENT_BYTES, document_complaint
from pytest_eng5.scenario.errors import Location, Problem, ScenarioError, shown_path, shown_text
from pytest_eng5.scenario.textfile import MAX_TEXT_BYTES, decode_text, read_bytes, reason_of

__all__ = [
    "DOCUMENT_SUFFIXES",
    "TEXT_SUFFIXES",
    "EssayFiles",
    "decode_essay",
    "essay_problem",
    "list_essays",
    "normal_name",
    "read_essay",
]

TEXT_SUFFIXES = frozenset({".txt", ".md"})
DOCUMENT_SUFFIXES = frozenset({".docx", ".pdf"})

_CONVERT = "save it as .docx, .pdf or UTF-8 text (.txt, .md), or take it out of the folder"


@dataclass(frozen=True, slots=True)
class EssayFiles:
    """What a folder holds: usable essays by name, and a problem for each other file.

    Attributes:
        folder: The folder.
        paths: Essays, sorted by name.
        problems: Files of kinds that cannot be used.
        by_name: Essays by name, and by name without suffix where that is unambiguous.
        refused: Names of files that ``problems`` is about.
        passed_over: A notice for each lock file (``~$...``) and hidden file; these are no reason to refuse.
    """

    folder: Path
    paths: tuple[Path, ...]
    problems: tuple[Problem, ...]
    by_name: dict[str, Path]
    refused: frozenset[str]
    passed_over: tuple[Problem, ...] = ()

    def find(self, name: str) -> Path | None:
        """Return the essay with this name, or the only one with this name before its suffix."""
        return self.by_name.get(normal_name(name))

    def is_refused(self, name: str) -> bool:
        """Whether the name is that of a file which was refused for its kind."""
        return normal_name(name) in self.refused


def normal_name(name: str) -> str:
    """Return a name with composed letters: some file systems decompose å, tables usually do not."""
    return unicodedata.normalize("NFC", name)


def list_essays(folder: Path) -> EssayFiles:
    """Return the essays of a folder; hidden files and lock files (``~$...``) are passed over.

    Raises:
        ScenarioError: There is no such folder, or it cannot be listed.
    """
    try:
        entries = sorted(folder.iterdir(), key=lambda path: (normal_name(path.name), path.name))
    except (OSError, ValueError) as error:
        hint = f"create {shown_path(folder)} with one text file per essay"
        raise ScenarioError.at(
            Location(folder), f"cannot list the essays: {reason_of(error)}", hint
        ) from error
    seen = [path for path in entries if not path.name.startswith((".", "~$"))]
    problems = {path: problem for path in seen if (problem := _kind_problem(path))}
    paths = tuple(path for path in seen if path not in problems)
    return EssayFiles(
        folder=folder,
        paths=paths,
        by_name=_by_name(paths),
        refused=frozenset(normal_name(path.name) for path in problems),
        problems=(*problems.values(), *_twins(paths)),
        passed_over=tuple(_notice(path) for path in entries if path not in seen),
    )


def _notice(path: Path) -> Problem:
    if path.name.startswith("~$"):
        name = shown_text(path.name[2:])
        hint = f"close the document that ends in {name!r} in its editor, so that what you see is what is read"
        return Problem(Location(path), "a lock file is passed over", hint)
    return Problem(Location(path), "a hidden file is passed over", "rename it if it is an essay")


def _by_name(paths: Sequence[Path]) -> dict[str, Path]:
    stems = Counter(normal_name(path.stem) for path in paths)
    lone = {normal_name(path.stem): path for path in paths if stems[normal_name(path.stem)] == 1}
    return lone | {normal_name(path.name): path for path in paths}


def _twins(paths: Iterable[Path]) -> list[Problem]:
    """Files whose names look the same: one has composed letters, the other decomposed ones."""
    first: dict[str, Path] = {}
    return [
        Problem(
            Location(path),
            f"another file is called {path.name!r} too: they differ only in how letters such as å are stored",
            "remove one of them",
        )
        for path in paths
        if first.setdefault(normal_name(path.name), path) is not path
    ]


def _kind_problem(path: Path) -> Problem | None:
    if not path.name.isprintable():
        message = f"the file name {path.name!r} holds characters that cannot be printed"
        return Problem(Location(path), message, "rename it")
    if path.suffix.lower() in TEXT_SUFFIXES | DOCUMENT_SUFFIXES and not path.is_dir():
        return None
    return Problem(Location(path), f"{path.name!r} is no essay: not .txt, .md, .docx or .pdf", _CONVERT)


def read_essay(path: Path) -> bytes:
    """Return the bytes of an essay that may be read: a regular file of bounded size, what its suffix says.

    Raises:
        ScenarioError: It is not; the message is the end of a sentence about the file.
    """
    suffix = path.suffix.lower()
    if suffix not in DOCUMENT_SUFFIXES:
        return read_bytes(path, MAX_TEXT_BYTES)
    content = read_bytes(path, MAX_DOCUMENT_BYTES)
    complaint = document_complaint(suffix, content)
    if complaint:
        raise ScenarioError.at(Location(path), complaint.message, complaint.hint)
    return content


def decode_essay(path: Path, content: bytes) -> str:
    """Return the text of a ``.txt`` or ``.md`` file: UTF-8, or UTF-16 with a byte order mark.

    Raises:
        ScenarioError: Another encoding, at its first wrong byte; or nothing but blanks.
    """
    text = decode_text(path, content, utf16=True)
    if not text.strip():
        raise ScenarioError.at(Location(path), "is empty", "write its text into it, or remove it")
    return text


def essay_problem(path: Path) -> Problem | None:
    """Return what is wrong with an essay, as far as that is known before its text is extracted."""
    try:
        content = read_essay(path)
        if path.suffix.lower() in TEXT_SUFFIXES:
            decode_essay(path, content)
    except ScenarioError as error:
        return Problem(error.location, f"the essay {path.name!r} {error.message}", error.hint)
    return None
