"""The snapshot of mode ``plan`` in words, for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pytest_eng5.evidence import InventoryFile, InventorySnapshot, PlannedMode, PlannedThreshold, Remark
from pytest_eng5.reports.figures import number

__all__ = ["inventory_text"]

_DIGITS = 12
_ROLES = {
    "anchor": "anchors",
    "student": "students",
    "anchor_table": "table of anchors",
    "instructions": "instructions",
    "student_prompt": "student prompt",
    "system_prompt": "system prompt",
    "rubric": "rubric",
}
_WANTED = ("anchor", "student", "instructions", "student_prompt")
_JUDGE = (
    *("provider", "model", "temperature", "max_tokens", "reasoning_effort", "output_verbosity"),
    "mock",
)


def inventory_text(snapshot: InventorySnapshot) -> list[str]:
    """Lines without colour; the first one has the verdict, the rest says what it rests on."""
    state = "can be run" if snapshot.valid else "cannot be run"
    mode = f" as {snapshot.planned_mode}" if snapshot.planned_mode else ""
    title = f"plan of {snapshot.scenario} / {snapshot.variant}{mode}: {state}"
    sections = [
        _remarks("to be mended", snapshot.obstacles),
        list(_files(snapshot)),
        _remarks("passed over", snapshot.notices),
        list(_modes(snapshot.modes, bool(snapshot.problems))),
        list(_judging(snapshot)),
    ]
    lines = [title]
    for section in filter(None, sections):
        lines += ["", *section]
    return ["".join(char if char.isprintable() else "?" for char in line).rstrip() for line in lines]


def _remarks(title: str, remarks: Sequence[Remark]) -> list[str]:
    return [f"{title}:", *(f"  {line}" for line in _lines(remarks))] if remarks else []


def _lines(remarks: Iterable[Remark]) -> Iterator[str]:
    for remark in remarks:
        yield f"{remark.where}: {remark.message}" if remark.where else remark.message
        if remark.fix:
            yield f"  fix: {remark.fix}"


def _files(snapshot: InventorySnapshot) -> Iterator[str]:
    """One line per file: id, grade, size, start of its SHA-256, path."""
    yield f"inputs: {snapshot.inputs}"
    widths = [max(map(len, column)) for column in zip(*map(_cells, snapshot.files), strict=True)]
    for role, title in _ROLES.items():
        chosen = [file for file in snapshot.files if file.role == role]
        if chosen:
            yield f"  {title}: {len(chosen)}" if role in ("anchor", "student") else f"  {title}"
        elif role in _WANTED:
            yield f"  {title}: none"
        for file in chosen:
            id_, grade, size = _cells(file)
            shown = f"{id_.ljust(widths[0])}  {grade.ljust(widths[1])}  {size.rjust(widths[2])}"
            yield f"    {shown}  sha256 {file.sha256[:_DIGITS]}..  {file.path}"


def _cells(file: InventoryFile) -> tuple[str, str, str]:
    return file.id or "", file.grade or "", f"{file.bytes} B"


def _modes(modes: Sequence[PlannedMode], mending: bool) -> Iterator[str]:
    """What each mode would compare, and what stands in its way, such as inputs that need mending."""
    yield "a run would compare:"
    width = max((len(mode.mode) for mode in modes), default=0)
    for mode in modes:
        ready = "not possible yet" if mode.obstacles or mending else "possible"
        counts = f"{mode.essays} essays, {mode.comparisons} comparisons"
        whole = "" if mode.comparisons == mode.round_robin else f" (every pair once: {mode.round_robin})"
        yield f"  {mode.mode.ljust(width)}  {counts}{whole}: {ready}"
        for line in _lines((*mode.obstacles, *mode.remarks)):
            yield f"    {line}"


def _judging(snapshot: InventorySnapshot) -> Iterator[str]:
    """Judge, cost, budget, thresholds."""
    settings = snapshot.judge
    shown = [f"{key} {_value(settings[key])}" for key in _JUDGE if key in settings]
    yield f"judge: {', '.join(shown)}"
    cost = snapshot.cost
    yield f"cost: ${cost.usd:.4f}, {cost.basis}" if cost else "cost: not known before a run"
    yield f"budget: {'none' if snapshot.budget_usd is None else f'${snapshot.budget_usd:g}'}"
    if snapshot.grade_scale:
        yield f"grade scale: {snapshot.grade_scale}"
    yield from map(_threshold, snapshot.thresholds)


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{key} {_value(item)}" for key, item in value.items()) + ")"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _threshold(threshold: PlannedThreshold) -> str:
    parts = [f">= {threshold.min:g}"] if threshold.min is not None else []
    parts += [f"<= {threshold.max:g}"] if threshold.max is not None else []
    if threshold.confidence is not None:
        parts.append(f"with {threshold.confidence * 100:g} % confidence")
    if threshold.attainable is not None:
        parts.append(f"(attainable {number(threshold.attainable)})")
    if threshold.problem is not None:
        parts.append(f"- {threshold.problem}")
    return f"threshold: {threshold.metric} {' '.join(parts)}"
