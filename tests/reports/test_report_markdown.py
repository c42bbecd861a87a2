"""Text that nobody vouches for cannot change the structure of a Markdown document."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from pytest_eng5.reports.markdown import code, fenced, inline, one_line, shortened, table

NASTY = st.text(
    st.one_of(st.sampled_from("|`*_[]()<>&#~\\!\n\r\t-+=.:/@w1$\"'{}\u2028\u202e\x00"), st.characters()),
    max_size=80,
)
PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def parsed(lines: list[str]) -> list[Token]:
    return PARSER.parse("\n".join(lines) + "\n")


def words(token: Token) -> str:
    return "".join(child.content for child in token.children or [])


def one_table(lines: list[str]) -> list[Token]:
    """The cells of what must be one table and nothing else."""
    tokens = parsed(lines)
    assert (tokens[0].type, tokens[-1].type) == ("table_open", "table_close")
    assert [token.type for token in tokens].count("table_open") == 1
    return [token for token in tokens if token.type == "inline"]


@given(NASTY)
@example("a | b\n| --- | --- |")
@example("\\|")
@example("`|`")
@example("<script>alert(1)</script>")
@example("[x](javascript:alert(1))")
@example("![x](http://evil/x.png)")
@example("trailing \\")
@example("&lt;b&gt;")
def test_a_cell_is_one_cell_of_plain_words(text: str) -> None:
    cells = one_table(table(("one", "two"), [("before", inline(text)), ("next", "row")]))
    assert len(cells) == 6
    assert {child.type for child in cells[3].children or []} <= {"text", "text_special"}
    assert words(cells[3]).split() == one_line(text).replace("\ufffd", "\ufffd").split()
    assert (words(cells[2]), words(cells[4]), words(cells[5])) == ("before", "next", "row")


@given(NASTY)
@example("# heading")
@example("1. list")
@example("2) list")
@example("- list")
@example("> quote")
@example("---")
@example("===")
@example("```")
@example("    code")
@example("<div>")
def test_a_list_item_is_one_paragraph(text: str) -> None:
    tokens = parsed([f"- {inline(text)} end", "- second"])
    kinds = [token.type for token in tokens]
    item = ["list_item_open", "paragraph_open", "inline", "paragraph_close", "list_item_close"]
    assert kinds == ["bullet_list_open", *item, *item, "bullet_list_close"]
    assert {child.type for child in tokens[3].children or []} <= {"text", "text_special"}


@given(NASTY)
def test_a_code_span_stays_one_in_a_table(text: str) -> None:
    cells = one_table(table(("one", "two"), [(code(text), "x")]))
    assert [child.type for child in cells[2].children or []] == ["code_inline"]
    assert words(cells[3]) == "x"


@given(NASTY)
@example("```\n# out of the fence\n```")
@example("~~~\n````````")
@example("```")
@example("")
@example("no newline")
@example("newline\n")
def test_a_fence_holds_its_text_verbatim(text: str) -> None:
    tokens = parsed(["before", "", *fenced(text), "", "after"])
    assert [token.type for token in tokens if token.type != "inline"] == [
        *("paragraph_open", "paragraph_close", "fence", "paragraph_open", "paragraph_close")
    ]
    (fence,) = [token for token in tokens if token.type == "fence"]
    normal = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "\ufffd")
    assert fence.content.rstrip("\n") == normal.rstrip("\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain words, 3.5 (A) - x_y", "plain words, 3.5 (A) - x_y"),
        ("a|b", r"a\|b"),
        ("two\nlines\r\n\tthree", "two lines three"),
        ("<b>", "&lt;b>"),
        ("AT&T", "AT&amp;T"),
        ("see https://evil.example", "see https&#58;//evil.example"),
        ("WWW.evil.example", "WWW&#46;evil.example"),
        ("ask @admin", "ask &#64;admin"),
        ("comparison_result@41", "comparison_result@41"),
        ("_emphasis_", r"\_emphasis\_"),
        ("", ""),
    ],
)
def test_how_it_reads(text: str, expected: str) -> None:
    assert inline(text) == expected


@given(st.text(max_size=120))
def test_shortening_keeps_at_most_fifty_characters(text: str) -> None:
    line, short = one_line(text), shortened(text)
    assert short == line if len(line) <= 50 else short.endswith("...") and len(short) <= 53
    assert line.startswith(short.removesuffix("...").rstrip()) or len(line) <= 50


def test_direction_marks_are_removed() -> None:
    assert one_line("a\u202eb\u200bc\u2066d") == "abcd"
