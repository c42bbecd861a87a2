"""Rules about time: nothing before the request, callbacks before the completion, clocks that agree."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime

from pytest_eng5.checks.drafting import about
from pytest_eng5.checks.views import distinct, in_order, milliseconds
from pytest_eng5.checks.wording import short_topic
from pytest_eng5.contracts import BaseEventData, LLMComparisonResultV1
from pytest_eng5.evidence import CapturedEvent, Finding, RunEvidence

__all__ = [
    "BROKER_TOLERANCE_MS",
    "FUTURE_TOLERANCE_MS",
    "PAYLOAD_TOLERANCE_MS",
    "check_clock",
    "check_late",
    "check_stale",
    "spans_of",
]

BROKER_TOLERANCE_MS = 1_000.0
"""How far timestamps of records may disagree: producers set them, and hosts' clocks differ a little."""

PAYLOAD_TOLERANCE_MS = 60_000.0
"""How far dates inside events may lie before the plan: services' clocks are less well kept."""

FUTURE_TOLERANCE_MS = 300_000.0
"""How far a date inside an event may lie after its record's timestamp."""

Span = tuple[float, float]
"""Two moments in milliseconds since the epoch."""


def _dates(event: CapturedEvent) -> dict[str, datetime]:
    """The dates that stand in an event, by pointer, all aware; defaults that nobody wrote are left out."""
    data, dates = event.payload, {}
    if isinstance(data, LLMComparisonResultV1):
        dates = {"/data/requested_at": data.requested_at, "/data/completed_at": data.completed_at}
    elif isinstance(data, BaseEventData) and "timestamp" in data.model_fields_set:
        dates = {"/data/timestamp": data.timestamp}
    if "event_timestamp" in event.envelope.model_fields_set:
        dates["/event_timestamp"] = event.envelope.event_timestamp
    return dates


def spans_of(evidence: RunEvidence) -> list[Span]:
    """First and last of the dates in each event, in milliseconds."""
    return [_span(event) for event in evidence.events]


def _span(event: CapturedEvent) -> Span:
    stamps = [date.timestamp() * 1000 for date in _dates(event).values()]
    return (min(stamps), max(stamps)) if stamps else (math.inf, -math.inf)


def check_stale(evidence: RunEvidence, spans: Sequence[Span]) -> Iterator[Finding]:
    """EVENT-STALE: no record is older than the request, no date in it older than the plan.

    Records may be one second early (clocks of producers differ), dates one minute. Where the request's
    timestamp is not recorded, the plan's stands in, with the larger tolerance.
    """
    hint = "the event belongs to an earlier use of these ids, or the clocks of the hosts differ: compare them"
    planned = milliseconds(evidence.plan.created_at)
    sent = evidence.ending.request_timestamp_ms if evidence.ending else None
    earliest = planned - PAYLOAD_TOLERANCE_MS if sent is None else sent - BROKER_TOLERANCE_MS
    oldest = planned - PAYLOAD_TOLERANCE_MS
    suspects = (
        event
        for event, (first, _) in zip(evidence.events, spans, strict=True)
        if first < oldest or event.record.timestamp_ms < earliest
    )
    for event in in_order(suspects):
        stale = _stale(event, earliest, planned if sent is None else sent, planned)
        if stale is not None:
            text, field = stale
            yield about(event, "EVENT-STALE", text, hint=hint, field=field)


def _stale(
    event: CapturedEvent, earliest: float, request: float, planned: float
) -> tuple[str, str | None] | None:
    topic, stamp = short_topic(event.record.topic), event.record.timestamp_ms
    if 0 <= stamp < earliest:
        return f"{topic} was published {_seconds(request - stamp)} before the request", None
    for field, date in _dates(event).items():
        early = planned - date.timestamp() * 1000
        if early > PAYLOAD_TOLERANCE_MS:
            return f"{field} of {topic} lies {_seconds(early)} before the run was planned", field
    return None


def check_late(evidence: RunEvidence) -> Iterator[Finding]:
    """EVENT-LATE: a callback's first delivery is not published after the batch was completed.

    Order between topics is not guaranteed, so this is a warning; the callback is captured and counted.
    """
    stamps = [event.record.timestamp_ms for event in evidence.completions if event.record.timestamp_ms >= 0]
    if not stamps:
        return
    hint = "the pipeline finished without waiting for it: compare its scores with and without the callback"
    for event in distinct(evidence):
        late = event.record.timestamp_ms - min(stamps)
        if late > BROKER_TOLERANCE_MS:
            text = f"callback published {_seconds(late)} after the completion"
            yield about(event, "EVENT-LATE", text, hint=hint)


def check_clock(evidence: RunEvidence, spans: Sequence[Span]) -> Iterator[Finding]:
    """EVENT-CLOCK: a comparison ends after it began, and no date lies in the future of its record."""
    hint = "compare the clock of the producing service with the broker's"
    suspects = (
        event
        for event, (_, last) in zip(evidence.events, spans, strict=True)
        if last - event.record.timestamp_ms > FUTURE_TOLERANCE_MS or _backwards(event)
    )
    for event in in_order(suspects):
        problem = _backwards(event) or _future(event)
        if problem is not None:
            text, field = problem
            yield about(event, "EVENT-CLOCK", text, hint=hint, field=field)


def _backwards(event: CapturedEvent) -> tuple[str, str] | None:
    if not isinstance(event.payload, LLMComparisonResultV1):
        return None
    begun, ended = event.payload.requested_at, event.payload.completed_at
    if ended >= begun:
        return None
    gap = (begun - ended).total_seconds() * 1000
    return f"completed_at lies {_seconds(gap)} before requested_at", "/data/completed_at"


def _future(event: CapturedEvent) -> tuple[str, str] | None:
    stamp = event.record.timestamp_ms
    if stamp < 0:
        return None
    for field, date in _dates(event).items():
        ahead = date.timestamp() * 1000 - stamp
        if ahead > FUTURE_TOLERANCE_MS:
            return f"{field} lies {_seconds(ahead)} after the record's timestamp", field
    return None


def _seconds(gap_ms: float) -> str:
    return f"{gap_ms / 1000:.1f} s" if gap_ms < 600_000 else f"{gap_ms / 60_000:.0f} min"
