"""The key ``faults``: what the reference pipeline is to do wrong in the runs of a variant."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from pytest_eng5.contracts import Fault, FaultAction, FaultTopic, fault_problems
from pytest_eng5.scenario.errors import Location, Problem
from pytest_eng5.scenario.fields import (
    AS_TEXT,
    Flag,
    NotNegative,
    Number,
    PointerText,
    Positive,
    Seconds,
    Share,
)
from pytest_eng5.scenario.nodes import MappingNode, Node, Scalar, SequenceNode

__all__ = ["FaultKeys", "PlannedFault", "fault_rule_problems", "planned_faults"]

_Action = Annotated[FaultAction, AS_TEXT]
_Topic = Annotated[FaultTopic, AS_TEXT]
_CallbackOutcome: TypeAlias = Annotated[Literal["succeeded", "failed"], AS_TEXT]


class FaultKeys(BaseModel):
    """One fault: which events of which topic it hits, and what happens to them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: _Action = Field(description="What happens to the event.", examples=["drop", "set"])
    topic: _Topic | None = Field(
        None,
        description="Whose events are counted; some actions have a default.",
        examples=["result"],
    )
    nth: Positive | None = Field(None, description="Only the n-th event, counted from 1.", examples=[3])
    every: Positive | None = Field(None, description="Every k-th event.", examples=[10])
    fraction: Share | None = Field(None, description="This share of the events, drawn.", examples=[0.1])
    seed: NotNegative | None = Field(None, description="Seed of what is drawn; default 0.", examples=[7])
    outcome: _CallbackOutcome | None = Field(
        None, description="Count only callbacks with a winner, or only error callbacks.", examples=["failed"]
    )
    field: PointerText | None = Field(
        None,
        description="JSON pointer to the field, from the envelope on, as findings show it.",
        examples=["/data/request_metadata/prompt_sha256"],
    )
    other: PointerText | None = Field(
        None,
        description="JSON pointer to the second field of a swap, or to the one that is copied.",
        examples=["/data/model"],
    )
    value: Any = Field(None, description="Value to set; the batch id of a retarget.", examples=["Essay A"])
    seconds: Seconds | None = Field(
        None, description="Length of a delay, or age of a stale copy (default an hour).", examples=[2]
    )
    by: Positive | None = Field(
        None, description="How many events a reordered one lets pass; default 1.", examples=[3]
    )
    times: Positive | None = Field(None, description="Number of duplicates; default 1.", examples=[2])
    keep: Number | None = Field(
        None, description="Share of the bytes that is left of a truncated event; default 0.9.", examples=[0.5]
    )
    reaches_cj: Flag | None = Field(
        None,
        description="Whether the CJ service gets the faulty callback; by default it works with the true one.",
    )


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """A fault and its place in the file."""

    fault: Fault
    location: Location


def planned_faults(settings: MappingNode) -> tuple[PlannedFault, ...]:
    """The faults of valid, merged settings, in the order of the file."""
    return tuple(PlannedFault(Fault.model_validate(_given(node)), node.location) for node in _nodes(settings))


def fault_rule_problems(settings: MappingNode) -> Iterator[Problem]:
    """Yield what is wrong with faults whose keys are valid one by one."""
    for node in _nodes(settings):
        given = _given(node)
        for key, what, fix in fault_problems(given):
            yield Problem(node.location_of(key), what, fix)
        if "keep" in given and not 0 <= given["keep"] < 1:
            yield Problem(node.location_of("keep"), "keep is a share from 0 to below 1", "write 0.5")
        if given.get("fraction") == 0:
            yield Problem(node.location_of("fraction"), "a fraction of 0 never hits an event", "raise it")
        if given["action"] == "retarget" and not isinstance(given.get("value", ""), str):
            yield Problem(node.location_of("value"), "a batch id is a text", "put it in quotes")
        if not _finite(given.get("value")):
            yield Problem(node.location_of("value"), "JSON knows neither .nan nor .inf", "set another value")


def _nodes(settings: MappingNode) -> list[MappingNode]:
    faults = settings.get("faults")
    items = faults.items if isinstance(faults, SequenceNode) else ()
    return [item for item in items if isinstance(item, MappingNode)]


def _given(node: MappingNode) -> dict[str, Any]:
    """The keys that say something; null is as if it were not written, but for the value to set."""
    values = {key: _value(entry.node) for key, entry in node}
    return {key: value for key, value in values.items() if value is not None or key == "value"}


def _value(node: Node) -> Any:
    if isinstance(node, MappingNode):
        return {key: _value(entry.node) for key, entry in node}
    if isinstance(node, SequenceNode):
        return [_value(item) for item in node.items]
    assert isinstance(node, Scalar)
    return node.value


def _finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    if isinstance(value, list):
        return all(map(_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
