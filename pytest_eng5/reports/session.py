"""The reports of a whole session: its files, and what a terminal shows of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from pytest_eng5.evidence import RunFolder, VariantFolder
from pytest_eng5.gates import Verdict
from pytest_eng5.reports.alignment_report import write_alignment_report
from pytest_eng5.reports.comparison_model import Comparison
from pytest_eng5.reports.grades import grade_lines
from pytest_eng5.reports.inventory import inventory_text
from pytest_eng5.reports.noise import noise_lines
from pytest_eng5.reports.outcome import RunOutcome, VariantOutcome
from pytest_eng5.reports.summary import write_summary
from pytest_eng5.reports.terminal import terminal_table

__all__ = ["check_text", "session_text", "undecided_text", "write_session"]

_ALIKE = 3


def write_session(
    session: Path, outcomes: Sequence[VariantOutcome], comparisons: Sequence[Comparison] = ()
) -> None:
    """Write an alignment report per variant that was judged and left a folder, and ``summary.json``.

    Args:
        session: Folder of the session; its name is the session's. Runs that are judged again lie elsewhere.
        outcomes: Variants in the order of the session.
        comparisons: Those between them, for the summary.
    """
    for outcome in outcomes:
        if outcome.judging and outcome.root.is_dir():
            folder = VariantFolder(session / outcome.scenario / outcome.root.name)
            write_alignment_report(folder, outcome)
    write_summary(session / "summary.json", session.name, outcomes, comparisons)


def session_text(session: Path, outcomes: Sequence[VariantOutcome], *, verbose: bool = False) -> list[str]:
    """Lines for a terminal: what was found, then why a verdict is no pass, then where everything lies.

    Args:
        session: Folder of the session.
        outcomes: Its variants.
        verbose: Tell what passed, too.
    """
    lines: list[str] = []
    for outcome in outcomes:
        if outcome.snapshot is not None:
            lines += [*inventory_text(outcome.snapshot), ""]
        elif outcome.mode == "dry-run":
            lines += [*_stub(outcome), ""]
        elif not outcome.judging:
            lines += [*_left_alone(outcome), ""]
    judged = [outcome for outcome in outcomes if outcome.judging]
    lines += [*terminal_table(judged), *noise_lines(judged)]
    for outcome in judged:
        for run in outcome.runs if outcome.mode == "execute" else ():
            if run.obstacle is not None:
                continue
            told = grade_lines(run.root, every=verbose)
            lines += [f"{outcome.variant} run-{run.repeat}: {line}" for line in told]
    for outcome in outcomes:
        if outcome.snapshot is None:
            lines += _why(outcome, verbose)
    return [*lines, f"evidence and reports: {session}"]


def _stub(outcome: VariantOutcome) -> Iterator[str]:
    folder = RunFolder(outcome.runs[0].root)
    anchors, students = outcome.essay_counts or (0, 0)
    yield f"dry run of {outcome.scenario} / {outcome.variant}: nothing was uploaded or published"
    yield f"  stub of the artefact: {folder.artefact(outcome.mode)}"
    yield f"  its schema: {folder.schema}"
    yield f"  anchors: {anchors}, students: {students}"


def _left_alone(outcome: VariantOutcome) -> Iterator[str]:
    """What became of runs whose end was not waited for."""
    for run in outcome.runs:
        if run.ending is not None:
            yield f"{outcome.scenario} / {outcome.variant}: {run.ending.detail}; nothing was judged"
            yield f"  batch {run.batch_uuid}, request and plan: {run.root}"


def _why(outcome: VariantOutcome, verbose: bool) -> Iterator[str]:
    told = [verdict.message for verdict in outcome.verdicts if verdict.passed] if verbose else []
    for text in (*outcome.reasons, *told):
        yield f"{outcome.variant}: {text}"
    for verdict in outcome.undecided:
        yield f"{outcome.variant}: {verdict.metric}: {_advice(verdict)}"
    if outcome.reasons:
        logs = (RunFolder(run.root).log for run in outcome.runs)
        yield from (f"{outcome.variant}: log: {log}" for log in logs if log.exists())


def _advice(verdict: Verdict) -> str:
    """What would decide a gate that is undecided."""
    warned = "a warning only (undecided: warn); " if verdict.tolerated else ""
    return f"{warned}{verdict.hint}"


def undecided_text(outcomes: Sequence[VariantOutcome]) -> Iterator[str]:
    """A line per gate that is undecided, whatever becomes of it."""
    for outcome in outcomes:
        for verdict in outcome.undecided:
            warned = ", only warned of" if verdict.tolerated else ""
            message = verdict.message.removeprefix("UNDECIDED ")
            yield f"{outcome.scenario} / {outcome.variant}: {message}{warned}"


def check_text(outcomes: Sequence[VariantOutcome]) -> list[str]:
    """Lines for a terminal about runs that were judged again: table, gates, findings with their places."""
    lines = [*terminal_table(outcomes), *noise_lines(outcomes)]
    for outcome in outcomes:
        lines += ["", f"{outcome.scenario} / {outcome.variant}"]
        for verdict in outcome.verdicts:
            lines.append(f"  {verdict.message}")
            lines += [f"    {_advice(verdict)}"] if verdict in outcome.undecided else []
        lines += [f"  {line}" for run in outcome.runs for line in _findings(run)]
        told = {verdict.message for verdict in outcome.verdicts}
        lines += [f"  {outcome.verdict}: {reason}" for reason in outcome.reasons if reason not in told]
    return lines


def _findings(run: RunOutcome) -> Iterator[str]:
    """Each code with its first findings, and how many there are more."""
    if not run.findings and run.problem is None:
        yield f"{run.root.name}: no findings"
    for code, findings in groupby(run.findings, key=lambda finding: finding.code):
        alike = list(findings)
        for finding in alike[:_ALIKE]:
            place = f"{run.root.name}/{finding.evidence}" if finding.evidence else run.root.name
            yield f"{finding.severity:7} {code} {finding.message} [{place}]"
        if len(alike) > _ALIKE:
            yield f"        ... and {len(alike) - _ALIKE} more of {code}"
        for hint in dict.fromkeys(finding.hint for finding in alike[:_ALIKE] if finding.hint):
            yield f"        hint: {hint}"
