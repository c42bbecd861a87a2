"""Reading an inputs folder: four kinds of essays, students, every problem at once, and a plan made of it."""

from __future__ import annotations

import hashlib
import io
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docx
import openpyxl
import pytest
import yaml
from reportlab.pdfgen.canvas import Canvas

from pytest_eng5.contracts import text_sha256
from pytest_eng5.evidence import RunPlan, read_plan, write_plan
from pytest_eng5.runner import (
    Capacity,
    InputError,
    Inventory,
    compose_plan,
    essay_shortages,
    read_inventory,
    read_source,
)
from pytest_eng5.scenario import ScenarioError, load_scenario


def word(*paragraphs: str) -> bytes:
    document = docx.Document()
    document.sections[0].header.paragraphs[0].text = "Anna Svensson"
    for text in paragraphs:
        document.add_paragraph(text)
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def pdf(*lines: str) -> bytes:
    stream = io.BytesIO()
    canvas = Canvas(stream)
    for number, line in enumerate(lines):
        canvas.drawString(72, 780 - 14 * number, line)
    canvas.save()
    return stream.getvalue()


def workbook(*rows: tuple[Any, ...]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


TEXTS = {
    "a.docx": (word("First paragraph.", "Andra stycket, åäö."), "First paragraph.\n\nAndra stycket, åäö.\n"),
    "b.pdf": (pdf("One line of exam-", "ples."), "One line of exam-\nples.\n"),
    "c.txt": ("\ufeffWide – text.\r\n".encode("utf-16-le"), "Wide – text.\n"),
    "d.md": (b"\xef\xbb\xbf# Title\n\nText.\n", "# Title\n\nText.\n"),
}
TABLE = (
    ("ANCHOR-ID", "FILE-NAME", "pred_mode_grade"),
    ("essay 4", "d.md", "F+"),
    (1, "a.docx", "A"),
    (2.0, "b", "B"),
    ("essay 3", "c.txt", "C+"),
    (None, None, None),
)


class Folder:
    """An inputs folder under the working directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()

    def put(self, name: str, content: bytes | str) -> Folder:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return self

    def mixed(self, folder: str = "anchors") -> Folder:
        for name, (content, _) in TEXTS.items():
            self.put(f"{folder}/{name}", content)
        return self

    def lines(self, **kinds: bool) -> list[str]:
        with pytest.raises(InputError) as caught:
            read_inventory(self.root, **kinds)
        assert all(problem.hint for problem in caught.value.problems)
        return [str(problem).splitlines()[0] for problem in caught.value.problems]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path / "in")


def test_all_four_kinds_with_a_workbook(folder: Folder) -> None:
    inventory = read_inventory(folder.mixed().put("anchors.xlsx", workbook(*TABLE)).root)
    assert [(essay.local_id, essay.path.name, essay.grade) for essay in inventory.anchors] == [
        ("essay 4", "d.md", "F+"),
        ("1", "a.docx", "A"),
        ("2", "b.pdf", "B"),
        ("essay 3", "c.txt", "C+"),
    ]
    for essay in inventory.anchors:
        content, text = TEXTS[essay.path.name]
        assert essay.text == text
        assert essay.checksum == text_sha256(text)
        assert essay.source_sha256 == hashlib.sha256(content).hexdigest()
    assert (inventory.students, inventory.notices) == ((), ())


@pytest.mark.parametrize("table", ["anchors.xlsx", "anchors.csv"])
def test_a_plan_of_all_four_kinds(folder: Folder, settings_of: Callable[..., Any], table: str) -> None:
    """From a scenario file to the plan on disk, in mode anchor-align-test."""
    rows = "\n".join(";".join("" if cell is None else str(cell) for cell in row) for row in TABLE)
    folder.mixed().put(table, workbook(*TABLE) if table.endswith("xlsx") else f"\ufeff{rows}\n")
    folder.put("prompt.md", "Write!\r\n").put("instructions.md", "Assess!")
    content = {"scenario": "mixed", "inputs": "in", "variants": [{"id": "only"}]}
    path = folder.root.parent / "mixed.eng5.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    variant = load_scenario(path).variants[0]
    inventory = read_inventory(variant.inputs_dir)
    write_plan(folder.root.parent / "plan.json", compose_plan(settings_of(variant), inventory))
    plan: RunPlan = read_plan(folder.root.parent / "plan.json")
    assert plan.planned_comparisons == 6
    uploaded = {essay.path.name: essay.text for essay in inventory.anchors}
    assert {essay.file_name: essay.checksum for essay in plan.essays} == {
        name: text_sha256(text) for name, text in uploaded.items()
    }
    assert uploaded == {name: text for name, (_, text) in TEXTS.items()}
    assert [essay.source_path for essay in plan.essays] == [
        "anchors/d.md",
        "anchors/a.docx",
        "anchors/b.pdf",
        "anchors/c.txt",
    ]
    assert plan.grade_scale == "eng5_np_legacy_9_step"
    assert plan.prompt_reference is not None
    assert (plan.prompt_reference.content, plan.prompt_reference.checksum) == (
        "Write!\n",
        text_sha256("Write!\n"),
    )
    assert "Anna" not in (folder.root.parent / "plan.json").read_text(encoding="utf-8")


def test_grades_of_file_names_for_documents(folder: Folder) -> None:
    folder.put("anchors/essay_01_A.docx", word("x")).put("anchors/essay_02_F+.pdf", pdf("y"))
    assert [(essay.local_id, essay.grade, essay.text) for essay in read_inventory(folder.root).anchors] == [
        ("essay_01_A", "A", "x\n"),
        ("essay_02_F+", "F+", "y\n"),
    ]


def test_students_are_read_by_the_same_code(folder: Folder) -> None:
    folder.mixed("students").put("students/~$a.docx", b"lock")
    inventory = read_inventory(folder.root, anchors=False, students=True)
    assert inventory.anchors == ()
    assert {essay.path.name: essay.text for essay in inventory.students} == {
        name: text for name, (_, text) in TEXTS.items()
    }
    assert [(essay.local_id, essay.grade) for essay in inventory.students] == [
        (name, None) for name in "abcd"
    ]
    assert [notice.message for notice in inventory.notices] == ["a lock file is passed over"]
    found = Capacity(len(inventory.anchors), len(inventory.students))
    assert [shortage.message for shortage in essay_shortages("dry-run", found)] == [
        "the inputs folder holds no anchors"
    ]


def test_anchors_do_not_depend_on_students_that_nobody_asked_for(folder: Folder) -> None:
    """R21: alignment never uses a student's essay, so a broken one does no harm."""
    folder.mixed().put("anchors.xlsx", workbook(*TABLE)).put("students/bad.pdf", b"%PDF- broken")
    assert len(read_inventory(folder.root).anchors) == 4


def test_both_folders_may_be_read_at_once(folder: Folder) -> None:
    folder.put("anchors/one_A.txt", "x").put("anchors/two_B.txt", "y").put("students/s.txt", "z")
    inventory = read_inventory(folder.root, students=True)
    assert (len(inventory.anchors), len(inventory.students)) == (2, 1)


def test_every_problem_of_a_folder_is_told_at_once(folder: Folder) -> None:
    """Those that collection sees and those that only a reader of documents sees, of both folders."""
    folder.put("anchors/a.docx", word("fine")).put("anchors/b.pdf", b"%PDF-1.4\nbroken")
    folder.put("anchors/c.docx", word()).put("anchors/d.txt", b"\xff\xfe\0").put("anchors/e.doc", "old")
    folder.put("anchors.csv", "anchor_id;file_name;grade\nx;a.docx;Q\ny;b.pdf;A\nY;c.docx;B\nz;d.txt;C\n")
    folder.put("students/s.pdf", pdf()).put("students/t.txt", " \n")
    folder.put("prompt.md", b"\xe5").put("instructions.md", "")
    lines = folder.lines(students=True)
    assert lines[:5] == [
        "in/anchors/e.doc:1:1: 'e.doc' is no essay: not .txt, .md, .docx or .pdf",
        "in/anchors.csv:2:10: unknown grade 'Q'",
        "in/anchors/d.txt:1:1: the essay 'd.txt' is not UTF-16: byte 0x00 cannot be decoded",
        "in/anchors.csv:4:1: the anchor ids 'y' and 'Y' are both 'Y' once normalised",
        lines[4],
    ]
    assert lines[4].startswith("in/anchors/b.pdf:1:1: the essay 'b.pdf' is damaged: ")
    assert lines[5:] == [
        "in/anchors/c.docx:1:1: the essay 'c.docx' is empty",
        "in/students/t.txt:1:1: the essay 't.txt' is empty",
        "in/students/s.pdf:1:1: the essay 's.pdf' has no pages",
        "in/instructions.md:1:1: the file 'instructions.md' is empty",
        "in/prompt.md:1:1: the file 'prompt.md' is not UTF-8: byte 0xe5 cannot be decoded",
    ]


def test_an_input_error_is_a_scenario_error_that_says_how_to_fix_it(folder: Folder) -> None:
    folder.put("anchors/one_A.docx", b"PK\x03\x04")
    with pytest.raises(ScenarioError) as caught:
        read_inventory(folder.root)
    assert str(caught.value) == (
        "in/anchors/one_A.docx:1:1: the essay 'one_A.docx' is damaged: File is not a zip file\n"
        "  fix: open it in Word and save it again as .docx"
    )


@pytest.mark.parametrize(("anchors", "students"), [(True, False), (False, True), (True, True)])
def test_a_missing_folder_is_told_once(folder: Folder, anchors: bool, students: bool) -> None:
    lines = folder.lines(anchors=anchors, students=students)
    assert lines == [
        f"in/{name}:1:1: cannot list the essays: No such file or directory"
        for name, wanted in (("anchors", anchors), ("students", students))
        if wanted
    ]


def test_a_relative_folder_is_the_same_folder(folder: Folder) -> None:
    folder.mixed().put("anchors.xlsx", workbook(*TABLE))
    assert read_inventory(Path("in")) == read_inventory(folder.root)


def test_texts_stay_as_they_were_read(folder: Folder, settings_of: Callable[..., Any]) -> None:
    """A file that changes while a run is prepared changes neither what is uploaded nor what is recorded."""
    folder.mixed().put("anchors.xlsx", workbook(*TABLE))
    before = read_inventory(folder.root)
    folder.put("anchors/a.docx", word("changed"))
    assert [essay.checksum for essay in before.anchors] == [
        text_sha256(TEXTS[essay.path.name][1]) for essay in before.anchors
    ]
    after = read_inventory(folder.root)
    changed = [a.path.name for a, b in zip(before.anchors, after.anchors, strict=True) if a != b]
    assert changed == ["a.docx"]
    assert isinstance(after, Inventory)


def test_names_in_either_form(folder: Folder) -> None:
    stored, written = (unicodedata.normalize(form, "Åsas_uppsats") for form in ("NFD", "NFC"))
    folder.put(f"anchors/{stored}.docx", word("x")).put("anchors/b.txt", "y")
    folder.put("anchors.xlsx", workbook(TABLE[0], (written, f"{written}.docx", "A"), ("b", "b.txt", "B")))
    assert [essay.local_id for essay in read_inventory(folder.root).anchors] == [written, "b"]


@pytest.mark.parametrize("name", ["prompt.docx", "prompt.pdf"])
def test_a_prompt_may_be_read_from_a_document(folder: Folder, name: str) -> None:
    folder.put(name, word("Compare.") if name.endswith("docx") else pdf("Compare."))
    assert read_source(folder.root / name, folder.root).content == "Compare.\n"
