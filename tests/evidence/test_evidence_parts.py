"""Artefacts read in parts: the same content as read whole, whatever the layout, and the same checksum."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.evidence import checksum_of, json_bytes, open_document, read_document
from pytest_eng5.evidence import document as parts

TEXTS = st.sampled_from(["x", "}", "},", "]", "\n    },\n", '"llm_comparisons": [', "\u00e5", ""])
ROWS = st.lists(
    st.fixed_dictionaries(
        {"request_id": TEXTS, "nested": st.lists(TEXTS, max_size=3), "n": st.integers(0, 9)}
    ),
    max_size=8,
)


def document(rows: list[Any]) -> dict[str, Any]:
    made = {
        "schema_version": "1.1.0",
        "inputs": {"anchors": [{"notes": "\n  ]"}]},
        "llm_comparisons": rows,
        "bt_summary": [{"essay_id": "a"}],
        "validation": {"artefact_checksum": "", "manifest": []},
    }
    made["validation"]["artefact_checksum"] = checksum_of(made)
    return made


def whole(path: Path) -> Any:
    opened = open_document(path)
    assert opened is not None
    rows, expected = [], 0
    for first, some in opened.rows():
        assert first == expected
        rows += some
        expected += len(some)
    return {**opened.rest, "llm_comparisons": rows}


@pytest.fixture(params=[1, 7, 64, 1 << 20], ids=lambda size: f"{size} bytes at a time")
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(parts, "_BLOCK", request.param)
    return int(request.param)


def test_it_is_the_same_in_any_layout(block: int, tmp_path: Path) -> None:
    @given(rows=ROWS, indent=st.sampled_from([None, 1, 2, 4]), compact=st.booleans())
    def same(rows: list[Any], indent: int | None, compact: bool) -> None:
        made, path = document(rows), tmp_path / "artefact.json"
        separators = (",", ":") if compact else None
        path.write_text(json.dumps(made, indent=indent, separators=separators))
        assert whole(path) == made

    same()


def test_the_checksum_is_found_in_the_bytes(block: int, tmp_path: Path) -> None:
    @given(rows=ROWS, blank=st.sampled_from(["", "0" * 64]))
    def found(rows: list[Any], blank: str) -> None:
        made, path = document(rows), tmp_path / "artefact.json"
        stored = made["validation"]["artefact_checksum"] = checksum_of(made, blank)
        path.write_bytes(json_bytes(made))
        opened = open_document(path)
        assert opened is not None
        assert opened.has_checksum(stored, blank)
        assert not opened.has_checksum(stored, "0" if blank == "" else "")
        assert not opened.has_checksum("a" * 64, blank)
        path.write_bytes(json_bytes(made).replace(b"1.1.0", b"1.1.1"))
        assert not opened.has_checksum(stored, blank)

    found()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b'{\n  "llm_comparisons": [\n    {\n', b"[" * 100_000]
)
def test_what_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "artefact.json"
    path.write_bytes(content)
    assert open_document(path) is None
    assert read_document(path) is None


def test_damage_among_the_comparisons_shows_when_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "artefact.json"
    path.write_bytes(json_bytes(document([{"n": 1}, {"n": 2}])).replace(b'"n": 1', b'"n": x'))
    opened = open_document(path)
    assert opened is not None
    with pytest.raises(ValueError):
        list(opened.rows())


@pytest.mark.parametrize("rows", [None, 3, {"a": 1}])
def test_a_list_that_is_none_stays_where_it_is(tmp_path: Path, rows: Any) -> None:
    path = tmp_path / "artefact.json"
    path.write_text(json.dumps({"llm_comparisons": rows, "x": 1}))
    opened = open_document(path)
    assert opened is not None
    assert opened.rest == {"llm_comparisons": rows, "x": 1}
    assert list(opened.rows()) == []


def test_other_json_is_kept_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "artefact.json"
    path.write_text("[1, 2]")
    opened = open_document(path)
    assert opened is not None
    assert (opened.rest, list(opened.rows())) == ([1, 2], [])
