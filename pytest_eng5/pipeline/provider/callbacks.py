"""Composing what the LLM provider service publishes (contract sections 1.3, 2.3 and 3)."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast
from uuid import UUID, uuid4

from pytest_eng5.contracts import (
    ErrorDetail,
    EventEnvelope,
    LLMComparisonRequest,
    LLMComparisonResultV1,
    LLMProviderFailureV1,
    LLMRequestCompletedV1,
    LLMRequestStartedV1,
    ProcessingEvent,
    Provider,
    TokenUsage,
    WireModel,
    prompt_sha256,
    topic_name,
    utc_now,
)
from pytest_eng5.pipeline.errors import ServiceError
from pytest_eng5.pipeline.provider.judge import Judgement
from pytest_eng5.pipeline.provider.manifest import FLAT_RATES, MOCK_MODEL

__all__ = ["SERVICE", "QueuedComparison", "callback_envelope", "failure", "success", "telemetry"]

SERVICE = "llm_provider_service"
_JUSTIFICATION_LIMIT = 500
_UNATTRIBUTED: Provider = "openai"


@dataclass(frozen=True, slots=True)
class QueuedComparison:
    """A comparison that was accepted.

    Attributes:
        queue_id: Becomes the callback's request id.
        started: Monotonic seconds of its acceptance.
        attempt: How often the same was asked before; ``None`` where whoever judges it counts.
    """

    request: LLMComparisonRequest
    queue_id: UUID = field(default_factory=uuid4)
    requested_at: datetime = field(default_factory=utc_now)
    started: float = field(default_factory=time.monotonic)
    attempt: int | None = None

    @property
    def correlation_id(self) -> UUID:
        """The caller's id of the comparison; falls back to the queue id."""
        return self.request.correlation_id or self.queue_id

    @property
    def provider(self) -> Provider:
        """The provider that was asked for; the route refuses requests without one."""
        overrides = self.request.llm_config_overrides
        return cast(Provider, overrides.provider_override if overrides else None)

    @property
    def model(self) -> str:
        """The model that was asked for, or the mock's own."""
        return self._model_override or MOCK_MODEL

    @property
    def _model_override(self) -> str | None:
        overrides = self.request.llm_config_overrides
        return overrides.model_override if overrides else None

    def prompt_sha256(self) -> str:
        """The hash of the bytes that the provider got (contract 3.2)."""
        blocks = [block.content for block in self.request.prompt_blocks or ()]
        return prompt_sha256(
            self.provider, self.request.user_prompt, () if self.provider == "mock" else blocks
        )

    def metadata(self, prompt_storage_id: str | None) -> dict[str, Any]:
        """The caller's metadata with what the queue layer adds; later layers overwrite (contract 3.1)."""
        metadata = self.request.metadata | {
            "resolved_provider": self.provider,
            "queue_processing_mode": "per_request",
        }
        if self._model_override:
            metadata["resolved_model"] = self._model_override
        metadata.setdefault("prompt_sha256", self.prompt_sha256())
        if prompt_storage_id:
            metadata["prompt_storage_id"] = prompt_storage_id
        return metadata


def _tokens(text: str, per_word: float) -> int:
    return math.ceil(len(text.split()) * per_word)


def success(
    item: QueuedComparison, judgement: Judgement, per_word: float, prompt_storage_id: str | None
) -> LLMComparisonResultV1:
    """The callback of a comparison that has a winner.

    Args:
        item: The comparison.
        judgement: The judge's answer; its justification is cut to the 500 characters of the event.
        per_word: Tokens per word of prompt and answer.
        prompt_storage_id: Where the exact prompt is kept, if it is.
    """
    prompt = _tokens(item.request.user_prompt, per_word)
    completion = _tokens(judgement.justification, per_word) + 10
    usage = TokenUsage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)
    metadata = item.metadata(prompt_storage_id)
    metadata.setdefault("usage", usage.model_dump())
    metadata.setdefault("cache_read_input_tokens", 0)
    metadata.setdefault("cache_creation_input_tokens", 0)
    return LLMComparisonResultV1(
        request_id=str(item.queue_id),
        correlation_id=item.correlation_id,
        winner=judgement.winner,
        justification=judgement.justification[:_JUSTIFICATION_LIMIT],
        confidence=judgement.confidence,
        provider=item.provider,
        model=item.model,
        response_time_ms=round(1000 * (time.monotonic() - item.started)),
        token_usage=usage,
        cost_estimate=usage.total_tokens / 1000 * FLAT_RATES[item.provider],
        requested_at=item.requested_at,
        completed_at=utc_now(),
        request_metadata=metadata,
    )


def failure(
    item: QueuedComparison, error: ServiceError, prompt_storage_id: str | None
) -> LLMComparisonResultV1:
    """The callback of a comparison that failed.

    ``provider`` follows contract 3.4: what the top level of the details names, else ``openai``; the provider
    that was really asked is in ``request_metadata.resolved_provider``.
    """
    detail = ErrorDetail(
        error_code=error.code,
        message=error.what,
        correlation_id=item.correlation_id,
        service=SERVICE,
        operation="process_comparison",
        details=error.details,
    )
    return LLMComparisonResultV1(
        request_id=str(item.queue_id),
        correlation_id=item.correlation_id,
        error_detail=detail,
        provider=cast(Provider, error.details.get("provider", _UNATTRIBUTED)),
        model="unknown",
        response_time_ms=0,
        cost_estimate=0.0,
        requested_at=item.requested_at,
        completed_at=utc_now(),
        request_metadata=item.metadata(prompt_storage_id),
    )


def callback_envelope(result: LLMComparisonResultV1) -> EventEnvelope:
    """The envelope of a callback: the comparison's own correlation id, no metadata."""
    return EventEnvelope(
        event_type="LLMComparisonResultV1",
        source_service=SERVICE,
        correlation_id=result.correlation_id,
        data=result,
    )


def _telemetry_envelope(event: ProcessingEvent, item: QueuedComparison, data: WireModel) -> EventEnvelope:
    return EventEnvelope(
        event_type=topic_name(event).removeprefix("huleedu."),
        source_service=SERVICE,
        correlation_id=item.correlation_id,
        data=data,
    )


def telemetry(
    item: QueuedComparison, result: LLMComparisonResultV1 | None = None
) -> list[tuple[ProcessingEvent, EventEnvelope]]:
    """Telemetry of a comparison: that it started, or (with its result) that it ended and perhaps failed."""
    common: dict[str, Any] = {"entity_id": str(item.queue_id), "entity_type": "llm_request"}
    request: dict[str, Any] = {
        "request_id": str(item.queue_id),
        "provider": item.provider,
        "model": item.model,
    }
    if result is None:
        started = LLMRequestStartedV1(**common, **request)
        event = ProcessingEvent.LLM_REQUEST_STARTED
        return [(event, _telemetry_envelope(event, item, started))]
    message = result.error_detail.message if result.error_detail else None
    ended = LLMRequestCompletedV1(
        **common,
        **request,
        success=result.is_success,
        response_time_ms=result.response_time_ms,
        token_usage=result.token_usage,
        cost_estimate=result.cost_estimate,
        error_message=message,
    )
    event = ProcessingEvent.LLM_REQUEST_COMPLETED
    events = [(event, _telemetry_envelope(event, item, ended))]
    if result.error_detail is not None:
        failed = LLMProviderFailureV1(
            **common,
            provider=item.provider,
            failure_type=result.error_detail.error_code,
            details={"message": message, "request_id": str(item.queue_id)},
        )
        event = ProcessingEvent.LLM_PROVIDER_FAILURE
        events.append((event, _telemetry_envelope(event, item, failed)))
    return events
