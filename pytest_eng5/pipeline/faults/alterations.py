"""Faults that alter an event: its bytes, its fields, the moment and the order of its publication.

Each function returns ``None`` where there is nothing that it could alter, so that it does not count as fired.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from uuid import UUID

from pytest_eng5.contracts import Fault, ProcessingEvent
from pytest_eng5.contracts.faults import ESSAY_FIELDS
from pytest_eng5.pipeline.faults.messages import (
    ABSENT,
    Effect,
    Outgoing,
    Scene,
    content,
    find,
    put,
    rewritten,
    take_out,
)

__all__ = ["copy", "corrupt", "delay", "remove", "reorder", "retarget", "set_field", "swap", "truncate"]

_GARBAGE = b"\xff\xfe\xfd"  # bytes that no UTF-8 text holds
_BATCH_FIELDS: dict[ProcessingEvent, tuple[str, ...]] = {
    ProcessingEvent.LLM_COMPARISON_RESULT: ("/data/request_metadata/bos_batch_id",),
    ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED: ("/data/batch_id", "/data/entity_id"),
    ProcessingEvent.CJ_ASSESSMENT_COMPLETED: ("/data/entity_id", "/data/system_metadata/entity_id"),
    ProcessingEvent.CJ_ASSESSMENT_FAILED: ("/data/entity_id", "/data/system_metadata/entity_id"),
}


def delay(fault: Fault, message: Outgoing, scene: Scene) -> Effect:
    """The event comes later."""
    return Effect(replace(message, seconds=message.seconds + (fault.seconds or 0.0)))


def reorder(fault: Fault, message: Outgoing, scene: Scene) -> Effect:
    """The event comes behind the next ones."""
    return Effect(replace(message, behind=fault.by or 1))


def corrupt(fault: Fault, message: Outgoing, scene: Scene) -> Effect | None:
    """Bytes somewhere in the middle are overwritten; ids before and after them stay readable."""
    size = len(message.value)
    if size < 2 * len(_GARBAGE):
        return None
    start = Random(scene.draw).randrange(size // 2, size - len(_GARBAGE))
    value = message.value[:start] + _GARBAGE + message.value[start + len(_GARBAGE) :]
    return Effect(replace(message, value=value))


def truncate(fault: Fault, message: Outgoing, scene: Scene) -> Effect:
    """Only the first part of the event is published."""
    share = 0.9 if fault.keep is None else fault.keep
    return Effect(replace(message, value=message.value[: int(len(message.value) * share)]))


def remove(fault: Fault, message: Outgoing, scene: Scene) -> Effect | None:
    """A field is left out."""
    value = content(message)
    if value is None or fault.field is None or not take_out(value, fault.field):
        return None
    return Effect(rewritten(message, value))


def set_field(fault: Fault, message: Outgoing, scene: Scene) -> Effect | None:
    """A field gets another value; nothing happens where it has that value already."""
    value = content(message)
    if value is None or fault.field is None or find(value, fault.field) == fault.value:
        return None
    return Effect(rewritten(message, value)) if put(value, fault.field, fault.value) else None


def copy(fault: Fault, message: Outgoing, scene: Scene) -> Effect | None:
    """A field gets the value of another one."""
    value = content(message)
    if value is None or fault.field is None or fault.other is None:
        return None
    source = find(value, fault.other)
    if source is ABSENT or find(value, fault.field) == source or not put(value, fault.field, source):
        return None
    return Effect(rewritten(message, value))


def swap(fault: Fault, message: Outgoing, scene: Scene) -> Effect | None:
    """Two fields change places."""
    first, second = (fault.field, fault.other) if fault.field and fault.other else ESSAY_FIELDS
    value = content(message)
    left, right = find(value, first), find(value, second)
    if value is None or ABSENT in (left, right) or left == right:
        return None
    put(value, first, right)
    put(value, second, left)
    return Effect(rewritten(message, value))


def retarget(fault: Fault, message: Outgoing, scene: Scene) -> Effect | None:
    """Every field that names the batch, and the record's key, name another one."""
    value = content(message)
    other = fault.value if isinstance(fault.value, str) else other_id(scene)
    if value is None or not _named(value, _BATCH_FIELDS[message.event]):
        return None
    for pointer in _named(value, _BATCH_FIELDS[message.event]):
        put(value, pointer, other)
    moved = rewritten(message, value)
    return Effect(replace(moved, key=other) if moved.key == scene.batch_id else moved)


def _named(value: object, pointers: Sequence[str]) -> list[str]:
    return [pointer for pointer in pointers if find(value, pointer) is not ABSENT]


def other_id(scene: Scene) -> str:
    """An id that nobody else has, the same in every repetition of the same run."""
    return str(UUID(int=Random(f"{scene.batch_id}/{scene.draw}").getrandbits(128), version=4))
