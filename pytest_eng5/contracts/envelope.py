"""The envelope around every event (contract section 1.2).

Reading is two-phase in spirit: the envelope says nothing reliable about its payload (``event_type`` is
not uniform, contract 1.3), so the reader names the model that the *topic* carries.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar
from uuid import UUID, uuid4

from pydantic import Field

from pytest_eng5.contracts.base import WireDatetime, WireModel, utc_now

__all__ = ["EventEnvelope", "TypedEnvelope"]

PayloadT = TypeVar("PayloadT")


class EventEnvelope(WireModel):
    """An event with its payload untyped.

    ``event_id`` and ``event_timestamp`` are made anew by an outbox relay at every delivery: they never
    identify an event, business keys do (contract 1.4).
    """

    event_id: UUID = Field(default_factory=uuid4)
    event_type: str
    event_timestamp: WireDatetime = Field(default_factory=utc_now)
    source_service: str
    schema_version: int = 1
    correlation_id: UUID = Field(default_factory=uuid4)
    data_schema_uri: str | None = None
    data: Any
    metadata: dict[str, Any] | None = None

    def to_wire(self) -> bytes:
        """UTF-8 bytes of one JSON object, as the producers of the pipeline write it."""
        return self.model_dump_json().encode()


class TypedEnvelope(EventEnvelope, Generic[PayloadT]):
    """An envelope whose payload is validated against a model: ``TypedEnvelope[LLMComparisonResultV1]``."""

    data: PayloadT
