"""Judge and anchors in an alignment report: how good is the one, and which of the others look odd?"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_eng5.alignment import AlignmentMetrics, AnchorQuality
from pytest_eng5.gates import METRICS
from pytest_eng5.reports.figures import LABELS, NOT_AVAILABLE, figure, interval, number, unfit, why_unknown
from pytest_eng5.reports.markdown import inline, table
from pytest_eng5.reports.outcome import VariantOutcome

__all__ = ["anchor_remarks", "figure_rows", "quality_section"]


def figure_rows(
    outcome: VariantOutcome, metrics: AlignmentMetrics, *, of_judge: bool = False
) -> list[tuple[str, str, str]]:
    """Label, value or why there is none, interval; of agreement, or of judge and anchors."""
    rows = []
    for name, found in outcome.metrics.items():
        if METRICS[name].of_judge is of_judge:
            value = figure(name, found)
            text = value or f"{NOT_AVAILABLE}: {inline(why_unknown(METRICS[name], metrics))}"
            rows.append((LABELS.get(name, name), text, (interval(name, found) or "") if value else ""))
    return rows


def quality_section(outcome: VariantOutcome) -> list[str]:
    """Figures of the judge, what is odd about anchors in words, and a row per anchor."""
    metrics = outcome.alignment
    if metrics is None:
        return []
    level = f"{metrics.bootstrap.confidence * 100:g} % CI"
    figures = table(("Figure", "Value", level), figure_rows(outcome, metrics, of_judge=True), right=(1, 2))
    lines = ["## Judge and Anchor Quality", "", *figures]
    if unfit(metrics) is None:
        lines += ["", *(f"- {inline(text)}" for text in anchor_remarks(metrics))]
    head = (
        "Anchor ID",
        "Grade",
        "Infit",
        "Outfit",
        "Lost To Lower Grades",
        "Won Against Higher Grades",
        "Note",
    )
    rows = sorted(metrics.quality.anchors, key=lambda row: (-round(row.infit, 6), row.id))
    return [*lines, "", *table(head, map(_anchor, rows), right=range(2, 6))] if rows else lines


def anchor_remarks(metrics: AlignmentMetrics) -> Iterator[str]:
    """A sentence per anchor that misfits or whose grade the judge contradicts; one if there is none."""
    rows = metrics.quality.anchors
    odd = [row for row in rows if row.suspicion or row.misfit]
    if not odd:
        yield "No anchor misfits, and no grade is contradicted by most of its comparisons."
    for row in odd:
        if row.suspicion is not None:
            yield _suspicion(row)
        if row.misfit:
            yield (
                f"{row.id} ({row.grade}) misfits: its infit {row.infit:.2f} is above mean + 2 SD of all "
                "anchors. The judge's verdicts on it contradict each other; read its inversions."
            )


def _suspicion(row: AnchorQuality) -> str:
    """The judge's doubt about a grade, with the comparisons that it rests on."""
    too_high = row.suspicion == "graded too high"
    count, of = (row.lower_lost, row.lower_met) if too_high else (row.higher_won, row.higher_met)
    done = "lost" if too_high else "won"
    against = "lower" if too_high else "higher"
    many = f"all {of}" if count == of else f"{count} of {of}"
    if too_high and 2 * row.higher_won > row.higher_met:
        return (
            f"{row.id} ({row.grade}) lost {many} comparisons against lower grades, and won "
            f"{row.higher_won} of {row.higher_met} against higher ones: no grade would fit. "
            "Read the judge's reasons."
        )
    return (
        f"{row.id} ({row.grade}) {done} {many} comparisons against {against} grades: it may be "
        f"{row.suspicion}. One judge's doubt is no proof; ask an expert to read it again."
    )


def _anchor(row: AnchorQuality) -> tuple[str, ...]:
    notes = [*(["misfits"] if row.misfit else []), *([f"{row.suspicion}?"] if row.suspicion else [])]
    return (
        inline(row.id),
        inline(row.grade or "unknown"),
        number(row.infit, 2) or NOT_AVAILABLE,
        number(row.outfit, 2) or NOT_AVAILABLE,
        f"{row.lower_lost} of {row.lower_met}",
        f"{row.higher_won} of {row.higher_met}",
        ", ".join(notes),
    )
