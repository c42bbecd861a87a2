"""From the bytes of a Kafka record to a validated payload, chosen by the topic's event."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pytest_eng5.contracts.base import WireModel
from pytest_eng5.contracts.comparisons import LLMComparisonResultV1
from pytest_eng5.contracts.envelope import EventEnvelope, TypedEnvelope
from pytest_eng5.contracts.provider import LLMProviderFailureV1, LLMRequestCompletedV1, LLMRequestStartedV1
from pytest_eng5.contracts.requests import ELS_CJAssessmentRequestV1
from pytest_eng5.contracts.results import (
    AssessmentResultV1,
    CJAssessmentCompletedV1,
    CJAssessmentFailedV1,
    ResourceConsumptionV1,
)
from pytest_eng5.contracts.topics import ProcessingEvent

__all__ = ["PAYLOADS", "decode_event", "json_pointer", "validation_reasons"]

PAYLOADS: dict[ProcessingEvent, type[WireModel]] = {
    ProcessingEvent.ELS_CJ_ASSESSMENT_REQUESTED: ELS_CJAssessmentRequestV1,
    ProcessingEvent.LLM_COMPARISON_RESULT: LLMComparisonResultV1,
    ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED: AssessmentResultV1,
    ProcessingEvent.CJ_ASSESSMENT_COMPLETED: CJAssessmentCompletedV1,
    ProcessingEvent.CJ_ASSESSMENT_FAILED: CJAssessmentFailedV1,
    ProcessingEvent.RESOURCE_CONSUMPTION_REPORTED: ResourceConsumptionV1,
    ProcessingEvent.LLM_REQUEST_STARTED: LLMRequestStartedV1,
    ProcessingEvent.LLM_REQUEST_COMPLETED: LLMRequestCompletedV1,
    ProcessingEvent.LLM_PROVIDER_FAILURE: LLMProviderFailureV1,
}
"""The model that each topic carries."""


@cache
def _adapter(event: ProcessingEvent) -> TypeAdapter[Any]:
    payload: Any = PAYLOADS[event]
    return TypeAdapter(TypedEnvelope[payload])


def decode_event(event: ProcessingEvent, value: bytes | str) -> EventEnvelope:
    """Parse and validate one record's value; ``envelope.data`` is an instance of ``PAYLOADS[event]``.

    Raises:
        pydantic.ValidationError: The bytes are no JSON, no envelope, or the payload breaks its model;
            :func:`validation_reasons` puts it in words.
    """
    envelope: EventEnvelope = _adapter(event).validate_json(value)
    return envelope


def json_pointer(path: tuple[int | str, ...]) -> str:
    """A location as an RFC 6901 JSON pointer."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def validation_reasons(error: ValidationError) -> list[tuple[str, str]]:
    """Each problem of a failed validation as (JSON pointer, message), without echoing input values."""
    return [
        (json_pointer(item["loc"]), item["msg"])
        for item in error.errors(include_url=False, include_input=False, include_context=False)
    ]
