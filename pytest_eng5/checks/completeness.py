"""Check ``completeness``: everything planned came back, once, and nothing else (contract 2.4 to 2.6, 7.5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from pytest_eng5.checks.drafting import about, essay_ids, finding
from pytest_eng5.checks.essays import check_essays
from pytest_eng5.checks.ledger import Ledger, ledger
from pytest_eng5.checks.stability import MIN_SUCCESS_RATE, STABLE_CHANGE, stopped_stable
from pytest_eng5.checks.views import canonical, content, distinct, in_order, rejected_on
from pytest_eng5.checks.wording import brief, listed, plural, short_position
from pytest_eng5.contracts import BatchStatus, ProcessingEvent
from pytest_eng5.evidence import CapturedEvent, Finding, RunEvidence

__all__ = ["check_completeness"]


def check_completeness(evidence: RunEvidence) -> list[Finding]:
    """All findings about what came back."""
    callbacks, counts = distinct(evidence), ledger(evidence)
    return [
        *check_partial(evidence),
        *check_failed(evidence, counts),
        *check_count(evidence, callbacks, counts),
        *check_success_rate(callbacks, counts),
        *check_results(evidence),
        *check_completions(evidence),
        *check_essays(evidence, callbacks),
    ]


def check_partial(evidence: RunEvidence) -> Iterator[Finding]:
    """PARTIAL-DATA: capturing was not cut short by a deadline, a fault, the budget or an interruption."""
    hint = (
        "what is there was captured faithfully; raise the deadline or mend what stopped the run, then repeat"
    )
    if evidence.ending is None:
        text = "the run did not record how it ended: it was killed, or its artefact is gone"
        yield finding("PARTIAL-DATA", text, hint=hint)
    elif evidence.ending.partial:
        text = (
            f"capturing was cut short ({evidence.ending.reason.value}): {brief(evidence.ending.detail, 400)}"
        )
        yield finding("PARTIAL-DATA", text, hint=hint)


def check_failed(evidence: RunEvidence, counts: Ledger) -> Iterator[Finding]:
    """PIPELINE-FAILED: there is no failed event, and the completion says ``completed_successfully``."""
    hint = "the CJ service's log tells more; nothing else is expected of a batch that failed"
    told: set[str] = set()
    for event in in_order(evidence.failures):
        text = f"the pipeline failed the batch: {brief(event.failure.reason(), 300)} ({counts})"
        if text not in told:
            told.add(text)
            field = "/data/system_metadata/error_info"
            yield about(event, "PIPELINE-FAILED", text, hint=hint, field=field)
    for event in in_order(evidence.completions):
        status = event.completion.status
        if status is not BatchStatus.COMPLETED_SUCCESSFULLY:
            text = f"the completion says {status.value} ({counts})"
            yield about(event, "PIPELINE-FAILED", text, hint=hint, field="/data/status")


def check_count(
    evidence: RunEvidence, callbacks: Sequence[CapturedEvent], counts: Ledger
) -> Iterator[Finding]:
    """COUNT-MISSING, COUNT-EXTRA: as many distinct callbacks as planned comparisons.

    Fewer are legal if the pipeline stopped early because its scores were stable: then it is an info. A batch
    that failed says so itself.
    """
    if counts.unexpected:
        yield _extra(callbacks, counts)
    if not counts.missing or evidence.failures:
        return
    change = stopped_stable(evidence, callbacks)
    yield _missing(evidence, callbacks, counts) if change is None else _stopped_early(counts, change)


def _extra(callbacks: Sequence[CapturedEvent], counts: Ledger) -> Finding:
    text = (
        f"{plural(counts.callbacks, 'distinct callback')} for {plural(counts.planned, 'planned comparison')}"
    )
    hint = "comparisons beyond the plan cost money: does the pipeline honour max_comparisons of the request?"
    return about(callbacks[counts.planned], "COUNT-EXTRA", text, hint=hint)


def _stopped_early(counts: Ledger, change: float) -> Finding:
    text = (
        f"stopped early, stable: {counts.callbacks} of {counts.planned} comparisons, "
        f"last wave moved no score by more than {change:.4f}"
    )
    hint = f"legal: the CJ service finishes when a wave moves no score by more than {STABLE_CHANGE}"
    return finding("COUNT-MISSING", text, hint=hint, severity="info")


def _missing(evidence: RunEvidence, callbacks: Sequence[CapturedEvent], counts: Ledger) -> Finding:
    made = Counter(essay for event in callbacks for essay in essay_ids(event.comparison))
    essays = len(evidence.plan.essays)
    full_round = counts.planned == essays * (essays - 1) // 2
    most = essays - 1 if full_round else max((made[essay] for essay in evidence.essays), default=0)
    short = [essay for essay in evidence.essays if made[essay] < most]
    names = [f"{evidence.essays[essay].local_id} ({made[essay]} of {most})" for essay in short]
    text = f"{counts.missing} of {plural(counts.planned, 'planned comparison')} did not come back"
    if names:
        text += f"; fewer comparisons than others: {listed(names)}"
    hint = (
        "look in the provider service's log for requests without a callback; a service whose "
        "MAX_PAIRWISE_COMPARISONS is below the plan stops there"
    )
    return finding("COUNT-MISSING", text, hint=hint, essay_ids=tuple(short))


def check_success_rate(callbacks: Sequence[CapturedEvent], counts: Ledger) -> Iterator[Finding]:
    """SUCCESS-RATE: at least 80 % of the callbacks name a winner; fewer than all is worth an info."""
    rate = counts.success_rate
    if rate is None or not counts.failed:
        return
    failed = [event for event in callbacks if event.comparison.error_detail is not None]
    reasons = Counter(e.comparison.error_detail.error_code for e in failed if e.comparison.error_detail)
    common = listed([f"{brief(code, 60)} {count}" for code, count in sorted(reasons.items())])
    text = f"{counts.succeeded} of {plural(counts.callbacks, 'comparison')} succeeded ({rate:.0%}): {common}"
    severity = None if rate < MIN_SUCCESS_RATE else "info"
    hint = (
        "see error_detail in events/comparisons.jsonl; failed comparisons are left out of scores and metrics"
    )
    yield about(failed[0], "SUCCESS-RATE", text, hint=hint, severity=severity, field="/data/error_detail")


def check_results(evidence: RunEvidence) -> Iterator[Finding]:
    """RESULT-MISSING, RESULT-DUPLICATE: one rich result, unless the batch failed."""
    event = ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED
    if _is_missing(evidence, evidence.results, event):
        hint = (
            "the CJ service publishes it after the completion; its log tells whether it broke its own schema"
        )
        yield finding("RESULT-MISSING", "no rich result was captured", hint=hint)
    yield from _others(evidence.results, "RESULT-DUPLICATE", "rich result")


def check_completions(evidence: RunEvidence) -> Iterator[Finding]:
    """COMPLETION-MISSING, COMPLETION-DUPLICATE: one completion, unless the batch failed."""
    event = ProcessingEvent.CJ_ASSESSMENT_COMPLETED
    if _is_missing(evidence, evidence.completions, event):
        hint = "the CJ service neither completed nor failed the batch: look in its log and in its outbox"
        yield finding("COMPLETION-MISSING", "no completion was captured", hint=hint)
    yield from _others(evidence.completions, "COMPLETION-DUPLICATE", "completion")


def _is_missing(evidence: RunEvidence, events: Sequence[CapturedEvent], kind: ProcessingEvent) -> bool:
    """Whether an event is absent, not merely unreadable, and no failed event explains that."""
    return not (events or evidence.failures or rejected_on(evidence, kind))


def _others(events: Sequence[CapturedEvent], code: str, name: str) -> Iterator[Finding]:
    """Events whose content differs from the first one's; equal ones are redeliveries."""
    told: dict[str, CapturedEvent] = {}
    hint = "the batch was finished twice; it is unknown which of the two is right"
    for event in in_order(events):
        first = next(iter(told.values()), event)
        if told.setdefault(canonical(content(event)), event) is event and event is not first:
            text = f"another {name} than the one at {short_position(first.record.position)}"
            yield about(event, code, text, hint=hint)
