"""Everything that crosses the wire: payloads, envelope, topics, hashes, grade scales and ids.

The only room that the harness and the pipeline under test share.
"""

from __future__ import annotations

from pytest_eng5.contracts.base import (
    BaseEventData,
    BatchStatus,
    ContentType,
    CourseCode,
    ProcessingStage,
    ProcessingUpdate,
    SystemProcessingMetadata,
    WireDatetime,
    WireModel,
    utc_now,
)
from pytest_eng5.contracts.comparisons import (
    ErrorDetail,
    LLMComparisonResultV1,
    Provider,
    TokenUsage,
    Winner,
    wire_confidence,
)
from pytest_eng5.contracts.decode import PAYLOADS, compact, decode_event, json_pointer, validation_reasons
from pytest_eng5.contracts.envelope import EventEnvelope, TypedEnvelope
from pytest_eng5.contracts.grades import (
    GRADE_ORDER,
    GRADE_SCALES,
    GradeScale,
    grade_rank,
    known_grades,
    scale_of,
)
from pytest_eng5.contracts.hashing import JSON_SUFFIX, PROMPT_HASH, hashed_text, prompt_sha256, text_sha256
from pytest_eng5.contracts.ids import (
    ANCHOR_PREFIX,
    ESSAY_ID_LIMIT,
    PLAIN_PREFIX,
    STUDENT_PREFIX,
    generate_essay_id,
    grade_from_stem,
    make_anchor_key,
    sanitize_identifier,
    wire_essay_id,
)
from pytest_eng5.contracts.prices import FLAT_RATES, LIST_PRICES, ModelPrice, flat_cost, list_price
from pytest_eng5.contracts.provider import (
    LLMComparisonRequest,
    LLMProviderFailureV1,
    LLMQueuedResponse,
    LLMRequestCompletedV1,
    LLMRequestStartedV1,
    PromptBlock,
    ProviderOverrides,
)
from pytest_eng5.contracts.requests import (
    ELS_CJAssessmentRequestV1,
    EssayProcessingInputRefV1,
    LLMConfigOverrides,
    SpellcheckMetrics,
    StorageReferenceMetadata,
    StoredContent,
)
from pytest_eng5.contracts.results import (
    AssessmentResultV1,
    CJAssessmentCompletedV1,
    CJAssessmentFailedV1,
    EssayResultV1,
    ResourceConsumptionV1,
)
from pytest_eng5.contracts.schemas import event_schemas
from pytest_eng5.contracts.topics import (
    CAPTURED_EVENTS,
    CJ_CONSUMER_GROUP,
    PIPELINE_EVENTS,
    ProcessingEvent,
    topic_name,
    topic_names,
)

__all__ = [
    "ANCHOR_PREFIX",
    "CAPTURED_EVENTS",
    "CJ_CONSUMER_GROUP",
    "ESSAY_ID_LIMIT",
    "FLAT_RATES",
    "GRADE_ORDER",
    "GRADE_SCALES",
    "JSON_SUFFIX",
    "LIST_PRICES",
    "PAYLOADS",
    "PIPELINE_EVENTS",
    "PLAIN_PREFIX",
    "PROMPT_HASH",
    "STUDENT_PREFIX",
    "AssessmentResultV1",
    "BaseEventData",
    "BatchStatus",
    "CJAssessmentCompletedV1",
    "CJAssessmentFailedV1",
    "ContentType",
    "CourseCode",
    "ELS_CJAssessmentRequestV1",
    "ErrorDetail",
    "EssayProcessingInputRefV1",
    "EssayResultV1",
    "EventEnvelope",
    "GradeScale",
    "LLMComparisonRequest",
    "LLMComparisonResultV1",
    "LLMConfigOverrides",
    "LLMProviderFailureV1",
    "LLMQueuedResponse",
    "LLMRequestCompletedV1",
    "LLMRequestStartedV1",
    "ModelPrice",
    "ProcessingEvent",
    "ProcessingStage",
    "ProcessingUpdate",
    "PromptBlock",
    "Provider",
    "ProviderOverrides",
    "ResourceConsumptionV1",
    "SpellcheckMetrics",
    "StorageReferenceMetadata",
    "StoredContent",
    "SystemProcessingMetadata",
    "TokenUsage",
    "TypedEnvelope",
    "Winner",
    "WireDatetime",
    "WireModel",
    "compact",
    "decode_event",
    "event_schemas",
    "flat_cost",
    "generate_essay_id",
    "grade_from_stem",
    "grade_rank",
    "hashed_text",
    "json_pointer",
    "known_grades",
    "list_price",
    "make_anchor_key",
    "prompt_sha256",
    "sanitize_identifier",
    "scale_of",
    "text_sha256",
    "topic_name",
    "topic_names",
    "utc_now",
    "validation_reasons",
    "wire_confidence",
    "wire_essay_id",
]
