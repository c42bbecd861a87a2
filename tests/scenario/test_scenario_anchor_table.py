"""The table of anchors: separators, quoting, column names, and the place of every cell."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_eng5.scenario import ScenarioError
from pytest_eng5.scenario.anchor_table import AnchorRow, Cell, read_anchor_table

QUIET = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "anchors.csv"


def rows(path: Path, content: str | bytes) -> list[AnchorRow]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_anchor_table(path)


def texts(found: list[AnchorRow]) -> list[tuple[str, str, str]]:
    return [(row.anchor_id.text, row.file_name.text, row.grade.text) for row in found]


def error(path: Path, content: str | bytes) -> ScenarioError:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ScenarioError) as caught:
        read_anchor_table(path)
    return caught.value


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("separator", [",", ";"])
def test_separators_line_ends_and_byte_order_marks(table: Path, separator: str, mark: str, end: str) -> None:
    lines = [["anchor_id", "file_name", "grade"], ["a", "one.txt", "A"], ["b", "two.txt", "B"]]
    content = mark + end.join(separator.join(line) for line in lines) + end
    found = rows(table, content)
    assert texts(found) == [("a", "one.txt", "A"), ("b", "two.txt", "B")]
    assert [row.line for row in found] == [2, 3]
    assert [(row.grade.location.line, row.grade.location.column) for row in found] == [(2, 11), (3, 11)]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("separator", [",", ";"])
def test_a_first_line_that_declares_the_separator(table: Path, separator: str, mark: str) -> None:
    """Spreadsheets write it; the columns alone could be taken either way here."""
    content = f"{mark}sep={separator}\r\ngrade\r\n"
    assert error(table, content).line == 2
    lines = [["anchor_id", "file_name", "grade"], ["a", "one, two; three", "A"]]
    quoted = "\r\n".join(separator.join(f'"{cell}"' for cell in line) for line in lines)
    (row,) = rows(table, f"{mark}SEP={separator}\r\n{quoted}")
    assert (row.anchor_id.text, row.file_name.text, row.line) == ("a", "one, two; three", 3)
    assert str(row.grade.location) == "anchors.csv:3:23"


@pytest.mark.parametrize(
    "header",
    [
        "anchor_id,file_name,grade",
        "ANCHOR-ID,FILE-NAME,pred_mode_grade",
        "Anchor Id, File Name ,GRADE",
        '"ANCHOR-ID","FILE-NAME","PRED_MODE_GRADE"',
        "anchor-id,file_name,Grade,notes",
    ],
)
def test_column_names_of_production_and_of_the_design(table: Path, header: str) -> None:
    assert texts(rows(table, f"{header}\na,one.txt,A\n")) == [("a", "one.txt", "A")]


def test_columns_may_stand_in_any_order_among_others(table: Path) -> None:
    content = "n;GRADE;rater 1;FILE-NAME;x;ANCHOR-ID\n1;B;0,75;one.txt;;a\n"
    assert texts(rows(table, content)) == [("a", "one.txt", "B")]


@pytest.mark.parametrize(
    ("header", "row", "grade"),
    [
        ("anchor_id,file_name,pred_mode_grade,grade", "a,f,A,B", "A"),
        ("anchor_id,file_name,pred_mode_grade,grade", "a,f,,B", "B"),
        ("anchor_id,file_name,grade,pred_mode_grade", "a,f,  ,C", "C"),
        ("anchor_id,file_name,Grade,GRADE", "a,f,D,E", "D"),
    ],
)
def test_the_first_grade_that_is_not_empty_counts(table: Path, header: str, row: str, grade: str) -> None:
    (found,) = rows(table, f"{header}\n{row}\n")
    assert found.grade.text == grade
    assert row[found.grade.location.column - 1 :].strip().startswith(grade)


def test_quoted_cells_may_hold_separators_quotes_and_line_ends(table: Path) -> None:
    content = 'note,anchor_id,file_name,grade\n"a, ""b""\nsecond",x,"one, two.txt",A\nplain,y,three.txt,B\n'
    found = rows(table, content)
    assert texts(found) == [("x", "one, two.txt", "A"), ("y", "three.txt", "B")]
    assert [row.line for row in found] == [2, 4]
    assert (found[0].anchor_id.location.line, found[0].anchor_id.location.column) == (3, 9)
    assert (found[0].grade.location.line, found[0].grade.location.column) == (3, 26)


def test_blank_rows_are_passed_over_and_still_counted(table: Path) -> None:
    found = rows(table, " \n\nanchor_id;file_name;grade\n\n ; ;\na;one.txt;A\n\n")
    assert [row.line for row in found] == [6]


@pytest.mark.parametrize(
    ("row", "missing"),
    [
        (",one.txt,A", "anchor_id"),
        ("a,,A", "file_name"),
        ("a,one.txt,", "grade"),
        ("a,one.txt", "grade"),
        ("a", "file_name, grade"),
        (" ,one.txt, ", "anchor_id, grade"),
    ],
)
def test_an_incomplete_row_says_what_it_has_not(table: Path, row: str, missing: str) -> None:
    first, second = rows(table, f"anchor_id,file_name,grade\n{row}\nb,two.txt,B\n")
    assert ", ".join(first.missing()) == missing
    assert second.missing() == []


@pytest.mark.parametrize(
    ("content", "line", "column", "message"),
    [
        ("", 1, 1, "the table is empty"),
        ("\n \n", 1, 1, "the table is empty"),
        ("anchor_id,file_name,grade\n", 1, 1, "the table has no rows"),
        ("anchor_id,grade\na,A\n", 1, 1, "the header has no column file_name; it has anchor_id, grade"),
        ("\nid,name\na,b\n", 2, 1, "the header has no column anchor_id, file_name, grade; it has id, name"),
        (
            "anchor_id\tfile_name\tgrade\na\tb\tA\n",
            1,
            1,
            "the header has no column anchor_id, file_name, grade",
        ),
        ('anchor_id,file_name,grade\na,"one.txt,A\nb,two,B\n', 2, 1, "is not CSV: unexpected end of data"),
        ('anchor_id,file_name,grade\na,"one"x,A\n', 2, 1, "is not CSV: ',' expected after '\"'"),
        (b"anchor_id,file_name,grade\na,caf\xe9.txt,A\n", 2, 6, "is not UTF-8: byte 0xe9 cannot be decoded"),
        (b"anchor_id,file_name,grade\na,\x00.txt,A\n", 2, 3, "holds a NUL character"),
        (
            "anchor_id,file_name,grade\na," + "x" * 200_000 + ",A\n",
            2,
            1,
            "is not CSV: field larger than field limit",
        ),
        ("anchor_id,file_name,grade,grade\n".encode("utf-16"), 1, 1, "is UTF-16 or UTF-32 text, not UTF-8"),
    ],
)
def test_tables_that_cannot_be_read(
    table: Path, content: str | bytes, line: int, column: int, message: str
) -> None:
    found = error(table, content)
    assert found.message.startswith(message)
    assert (found.path, found.line, found.column) == (table, line, column)


NAMES = st.text(alphabet=st.sampled_from(list("abcåÄ012 _-+.'\"\n,;:|")), min_size=1, max_size=8).filter(
    lambda text: bool(text.strip()) and text == text.strip()
)
CELLS = st.tuples(NAMES, NAMES, st.sampled_from(["A", "B-", "F+"]), NAMES)


@QUIET
@given(
    cells=st.lists(CELLS, min_size=1, max_size=6),
    separator=st.sampled_from([",", ";"]),
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    header=st.sampled_from(
        [("anchor_id", "file_name", "grade"), ("ANCHOR-ID", "FILE-NAME", "pred_mode_grade")]
    ),
    mark=st.sampled_from(["", "\ufeff"]),
    declared=st.booleans(),
)
def test_what_the_csv_module_writes_is_read_back_cell_by_cell(
    table: Path,
    cells: list[tuple[str, str, str, str]],
    separator: str,
    end: str,
    quoting: int,
    header: tuple[str, ...],
    mark: str,
    declared: bool,
) -> None:
    stream = io.StringIO()
    stream.write(f"sep={separator}{end}" if declared else "")
    writer = csv.writer(stream, delimiter=separator, lineterminator=end, quoting=quoting)
    writer.writerow([*header, "note"])
    writer.writerows(cells)
    content = stream.getvalue()
    found = rows(table, mark + content)
    assert texts(found) == [(a, b, c) for a, b, c, _ in cells]
    lines = content.replace("\r\n", "\n").split("\n")
    for row in found:
        for cell in (row.anchor_id, row.file_name, row.grade):
            assert stands_at(lines, cell)


def stands_at(lines: list[str], cell: Cell) -> bool:
    rest = "\n".join(
        [lines[cell.location.line - 1][cell.location.column - 1 :], *lines[cell.location.line :]]
    )
    if rest.startswith('"'):
        return rest[1:].replace('""', '"').startswith(cell.text)
    return rest.startswith(cell.text)


@QUIET
@given(
    st.text(alphabet=st.sampled_from(list("ab,;\"'\n\r\0\t gradeGRADE_-é")), max_size=80)
    | st.binary(max_size=60)
)
def test_no_table_crashes_the_reader(table: Path, content: str | bytes) -> None:
    body = content.encode() if isinstance(content, str) else content
    for data in (body, b"anchor_id;file_name;grade\n" + body):
        table.write_bytes(data)
        try:
            found = read_anchor_table(table)
        except ScenarioError:
            continue
        assert found
        assert all(
            row.line == cell.location.line for row in found for cell in [row.anchor_id] if not cell.text
        )
