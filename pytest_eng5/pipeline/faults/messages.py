"""Events on their way out, and editing them as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from pytest_eng5.contracts import FaultPlan, ProcessingEvent, utc_now

__all__ = [
    "ABSENT",
    "Applied",
    "Effect",
    "Outgoing",
    "Scene",
    "content",
    "find",
    "put",
    "relayed",
    "take_out",
]

ABSENT = object()
"""What `find` returns where there is no such field."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One record that is to be published.

    Attributes:
        seconds: How much later than now.
        behind: How many further events of the batch come first.
        age: By how many seconds the record's own timestamp lies in the past.
    """

    event: ProcessingEvent
    key: str | None
    value: bytes
    seconds: float = 0.0
    behind: int = 0
    age: float = 0.0


@dataclass(frozen=True, slots=True)
class Effect:
    """What a fault makes of an event: the event itself, ``None`` if it is lost, and what comes besides."""

    main: Outgoing | None
    beside: tuple[Outgoing, ...] = ()


@dataclass(frozen=True, slots=True)
class Applied:
    """What is published in place of an event.

    Attributes:
        messages: In order; empty if the event is lost.
        hit: Whether a fault hit the event at all.
        shielded: Whether the CJ service is to work with the true event all the same.
    """

    messages: tuple[Outgoing, ...]
    hit: bool = False
    shielded: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a fault acts: the batch, the plan's facts about it, and the seed of what is drawn."""

    batch_id: str
    plan: FaultPlan
    draw: str = ""


def content(message: Outgoing) -> dict[str, Any] | None:
    """The event as an object; ``None`` if an earlier fault left nothing that can be read."""
    try:
        found = json.loads(message.value)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def rewritten(message: Outgoing, value: dict[str, Any]) -> Outgoing:
    """The same record with another event in it."""
    return replace(message, value=json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def relayed(message: Outgoing, value: dict[str, Any], identity: UUID) -> Outgoing:
    """The event in an envelope that a relay made anew (contract 1.4)."""
    now = utc_now().isoformat().replace("+00:00", "Z")
    return rewritten(message, value | {"event_id": str(identity), "event_timestamp": now})


def find(value: Any, pointer: str) -> Any:
    """The value at a JSON pointer, `ABSENT` if there is none."""
    found = value
    for step in _steps(pointer):
        if isinstance(found, dict) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isdigit() and int(step) < len(found):
            found = found[int(step)]
        else:
            return ABSENT
    return found


def put(value: Any, pointer: str, new: Any) -> bool:
    """Set a field, in place; false if the object that should hold it is not there."""
    *parents, last = _steps(pointer)
    holder = find(value, "".join(f"/{_escaped(step)}" for step in parents)) if parents else value
    if isinstance(holder, dict):
        holder[last] = new
        return True
    if isinstance(holder, list) and last.isdigit() and int(last) < len(holder):
        holder[int(last)] = new
        return True
    return False


def take_out(value: Any, pointer: str) -> bool:
    """Remove a field, in place; false if it is not there."""
    *parents, last = _steps(pointer)
    holder = find(value, "".join(f"/{_escaped(step)}" for step in parents)) if parents else value
    if isinstance(holder, dict) and last in holder:
        del holder[last]
        return True
    if isinstance(holder, list) and last.isdigit() and int(last) < len(holder):
        del holder[int(last)]
        return True
    return False


def _steps(pointer: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")
