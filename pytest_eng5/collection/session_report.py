"""What is written and shown when a session ends: reports, summary, JUnit per variant, terminal table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pytest_eng5.collection.recorder import ItemRecord, Recorder
from pytest_eng5.collection.runtime import Runtime
from pytest_eng5.evidence import write_atomic
from pytest_eng5.reports import JUnitCase, VariantOutcome, terminal_table, write_session
from pytest_eng5.reports.comparison_junit import comparison_junit_path, comparison_suite
from pytest_eng5.reports.comparison_model import Comparison
from pytest_eng5.reports.comparison_report import read_comparisons
from pytest_eng5.reports.comparison_text import tables, undecided_comparisons
from pytest_eng5.reports.noise import noise_lines
from pytest_eng5.reports.session import undecided_text
from pytest_eng5.reports.variant_junit import junit_path, suite_of

__all__ = ["SessionReport", "report_session"]


@dataclass(frozen=True, slots=True)
class SessionReport:
    """What the terminal shows at the end."""

    folder: Path
    table: list[str]
    judged: bool = True
    undecided: tuple[str, ...] = ()


def report_session(runtime: Runtime, recorder: Recorder) -> SessionReport | None:
    """Judge every variant that left evidence, write its reports, and the session's summary.

    ``None`` if the session performed no run and recorded no item.
    """
    if not runtime.started:
        return None
    records = recorder.by_variant()
    outcomes = _outcomes(runtime, records, read_comparisons(runtime.session))
    if not outcomes:
        return None
    for outcome in outcomes:
        items = records.get((outcome.scenario, outcome.root.name))  # not what overrides of a test made of it
        if items:
            cases = [_case(record) for record in items]
            write_atomic(junit_path(runtime.session, outcome), suite_of(outcome, cases))
    compared = read_comparisons(runtime.session)
    _write_comparisons(runtime.session, recorder.comparisons(), compared)
    write_session(runtime.session, outcomes, compared)
    judged = any(outcome.judging for outcome in outcomes)
    table = [*terminal_table(outcomes), *noise_lines(outcomes), *tables(compared)]
    undecided = (*undecided_text(outcomes), *undecided_comparisons(compared))
    return SessionReport(runtime.session, table, judged, undecided)


def _write_comparisons(
    session: Path, records: dict[str, list[ItemRecord]], compared: list[Comparison]
) -> None:
    known = {comparison.scenario: comparison for comparison in compared}
    for scenario, items in records.items():
        cases = [_case(record) for record in items]
        write_atomic(
            comparison_junit_path(session, scenario), comparison_suite(scenario, cases, known.get(scenario))
        )


def _outcomes(
    runtime: Runtime, records: dict[tuple[str, str], list[ItemRecord]], compared: list[Comparison]
) -> list[VariantOutcome]:
    """Outcomes in the order of the items; variants without any evidence are errors, not absent.

    Variants of which only the comparison was asked for come after those that have items of their own.
    """
    wanted = sorted(records, key=_place(records))
    others = [
        (c.scenario, id_) for c in compared for id_ in (c.baseline, *(x.candidate for x in c.candidates))
    ]
    wanted += [key for key in others if key not in records]
    folders = [runtime.evidence / scenario / variant for scenario, variant in wanted]
    rest = [folder for folder in runtime.own_folders() if folder not in folders]
    return [runtime.outcome_of(folder) for folder in (*folders, *rest)]


def _place(
    records: dict[tuple[str, str], list[ItemRecord]],
) -> Callable[[tuple[str, str]], tuple[str, int]]:
    """Sorts variants as their files have them, whatever order the items ran in."""

    def place(key: tuple[str, str]) -> tuple[str, int]:
        properties = records[key][0].properties
        return str(properties["file"]), int(properties["variant_line"])

    return place


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
