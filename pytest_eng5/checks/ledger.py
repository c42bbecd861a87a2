"""The ledger of a run: what was planned against what came back, in counts that add up."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_eng5.checks.salvage import salvaged_ids
from pytest_eng5.checks.views import rejected_on
from pytest_eng5.contracts import ProcessingEvent
from pytest_eng5.evidence import RunEvidence

__all__ = ["Ledger", "ledger"]


@dataclass(frozen=True, slots=True)
class Ledger:
    """Distinct comparisons of a run; ``planned + unexpected`` is the sum of all the others.

    Attributes:
        planned: Comparisons the run was to make.
        succeeded: Callbacks with a winner.
        failed: Callbacks with an error.
        unreadable: Callbacks that came back but could not be read; they stand in ``rejected.jsonl``.
        missing: Planned comparisons of which nothing came back.
        unexpected: Callbacks beyond the plan.
    """

    planned: int
    succeeded: int
    failed: int
    unreadable: int
    missing: int
    unexpected: int

    @property
    def callbacks(self) -> int:
        """Readable distinct callbacks."""
        return self.succeeded + self.failed

    @property
    def success_rate(self) -> float | None:
        """Share of the callbacks that have a winner; ``None`` without any."""
        return self.succeeded / self.callbacks if self.callbacks else None

    def __str__(self) -> str:
        parts = [
            f"{count} {name}"
            for name in ("succeeded", "failed", "unreadable", "missing", "unexpected")
            if (count := getattr(self, name))
        ]
        return f"{self.planned} planned: {', '.join(parts) or 'none came back'}"


def ledger(evidence: RunEvidence) -> Ledger:
    """Count the distinct comparisons of a run.

    An unreadable callback takes the place of a planned one, unless its request id is known from a readable
    delivery; it never counts as one too many.
    """
    callbacks = evidence.distinct_comparisons
    known = {event.comparison.request_id for event in callbacks}
    lost = {
        salvaged_ids(rejected.record.value).get("request_id", rejected.record.position)
        for rejected in rejected_on(evidence, ProcessingEvent.LLM_COMPARISON_RESULT)
    }
    planned, distinct = evidence.plan.planned_comparisons, len(known)
    open_places = max(0, planned - distinct)
    unreadable = min(len(lost - known), open_places)
    succeeded = sum(event.comparison.is_success for event in callbacks)
    return Ledger(
        planned=planned,
        succeeded=succeeded,
        failed=distinct - succeeded,
        unreadable=unreadable,
        missing=open_places - unreadable,
        unexpected=max(0, distinct - planned),
    )
