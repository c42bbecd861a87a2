"""From the bytes of a Kafka record to a validated payload, chosen by the topic's event."""

from __future__ import annotations

from functools import cache
from sys import intern
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

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

__all__ = ["PAYLOADS", "compact", "decode_event", "json_pointer", "validation_reasons"]

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


_FIELDS_SET: dict[frozenset[str], set[str]] = {}
_LATEST: dict[type[BaseModel], set[str]] = {}
"""Which fields the last event of each kind had set: nearly always the next one has the same."""

_UNIQUE = frozenset({"prompt_sha256", "prompt_storage_id"})
"""Texts that are another in every callback."""


def compact(envelope: EventEnvelope) -> EventEnvelope:
    """The same event in less memory; equal things are kept once for all events.

    Those are which fields were set, for which every model has a set of its own that takes more room than the
    values of a callback, and the texts of ``request_metadata``.
    """
    models = [envelope, envelope.data, getattr(envelope.data, "token_usage", None)]
    for model in models:
        if isinstance(model, BaseModel):
            own, kind = model.model_fields_set, type(model)
            shared = _LATEST.get(kind)
            if shared != own:
                shared = _LATEST[kind] = _FIELDS_SET.setdefault(frozenset(own), own)
            object.__setattr__(model, "__pydantic_fields_set__", shared)
    metadata = getattr(envelope.data, "request_metadata", {})
    for key, value in metadata.items():
        if type(value) is str and key not in _UNIQUE:
            metadata[key] = intern(value)
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
