"""The LLM provider service's HTTP request and its telemetry events (contract sections 6.1 and 1.3).

The telemetry payloads are not fixed by the contract beyond their names; the fields here are what the
reference pipeline writes and what a reader may rely on having.
"""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from pytest_eng5.contracts.base import BaseEventData, WireModel
from pytest_eng5.contracts.comparisons import Provider, TokenUsage
from pytest_eng5.contracts.topics import ProcessingEvent

__all__ = [
    "LLMComparisonRequest",
    "LLMProviderFailureV1",
    "LLMQueuedResponse",
    "LLMRequestCompletedV1",
    "LLMRequestStartedV1",
    "PromptBlock",
    "ProviderOverrides",
]


class PromptBlock(WireModel):
    """A part of the user prompt that a provider may cache."""

    target: Literal["user_content", "system"] = "user_content"
    content: str
    cacheable: bool = False
    ttl: Literal["5m", "1h"] = "5m"
    content_hash: str | None = None


class ProviderOverrides(WireModel):
    """The judge's settings as the provider service accepts them; stricter than the event's overrides."""

    provider_override: Provider | None = None
    model_override: str | None = None
    temperature_override: float | None = Field(default=None, ge=0, le=2)
    system_prompt_override: str | None = None
    max_tokens_override: int | None = Field(default=None, gt=0)
    reasoning_effort: Literal["none", "low", "medium", "high"] | None = None
    output_verbosity: Literal["low", "medium", "high"] | None = None


class LLMComparisonRequest(WireModel):
    """Body of ``POST /api/v1/comparison``; ``metadata`` comes back as ``request_metadata``."""

    user_prompt: str
    prompt_blocks: list[PromptBlock] | None = None
    callback_topic: str
    llm_config_overrides: ProviderOverrides | None = None
    correlation_id: UUID | None = None
    user_id: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)


class LLMQueuedResponse(WireModel):
    """Answer 202 to a comparison request."""

    queue_id: str
    status: Literal["queued"] = "queued"
    message: str
    estimated_wait_minutes: int | None = None


class LLMRequestStartedV1(BaseEventData):
    """Telemetry: a queued comparison went to the provider."""

    event_name: ProcessingEvent = ProcessingEvent.LLM_REQUEST_STARTED
    request_id: str
    provider: str
    model: str
    request_type: str = "comparison"


class LLMRequestCompletedV1(LLMRequestStartedV1):
    """Telemetry: a comparison ended."""

    event_name: ProcessingEvent = ProcessingEvent.LLM_REQUEST_COMPLETED
    success: bool
    response_time_ms: int = Field(ge=0)
    token_usage: TokenUsage = Field(default_factory=TokenUsage)
    cost_estimate: float = Field(default=0.0, ge=0)
    error_message: str | None = None


class LLMProviderFailureV1(BaseEventData):
    """Telemetry: a provider failed."""

    event_name: ProcessingEvent = ProcessingEvent.LLM_PROVIDER_FAILURE
    provider: str
    failure_type: str
    details: dict[str, Any] = Field(default_factory=dict)
