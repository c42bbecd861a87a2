"""Check ``events``: every record readable, told once, with one content, in its time (contract 1.2 to 1.5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pytest_eng5.checks.drafting import about, finding
from pytest_eng5.checks.salvage import salvaged_ids
from pytest_eng5.checks.timing import check_clock, check_late, check_stale, spans_of
from pytest_eng5.checks.views import canonical, content, in_order
from pytest_eng5.checks.wording import brief, listed, plural, short_position, short_topic
from pytest_eng5.contracts import json_pointer
from pytest_eng5.evidence import CapturedEvent, Finding, RejectedRecord, RunEvidence

__all__ = ["SCHEMA_VERSION", "check_events"]

SCHEMA_VERSION = 1
"""The only version of the envelope."""

_ALTERED = (
    "it was valid when captured: the file was altered since (`eng5 verify` names such files), or it was "
    "recorded against another version of the contract"
)
_UNATTRIBUTED = "; no id ties it to a run, but only runs of this session use the topic"


def check_events(evidence: RunEvidence) -> list[Finding]:
    """All findings about records as such."""
    spans = spans_of(evidence)
    return [
        *check_rejected(evidence),
        *check_version(evidence),
        *check_repeats(evidence),
        *check_stale(evidence, spans),
        *check_late(evidence),
        *check_clock(evidence, spans),
    ]


def check_rejected(evidence: RunEvidence) -> Iterator[Finding]:
    """EVENT-UNDECODABLE, EVENT-SCHEMA: a record is JSON in UTF-8 and satisfies the model of its topic."""
    for rejected in sorted(evidence.rejected, key=lambda item: (item.record.timestamp_ms, item.evidence)):
        yield _rejection(rejected)


def _rejection(rejected: RejectedRecord) -> Finding:
    reasons, topic = rejected.rejection.reasons, short_topic(rejected.record.topic)
    pointer, problem = reasons[0] if reasons else ("", "no reason recorded")
    if rejected.rejection.stage == "schema":
        code, text = "EVENT-SCHEMA", f"{topic} breaks its schema at {pointer or 'its root'}: {brief(problem)}"
        hint = "compare the producer's model with the contract; the record is kept in events/rejected.jsonl"
    else:
        code, text = "EVENT-UNDECODABLE", f"{topic} cannot be decoded: {brief(problem)}"
        hint = "find the producer by topic, partition and offset; its bytes are in events/rejected.jsonl"
    if rejected.rejection.attribution == "recorded":
        hint = _ALTERED
    if len(reasons) > 1:
        text += f" and {plural(len(reasons) - 1, 'more problem')}"
    if rejected.rejection.attribution == "unattributed":
        text += _UNATTRIBUTED
    place = salvaged_ids(rejected.record.value)
    return finding(
        code,
        text,
        hint=hint,
        field=pointer or None,
        position=rejected.record.position,
        evidence=rejected.evidence,
        **place,
    )


def check_version(evidence: RunEvidence) -> Iterator[Finding]:
    """EVENT-VERSION: the envelope says schema version 1; another version may mean other fields."""
    hint = "make the producer publish version 1, or teach the contract the new version"
    other = (event for event in evidence.events if event.envelope.schema_version != SCHEMA_VERSION)
    for event in in_order(other):
        topic, version = short_topic(event.record.topic), event.envelope.schema_version
        text = f"schema_version of {topic} is {version}, not {SCHEMA_VERSION}"
        yield about(event, "EVENT-VERSION", text, hint=hint, field="/schema_version")


def check_repeats(evidence: RunEvidence) -> Iterator[Finding]:
    """EVENT-DUPLICATE, EVENT-CONFLICT: one business key, one event, one content.

    Keys are the request id of a callback and the batch id of everything else; relays make envelopes anew, so
    only payloads are compared (contract 1.4).
    """
    yield from _repeats(evidence.comparisons, lambda event: event.comparison.request_id, _conflict)
    yield from _repeats(evidence.results, lambda event: event.result.batch_id, None)
    yield from _repeats(evidence.completions, lambda event: event.completion.entity_id, None)
    yield from _repeats(evidence.failures, lambda event: event.failure.entity_id, None)


def _repeats(
    events: Sequence[CapturedEvent],
    key: Callable[[CapturedEvent], str | None],
    conflict: Callable[[CapturedEvent, CapturedEvent, Any, Any], Finding] | None,
) -> Iterator[Finding]:
    counts = Counter(map(key, events))
    groups: dict[str | None, list[CapturedEvent]] = {}
    for event in in_order(event for event in events if counts[key(event)] > 1):
        groups.setdefault(key(event), []).append(event)
    for group in groups.values():
        yield from _group(group, conflict)


def _group(
    group: Sequence[CapturedEvent],
    conflict: Callable[[CapturedEvent, CapturedEvent, Any, Any], Finding] | None,
) -> Iterator[Finding]:
    original = content(group[0])
    seen = {canonical(original): group[0]}
    for event in group[1:]:
        copied = content(event)
        form = canonical(copied)
        if form in seen:
            yield _duplicate(seen[form], event)
        elif conflict is not None:
            yield conflict(group[0], event, original, copied)
        seen.setdefault(form, event)


def _duplicate(first: CapturedEvent, again: CapturedEvent) -> Finding:
    text = f"delivered again, with the content of {short_position(first.record.position)}"
    hint = "redeliveries are legal; many of them mean that the producer's outbox confirms too late"
    return about(again, "EVENT-DUPLICATE", text, hint=hint)


def _conflict(first: CapturedEvent, other: CapturedEvent, left: Any, right: Any) -> Finding:
    fields = list(_differences(left, right))
    text = f"same request id as {short_position(first.record.position)}, but other {listed(fields)}"
    hint = "compare both records in events/comparisons.jsonl; only the first one captured was counted"
    return about(other, "EVENT-CONFLICT", text, hint=hint, field=f"/data{fields[0]}")


def _differences(left: Any, right: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Pointers of the fields in which two payloads differ; lists count as one field."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted(left.keys() | right.keys()):
            if key not in left or key not in right:
                yield json_pointer((*path, key))
            else:
                yield from _differences(left[key], right[key], (*path, key))
    elif canonical(left) != canonical(right):
        yield json_pointer(path)
