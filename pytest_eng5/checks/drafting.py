"""Making findings: code, severity and check from the registry, the place from the event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from pytest_eng5.checks.registry import CODES
from pytest_eng5.checks.wording import brief
from pytest_eng5.contracts import LLMComparisonResultV1
from pytest_eng5.evidence import CapturedEvent, Finding, Severity

__all__ = ["Observation", "about", "essay_ids", "finding", "tallied"]

_LONGEST = 1_000

Observation = tuple[str, CapturedEvent, str]
"""What is wrong, where, and with which field."""


def finding(code: str, message: str, *, hint: str, severity: Severity | None = None, **place: Any) -> Finding:
    """A finding of a registered code; ``place`` takes the remaining fields of :class:`Finding`.

    Foreign values in the message (ids, models, keys) may hold anything: it stays on one line, without
    characters that a terminal obeys.
    """
    info, message = CODES[code], brief(message, _LONGEST)
    return Finding(
        code=code, severity=severity or info.severity, message=message, check=info.check, hint=hint, **place
    )


def essay_ids(callback: LLMComparisonResultV1) -> tuple[str, ...]:
    """The essays that a callback names, as far as it does."""
    metadata = callback.request_metadata
    first, second = metadata.get("essay_a_id"), metadata.get("essay_b_id")
    if type(first) is str and type(second) is str and first and second:
        return first, second
    named = (callback.metadata_text("essay_a_id"), callback.metadata_text("essay_b_id"))
    return tuple(essay for essay in named if essay is not None)


def _place(event: CapturedEvent) -> dict[str, Any]:
    place: dict[str, Any] = {"position": event.record.position, "evidence": event.evidence}
    if isinstance(event.payload, LLMComparisonResultV1):
        callback = event.payload
        ids = {"request_id": callback.request_id, "correlation_id": str(callback.correlation_id)}
        return place | ids | {"essay_ids": essay_ids(callback)}
    return place | {"correlation_id": str(event.envelope.correlation_id)}


def about(event: CapturedEvent, code: str, message: str, *, hint: str, **more: Any) -> Finding:
    """A finding about one event; ``more`` overrides its place."""
    return finding(code, message, hint=hint, **(_place(event) | more))


def tallied(code: str, seen: Iterable[Observation], callbacks: Sequence[object], hint: str) -> list[Finding]:
    """One finding per observation; each says in how many of all callbacks the same was observed."""
    observations = list(seen)
    counts = Counter(what for what, _, _ in observations)
    return [
        about(event, code, f"{what} in {counts[what]} of {len(callbacks)} callbacks", hint=hint, field=field)
        for what, event, field in observations
    ]
