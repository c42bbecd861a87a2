"""How a run ended."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

__all__ = ["EndReason", "RunEnding"]


class EndReason(StrEnum):
    """Why capturing stopped."""

    COMPLETED = "completed"
    PIPELINE_FAILED = "pipeline_failed"
    IDLE_DEADLINE = "idle_deadline"
    TOTAL_DEADLINE = "total_deadline"
    INFRASTRUCTURE = "infrastructure"
    BUDGET = "budget"
    INTERRUPTED = "interrupted"

    @property
    def is_infrastructure(self) -> bool:
        """Whether no verdict can be given: a pytest error rather than a failure."""
        return self not in (EndReason.COMPLETED, EndReason.PIPELINE_FAILED)


class RunEnding(BaseModel):
    """The end of a run, stored in the artefact.

    Attributes:
        detail: One sentence for a human: what fired and what was missing.
        timeout_seconds: The deadline that fired, if one did.
    """

    model_config = ConfigDict(frozen=True)

    reason: EndReason
    detail: str
    started_at: datetime
    ended_at: datetime
    published: bool = True
    request_position: str | None = None
    request_timestamp_ms: int | None = None
    timeout_seconds: float | None = None

    @property
    def partial(self) -> bool:
        """Whether the evidence is incomplete because capturing was cut short."""
        return self.reason.is_infrastructure
