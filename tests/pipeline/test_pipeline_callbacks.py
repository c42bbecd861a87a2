"""What the LLM provider service publishes: metadata, hash, tokens, cost, errors, telemetry."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from uuid import uuid4

import pytest

from pytest_eng5.contracts import (
    LLMComparisonRequest,
    LLMComparisonResultV1,
    ProcessingEvent,
    decode_event,
)
from pytest_eng5.pipeline.errors import ServiceError
from pytest_eng5.pipeline.provider.callbacks import (
    QueuedComparison,
    callback_envelope,
    failure,
    success,
    telemetry,
)
from pytest_eng5.pipeline.provider.judge import Judgement

JUDGEMENT = Judgement("Essay A", 4.2, "Clearer control of language.")
SENT = {"essay_a_id": "a", "essay_b_id": "b", "bos_batch_id": "x", "cj_batch_id": "151"}


def queued(prompt: str = "alpha\n\nbeta", **changes: Any) -> QueuedComparison:
    overrides = {"provider_override": "mock", **changes.pop("overrides", {})}
    request = LLMComparisonRequest.model_validate(
        {
            "user_prompt": prompt,
            "callback_topic": "t",
            "llm_config_overrides": overrides,
            "correlation_id": str(uuid4()),
            "metadata": SENT,
            **changes,
        }
    )
    return QueuedComparison(request)


def on_the_wire(result: LLMComparisonResultV1) -> dict[str, Any]:
    wire = callback_envelope(result).to_wire()
    decode_event(ProcessingEvent.LLM_COMPARISON_RESULT, wire)
    envelope: dict[str, Any] = json.loads(wire)
    return envelope


def test_the_envelope_of_a_callback() -> None:
    item = queued()
    envelope = on_the_wire(success(item, JUDGEMENT, 0.75, None))
    assert envelope["event_type"] == "LLMComparisonResultV1"
    assert envelope["source_service"] == "llm_provider_service"
    assert envelope["metadata"] is None
    assert envelope["correlation_id"] == envelope["data"]["correlation_id"] == str(item.correlation_id)
    assert envelope["data"]["request_id"] == str(item.queue_id)


def test_golden_hash_of_the_prompt() -> None:
    data = success(queued(), JUDGEMENT, 0.75, None)
    assert (
        data.request_metadata["prompt_sha256"]
        == "67c7f39a47ef6ce0009b2dfe644d6f1625530f95a7a030d05ce8e5eb90921566"
    )


def test_the_mock_hashes_the_raw_prompt_whatever_the_blocks_are() -> None:
    blocks = [{"content": "other"}, {"content": "text"}]
    item = queued("raw prompt", prompt_blocks=blocks)
    assert item.prompt_sha256() == hashlib.sha256(b"raw prompt").hexdigest()


def test_a_success_on_the_wire() -> None:
    item = queued(" ".join(["word"] * 10), overrides={"model_override": "simulated-judge"})
    data = on_the_wire(success(item, JUDGEMENT, 0.75, "f" * 32))["data"]
    assert (data["winner"], data["confidence"]) == ("Essay A", 4.2)
    assert data["justification"] == "Clearer control of language."
    assert data["error_detail"] is None
    assert (data["provider"], data["model"]) == ("mock", "simulated-judge")
    assert data["token_usage"] == {"prompt_tokens": 8, "completion_tokens": 13, "total_tokens": 21}
    assert data["cost_estimate"] == 0
    metadata = data["request_metadata"]
    assert {key: metadata[key] for key in SENT} == SENT
    assert metadata["resolved_provider"] == "mock"
    assert metadata["resolved_model"] == "simulated-judge"
    assert metadata["queue_processing_mode"] == "per_request"
    assert metadata["prompt_storage_id"] == "f" * 32
    assert metadata["usage"] == data["token_usage"]


def test_resolved_model_only_with_an_override() -> None:
    result = success(queued(), JUDGEMENT, 0.75, None)
    assert "resolved_model" not in result.request_metadata
    assert "prompt_storage_id" not in result.request_metadata
    assert result.model == "mock-model-v1"


def test_what_the_caller_sent_is_kept_or_overwritten_as_the_contract_says() -> None:
    sent = {
        "resolved_provider": "stale",
        "queue_processing_mode": "stale",
        "prompt_sha256": "kept",
        "usage": "kept",
        "extra": {"deep": [1]},
    }
    metadata = success(queued(metadata=sent), JUDGEMENT, 0.75, None).request_metadata
    assert metadata["resolved_provider"] == "mock"
    assert metadata["queue_processing_mode"] == "per_request"
    assert metadata["prompt_sha256"] == "kept"
    assert metadata["usage"] == "kept"
    assert metadata["extra"] == {"deep": [1]}


def test_composing_does_not_touch_the_request() -> None:
    item = queued()
    success(item, JUDGEMENT, 0.75, None)
    failure(item, ServiceError("TIMEOUT", "late"), None)
    assert item.request.metadata == SENT


def test_a_long_justification_is_cut_to_the_events_limit() -> None:
    result = success(queued(), Judgement("Essay B", 3.0, "x" * 900), 0.75, None)
    assert result.justification == "x" * 500


def test_without_a_correlation_id_the_queue_id_takes_its_place() -> None:
    item = queued(correlation_id=None)
    assert success(item, JUDGEMENT, 0.75, None).correlation_id == item.queue_id


def test_an_error_on_the_wire() -> None:
    item = queued(overrides={"model_override": "simulated-judge"})
    error = ServiceError("EXTERNAL_SERVICE_ERROR", "the judge failed", context={"provider": "mock"})
    data = on_the_wire(failure(item, error, None))["data"]
    assert data["winner"] is data["justification"] is data["confidence"] is None
    assert (data["model"], data["response_time_ms"], data["cost_estimate"]) == ("unknown", 0, 0.0)
    detail = data["error_detail"]
    assert detail["error_code"] == "EXTERNAL_SERVICE_ERROR"
    assert detail["message"] == "the judge failed"
    assert detail["service"] == "llm_provider_service"
    assert detail["correlation_id"] == str(item.correlation_id)
    assert detail["stack_trace"] is None
    metadata = data["request_metadata"]
    assert metadata["resolved_provider"] == "mock"
    assert metadata["prompt_sha256"] == item.prompt_sha256()
    assert "usage" not in metadata


@pytest.mark.parametrize(
    ("details", "provider"),
    [({}, "openai"), ({"context": {"provider": "mock"}}, "openai"), ({"provider": "anthropic"}, "anthropic")],
)
def test_attribution_of_errors(details: dict[str, Any], provider: str) -> None:
    assert failure(queued(), ServiceError("TIMEOUT", "late", **details), None).provider == provider


def test_telemetry_of_a_success() -> None:
    item = queued()
    ((event, envelope),) = telemetry(item)
    assert event is ProcessingEvent.LLM_REQUEST_STARTED
    assert envelope.event_type == "llm_provider.request_started.v1"
    assert envelope.correlation_id == item.correlation_id
    result = success(item, JUDGEMENT, 0.75, None)
    ((event, envelope),) = telemetry(item, result)
    assert event is ProcessingEvent.LLM_REQUEST_COMPLETED
    assert envelope.event_type == "llm_provider.request_completed.v1"
    assert envelope.data.success
    assert envelope.data.token_usage == result.token_usage
    decode_event(event, envelope.to_wire())


def test_telemetry_of_a_failure() -> None:
    item = queued()
    result = failure(item, ServiceError("TIMEOUT", "late"), None)
    (_, ended), (event, failed) = telemetry(item, result)
    assert not ended.data.success
    assert ended.data.error_message == "late"
    assert event is ProcessingEvent.LLM_PROVIDER_FAILURE
    assert failed.event_type == "llm_provider.failure.v1"
    assert (failed.data.provider, failed.data.failure_type) == ("mock", "TIMEOUT")
    decode_event(event, failed.to_wire())
