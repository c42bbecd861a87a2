"""Rules about the merged settings of a variant that concern more than one key."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_eng5.scenario.errors import Location, Problem
from pytest_eng5.scenario.faults import fault_rule_problems
from pytest_eng5.scenario.nodes import MappingNode, Node, Scalar, find

__all__ = ["rule_problems"]

_EXECUTE_ONLY = ("assignment_id", "course_id", "expected_grade_scale")
_JUDGING = ("execute", "anchor-align-test")


def rule_problems(settings: MappingNode, mode: str, file_start: Location) -> Iterator[Problem]:
    """Yield what is wrong with the merged ``settings`` of one variant, whose keys are valid one by one."""
    if settings.get("inputs") is None:
        entry = settings.entries.get("inputs")
        yield Problem(
            entry.location if entry else file_start,
            "the key 'inputs' is missing",
            "write 'inputs: folder', here or in each variant",
        )
    yield from _mode_problems(settings, mode)
    if mode not in _JUDGING:
        yield from _judging_problems(settings, mode)
    yield from _threshold_problems(settings)
    yield from fault_rule_problems(settings)


def _mode_problems(settings: MappingNode, mode: str) -> Iterator[Problem]:
    if mode == "execute":
        yield from _execute_problems(settings)
        return
    for key in _EXECUTE_ONLY:
        if settings.get(key) is not None:
            message = f"{key!r} belongs to mode execute, but the mode is {mode}"
            yield Problem(settings.location_of(key), message, "remove it")


def _execute_problems(settings: MappingNode) -> Iterator[Problem]:
    """Yield what does not go together in mode ``execute``, with an assignment and without."""
    if settings.get("assignment_id") is not None:
        if settings.get("course_id") is None:
            message = "an assignment needs the key 'course_id'"
            yield Problem(settings.location_of("assignment_id"), message, "add 'course_id: ...'")
        return
    fix = "add 'assignment_id: ...', or remove it"
    if settings.get("expected_grade_scale") is not None:
        message = "'expected_grade_scale' is that of an assignment, and there is none"
        yield Problem(settings.location_of("expected_grade_scale"), message, fix)
    thresholds = settings.get("thresholds")
    for metric, entry in thresholds if isinstance(thresholds, MappingNode) else ():
        if not (isinstance(entry.node, Scalar) and entry.node.value is None):
            message = f"without an assignment there are no anchors to judge {metric!r} by"
            yield Problem(entry.location, message, fix)


def _judging_problems(settings: MappingNode, mode: str) -> Iterator[Problem]:
    """Yield what is of no use in a mode that compares nothing: gates and findings that cannot come about."""
    thresholds = settings.get("thresholds")
    for metric, entry in thresholds if isinstance(thresholds, MappingNode) else ():
        if not (isinstance(entry.node, Scalar) and entry.node.value is None):
            message = f"mode {mode} compares nothing, so the threshold {metric!r} would never be judged"
            yield Problem(entry.location, message, f"remove it, or use mode: {_JUDGING[-1]}")
    if settings.get("expect") is not None:
        message = f"mode {mode} publishes nothing, so no findings can be expected"
        yield Problem(settings.location_of("expect"), message, "remove the key 'expect'")
    if settings.get("faults") is not None:
        message = f"mode {mode} publishes nothing, so no fault would ever be planted"
        yield Problem(settings.location_of("faults"), message, "remove the key 'faults'")
    repeats = settings.get("repeats")
    if isinstance(repeats, Scalar) and repeats.value != 1:
        message = f"mode {mode} gives the same again, so it cannot be repeated"
        yield Problem(settings.location_of("repeats"), message, "remove the key 'repeats'")


def _threshold_problems(settings: MappingNode) -> Iterator[Problem]:
    thresholds = settings.get("thresholds")
    for metric, entry in thresholds if isinstance(thresholds, MappingNode) else ():
        if not isinstance(entry.node, MappingNode):
            continue
        low, high = find(entry.node, "min"), find(entry.node, "max")
        if low is None and high is None:
            message = f"the threshold {metric!r} has neither min nor max"
            yield Problem(
                entry.location, message, f"write {metric}: {{min: ...}}, or {metric}: null to remove it"
            )
        elif _above(low, high):
            message = f"no value passes the threshold {metric!r}: min is above max"
            set_by_option = [node.location for node in (low, high) if node and node.location.option]
            yield Problem((*set_by_option, entry.location)[0], message, "lower min or raise max")
        undecided = find(entry.node, "undecided")
        if undecided is not None and find(entry.node, "confidence") is None:
            message = f"{metric!r} can never be undecided: without confidence its value is judged"
            yield Problem(undecided.location, message, "add confidence: 0.95, or remove undecided")


def _above(low: Node | None, high: Node | None) -> bool:
    values = [node.value for node in (low, high) if isinstance(node, Scalar)]
    numbers = [value for value in values if isinstance(value, int | float)]
    return len(numbers) == 2 and numbers[0] > numbers[1]
