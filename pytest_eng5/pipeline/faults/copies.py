"""Faults that publish something beside an event: duplicates, other and stale copies, made-up endings."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pytest_eng5.contracts import (
    BatchStatus,
    CJAssessmentCompletedV1,
    CJAssessmentFailedV1,
    EventEnvelope,
    Fault,
    ProcessingEvent,
    ProcessingStage,
    SystemProcessingMetadata,
    topic_name,
    utc_now,
)
from pytest_eng5.pipeline.faults.alterations import other_id
from pytest_eng5.pipeline.faults.messages import ABSENT, Effect, Outgoing, Scene, content, find, put, relayed

__all__ = ["conflict", "duplicate", "early_completion", "fail", "stale"]

_HOUR = 3600.0
_JOB = "/data/request_metadata/cj_batch_id"


def duplicate(fault: Fault, message: Outgoing, scene: Scene) -> Effect | None:
    """The same payload again, in envelopes of its own."""
    value = content(message)
    if value is None:
        return None
    copies = [relayed(message, value, _identity(scene, k)) for k in range(fault.times or 1)]
    return Effect(message, tuple(copies))


def conflict(fault: Fault, message: Outgoing, scene: Scene) -> Effect | None:
    """The same ids with another content."""
    value = content(message)
    if value is None or not _CONTRADICTIONS[message.event](value):
        return None
    return Effect(message, (relayed(message, value, _identity(scene, 0)),))


def stale(fault: Fault, message: Outgoing, scene: Scene) -> Effect | None:
    """The same payload in a record and an envelope that say they are older."""
    value = content(message)
    if value is None:
        return None
    age = fault.seconds or _HOUR
    then = datetime.fromisoformat(value["event_timestamp"]) - timedelta(seconds=age)
    copied = json.loads(relayed(message, value, _identity(scene, 0)).value)
    copied["event_timestamp"] = then.isoformat().replace("+00:00", "Z")
    return Effect(message, (replace(message, value=json.dumps(copied).encode(), age=age),))


def early_completion(fault: Fault, message: Outgoing, scene: Scene) -> Effect:
    """A completion that does not wait for the callbacks after this one."""
    batch, students = scene.batch_id, list(scene.plan.essay_ids)
    completed = CJAssessmentCompletedV1(
        entity_id=batch,
        entity_type="batch",
        status=BatchStatus.COMPLETED_SUCCESSFULLY,
        system_metadata=_system(batch, ProcessingStage.COMPLETED, ProcessingEvent.CJ_ASSESSMENT_COMPLETED),
        cj_assessment_job_id=_job(message),
        processing_summary={
            "total_essays": len(students),
            "successful": len(students),
            "failed": 0,
            "successful_essay_ids": students,
            "failed_essay_ids": [],
            "processing_time_seconds": 0.0,
            "single_essay_batch": False,
        },
    )
    return Effect(message, (_made_up(ProcessingEvent.CJ_ASSESSMENT_COMPLETED, completed, scene),))


def fail(fault: Fault, message: Outgoing, scene: Scene) -> Effect:
    """A failed event: in place of a completion, after a callback."""
    batch, event = scene.batch_id, ProcessingEvent.CJ_ASSESSMENT_FAILED
    reason = {"reason": "planted_fault", "details": {"fault": str(fault)}}
    failed = CJAssessmentFailedV1(
        entity_id=batch,
        entity_type="batch",
        status=BatchStatus.FAILED_CRITICALLY,
        system_metadata=_system(batch, ProcessingStage.FAILED, event, error_info=reason),
        cj_assessment_job_id=_job(message),
    )
    kept = message if message.event is ProcessingEvent.LLM_COMPARISON_RESULT else None
    return Effect(kept, (_made_up(event, failed, scene),))


def _identity(scene: Scene, number: int) -> UUID:
    return UUID(other_id(replace(scene, draw=f"{scene.draw}/{number}")))


def _job(message: Outgoing) -> str:
    value = content(message)
    for pointer in (_JOB, "/data/cj_assessment_job_id"):
        found = find(value, pointer)
        if isinstance(found, str):
            return found
    return "0"


def _system(
    batch: str, stage: ProcessingStage, event: ProcessingEvent, **more: Any
) -> SystemProcessingMetadata:
    return SystemProcessingMetadata(
        entity_id=batch,
        entity_type="batch",
        processing_stage=stage,
        completed_at=utc_now(),
        event=event.value,
        **more,
    )


def _made_up(event: ProcessingEvent, payload: Any, scene: Scene) -> Outgoing:
    envelope = EventEnvelope(
        event_id=_identity(scene, 0),
        event_type=topic_name(event),
        source_service="cj_assessment_service",
        correlation_id=scene.plan.correlation_id,
        data=payload,
        metadata={},
    )
    return Outgoing(event, scene.batch_id, envelope.to_wire())


def _other_winner(value: dict[str, Any]) -> bool:
    """A success names the other essay; an error has another message."""
    other = {"Essay A": "Essay B", "Essay B": "Essay A"}
    winner = find(value, "/data/winner")
    if winner in other:
        return put(value, "/data/winner", other[winner])
    return put(value, "/data/error_detail/message", "another reason")


def _other_order(value: dict[str, Any]) -> bool:
    """The first two essays of the result have changed places."""
    essays = [f"/data/essay_results/{k}/essay_id" for k in (0, 1)]
    first, second = (find(value, pointer) for pointer in essays)
    if ABSENT in (first, second) or first == second:
        return False
    return put(value, essays[0], second) and put(value, essays[1], first)


def _other_duration(value: dict[str, Any]) -> bool:
    pointer = "/data/processing_summary/processing_time_seconds"
    before = find(value, pointer)
    return put(value, pointer, before + 1 if isinstance(before, int | float) else 1)


def _other_reason(value: dict[str, Any]) -> bool:
    return put(value, "/data/system_metadata/error_info", {"reason": "another_reason", "details": {}})


_CONTRADICTIONS: dict[ProcessingEvent, Callable[[dict[str, Any]], bool]] = {
    ProcessingEvent.LLM_COMPARISON_RESULT: _other_winner,
    ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED: _other_order,
    ProcessingEvent.CJ_ASSESSMENT_COMPLETED: _other_duration,
    ProcessingEvent.CJ_ASSESSMENT_FAILED: _other_reason,
}
