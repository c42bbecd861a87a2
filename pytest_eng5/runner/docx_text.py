"""The text of a Word document, as a reader of the printed page would have it.

python-docx opens the package; its own ``paragraph.text`` skips insertions, content controls and text boxes,
so the body is walked here. What counts as text:

- paragraphs, separated by a blank line; blank paragraphs are spacing and left out
- soft breaks as line ends, tabs as tabs, page and column breaks as line ends inside a paragraph, else nothing
- lists as paragraphs without their bullets and numbers, which are not in the text
- tables row by row, cells separated by tabs; paragraphs inside a cell stay paragraphs
- text boxes once, after the paragraph that they are anchored to; footnotes and endnotes at the end
- tracked changes as if all were accepted; results of fields, not their codes

Left out: headers and footers (names, schools, page numbers), comments, hidden text, pictures, the prompts of
unfilled content controls.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from typing import Any

from pytest_eng5.runner.errors import TextError

__all__ = ["docx_text"]

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_MATH_TEXT = "{http://schemas.openxmlformats.org/officeDocument/2006/math}t"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_NOTES = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
_STRICT = b"http://purl.oclc.org/ooxml/"

_PAGE_BREAK = "\f"
_SIGNS = {f"{_W}tab": "\t", f"{_W}ptab": "\t", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}
_NO_TEXT = frozenset(
    _W + name
    for name in (
        *("pPr", "rPr", "sdtPr", "sdtEndPr", "tblPr", "tblGrid", "trPr", "tcPr", "sectPr"),
        *("del", "moveFrom", "delText", "instrText", "delInstrText", "rt"),
    )
)
_EMBEDDED = frozenset({f"{_W}altChunk", f"{_W}subDoc"})


def docx_text(content: bytes) -> str:
    """Return the text of a ``.docx`` file; the rules are on top of this module.

    Raises:
        TextError: It holds no text, or text that only Word can read.
    """
    document = _opened(content)
    body = document.element.body
    if body.getroottree().docinfo.internalDTD is not None:
        raise TextError("declares entities, which no Word document does", fix="save it anew in Word")
    text = "\n\n".join([*_blocks(body), *_notes(document.part)])
    if text.strip():
        return text + "\n"
    has_pictures = any(
        part.partname.startswith("/word/media/") for part in document.part.package.iter_parts()
    )
    what = "holds no text, only pictures: it is probably a scan" if has_pictures else "is empty"
    fix = (
        "run text recognition (OCR) or type it in" if has_pictures else "write its text into it, or remove it"
    )
    raise TextError(what, fix=fix)


def _opened(content: bytes) -> Any:
    from docx import Document

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if "_rels/.rels" in archive.namelist() and _STRICT in archive.read("_rels/.rels"):
            fix = "save it as 'Word document (.docx)', not as 'Strict Open XML document'"
            raise TextError("is a Strict Open XML document", fix=fix)
    return Document(io.BytesIO(content))


def _blocks(parent: Any) -> Iterator[str]:
    """The paragraphs below an element, in order; wrappers such as content controls are looked through."""
    for child in _visible(parent):
        if child.tag == f"{_W}p":
            yield from _paragraph(child)
        elif child.tag == f"{_W}tbl":
            yield from _table(child)
        elif child.tag in _EMBEDDED:
            fix = "open it in Word and save it again"
            raise TextError("holds another document inside, which only Word can read", fix=fix)
        else:
            yield from _blocks(child)


def _visible(parent: Any) -> Iterator[Any]:
    """Children that can hold text: of alternatives the first, no deletions, no prompts, no properties."""
    for child in parent:
        if not isinstance(child.tag, str) or child.tag in _NO_TEXT or _is_hidden(child):
            continue
        if child.tag == f"{_MC}AlternateContent":
            yield from [*child.iter(f"{_MC}Choice"), *child.iter(f"{_MC}Fallback")][:1]
        else:
            yield child


def _is_hidden(element: Any) -> bool:
    if element.tag == f"{_W}sdt":
        return element.find(f"{_W}sdtPr/{_W}showingPlcHdr") is not None
    if element.tag == f"{_W}tr":
        return element.find(f"{_W}trPr/{_W}del") is not None
    vanish = element.find(f"{_W}rPr/{_W}vanish") if element.tag == f"{_W}r" else None
    return vanish is not None and vanish.get(f"{_W}val", "1") not in ("0", "false", "off")


def _paragraph(paragraph: Any) -> Iterator[str]:
    pieces: list[str] = []
    boxes: list[str] = []
    _gather(paragraph, pieces, boxes)
    text = "".join(pieces).strip(_PAGE_BREAK)
    if text.strip():
        yield re.sub(f"{_PAGE_BREAK}+", "\n", text)
    yield from boxes


def _gather(element: Any, pieces: list[str], boxes: list[str]) -> None:
    for child in _visible(element):
        if child.tag in (f"{_W}t", _MATH_TEXT):
            pieces.append(child.text or "")
        elif child.tag in _SIGNS:
            pieces.append(_SIGNS[child.tag])
        elif child.tag == f"{_W}br":
            pieces.append(_PAGE_BREAK if child.get(f"{_W}type") in ("page", "column") else "\n")
        elif child.tag == f"{_W}sym":
            pieces.append(chr(int(child.get(f"{_W}char", "fffd"), 16)))
        elif child.tag == f"{_W}txbxContent":
            boxes.extend(_blocks(child))
        else:
            _gather(child, pieces, boxes)


def _table(table: Any) -> Iterator[str]:
    rows = [["\n\n".join(_blocks(cell)) for cell in _inside(row, "tc")] for row in _inside(table, "tr")]
    lines = [text for row in rows if (text := "\t".join(row).rstrip("\t")).strip()]
    # A table that is only the frame of an essay must not turn its paragraphs into lines.
    separator = "\n\n" if any("\n" in line for line in lines) else "\n"
    if lines:
        yield separator.join(lines)


def _inside(parent: Any, name: str) -> Iterator[Any]:
    """Rows of a table or cells of a row, also those wrapped in content controls."""
    for child in _visible(parent):
        if child.tag == _W + name:
            yield child
        else:
            yield from _inside(child, name)


def _notes(part: Any) -> Iterator[str]:
    """Footnotes, then endnotes; the separators among them are of a type of their own."""
    from docx.oxml.parser import parse_xml

    for kind in ("footnote", "endnote"):
        for found in part.rels.values():
            if found.reltype == f"{_NOTES}{kind}s" and not found.is_external:
                for note in parse_xml(found.target_part.blob).iter(_W + kind):
                    if note.get(f"{_W}type", "normal") == "normal":
                        yield from _blocks(note)
