"""From file to text: encodings, damage, disguises, limits, and that a file is read once."""

from __future__ import annotations

import hashlib
import io
import os
import random
import struct
import threading
import zipfile
import zlib
from pathlib import Path
from typing import Any

import docx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reportlab.pdfgen.canvas import Canvas

from pytest_eng5.runner import extract_text, texts
from pytest_eng5.scenario import ScenarioError

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)


def word(*paragraphs: str) -> bytes:
    document = docx.Document()
    for text in paragraphs:
        document.add_paragraph(text)
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def pdf(text: str) -> bytes:
    stream = io.BytesIO()
    canvas = Canvas(stream)
    canvas.drawString(72, 700, text)
    canvas.save()
    return stream.getvalue()


def archive(**parts: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in parts.items():
            made.writestr(name.replace("__", "/").replace("Types", "[Content_Types].xml"), content)
    return stream.getvalue()


def put(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def error(path: Path) -> ScenarioError:
    with pytest.raises(ScenarioError) as caught:
        extract_text(path)
    assert caught.value.path == path
    assert caught.value.hint
    return caught.value


def attempt(path: Path) -> str | ScenarioError:
    try:
        return extract_text(path).text
    except ScenarioError as found:
        return found


@pytest.mark.parametrize("suffix", [".txt", ".md", ".TXT"])
@pytest.mark.parametrize(
    "content",
    [
        "Åsa\n\nwrote – this.  \n".encode(),
        "\ufeffÅsa\n\nwrote – this.  \n".encode(),
        "\ufeffÅsa\r\n\r\nwrote – this.  \r\n".encode("utf-16-le"),
        "\ufeffÅsa\r\rwrote – this.  \r".encode("utf-16-be"),
    ],
    ids=["UTF-8", "UTF-8 with mark", "UTF-16 little", "UTF-16 big"],
)
def test_encodings_and_line_ends_of_text_files(tmp_path: Path, content: bytes, suffix: str) -> None:
    found = extract_text(put(tmp_path, f"essay{suffix}", content))
    assert found.text == "Åsa\n\nwrote – this.  \n"
    assert found.source_sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        ("Ett\nå".encode("cp1252"), (2, 1), "is not UTF-8: byte 0xe5 cannot be decoded"),
        ("text".encode("utf-32"), (1, 1), "is UTF-16 or UTF-32 text, not UTF-8"),
        ("\ufeffab".encode("utf-16-le") + b"\n", (1, 3), "is not UTF-16: byte 0x0a cannot be decoded"),
        ("text".encode("utf-16-be"), (1, 1), "holds a NUL character"),
        (b"\xff\xfe", (1, 1), "is empty"),
        (b"x" * ((1 << 20) + 1), (1, 1), "is larger than 1024 KiB"),
    ],
)
def test_other_encodings_are_refused_with_their_place(
    tmp_path: Path, content: bytes, place: tuple[int, int], message: str
) -> None:
    found = error(put(tmp_path, "essay.txt", content))
    assert (found.message, found.line, found.column) == (message, *place)


@pytest.mark.parametrize("suffix", [".docx", ".DOCX", ".pdf"])
def test_documents(tmp_path: Path, suffix: str) -> None:
    content = pdf("The text.") if suffix == ".pdf" else word("The text.")
    found = extract_text(put(tmp_path, f"essay{suffix}", content))
    assert (found.text, found.source_sha256) == ("The text.\n", hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    ("suffix", "content", "message"),
    [
        (".docx", b"", "is empty"),
        (".pdf", bytes(64), "is empty"),
        (".docx", OLE, "is not a Word document but an old Office file (.doc, .xls), or one with a password"),
        (".docx", b"{\\rtf1 hello}", "is not a Word document but an RTF document"),
        (".docx", b"plain text", "is not a Word document"),
        (".docx", pdf("x"), "is not a Word document but a PDF"),
        (".docx", b"<html><body>x", "is not a Word document but a web page"),
        (".pdf", word("x"), "is not a PDF but a ZIP archive, such as .docx, .odt or .pages"),
        (".pdf", b"\x89PNG\r\n", "is not a PDF but a picture"),
        (".pdf", b"plain text", "is not a PDF"),
        (
            ".docx",
            archive(mimetype=b"application/vnd.oasis.opendocument.text", content=b""),
            "is not an Office Open XML file but an OpenDocument or other archive",
        ),
        (".docx", archive(a=b"x"), "is not an Office Open XML file but another kind of archive"),
        (".docx", b"PK\x03\x04 and nothing more", "is damaged: File is not a zip file"),
    ],
)
def test_what_a_renamed_file_really_is(tmp_path: Path, suffix: str, content: bytes, message: str) -> None:
    assert error(put(tmp_path, f"essay{suffix}", content)).message == message


def test_a_mark_behind_some_rubbish_is_still_a_pdf(tmp_path: Path) -> None:
    content = b"\r\n" + pdf("The text.")
    assert extract_text(put(tmp_path, "essay.pdf", content)).text == "The text.\n"


def test_another_office_file_is_no_word_document(tmp_path: Path) -> None:
    import openpyxl

    path = tmp_path / "table.docx"
    openpyxl.Workbook().save(path)
    assert error(path).message == "is not a Word document but a workbook"


@pytest.mark.parametrize(
    "part", ["word/document.xml", "[Content_Types].xml", "_rels/.rels", "word/styles.xml"]
)
@pytest.mark.parametrize("content", [b"", b"<not xml", b"\0\xff"])
def test_a_damaged_part_is_an_error_and_no_crash(tmp_path: Path, part: str, content: bytes) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(word("x"))) as old, zipfile.ZipFile(stream, "w") as new:
        for name in old.namelist():
            new.writestr(name, content if name == part else old.read(name))
    found = error(put(tmp_path, "essay.docx", stream.getvalue()))
    assert found.message.startswith("is damaged: ")
    assert "\n" not in found.message
    assert len(found.message) < 250


def test_a_missing_part_is_an_error(tmp_path: Path) -> None:
    content = archive(Types=b"<Types/>", word__document=b"")
    assert error(put(tmp_path, "essay.docx", content)).message.startswith("is damaged: ")


@pytest.mark.parametrize("kept", [0.05, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("suffix", [".docx", ".pdf"])
def test_a_file_that_was_cut_off(tmp_path: Path, suffix: str, kept: float) -> None:
    content = pdf("The text.") if suffix == ".pdf" else word("The text.")
    path = put(tmp_path, f"essay{suffix}", content[: int(len(content) * kept)])
    assert "damaged" in error(path).message


def test_a_flipped_bit_is_seen_by_the_archive(tmp_path: Path) -> None:
    content = bytearray(word("The text."))
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        part = opened.getinfo("word/document.xml")
    content[part.header_offset + 30 + len(part.filename) + part.compress_size // 2] ^= 0xFF
    assert "damaged" in error(put(tmp_path, "essay.docx", bytes(content))).message


def test_an_encrypted_archive(tmp_path: Path) -> None:
    content = bytearray(word("x"))
    at = content.rindex(b"PK\x01\x02")
    struct.pack_into("<H", content, at + 8, struct.unpack_from("<H", content, at + 8)[0] | 1)
    assert error(put(tmp_path, "essay.docx", bytes(content))).message == "is encrypted"


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"word__media__a.png": bytes(70 << 20)}, "unpacks to 70 MiB, more than 64"),
        ({"word__document.xml": b" " * (17 << 20)}, "has a part of 17 MiB, more than 16"),
        ({f"p{number}": b"" for number in range(2001)}, "has 2002 parts, more than 2000"),
    ],
    ids=["all parts", "one part", "many parts"],
)
def test_archives_that_unpack_to_more_than_a_document(
    tmp_path: Path, parts: dict[str, bytes], message: str
) -> None:
    content = archive(Types=b"<Types/>", **parts)
    assert len(content) < 1_000_000
    assert error(put(tmp_path, "essay.docx", content)).message == message


def test_an_archive_that_lies_about_its_sizes_is_not_unpacked_further(tmp_path: Path) -> None:
    """Both the local header and the directory claim 10 bytes; the stream would give 100 MB."""
    content = bytearray(archive(Types=b"<Types/>", word__document=b" " * 100_000_000))
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = content.rindex(mark)
        struct.pack_into("<I", content, at + place, 10)
    assert "damaged" in error(put(tmp_path, "essay.docx", bytes(content))).message


@pytest.mark.parametrize("suffix", [".docx", ".pdf"])
def test_a_huge_file_is_refused_by_its_size(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"essay{suffix}"
    with path.open("wb") as stream:
        stream.write(b"%PDF-" if suffix == ".pdf" else b"PK\x03\x04")
        stream.truncate(17 << 20)
    assert error(path).message == "is larger than 16384 KiB"


def test_a_flood_of_text_is_no_essay(tmp_path: Path) -> None:
    path = put(tmp_path, "essay.docx", word(*["word " * 50_000] * 5))
    assert error(path).message == "holds 1250009 characters of text, more than 1048576"


def test_a_pdf_that_unpacks_to_a_flood(tmp_path: Path) -> None:
    flood = zlib.compress(b"\0" * 100_000_000, 9)
    content = pdf("x")
    start, end = content.index(b"stream\n") + 7, content.index(b"endstream")
    length = content[: start - 7].rindex(b"/Length")
    head = content[:length] + b"/Length %d /Ignored" % len(flood) + content[length + 7 : start]
    head = head.replace(b"[ /ASCII85Decode /FlateDecode ]", b"/FlateDecode")
    path = put(tmp_path, "essay.pdf", head + flood + content[end:])
    assert "damaged" in error(path).message


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("suffix", [".docx", ".pdf"])
def test_a_pipe_does_not_block(tmp_path: Path, suffix: str) -> None:
    os.mkfifo(tmp_path / f"pipe{suffix}")
    assert error(tmp_path / f"pipe{suffix}").message == "is not a regular file"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert error(tmp_path / "gone.docx").message == "cannot be read: No such file or directory"


def reader(monkeypatch: pytest.MonkeyPatch, text: str) -> list[bytes]:
    """Let ``.pdf`` files hold this text; returns what was read."""
    calls: list[bytes] = []
    monkeypatch.setitem(texts._READERS, ".pdf", lambda content: calls.append(content) or text)
    return calls


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (
            "A bell\a and a NUL\0 among many letters of a text.",
            "A bell and a NUL among many letters of a text.",
        ),
        ("a\tb\nc", "a\tb\nc"),
        (
            "half of a pair \ud83d in a long text is replaced",
            "half of a pair \ufffd in a long text is replaced",
        ),
        ("both halves \ud83d\ude00 belong together", "both halves 😀 belong together"),
        (
            "a bullet \uf0b7 from a symbol font in a longer text",
            "a bullet \uf0b7 from a symbol font in a longer text",
        ),
    ],
)
def test_control_characters_and_broken_pairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, kept: str
) -> None:
    reader(monkeypatch, text)
    found = extract_text(put(tmp_path, "essay.pdf", b"%PDF-" + kept.encode(errors="replace"))).text
    assert found == kept
    found.encode()


@pytest.mark.parametrize("text", ["\x037KH\x03HVVD\\\x03", "\ufffd" * 50 + "x" * 50, "\uf041\uf042\uf043 x"])
def test_letters_that_a_font_does_not_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    reader(monkeypatch, text)
    found = error(put(tmp_path, "essay.pdf", b"%PDF-1" + repr(text).encode()))
    assert found.message == "holds text whose letters cannot be told from its font"


def test_a_document_is_extracted_once_however_many_runs_use_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = reader(monkeypatch, "The text.\n")
    path = put(tmp_path, "essay.pdf", b"%PDF- once")
    threads = [threading.Thread(target=extract_text, args=(path,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [b"%PDF- once"]
    path.write_bytes(b"%PDF- changed")
    extract_text(path)
    assert calls == [b"%PDF- once", b"%PDF- changed"]


def test_reading_text_files_loads_no_reader_of_documents(tmp_path: Path) -> None:
    import subprocess
    import sys

    path = put(tmp_path, "essay.txt", b"text")
    code = (
        "import sys; from pathlib import Path; from pytest_eng5.runner import extract_text; "
        f"extract_text(Path({str(path)!r})); "
        "assert not {'docx', 'pypdf', 'openpyxl', 'lxml'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_damage_anywhere_gives_text_or_a_complaint(tmp_path_factory: Any, data: st.DataObject) -> None:
    suffix = data.draw(st.sampled_from([".docx", ".pdf"]))
    content = bytearray(pdf("The text.") if suffix == ".pdf" else word("The text."))
    random_ = random.Random(data.draw(st.integers(0, 1 << 32)))
    for _ in range(data.draw(st.integers(1, 8))):
        at = random_.randrange(len(content))
        content[at : at + random_.choice([0, 1, 20])] = random_.randbytes(random_.choice([1, 4]))
    path = tmp_path_factory.mktemp("damage") / f"essay{suffix}"
    path.write_bytes(content)
    found = attempt(path)
    if isinstance(found, str):
        assert found.strip()
    else:
        assert found.hint
        assert found.message.isprintable()


@settings(deadline=None, max_examples=80)
@given(st.binary(max_size=60) | st.text(max_size=30).map(lambda text: text.encode("utf-16", "replace")))
def test_any_bytes_in_a_text_file(tmp_path_factory: Any, content: bytes) -> None:
    path = tmp_path_factory.mktemp("bytes") / "essay.txt"
    path.write_bytes(content)
    found = attempt(path)
    if isinstance(found, str):
        wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
        expected = content.decode("utf-16" if wide else "utf-8-sig")
        assert found == expected.replace("\r\n", "\n").replace("\r", "\n")
    else:
        assert found.line >= 1
        assert found.column >= 1
