"""The table at the end of a session: one line per variant, plain text."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_eng5.reports.figures import cost_text, figure, number
from pytest_eng5.reports.markdown import one_line
from pytest_eng5.reports.outcome import VariantOutcome

__all__ = ["terminal_table"]

HEAD = ("variant", "tau-b (95 % CI)", "inversions", "zero wins", "compared", "cost", "verdict")
UNKNOWN = "n/a"
NAME_WIDTH = 22


def terminal_table(outcomes: Sequence[VariantOutcome]) -> list[str]:
    """Aligned lines without colour, variants below the name of their scenario.

    ``compared`` is succeeded of planned comparisons; ``n/a`` stands for what is not known. Names longer than
    22 characters are cut. The verdict is the last word of its line. A mode that judges nothing has words in
    place of figures, and there is no head if there is no other.
    """
    if not outcomes:
        return []
    rows = [_row(outcome) if outcome.judging else _words(outcome) for outcome in outcomes]
    widths = _widths(rows)
    judging = any(outcome.judging for outcome in outcomes)
    lines = [f"  {_line(HEAD, widths)}"] if judging else []
    scenario: str | None = None
    order = list(dict.fromkeys(outcome.scenario for outcome in outcomes))
    pairs = zip(outcomes, rows, strict=True)
    for outcome, row in sorted(pairs, key=lambda pair: order.index(pair[0].scenario)):
        if outcome.scenario != scenario:
            scenario = outcome.scenario
            lines.append(one_line(scenario))
        lines.append(f"  {_line(row, widths)}")
    return lines


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """Widths of all columns; where words stand in place of figures, the last figure makes room for them."""
    judged = [row for row in rows if len(row) == len(HEAD)]
    full = [HEAD, *judged] if judged else []
    widths = [max((len(row[column]) for row in full), default=0) for column in range(len(HEAD))]
    widths[0] = max(len(row[0]) for row in (*full, *rows))
    missing = max((len(row[1]) for row in rows if len(row) == 3), default=0) - _middle(widths)
    widths[-2] += max(missing, 0)
    return widths


def _middle(widths: Sequence[int]) -> int:
    return sum(widths[1:-1]) + 2 * (len(widths) - 3)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    if len(row) == 3:
        return "  ".join((row[0].ljust(widths[0]), row[1].ljust(_middle(widths)), row[2]))
    cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:-1], widths[1:-1], strict=True))]
    return "  ".join((*cells, row[-1])).rstrip()


def _words(outcome: VariantOutcome) -> tuple[str, str, str]:
    """Name, what was done, verdict."""
    counts = outcome.essay_counts
    essays = " of {} and {}".format(*map(_count, counts, ("anchor", "student"))) if counts else ""
    return _name(outcome), f"{outcome.mode}{essays}, nothing judged", outcome.verdict.value


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _name(outcome: VariantOutcome) -> str:
    name = one_line(outcome.variant)
    return name if len(name) <= NAME_WIDTH else f"{name[: NAME_WIDTH - 2]}.."


def _row(outcome: VariantOutcome) -> tuple[str, ...]:
    ledger = outcome.ledger
    return (
        _name(outcome),
        _tau(outcome),
        _figure(outcome, "direct_inversions"),
        _figure(outcome, "zero_win_anchors"),
        f"{ledger.succeeded}/{ledger.planned}" if ledger.planned else UNKNOWN,
        cost_text(outcome) or UNKNOWN,
        outcome.verdict.value,
    )


def _figure(outcome: VariantOutcome, name: str) -> str:
    found = outcome.metrics.get(name)
    return (figure(name, found) if found else None) or UNKNOWN


def _tau(outcome: VariantOutcome) -> str:
    value = _figure(outcome, "kendall_tau")
    found = outcome.metrics.get("kendall_tau")
    low, high = (number(found.low, 2), number(found.high, 2)) if found else (None, None)
    return value if low is None or high is None else f"{value} ({low}..{high})"
