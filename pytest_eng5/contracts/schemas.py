"""JSON Schemas (draft 2020-12) of everything that crosses the wire."""

from __future__ import annotations

from typing import Any

from pytest_eng5.contracts.decode import PAYLOADS
from pytest_eng5.contracts.envelope import TypedEnvelope

__all__ = ["event_schemas"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def event_schemas() -> dict[str, dict[str, Any]]:
    """Schema of the envelope with its payload for each event, by event name (``data.event_name``)."""
    schemas: dict[str, dict[str, Any]] = {}
    for event in PAYLOADS:
        payload: Any = PAYLOADS[event]
        envelope = TypedEnvelope[payload]
        body = envelope.model_json_schema(mode="validation")
        schemas[event.value] = {"$schema": _DIALECT, **body, "title": f"Event {event.value}"}
    return schemas
