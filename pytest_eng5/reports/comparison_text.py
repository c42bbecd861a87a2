"""A comparison of variants in words: lines for a terminal, and what belongs to one candidate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pytest_eng5.gates.improvement import IMPROVEMENTS
from pytest_eng5.reports.comparison_changes import LOOKED_AT
from pytest_eng5.reports.comparison_model import (
    Change,
    ComparedCandidate,
    ComparedFigure,
    ComparedPair,
    Comparison,
    ImprovementRecord,
)
from pytest_eng5.reports.figures import number
from pytest_eng5.reports.markdown import one_line

__all__ = [
    "FIGURES",
    "candidate_text",
    "change_text",
    "changes_text",
    "comparison_table",
    "figure_row",
    "figures_text",
    "p_text",
    "pair_text",
    "pairs_summary",
    "pairs_text",
    "tables",
    "undecided_comparisons",
]

FIGURES = {
    "kendall_tau": "tau-b",
    "direct_inversions": "direct inversions",
    "pair_agreement": "agreement with the grades",
}
"""What each figure is called."""

_UNKNOWN = "n/a"
_DECIMALS = {"direct_inversions": (0, 1)}
_NAME_WIDTH = 22
_SHOWN = 12


def comparison_table(comparison: Comparison) -> list[str]:
    """Aligned lines without colour, one per candidate and figure; the verdict is the last word of a line."""
    level = f"{comparison.confidence * 100:g}"
    head = (
        "candidate",
        "figure",
        "baseline",
        "its own",
        f"better by ({level} % CI)",
        "p",
        "differing",
        "verdict",
    )
    rows = [row for candidate in comparison.candidates for row in _rows(candidate)]
    told = [
        f"  {_name(c.candidate)}: not compared: {one_line(c.problem)}"
        for c in comparison.candidates
        if c.problem
    ]
    title = f"{one_line(comparison.scenario)}: compared with {one_line(comparison.baseline)}"
    return [title, *_aligned((head, *rows) if rows else (), left=2), *told]


def _rows(candidate: ComparedCandidate) -> Iterator[tuple[str, ...]]:
    for verdict in candidate.verdicts:
        figure = IMPROVEMENTS[verdict.metric]
        found = candidate.figures[figure]
        short = _DECIMALS.get(figure, (3, 3))[0]
        yield (
            _name(candidate.candidate),
            FIGURES[figure],
            number(found.baseline, short) or _UNKNOWN,
            number(found.candidate, short) or _UNKNOWN,
            _gain(verdict, figure),
            p_text(found.adjusted_p_value),
            f"{len(candidate.differing_pairs)}/{candidate.pairs}",
            verdict.status,
        )


def _name(name: str) -> str:
    name = one_line(name)
    return name if len(name) <= _NAME_WIDTH else f"{name[: _NAME_WIDTH - 2]}.."


def _gain(verdict: ImprovementRecord, figure: str) -> str:
    short, long = _DECIMALS.get(figure, (3, 2))
    value = _signed(verdict.improvement, short)
    low, high = number(verdict.low, long), number(verdict.high, long)
    return value if low is None or high is None else f"{value} ({low}..{high})"


def _signed(value: float | None, decimals: int) -> str:
    text = number(value, decimals)
    return _UNKNOWN if text is None else text if text.startswith("-") else f"+{text}"


def _aligned(rows: Sequence[Sequence[str]], left: int = 1) -> Iterator[str]:
    """Lines of cells; the first columns and the last to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    for row in rows:
        cells = [
            cell.ljust(width) if column < left or column == len(row) - 1 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield f"  {'  '.join(cells)}".rstrip()


def candidate_text(comparison: Comparison, candidate: ComparedCandidate) -> list[str]:
    """Everything about one candidate: figures, what else differs, and which pairs were judged differently."""
    if candidate.problem is not None:
        return [f"not compared: {candidate.problem}", *_changes(candidate.changes)]
    return [*figures_text(comparison, candidate), *_changes(candidate.changes), *pairs_text(candidate)]


def figures_text(comparison: Comparison, candidate: ComparedCandidate) -> list[str]:
    """What a candidate's figures rest on, and the figures."""
    names = (comparison.baseline, candidate.candidate)
    pairs = f"{candidate.pairs} anchor pairs that both judged"
    left = (
        f" ({candidate.pairs_left_out} that only one judged are left out)" if candidate.pairs_left_out else ""
    )
    counts = f"{candidate.baseline_comparisons} and {candidate.candidate_comparisons} comparisons"
    several = any(found.adjusted_p_value != found.p_value for found in candidate.figures.values())
    head = ("", *names, f"difference ({comparison.confidence * 100:g} % CI)", "p", *(["p (Holm)"] * several))
    rows = [figure_row(figure, found, corrected=several) for figure, found in candidate.figures.items()]
    return [
        f"{names[1]} against {names[0]}: {candidate.anchors} anchors, {pairs}{left}, {counts}",
        *_aligned((head, *rows)),
    ]


def pairs_text(candidate: ComparedCandidate, shown: int = _SHOWN) -> list[str]:
    """How many pairs were judged differently, and the first of them by name."""
    pairs = candidate.differing_pairs
    lines = [pairs_summary(candidate), *(f"  {pair_text(pair)}" for pair in pairs[:shown])]
    return [*lines, f"  ... and {len(pairs) - shown} more"] if len(pairs) > shown else lines


def changes_text(changes: Sequence[Change]) -> list[str]:
    """One line per thing that is looked at: what changed in it, or that it is the same."""
    lines = ["what changed:"]
    for what in LOOKED_AT:
        found = [change for change in changes if change.what.startswith(what)]
        if not found:
            lines.append(f"  {what}: same")
        lines += [f"  {change_text(change)}" for change in found]
    return lines


def figure_row(figure: str, found: ComparedFigure, *, corrected: bool) -> tuple[str, ...]:
    """Name, both values, difference with interval, p, and p over all candidates if there are several."""
    short, long = _DECIMALS.get(figure, (3, 2))
    low, high = number(found.low, long), number(found.high, long)
    interval = "" if low is None or high is None else f" ({low}..{high})"
    adjusted = (p_text(found.adjusted_p_value),) if corrected else ()
    return (
        FIGURES[figure],
        number(found.baseline, short) or _UNKNOWN,
        number(found.candidate, short) or _UNKNOWN,
        f"{_signed(found.difference, short)}{interval}",
        p_text(found.p_value),
        *adjusted,
    )


def p_text(value: float | None) -> str:
    """A p-value with three decimals, ``<0.001`` below that."""
    return "<0.001" if value is not None and value < 0.0005 else number(value) or _UNKNOWN


def _changes(changes: Sequence[Change]) -> list[str]:
    if not changes:
        return ["same prompts, rubric, judge, anchors and task: what differs between them is chance"]
    return ["what differs between them:", *(f"  {change_text(change)}" for change in changes)]


def change_text(change: Change) -> str:
    """``judge temperature: 0.1 -> 0.3``."""
    return one_line(f"{change.what}: {change.baseline} -> {change.candidate}")


def pairs_summary(candidate: ComparedCandidate) -> str:
    """How many pairs were judged differently, and in which direction."""
    pairs = candidate.differing_pairs
    gained, lost = sum(pair.gained for pair in pairs), sum(pair.lost for pair in pairs)
    equal = len(pairs) - gained - lost
    parts = [f"{gained} nearer to the grades", f"{lost} further from them"]
    parts += [f"{equal} of equal grades"] if equal else []
    tail = f" ({', '.join(parts)})" if pairs else ""
    return f"pairs judged differently: {len(pairs)} of {candidate.pairs}{tail}"


def pair_text(pair: ComparedPair) -> str:
    """``anchor_1 (A) beat anchor_3 (C+): 0 of 1 -> 1 of 1, nearer to the grades``."""
    direction = "equal grades" if pair.equal_grades else "nearer" if pair.gained else "further"
    return one_line(
        f"{pair.better} ({pair.better_grade}) beat {pair.worse} ({pair.worse_grade}): "
        f"{pair.baseline_won} of {pair.baseline_comparisons} -> "
        f"{pair.candidate_won} of {pair.candidate_comparisons}, {direction}"
    )


def tables(comparisons: Iterable[Comparison]) -> list[str]:
    """The tables of several scenarios, an empty line before each."""
    return [line for comparison in comparisons for line in ("", *comparison_table(comparison))]


def undecided_comparisons(comparisons: Iterable[Comparison]) -> Iterator[str]:
    """A line per figure of a candidate that is undecided, whatever becomes of it."""
    for comparison in comparisons:
        warned = ", only warned of" if comparison.undecided == "warn" else ""
        for candidate in comparison.candidates:
            for verdict in candidate.verdicts:
                if verdict.status == "UNDECIDED":
                    message = verdict.message.removeprefix("UNDECIDED ")
                    yield f"{one_line(comparison.scenario)} / compare: {message}{warned}"
