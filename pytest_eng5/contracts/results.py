"""What the CJ service publishes at the end of a batch (contract sections 2.4 to 2.7)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from pytest_eng5.contracts.base import BaseEventData, ProcessingUpdate, WireDatetime, WireModel, utc_now
from pytest_eng5.contracts.topics import ProcessingEvent

__all__ = [
    "AssessmentResultV1",
    "CJAssessmentCompletedV1",
    "CJAssessmentFailedV1",
    "EssayResultV1",
    "ResourceConsumptionV1",
]


class EssayResultV1(WireModel):
    """One essay of the rich result; ``bt_score`` is θ in logits, rank 1 is the best essay."""

    essay_id: str
    normalized_score: float = Field(ge=0, le=1)
    letter_grade: str = Field(pattern=r"^([A-F][+-]?|U)$")
    confidence_score: float = Field(ge=0, le=1)
    confidence_label: Literal["HIGH", "MID", "LOW"]
    bt_score: float
    rank: int = Field(gt=0)
    is_anchor: bool = False
    feedback_uri: str | None = None
    metrics_uri: str | None = None
    display_name: str | None = None


class AssessmentResultV1(BaseEventData):
    """The rich result. ``batch_id`` is the request's entity id.

    ``assessment_metadata.comparison_count`` is an estimate, n(n-1)/2, never the number of comparisons made.
    """

    event_name: ProcessingEvent = ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED
    batch_id: str
    cj_assessment_job_id: str
    assignment_id: str | None = Field(default=None, max_length=100)
    assessment_method: str
    model_used: str
    model_provider: str
    model_version: str | None = None
    essay_results: list[EssayResultV1]
    assessment_metadata: dict[str, Any] = Field(default_factory=dict)
    assessed_at: WireDatetime = Field(default_factory=utc_now)


class CJAssessmentCompletedV1(ProcessingUpdate):
    """The thin completion; ``entity_id`` is the batch id, ``processing_summary`` counts students only."""

    event_name: ProcessingEvent = ProcessingEvent.CJ_ASSESSMENT_COMPLETED
    cj_assessment_job_id: str
    processing_summary: dict[str, Any] = Field(default_factory=dict)


class CJAssessmentFailedV1(ProcessingUpdate):
    """A batch that ended without a result; the reason is in ``system_metadata.error_info``."""

    event_name: ProcessingEvent = ProcessingEvent.CJ_ASSESSMENT_FAILED
    cj_assessment_job_id: str

    def reason(self) -> str:
        """The failure in one line, from whichever form of ``error_info`` the producer used."""
        info = self.system_metadata.error_info
        name = info.get("reason") or info.get("error_code") or "no reason given"
        detail = info.get("error_message") or info.get("details") or info.get("progress_pct")
        return f"{name}: {detail}" if detail not in (None, "", {}) else str(name)


class ResourceConsumptionV1(BaseEventData):
    """What a batch is billed for; ``quantity`` is again n(n-1)/2 over students, an estimate."""

    event_name: ProcessingEvent = ProcessingEvent.RESOURCE_CONSUMPTION_REPORTED
    user_id: str
    org_id: str | None = None
    resource_type: str
    quantity: int = Field(ge=0)
    service_name: str
    processing_id: str
    consumed_at: WireDatetime = Field(default_factory=utc_now)
