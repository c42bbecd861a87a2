"""From an essay file to the text that is uploaded.

A file is read once: the text and both hashes come from the same bytes.
"""

from __future__ import annotations

import hashlib
import threading
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pytest_eng5.errors import Eng5Error
from pytest_eng5.runner.docx_text import docx_text
from pytest_eng5.runner.errors import TextError
from pytest_eng5.runner.pdf_text import pdf_text
from pytest_eng5.scenario import Location, ScenarioError, decode_essay, read_essay

__all__ = ["MAX_ESSAY_CHARACTERS", "EssayText", "extract_text"]

MAX_ESSAY_CHARACTERS = 1 << 20
"""An extracted text that is longer is no essay."""

_MAX_ODD_SHARE = 0.05
_MAX_REASON = 200
_READERS: dict[str, Callable[[bytes], str]] = {".docx": docx_text, ".pdf": pdf_text}


@dataclass(frozen=True, slots=True)
class EssayText:
    """A text as it is uploaded (lines end in LF), and SHA-256 of the bytes of its file."""

    text: str
    source_sha256: str


class _Extracted:
    """Texts by suffix and hash of their file: many runs use the same essays, and PDFs are slow to read."""

    def __init__(self) -> None:
        self._texts: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()

    def text(self, suffix: str, content: bytes, sha256: str) -> str:
        with self._lock:
            key = suffix, sha256
            if key not in self._texts:
                self._texts[key] = _document_text(suffix, content)
            return self._texts[key]


_extracted = _Extracted()


def extract_text(path: Path) -> EssayText:
    """Read an essay: ``.txt`` and ``.md`` as they stand, ``.docx`` and ``.pdf`` as their readers say.

    Raises:
        ScenarioError: The file cannot be read, is not what its suffix says, is damaged, protected or too
            large, or holds no usable text. The message is the end of a sentence about the file.
    """
    content = read_essay(path)
    sha256 = hashlib.sha256(content).hexdigest()
    suffix = path.suffix.lower()
    if suffix not in _READERS:
        text = decode_essay(path, content).replace("\r\n", "\n").replace("\r", "\n")
        return EssayText(text, sha256)
    try:
        return EssayText(_extracted.text(suffix, content, sha256), sha256)
    except TextError as error:
        raise ScenarioError.at(Location(path), error.what, error.fix) from error


def _document_text(suffix: str, content: bytes) -> str:
    try:
        text = _READERS[suffix](content)
    except Eng5Error:
        raise
    except Exception as error:  # the readers raise whatever a damaged file provokes
        reason = ascii(str(error))[1:-1][:_MAX_REASON] or type(error).__name__
        fix = "open it in the program that made it and save it again"
        raise TextError(f"is damaged: {reason}", fix=fix) from error
    if len(text) > MAX_ESSAY_CHARACTERS:
        what = f"holds {len(text)} characters of text, more than {MAX_ESSAY_CHARACTERS}"
        raise TextError(what, fix="check that this is the file you mean")
    return _legible(text)


def _legible(text: str) -> str:
    """The text without control characters; refused if too much of it is no character that anybody types.

    Fonts without a table from glyphs to letters turn a PDF's text into such characters.
    """
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    odd = {char for char in set(text) if char == "\ufffd" or unicodedata.category(char) in ("Cc", "Co", "Cn")}
    odd -= {"\n", "\t"}
    if sum(map(text.count, odd)) > _MAX_ODD_SHARE * len(text):
        fix = "print it to a new PDF from the program that made it, or give the essay as text"
        raise TextError("holds text whose letters cannot be told from its font", fix=fix)
    return text.translate({ord(char): None for char in odd if unicodedata.category(char) == "Cc"})
