"""The LLM provider service's callback, one per comparison (contract sections 2.3 and 3)."""

from __future__ import annotations

from typing import Any, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator

from pytest_eng5.contracts.base import WireDatetime, WireModel, utc_now

__all__ = [
    "ErrorDetail",
    "LLMComparisonResultV1",
    "Provider",
    "TokenUsage",
    "Winner",
    "wire_confidence",
]

Winner = Literal["Essay A", "Essay B"]
Provider = Literal["anthropic", "openai", "google", "openrouter", "mock"]

_MOST_TOKENS = 10**12
_MOST_USD = 1e9
"""Beyond any call: numbers so large that sums of them overflow are no counts and no costs."""


def wire_confidence(fraction: float) -> float:
    """Confidence 0 to 1 inside a provider adapter as the 1 to 5 of the wire (contract 2.3)."""
    return fraction * 4 + 1


class TokenUsage(WireModel):
    """Tokens of one call."""

    prompt_tokens: int = Field(default=0, ge=0, le=_MOST_TOKENS)
    completion_tokens: int = Field(default=0, ge=0, le=_MOST_TOKENS)
    total_tokens: int = Field(default=0, ge=0, le=2 * _MOST_TOKENS)


class ErrorDetail(WireModel):
    """Why a comparison failed; the services put stack traces in it, so it is scrubbed before it is stored."""

    model_config = ConfigDict(frozen=True)

    error_code: str
    message: str
    correlation_id: UUID | None = None
    timestamp: WireDatetime = Field(default_factory=utc_now)
    service: str = ""
    operation: str = ""
    details: dict[str, Any] = Field(default_factory=dict)
    stack_trace: str | None = None
    trace_id: str | None = None
    span_id: str | None = None


class LLMComparisonResultV1(WireModel):
    """The outcome of one comparison: exactly one of ``winner`` and ``error_detail``.

    A winner comes with ``justification`` (at most 500 characters) and ``confidence`` (1 to 5).
    ``cost_estimate`` is a flat rate in USD; it is never the real price (contract 6.4).
    """

    request_id: str
    correlation_id: UUID
    winner: Winner | None = None
    justification: str | None = Field(default=None, max_length=500)
    confidence: float | None = Field(default=None, ge=1.0, le=5.0)
    error_detail: ErrorDetail | None = None
    provider: Provider
    model: str
    response_time_ms: int = Field(ge=0)
    token_usage: TokenUsage = Field(default_factory=TokenUsage)
    cost_estimate: float = Field(ge=0, le=_MOST_USD)
    requested_at: WireDatetime
    completed_at: WireDatetime
    trace_id: str | None = None
    request_metadata: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_outcome(self) -> Self:
        if (self.winner is None) == (self.error_detail is None):
            raise ValueError("exactly one of winner and error_detail must be set")
        if self.winner is not None and (self.justification is None or self.confidence is None):
            raise ValueError("a winner needs both justification and confidence")
        return self

    @property
    def is_success(self) -> bool:
        """Whether the judge named a winner."""
        return self.winner is not None

    @property
    def is_error(self) -> bool:
        """Whether the comparison failed."""
        return self.error_detail is not None

    def metadata_text(self, key: str) -> str | None:
        """A key of ``request_metadata`` if it is a non-empty string, else ``None``."""
        value = self.request_metadata.get(key)
        return value if isinstance(value, str) and value else None

    @property
    def winner_id(self) -> str | None:
        """Essay id of the winner; ``None`` on errors and when the metadata lacks the id."""
        return self.outcome[0]

    @property
    def loser_id(self) -> str | None:
        """Essay id of the loser; ``None`` on errors and when the metadata lacks the id."""
        return self.outcome[1]

    @property
    def outcome(self) -> tuple[str | None, str | None]:
        """Essay ids of winner and loser."""
        if self.winner is None:
            return None, None
        a, b = self.metadata_text("essay_a_id"), self.metadata_text("essay_b_id")
        return (a, b) if self.winner == "Essay A" else (b, a)
