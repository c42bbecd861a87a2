"""What the CJ service publishes at the end, held against the examples of the contract."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from pytest_eng5.contracts import (
    ELS_CJAssessmentRequestV1,
    EventEnvelope,
    LLMComparisonResultV1,
    ProcessingEvent,
    SystemProcessingMetadata,
    decode_event,
    utc_now,
)
from pytest_eng5.pipeline.cj import events
from pytest_eng5.pipeline.cj.batch import Batch, Essay
from pytest_eng5.pipeline.errors import ServiceError
from pytest_eng5.pipeline.settings import CJSettings

SETTINGS = CJSettings()
CORRELATION = UUID("0d8f7a54-64f0-4b2f-8d2e-3d6a4c6f9d01")
BATCH_ID = "b3a1f7de-0c54-4d0a-8a0f-6a1f0f7d2c10"


class Recorder:
    """Stands in for the publisher: keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[tuple[ProcessingEvent, str | None, dict[str, Any]]] = []

    async def publish(
        self, event: ProcessingEvent, envelope: EventEnvelope, *, key: str | None = None
    ) -> None:
        wire = envelope.to_wire()
        decode_event(event, wire)
        self.sent.append((event, key, json.loads(wire)))


def a_batch(ids: tuple[str, ...] = ("student::1", "student::2", "student::3")) -> Batch:
    request = ELS_CJAssessmentRequestV1(
        entity_id=BATCH_ID,
        system_metadata=SystemProcessingMetadata(entity_id=BATCH_ID, entity_type="batch"),
        essays_for_cj=[],
        language="en",
        course_code="ENG5",
        user_id="researcher",
        org_id="org",
    )
    envelope = EventEnvelope(event_type="x", source_service="t", data=request, correlation_id=CORRELATION)
    batch = Batch.accept(151, BATCH_ID, envelope, 120, 1)
    batch.take_essays([Essay(essay_id) for essay_id in ids])
    return batch


def judged(batch: Batch, *judges: tuple[str, str]) -> None:
    for provider, model in judges:
        comparison = batch.submit((0, 1))
        result = LLMComparisonResultV1(
            request_id="r",
            correlation_id=comparison.correlation_id,
            winner="Essay A",
            justification="j",
            confidence=2,
            provider=provider,
            model=model,
            response_time_ms=0,
            cost_estimate=0,
            requested_at=utc_now(),
            completed_at=utc_now(),
        )
        batch.settle(comparison, result)


def published(batch: Batch, theta: list[float]) -> list[tuple[ProcessingEvent, str | None, dict[str, Any]]]:
    recorder = Recorder()
    ranked = sorted(range(len(theta)), key=lambda i: -theta[i])
    for message in events.result_messages(batch, theta, ranked, SETTINGS):
        asyncio.run(recorder.publish(message.event, message.envelope, key=message.key))
    return recorder.sent


def test_order_keys_types_and_correlation() -> None:
    batch = a_batch()
    sent = published(batch, [0.0, 1.0, -1.0])
    assert [(event.value, key, envelope["event_type"]) for event, key, envelope in sent] == [
        ("cj_assessment.completed", BATCH_ID, "huleedu.cj_assessment.completed.v1"),
        ("assessment.result.published", "151", "assessment.result.published"),
        ("resource.consumption.reported", BATCH_ID, "huleedu.resource.consumption.v1"),
    ]
    for _, _, envelope in sent:
        assert envelope["source_service"] == "cj_assessment_service"
        assert envelope["correlation_id"] == str(CORRELATION)
        assert envelope["metadata"] == batch.trace
        assert envelope["schema_version"] == 1


def test_the_thin_completion() -> None:
    (_, _, envelope), *_ = published(a_batch(), [0.0, 1.0, -1.0])
    data = envelope["data"]
    assert data["entity_id"] == data["system_metadata"]["entity_id"] == BATCH_ID
    assert data["entity_type"] == "batch"
    assert data["status"] == "completed_successfully"
    assert data["cj_assessment_job_id"] == "151"
    system = data["system_metadata"]
    assert (system["processing_stage"], system["event"]) == ("completed", "cj_assessment.completed")
    assert system["started_at"] <= system["completed_at"]
    summary = data["processing_summary"]
    assert summary.pop("processing_time_seconds") >= 0
    ids = ["student::1", "student::2", "student::3"]
    assert summary == {
        "total_essays": 3,
        "successful": 3,
        "failed": 0,
        "successful_essay_ids": ids,
        "failed_essay_ids": [],
        "single_essay_batch": False,
    }


def test_the_rich_result_of_a_guest_batch() -> None:
    batch = a_batch()
    judged(batch, ("mock", "simulated-judge"), ("mock", "other"), ("mock", "simulated-judge"))
    data = published(batch, [0.25, 1.5, -1.75])[1][2]["data"]
    assert (data["batch_id"], data["entity_id"], data["cj_assessment_job_id"]) == (BATCH_ID, BATCH_ID, "151")
    assert (data["assessment_method"], data["assignment_id"]) == ("cj_assessment", None)
    assert (data["model_provider"], data["model_used"], data["model_version"]) == (
        "mock",
        "simulated-judge",
        None,
    )
    essays = data["essay_results"]
    assert [(e["essay_id"], e["rank"], e["bt_score"]) for e in essays] == [
        ("student::2", 1, 1.5),
        ("student::1", 2, 0.25),
        ("student::3", 3, -1.75),
    ]
    for essay in essays:
        assert (essay["letter_grade"], essay["normalized_score"]) == ("U", 0.0)
        assert (essay["confidence_score"], essay["confidence_label"]) == (0.0, "LOW")
        assert (essay["is_anchor"], essay["display_name"]) == (False, None)
    metadata = data["assessment_metadata"]
    assert metadata.pop("processing_duration_seconds") >= 0
    assert metadata == {
        "anchor_essays_used": 0,
        "calibration_method": "default",
        "anchor_grade_distribution": {},
        "comparison_count": 3,
        "llm_temperature": 0.1,
        "assignment_id": None,
        "course_code": "ENG5",
    }
    assert "grade_projection_summary" not in metadata


def test_without_comparisons_the_services_own_judge_is_named() -> None:
    data = published(a_batch(("student::1",)), [0.0])[1][2]["data"]
    assert (data["model_provider"], data["model_used"]) == ("openai", "gpt-5.1")


def test_anchors_count_as_anchors_and_not_as_students() -> None:
    batch = a_batch(("ANCHOR_1_aa", "student::1", "student::2"))
    thin, rich, resource = (envelope["data"] for _, _, envelope in published(batch, [3.0, 2.0, 1.0]))
    assert thin["processing_summary"]["total_essays"] == 2
    assert "ANCHOR_1_aa" not in thin["processing_summary"]["successful_essay_ids"]
    anchor = rich["essay_results"][0]
    assert (anchor["is_anchor"], anchor["display_name"], anchor["letter_grade"]) == (
        True,
        "ANCHOR GRADE U",
        "U",
    )
    assert rich["assessment_metadata"]["anchor_essays_used"] == 1
    assert rich["assessment_metadata"]["calibration_method"] == "anchor"
    assert rich["assessment_metadata"]["anchor_grade_distribution"] == dict.fromkeys("ABCDEFU", 0)
    assert rich["assessment_metadata"]["comparison_count"] == 3
    assert resource["quantity"] == 1


def test_the_resource_event_estimates() -> None:
    data = published(a_batch(), [0.0, 1.0, -1.0])[2][2]["data"]
    assert (data["user_id"], data["org_id"], data["resource_type"]) == ("researcher", "org", "cj_comparison")
    assert (data["quantity"], data["service_name"]) == (3, "cj_assessment_service")
    assert data["processing_id"] == "151"


@pytest.mark.parametrize(
    ("ids", "status", "single"),
    [((), "failed_critically", True), (("student::1",), "completed_successfully", True)],
)
def test_a_batch_of_fewer_than_two(ids: tuple[str, ...], status: str, single: bool) -> None:
    data = published(a_batch(ids), [0.0] * len(ids))[0][2]["data"]
    assert data["status"] == status
    assert data["processing_summary"]["single_essay_batch"] is single
    assert data["processing_summary"]["total_essays"] == len(ids)


@pytest.mark.parametrize(("n", "expected"), [(0, 0), (1, 0), (2, 1), (12, 66), (24, 276)])
def test_estimate(n: int, expected: int) -> None:
    assert events.estimated_comparisons(n) == expected


def test_a_failure_that_could_not_start() -> None:
    recorder, correlation = Recorder(), uuid4()
    error = ServiceError("CONTENT_SERVICE_ERROR", "gone", storage_id="x")
    payload = events.failed(BATCH_ID, events.INITIALIZATION_FAILED, events.error_info(error, correlation))
    message = events.failure_message(payload, correlation, {"traceparent": "t"})
    asyncio.run(recorder.publish(message.event, message.envelope, key=message.key))
    ((event, key, envelope),) = recorder.sent
    assert (event, key) == (ProcessingEvent.CJ_ASSESSMENT_FAILED, BATCH_ID)
    assert envelope["event_type"] == "huleedu.cj_assessment.failed.v1"
    assert envelope["correlation_id"] == str(correlation)
    assert envelope["metadata"] == {"traceparent": "t"}
    data = envelope["data"]
    assert (data["status"], data["cj_assessment_job_id"]) == ("failed_critically", "INITIALIZATION_FAILED")
    assert data["system_metadata"]["processing_stage"] == "failed"
    info = data["system_metadata"]["error_info"]
    assert info.pop("timestamp")
    assert info == {
        "error_code": "CONTENT_SERVICE_ERROR",
        "error_message": "gone",
        "correlation_id": str(correlation),
        "service": "cj_assessment_service",
        "details": {"storage_id": "x"},
    }
