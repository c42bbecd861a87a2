"""The comparison report of a scenario, as JSON and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from pytest_eng5.contracts import utc_now
from pytest_eng5.evidence import write_atomic
from pytest_eng5.evidence.files import json_bytes
from pytest_eng5.reports.comparison_model import ComparedCandidate, ComparedPair, Comparison
from pytest_eng5.reports.comparison_text import figure_row, pairs_summary
from pytest_eng5.reports.markdown import inline, table

__all__ = ["comparison_markdown", "read_comparisons", "report_path", "write_comparison_report"]


def report_path(session: Path, scenario: str, suffix: str) -> Path:
    """The report of a scenario's comparison, ``json`` or ``md``."""
    return session / scenario / f"comparison_report.{suffix}"


def write_comparison_report(
    session: Path, comparison: Comparison, *, generated: datetime | None = None
) -> None:
    """Write ``comparison_report.json`` and ``comparison_report.md`` into the scenario's folder, atomically.

    Args:
        session: Folder of the session.
        comparison: What to report.
        generated: When the report was made; default now.
    """
    moment = generated or utc_now()
    document = comparison.model_dump(mode="json")
    write_atomic(report_path(session, comparison.scenario, "json"), json_bytes(document))
    text = comparison_markdown(comparison, moment)
    write_atomic(report_path(session, comparison.scenario, "md"), text.encode("utf-8", "replace"))


def read_comparisons(session: Path) -> list[Comparison]:
    """Comparisons that were written in a session, by whatever process, in order of scenario."""
    found = []
    for path in sorted(session.glob("*/comparison_report.json")):
        try:
            found.append(Comparison.model_validate_json(path.read_bytes()))
        except (OSError, ValidationError):
            continue  # not ours, or of another release
    return found


def comparison_markdown(comparison: Comparison, generated: datetime) -> str:
    """The report in Markdown; names and texts of others escaped."""
    level, count = f"{comparison.confidence * 100:g} %", len(comparison.candidates)
    corrected = f" P-values are corrected (Holm) for all {count} candidates." if count > 1 else ""
    lines = [
        f"# Comparison Report: {inline(comparison.scenario)}",
        "",
        f"**Generated:** {generated.isoformat(timespec='seconds')}",
        "",
        f"Baseline: {inline(comparison.baseline)}. Every candidate is compared with it on the anchor pairs "
        f"that both judged; intervals are of {level}, p-values of permutation tests.{corrected}",
        "",
        "## Verdicts",
        "",
        *_verdicts(comparison),
    ]
    for candidate in comparison.candidates:
        lines += ["", *_candidate(comparison, candidate)]
    return "\n".join(lines) + "\n"


def _verdicts(comparison: Comparison) -> Iterator[str]:
    for candidate in comparison.candidates:
        if candidate.problem is not None:
            yield f"- {inline(candidate.candidate)} not compared: {inline(candidate.problem)}"
        for verdict in candidate.verdicts:
            yield f"- {inline(verdict.message)}"
            if verdict.hint:
                yield f"  - {inline(verdict.hint)}"
        if candidate.problem is None and not candidate.verdicts:
            yield f"- {inline(candidate.candidate)}: nothing was asked for"


def _candidate(comparison: Comparison, candidate: ComparedCandidate) -> Iterator[str]:
    names = (inline(comparison.baseline), inline(candidate.candidate))
    yield f"## {names[1]} against {names[0]}"
    yield ""
    if candidate.problem is None:
        yield (
            f"{candidate.pairs} pairs of {candidate.anchors} anchors that both judged "
            f"({candidate.pairs_left_out} that only one judged are left out), "
            f"{candidate.baseline_comparisons} and {candidate.candidate_comparisons} comparisons; "
            f"{candidate.permutations} permutations{' (all there are)' if candidate.exact else ''}, "
            f"seed {candidate.seed}."
        )
        yield ""
        head = ("Figure", *names, f"Difference ({comparison.confidence * 100:g} % CI)", "p", "p (Holm)")
        rows = [figure_row(name, found, corrected=True) for name, found in candidate.figures.items()]
        yield from table(head, rows, right=range(1, 6))
        yield ""
    yield from _differences(candidate, names)
    if candidate.problem is None:
        yield ""
        yield f"### {pairs_summary(candidate).capitalize()}"
        if candidate.differing_pairs:
            yield ""
            columns = ("Better Grade", "Worse Grade", f"Won in {names[0]}", f"Won in {names[1]}", "Grades")
            yield from table(columns, map(_pair, candidate.differing_pairs), right=(2, 3))


def _differences(candidate: ComparedCandidate, names: tuple[str, str]) -> Iterator[str]:
    if not candidate.changes:
        yield "Nothing else differs between the two: same prompts, judge, anchors and task."
        return
    rows = [(inline(c.what), inline(c.baseline), inline(c.candidate)) for c in candidate.changes]
    yield from table(("What differs", *names), rows)


def _pair(pair: ComparedPair) -> tuple[str, ...]:
    return (
        f"{inline(pair.better)} ({inline(pair.better_grade)})",
        f"{inline(pair.worse)} ({inline(pair.worse_grade)})",
        f"{pair.baseline_won} of {pair.baseline_comparisons}",
        f"{pair.candidate_won} of {pair.candidate_comparisons}",
        "equal" if pair.equal_grades else "nearer" if pair.gained else "further",
    )
