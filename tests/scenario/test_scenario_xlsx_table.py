"""Tables of anchors in workbooks: real ones made with openpyxl, and parts written by hand."""

from __future__ import annotations

import datetime
import io
import subprocess
import sys
import time
import warnings
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl.worksheet.datavalidation import DataValidation

from pytest_eng5.scenario import ScenarioError, xlsx_table
from pytest_eng5.scenario.anchor_table import AnchorRow, read_anchor_table

HEADER = ("anchor_id", "file_name", "grade")
QUIET = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "anchors.xlsx"


def write(path: Path, *rows: Any, title: str = "Sheet") -> Any:
    """A workbook with these rows on its only sheet."""
    book = openpyxl.Workbook()
    book.active.title = title
    for row in rows:
        book.active.append(row)
    book.save(path)
    return book


def texts(path: Path) -> list[tuple[str, str, str]]:
    return [(row.anchor_id.text, row.file_name.text, row.grade.text) for row in read_anchor_table(path)]


def error(path: Path) -> ScenarioError:
    with pytest.raises(ScenarioError) as caught:
        read_anchor_table(path)
    assert caught.value.path == path
    return caught.value


def stored(path: Path, cells: str) -> None:
    """A worksheet as another program would write it: this XML for its rows."""
    write(path, HEADER)
    content = path.read_bytes()
    stream = io.BytesIO()
    sheet = (
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        f'<dimension ref="A1"/><sheetData>{cells}</sheetData></worksheet>'
    )
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w") as new:
        for name in old.namelist():
            new.writestr(name, sheet if name == "xl/worksheets/sheet1.xml" else old.read(name))
    path.write_bytes(stream.getvalue())


def inline(*values: str, number: int) -> str:
    cells = "".join(
        f'<c r="{"ABC"[index]}{number}" t="inlineStr"><is><t>{value}</t></is></c>'
        for index, value in enumerate(values)
    )
    return f'<row r="{number}">{cells}</row>'


def test_rows_and_the_place_of_every_cell(table: Path) -> None:
    write(table, HEADER, ("a", "one.txt", "A"), ("b", "två.docx", "C+"))
    assert texts(table) == [("a", "one.txt", "A"), ("b", "två.docx", "C+")]
    row = read_anchor_table(table)[1]
    assert row.line == 3
    assert str(row.file_name.location) == "anchors.xlsx:3:2"
    assert str(row.grade.location) == "anchors.xlsx:3:3"


@pytest.mark.parametrize(
    "header",
    [
        ("ANCHOR-ID", "FILE-NAME", "pred_mode_grade"),
        ("Anchor Id", " File Name ", "GRADE"),
        (*HEADER, "notes", 5),
    ],
)
def test_column_names_of_production_and_of_the_design(table: Path, header: Any) -> None:
    write(table, header, ("a", "one.txt", "A"))
    assert texts(table) == [("a", "one.txt", "A")]


def test_columns_in_any_order_and_the_first_grade_that_is_not_empty(table: Path) -> None:
    write(
        table,
        (None, "pred_mode_grade", "FILE-NAME", "GRADE", "ANCHOR-ID"),
        (1, "B", "one.txt", "A", "a"),
        (2, None, "two.txt", "C-", "b"),
    )
    assert texts(table) == [("a", "one.txt", "B"), ("b", "two.txt", "C-")]
    assert [row.grade.location.column for row in read_anchor_table(table)] == [2, 4]


@pytest.mark.parametrize(
    ("value", "text"),
    [(7, "7"), (7.0, "7"), (7.5, "7.5"), (1e21, str(10**21)), (" A ", "A"), ("007", "007"), (True, "True")],
)
def test_numbers_become_the_text_that_a_person_reads(table: Path, value: Any, text: str) -> None:
    write(table, HEADER, ("a", "one.txt", value))
    assert texts(table) == [("a", "one.txt", text)]


def test_blank_rows_and_columns_around_the_table_are_passed_over(table: Path) -> None:
    write(table, (), (None, " "), (None, *HEADER), (), (None, "a", "one.txt", "A", None, "  "), ("", ""))
    (row,) = read_anchor_table(table)
    assert (row.line, row.grade.location.column) == (5, 4)


def test_formatting_far_below_and_far_right_is_no_content(table: Path) -> None:
    book = write(table, HEADER, ("a", "one.txt", "A"))
    book.active.cell(1_048_576, 3).number_format = "0.00"
    book.active.cell(2, 16_384).number_format = "0.00"
    book.save(table)
    start = time.perf_counter()
    assert texts(table) == [("a", "one.txt", "A")]
    assert time.perf_counter() - start < 30


def test_wrong_dimensions_do_not_cut_the_table(table: Path) -> None:
    stored(table, inline(*HEADER, number=1) + inline("a", "one.txt", "A", number=2))
    assert texts(table) == [("a", "one.txt", "A")]


def test_the_stored_value_of_a_formula_counts(table: Path) -> None:
    cell = '<c r="C2" t="str"><f>UPPER("b")</f><v>B</v></c></row>'
    number = '<c r="C3"><f>3+4</f><v>7</v></c></row>'
    rows = inline("a", "one.txt", number=2).replace("</row>", cell)
    rows += inline("b", "two.txt", number=3).replace("</row>", number)
    stored(table, inline(*HEADER, number=1) + rows)
    assert texts(table) == [("a", "one.txt", "B"), ("b", "two.txt", "7")]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("=A2", "a formula without a stored value"),
        (datetime.date(2024, 12, 1), "a date or a time"),
        (datetime.time(12, 1), "a date or a time"),
        ("#N/A", "the error #N/A"),
    ],
)
def test_cells_that_do_not_hold_what_is_seen(table: Path, value: Any, kind: str) -> None:
    """A formula never computed looks empty, and spreadsheets make dates of ids such as 12-1."""
    write(table, HEADER, (value, "one.txt", "A"), ("b", "two.txt", value), ("c", "three.txt", "C"))
    found = error(table)
    assert [str(problem).splitlines()[0] for problem in found.problems] == [
        f"anchors.xlsx:2:1: the cell holds {kind}",
        f"anchors.xlsx:3:3: the cell holds {kind}",
    ]
    assert found.hint in (
        "format the column as text and type the cell again",
        "open it in a spreadsheet program and save it again as .xlsx",
    )


def test_such_cells_elsewhere_do_no_harm(table: Path) -> None:
    write(table, (*HEADER, "marked on", "sum"), ("a", "one.txt", "A", datetime.date(2024, 12, 1), "=1+1"))
    assert texts(table) == [("a", "one.txt", "A")]


@pytest.mark.parametrize(
    ("title", "read"), [("anchors", "second"), (" Anchors ", "second"), ("more", "first")]
)
def test_the_sheet_called_anchors_is_read_else_the_first(table: Path, title: str, read: str) -> None:
    book = write(table, HEADER, ("first", "one.txt", "A"))
    sheet = book.create_sheet(title)
    sheet.append(HEADER)
    sheet.append(("second", "two.txt", "B"))
    book.save(table)
    assert [row.anchor_id.text for row in read_anchor_table(table)] == [read]


def test_an_incomplete_row_says_what_it_has_not(table: Path) -> None:
    write(table, HEADER, ("a", None, "A"), ("b",), ("c", "three.txt", "C"))
    assert [row.missing() for row in read_anchor_table(table)] == [["file_name"], ["file_name", "grade"], []]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((), "the table is empty"),
        ((HEADER,), "the table has no rows"),
        ((("id", "grade"), ("a", "A")), "the header has no column anchor_id, file_name; it has id, grade"),
    ],
)
def test_tables_without_what_is_needed(table: Path, rows: Any, message: str) -> None:
    write(table, *rows)
    found = error(table)
    assert found.message == message
    assert "called anchors is read" in str(found.hint) or "one row per anchor" in str(found.hint)


def test_a_workbook_of_charts_only(table: Path) -> None:
    book = openpyxl.Workbook()
    book.remove(book.active)
    book.create_chartsheet()
    book.save(table)
    assert error(table).message.startswith("is no workbook that can be read: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is damaged: File is not a zip file"),
        (b"anchor_id,file_name,grade\na,one.txt,A\n", "is damaged: File is not a zip file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "is damaged: File is not a zip file"),
        (b"x" * ((1 << 20) + 1), "is larger than 1024 KiB"),
    ],
    ids=["empty", "CSV", "old", "huge"],
)
def test_files_that_are_no_workbook(table: Path, content: bytes, message: str) -> None:
    table.write_bytes(content)
    found = error(table)
    assert found.message == message
    assert found.hint


def test_a_word_document_is_no_workbook(table: Path) -> None:
    import docx

    docx.Document().save(str(table))
    assert error(table).message == "is not a workbook but a Word document"


@pytest.mark.parametrize("part", ["xl/workbook.xml", "xl/worksheets/sheet1.xml", "[Content_Types].xml"])
def test_a_damaged_part_is_an_error_and_no_crash(table: Path, part: str) -> None:
    write(table, HEADER, ("a", "one.txt", "A"))
    stream = io.BytesIO()
    with zipfile.ZipFile(table) as old, zipfile.ZipFile(stream, "w") as new:
        for name in old.namelist():
            new.writestr(name, b"<broken" if name == part else old.read(name))
    table.write_bytes(stream.getvalue())
    assert error(table).message.startswith("is no workbook that can be read: ")


def test_entities_do_not_multiply(table: Path) -> None:
    write(table, HEADER, ("a", "one.txt", "A"))
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<!DOCTYPE x [<!ENTITY e0 "{"x" * 100}">{levels}]>'
    stream = io.BytesIO()
    with zipfile.ZipFile(table) as old, zipfile.ZipFile(stream, "w") as new:
        for name in old.namelist():
            content = old.read(name).decode()
            if name == "xl/worksheets/sheet1.xml":
                content = bomb + content.replace("<t>", "<t>&e9;", 1)
            new.writestr(name, content)
    table.write_bytes(stream.getvalue())
    assert error(table).message.startswith("is no workbook that can be read: ")


def test_more_rows_and_cells_than_a_table_has(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx_table, "_MAX_ROWS", 100)
    monkeypatch.setattr(xlsx_table, "_MAX_CELLS", 100_000)
    write(table, HEADER, *[("a", "one.txt", "A")] * 100)
    assert error(table).message == "has more than 100 rows"
    rows = "".join(f'<row r="{number}"><c r="XFD{number}"><v>1</v></c></row>' for number in range(1, 10))
    stored(table, rows)
    assert error(table).message == "has more than 100,000 cells"


def test_what_the_reader_cannot_show_does_not_warn(table: Path) -> None:
    book = write(table, HEADER, ("a", "one.txt", "A"))
    book.active.add_data_validation(DataValidation(type="list", formula1='"A,B"'))
    book.save(table)
    stream = io.BytesIO()
    with zipfile.ZipFile(table) as old, zipfile.ZipFile(stream, "w") as new:
        for name in old.namelist():
            extension = b'<extLst><ext uri="{CCE6A557-97BC-4B89-ADB6-D9C93CAAB3DF}"/></extLst></worksheet>'
            new.writestr(name, old.read(name).replace(b"</worksheet>", extension))
    table.write_bytes(stream.getvalue())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert texts(table) == [("a", "one.txt", "A")]


def test_the_reader_is_loaded_only_where_there_is_a_workbook(table: Path) -> None:
    write(table, HEADER, ("a", "one.txt", "A"))
    csv = table.with_suffix(".csv")
    csv.write_text("anchor_id,file_name,grade\na,one.txt,A\n")
    code = (
        "import sys; from pathlib import Path; "
        "from pytest_eng5.scenario.anchor_table import read_anchor_table as read; "
        f"read(Path({str(csv)!r})); assert not {{'openpyxl', 'lxml', 'docx', 'pypdf'}} & set(sys.modules); "
        f"read(Path({str(table)!r})); assert 'openpyxl' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# No control characters (XML has none), nothing that openpyxl takes for a formula or an error.
WORDS = (
    st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"), max_size=8)
    .map(str.strip)
    .filter(lambda text: text and not text.startswith(("=", "#")) and "_x" not in text)
)
NUMBERS = st.integers(-(10**9), 10**9)


@QUIET
@given(
    rows=st.lists(
        st.tuples(WORDS | NUMBERS, WORDS, st.sampled_from(["A", "B-", "F+", 7])), min_size=1, max_size=6
    ),
    gap=st.integers(0, 3),
)
def test_what_openpyxl_writes_is_read_back(table: Path, rows: list[tuple[Any, ...]], gap: int) -> None:
    write(table, *[()] * gap, HEADER, *rows)
    found: list[AnchorRow] = read_anchor_table(table)
    assert texts(table) == [tuple(map(str, row)) for row in rows]
    assert [row.line for row in found] == [gap + 2 + index for index in range(len(rows))]


@QUIET
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6))
def test_no_workbook_crashes_the_reader(table: Path, damage: list[tuple[float, int]]) -> None:
    write(table, HEADER, ("a", "one.txt", "A"))
    content = bytearray(table.read_bytes())
    for place, value in damage:
        content[int(place * len(content))] = value
    table.write_bytes(content)
    try:
        found = read_anchor_table(table)
    except ScenarioError as caught:
        found = []
        hint = caught.hint
    else:
        hint = "read"
    assert found or hint
