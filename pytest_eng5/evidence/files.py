"""Durable files: atomic writes for what is written once, an append-only log for what grows."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

_BUFFER = 1 << 20

__all__ = ["AppendOnlyLog", "json_bytes", "write_atomic", "write_json"]


def json_bytes(value: Any) -> bytes:
    """The JSON form of every derived file: two spaces of indent, keys in order, ASCII, final newline."""
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees all of it or none: temporary file, fsync, rename, fsync folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON document atomically."""
    write_atomic(path, json_bytes(value))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class AppendOnlyLog:
    """A JSON-lines file that only grows; nothing is ever read back or rewritten.

    :meth:`append` buffers, :meth:`sync` makes everything appended so far durable. The file is created at the
    first append, so an absent stream leaves no empty file behind.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = 0
        self._stream: BinaryIO | None = None
        self._dirty = False

    def append(self, line: bytes) -> int:
        """Append one line (without its newline); returns its 1-based line number."""
        if self._stream is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self.path.open("ab", buffering=_BUFFER)
        self._stream.write(line + b"\n")
        self._dirty = True
        self.lines += 1
        return self.lines

    def sync(self) -> None:
        """Flush and fsync if anything was appended since the last call."""
        if self._stream is not None and self._dirty:
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._dirty = False

    def close(self) -> None:
        """Make everything durable and close the file."""
        if self._stream is not None:
            self.sync()
            self._stream.close()
            self._stream = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
