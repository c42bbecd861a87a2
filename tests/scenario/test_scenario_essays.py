"""Essay files of a folder and students' essays: names, lock files, disguises, and what is left for later."""

from __future__ import annotations

import io
import subprocess
import sys
import unicodedata
from pathlib import Path

import docx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reportlab.pdfgen.canvas import Canvas

from pytest_eng5.contracts import sanitize_identifier
from pytest_eng5.errors import UsageError
from pytest_eng5.scenario import ScenarioError, Student, list_essays, read_anchors, read_essay, read_students


def word(text: str = "The text.") -> bytes:
    document = docx.Document()
    document.add_paragraph(text)
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def pdf(text: str = "The text.") -> bytes:
    stream = io.BytesIO()
    canvas = Canvas(stream)
    canvas.drawString(72, 700, text)
    canvas.save()
    return stream.getvalue()


CONTENT = {".txt": b"The text.", ".md": b"The text.", ".docx": word(), ".pdf": pdf()}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "in"


def put(folder: Path, *names: str, content: bytes | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        data = CONTENT.get(Path(name).suffix.lower(), b"text") if content is None else content
        (folder / name).write_bytes(data)
    return folder


def lines(root: Path) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        read_students(root)
    assert isinstance(caught.value, UsageError)
    assert all(problem.hint for problem in caught.value.problems)
    return [str(problem).splitlines()[0] for problem in caught.value.problems]


def test_all_four_kinds_are_essays_in_any_case(root: Path) -> None:
    folder = put(root / "students", "d.PDF", "b.md", "c.Docx", "a.txt")
    assert read_students(root) == tuple(
        Student(name[0], folder / name) for name in ("a.txt", "b.md", "c.Docx", "d.PDF")
    )


def test_lock_files_and_hidden_files_are_told_but_no_reason_to_refuse(root: Path) -> None:
    folder = put(root / "students", "anna.docx", "~$anna.docx", ".DS_Store", ".~lock.anna.docx#")
    essays = list_essays(folder)
    assert [path.name for path in essays.paths] == ["anna.docx"]
    assert [(str(found.location), found.message) for found in essays.passed_over] == [
        ("in/students/.DS_Store:1:1", "a hidden file is passed over"),
        ("in/students/.~lock.anna.docx#:1:1", "a hidden file is passed over"),
        ("in/students/~$anna.docx:1:1", "a lock file is passed over"),
    ]
    assert "close the document that ends in 'anna.docx'" in str(essays.passed_over[2].hint)
    assert essays.problems == ()
    assert [student.student_id for student in read_students(root)] == ["anna"]


def test_a_missing_folder_says_what_to_create(root: Path) -> None:
    assert lines(root) == ["in/students:1:1: cannot list the essays: No such file or directory"]


def test_everything_that_is_wrong_is_told_at_once(root: Path) -> None:
    folder = put(root / "students", "good.txt", "old.doc", "notes.rtf", "table.xlsx", "noend")
    put(folder, "empty.txt", "blank.pdf", "zero.docx", content=b" \n")
    put(folder, "latin.txt", content="Ett\nå".encode("cp1252"))
    put(folder, "renamed.docx", content=b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    put(folder, "picture.pdf", content=b"\x89PNG\r\n")
    (folder / "more.txt").mkdir()
    assert lines(root) == [
        *(
            f"in/students/{name}:1:1: '{name}' is no essay: not .txt, .md, .docx or .pdf"
            for name in ("more.txt", "noend", "notes.rtf", "old.doc", "table.xlsx")
        ),
        "in/students/blank.pdf:1:1: the essay 'blank.pdf' is empty",
        "in/students/empty.txt:1:1: the essay 'empty.txt' is empty",
        "in/students/latin.txt:2:1: the essay 'latin.txt' is not UTF-8: byte 0xe5 cannot be decoded",
        "in/students/picture.pdf:1:1: the essay 'picture.pdf' is not a PDF but a picture",
        "in/students/renamed.docx:1:1: the essay 'renamed.docx' is not a Word document "
        "but an old Office file (.doc, .xls), or one with a password",
        "in/students/zero.docx:1:1: the essay 'zero.docx' is empty",
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("anna.txt", "anna.docx"), "the student id 'anna' is already used by anna.docx"),
        (("A b.txt", "a_b.txt"), "the student ids 'A b' and 'a_b' are both 'A_B' once normalised"),
        (("C+.txt", "C-.txt"), "the student ids 'C+' and 'C-' are both 'C' once normalised"),
    ],
)
def test_ids_that_are_equal_once_normalised(root: Path, names: tuple[str, str], message: str) -> None:
    put(root / "students", *names)
    assert lines(root) == [
        f"in/students/{names[1] if 'already' not in message else 'anna.txt'}:1:1: {message}"
    ]


def test_names_and_ids_do_not_depend_on_how_letters_are_stored(tmp_path: Path) -> None:
    """One file system decomposes letters, another does not: ids and their order are the same."""
    names = ["Öst.txt", "Åsa.txt", "Asa.txt", "zoe.txt"]
    found = []
    for form in ("NFC", "NFD"):
        put(tmp_path / form / "students", *(unicodedata.normalize(form, name) for name in names))
        found.append([student.student_id for student in read_students(tmp_path / form)])
    assert found[0] == found[1] == ["Asa", "zoe", "Åsa", "Öst"]


def test_a_table_finds_its_files_whichever_form_either_has(tmp_path: Path) -> None:
    for stored, written in (("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")):
        root = tmp_path / f"{stored}{written}"
        put(root / "anchors", unicodedata.normalize(stored, "uppsats_å.docx"), "b.pdf")
        name = unicodedata.normalize(written, "uppsats_å")
        table = f"anchor_id,file_name,grade\n{name},{name}.docx,A\ny,b.pdf,B\n"
        (root / "anchors.csv").write_text(table, encoding="utf-8")
        assert [anchor.anchor_id for anchor in read_anchors(root)] == ["uppsats_å", "y"]


@pytest.mark.skipif(sys.platform == "darwin", reason="the file system makes one file of both")
def test_two_files_that_are_called_the_same(root: Path) -> None:
    put(root / "students", unicodedata.normalize("NFC", "å.txt"), unicodedata.normalize("NFD", "å.txt"))
    found = "\n".join(lines(root))
    assert "they differ only in how letters such as å are stored" in found


def test_a_document_is_read_but_not_opened_at_collection(root: Path) -> None:
    """What only a reader of documents can see is found when a run reads its inputs."""
    put(root / "students", "a.docx", "b.pdf", "c.txt")
    put(root / "students", "d.pdf", content=b"%PDF-1.4 and nothing that a reader could use")
    code = (
        "import sys; from pathlib import Path; from pytest_eng5.scenario import read_students; "
        f"assert len(read_students(Path({str(root)!r}))) == 4; "
        "assert not {'docx', 'pypdf', 'openpyxl', 'lxml'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_essay_is_returned_as_it_lies_there(root: Path) -> None:
    folder = put(root, "a.docx", "b.txt")
    assert read_essay(folder / "a.docx") == CONTENT[".docx"]
    assert read_essay(folder / "b.txt") == b"The text."


STEMS = st.text("aAåÅ+-_ .1\u0301\u030a", min_size=1, max_size=5).filter(lambda stem: stem.strip("."))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(STEMS, st.sampled_from([*CONTENT, ".doc", ""])),
        max_size=6,
    )
)
def test_any_folder_gives_distinct_students_or_complaints(
    tmp_path_factory: pytest.TempPathFactory, names: list[tuple[str, str]]
) -> None:
    root = tmp_path_factory.mktemp("any")
    folder = put(root / "students", *(stem + suffix for stem, suffix in names))
    try:
        students = read_students(root)
    except ScenarioError as caught:
        problems = caught.problems
        students = ()
    else:
        problems = ()
    seen = [path for path in folder.iterdir() if not path.name.startswith(".")]
    assert bool(problems) or {student.path for student in students} == set(seen)
    keys = [sanitize_identifier(student.student_id) for student in students]
    assert len(set(keys)) == len(keys)
    assert all(problem.hint for problem in problems)
