"""Rule ESSAY-MISSING: every planned essay is compared and judged, and no other (contract 2.4, 2.5, P8)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from pytest_eng5.checks.drafting import about, essay_ids, finding
from pytest_eng5.checks.naming import essay_name
from pytest_eng5.checks.views import in_order, is_of_run
from pytest_eng5.checks.wording import clip
from pytest_eng5.evidence import CapturedEvent, Finding, RunEvidence

__all__ = ["check_essays"]

_CODE = "ESSAY-MISSING"
_HINT = "the CJ service passes silently over essays whose text it cannot fetch: check the content service"


def check_essays(evidence: RunEvidence, callbacks: Sequence[CapturedEvent]) -> Iterator[Finding]:
    """ESSAY-MISSING: planned essays are in the rich result, not listed as failed, and were compared."""
    for event in in_order(evidence.results)[:1]:
        yield from _in_result(evidence, event)
    for event in in_order(evidence.completions)[:1]:
        yield from _in_summary(evidence, event)
    if callbacks and not evidence.failures and 2 * evidence.plan.planned_comparisons >= len(evidence.essays):
        yield from _compared(evidence, callbacks)


def _in_result(evidence: RunEvidence, event: CapturedEvent) -> Iterator[Finding]:
    """The rich result holds every planned essay once, and no other."""
    counts = Counter(result.essay_id for result in event.result.essay_results)
    field = "/data/essay_results"
    for essay in evidence.essays:
        if counts[essay] != 1:
            state = "is absent from" if not counts[essay] else f"is {counts[essay]} times in"
            text = f"essay {essay_name(evidence, essay)} {state} the rich result"
            yield about(event, _CODE, text, hint=_HINT, field=field, essay_ids=(essay,))
    for essay in counts:
        if not is_of_run(evidence, essay):
            text = f"essay {clip(essay)} of the rich result was not planned"
            yield about(event, _CODE, text, hint=_HINT, field=field, essay_ids=(essay,))


def _in_summary(evidence: RunEvidence, event: CapturedEvent) -> Iterator[Finding]:
    """The completion lists no essay as failed, and none that was not planned."""
    summary = event.completion.processing_summary
    for key in ("failed_essay_ids", "successful_essay_ids"):
        for essay in _texts(summary.get(key)):
            unknown = not is_of_run(evidence, essay)
            if unknown or key == "failed_essay_ids":
                problem = "was not planned" if unknown else "failed"
                text = f"the completion lists essay {essay_name(evidence, essay)}, which {problem}"
                field = f"/data/processing_summary/{key}"
                yield about(event, _CODE, text, hint=_HINT, field=field, essay_ids=(essay,))


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _compared(evidence: RunEvidence, callbacks: Sequence[CapturedEvent]) -> Iterator[Finding]:
    """Every planned essay stands in at least one callback, if the plan had room for that."""
    seen = {essay for event in callbacks for essay in essay_ids(event.comparison)}
    for essay in evidence.essays:
        if essay not in seen:
            text = f"essay {essay_name(evidence, essay)} was never compared"
            yield finding(_CODE, text, hint=_HINT, essay_ids=(essay,))
