"""Rule META-CORRELATION: correlation ids survive every hop (contract sections 1.3 and 7.2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

from pytest_eng5.checks.drafting import about
from pytest_eng5.checks.views import in_order
from pytest_eng5.checks.wording import short_id, short_topic
from pytest_eng5.evidence import CapturedEvent, Finding, RunEvidence

__all__ = ["check_correlation"]

_REFUSED = "INITIALIZATION_FAILED"


def check_correlation(evidence: RunEvidence, callbacks: Sequence[CapturedEvent]) -> Iterator[Finding]:
    """META-CORRELATION: the batch's events carry the request's id, a comparison's carry their own."""
    yield from _batch_events(evidence)
    yield from _callback_envelopes(callbacks)
    yield from _shared(callbacks)


def _of_envelope(event: CapturedEvent) -> str | None:
    written = "correlation_id" in event.envelope.model_fields_set
    return str(event.envelope.correlation_id) if written else None


def _batch_events(evidence: RunEvidence) -> Iterator[Finding]:
    """Completion and rich result carry the request's correlation id.

    A failed event does so only when the request was refused; after a low success rate it carries the last
    callback's (contract 1.3).
    """
    refusals = [event for event in evidence.failures if event.failure.cj_assessment_job_id == _REFUSED]
    expected = evidence.plan.correlation_id.lower()
    hint = "the CJ service answers with the correlation id of the request's envelope; compare both envelopes"
    for event in in_order((*evidence.results, *evidence.completions, *refusals)):
        actual = _of_envelope(event)
        if actual != expected:
            text = (
                f"correlation id of {short_topic(event.record.topic)} is {actual or 'absent'}, not {expected}"
            )
            yield about(
                event, "META-CORRELATION", text, hint=hint, field="/correlation_id", correlation_id=actual
            )


def _callback_envelopes(callbacks: Sequence[CapturedEvent]) -> Iterator[Finding]:
    """A callback's envelope carries the comparison's correlation id."""
    hint = (
        "the provider service puts the comparison's id in both places; the CJ service matches on the data's"
    )
    for event in callbacks:
        envelope, data = event.envelope, event.comparison
        if envelope.correlation_id == data.correlation_id and "correlation_id" in envelope.model_fields_set:
            continue
        actual = _of_envelope(event) or "absent"
        text = f"correlation id of the envelope is {actual}, of the comparison {data.correlation_id}"
        yield about(event, "META-CORRELATION", text, hint=hint, field="/correlation_id")


def _shared(callbacks: Sequence[CapturedEvent]) -> Iterator[Finding]:
    """No two requests share a comparison's correlation id: the CJ service matches the pair on it."""
    owners: dict[UUID, CapturedEvent] = {}
    hint = "the CJ service keeps only one of the two answers; find out which request lost its own id"
    for event in callbacks:
        owner = owners.setdefault(event.comparison.correlation_id, event)
        if owner is not event:
            text = f"comparison has the correlation id of request {short_id(owner.comparison.request_id)}"
            yield about(event, "META-CORRELATION", text, hint=hint, field="/data/correlation_id")
