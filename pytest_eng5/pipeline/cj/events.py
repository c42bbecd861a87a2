"""What the CJ service publishes at the end of a batch (contract sections 1.3 and 2.4 to 2.7).

Keys, event types and correlation ids are not uniform on purpose: contract 1.3 says what is on the wire.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pytest_eng5.contracts import (
    AssessmentResultV1,
    BatchStatus,
    CJAssessmentCompletedV1,
    CJAssessmentFailedV1,
    EssayResultV1,
    EventEnvelope,
    ProcessingEvent,
    ProcessingStage,
    ResourceConsumptionV1,
    SystemProcessingMetadata,
    WireModel,
    topic_name,
    utc_now,
)
from pytest_eng5.pipeline.cj.batch import Batch
from pytest_eng5.pipeline.cj.grading import NO_GRADES, Grades
from pytest_eng5.pipeline.cj.outbox import Message
from pytest_eng5.pipeline.cj.projection import UNAVAILABLE
from pytest_eng5.pipeline.errors import ServiceError
from pytest_eng5.pipeline.settings import CJSettings

__all__ = [
    "SERVICE",
    "completed",
    "error_info",
    "estimated_comparisons",
    "failed",
    "failure_message",
    "resource_consumption",
    "result_messages",
    "rich_result",
]

SERVICE = "cj_assessment_service"
INITIALIZATION_FAILED = "INITIALIZATION_FAILED"


def estimated_comparisons(essays: int) -> int:
    """n(n-1)/2: what the events call a comparison count, whatever was really compared."""
    return essays * (essays - 1) // 2


def _system_metadata(batch_id: str, stage: ProcessingStage, event: ProcessingEvent, **more: Any) -> Any:
    return SystemProcessingMetadata(
        entity_id=batch_id,
        entity_type="batch",
        processing_stage=stage,
        completed_at=utc_now(),
        event=event.value,
        **more,
    )


def completed(batch: Batch) -> CJAssessmentCompletedV1:
    """The thin completion; every student that is in the result counts as successful."""
    students = [essay.id for essay in batch.students]
    event = ProcessingEvent.CJ_ASSESSMENT_COMPLETED
    return CJAssessmentCompletedV1(
        entity_id=batch.batch_id,
        entity_type="batch",
        status=BatchStatus.COMPLETED_SUCCESSFULLY if students else BatchStatus.FAILED_CRITICALLY,
        system_metadata=_system_metadata(
            batch.batch_id, ProcessingStage.COMPLETED, event, started_at=batch.started_at
        ),
        cj_assessment_job_id=str(batch.job_id),
        processing_summary={
            "total_essays": len(students),
            "successful": len(students),
            "failed": 0,
            "successful_essay_ids": students,
            "failed_essay_ids": [],
            "processing_time_seconds": round(batch.elapsed, 2),
            "single_essay_batch": len(students) < 2,
        },
    )


def rich_result(
    batch: Batch,
    theta: Sequence[float],
    ranked: Sequence[int],
    settings: CJSettings,
    grades: Grades = NO_GRADES,
) -> AssessmentResultV1:
    """The rich result; an essay without a projection has grade U, score 0, confidence LOW.

    Args:
        batch: The batch; names the judge that most comparisons had.
        theta: θ of each essay in logits.
        ranked: Indices of the essays, best first.
        settings: Names the judge when nothing was compared.
        grades: Of the students; anchors never have one in this event.
    """
    default = (settings.default_llm_provider, settings.default_llm_model)
    provider, model = max(batch.judges, key=lambda judge: batch.judges[judge], default=default)
    anchors = sum(essay.is_anchor for essay in batch.essays)
    return AssessmentResultV1(
        entity_id=batch.batch_id,
        entity_type="batch",
        batch_id=batch.batch_id,
        cj_assessment_job_id=str(batch.job_id),
        assignment_id=batch.request.assignment_id,
        assessment_method="cj_assessment",
        model_used=model,
        model_provider=provider,
        essay_results=[
            _essay_result(batch, i, theta[i], rank, grades) for rank, i in enumerate(ranked, start=1)
        ],
        assessment_metadata={
            "anchor_essays_used": anchors,
            "calibration_method": "anchor" if anchors else "default",
            "anchor_grade_distribution": dict.fromkeys("ABCDEFU", 0) if anchors else {},
            "comparison_count": estimated_comparisons(len(batch.essays)),
            "processing_duration_seconds": batch.elapsed,
            "llm_temperature": settings.default_llm_temperature,
            "assignment_id": batch.request.assignment_id,
            "course_code": batch.request.course_code.value,
            **grades.metadata,
        },
    )


def _essay_result(batch: Batch, essay: int, theta: float, rank: int, grades: Grades) -> EssayResultV1:
    anchor = batch.essays[essay].is_anchor
    found = grades.projections.get(essay, UNAVAILABLE)
    return EssayResultV1(
        essay_id=batch.essays[essay].id,
        normalized_score=found.normalized_score,
        letter_grade=grades.letter(essay),
        confidence_score=found.confidence_score,
        confidence_label=found.confidence_label,
        bt_score=theta,
        rank=rank,
        is_anchor=anchor,
        display_name="ANCHOR GRADE U" if anchor else None,
    )


def resource_consumption(batch: Batch) -> ResourceConsumptionV1:
    """What the batch is billed for: again an estimate, over the students."""
    return ResourceConsumptionV1(
        entity_id=batch.batch_id,
        entity_type="batch",
        user_id=batch.request.user_id,
        org_id=batch.request.org_id,
        resource_type="cj_comparison",
        quantity=estimated_comparisons(len(batch.students)),
        service_name=SERVICE,
        processing_id=str(batch.job_id),
    )


def error_info(error: ServiceError, correlation_id: UUID) -> dict[str, Any]:
    """``error_info`` of a request that could not be worked on (first form of contract 2.6)."""
    return {
        "error_code": error.code,
        "error_message": error.what,
        "correlation_id": str(correlation_id),
        "timestamp": utc_now().isoformat(),
        "service": SERVICE,
        "details": error.details,
    }


def failed(batch_id: str, job_id: str, reason: dict[str, Any]) -> CJAssessmentFailedV1:
    """The failure of a batch; ``reason`` takes one of the forms of contract 2.6."""
    event = ProcessingEvent.CJ_ASSESSMENT_FAILED
    return CJAssessmentFailedV1(
        entity_id=batch_id,
        entity_type="batch",
        status=BatchStatus.FAILED_CRITICALLY,
        system_metadata=_system_metadata(batch_id, ProcessingStage.FAILED, event, error_info=reason),
        cj_assessment_job_id=job_id,
    )


def _envelope(
    event_type: str, correlation_id: UUID, data: WireModel, trace: dict[str, str] | None
) -> EventEnvelope:
    return EventEnvelope(
        event_type=event_type,
        source_service=SERVICE,
        correlation_id=correlation_id,
        data=data,
        metadata=trace or {},
    )


def failure_message(
    payload: CJAssessmentFailedV1, correlation_id: UUID, trace: dict[str, str] | None = None
) -> Message:
    """A failure, under the batch id."""
    event = ProcessingEvent.CJ_ASSESSMENT_FAILED
    return Message(
        event, _envelope(topic_name(event), correlation_id, payload, trace), str(payload.entity_id)
    )


def result_messages(
    batch: Batch,
    theta: Sequence[float],
    ranked: Sequence[int],
    settings: CJSettings,
    grades: Grades = NO_GRADES,
) -> list[Message]:
    """The completion, the rich result and the resource event, in the order of their publication."""
    rich = rich_result(batch, theta, ranked, settings, grades)
    thin_event, resource_event = (
        ProcessingEvent.CJ_ASSESSMENT_COMPLETED,
        ProcessingEvent.RESOURCE_CONSUMPTION_REPORTED,
    )
    return [
        Message(event, _envelope(event_type, batch.correlation_id, payload, batch.trace), key)
        for event, event_type, key, payload in (
            (thin_event, topic_name(thin_event), batch.batch_id, completed(batch)),
            (ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED, rich.event_name.value, str(batch.job_id), rich),
            (resource_event, topic_name(resource_event), batch.batch_id, resource_consumption(batch)),
        )
    ]
