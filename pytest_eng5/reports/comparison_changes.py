"""What changed between two variants, or two recorded runs: prompt, rubric, judge, anchors, task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytest_eng5.evidence import RunPlan, SourceText
from pytest_eng5.reports.comparison_model import Change
from pytest_eng5.reports.outcome import VariantOutcome

__all__ = ["LOOKED_AT", "changes_between"]

LOOKED_AT = ("system prompt", "rubric", "judge", "anchors", "student prompt", "instructions", "task")
"""What is looked at, in this order; the first word of a change tells which of them it is about."""

_JUDGE = ("provider", "model", "temperature", "max_tokens", "reasoning_effort", "output_verbosity")
_TASK = ("mode", "course_code", "language", "grade_scale", "assignment_id")
_DIGITS = 12
_SHOWN = 5


def changes_between(baseline: VariantOutcome, candidate: VariantOutcome) -> tuple[Change, ...]:
    """What the candidate was run with and the baseline was not; prompts and essays by their SHA-256."""
    one, other = baseline.plan, candidate.plan
    if one is None or other is None:
        return ()
    return (
        *_text("system prompt", one.system_prompt, other.system_prompt, "the service's own"),
        *_text("rubric", one.rubric, other.rubric, "none"),
        *_judge(one, other),
        *_seen(baseline, candidate),
        *_anchors(one, other),
        *_text("student prompt", one.prompt_reference, other.prompt_reference, "none"),
        *_text("instructions", one.instructions, other.instructions, "none"),
        *_values("task", {name: getattr(one, name) for name in _TASK}, {n: getattr(other, n) for n in _TASK}),
    )


def _text(what: str, one: SourceText | None, other: SourceText | None, absent: str) -> Iterator[Change]:
    if (one and one.checksum) != (other and other.checksum):
        yield Change(what=what, baseline=_source(one, absent), candidate=_source(other, absent))


def _source(source: SourceText | None, absent: str) -> str:
    return absent if source is None else f"{source.source_path} (sha256 {source.checksum[:_DIGITS]}..)"


def _judge(one: RunPlan, other: RunPlan) -> Iterator[Change]:
    """Settings of the judge; those of the simulated one only where it is the judge."""
    settings = [_judge_settings(plan) for plan in (one, other)]
    yield from _values("judge", *settings)


def _judge_settings(plan: RunPlan) -> dict[str, Any]:
    resolved = plan.resolved_scenario.get("judge", {})
    settings = {name: resolved.get(name) for name in _JUDGE}
    settings |= {"provider": plan.provider, "model": plan.model, "temperature": plan.temperature}
    if plan.provider == "mock":
        settings |= {f"mock.{name}": value for name, value in resolved.get("mock", {}).items()}
    return settings


def _values(what: str, one: dict[str, Any], other: dict[str, Any]) -> Iterator[Change]:
    for name in dict.fromkeys((*one, *other)):
        before, after = one.get(name), other.get(name)
        if before != after:
            yield Change(what=f"{what} {name}", baseline=_shown(before), candidate=_shown(after))


def _shown(value: Any) -> str:
    return "default" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _seen(baseline: VariantOutcome, candidate: VariantOutcome) -> Iterator[Change]:
    """Who really judged, by the callbacks, if it is not who was asked for alike."""
    if baseline.judges and candidate.judges and baseline.judges != candidate.judges:
        shown = [", ".join(f"{p} {m}" for p, m in outcome.judges) for outcome in (baseline, candidate)]
        yield Change(what="judge seen in callbacks", baseline=shown[0], candidate=shown[1])


def _anchors(one: RunPlan, other: RunPlan) -> Iterator[Change]:
    known, found = ({e.local_id: e for e in plan.essays if e.is_anchor} for plan in (one, other))
    if gone := sorted(known.keys() ^ found.keys()):
        lone = [[id_ for id_ in gone if id_ in anchors] for anchors in (known, found)]
        yield Change(
            what="anchors in one only", baseline=_names(lone[0], "none"), candidate=_names(lone[1], "none")
        )
    both = sorted(known.keys() & found.keys())
    if grades := [id_ for id_ in both if known[id_].grade != found[id_].grade]:
        shown = [_names([f"{id_} {a[id_].grade}" for id_ in grades], "") for a in (known, found)]
        yield Change(what="anchors with other grades", baseline=shown[0], candidate=shown[1])
    if texts := [id_ for id_ in both if known[id_].checksum != found[id_].checksum]:
        shown = [
            _names([f"{id_} {a[id_].checksum[:_DIGITS]}.." for id_ in texts], "") for a in (known, found)
        ]
        yield Change(what="anchors with other texts", baseline=shown[0], candidate=shown[1])


def _names(ids: list[str], none: str) -> str:
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return ", ".join(ids[:_SHOWN]) + more or none
