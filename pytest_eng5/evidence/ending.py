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
    INPUT_ERROR = "input_error"
    """Files of the run cannot be used; nothing was published."""
    REFUSED = "refused"
    """What was asked for cannot be done as written, which a service has told; nothing was published."""
    NOT_AWAITED = "not_awaited"
    """Published and left alone, as was asked for."""
    NOT_PUBLISHED = "not_published"
    """Everything but published, as was asked for."""

    @property
    def is_infrastructure(self) -> bool:
        """Whether no verdict can be given: a pytest error rather than a failure."""
        return self not in (EndReason.COMPLETED, EndReason.PIPELINE_FAILED) and not self.is_quiet

    @property
    def is_quiet(self) -> bool:
        """Whether nothing went wrong and nothing was waited for, so that there is nothing to judge."""
        return self in (EndReason.NOT_AWAITED, EndReason.NOT_PUBLISHED)

    @property
    def is_refusal(self) -> bool:
        """Whether nothing was published, for a reason that only the user can put right."""
        return self in (EndReason.INPUT_ERROR, EndReason.REFUSED)

    @property
    def exit_code(self) -> int:
        """The command line's: 0, 1 for a failed batch, 2 for what the user can put right, else 4."""
        if self is EndReason.PIPELINE_FAILED:
            return 1
        if self.is_refusal:
            return 2
        return 4 if self.is_infrastructure else 0


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
        """Whether the evidence is incomplete because capturing was cut short, or never began."""
        return self.reason.is_infrastructure or self.reason is EndReason.NOT_AWAITED
