"""The text layer of a PDF, page by page.

Lines are as the PDF has them: words that were hyphenated stay so, and headers, footers and page numbers are
in the text, since a PDF does not tell them from it. Annotations (comments, notes) are left out. Ligatures,
which a font makes of what a student typed, become letters again.
"""

from __future__ import annotations

import io
import logging
import re
from typing import TYPE_CHECKING

from pytest_eng5.runner.errors import TextError

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader

__all__ = ["MAX_PAGES", "pdf_text"]

MAX_PAGES = 200
"""More pages than that are no essay."""

_LIGATURES = str.maketrans(
    {
        **{"\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl"},
        **{"\ufb05": "st", "\ufb06": "st"},
    }
)
_INLINE_PICTURE = re.compile(rb"\bBI\s.*?\sID\s", re.DOTALL)
_MAX_SHOWN = 5
_MAX_DRAWN_BYTES = 8 << 20
_MAX_OPERATIONS = 300_000
_PRINT = "print it to a new PDF, or give the essay as text"


def pdf_text(content: bytes) -> str:
    """Return the text of a ``.pdf`` file, pages separated by a line end.

    Raises:
        TextError: Protected by a password, too many pages, pages without text, or a filled-in form.
    """
    reader = _opened(content)
    if reader.get_form_text_fields() and any(reader.get_form_text_fields().values()):
        raise TextError("is a form, and what was filled in is no part of its text", fix=_PRINT)
    pages = _pages(reader)
    scanned = [number for number, (page, text) in enumerate(pages, 1) if not text and _draws(page)]
    if not any(text for _, text in pages):
        held = "only pictures: it is probably a scan" if scanned else f"on {_count(len(pages))}"
        raise TextError(f"holds no text, {held}", fix="run text recognition (OCR), or give the essay as text")
    if scanned:
        shown = ", ".join(map(str, scanned[:_MAX_SHOWN])) + (", ..." if len(scanned) > _MAX_SHOWN else "")
        what = f"holds a picture but no text on page {shown} of {len(pages)}"
        raise TextError(what, fix="run text recognition (OCR), or take the pages out")
    return "\n".join(text for _, text in pages if text) + "\n"


def _pages(reader: PdfReader) -> list[tuple[PageObject, str]]:
    """Every page with its text, as long as that is the amount of work of an essay and nothing gets lost."""
    drawn = 0
    for page in reader.pages:
        contents = page.get_contents()
        drawn += len(contents.get_data()) if contents is not None else 0
        if drawn > _MAX_DRAWN_BYTES:
            raise TextError(f"draws more than {_MAX_DRAWN_BYTES >> 20} MiB, more than an essay", fix=_PRINT)
    effort, losses = _Effort(), _Losses()
    logger = logging.getLogger("pypdf")
    logger.addHandler(losses)
    try:
        pages = [(page, _tidy(page.extract_text(visitor_operand_before=effort))) for page in reader.pages]
    finally:
        logger.removeHandler(losses)
    effort.check()
    if losses.messages:
        raise TextError("holds a part whose text cannot be read", fix=_PRINT)
    return pages


class _Effort:
    """Counts drawing operations: forms inside forms can make a small file draw without end."""

    def __init__(self) -> None:
        self.operations = 0

    def __call__(self, *_: object) -> None:
        self.operations += 1
        self.check()

    def check(self) -> None:
        """Raise once there were too many; pypdf swallows what is raised inside a form."""
        if self.operations > _MAX_OPERATIONS:
            raise TextError(f"takes more than {_MAX_OPERATIONS:,} steps to draw", fix=_PRINT)


class _Losses(logging.Handler):
    """Notes where pypdf goes on without a part of a page, which it only logs."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message.startswith("Impossible to decode XFormObject"):
            self.messages.append(message)


def _count(pages: int) -> str:
    return "1 page" if pages == 1 else f"{pages} pages"


def _opened(content: bytes) -> PdfReader:
    from pypdf import PdfReader
    from pypdf.errors import DependencyError

    try:
        reader = PdfReader(io.BytesIO(content))
        locked = reader.is_encrypted and not reader.decrypt("")
        pages = 0 if locked else len(reader.pages)
    except DependencyError:
        locked, pages = True, 0
    if locked:
        raise TextError("is protected", fix="save a copy without password and encryption")
    if not pages:
        raise TextError("has no pages", fix="export it again")
    if pages > MAX_PAGES:
        raise TextError(
            f"has {pages} pages, more than {MAX_PAGES}", fix="check that this is the file you mean"
        )
    return reader


def _tidy(text: str) -> str:
    lines = text.translate(_LIGATURES).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def _draws(page: PageObject) -> bool:
    """Whether a page shows pictures: of its own, or inside a form that it places."""
    resources = page.get("/Resources")
    if resources is not None and (resources.get_object().get("/XObject") or {}):
        return True
    contents = page.get_contents()
    return contents is not None and bool(_INLINE_PICTURE.search(contents.get_data()))
