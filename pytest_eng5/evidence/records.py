"""One captured Kafka record and its line in the event log.

A line keeps topic, partition, offset, broker timestamp, receive time, key, headers and the raw value. Bytes
that are UTF-8 stand as text under ``key`` / ``value``; others stand in base64 under ``key_base64`` /
``value_base64``. A null key or value is JSON ``null``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import orjson
from pydantic import ValidationError

from pytest_eng5.contracts import validation_reasons
from pytest_eng5.errors import Eng5Error

__all__ = ["CapturedRecord", "EvidenceError", "Rejection", "decode_apart", "decode_line", "encode_line"]


class EvidenceError(Eng5Error):
    """Recorded evidence that cannot be read."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a record could not be taken at face value.

    Attributes:
        stage: ``undecodable`` (no UTF-8, no JSON object) or ``schema`` (breaks its model).
        reasons: (JSON pointer, message) pairs; the pointer is empty for the whole value.
        attribution: How the record was tied to this run: a data field, ``text`` (an id of the run stands in
            the bytes), ``unattributed`` (only runs of this session use the topic), or ``recorded`` (it was
            taken for a valid event of this run when it was captured).
    """

    stage: str
    reasons: tuple[tuple[str, str], ...]
    attribution: str

    @classmethod
    def because(cls, error: ValidationError, attribution: str) -> Rejection:
        """The rejection of a record whose validation ended so."""
        undecodable = any(item["type"] in ("json_invalid", "json_type") for item in error.errors())
        reasons = tuple(validation_reasons(error))
        return cls("undecodable" if undecodable else "schema", reasons, attribution)


@dataclass(frozen=True, slots=True)
class CapturedRecord:
    """A record as the broker handed it out.

    Attributes:
        timestamp_ms: Broker timestamp, milliseconds since the epoch; -1 if the record has none.
        received_at: When the harness got it, aware UTC.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    received_at: datetime
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = field(default=())

    @property
    def position(self) -> str:
        """``topic[partition]@offset``, the way findings name a record."""
        return f"{self.topic}[{self.partition}]@{self.offset}"

    @property
    def timestamp(self) -> datetime | None:
        """Broker timestamp as a date; ``None`` if the record has none, or one beyond the year 9999."""
        try:
            return None if self.timestamp_ms < 0 else datetime.fromtimestamp(self.timestamp_ms / 1000, UTC)
        except (ValueError, OverflowError, OSError):  # producers may set any number, nanoseconds for one
            return None


def _put(target: dict[str, Any], name: str, data: bytes | None) -> None:
    if data is None:
        target[name] = None
        return
    try:
        target[name] = data.decode()
    except UnicodeDecodeError:
        target[f"{name}_base64"] = base64.b64encode(data).decode()


def _get(source: Mapping[str, Any], name: str) -> bytes | None:
    coded = f"{name}_base64"
    if coded in source:
        return base64.b64decode(source[coded], validate=True)
    text: str | None = source[name]
    return None if text is None else text.encode()


def encode_line(record: CapturedRecord, rejection: Rejection | None = None) -> bytes:
    """The record as one JSON line, without the newline."""
    line: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp_ms": record.timestamp_ms,
        "received_at": record.received_at,
    }
    _put(line, "key", record.key)
    line["headers"] = []
    for name, data in record.headers:
        header: dict[str, Any] = {"name": name}
        _put(header, "value", data)
        line["headers"].append(header)
    _put(line, "value", record.value)
    if rejection is not None:
        line["rejected"] = {
            "stage": rejection.stage,
            "reasons": [{"pointer": pointer, "message": text} for pointer, text in rejection.reasons],
            "attribution": rejection.attribution,
        }
    return orjson.dumps(line)


def decode_line(line: bytes, where: str) -> tuple[CapturedRecord, Rejection | None]:
    """Read a line back.

    Args:
        line: One line of an event log.
        where: ``file:line`` for the error message.

    Raises:
        EvidenceError: The line is damaged.
    """
    record, value, rejection = decode_apart(line, where)
    return replace(record, value=value), rejection


def decode_apart(line: bytes, where: str) -> tuple[CapturedRecord, bytes | None, Rejection | None]:
    """Read a line back: the record without its value, the value, and why it was rejected.

    Args:
        line: One line of an event log.
        where: ``file:line`` for the error message.

    Raises:
        EvidenceError: The line is damaged.
    """
    try:
        raw = orjson.loads(line)
        headers: Sequence[Mapping[str, Any]] = raw["headers"]
        record = CapturedRecord(
            topic=str(raw["topic"]),
            partition=int(raw["partition"]),
            offset=int(raw["offset"]),
            timestamp_ms=int(raw["timestamp_ms"]),
            received_at=datetime.fromisoformat(raw["received_at"]),
            key=_get(raw, "key"),
            value=None,
            headers=tuple((str(item["name"]), _get(item, "value")) for item in headers),
        )
        value, rejected = _get(raw, "value"), raw.get("rejected")
        if rejected is None:
            return record, value, None
        reasons = tuple((str(item["pointer"]), str(item["message"])) for item in rejected["reasons"])
        return record, value, Rejection(str(rejected["stage"]), reasons, str(rejected["attribution"]))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise EvidenceError(
            f"not a line of an event log ({error})",
            where=where,
            fix="the file was altered or cut off after the run; `manifest.json` tells which files are intact",
        ) from error
