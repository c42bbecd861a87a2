"""Which run does an event belong to? Decided by data fields, never by key, type or correlation id.

Callbacks name their batch in ``request_metadata``, completed and failed events in ``entity_id``, the rich
result in ``batch_id`` (contract 1.3). An event that lost that field is still ours if it names our essays, the
CJ job we have met, or has one of our ids anywhere in its bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from pytest_eng5.capture.channel import RunChannel
from pytest_eng5.contracts import (
    AssessmentResultV1,
    CJAssessmentCompletedV1,
    EventEnvelope,
    LLMComparisonResultV1,
)

__all__ = ["Match", "Router"]

_ESSAY_FIELDS = ("essay_a_id", "essay_b_id")


@dataclass(frozen=True, slots=True)
class Match:
    """Where an event goes.

    Attributes:
        channel: Its run, or ``None``.
        attribution: The data field that decided, ``text``, ``foreign`` or ``unattributed``.
    """

    channel: RunChannel | None
    attribution: str


@dataclass
class Router:
    """Finds the run of an event among the registered ones.

    Attributes:
        foreign: Whether batches of somebody else have been seen: then an event that names nobody may be
            theirs.
    """

    foreign: bool = False
    _by_batch: dict[str, RunChannel] = field(default_factory=dict)
    _by_essay: dict[str, RunChannel] = field(default_factory=dict)
    _by_job: dict[str, RunChannel] = field(default_factory=dict)

    def register(self, channel: RunChannel) -> None:
        """Make a run findable; it stays so after its end, so that late events are recognised."""
        self._by_batch[channel.batch_id] = channel
        self._by_essay.update(dict.fromkeys(channel.essay_ids, channel))

    def channels(self) -> Iterable[RunChannel]:
        """All registered runs."""
        return self._by_batch.values()

    def match(self, envelope: EventEnvelope) -> Match:
        """The run of a valid event."""
        batch, where = _batch_of(envelope.data)
        channel = self._by_batch.get(batch) if batch else None
        if channel is not None:
            self._learn(channel, envelope.data)
            return Match(channel, where)
        for essay in _essays_of(envelope.data):
            if essay in self._by_essay:
                return Match(self._by_essay[essay], "essay ids")
        job = _job_of(envelope.data)
        if not batch and job in self._by_job:
            return Match(self._by_job[job], "cj job id")
        if batch:
            self.foreign = True
            return Match(None, "foreign")
        return Match(None, "unattributed")

    def match_raw(self, key: bytes | None, value: bytes | None) -> Match:
        """The run of a record that could not be validated, from whatever can still be read of it."""
        for text in _strings(_loads(value)):
            found = self._by_batch.get(text) or self._by_essay.get(text)
            if found is not None:
                return Match(found, "text")
        haystack = (key or b"") + b"\n" + (value or b"")
        for batch, channel in self._by_batch.items():
            if batch.encode() in haystack:
                return Match(channel, "text")
        for essay, channel in self._by_essay.items():
            if essay.encode() in haystack:
                return Match(channel, "text")
        return Match(None, "unattributed")

    def _learn(self, channel: RunChannel, data: Any) -> None:
        job = _job_of(data)
        if job and job not in channel.job_ids:
            channel.job_ids.add(job)
            self._by_job[job] = channel


def _batch_of(data: Any) -> tuple[str | None, str]:
    if isinstance(data, LLMComparisonResultV1):
        for name in ("bos_batch_id", "batch_id"):
            if batch := data.metadata_text(name):
                return batch, f"request_metadata.{name}"
        return None, ""
    if isinstance(data, AssessmentResultV1):
        return data.batch_id, "batch_id"
    return data.entity_id, "entity_id"


def _essays_of(data: Any) -> Iterator[str]:
    if isinstance(data, LLMComparisonResultV1):
        yield from (essay for name in _ESSAY_FIELDS if (essay := data.metadata_text(name)))
    elif isinstance(data, AssessmentResultV1):
        yield from (essay.essay_id for essay in data.essay_results)
    elif isinstance(data, CJAssessmentCompletedV1):
        yield from _strings(data.processing_summary.get("successful_essay_ids"))


def _job_of(data: Any) -> str | None:
    if isinstance(data, LLMComparisonResultV1):
        return data.metadata_text("cj_batch_id")
    return str(data.cj_assessment_job_id)


def _loads(value: bytes | None) -> Any:
    try:
        return orjson.loads(value or b"null")
    except orjson.JSONDecodeError:
        return None


def _strings(value: Any) -> Iterator[str]:
    """Every string in a JSON value, without recursion."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
