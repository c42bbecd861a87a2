"""The fault plan of a batch: what the reference pipeline is to do wrong, and how often it did.

Only the reference pipeline takes one, on the side channel of the service that publishes the event concerned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias, get_args
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from pytest_eng5.contracts.topics import ProcessingEvent

__all__ = [
    "FAULT_ACTIONS",
    "FAULT_TOPICS",
    "ActionRule",
    "Fault",
    "FaultAction",
    "FaultCount",
    "FaultCounts",
    "FaultPlan",
    "FaultTopic",
    "fault_problems",
]

FaultTopic: TypeAlias = Literal["comparison_result", "completed", "failed", "result"]
FaultAction: TypeAlias = Literal[
    "drop",
    "duplicate",
    "conflict",
    "delay",
    "reorder",
    "corrupt",
    "truncate",
    "remove",
    "set",
    "copy",
    "swap",
    "retarget",
    "stale",
    "early_completion",
    "second_completion",
    "missing_result",
    "fail",
    "silence",
]
CallbackOutcome: TypeAlias = Literal["succeeded", "failed"]

FAULT_TOPICS: Mapping[FaultTopic, ProcessingEvent] = {
    "comparison_result": ProcessingEvent.LLM_COMPARISON_RESULT,
    "completed": ProcessingEvent.CJ_ASSESSMENT_COMPLETED,
    "failed": ProcessingEvent.CJ_ASSESSMENT_FAILED,
    "result": ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED,
}
"""The event that each short name of a topic stands for."""

ESSAY_FIELDS = ("/data/request_metadata/essay_a_id", "/data/request_metadata/essay_b_id")
"""What is swapped where nothing else is named."""

_SELECTORS = ("nth", "every", "fraction")
_PARAMETERS = ("field", "other", "value", "seconds", "by", "times", "keep")


@dataclass(frozen=True, slots=True)
class ActionRule:
    """What an action does and which keys it has.

    Attributes:
        text: What it does, one sentence.
        needs: Keys without which it says nothing.
        takes: Keys that it may have besides.
        topics: Topics it can hit; more than one means that the key ``topic`` is needed, unless ``default``.
        default: The topic that is meant where none is named; empty where that means all topics.
    """

    text: str
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    topics: tuple[FaultTopic, ...] = get_args(FaultTopic)
    default: FaultTopic | Literal[""] | None = None


FAULT_ACTIONS: Mapping[FaultAction, ActionRule] = {
    "drop": ActionRule("The event is not published."),
    "duplicate": ActionRule(
        "The event is published again, in an envelope of its own as a relay does.", (), ("times",)
    ),
    "conflict": ActionRule("A second event with the same ids and another content follows."),
    "delay": ActionRule("The event is published so many seconds later.", ("seconds",)),
    "reorder": ActionRule("The event is published behind the next ones of its service.", (), ("by",)),
    "corrupt": ActionRule("Some bytes of the event are overwritten so that it is no UTF-8."),
    "truncate": ActionRule("The event ends after a share of its bytes.", (), ("keep",)),
    "remove": ActionRule("A field of the event is left out.", ("field",)),
    "set": ActionRule("A field of the event gets another value.", ("field", "value")),
    "copy": ActionRule("A field gets the value of another one.", ("field", "other")),
    "swap": ActionRule(
        "Two fields of the event change places; the essay ids by default.", (), ("field", "other")
    ),
    "retarget": ActionRule("The event names another batch.", (), ("value",)),
    "stale": ActionRule(
        "A copy of the event follows that says it is so many seconds older.", (), ("seconds",)
    ),
    "early_completion": ActionRule(
        "The completion comes together with a callback, and not at the end.",
        topics=("comparison_result",),
        default="comparison_result",
    ),
    "second_completion": ActionRule(
        "The batch is completed a second time, with another content.",
        topics=("completed",),
        default="completed",
    ),
    "missing_result": ActionRule("There is no rich result.", topics=("result",), default="result"),
    "fail": ActionRule(
        "A failed event, and neither completion nor rich result.",
        topics=("completed", "comparison_result"),
        default="completed",
    ),
    "silence": ActionRule(
        "From the event on nothing is published on its topic; without a topic on any.", default=""
    ),
}
"""Every action by name, in the order of the documentation."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Fault(_Strict):
    """One fault: which events it hits, and what happens to them.

    Attributes:
        action: What happens, see `FAULT_ACTIONS`.
        topic: Where; only events of this topic are counted.
        nth: The n-th event of the topic, counted from 1.
        every: Every k-th event. Without ``nth``, ``every`` and ``fraction`` all events are hit.
        fraction: This share of the events, drawn with ``seed``.
        seed: Of everything about the fault that is drawn.
        outcome: Only callbacks with a winner, or only error callbacks, are counted.
        field: JSON pointer from the envelope, as findings show it: ``/data/winner``.
        other: The second field of a swap; the field that is copied.
        value: What is set; the batch id of a retarget.
        seconds: Of a delay; age of a stale copy, by default an hour.
        by: How many events a reordered one lets pass.
        times: Number of duplicates.
        keep: Share of the bytes that a truncated event keeps.
        reaches_cj: Whether the CJ service gets a faulty callback as it stands on the topic. By default it
            works with the true one, so that the batch ends as without the fault.
    """

    action: FaultAction
    topic: FaultTopic | None = None
    nth: int | None = Field(None, ge=1)
    every: int | None = Field(None, ge=1)
    fraction: float | None = Field(None, gt=0, le=1)
    seed: int = Field(0, ge=0)
    outcome: CallbackOutcome | None = None
    field: str | None = Field(None, pattern=r"^(/[^/]+)+$")
    other: str | None = Field(None, pattern=r"^(/[^/]+)+$")
    value: JsonValue = None
    seconds: float | None = Field(None, gt=0)
    by: int | None = Field(None, ge=1)
    times: int | None = Field(None, ge=1, le=1000)
    keep: float | None = Field(None, ge=0, lt=1)
    reaches_cj: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        given = {name: getattr(self, name) for name in self.model_fields_set}
        for key, what, fix in fault_problems(given):
            raise ValueError(f"{key}: {what}; {fix}")
        return self

    @property
    def events(self) -> tuple[ProcessingEvent, ...]:
        """The events that it counts and may hit."""
        name = self.topic or FAULT_ACTIONS[self.action].default
        return (FAULT_TOPICS[name],) if name else tuple(FAULT_TOPICS.values())

    def __str__(self) -> str:
        """``drop of comparison_result, nth 3``."""
        topic = self.topic or FAULT_ACTIONS[self.action].default
        chosen = {key: getattr(self, key) for key in (*_SELECTORS, "outcome", "field")}
        details = [f"{key} {value}" for key, value in chosen.items() if value is not None]
        return ", ".join([f"{self.action} of {topic}" if topic else f"{self.action} of all topics", *details])


def fault_problems(given: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield what is wrong with a fault whose keys are valid one by one, as (key, problem, fix).

    Args:
        given: The keys that are written, ``action`` among them.
    """
    action: FaultAction = given["action"]
    rule, topic = FAULT_ACTIONS[action], given.get("topic")
    for key in rule.needs:
        if key not in given or (key != "value" and given[key] is None):
            yield "action", f"the action {action!r} needs the key {key!r}", f"add '{key}: ...'"
    for key in _PARAMETERS:
        if given.get(key) is not None and key not in (*rule.needs, *rule.takes):
            yield key, f"the action {action!r} has no key {key!r}", "remove it"
    if topic is None and rule.default is None:
        yield "action", f"the action {action!r} needs the key 'topic'", f"one of {', '.join(rule.topics)}"
    elif topic is not None and topic not in rule.topics:
        yield "topic", f"the action {action!r} hits only {', '.join(rule.topics)}", "change or remove it"
    yield from _selector_problems(given)
    named = [given.get(key) is not None for key in ("field", "other")]
    if action == "swap" and (any(named) or topic != "comparison_result") and not all(named):
        yield "action", "the action 'swap' needs both 'field' and 'other'", "add what is missing"


def _selector_problems(given: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    used = [key for key in _SELECTORS if given.get(key) is not None]
    for key in used[1:]:
        yield key, f"{used[0]!r} and {key!r} exclude each other", "remove one of them"
    topic = given.get("topic") or FAULT_ACTIONS[given["action"]].default
    if not topic:
        for key in used:
            yield key, f"{key!r} counts the events of a topic", "add 'topic: ...'"
    for key in ("outcome", "reaches_cj"):
        if given.get(key) and topic != "comparison_result":
            yield key, f"{key!r} belongs to the topic comparison_result", "remove it"


class FaultPlan(_Strict):
    """What a service is told about one batch: its faults, and the facts that made-up events need."""

    faults: tuple[Fault, ...] = Field(min_length=1)
    correlation_id: UUID
    essay_ids: tuple[str, ...] = ()


class FaultCount(_Strict):
    """How many events a fault counted, and how many it hit."""

    seen: int = 0
    fired: int = 0


class FaultCounts(_Strict):
    """The counts of a plan, fault by fault, of the topics that the answering service publishes."""

    faults: tuple[FaultCount, ...]
