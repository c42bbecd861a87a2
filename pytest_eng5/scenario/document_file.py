"""What can be said about a Word or PDF file by its first bytes and its table of contents, without reading it.

Collection stays light: text is extracted only when a run reads its inputs. What is refused here is what no
reader should be given: files that are something else than their suffix says, and archives that unpack to
more than a document can hold.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass

from pytest_eng5.scenario.errors import shown_text

__all__ = ["MAX_DOCUMENT_BYTES", "Complaint", "archive_complaint", "document_complaint"]

MAX_DOCUMENT_BYTES = 16 << 20
"""Size limit in bytes of a Word or PDF file."""

MAX_PARTS = 2_000
MAX_XML_BYTES = 16 << 20
MAX_UNPACKED_BYTES = 64 << 20

_PDF_HEAD = 1024  # how far from the start of a file readers look for its mark
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "a PDF"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office file (.doc, .xls), or one with a password"),
    (b"PK\x03\x04", "a ZIP archive, such as .docx, .odt or .pages"),
    (b"{\\rtf", "an RTF document"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"<!DOCTYPE html", "a web page"),
    (b"<html", "a web page"),
)
_OFFICE = {"word/": "a Word document", "xl/": "a workbook", "ppt/": "a presentation"}


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with a file, as the end of a sentence about it, and how to fix it."""

    message: str
    hint: str


def document_complaint(suffix: str, content: bytes) -> Complaint | None:
    """Return what is wrong with the content of a ``.docx`` or ``.pdf`` file, as far as that is plain."""
    if not content.strip(b"\0 \t\r\n"):
        return Complaint("is empty", "write its text into it, or remove it")
    if suffix == ".pdf":
        return None if b"%PDF-" in content[:_PDF_HEAD] else _disguised(content, "a PDF")
    if not content.startswith(b"PK"):
        return _disguised(content, "a Word document")
    return archive_complaint(content, "open it in Word and save it again as .docx", claimed="word/")


def _disguised(content: bytes, claimed: str) -> Complaint:
    real = next((name for mark, name in _SIGNATURES if content.startswith(mark)), None)
    message = f"is not {claimed} but {real}" if real else f"is not {claimed}"
    if real and "password" in real:
        return Complaint(message, "open it in Word and save it as .docx, without a password")
    return Complaint(message, "save it anew as .docx, .pdf or UTF-8 text; renaming does not convert a file")


def archive_complaint(content: bytes, hint: str, *, claimed: str) -> Complaint | None:
    """Return what is wrong with the archive that an Office file is.

    Args:
        content: The file.
        hint: How to get a file that is not damaged.
        claimed: Folder that holds the parts of such a file: ``word/``, ``xl/`` or ``ppt/``.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
    except Exception as error:  # whatever a damaged archive provokes
        return Complaint(f"is damaged: {shown_text(str(error) or type(error).__name__, 200)}", hint)
    names = {part.filename for part in parts}
    if "[Content_Types].xml" not in names:
        what = "an OpenDocument or other archive" if "mimetype" in names else "another kind of archive"
        return Complaint(f"is not an Office Open XML file but {what}", hint)
    other = next(
        (kind for folder, kind in _OFFICE.items() if _has(names, folder) and folder != claimed), None
    )
    if other and not _has(names, claimed):
        return Complaint(f"is not {_OFFICE[claimed]} but {other}", hint)
    if any(part.flag_bits & 1 for part in parts):
        return Complaint("is encrypted", hint)
    return _size_complaint(parts)


def _has(names: Iterable[str], folder: str) -> bool:
    return any(name.startswith(folder) for name in names)


def _size_complaint(parts: list[zipfile.ZipInfo]) -> Complaint | None:
    hint = "check that this is the file you mean; remove pictures that it does not need"
    if len(parts) > MAX_PARTS:
        return Complaint(f"has {len(parts)} parts, more than {MAX_PARTS}", hint)
    unpacked = sum(part.file_size for part in parts)
    if unpacked > MAX_UNPACKED_BYTES:
        return Complaint(f"unpacks to {unpacked >> 20} MiB, more than {MAX_UNPACKED_BYTES >> 20}", hint)
    xml = max((part.file_size for part in parts if part.filename.endswith((".xml", ".rels"))), default=0)
    if xml > MAX_XML_BYTES:
        return Complaint(f"has a part of {xml >> 20} MiB, more than {MAX_XML_BYTES >> 20}", hint)
    return None
