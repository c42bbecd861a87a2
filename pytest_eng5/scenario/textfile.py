"""Reading small UTF-8 text files whose defects must be reported by position."""

from __future__ import annotations

import codecs
import stat
from pathlib import Path

from pytest_eng5.scenario.errors import Location, Problem, ScenarioError

__all__ = ["MAX_TEXT_BYTES", "decode_text", "position_at", "read_bytes", "read_text", "reason_of"]

MAX_TEXT_BYTES = 1 << 20
"""Size limit in bytes of a prompt, a rubric, an essay or a grade table."""

_UTF32_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def reason_of(error: OSError | ValueError) -> str:
    """Return the operating system's reason without the path, which the message around it already names."""
    return getattr(error, "strerror", None) or str(error)


def position_at(text: str, offset: int) -> tuple[int, int]:
    """Return line and column (both from 1) of a character offset; LF, CRLF and CR end a line."""
    before = text[:offset].replace("\r\n", "\n").replace("\r", "\n")
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def read_text(path: Path, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """Return the text of a UTF-8 file, without a byte order mark, line ends as they are.

    Raises:
        ScenarioError: Not a regular file, not readable, larger than ``max_bytes`` or not UTF-8; the position
            is that of the first byte that is wrong.
    """
    return decode_text(path, read_bytes(path, max_bytes))


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """Return the content of a regular file of at most ``max_bytes``; errors as in `read_text`."""
    try:
        # A named pipe or a device would block or never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise ScenarioError.at(Location(path), "is not a regular file", "name a text file")
        with path.open("rb") as stream:
            content = stream.read(max_bytes + 1)
    except (OSError, ValueError) as error:
        hint = "check that it exists and may be read"
        raise ScenarioError.at(Location(path), f"cannot be read: {reason_of(error)}", hint) from error
    if len(content) > max_bytes:
        raise ScenarioError.at(
            Location(path), f"is larger than {max_bytes // 1024} KiB", "check that this is the file you mean"
        )
    return content


def decode_text(path: Path, content: bytes, *, utf16: bool = False) -> str:
    """Return ``content`` decoded from UTF-8; errors as in `read_text`, ``path`` is for their position.

    Args:
        utf16: Take UTF-16 as well, if the content starts with its byte order mark.
    """
    wide = content.startswith(_UTF16_MARKS) and not content.startswith(_UTF32_MARKS)
    if content.startswith(_UTF32_MARKS) or (wide and not utf16):
        raise ScenarioError.at(
            Location(path), "is UTF-16 or UTF-32 text, not UTF-8", "save the file as UTF-8"
        )
    codec, name = ("utf-16", "UTF-16") if wide else ("utf-8-sig", "UTF-8")
    try:
        text = content.decode(codec)
    except UnicodeDecodeError as error:
        good = error.object[: error.start].decode(codec)
        problem = Problem(
            Location(path, *position_at(good, len(good))),
            f"is not {name}: byte 0x{error.object[error.start]:02x} cannot be decoded",
            "save the file as UTF-8",
        )
        raise ScenarioError([problem]) from None
    if (offset := text.find("\0")) >= 0:
        where = Location(path, *position_at(text, offset))
        raise ScenarioError.at(where, "holds a NUL character", "check that this is a text file")
    return text
