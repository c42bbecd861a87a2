"""An artefact as it lies on disk, read in parts: comparisons are most of it and never in memory all at once.

The writer puts every comparison of ``llm_comparisons`` on lines of its own with a fixed indent, and newlines
inside texts are escaped, so that the places where comparisons begin and end are known without parsing. A
document that is laid out in another way is read as a whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

__all__ = ["ArtefactDocument", "open_document", "read_document"]

_BLOCK = 1 << 20
_ROWS = "llm_comparisons"
_OPEN, _CLOSE = b'\n  "llm_comparisons": [\n', b"\n  ]"
_BETWEEN = b"\n    },\n"
_CHECKSUM = b'"artefact_checksum": "'

Rows = list[Any]


@dataclass(frozen=True)
class ArtefactDocument:
    """An artefact in parts.

    Attributes:
        path: Its file.
        rest: The document with an empty list of comparisons, if it has one.
        first: Byte at which the comparisons begin.
        end: Byte after them; 0 if the document was read as a whole, or has none.
        whole: The comparisons of a document that was read as a whole.
    """

    path: Path
    rest: Any
    first: int = 0
    end: int = 0
    whole: Rows | None = None

    def rows(self) -> Iterator[tuple[int, Rows]]:
        """The comparisons some at a time, with the index of the first of them.

        Raises:
            ValueError: What stands there is no JSON.
        """
        if self.whole is not None:
            yield 0, self.whole
        index = 0
        for rows in self._blocks():
            yield index, rows
            index += len(rows)

    def _blocks(self) -> Iterator[Rows]:
        rest = b""
        with self.path.open("rb") as file:
            file.seek(self.first)
            while file.tell() < self.end:
                rest += file.read(min(_BLOCK, self.end - file.tell()))
                cut = rest.rfind(_BETWEEN)
                if cut >= 0 and file.tell() < self.end:
                    yield orjson.loads(b"[" + rest[: cut + len(_BETWEEN) - 2] + b"]")
                    rest = rest[cut + len(_BETWEEN) :]
        if rest.strip():
            yield orjson.loads(b"[" + rest + b"]")

    def has_checksum(self, stored: str, blank: str) -> bool:
        """Whether the file, byte for byte, has the checksum that stands in it (contract 10.7).

        Args:
            stored: The checksum in the file.
            blank: What stood in its place while it was computed.
        """
        with self.path.open("rb") as file:
            place = _find(file, _CHECKSUM + stored.encode() + b'"', self.end)
            if place < 0:
                return False
            digest, first = hashlib.sha256(), place + len(_CHECKSUM)
            file.seek(0)
            for left in range(first, 0, -_BLOCK):
                digest.update(file.read(min(_BLOCK, left)))
            digest.update(blank.encode())
            file.seek(first + len(stored))
            digest.update(file.read().removesuffix(b"\n"))
        return digest.hexdigest() == stored


def read_document(path: Path) -> Any:
    """The whole of a JSON document exactly as it was written; ``None`` if it cannot be read."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def open_document(path: Path) -> ArtefactDocument | None:
    """Open an artefact; ``None`` if it cannot be read. Its comparisons are parsed when they are asked for."""
    try:
        return _in_parts(path)
    except (OSError, ValueError):
        pass
    document = read_document(path)
    if document is None:
        return None
    rows = document.get(_ROWS) if isinstance(document, dict) else None
    if not isinstance(rows, list):
        return ArtefactDocument(path, document)
    return ArtefactDocument(path, {**document, _ROWS: []}, whole=rows)


def _in_parts(path: Path) -> ArtefactDocument:
    """Open an artefact that has the writer's own layout.

    Raises:
        ValueError: It has another one, or is no JSON.
    """
    with path.open("rb") as file:
        place = _find(file, _OPEN, 0)
        if place < 0:
            raise ValueError("no list of comparisons in the writer's layout")
        first = place + len(_OPEN)
        end = _find(file, _CLOSE, first - 1)
        if end < 0:
            raise ValueError("the list of comparisons does not end")
        file.seek(0)
        head = file.read(first)
        file.seek(end)
        rest = orjson.loads(head + file.read())
    return ArtefactDocument(path, rest, first, end)


def _find(file: BinaryIO, needle: bytes, start: int) -> int:
    """First place of some bytes at or after ``start``, -1 if there is none."""
    file.seek(start)
    base, window = start, b""
    while block := file.read(_BLOCK):
        window += block
        found = window.find(needle)
        if found >= 0:
            return base + found
        keep = max(0, len(window) - len(needle) + 1)
        base, window = base + keep, window[keep:]
    return -1
