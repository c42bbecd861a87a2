"""The contract's own examples, its required fields and every constraint broken once."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from pytest_eng5.contracts import (
    PAYLOADS,
    AssessmentResultV1,
    CJAssessmentCompletedV1,
    CJAssessmentFailedV1,
    ELS_CJAssessmentRequestV1,
    LLMComparisonResultV1,
    ProcessingEvent,
    ResourceConsumptionV1,
    wire_confidence,
)

DELETE = "<delete>"
BATCH = "b3a1f7de-0c54-4d0a-8a0f-6a1f0f7d2c10"
Changed = Callable[..., dict[str, Any]]
Decode = Callable[..., Any]
Reasons = Callable[..., list[tuple[str, str]]]


def test_every_example_is_an_event_of_its_topic(name: str, changed: Changed, decode: Decode) -> None:
    document = changed(name)
    envelope = decode(name, document)
    assert str(envelope.event_id) == document["event_id"]
    assert str(envelope.correlation_id) == document["correlation_id"]
    assert envelope.event_type == document["event_type"]
    assert envelope.schema_version == 1
    assert envelope.metadata == document["metadata"]


def _same(read: Any, written: Any) -> bool:
    """Every field of the document is in the model's dump with the same value (dates: same moment)."""
    if isinstance(written, dict):
        return all(key in read and _same(read[key], value) for key, value in written.items())
    if isinstance(written, list):
        return len(read) == len(written) and all(map(_same, read, written))
    if isinstance(read, str) and isinstance(written, str) and written[:3] == "202":
        return datetime.fromisoformat(read) == datetime.fromisoformat(written)
    return bool(read == written)


def test_an_example_survives_reading_and_writing(name: str, changed: Changed, decode: Decode) -> None:
    document = changed(name)
    again = decode(name, document).model_dump(mode="json")
    assert _same(again, document)


def test_wire_bytes_of_an_example_decode_to_the_same_event(
    name: str, changed: Changed, decode: Decode
) -> None:
    envelope = decode(name, changed(name))
    assert decode(name, json.loads(envelope.to_wire())) == envelope


def test_the_request_of_the_contract(changed: Changed, decode: Decode) -> None:
    data = decode("request", changed("request")).data
    assert isinstance(data, ELS_CJAssessmentRequestV1)
    assert (data.entity_id, data.course_code, data.language, data.assignment_id) == (
        BATCH,
        "ENG5",
        "en",
        None,
    )
    assert [essay.text_storage_id[:4] for essay in data.essays_for_cj] == ["5e0c", "9ab1"]
    assert data.student_prompt_ref is not None
    assert data.student_prompt_ref.references["student_prompt_text"].path == "prompt.md"
    assert data.overrides() == {
        "provider_override": "openai",
        "model_override": "gpt-5.1",
        "reasoning_effort": "low",
        "output_verbosity": "low",
        "system_prompt_override": "You compare two essays.",
        "judge_rubric_override": "Weigh language control first.",
    }


def test_overrides_keep_zero_and_are_empty_without_any(changed: Changed, decode: Decode) -> None:
    zero = decode(
        "request", changed("request", {"/data/llm_config_overrides": {"temperature_override": 0.0}})
    )
    assert zero.data.overrides() == {"temperature_override": 0.0}
    none = decode("request", changed("request", {"/data/llm_config_overrides": None}))
    assert none.data.overrides() == {}


def test_the_callback_of_the_contract(changed: Changed, decode: Decode) -> None:
    data = decode("comparison_result", changed("comparison_result")).data
    assert isinstance(data, LLMComparisonResultV1)
    assert (data.winner, data.confidence, data.cost_estimate) == ("Essay A", 4.2, 0.03222)
    assert (data.is_success, data.is_error) == (True, False)
    assert data.winner_id == "student::ANCHOR_ESSAY_ENG_5_78DB411E"
    assert data.loser_id == "student::ANCHOR_ESSAY_ENG_5_426FE254"
    assert data.metadata_text("bos_batch_id") == BATCH
    assert data.correlation_id == UUID("4a7e5b7c-2c5f-4a53-8f0a-5c9e3b0d1e22")
    assert data.completed_at == datetime(2026, 3, 1, 9, 0, 7, tzinfo=UTC)


def test_the_results_of_the_contract(changed: Changed, decode: Decode) -> None:
    result = decode("assessment_result", changed("assessment_result")).data
    completed = decode("completed", changed("completed")).data
    failed = decode("failed", changed("failed")).data
    assert isinstance(result, AssessmentResultV1)
    assert (result.batch_id, result.essay_results[0].bt_score, result.essay_results[0].rank) == (
        BATCH,
        5.36,
        1,
    )
    assert isinstance(completed, CJAssessmentCompletedV1)
    assert completed.status == "completed_successfully"
    assert completed.processing_summary["successful"] == 2
    assert isinstance(failed, CJAssessmentFailedV1)
    assert failed.reason().startswith("low_success_rate: ")
    assert "54" in failed.reason()


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        ({}, "no reason given"),
        ({"error_code": "CONTENT_SERVICE_ERROR", "error_message": "gone"}, "CONTENT_SERVICE_ERROR: gone"),
        (
            {"reason": "stuck_timeout_insufficient_progress", "progress_pct": 40},
            "stuck_timeout_insufficient_progress: 40",
        ),
        ({"reason": "low_success_rate", "details": {}}, "low_success_rate"),
    ],
)
def test_a_failure_says_why_in_every_form(
    info: dict[str, Any], reason: str, changed: Changed, decode: Decode
) -> None:
    document = changed("failed", {"/data/system_metadata/error_info": info})
    assert decode("failed", document).data.reason() == reason


# Contract 1.2 and 2: what must be there.
REQUIRED = {
    "request": (
        "/event_type /source_service /data /data/system_metadata /data/essays_for_cj /data/language "
        "/data/course_code /data/user_id /data/system_metadata/entity_id /data/system_metadata/entity_type "
        "/data/essays_for_cj/0/essay_id /data/essays_for_cj/1/text_storage_id"
    ),
    "comparison_result": (
        "/event_type /source_service /data /data/request_id /data/correlation_id /data/provider /data/model "
        "/data/response_time_ms /data/cost_estimate /data/requested_at /data/completed_at"
    ),
    "assessment_result": (
        "/data /data/batch_id /data/cj_assessment_job_id /data/assessment_method /data/model_used "
        "/data/model_provider /data/essay_results /data/essay_results/0/essay_id "
        "/data/essay_results/0/normalized_score /data/essay_results/0/letter_grade "
        "/data/essay_results/0/confidence_score /data/essay_results/0/confidence_label "
        "/data/essay_results/0/bt_score /data/essay_results/0/rank"
    ),
    "completed": "/data /data/status /data/system_metadata /data/cj_assessment_job_id",
    "failed": "/data /data/status /data/system_metadata /data/cj_assessment_job_id",
}

OPTIONAL = {
    "request": (
        "/event_id /event_timestamp /schema_version /correlation_id /data_schema_uri /metadata "
        "/data/event_name /data/entity_id /data/entity_type /data/parent_id /data/timestamp "
        "/data/student_prompt_ref /data/llm_config_overrides /data/assignment_id /data/org_id "
        "/data/system_metadata/error_info /data/system_metadata/processing_stage "
        "/data/system_metadata/timestamp /data/essays_for_cj/0/spellcheck_metrics"
    ),
    "comparison_result": (
        "/metadata /data/trace_id /data/token_usage /data/request_metadata /data/error_detail"
    ),
    "assessment_result": (
        "/data/event_name /data/assignment_id /data/model_version /data/assessment_metadata "
        "/data/assessed_at /data/essay_results/0/is_anchor /data/essay_results/0/display_name"
    ),
    "completed": "/data/event_name /data/processing_summary /data/entity_id",
    "failed": "/data/event_name /data/entity_id /data/timestamp",
}

REQUIRED_CASES = [(name, pointer) for name, text in REQUIRED.items() for pointer in text.split()]
OPTIONAL_CASES = [(name, pointer) for name, text in OPTIONAL.items() for pointer in text.split()]


@pytest.mark.parametrize(("example", "pointer"), REQUIRED_CASES)
def test_a_missing_field_is_named(example: str, pointer: str, reasons: Reasons) -> None:
    assert reasons(example, {pointer: DELETE}) == [(pointer, "Field required")]


@pytest.mark.parametrize(("example", "pointer"), OPTIONAL_CASES)
def test_an_optional_field_may_be_absent(example: str, pointer: str, reasons: Reasons) -> None:
    assert reasons(example, {pointer: DELETE}) == []


BROKEN: list[tuple[str, str, Any]] = [
    ("request", "/event_id", "no uuid"),
    ("request", "/correlation_id", "None"),
    ("request", "/event_timestamp", "yesterday"),
    ("request", "/schema_version", "one"),
    ("request", "/metadata", "text"),
    ("request", "/data/event_name", "els.cj_assessment"),
    ("request", "/data/course_code", "ENG8"),
    ("request", "/data/entity_id", 7),
    ("request", "/data/assignment_id", "x" * 101),
    ("request", "/data/user_id", None),
    ("request", "/data/essays_for_cj", None),
    ("request", "/data/essays_for_cj/0/essay_id", None),
    ("request", "/data/system_metadata/processing_stage", "done"),
    ("request", "/data/system_metadata/error_info", None),
    ("request", "/data/system_metadata/started_at", {}),
    ("request", "/data/llm_config_overrides/temperature_override", 2.01),
    ("request", "/data/llm_config_overrides/temperature_override", -0.01),
    ("request", "/data/llm_config_overrides/max_tokens_override", 0),
    ("request", "/data/llm_config_overrides/model_override", 5),
    ("request", "/data/student_prompt_ref/references/student_prompt_text/storage_id", None),
    ("comparison_result", "/data/correlation_id", "not-a-uuid"),
    ("comparison_result", "/data/winner", "essay_a"),
    ("comparison_result", "/data/winner", "Essay C"),
    ("comparison_result", "/data/winner", "Essay a"),
    ("comparison_result", "/data/justification", "x" * 501),
    ("comparison_result", "/data/confidence", 0.99),
    ("comparison_result", "/data/confidence", 5.01),
    ("comparison_result", "/data/provider", "mistral"),
    ("comparison_result", "/data/response_time_ms", -1),
    ("comparison_result", "/data/response_time_ms", 1.5),
    ("comparison_result", "/data/cost_estimate", -0.01),
    ("comparison_result", "/data/cost_estimate", float("inf")),
    ("comparison_result", "/data/cost_estimate", float("nan")),
    ("comparison_result", "/data/token_usage/prompt_tokens", -1),
    ("comparison_result", "/data/token_usage/completion_tokens", -1),
    ("comparison_result", "/data/token_usage/total_tokens", -1),
    ("comparison_result", "/data/requested_at", "26-03-01"),
    ("comparison_result", "/data/completed_at", None),
    ("comparison_result", "/data/request_metadata", None),
    ("comparison_result", "/data/request_id", 12),
    ("assessment_result", "/data/essay_results/0/normalized_score", 1.01),
    ("assessment_result", "/data/essay_results/0/normalized_score", -0.01),
    ("assessment_result", "/data/essay_results/0/letter_grade", "G"),
    ("assessment_result", "/data/essay_results/0/letter_grade", "A++"),
    ("assessment_result", "/data/essay_results/0/letter_grade", "U+"),
    ("assessment_result", "/data/essay_results/0/letter_grade", "a"),
    ("assessment_result", "/data/essay_results/0/confidence_score", 1.5),
    ("assessment_result", "/data/essay_results/0/confidence_label", "high"),
    ("assessment_result", "/data/essay_results/0/bt_score", None),
    ("assessment_result", "/data/essay_results/0/bt_score", float("nan")),
    ("assessment_result", "/data/essay_results/0/rank", 0),
    ("assessment_result", "/data/assignment_id", "x" * 101),
    ("assessment_result", "/data/cj_assessment_job_id", 151),
    ("completed", "/data/status", "completed"),
    ("completed", "/data/processing_summary", []),
    ("failed", "/data/status", "failed"),
    ("failed", "/data/system_metadata", None),
]


@pytest.mark.parametrize(("example", "pointer", "value"), BROKEN)
def test_a_broken_constraint_names_its_field_and_nothing_else(
    example: str, pointer: str, value: Any, reasons: Reasons
) -> None:
    found = reasons(example, {pointer: value})
    assert [where for where, _ in found] == [pointer]


@pytest.mark.parametrize(
    ("example", "pointer", "value"),
    [
        ("request", "/data/assignment_id", "x" * 100),
        ("request", "/data/llm_config_overrides/temperature_override", 0),
        ("request", "/data/llm_config_overrides/temperature_override", 2),
        ("request", "/data/llm_config_overrides/max_tokens_override", 1),
        ("request", "/data/llm_config_overrides/reasoning_effort", "any word"),
        ("request", "/data/essays_for_cj", []),
        ("comparison_result", "/data/justification", "x" * 500),
        ("comparison_result", "/data/justification", ""),
        ("comparison_result", "/data/confidence", 1),
        ("comparison_result", "/data/confidence", 5),
        ("comparison_result", "/data/response_time_ms", 0),
        ("comparison_result", "/data/cost_estimate", 0),
        ("assessment_result", "/data/essay_results/0/rank", 999),
        ("assessment_result", "/data/essay_results/0/normalized_score", 1),
        ("assessment_result", "/data/essay_results/0/letter_grade", "F+"),
        ("assessment_result", "/data/essay_results", []),
        ("completed", "/event_type", "anything at all"),
    ],
)
def test_a_value_at_the_limit_is_legal(example: str, pointer: str, value: Any, reasons: Reasons) -> None:
    assert reasons(example, {pointer: value}) == []


ENUMS = {
    ("request", "/data/course_code"): "ENG5 ENG6 ENG7 SV1 SV2 SV3",
    ("request", "/data/system_metadata/processing_stage"): (
        "pending initialized processing completed failed cancelled"
    ),
    ("comparison_result", "/data/provider"): "anthropic openai google openrouter mock",
    ("assessment_result", "/data/essay_results/0/confidence_label"): "HIGH MID LOW",
    ("completed", "/data/status"): (
        "awaiting_content_validation content_ingestion_failed awaiting_pipeline_configuration "
        "ready_for_pipeline_execution processing_pipelines awaiting_student_validation "
        "student_validation_completed validation_timeout_processed completed_successfully "
        "completed_with_failures failed_critically cancelled"
    ),
}


@pytest.mark.parametrize(("example", "pointer"), ENUMS)
def test_every_listed_value_is_legal(example: str, pointer: str, reasons: Reasons) -> None:
    for value in ENUMS[example, pointer].split():
        assert reasons(example, {pointer: value}) == [], value


ERROR = {"error_code": "EXTERNAL_SERVICE_ERROR", "message": "overloaded"}


@pytest.mark.parametrize(
    ("changes", "legal"),
    [
        ({}, True),
        ({"/data/winner": "Essay B"}, True),
        ({"/data/winner": None, "/data/error_detail": ERROR}, True),
        (
            {
                "/data/winner": None,
                "/data/error_detail": ERROR,
                "/data/justification": None,
                "/data/confidence": None,
            },
            True,
        ),
        ({"/data/winner": None}, False),
        ({"/data/error_detail": ERROR}, False),
        ({"/data/winner": DELETE}, False),
        ({"/data/justification": None}, False),
        ({"/data/confidence": None}, False),
        ({"/data/confidence": DELETE, "/data/justification": DELETE}, False),
    ],
)
def test_exactly_one_of_winner_and_error(changes: dict[str, Any], legal: bool, reasons: Reasons) -> None:
    found = reasons("comparison_result", changes)
    assert [pointer for pointer, _ in found] == ([] if legal else ["/data"])


def test_an_error_callback_never_names_a_winner(changed: Changed, decode: Decode) -> None:
    data = decode(
        "comparison_result",
        changed(
            "comparison_result",
            {
                "/data/winner": None,
                "/data/error_detail": ERROR,
                "/data/model": "unknown",
                "/data/response_time_ms": 0,
                "/data/cost_estimate": 0.0,
            },
        ),
    ).data
    assert (data.is_success, data.is_error) == (False, True)
    assert (data.winner_id, data.loser_id) == (None, None)


@pytest.mark.parametrize("missing", [DELETE, None, "", 7, ["student::a"]])
def test_a_winner_without_usable_essay_ids_has_no_id(missing: Any, changed: Changed, decode: Decode) -> None:
    changes = {"/data/request_metadata/essay_a_id": missing}
    data = decode("comparison_result", changed("comparison_result", changes)).data
    assert data.winner_id is None
    assert data.loser_id == "student::ANCHOR_ESSAY_ENG_5_426FE254"


def test_essay_b_wins(changed: Changed, decode: Decode) -> None:
    data = decode("comparison_result", changed("comparison_result", {"/data/winner": "Essay B"})).data
    assert data.winner_id == "student::ANCHOR_ESSAY_ENG_5_426FE254"
    assert data.loser_id == "student::ANCHOR_ESSAY_ENG_5_78DB411E"


def test_an_error_detail_cannot_be_changed(changed: Changed, decode: Decode) -> None:
    changes = {"/data/winner": None, "/data/error_detail": ERROR}
    detail = decode("comparison_result", changed("comparison_result", changes)).data.error_detail
    with pytest.raises(ValueError, match="frozen"):
        detail.message = "other"


@pytest.mark.parametrize(("fraction", "wire"), [(0.0, 1.0), (0.5, 3.0), (0.8, 4.2), (1.0, 5.0)])
def test_confidence_on_the_wire(fraction: float, wire: float) -> None:
    assert wire_confidence(fraction) == pytest.approx(wire)


def test_resource_consumption_counts_from_zero() -> None:
    fields = {"user_id": "u", "resource_type": "cj_comparison", "service_name": "s", "processing_id": "1"}
    assert ResourceConsumptionV1.model_validate({**fields, "quantity": 0}).org_id is None
    with pytest.raises(ValueError, match="quantity"):
        ResourceConsumptionV1.model_validate({**fields, "quantity": -1})


def test_every_captured_event_has_a_model() -> None:
    assert set(PAYLOADS) <= set(ProcessingEvent)
    assert {event.value for event in PAYLOADS} >= {
        "els.cj_assessment.requested",
        "llm_provider.comparison_result",
        "assessment.result.published",
        "cj_assessment.completed",
        "cj_assessment.failed",
        "resource.consumption.reported",
    }
