"""What is written and shown when a session ends: reports, summary, JUnit per variant, terminal table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pytest_eng5.collection.recorder import ItemRecord, Recorder
from pytest_eng5.collection.runtime import Runtime, variant_folders
from pytest_eng5.evidence import EvidenceError, RunPlan, read_plan, write_atomic
from pytest_eng5.reports import (
    JUnitCase,
    VariantOutcome,
    evaluate_variant,
    terminal_table,
    write_session,
)
from pytest_eng5.reports.variant_junit import junit_path, suite_of

__all__ = ["SessionReport", "report_session"]


@dataclass(frozen=True, slots=True)
class SessionReport:
    """What the terminal shows at the end."""

    folder: Path
    table: list[str]
    judged: bool = True


@dataclass(frozen=True, slots=True)
class _Bounds:
    """A threshold as it was recorded in a plan."""

    metric: str
    min: float | None
    max: float | None
    confidence: float | None = None


def report_session(runtime: Runtime, recorder: Recorder) -> SessionReport | None:
    """Judge every variant that left evidence, write its reports, and the session's summary.

    ``None`` if the session performed no run and recorded no item.
    """
    if not runtime.started:
        return None
    records = recorder.by_variant()
    outcomes = _outcomes(runtime, records)
    if not outcomes:
        return None
    for outcome in outcomes:
        items = records.get((outcome.scenario, outcome.root.name))  # not what overrides of a test made of it
        if items:
            cases = [_case(record) for record in items]
            write_atomic(junit_path(runtime.session, outcome), suite_of(outcome, cases))
    write_session(runtime.session, outcomes)
    judged = any(outcome.judging for outcome in outcomes)
    return SessionReport(runtime.session, terminal_table(outcomes), judged)


def _outcomes(runtime: Runtime, records: dict[tuple[str, str], list[ItemRecord]]) -> list[VariantOutcome]:
    """Outcomes in the order of the items; variants without any evidence are errors, not absent."""
    found = {folder: _outcome(runtime, folder) for folder in variant_folders(runtime.session)}
    for scenario, variant in records:
        folder = runtime.session / scenario / variant
        if folder not in found:
            found[folder] = evaluate_variant(folder, (), repeats=1)
    order = [
        runtime.session / scenario / variant for scenario, variant in sorted(records, key=_place(records))
    ]
    rest = [folder for folder in found if folder not in order]
    return [found[folder] for folder in (*order, *rest)]


def _place(
    records: dict[tuple[str, str], list[ItemRecord]],
) -> Callable[[tuple[str, str]], tuple[str, int]]:
    """Sorts variants as their files have them, whatever order the items ran in."""

    def place(key: tuple[str, str]) -> tuple[str, int]:
        properties = records[key][0].properties
        return str(properties["file"]), int(properties["variant_line"])

    return place


def _outcome(runtime: Runtime, folder: Path) -> VariantOutcome:
    key = folder.relative_to(runtime.session).as_posix()
    if key in runtime.outcomes:
        return runtime.outcomes[key]
    plan = _plan(folder)
    scenario = plan.resolved_scenario if plan else {}
    expect = scenario.get("expect")
    return evaluate_variant(
        folder,
        [_bounds(metric, values) for metric, values in scenario.get("thresholds", {}).items()],
        repeats=int(scenario.get("repeats", 1)),
        expected_codes=frozenset(expect["findings"]) if expect else None,
    )


def _plan(folder: Path) -> RunPlan | None:
    for path in sorted(folder.glob("run-*/plan.json")):
        try:
            return read_plan(path)
        except EvidenceError:
            continue
    return None


def _bounds(metric: str, values: dict[str, float]) -> _Bounds:
    return _Bounds(metric, values.get("min"), values.get("max"), values.get("confidence"))


def _case(record: ItemRecord) -> JUnitCase:
    place, _, name = record.nodeid.rpartition("::")
    return JUnitCase(
        classname=place.replace("/", ".").replace("::", "."),
        name=name,
        time=record.seconds,
        outcome=record.outcome,  # type: ignore[arg-type]
        message=record.message,
        details=record.details,
        properties=list(record.properties.items()),
        sections=record.sections,
    )
