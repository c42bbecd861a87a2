"""The request that starts a comparative-judgement run (contract section 2.2)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from pytest_eng5.contracts.base import BaseEventData, CourseCode, SystemProcessingMetadata, WireModel
from pytest_eng5.contracts.topics import ProcessingEvent

__all__ = [
    "ELS_CJAssessmentRequestV1",
    "EssayProcessingInputRefV1",
    "LLMConfigOverrides",
    "SpellcheckMetrics",
    "StorageReferenceMetadata",
    "StoredContent",
]


class SpellcheckMetrics(WireModel):
    """Counts of a spell checker; ``correction_density`` is corrections per 100 words."""

    total_corrections: int = 0
    l2_dictionary_corrections: int = 0
    spellchecker_corrections: int = 0
    word_count: int = 0
    correction_density: float = 0.0


class EssayProcessingInputRefV1(WireModel):
    """One essay of a request: its id on the wire (at most 36 characters) and where its text is stored."""

    essay_id: str
    text_storage_id: str
    spellcheck_metrics: SpellcheckMetrics | None = None


class StoredContent(WireModel):
    """Where one content lies: storage id of the content service, and a path for humans."""

    storage_id: str
    path: str = ""


class StorageReferenceMetadata(WireModel):
    """Stored contents by content type; a request uses the key ``student_prompt_text``."""

    references: dict[str, StoredContent] = Field(default_factory=dict)


class LLMConfigOverrides(WireModel):
    """What a run asks of the judge; every field is optional and ``None`` means the service default.

    ``temperature_override`` 0.0 is a value, not an absence.
    """

    model_override: str | None = None
    temperature_override: float | None = Field(default=None, ge=0, le=2)
    max_tokens_override: int | None = Field(default=None, gt=0)
    provider_override: str | None = None
    system_prompt_override: str | None = None
    judge_rubric_override: str | None = None
    reasoning_effort: str | None = None
    output_verbosity: str | None = None


class ELS_CJAssessmentRequestV1(BaseEventData):  # noqa: N801 - the wire's own name
    """Asks the CJ service to compare essays; ``entity_id`` becomes the batch id of everything that follows.

    ``assignment_id`` ``None`` is the GUEST flow: no anchors, no projection (contract 7.8).
    """

    event_name: ProcessingEvent = ProcessingEvent.ELS_CJ_ASSESSMENT_REQUESTED
    system_metadata: SystemProcessingMetadata
    essays_for_cj: list[EssayProcessingInputRefV1]
    language: str
    course_code: CourseCode
    student_prompt_ref: StorageReferenceMetadata | None = None
    llm_config_overrides: LLMConfigOverrides | None = None
    assignment_id: str | None = Field(default=None, max_length=100)
    user_id: str
    org_id: str | None = None

    def overrides(self) -> dict[str, Any]:
        """The overrides that are set, by field name."""
        if self.llm_config_overrides is None:
            return {}
        return self.llm_config_overrides.model_dump(exclude_none=True)
