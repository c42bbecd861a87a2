"""The text of PDFs, made with reportlab, which shares no code with the reader."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from typing import Any

import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from pytest_eng5.runner import TextError
from pytest_eng5.runner.pdf_text import MAX_PAGES, pdf_text

PICTURE = Image.new("RGB", (8, 8), "red")


def pdf(*pages: Sequence[str], **options: Any) -> bytes:
    """One page per list of lines."""
    stream = io.BytesIO()
    canvas = Canvas(stream, **options)
    for lines in pages:
        for number, line in enumerate(lines):
            canvas.drawString(72, 780 - 14 * number, line)
        canvas.showPage()
    canvas.save()
    return stream.getvalue()


def drawn(*pages: Any) -> bytes:
    """One page per function that draws it."""
    stream = io.BytesIO()
    canvas = Canvas(stream)
    for draw in pages:
        draw(canvas)
        canvas.showPage()
    canvas.save()
    return stream.getvalue()


def words(text: str) -> Any:
    return lambda canvas: canvas.drawString(72, 700, text)


def picture(canvas: Canvas) -> None:
    canvas.drawImage(ImageReader(PICTURE), 10, 10)


def inline_picture(canvas: Canvas) -> None:
    canvas.drawInlineImage(PICTURE, 10, 10)


def blank(canvas: Canvas) -> None:
    canvas.setStrokeColorRGB(0, 0, 0)


def by_hand(stream: bytes, resources: bytes = b"<< >>", more: Sequence[bytes] = ()) -> bytes:
    """A PDF of one page, written by hand: content stream, resources, and further objects from number 5."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R /Resources "
        + resources
        + b" >>",
        stream,
        *more,
    ]
    out = io.BytesIO(b"%PDF-1.4\n")
    out.seek(0, io.SEEK_END)
    places = []
    for number, content in enumerate(objects, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n" % number + content + b"\nendobj\n")
    start = out.tell()
    rows = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % size + rows)
    out.write(b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, start))
    return out.getvalue()


def content_stream(data: bytes, header: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n" % (len(data), header) + data + b"\nendstream"


def test_lines_and_pages_in_order() -> None:
    content = pdf(["Åsa’s first line – “quoted”.", "Second line."], ["Page two."])
    assert pdf_text(content) == "Åsa’s first line – “quoted”.\nSecond line.\nPage two.\n"


def test_hyphenated_words_and_page_numbers_are_left_alone() -> None:
    content = pdf(["An exam-", "ple of well-known words.", "1"])
    assert pdf_text(content) == "An exam-\nple of well-known words.\n1\n"


def test_blank_pages_are_passed_over() -> None:
    assert pdf_text(drawn(words("one"), blank, words("two"))) == "one\ntwo\n"


@pytest.mark.parametrize("draw", [picture, inline_picture], ids=["image", "inline image"])
def test_a_scan_is_refused(draw: Any) -> None:
    with pytest.raises(TextError) as caught:
        pdf_text(drawn(draw, draw))
    assert caught.value.what == "holds no text, only pictures: it is probably a scan"
    assert caught.value.fix == "run text recognition (OCR), or give the essay as text"


@pytest.mark.parametrize("draw", [picture, inline_picture], ids=["image", "inline image"])
def test_a_page_that_is_scanned_is_not_silently_lost(draw: Any) -> None:
    with pytest.raises(TextError) as caught:
        pdf_text(drawn(words("typed"), draw, words("typed"), draw))
    assert caught.value.what == "holds a picture but no text on page 2, 4 of 4"


def test_pictures_beside_text_do_no_harm() -> None:
    def both(canvas: Canvas) -> None:
        picture(canvas)
        words("text")(canvas)

    assert pdf_text(drawn(both)) == "text\n"


@pytest.mark.parametrize(("pages", "held"), [(1, "1 page"), (3, "3 pages")])
def test_blank_pages_alone_are_no_essay(pages: int, held: str) -> None:
    with pytest.raises(TextError) as caught:
        pdf_text(drawn(*[blank] * pages))
    assert caught.value.what == f"holds no text, on {held}"


@pytest.mark.parametrize("strength", [40, 128])
def test_a_password_is_refused(strength: int) -> None:
    secret = StandardEncryption("user", "owner", strength=strength)
    with pytest.raises(TextError, match="is protected") as caught:
        pdf_text(pdf(["secret"], encrypt=secret))
    assert caught.value.fix == "save a copy without password and encryption"


@pytest.mark.parametrize("algorithm", ["AES-128", "AES-256"])
@pytest.mark.parametrize("password", ["user", ""])
def test_newer_ciphers(algorithm: str, password: str) -> None:
    pytest.importorskip("cryptography")
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf(["secret"])))
    writer.encrypt(password, "owner", algorithm=algorithm)
    stream = io.BytesIO()
    writer.write(stream)
    if password:
        with pytest.raises(TextError, match="is protected"):
            pdf_text(stream.getvalue())
    else:
        assert pdf_text(stream.getvalue()) == "secret\n"


@pytest.mark.parametrize("strength", [40, 128])
def test_restrictions_that_need_no_password_do_not_matter(strength: int) -> None:
    restricted = StandardEncryption("", "owner", strength=strength, canCopy=0, canPrint=0)
    assert pdf_text(pdf(["open"], encrypt=restricted)) == "open\n"


def test_a_missing_library_for_a_cipher_is_told_as_protection(monkeypatch: pytest.MonkeyPatch) -> None:
    from pypdf.errors import DependencyError

    def refuse(*_: Any, **__: Any) -> None:
        raise DependencyError("cryptography is required")

    monkeypatch.setattr(pypdf, "PdfReader", refuse)
    with pytest.raises(TextError, match="is protected"):
        pdf_text(pdf(["x"]))


def test_too_many_pages_are_refused_before_they_are_read() -> None:
    with pytest.raises(TextError, match=f"has {MAX_PAGES + 1} pages, more than {MAX_PAGES}"):
        pdf_text(drawn(*[blank] * (MAX_PAGES + 1)))


def test_a_form_that_was_filled_in_is_refused() -> None:
    def form(value: str) -> Any:
        def draw(canvas: Canvas) -> None:
            canvas.drawString(72, 750, "Write here:")
            canvas.acroForm.textfield(name="essay", value=value, x=72, y=600, width=300)

        return draw

    with pytest.raises(TextError, match="is a form") as caught:
        pdf_text(drawn(form("My whole essay.")))
    assert caught.value.fix == "print it to a new PDF, or give the essay as text"
    assert pdf_text(drawn(form(""))).startswith("Write here:")


FONT = b"<< /Font << /F 5 0 R >> >>"


def test_ligatures_of_a_font_become_letters_again() -> None:
    font = (
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Custom /Encoding "
        b"<< /Type /Encoding /Differences [1 /fi /fl /ff /ffi] >> >>"
    )
    data = b"BT /F 12 Tf 72 700 Td (the \\001rst \\002ag, o\\003, o\\004ce) Tj ET"
    found = pdf_text(by_hand(content_stream(data), FONT, [font]))
    assert found == "the first flag, off, office\n"


def test_a_page_without_resources_or_contents() -> None:
    with pytest.raises(TextError, match="holds no text, on 1 page"):
        pdf_text(by_hand(content_stream(b"")))


def test_a_stream_that_unpacks_to_a_flood_is_bounded() -> None:
    flood = zlib.compress(b"\0" * 150_000_000, 9)
    content = by_hand(content_stream(flood, b"/Filter /FlateDecode"), FONT, [b"<< /Type /Font >>"])
    assert len(content) < 1_000_000
    with pytest.raises(Exception, match="Limit"):
        pdf_text(content)


HELVETICA = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
TEXT_FORM = b"/Type /XObject /Subtype /Form /BBox [0 0 600 800] /Resources << /Font << /F 5 0 R >> "


def with_forms(*streams: bytes) -> bytes:
    """A page that draws the first form; each form may draw the next one, which it knows as ``/X``."""
    forms = [
        content_stream(data, TEXT_FORM + b"/XObject << /X %d 0 R >> >>" % (7 + number))
        for number, data in enumerate(streams)
    ]
    resources = b"<< /Font << /F 5 0 R >> /XObject << /X 6 0 R >> >>"
    return by_hand(
        content_stream(b"BT /F 12 Tf 72 700 Td (page) Tj ET /X Do"), resources, [HELVETICA, *forms]
    )


def test_text_inside_a_form_is_text_of_the_page() -> None:
    assert "inside" in pdf_text(with_forms(b"BT /F 12 Tf 72 600 Td (inside) Tj ET"))


def test_forms_that_draw_forms_that_draw_forms_come_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_eng5.runner.pdf_text._MAX_OPERATIONS", 1000)
    data = b"/X Do " * 10
    with pytest.raises(TextError, match="takes more than 1,000 steps to draw"):
        pdf_text(with_forms(*[data] * 5, b"BT /F 12 Tf 72 700 Td (x) Tj ET"))


def test_more_drawing_than_an_essay_needs() -> None:
    with pytest.raises(TextError, match="draws more than 8 MiB"):
        pdf_text(by_hand(content_stream(b"q Q\n" * 2_200_000), FONT, [HELVETICA]))


def test_a_part_of_a_page_that_is_damaged_is_not_silently_lost() -> None:
    with pytest.raises(TextError, match="holds a part whose text cannot be read") as caught:
        pdf_text(with_forms(b"BT /F 12 Tf 72 600 Td (inside) Tj <<< ET"))
    assert caught.value.fix == "print it to a new PDF, or give the essay as text"


# The built-in fonts have the letters of Windows-1252; text extraction collapses runs of blanks.
LETTERS = st.sampled_from([*"abcXYZ019.,;:!?'()\"-", *"åäöÅÄÖéèüßñ", *"’‘“”–—…"])
LINES = st.lists(st.text(LETTERS, min_size=1, max_size=8), min_size=1, max_size=6).map(" ".join)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(LINES, min_size=1, max_size=8), min_size=1, max_size=3))
def test_any_lines_come_back_in_order(pages: list[list[str]]) -> None:
    assert pdf_text(pdf(*pages)) == "\n".join(line for page in pages for line in page) + "\n"
