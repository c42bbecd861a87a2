"""From bytes to events: tolerance, dates, and nothing but a ValidationError whatever arrives."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from itertools import chain
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from pytest_eng5.contracts import (
    PAYLOADS,
    EventEnvelope,
    ProcessingEvent,
    WireDatetime,
    decode_event,
    json_pointer,
    validation_reasons,
)

CALLBACK = ProcessingEvent.LLM_COMPARISON_RESULT
DATE: TypeAdapter[datetime] = TypeAdapter(WireDatetime)
Changed = Callable[..., dict[str, Any]]
Decode = Callable[..., Any]
Reasons = Callable[..., list[tuple[str, str]]]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1971, 1, 1), datetime(2999, 1, 1), timezones=zones)
together = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


def _decode_or_refuse(event: ProcessingEvent, value: bytes) -> list[tuple[str, str]]:
    try:
        envelope = decode_event(event, value)
    except ValidationError as error:
        found = validation_reasons(error)
        assert found
        assert all(pointer == "" or pointer.startswith("/") for pointer, _ in found)
        assert all(message for _, message in found)
        return found
    assert isinstance(envelope.data, PAYLOADS[event])
    return []


@given(st.sampled_from(list(PAYLOADS)), st.binary(max_size=200))
@example(CALLBACK, b"")
@example(CALLBACK, b"null")
@example(CALLBACK, b"\xff\xfe{}")
@example(CALLBACK, b"\xef\xbb\xbf{}")
@example(CALLBACK, b"{}")
@example(CALLBACK, b'{"data":{}}')
@example(CALLBACK, b"[" * 100_000)
@example(CALLBACK, b'{"data":' * 5_000)
@example(CALLBACK, b'{"schema_version":' + b"9" * 10_000 + b"}")
@example(CALLBACK, b'{"event_type":"\\ud800"}')
def test_arbitrary_bytes_are_refused_in_words(event: ProcessingEvent, value: bytes) -> None:
    assert _decode_or_refuse(event, value)


@given(event=st.sampled_from(list(PAYLOADS)), data=json_values)
def test_arbitrary_json_is_decoded_or_refused_in_words(event: ProcessingEvent, data: Any) -> None:
    envelope = {"event_type": "t", "source_service": "s", "data": data}
    _decode_or_refuse(event, json.dumps(envelope).encode())
    _decode_or_refuse(event, json.dumps(data).encode())


@together
@given(data=st.data())
def test_an_example_with_any_field_replaced_is_decoded_or_refused(
    name: str, data: st.DataObject, changed: Changed
) -> None:
    document = changed(name)
    pointers = list(
        chain(
            (f"/{key}" for key in document),
            (f"/data/{key}" for key in document["data"]),
            (f"/data/request_metadata/{key}" for key in document["data"].get("request_metadata", {})),
        )
    )
    pointer = data.draw(st.sampled_from(pointers))
    broken = changed(name, {pointer: data.draw(json_values)})
    event = next(event for event in PAYLOADS if event.value == document["data"].get("event_name", CALLBACK))
    found = _decode_or_refuse(event, json.dumps(broken).encode())
    assert all(where == "/data" or where.startswith(pointer) for where, _ in found)


@together
@given(cut=st.floats(0, 1, exclude_max=True))
def test_a_truncated_event_is_refused(cut: float, name: str, changed: Changed) -> None:
    document = changed(name)
    value = json.dumps(document).encode()
    event = next(event for event in PAYLOADS if event.value == document["data"].get("event_name", CALLBACK))
    found = _decode_or_refuse(event, value[: int(cut * len(value))])
    assert [pointer for pointer, _ in found] == [""]


@together
@given(extra=st.dictionaries(st.text(min_size=9, max_size=20).map("x_{}".format), json_values, max_size=4))
def test_unknown_fields_are_ignored(
    name: str, extra: dict[str, Any], changed: Changed, decode: Decode
) -> None:
    document = changed(name)
    plain = decode(name, document)
    wider = {**document, **extra, "data": {**document["data"], **extra}}
    assert decode(name, wider) == plain


def test_unknown_keys_of_free_objects_are_kept(changed: Changed, decode: Decode) -> None:
    document = changed("comparison_result", {"/data/request_metadata/usage": {"cache": [1]}})
    assert decode("comparison_result", document).data.request_metadata["usage"] == {"cache": [1]}


@given(moment=moments)
def test_iso_and_rfc822_dates_name_the_same_moment(moment: datetime) -> None:
    second = moment.replace(microsecond=0)
    assert DATE.validate_python(second.isoformat()) == second
    assert DATE.validate_python(format_datetime(second)) == second
    assert DATE.validate_json(json.dumps(moment.isoformat())) == moment


@given(moment=st.datetimes(datetime(1971, 1, 1), datetime(2999, 1, 1)))
def test_a_date_without_an_offset_is_utc(moment: datetime) -> None:
    read = DATE.validate_python(moment.isoformat())
    assert read == moment.replace(tzinfo=UTC)
    assert read.utcoffset() == timedelta(0)


@pytest.fixture
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_new_york")
@pytest.mark.parametrize("text", ["2026-07-01T12:00:00", "Wed, 01 Jul 2026 12:00:00 -0000"])
def test_a_date_without_an_offset_is_utc_wherever_it_is_read(text: str) -> None:
    assert datetime(2026, 7, 1, 12).astimezone().utcoffset() == timedelta(hours=-4)
    assert DATE.validate_python(text) == datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sun, 01 Mar 2026 09:00:05 GMT", datetime(2026, 3, 1, 9, 0, 5, tzinfo=UTC)),
        ("Sun, 01 Mar 2026 09:00:05 -0000", datetime(2026, 3, 1, 9, 0, 5, tzinfo=UTC)),
        ("Sun, 01 Mar 2026 10:00:05 +0100", datetime(2026, 3, 1, 9, 0, 5, tzinfo=UTC)),
        ("2026-03-01T09:00:05Z", datetime(2026, 3, 1, 9, 0, 5, tzinfo=UTC)),
        ("2026-03-01 09:00:05", datetime(2026, 3, 1, 9, 0, 5, tzinfo=UTC)),
        ("2026-03-01T09:00:05.123456+00:00", datetime(2026, 3, 1, 9, 0, 5, 123456, tzinfo=UTC)),
    ],
)
def test_dates_as_the_services_write_them(text: str, expected: datetime) -> None:
    read = DATE.validate_python(text)
    assert read == expected
    assert read.tzinfo is not None


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "",
        "None",
        "Mon, 01 Jan 2024 00:00:00 +99999999999999",
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 32 Jan 2024 00:00:00 GMT",
        "2026-02-30T00:00:00Z",
    ],
)
def test_what_is_no_date_is_refused_at_its_field(text: str, reasons: Reasons) -> None:
    found = reasons("comparison_result", {"/data/requested_at": text})
    assert [pointer for pointer, _ in found] == ["/data/requested_at"]


@given(st.text(max_size=60))
@example("Mon, 01 Jan 2024 00:00:00 +" + "9" * 30)
def test_any_text_for_a_date_is_read_or_refused(text: str) -> None:
    try:
        read = DATE.validate_python(text)
    except ValidationError:
        return
    assert read.tzinfo is not None


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ((), ""),
        (("data", "essays_for_cj", 0, "essay_id"), "/data/essays_for_cj/0/essay_id"),
        (("a/b",), "/a~1b"),
        (("m~n",), "/m~0n"),
        (("~1",), "/~01"),
        ((" ", ""), "/ /"),
    ],
)
def test_json_pointers_of_rfc_6901(path: tuple[int | str, ...], pointer: str) -> None:
    assert json_pointer(path) == pointer


@given(st.lists(st.text() | st.integers(0, 99), max_size=5))
def test_a_json_pointer_can_be_read_back(path: list[int | str]) -> None:
    parts = json_pointer(tuple(path)).split("/")[1:]
    assert [part.replace("~1", "/").replace("~0", "~") for part in parts] == [str(part) for part in path]


@pytest.mark.parametrize("pointer", ["/data/winner", "/data/provider", "/data/requested_at", "/event_id"])
def test_reasons_never_echo_the_value(pointer: str, reasons: Reasons) -> None:
    found = reasons("comparison_result", {pointer: "SECRET-VALUE"})
    assert found
    assert "SECRET" not in repr(found)


def test_all_problems_are_reported_at_once(reasons: Reasons) -> None:
    changes = {"/data/winner": "Essay C", "/data/cost_estimate": -1, "/event_id": "x"}
    assert {pointer for pointer, _ in reasons("comparison_result", changes)} == set(changes)


def test_an_envelope_without_ids_gets_its_own() -> None:
    first, second = (EventEnvelope(event_type="t", source_service="s", data={}) for _ in range(2))
    assert first.event_id != second.event_id
    assert first.event_timestamp.tzinfo is not None
    assert json.loads(first.to_wire())["data"] == {}


def test_text_beyond_ascii_survives_the_wire(changed: Changed, decode: Decode) -> None:
    document = changed("comparison_result", {"/data/justification": "Bättre språk – 作文 🙂"})
    wire = decode("comparison_result", document).to_wire()
    assert decode_event(CALLBACK, wire).data.justification == "Bättre språk – 作文 🙂"


def test_decoding_keeps_up_with_any_broker(changed: Changed) -> None:
    value = json.dumps(changed("comparison_result")).encode()
    decode_event(CALLBACK, value)
    start = time.perf_counter()
    for _ in range(2_000):
        decode_event(CALLBACK, value)
    rate = 2_000 / (time.perf_counter() - start)
    print(f"{rate:,.0f} callbacks of {len(value)} bytes decoded per second")
    assert rate > 200
