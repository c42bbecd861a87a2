"""The alignment report of a variant, as JSON and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime

from pytest_eng5.alignment import AnchorRow, InversionRow
from pytest_eng5.checks import summarise
from pytest_eng5.contracts import utc_now
from pytest_eng5.evidence import SourceText, VariantFolder, write_atomic, write_json
from pytest_eng5.reports.figures import (
    NOT_AVAILABLE,
    attainable_text,
    cost_text,
    number,
    unfit,
)
from pytest_eng5.reports.judge_quality import figure_rows, quality_section
from pytest_eng5.reports.markdown import code, fenced, inline, shortened, table
from pytest_eng5.reports.noise import noise_text, repeats_hint, repeats_markdown
from pytest_eng5.reports.outcome import RunOutcome, VariantOutcome

__all__ = ["alignment_markdown", "write_alignment_report"]

SCHEMA_VERSION = "1.1.0"


def write_alignment_report(
    folder: VariantFolder, outcome: VariantOutcome, *, generated: datetime | None = None
) -> None:
    """Write ``alignment_report.json`` and ``alignment_report.md`` atomically.

    Args:
        folder: Of the variant.
        outcome: What to report.
        generated: When the report was made; default now.
    """
    moment = generated or utc_now()
    plan = outcome.plan
    prompts = {
        name: None if source is None else source.model_dump(mode="json")
        for name, source in (
            ("system_prompt", plan.system_prompt if plan else None),
            ("rubric", plan.rubric if plan else None),
        )
    }
    head = {"schema_version": SCHEMA_VERSION, "generated_at": moment.isoformat()}
    write_json(folder.report("json"), {**head, **outcome.to_dict(), "prompts": prompts})
    write_atomic(folder.report("md"), alignment_markdown(outcome, moment).encode("utf-8", "replace"))


def alignment_markdown(outcome: VariantOutcome, generated: datetime) -> str:
    """The report in Markdown; a section per question, nothing guessed, judges' words escaped."""
    sections = [
        _title(outcome, generated),
        _summary(outcome),
        _verdicts(outcome),
        repeats_markdown(outcome),
        _findings(outcome),
        _anchors(outcome),
        quality_section(outcome),
        _inversions(outcome),
        ["---"],
        _prompts(outcome),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _title(outcome: VariantOutcome, generated: datetime) -> list[str]:
    plan = outcome.plan
    judges = [f"{inline(provider)} / {inline(model)}" for provider, model in outcome.judges]
    asked = f"{inline(plan.provider)} / {inline(plan.model or '(default)')}" if plan else NOT_AVAILABLE
    rows = [
        ("Scenario", inline(outcome.scenario)),
        ("Variant", inline(outcome.variant)),
        ("Mode", inline(outcome.mode)),
        ("Judge asked for (provider / model)", asked),
        ("Judge seen in callbacks", ", ".join(judges) or f"{NOT_AVAILABLE}: no callback"),
        ("System prompt SHA-256", _checksum(plan.system_prompt) if plan else NOT_AVAILABLE),
        ("Judge rubric SHA-256", _checksum(plan.rubric) if plan else NOT_AVAILABLE),
        *(_run(run) for run in outcome.runs),
        ("Verdict", f"**{outcome.verdict.value}**"),
    ]
    return [
        f"# Anchor Alignment Report: {inline(outcome.scenario)} / {inline(outcome.variant)}",
        "",
        f"**Generated:** {generated.isoformat(timespec='seconds')}",
        "",
        *table(("Provenance", ""), rows),
    ]


def _checksum(source: SourceText | None) -> str:
    return code(source.checksum) if source else "(default)"


def _run(run: RunOutcome) -> tuple[str, str]:
    batch = f"batch {code(run.batch_uuid)}" if run.batch_uuid else f"batch {NOT_AVAILABLE}"
    ending = (
        inline(run.obstacle) if run.obstacle else f"ended: {run.ending.reason.value}" if run.ending else ""
    )
    return f"Run {run.repeat}", f"{batch}, {ending}"


def _summary(outcome: VariantOutcome) -> list[str]:
    ledger, metrics = outcome.ledger, outcome.alignment
    rows = [
        ("Comparisons planned", str(ledger.planned), ""),
        ("Total comparisons (successful)", str(ledger.succeeded), ""),
        ("Comparisons failed", str(ledger.failed), ""),
        ("Comparisons missing", str(ledger.missing), ""),
    ]
    if ledger.unreadable:
        rows.append(("Callbacks that could not be read", str(ledger.unreadable), ""))
    if ledger.unexpected:
        rows.append(("Comparisons beyond the plan", str(ledger.unexpected), ""))
    if outcome.usable != ledger.succeeded:
        rows.append(("Comparisons between two essays of the plan", str(outcome.usable), ""))
    if metrics is not None:
        figures = figure_rows(outcome, metrics)
        attainable = (metrics.attainable_tau_b, metrics.attainable_tau_a)
        best = zip(("Attainable tau-b", "Attainable tau-a"), map(attainable_text, attainable), strict=True)
        rows += [*figures[:2], *((name, text, "") for name, text in best), *figures[2:]]
    rows.append(("Cost (as reported)", cost_text(outcome) or f"{NOT_AVAILABLE}: no callback", ""))
    level = f"{metrics.bootstrap.confidence * 100:g} % CI" if metrics else "95 % CI"
    lines = ["## Summary Metrics", "", *table(("Metric", "Value", level), rows, right=(1, 2))]
    warning = unfit(metrics) if metrics else f"No figures: {outcome.not_computed}"
    return [*lines, "", f"**Not fit for a gate:** {inline(warning)}"] if warning else lines


def _verdicts(outcome: VariantOutcome) -> list[str]:
    lines = ["## Verdicts", ""]
    for verdict in outcome.verdicts:
        lines.append(f"- {inline(verdict.message)}")
        more = (verdict.hint, repeats_hint(verdict, outcome.repeats), noise_text(verdict, outcome.repeats))
        lines += [f"  - {inline(text)}" for text in more if text]
    if not outcome.verdicts:
        lines.append("no thresholds")
    if outcome.expected_codes is not None:
        codes = ", ".join(sorted(outcome.expected_codes)) or "none"
        lines += ["", f"Negative test; expected findings: {inline(codes)}"]
    return lines


def _findings(outcome: VariantOutcome) -> list[str]:
    if len(outcome.runs) == 1:
        told = summarise(outcome.findings)
    else:
        told = [f"run-{run.repeat}: {line}" for run in outcome.runs for line in summarise(run.findings)]
    return ["## Findings", "", *([f"- {inline(line)}" for line in told] or ["none"])]


def _anchors(outcome: VariantOutcome) -> list[str]:
    rows = outcome.alignment.anchors if outcome.alignment else ()
    head = ("Anchor ID", "Grade", "BT Score", "SE", "Rank", "Expected", "Wins", "Losses", "Win Rate")
    ordered = sorted(rows, key=_order)
    body = table(head, (_anchor(row) for row in ordered), right=range(2, 9))
    reason = outcome.not_computed or "the plan has no anchors"
    return ["## Per-Anchor Results", "", *(body if rows else [f"{NOT_AVAILABLE}: {inline(reason)}"])]


def _order(row: AnchorRow) -> tuple[float, float, str]:
    """Best grade first, which is the order of expected ranks; unknown grades and missing ranks last."""
    grade = math.inf if row.grade_rank is None else row.grade_rank
    return grade, math.inf if row.rank is None else row.rank, row.id


def _anchor(row: AnchorRow) -> tuple[str, ...]:
    rate = None if row.win_rate is None else f"{row.win_rate * 100:.1f} %"
    return (
        inline(row.id),
        inline(row.grade or "unknown"),
        number(row.theta) or NOT_AVAILABLE,
        number(row.standard_error) or NOT_AVAILABLE,
        NOT_AVAILABLE if row.rank is None else str(row.rank),
        _expected(row),
        str(row.wins),
        str(row.losses),
        rate or NOT_AVAILABLE,
    )


def _expected(row: AnchorRow) -> str:
    """The ranks that the grade allows: ``5``, or ``1-2`` for two anchors of one grade."""
    if row.expected_low is None:
        return NOT_AVAILABLE
    tied = row.expected_low != row.expected_high
    return f"{row.expected_low}-{row.expected_high}" if tied else str(row.expected_low)


def _inversions(outcome: VariantOutcome) -> list[str]:
    rows = outcome.alignment.inversions if outcome.alignment else ()
    if not rows:
        return []
    head = (
        *("Higher Grade", "Lower Grade", "Winner", "Winner's Position"),
        *("Lower Won", "Confidence", "Justification"),
    )
    body = table(head, (_inversion(row) for row in rows), right=(4, 5))
    return ["## Detected Inversions", "", *body]


def _inversion(row: InversionRow) -> tuple[str, ...]:
    return (
        f"{inline(row.higher_id)} ({inline(row.higher_grade)})",
        f"{inline(row.lower_id)} ({inline(row.lower_grade)})",
        inline(row.lower_id),
        row.winner_position,
        f"{row.lower_won} of {row.pair_comparisons}",
        number(row.confidence, 1) or NOT_AVAILABLE,
        inline(shortened(row.justification)) if row.justification else NOT_AVAILABLE,
    )


def _prompts(outcome: VariantOutcome) -> list[str]:
    plan = outcome.plan
    lines = ["## Prompts Used (for reproducibility)"]
    sources: Iterable[tuple[str, SourceText | None]] = (
        ("System Prompt", plan.system_prompt if plan else None),
        ("Judge Rubric", plan.rubric if plan else None),
    )
    for heading, source in sources:
        text = fenced(source.content) if source else ["(default)" if plan else NOT_AVAILABLE]
        lines += ["", f"### {heading}", "", *text]
    return lines
