"""The faults of one batch: a pure function of the plan and of the events in their order."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from random import Random

from pytest_eng5.contracts import (
    Fault,
    FaultAction,
    FaultCount,
    FaultCounts,
    FaultPlan,
    ProcessingEvent,
)
from pytest_eng5.pipeline.faults import alterations, copies
from pytest_eng5.pipeline.faults.messages import Applied, Effect, Outgoing, Scene

__all__ = ["BatchFaults"]

Act = Callable[[Fault, Outgoing, Scene], Effect | None]

_END = (ProcessingEvent.CJ_ASSESSMENT_COMPLETED, ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED)
_DISPLACED: dict[FaultAction, tuple[ProcessingEvent, ...]] = {
    "early_completion": (ProcessingEvent.CJ_ASSESSMENT_COMPLETED,),
    "fail": _END,
}
"""The true events that an action leaves out, besides those that it hits."""


def _lost(fault: Fault, message: Outgoing, scene: Scene) -> Effect:
    return Effect(None)


_ACTS: dict[FaultAction, Act] = {
    "drop": _lost,
    "duplicate": copies.duplicate,
    "conflict": copies.conflict,
    "delay": alterations.delay,
    "reorder": alterations.reorder,
    "corrupt": alterations.corrupt,
    "truncate": alterations.truncate,
    "remove": alterations.remove,
    "set": alterations.set_field,
    "copy": alterations.copy,
    "swap": alterations.swap,
    "retarget": alterations.retarget,
    "stale": copies.stale,
    "early_completion": copies.early_completion,
    "second_completion": copies.conflict,
    "missing_result": _lost,
    "fail": copies.fail,
    "silence": _lost,
}


@dataclass(slots=True)
class _State:
    """A fault with its counts."""

    number: int
    fault: Fault
    seen: int = 0
    fired: int = 0
    silent: bool = False


@dataclass(slots=True)
class _Held:
    """A record that lets others pass."""

    message: Outgoing
    left: int


class BatchFaults:
    """Applies a plan to the events of a batch.

    Args:
        batch_id: The batch.
        plan: Its faults.
        events: What the service publishes: only faults of these topics act and are counted here.
    """

    def __init__(self, batch_id: str, plan: FaultPlan, events: Collection[ProcessingEvent]) -> None:
        self._scene = Scene(batch_id, plan)
        self._events = frozenset(events)
        self._states = [_State(number, fault) for number, fault in enumerate(plan.faults)]
        self._held: list[_Held] = []

    @property
    def holds(self) -> bool:
        """Whether records wait for others to pass."""
        return bool(self._held)

    def counts(self) -> FaultCounts:
        """How often each fault fired."""
        return FaultCounts(faults=tuple(FaultCount(seen=s.seen, fired=s.fired) for s in self._states))

    def apply(self, event: ProcessingEvent, key: str | None, value: bytes) -> Applied:
        """What is published in place of an event; faults act in the order of the plan."""
        true = Outgoing(event, key, value)
        if event not in self._events:
            return Applied((true,))
        main: Outgoing | None = true
        beside: list[Outgoing] = []
        hit: list[Fault] = []
        for state in self._states:
            if not self._counts(state, true) or main is None or not self._selected(state):
                continue
            scene = replace(self._scene, draw=f"{state.fault.seed}/{state.number}/{state.seen}")
            effect = _ACTS[state.fault.action](state.fault, main, scene)
            if effect is not None:
                state.fired += 1
                hit.append(state.fault)
                main, beside = effect.main, [*beside, *effect.beside]
        if any(event in _DISPLACED.get(state.fault.action, ()) for state in self._states):
            main = None
        return self._in_order(main, beside, hit)

    def flush(self) -> tuple[Outgoing, ...]:
        """Let go of the records that still wait for others to pass."""
        released, self._held = tuple(replace(held.message, behind=0) for held in self._held), []
        return released

    def _in_order(self, main: Outgoing | None, beside: list[Outgoing], hit: list[Fault]) -> Applied:
        messages = [message for message in (main, *beside) if message is not None]
        now = [message for message in messages if not message.behind]
        for held in self._held:
            held.left -= 1
        now += [replace(held.message, behind=0) for held in self._held if held.left <= 0]
        self._held = [held for held in self._held if held.left > 0]
        self._held += [_Held(message, message.behind) for message in messages if message.behind]
        shielded = bool(hit) and not any(fault.reaches_cj for fault in hit)
        return Applied(tuple(now), bool(hit), shielded)

    def _counts(self, state: _State, message: Outgoing) -> bool:
        """Whether the fault is about this event; counts it."""
        fault = state.fault
        if message.event not in fault.events:
            return False
        if fault.outcome is not None and fault.outcome != _outcome(message.value):
            return False
        state.seen += 1
        return True

    def _selected(self, state: _State) -> bool:
        fault, number = state.fault, state.seen
        if fault.action == "silence":
            state.silent = state.silent or self._picks(fault, state.number, number)
            return state.silent
        if fault.action == "early_completion" and fault.nth is None:
            return number == 1
        return self._picks(fault, state.number, number)

    def _picks(self, fault: Fault, place: int, number: int) -> bool:
        if fault.nth is not None:
            return number == fault.nth
        if fault.every is not None:
            return number % fault.every == 0
        if fault.fraction is not None:
            return Random(f"{fault.seed}/{place}/{number}").random() < fault.fraction
        return True


def _outcome(value: bytes) -> str:
    return "failed" if json.loads(value)["data"].get("error_detail") else "succeeded"
