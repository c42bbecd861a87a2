"""Which batches are to have faults."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pytest_eng5.contracts import (
    AssessmentResultV1,
    CJAssessmentCompletedV1,
    CJAssessmentFailedV1,
    FaultPlan,
    LLMComparisonResultV1,
    ProcessingEvent,
)
from pytest_eng5.pipeline.faults.batch import BatchFaults

__all__ = ["CJ_EVENTS", "PROVIDER_EVENTS", "FaultBook"]

PROVIDER_EVENTS = (ProcessingEvent.LLM_COMPARISON_RESULT,)
CJ_EVENTS = (
    ProcessingEvent.CJ_ASSESSMENT_COMPLETED,
    ProcessingEvent.CJ_ASSESSMENT_FAILED,
    ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED,
)


class FaultBook:
    """The fault plans that a service was told, by batch; a restart of the service forgets them.

    Args:
        events: What the service publishes.
    """

    def __init__(self, events: Collection[ProcessingEvent]) -> None:
        self._events = events
        self._batches: dict[str, BatchFaults] = {}

    def register(self, batch_id: str, plan: FaultPlan) -> None:
        """Plant faults in a batch; registering again begins anew."""
        self._batches[batch_id] = BatchFaults(batch_id, plan, self._events)

    def find(self, batch_id: str | None) -> BatchFaults | None:
        """The faults of a batch, ``None`` if it is to have none."""
        return self._batches.get(batch_id) if batch_id and self._batches else None

    def of(self, data: Any) -> BatchFaults | None:
        """The faults of the batch that an event's payload names."""
        return self.find(_batch_of(data)) if self._batches else None


def _batch_of(data: Any) -> str | None:
    if isinstance(data, LLMComparisonResultV1):
        return data.metadata_text("bos_batch_id")
    if isinstance(data, AssessmentResultV1):
        return data.batch_id
    return data.entity_id if isinstance(data, CJAssessmentCompletedV1 | CJAssessmentFailedV1) else None
