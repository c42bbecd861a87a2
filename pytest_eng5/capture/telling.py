"""What capturing tells the log of a run; single events at level ``DEBUG``, everything else in counts."""

from __future__ import annotations

import time

from pytest_eng5.contracts import CJAssessmentFailedV1, EventEnvelope, ProcessingEvent, topic_name
from pytest_eng5.evidence import CapturedRecord, Rejection, Stream
from pytest_eng5.telemetry import RunLog

__all__ = ["Progress", "tell_applied", "tell_rejected", "tell_skipped"]

_APPLIED = {
    Stream.ASSESSMENT_RESULTS: "collector_assessment_result_applied",
    Stream.COMPLETIONS: "collector_completion_applied",
    Stream.FAILURES: "collector_failure_applied",
}
# How contract 10.8 names what goes wrong with an event: unreadable, and too late.
_BY_TOPIC = {
    topic_name(ProcessingEvent.LLM_COMPARISON_RESULT): ("llm_comparison", "comparison_event_skipped"),
    topic_name(ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED): (
        "assessment_result",
        "assessment_result_skipped",
    ),
    topic_name(ProcessingEvent.CJ_ASSESSMENT_COMPLETED): ("completion", "completion_event_skipped"),
    topic_name(ProcessingEvent.CJ_ASSESSMENT_FAILED): ("failure", "failure_event_skipped"),
}
_PROGRESS_SECONDS = 5.0


def tell_applied(log: RunLog, stream: Stream, record: CapturedRecord, envelope: EventEnvelope) -> None:
    """A valid event of the run is in."""
    if stream is Stream.COMPARISONS:
        log.debug("collector_llm_comparison_applied", position=record.position)
    elif isinstance(envelope.data, CJAssessmentFailedV1):
        log.warning(_APPLIED[stream], position=record.position, detail=envelope.data.reason())
    else:
        log.info(_APPLIED[stream], position=record.position)


def tell_rejected(log: RunLog, record: CapturedRecord, rejection: Rejection) -> None:
    """A record that is the run's, or may be, cannot be taken at face value."""
    pointer, why = rejection.reasons[0] if rejection.reasons else ("", "unknown")
    log.counted(
        f"collector_{_names(record)[0]}_deserialization_failed",
        "warning",
        position=record.position,
        stage=rejection.stage,
        why=f"{pointer} {why}".strip(),
        attribution=rejection.attribution,
    )


def tell_skipped(log: RunLog, record: CapturedRecord) -> None:
    """An event came when the run had ended; it stands in the session's ``stray.jsonl``."""
    log.counted(_names(record)[1], "warning", position=record.position)


def _names(record: CapturedRecord) -> tuple[str, str]:
    """By the end of the topic's name, whatever its prefix."""
    found = (names for topic, names in _BY_TOPIC.items() if record.topic.endswith(topic))
    return next(found, ("event", "event_skipped"))


class Progress:
    """Says when it is time to tell how far a run has come: every five seconds while events come."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _PROGRESS_SECONDS

    def due(self) -> bool:
        """Whether it is time; then not again for a while."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + _PROGRESS_SECONDS
        return True
