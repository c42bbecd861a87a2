"""The comparison that a scenario asks for, over the outcomes of a command: made, written and told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from pytest_eng5.evidence import write_atomic
from pytest_eng5.reports.comparison import CompareLike, compare_outcomes
from pytest_eng5.reports.comparison_junit import (
    comparison_junit_path,
    comparison_properties,
    comparison_suite,
    worst_verdict,
)
from pytest_eng5.reports.comparison_model import ComparedCandidate, Comparison, ImprovementRecord
from pytest_eng5.reports.comparison_report import write_comparison_report
from pytest_eng5.reports.comparison_text import candidate_text, comparison_table
from pytest_eng5.reports.judgement import shown_below
from pytest_eng5.reports.junit import JUnitCase
from pytest_eng5.reports.outcome import Outcome, VariantOutcome

__all__ = ["LocatedCompare", "compare_of", "comparison_lines", "exit_status_of", "write_comparison"]


class LocatedCompare(CompareLike, Protocol):
    """What is compared, and where that is written."""

    @property
    def variants(self) -> tuple[str, ...]: ...
    @property
    def location(self) -> Any: ...


def compare_of(compare: LocatedCompare | None, outcomes: Sequence[VariantOutcome]) -> Comparison | None:
    """The comparison; ``None`` if none is asked for or a variant is not among the outcomes."""
    known = {outcome.variant: outcome for outcome in outcomes}
    if compare is None or not known.keys() >= set(compare.variants):
        return None
    return compare_outcomes(known[compare.baseline].scenario, compare, known)


def exit_status_of(status: int, comparison: Comparison | None) -> int:
    """The exit code of a command whose runs came to ``status``: a comparison can only make it worse."""
    if comparison is None or status not in (0, Outcome.UNDECIDED.exit_code):
        return status
    verdict = Outcome(worst_verdict([comparison]))
    if verdict is Outcome.UNDECIDED and comparison.undecided == "warn":
        return status
    return verdict.exit_code or status


def comparison_lines(comparison: Comparison | None) -> list[str]:
    """For a terminal: the table, the verdicts, and per candidate what they rest on."""
    if comparison is None:
        return []
    lines = ["", *comparison_table(comparison)]
    for candidate in comparison.candidates:
        for verdict in candidate.verdicts:
            lines.append(verdict.message)
            lines += [f"  hint: {verdict.hint}"] if verdict.hint else []
        lines += [f"  {line}" for line in candidate_text(comparison, candidate)]
    return lines


def write_comparison(
    session: Path, comparison: Comparison | None, compare: LocatedCompare | None, root: Path
) -> None:
    """Write the report and the JUnit file of a comparison, if there is one.

    Args:
        session: Folder of the session.
        comparison: What came out.
        compare: What was asked for.
        root: What paths are shown relative to.
    """
    if comparison is None or compare is None:
        return
    write_comparison_report(session, comparison)
    suite = comparison_suite(comparison.scenario, list(_cases(comparison, compare, root)), comparison)
    write_atomic(comparison_junit_path(session, comparison.scenario), suite)


def _cases(comparison: Comparison, compare: LocatedCompare, root: Path) -> Iterator[JUnitCase]:
    """The items that pytest would have."""
    file = shown_below(compare.location.path, root)
    for candidate in comparison.candidates:
        verdicts = {verdict.metric: verdict for verdict in candidate.verdicts}
        for metric in compare.metrics:
            properties: list[tuple[str, object]] = [
                ("scenario", comparison.scenario),
                ("variant", candidate.candidate),
                ("baseline", comparison.baseline),
                ("item", "compare"),
                ("metric", metric.name),
                ("file", file),
                ("line", compare.location.line),
                *comparison_properties(candidate, metric.name),
            ]
            outcome, message = _told(verdicts.get(metric.name), candidate, comparison.undecided)
            yield JUnitCase(
                classname=f"{file.replace('/', '.')}.compare.{candidate.candidate}",
                name=metric.name,
                outcome=outcome,
                message=message,
                properties=properties,
                sections=[
                    ("Captured eng5 comparison call", "\n".join(candidate_text(comparison, candidate)))
                ],
            )


def _told(
    verdict: ImprovementRecord | None, candidate: ComparedCandidate, undecided: str
) -> tuple[Literal["passed", "failed", "skipped"], str]:
    if verdict is None and candidate.run_failed:
        return "skipped", f"run failed: {candidate.problem}"
    if verdict is None:
        return "failed", f"FAIL not compared: {candidate.problem}"
    passed = verdict.status == "PASS" or (verdict.status == "UNDECIDED" and undecided == "warn")
    return ("passed", "") if passed else ("failed", verdict.message)
