"""What every payload on the wire shares: tolerant models, dates, states and the two base events.

Source: contract sections 1.2 and 2.1. Models ignore unknown fields, as the producers and consumers of
the pipeline do, and read dates in ISO 8601 as well as the RFC 822 form that one service writes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from pytest_eng5.contracts.topics import ProcessingEvent

__all__ = [
    "BaseEventData",
    "BatchStatus",
    "ContentType",
    "CourseCode",
    "ProcessingStage",
    "ProcessingUpdate",
    "SystemProcessingMetadata",
    "WireDatetime",
    "WireModel",
    "utc_now",
]


def utc_now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)


def _from_rfc822(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def _read_date(value: Any, read_iso: ValidatorFunctionWrapHandler) -> datetime:
    try:
        date: datetime = read_iso(value)
    except ValidationError:
        parsed = _from_rfc822(value) if isinstance(value, str) else None
        if parsed is None:
            raise
        date = parsed
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


WireDatetime = Annotated[datetime, WrapValidator(_read_date)]
"""A date on the wire: ISO 8601 or RFC 822; a date without an offset is read as UTC."""


class WireModel(BaseModel):
    """Base of all wire models: unknown fields are ignored, attributes may be set by name or alias.

    A number is finite: ``NaN`` and ``Infinity`` are no JSON, and no score, cost or confidence.
    """

    model_config = ConfigDict(
        extra="ignore", populate_by_name=True, protected_namespaces=(), allow_inf_nan=False
    )


class ProcessingStage(StrEnum):
    """Stage of processing in :class:`SystemProcessingMetadata`."""

    PENDING = "pending"
    INITIALIZED = "initialized"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class BatchStatus(StrEnum):
    """Status of a batch in a :class:`ProcessingUpdate`; the CJ service emits two of them."""

    AWAITING_CONTENT_VALIDATION = "awaiting_content_validation"
    CONTENT_INGESTION_FAILED = "content_ingestion_failed"
    AWAITING_PIPELINE_CONFIGURATION = "awaiting_pipeline_configuration"
    READY_FOR_PIPELINE_EXECUTION = "ready_for_pipeline_execution"
    PROCESSING_PIPELINES = "processing_pipelines"
    AWAITING_STUDENT_VALIDATION = "awaiting_student_validation"
    STUDENT_VALIDATION_COMPLETED = "student_validation_completed"
    VALIDATION_TIMEOUT_PROCESSED = "validation_timeout_processed"
    COMPLETED_SUCCESSFULLY = "completed_successfully"
    COMPLETED_WITH_FAILURES = "completed_with_failures"
    FAILED_CRITICALLY = "failed_critically"
    CANCELLED = "cancelled"


class CourseCode(StrEnum):
    """Course codes the request accepts."""

    ENG5 = "ENG5"
    ENG6 = "ENG6"
    ENG7 = "ENG7"
    SV1 = "SV1"
    SV2 = "SV2"
    SV3 = "SV3"


class ContentType(StrEnum):
    """Kinds of stored content; ``STUDENT_PROMPT_TEXT`` is the key used in a request's prompt reference."""

    ORIGINAL_ESSAY = "original_essay"
    CORRECTED_TEXT = "corrected_text"
    PROCESSING_LOG = "processing_log"
    NLP_METRICS_JSON = "nlp_metrics_json"
    STUDENT_FACING_AI_FEEDBACK_TEXT = "student_facing_ai_feedback_text"
    AI_EDITOR_REVISION_TEXT = "ai_editor_revision_text"
    AI_DETAILED_ANALYSIS_JSON = "ai_detailed_analysis_json"
    GRAMMAR_ANALYSIS_JSON = "grammar_analysis_json"
    CJ_RESULTS_JSON = "cj_results_json"
    RAW_UPLOAD_BLOB = "raw_upload_blob"
    EXTRACTED_PLAINTEXT = "extracted_plaintext"
    STUDENT_PROMPT_TEXT = "student_prompt_text"


class SystemProcessingMetadata(WireModel):
    """Where a batch stands; the reason of a failure is in ``error_info``."""

    entity_id: str
    entity_type: str
    parent_id: str | None = None
    timestamp: WireDatetime = Field(default_factory=utc_now)
    processing_stage: ProcessingStage | None = None
    started_at: WireDatetime | None = None
    completed_at: WireDatetime | None = None
    event: str | None = None
    error_info: dict[str, Any] = Field(default_factory=dict)


class BaseEventData(WireModel):
    """Fields that every event payload but the LLM callback has."""

    event_name: ProcessingEvent
    entity_id: str | None = None
    entity_type: str | None = None
    parent_id: str | None = None
    timestamp: WireDatetime = Field(default_factory=utc_now)


class ProcessingUpdate(BaseEventData):
    """A change of a batch's status."""

    status: BatchStatus
    system_metadata: SystemProcessingMetadata
