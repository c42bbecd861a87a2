"""JUnit files of runs that the command line performed: the items that pytest would have, and their words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from pytest_eng5.evidence import write_atomic
from pytest_eng5.reports.judgement import (
    RUN,
    infrastructure_fault,
    item_names,
    judge_named,
    outcome_properties,
    pipeline_failure,
    shown_below,
)
from pytest_eng5.reports.junit import JUnitCase, junit_xml
from pytest_eng5.reports.outcome import VariantOutcome

__all__ = ["junit_path", "suite_of", "write_junit"]


class LocatedVariant(Protocol):
    """A variant and where it is written: ``scenario.Variant``, which this room does not know."""

    @property
    def id(self) -> str: ...
    @property
    def mode(self) -> str: ...
    @property
    def location(self) -> Any: ...
    @property
    def thresholds(self) -> Sequence[Any]: ...
    @property
    def fail_fast(self) -> bool: ...


def write_junit(
    session: Path, variants: Sequence[LocatedVariant], outcomes: Sequence[VariantOutcome], root: Path
) -> None:
    """Write a file per variant.

    Args:
        session: Folder of the session.
        variants: What was run.
        outcomes: What became of it, in the same order.
        root: What paths are shown relative to, as pytest's root folder.
    """
    for variant, outcome in zip(variants, outcomes, strict=True):
        cases = list(_cases(variant, outcome, root))
        write_atomic(junit_path(session, outcome), suite_of(outcome, cases))


def junit_path(session: Path, outcome: VariantOutcome) -> Path:
    """The file of a variant."""
    return session / "junit" / f"{outcome.scenario}.{outcome.variant}.xml"


def suite_of(outcome: VariantOutcome, cases: Sequence[JUnitCase]) -> bytes:
    """The suite of a variant, with what is true of all of its items."""
    name = f"{outcome.scenario}.{outcome.variant}"
    properties = {
        "scenario": outcome.scenario,
        "variant": outcome.variant,
        "verdict": outcome.verdict.value,
        "undecided": len(outcome.undecided),
    }
    return junit_xml(name, cases, properties)


def _cases(variant: LocatedVariant, outcome: VariantOutcome, root: Path) -> Iterator[JUnitCase]:
    """The items in order; after a run that failed, and with ``fail_fast`` after any, the rest is skipped."""
    endings = [ending for ending in outcome.endings if ending is not None]
    fault = infrastructure_fault(endings, outcome) or _unreadable(outcome)
    failure = pipeline_failure(endings, outcome)
    stopped: str | None = None
    for name in item_names(variant.mode, outcome):
        case = _described(name, variant, outcome, root)
        if name == RUN:
            seconds = sum((ending.ended_at - ending.started_at).total_seconds() for ending in endings)
            case = replace(case, time=seconds)
        if stopped is not None:
            yield replace(case, outcome="skipped", message=stopped)
            continue
        if fault is not None:
            case = replace(case, outcome="error", message=fault.splitlines()[0], details=fault)
            stopped = f"run failed: {fault.splitlines()[0]}"
        else:
            case = _judged(case, outcome, failure)
            if case.outcome == "failed" and name == RUN and failure is not None:
                stopped = f"run failed: {failure}"
            elif case.outcome == "failed" and variant.fail_fast:
                stopped = f"fail_fast: {name} failed"
        yield case


def _unreadable(outcome: VariantOutcome) -> str | None:
    """Why a run's folder says nothing, so that there is no ending either; a plan is no run."""
    if outcome.snapshot is not None:
        return None
    return next((run.obstacle for run in outcome.runs if run.ending is None and run.obstacle), None)


def _judged(case: JUnitCase, outcome: VariantOutcome, failure: str | None) -> JUnitCase:
    found = judge_named(case.name, outcome, failure)
    if found.section:
        case = replace(case, sections=[(f"Captured {found.heading} call", found.section)])
    case = replace(case, properties=[*case.properties, *found.properties])
    if found.wrong is None:
        return case
    return replace(case, outcome="failed", message=found.wrong.splitlines()[0], details=found.wrong)


def _described(name: str, variant: LocatedVariant, outcome: VariantOutcome, root: Path) -> JUnitCase:
    """An item with the properties that it has under pytest."""
    file = shown_below(variant.location.path, root)
    lines = {threshold.metric: threshold.location.line for threshold in variant.thresholds}
    properties: list[tuple[str, object]] = [
        ("scenario", outcome.scenario),
        ("variant", variant.id),
        ("mode", variant.mode),
        ("item", name),
        ("file", file),
        ("line", lines.get(name, variant.location.line)),
        ("variant_line", variant.location.line),
        *outcome_properties(outcome, root),
    ]
    place = f"{file.replace('/', '.')}.{variant.id}"
    return JUnitCase(classname=place, name=name, properties=properties)
