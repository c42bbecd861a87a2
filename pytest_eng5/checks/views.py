"""The evidence in an order that does not depend on how it was captured."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from pytest_eng5.contracts import ANCHOR_PREFIX, ProcessingEvent, topic_name
from pytest_eng5.evidence import CapturedEvent, RejectedRecord, RunEvidence

__all__ = [
    "canonical",
    "content",
    "deliveries",
    "distinct",
    "distinct_results",
    "in_order",
    "is_of_run",
    "milliseconds",
    "rejected_on",
]

_EXACT = 2.0**53
"""Up to here every whole number is a float of its own."""


def milliseconds(moment: datetime) -> float:
    """Milliseconds since the epoch; a date without offset is read as UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.timestamp() * 1000


def in_order(events: Iterable[CapturedEvent]) -> list[CapturedEvent]:
    """Events by broker timestamp, then position: capture order between partitions is chance."""
    return sorted(events, key=CapturedEvent.place)


def distinct(evidence: RunEvidence) -> list[CapturedEvent]:
    """The earliest callback of every request id, in order: redeliveries count once (contract 1.4)."""
    return list(evidence.earliest_comparisons)


def deliveries(evidence: RunEvidence) -> list[list[CapturedEvent]]:
    """All callbacks of every request id, in order."""
    if len(evidence.earliest_comparisons) == len(evidence.comparisons):
        return [[event] for event in evidence.earliest_comparisons]
    groups: dict[str, list[CapturedEvent]] = {}
    for event in evidence.ordered_comparisons:
        groups.setdefault(event.comparison.request_id, []).append(event)
    return list(groups.values())


def distinct_results(evidence: RunEvidence) -> list[CapturedEvent]:
    """The earliest rich result of every content, in order."""
    first: dict[str, CapturedEvent] = {}
    for event in in_order(evidence.results):
        first.setdefault(canonical(content(event)), event)
    return list(first.values())


def content(event: CapturedEvent) -> Any:
    """The payload as it was on the wire, without the envelope that a relay makes anew.

    ``1`` and ``1.0`` are one number, which a hop may write in another way than it came.
    """
    try:
        return json.loads(event.value(), parse_float=_number)["data"]
    except (ValueError, RecursionError):
        return event.value()


def _number(text: str) -> float | int:
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < _EXACT else value


def canonical(value: Any) -> str:
    """A JSON value as text in which the order of keys does not matter."""
    return json.dumps(value, sort_keys=True, default=repr)


def is_of_run(evidence: RunEvidence, essay_id: str) -> bool:
    """Whether an essay is planned, or an anchor that the assignment brings along (contract 7.2).

    Where it was not recorded which anchors those are, every anchor's id passes.
    """
    bound, known = evidence.plan.assignment_id is not None, evidence.assignment is not None
    return essay_id in evidence.essays or (bound and not known and essay_id.startswith(ANCHOR_PREFIX))


def rejected_on(evidence: RunEvidence, event: ProcessingEvent) -> list[RejectedRecord]:
    """Records of one topic that could not be read."""
    topic = topic_name(event)
    return [rejected for rejected in evidence.rejected if rejected.record.topic.endswith(topic)]
