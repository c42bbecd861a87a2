"""What can still be told about a record that could not be decoded or validated."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["salvaged_ids"]


def salvaged_ids(value: bytes | None) -> dict[str, Any]:
    """Ids in a rejected record, as fields of a finding: request id, correlation id, essay ids."""
    data = _payload(value)
    ids: dict[str, Any] = {
        name: data[name] for name in ("request_id", "correlation_id") if _is_text(data.get(name))
    }
    metadata = data.get("request_metadata")
    if isinstance(metadata, dict):
        named = (metadata.get("essay_a_id"), metadata.get("essay_b_id"))
        ids["essay_ids"] = tuple(essay for essay in named if _is_text(essay))
    return ids


def _payload(value: bytes | None) -> dict[str, Any]:
    try:
        envelope = json.loads(value or b"")
    except (ValueError, RecursionError):
        return {}
    data = envelope.get("data") if isinstance(envelope, dict) else None
    return data if isinstance(data, dict) else {}


def _is_text(value: Any) -> bool:
    """A non-empty string that can be written as UTF-8."""
    return isinstance(value, str) and bool(value) and value.isprintable()
