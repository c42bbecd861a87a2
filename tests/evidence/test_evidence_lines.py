"""One record, one line: any bytes survive, damage never passes for evidence."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_eng5.evidence import CapturedRecord, EvidenceError, Rejection, decode_line, encode_line

Make = Callable[..., CapturedRecord]

blobs = st.none() | st.binary(max_size=80) | st.text(max_size=40).map(str.encode)
zones = st.just(UTC) | st.integers(-14, 14).map(lambda hours: timezone(timedelta(hours=hours)))
records = st.builds(
    CapturedRecord,
    topic=st.text(max_size=30),
    partition=st.integers(0, 2**31 - 1),
    offset=st.integers(0, 2**63 - 1),
    timestamp_ms=st.integers(-1, 2**63 - 1),
    received_at=st.datetimes(datetime(1970, 1, 2), datetime(9000, 1, 1), timezones=zones),
    key=blobs,
    value=blobs,
    headers=st.lists(st.tuples(st.text(max_size=10), blobs), max_size=4).map(tuple),
)
rejections = st.none() | st.builds(
    Rejection,
    stage=st.sampled_from(["undecodable", "schema"]),
    reasons=st.lists(st.tuples(st.text(max_size=20), st.text(max_size=30)), max_size=3).map(tuple),
    attribution=st.text(max_size=15),
)


@given(records, rejections)
def test_a_record_survives_its_line(record: CapturedRecord, rejection: Rejection | None) -> None:
    line = encode_line(record, rejection)
    assert b"\n" not in line
    assert decode_line(line, "f:1") == (record, rejection)


@given(records)
def test_a_line_is_readable_with_any_json_library(record: CapturedRecord) -> None:
    line = json.loads(encode_line(record))
    assert (line["topic"], line["partition"], line["offset"]) == (
        record.topic,
        record.partition,
        record.offset,
    )
    assert datetime.fromisoformat(line["received_at"]) == record.received_at
    for name, data in (("key", record.key), ("value", record.value)):
        if f"{name}_base64" in line:
            assert base64.b64decode(line[f"{name}_base64"]) == data
            assert name not in line
        else:
            assert (None if line[name] is None else line[name].encode()) == data


def test_text_stays_text_and_the_rest_is_base64(record: Make) -> None:
    line = json.loads(encode_line(record("språk".encode(), key=b"\xff")))
    assert line["value"] == "språk"
    assert line["key_base64"] == "/w=="
    assert json.loads(encode_line(record(None)))["value"] is None
    assert json.loads(encode_line(record(b"")))["value"] == ""


def test_a_line_keeps_exactly_what_the_design_lists(record: Make) -> None:
    line = json.loads(encode_line(record(b"v", headers=(("h", b"x"),))))
    assert list(line) == [
        *("topic", "partition", "offset", "timestamp_ms", "received_at", "key", "headers", "value"),
    ]
    assert line["headers"] == [{"name": "h", "value": "x"}]


def test_a_rejection_says_where_and_why(record: Make) -> None:
    why = Rejection("schema", (("/data/winner", "wrong"), ("", "bad")), "bos_batch_id")
    line = json.loads(encode_line(record(b"{}"), why))
    assert line["rejected"] == {
        "stage": "schema",
        "reasons": [{"pointer": "/data/winner", "message": "wrong"}, {"pointer": "", "message": "bad"}],
        "attribution": "bos_batch_id",
    }


@given(st.binary(max_size=120))
@example(b"")
@example(b"null")
@example(b"[]")
@example(b'"text"')
@example(b"{}")
@example(b"\xff")
@example(b"[" * 5_000)
def test_what_is_no_line_is_an_evidence_error(line: bytes) -> None:
    with pytest.raises(EvidenceError) as caught:
        decode_line(line, "events/comparisons.jsonl:7")
    assert str(caught.value).startswith("events/comparisons.jsonl:7: ")
    assert "fix:" in str(caught.value)


GOOD = {
    "topic": "t",
    "partition": 0,
    "offset": 1,
    "timestamp_ms": 1,
    "received_at": "2026-03-01T09:00:00+00:00",
    "key": None,
    "headers": [],
    "value": "v",
}
MISSING = "<missing>"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((field, MISSING) for field in GOOD),
        ("partition", "zero"),
        ("partition", None),
        ("offset", []),
        ("timestamp_ms", "now"),
        ("received_at", 12),
        ("received_at", "yesterday"),
        ("headers", None),
        ("headers", [1]),
        ("headers", [{}]),
        ("headers", [{"name": "h"}]),
        ("value", {"a": 1}),
        ("value", 5),
        ("key", ["k"]),
        ("value_base64", "not base64!"),
        ("value_base64", "/w!=="),
        ("value_base64", "abc"),
        ("value_base64", "é"),
        ("key_base64", None),
        ("rejected", []),
        ("rejected", {}),
        ("rejected", {"stage": "schema", "reasons": [1], "attribution": "x"}),
    ],
)
def test_a_damaged_field_is_an_evidence_error(field: str, value: Any) -> None:
    decode_line(json.dumps(GOOD).encode(), "f:1")
    line = {name: item for name, item in {**GOOD, field: value}.items() if item != MISSING}
    with pytest.raises(EvidenceError, match="not a line of an event log"):
        decode_line(json.dumps(line).encode(), "f:1")


@given(records, st.floats(0, 1, exclude_max=True))
def test_a_line_cut_off_is_an_evidence_error(record: CapturedRecord, cut: float) -> None:
    line = encode_line(record)
    with pytest.raises(EvidenceError):
        decode_line(line[: int(cut * len(line))], "f:1")


@given(records, st.data())
def test_a_line_with_one_byte_changed_is_read_or_an_evidence_error(
    record: CapturedRecord, data: st.DataObject
) -> None:
    line = bytearray(encode_line(record))
    line[data.draw(st.integers(0, len(line) - 1))] = data.draw(st.integers(0, 255))
    with suppress(EvidenceError):
        decode_line(bytes(line), "f:1")


def test_a_position_is_named_as_in_findings(record: Make) -> None:
    made = record(b"", topic="huleedu.llm_provider.comparison_result.v1", partition=2, offset=41)
    assert made.position == "huleedu.llm_provider.comparison_result.v1[2]@41"


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [
        (-1, None),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (1_772_355_600_500, datetime(2026, 3, 1, 9, 0, 0, 500_000, tzinfo=UTC)),
        (1_772_355_600_500_000_000, None),  # a producer that writes nanoseconds
        (2**63 - 1, None),
    ],
)
def test_the_broker_timestamp_as_a_date(milliseconds: int, expected: datetime | None, record: Make) -> None:
    assert record(b"", timestamp_ms=milliseconds).timestamp == expected
