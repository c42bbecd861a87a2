"""What lies in an inputs folder: essays with their texts, instructions and student prompt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pytest_eng5.contracts import text_sha256
from pytest_eng5.evidence import SourceText
from pytest_eng5.runner.errors import InputError
from pytest_eng5.scenario import read_anchors

__all__ = ["Essay", "Inventory", "read_inventory", "read_source"]


@dataclass(frozen=True, slots=True)
class Essay:
    """One essay: the user's id, where it lies, its text and expert grade."""

    local_id: str
    path: Path
    text: str
    grade: str | None

    @property
    def checksum(self) -> str:
        """SHA-256 of the text as it is uploaded."""
        return text_sha256(self.text)


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything that goes into a run; paths in texts are relative to the inputs folder."""

    root: Path
    anchors: tuple[Essay, ...]
    instructions: SourceText | None = None
    prompt: SourceText | None = None


def read_inventory(inputs: Path) -> Inventory:
    """Read an inputs folder.

    Raises:
        AnchorError: Anchors are missing, ambiguous, ungraded or empty.
        InputError: A file cannot be read as UTF-8 text.
    """
    anchors = tuple(
        Essay(anchor.anchor_id, anchor.path, _text(anchor.path), anchor.grade)
        for anchor in read_anchors(inputs)
    )
    return Inventory(
        root=inputs,
        anchors=anchors,
        instructions=_optional(inputs / "instructions.md", inputs),
        prompt=_optional(inputs / "prompt.md", inputs),
    )


def read_source(path: Path, relative_to: Path) -> SourceText:
    """Read a text with its checksum.

    Raises:
        InputError: Missing, blank, or not UTF-8.
    """
    text = _text(path)
    return SourceText(source_path=_shown(path, relative_to), checksum=text_sha256(text), content=text)


def _optional(path: Path, root: Path) -> SourceText | None:
    return read_source(path, root) if path.is_file() else None


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def _text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"not UTF-8 (byte {error.start})", where=str(path), fix="save it as UTF-8"
        ) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot be read: {reason}", where=str(path), fix="check path and rights") from error
    if not text.strip():
        raise InputError("the file is empty", where=str(path), fix="put the text in, or remove the file")
    return text
