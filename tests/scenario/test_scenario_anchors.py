"""Anchors of an inputs folder: ids, grades and order, and every way in which they can be wrong."""

from __future__ import annotations

import os
import random
import sys
import unicodedata
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_eng5 import contracts
from pytest_eng5.errors import UsageError
from pytest_eng5.scenario import Anchor, AnchorError, ScenarioError, read_anchors
from pytest_eng5.scenario.anchors import ANCHOR_TABLE

HEADER = "anchor_id,file_name,grade\n"


class Inputs:
    """An inputs folder under the working directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "anchors").mkdir(parents=True)

    def essays(self, *names: str) -> Inputs:
        for name in names:
            (self.root / "anchors" / name).write_text(f"The text of {name}.", encoding="utf-8")
        return self

    def table(self, content: str | bytes) -> Inputs:
        data = content if isinstance(content, bytes) else content.encode()
        (self.root / ANCHOR_TABLE).write_bytes(data)
        return self

    def read(self) -> tuple[Anchor, ...]:
        return read_anchors(self.root)

    def error(self) -> AnchorError:
        with pytest.raises(AnchorError) as caught:
            self.read()
        return caught.value

    def lines(self) -> list[str]:
        """First line of each problem."""
        return [str(problem).splitlines()[0] for problem in self.error().problems]


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inputs:
    monkeypatch.chdir(tmp_path)
    return Inputs(tmp_path / "in")


def test_the_table_gives_ids_grades_and_order(inputs: Inputs) -> None:
    inputs.essays("one.txt", "two.md", "three.txt")
    inputs.table(f"{HEADER}b,two.md,B\nc,three.txt,f+\na,one.txt,A-\n")
    folder = inputs.root / "anchors"
    assert inputs.read() == (
        Anchor("b", folder / "two.md", "B", 2),
        Anchor("c", folder / "three.txt", "F+", 3),
        Anchor("a", folder / "one.txt", "A-", 4),
    )


def test_file_names_give_ids_and_grades_in_the_order_of_the_names(inputs: Inputs) -> None:
    inputs.essays("anchor_vt_012_A.txt", "anchor_vt_001_f+.md", "anchor_vt_004_E-12.txt")
    assert [(a.anchor_id, a.grade, a.csv_line) for a in inputs.read()] == [
        ("anchor_vt_001_f+", "F+", None),
        ("anchor_vt_004_E-12", "E-", None),
        ("anchor_vt_012_A", "A", None),
    ]


def test_the_production_names_of_the_contract(inputs: Inputs) -> None:
    """Contract 10.4: anchor_essay_eng_5_17_vt_0NN_<grade>."""
    grades = {
        12: "A",
        11: "A",
        10: "B",
        9: "B",
        8: "C+",
        7: "C-",
        6: "D+",
        5: "D-",
        4: "E+",
        3: "E-",
        2: "F+",
        1: "F+",
    }
    inputs.essays(*(f"anchor_essay_eng_5_17_vt_{number:03}_{grade}.txt" for number, grade in grades.items()))
    assert [a.grade for a in inputs.read()] == [grades[number] for number in range(1, 13)]


@pytest.mark.parametrize("grade", contracts.known_grades())
def test_every_known_grade_is_accepted(inputs: Inputs, grade: str) -> None:
    inputs.essays("a.txt", "b.txt").table(f"{HEADER}x,a.txt,{grade}\ny,b.txt, {grade.lower()} \n")
    assert {a.grade for a in inputs.read()} == {grade}


def test_every_grade_of_every_scale_is_known() -> None:
    for scale in contracts.GRADE_SCALES.values():
        for grade in (*scale.grades, *([scale.below_lowest] if scale.below_lowest else [])):
            assert contracts.grade_rank(grade) is not None


@pytest.mark.parametrize("name", ["~$one_A.txt", ".DS_Store", ".hidden_A.txt", "~$lock.docx"])
def test_lock_files_and_hidden_files_are_passed_over(inputs: Inputs, name: str) -> None:
    inputs.essays("one_A.txt", name)
    assert [a.anchor_id for a in inputs.read()] == ["one_A"]


def test_a_name_without_its_suffix_is_found(inputs: Inputs) -> None:
    inputs.essays("one.txt", "two.txt").table(f"{HEADER}x,one,A\ny,two.txt,B\n")
    assert [a.path.name for a in inputs.read()] == ["one.txt", "two.txt"]


def test_a_name_without_suffix_that_two_files_have_is_not_found(inputs: Inputs) -> None:
    inputs.essays("one.txt", "one.md").table(f"{HEADER}x,one,A\ny,one.md,B\n")
    assert "in/anchors.csv:2:3: the file 'one' is not in in/anchors" in inputs.lines()


def test_names_match_however_the_file_system_writes_letters(inputs: Inputs) -> None:
    inputs.essays(unicodedata.normalize("NFD", "uppsats_å.txt"), "b.txt")
    inputs.table(f"{HEADER}x,{unicodedata.normalize('NFC', 'uppsats_å.txt')},A\ny,b.txt,B\n")
    assert len(inputs.read()) == 2


@pytest.mark.parametrize(
    ("row", "column", "message", "hint"),
    [
        (
            "x,one.txt,Q",
            11,
            "unknown grade 'Q'",
            "known grades: A, A-, B+, B, B-, C+, C, C-, D+, D, D-, E+, E, E-, "
            "F+, F, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0",
        ),
        ("x,one.txt,  A+", 13, "unknown grade 'A+'", "did you mean 'A'?"),
        ("x,one.txt,UNKNOWN", 11, "unknown grade 'UNKNOWN'", "known grades"),
        ("x,one.txt,C\u2212", 11, "unknown grade 'C\u2212'", "did you mean"),
        ("x,one.txt,10", 11, "unknown grade '10'", "did you mean"),
        ("'x,y',one.txt,A", 4, 'the file "y\'" is not in in/anchors', "put the essay into in/anchors"),
        ("x,on.txt,A", 3, "the file 'on.txt' is not in in/anchors", "did you mean 'one.txt'?"),
        ("x,../secret.txt,A", 3, "the file '../secret.txt' is not in in/anchors", None),
        (
            "x,anchors/one.txt,A",
            3,
            "the file 'anchors/one.txt' is not in in/anchors",
            "did you mean 'one.txt'?",
        ),
        ("x,two.txt,A", 3, "the file 'two.txt' is already listed in line 2", "remove one row"),
        ("B2,one.txt,A", 1, "the anchor id 'B2' is already used by two.txt", "give each anchor an id"),
    ],
)
def test_a_wrong_cell_is_reported_by_line_and_column(
    inputs: Inputs, row: str, column: int, message: str, hint: str | None
) -> None:
    inputs.essays("one.txt", "two.txt").table(f"{HEADER}B2,two.txt,B\n{row}\n")
    (inputs.root / "secret.txt").write_text("outside")
    error = inputs.error()
    assert error.message == message
    assert (error.path, error.line, error.column) == (inputs.root / ANCHOR_TABLE, 3, column)
    assert str(error).startswith(f"in/anchors.csv:3:{column}: {message}")
    if hint:
        assert error.hint is not None
        assert error.hint.startswith(hint)


def test_an_essay_that_the_table_does_not_list_is_named(inputs: Inputs) -> None:
    """R18: a partial table must not leave unknown grades."""
    inputs.essays("one_A.txt", "two_B.txt", "three_C.txt").table(f"{HEADER}x,two_B.txt,B\n")
    assert inputs.lines() == [
        "in/anchors.csv:1:1: the essay 'one_A.txt' is not listed, so its grade is unknown",
        "in/anchors.csv:1:1: the essay 'three_C.txt' is not listed, so its grade is unknown",
    ]


@pytest.mark.parametrize(
    ("first", "second", "normalised"),
    [
        ("E+1", "E-1", "E_1"),
        ("C+", "C-", "C"),
        ("x y", "x_y", "X_Y"),
        ("abc", "ABC", "ABC"),
        ("+", "-", "ESSAY"),
    ],
)
def test_ids_that_are_equal_once_normalised_are_refused(
    inputs: Inputs, first: str, second: str, normalised: str
) -> None:
    """R16: normalising drops signs, so that two anchors would silently become one."""
    inputs.essays("one.txt", "two.txt").table(f"{HEADER}{first},one.txt,A\n{second},two.txt,B\n")
    error = inputs.error()
    assert error.message == f"the anchor ids {first!r} and {second!r} are both {normalised!r} once normalised"
    assert (error.line, error.column) == (3, 1)
    assert contracts.sanitize_identifier(first) == contracts.sanitize_identifier(second) == normalised


def test_ids_of_file_names_that_differ_in_sign_only_are_refused(inputs: Inputs) -> None:
    inputs.essays("essay_C+.txt", "essay_C-.txt")
    assert inputs.lines() == [
        "in/anchors/essay_C-.txt:1:1: "
        "the anchor ids 'essay_C+' and 'essay_C-' are both 'ESSAY_C' once normalised"
    ]


def test_the_same_stem_in_two_formats_is_refused(inputs: Inputs) -> None:
    inputs.essays("one_A.txt", "one_A.md")
    assert "is already used by one_A.md" in inputs.error().message


@pytest.mark.parametrize(
    ("grades", "message"),
    [
        (("A", "B", "7"), "the grade '7' of e2.txt is of another scale than 'A' of e0.txt"),
        (("7", "8", "F+"), "the grade 'F+' of e2.txt is of another scale than '7' of e0.txt"),
    ],
)
def test_letters_and_national_digits_do_not_mix(
    inputs: Inputs, grades: tuple[str, ...], message: str
) -> None:
    inputs.essays("e0.txt", "e1.txt", "e2.txt")
    rows = "".join(f"id{i},e{i}.txt,{grade}\n" for i, grade in enumerate(grades))
    inputs.table(HEADER + rows)
    error = inputs.error()
    assert (error.message, error.line, error.column) == (message, 4, 12)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("noun.txt", "the file name 'noun.txt' ends in no known grade ('NOUN')"),
        ("essay_G.txt", "the file name 'essay_G.txt' ends in no known grade ('G')"),
        ("essay_5.txt", "the file name 'essay_5.txt' has no grade at its end"),
        ("essay_.txt", "the file name 'essay_.txt' has no grade at its end"),
    ],
)
def test_a_file_name_without_a_grade_needs_a_table(inputs: Inputs, name: str, message: str) -> None:
    inputs.essays("one_A.txt", name)
    error = inputs.error()
    assert str(error).startswith(f"in/anchors/{name}:1:1: {message}\n")
    assert error.hint is not None
    assert "or write anchors.csv; known grades: A, A-" in error.hint


@pytest.mark.parametrize("name", ["grades.csv", "Thumbs.db", "essay_A", "notes_A.rtf", "old_B.doc", "x.xlsx"])
def test_other_files_are_no_essays(inputs: Inputs, name: str) -> None:
    inputs.essays("one_A.txt", name)
    assert inputs.lines() == [f"in/anchors/{name}:1:1: '{name}' is no essay: not .txt, .md, .docx or .pdf"]
    assert inputs.error().hint == (
        "save it as .docx, .pdf or UTF-8 text (.txt, .md), or take it out of the folder"
    )


def test_a_listed_file_that_is_no_essay_is_reported_once(inputs: Inputs) -> None:
    inputs.essays("one.txt", "two.odt").table(f"{HEADER}x,one.txt,A\ny,two.odt,B\n")
    assert inputs.lines() == ["in/anchors/two.odt:1:1: 'two.odt' is no essay: not .txt, .md, .docx or .pdf"]


def test_a_folder_among_the_essays_is_not_passed_over(inputs: Inputs) -> None:
    inputs.essays("one_A.txt")
    (inputs.root / "anchors/more_B.txt").mkdir()
    assert "'more_B.txt' is no essay" in inputs.error().message


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        (b"", "1:1", "the essay 'bad_B.txt' is empty"),
        (b"\n \t\r\n", "1:1", "the essay 'bad_B.txt' is empty"),
        ("\ufeff\u00a0\n".encode(), "1:1", "the essay 'bad_B.txt' is empty"),
        (b"line\nna\xefve", "2:3", "the essay 'bad_B.txt' is not UTF-8: byte 0xef cannot be decoded"),
        ("text".encode("utf-32"), "1:1", "the essay 'bad_B.txt' is UTF-16 or UTF-32 text, not UTF-8"),
        (
            b"\xff\xfea\0\n\0b\0\0\xd8",
            "2:2",
            "the essay 'bad_B.txt' is not UTF-16: byte 0x00 cannot be decoded",
        ),
        (b"\xfe\xff\0a\0", "1:2", "the essay 'bad_B.txt' is not UTF-16: byte 0x00 cannot be decoded"),
        ("text".encode("utf-16-le"), "1:2", "the essay 'bad_B.txt' holds a NUL character"),
    ],
)
@pytest.mark.parametrize("with_table", [True, False])
def test_an_essay_without_usable_text_is_named(
    inputs: Inputs, content: bytes, place: str, message: str, with_table: bool
) -> None:
    inputs.essays("one_A.txt")
    (inputs.root / "anchors/bad_B.txt").write_bytes(content)
    if with_table:
        inputs.table(f"{HEADER}x,one_A.txt,A\ny,bad_B.txt,B\n")
    assert inputs.lines() == [f"in/anchors/bad_B.txt:{place}: {message}"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_among_the_essays_does_not_block(inputs: Inputs) -> None:
    inputs.essays("one_A.txt")
    os.mkfifo(inputs.root / "anchors/pipe_B.txt")
    assert "is not a regular file" in inputs.error().message


def test_a_dangling_link_is_reported(inputs: Inputs) -> None:
    inputs.essays("one_A.txt")
    (inputs.root / "anchors/gone_B.txt").symlink_to("nowhere")
    assert "the essay 'gone_B.txt' cannot be read" in inputs.error().message


def test_a_table_that_is_a_dangling_link_is_not_ignored(inputs: Inputs) -> None:
    inputs.essays("one_A.txt")
    (inputs.root / ANCHOR_TABLE).symlink_to("nowhere")
    assert "cannot be read" in inputs.error().message


def test_without_the_folder_it_says_what_to_create(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AnchorError) as caught:
        read_anchors(Path("in"))
    assert str(caught.value) == (
        "in/anchors:1:1: cannot list the essays: No such file or directory\n"
        "  fix: create in/anchors with one text file per essay"
    )


def workbook(path: Path, *rows: tuple[str, ...]) -> None:
    book = openpyxl.Workbook()
    for row in (("ANCHOR-ID", "FILE-NAME", "GRADE"), *rows):
        book.active.append(row)
    book.save(path)


def test_a_workbook_gives_ids_grades_and_order(inputs: Inputs) -> None:
    inputs.essays("one.txt", "two.txt")
    workbook(inputs.root / "anchors.xlsx", ("b", "two.txt", "b-"), ("a", "one.txt", "A"))
    assert [(a.anchor_id, a.grade, a.csv_line) for a in inputs.read()] == [("b", "B-", 2), ("a", "A", 3)]


def test_a_wrong_cell_of_a_workbook_is_reported_by_row_and_column(inputs: Inputs) -> None:
    inputs.essays("one.txt", "two.txt", "three.txt")
    workbook(
        inputs.root / "anchors.xlsx", ("b", "two.txt", "Q"), ("a", "on.txt", "A"), ("A", "three.txt", "C")
    )
    assert inputs.lines() == [
        "in/anchors.xlsx:2:3: unknown grade 'Q'",
        "in/anchors.xlsx:3:2: the file 'on.txt' is not in in/anchors",
        "in/anchors.xlsx:1:1: the essay 'one.txt' is not listed, so its grade is unknown",
    ]


@pytest.mark.parametrize("name", ["ANCHORS.CSV", "Anchors.csv"])
def test_the_name_of_the_table_may_be_written_in_any_case(inputs: Inputs, name: str) -> None:
    inputs.essays("one.txt", "two.txt")
    (inputs.root / name).write_text(f"{HEADER}x,one.txt,A\ny,two.txt,B\n")
    assert [a.anchor_id for a in inputs.read()] == ["x", "y"]


def test_of_two_tables_none_is_silently_preferred(inputs: Inputs) -> None:
    inputs.essays("one_A.txt").table(f"{HEADER}x,one_A.txt,A\n")
    workbook(inputs.root / "anchors.xlsx", ("x", "one_A.txt", "B"))
    assert inputs.lines() == [
        "in/anchors.xlsx:1:1: there are several tables of anchors: anchors.csv, anchors.xlsx"
    ]


@pytest.mark.parametrize("name", ["anchors.xls", "anchors.ods", "anchors.tsv", "Anchors.numbers"])
def test_a_table_that_would_not_be_read_is_told(inputs: Inputs, name: str) -> None:
    """Else the grades of the file names would count, and nobody would notice."""
    inputs.essays("one_A.txt")
    (inputs.root / name).write_bytes(b"x")
    assert inputs.lines() == [f"in/{name}:1:1: {name!r} looks like a table of anchors, but would not be read"]
    assert inputs.error().hint == "save it as anchors.csv or anchors.xlsx, or give it another name"


@pytest.mark.parametrize(
    "name", ["~$anchors.xlsx", ".anchors.csv", "anchors.old/x", "grades.csv", "anchors_2"]
)
def test_other_names_are_no_tables(inputs: Inputs, name: str) -> None:
    inputs.essays("one_A.txt")
    (inputs.root / name).parent.mkdir(exist_ok=True)
    (inputs.root / name).write_bytes(b"x")
    assert [a.anchor_id for a in inputs.read()] == ["one_A"]


def test_a_table_that_cannot_be_read_hides_no_other_problem(inputs: Inputs) -> None:
    inputs.essays("one.txt", "two.doc")
    (inputs.root / "anchors/bad.docx").write_bytes(b"{\\rtf1")
    (inputs.root / "anchors.xlsx").write_bytes(b"no workbook")
    assert inputs.lines() == [
        "in/anchors/two.doc:1:1: 'two.doc' is no essay: not .txt, .md, .docx or .pdf",
        "in/anchors.xlsx:1:1: is damaged: File is not a zip file",
        "in/anchors/bad.docx:1:1: the essay 'bad.docx' is not a Word document but an RTF document",
    ]


def test_an_empty_folder_has_no_anchors(inputs: Inputs) -> None:
    assert inputs.read() == ()


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that takes any bytes")
@pytest.mark.parametrize("name", [b"caf\xe9_A.txt", b"new\nline_A.txt"])
def test_a_file_name_that_cannot_be_printed_is_refused(inputs: Inputs, name: bytes) -> None:
    inputs.essays("one_A.txt")
    Path(os.fsdecode(os.fsencode(inputs.root / "anchors") + b"/" + name)).write_text("text")
    text = str(inputs.error())
    assert "holds characters that cannot be printed" in text
    assert text.splitlines()[0].isprintable()


def test_an_id_that_cannot_be_printed_is_refused(inputs: Inputs) -> None:
    inputs.essays("one.txt").table(f'{HEADER}"a\nb",one.txt,A\n')
    assert inputs.lines() == [
        "in/anchors.csv:2:1: the anchor id 'a\\nb' holds characters that cannot be printed"
    ]


def test_long_cells_are_cut_in_messages(inputs: Inputs) -> None:
    inputs.essays("one.txt").table(f"{HEADER}a,{'x' * 5000},A\nb,one.txt,{'Q' * 5000}\n")
    assert all(len(line) < 200 for line in inputs.lines())


def test_all_problems_are_reported_in_one_go(inputs: Inputs) -> None:
    inputs.essays("a.txt", "b.txt", "c.txt", "d.pdf", "e.odt")
    (inputs.root / "anchors/a.txt").write_bytes(b"")
    inputs.table(f"{HEADER}x,a.txt,A\ny,b.txt,Z\nz,gone.txt,A\n,c.txt,A\n")
    assert inputs.lines() == [
        "in/anchors/e.odt:1:1: 'e.odt' is no essay: not .txt, .md, .docx or .pdf",
        "in/anchors.csv:3:9: unknown grade 'Z'",
        "in/anchors.csv:4:3: the file 'gone.txt' is not in in/anchors",
        "in/anchors.csv:5:1: the row has no anchor_id",
        "in/anchors.csv:1:1: the essay 'd.pdf' is not listed, so its grade is unknown",
        "in/anchors/a.txt:1:1: the essay 'a.txt' is empty",
        "in/anchors/d.pdf:1:1: the essay 'd.pdf' is not a PDF",
    ]


def test_an_anchor_error_is_a_usage_error_and_a_scenario_error(inputs: Inputs) -> None:
    inputs.essays("x.txt")
    error = inputs.error()
    assert isinstance(error, UsageError)
    assert isinstance(error, ScenarioError)


def test_an_anchor_holds_no_text(inputs: Inputs) -> None:
    inputs.essays("one_A.txt", "two_B.txt")
    assert "The text of" not in repr(inputs.read())


ANCHOR_SETS = st.lists(st.sampled_from(contracts.GRADE_ORDER), min_size=1, max_size=8)


@settings(deadline=None, max_examples=50)
@given(ANCHOR_SETS, st.randoms(use_true_random=False), st.sampled_from([",", ";"]))
def test_table_and_file_names_say_the_same(
    tmp_path_factory: pytest.TempPathFactory, grades: list[str], rng: random.Random, separator: str
) -> None:
    """Any set of graded essays, read once by its names and once by a table in another order."""
    inputs = Inputs(tmp_path_factory.mktemp("both") / "in")
    names = [f"essay_{number:02}_{grade}.txt" for number, grade in enumerate(grades)]
    by_name = {a.path: a.grade for a in inputs.essays(*names).read()}
    rows = [
        (f"id{number}", name, grade) for number, (name, grade) in enumerate(zip(names, grades, strict=True))
    ]
    rng.shuffle(rows)
    lines = [("anchor_id", "file_name", "grade"), *rows]
    inputs.table("\n".join(separator.join(line) for line in lines))
    by_table = inputs.read()
    assert {a.path: a.grade for a in by_table} == by_name
    assert [a.anchor_id for a in by_table] == [row[0] for row in rows]
    assert [a.csv_line for a in by_table] == list(range(2, len(rows) + 2))


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.text("aA1+-_ .", min_size=1, max_size=4).map(str.strip).filter(bool), min_size=2, max_size=6)
)
def test_accepted_ids_never_collide_once_normalised(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str]
) -> None:
    inputs = Inputs(tmp_path_factory.mktemp("ids") / "in")
    inputs.essays(*(f"e{number}.txt" for number in range(len(ids))))
    inputs.table(HEADER + "".join(f"{id_},e{number}.txt,A\n" for number, id_ in enumerate(ids)))
    keys = [contracts.make_anchor_key(id_) for id_ in ids]
    if len(set(keys)) == len(keys):
        assert [a.anchor_id for a in inputs.read()] == ids
    else:
        assert "anchor id" in inputs.error().message
