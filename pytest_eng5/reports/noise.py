"""Repeats in words: the noise floor beside a gate, lines for a terminal, a section of the report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from pytest_eng5.alignment import ENOUGH_REPEATS, AlignmentMetrics, MetricValue, RepeatedFigure
from pytest_eng5.gates import Verdict
from pytest_eng5.reports.figures import LABELS, figure, number
from pytest_eng5.reports.markdown import inline, one_line, table
from pytest_eng5.reports.outcome import VariantOutcome
from pytest_eng5.reports.repeats import CONFIDENCE, Repeats

__all__ = ["noise_lines", "noise_text", "repeats_hint", "repeats_markdown"]

UNKNOWN = "n/a"

_FAR = 10
_INSTEAD = {
    "direct_inversions": "majority_inversions and inversion_rate do not grow with the number of runs",
    "upper_grade_inversions": "allow for more of them",
}


def noise_text(verdict: Verdict, repeats: Repeats | None) -> str | None:
    """The noise floor beside a gate, in one clause: ``same-prompt SD 0.07 (...); your gate is 0.6 SD away``.

    ``None`` for what was not measured, and for figures whose spread nothing is known of.
    """
    found = repeats.figures.get(verdict.metric) if repeats else None
    if repeats is None or found is None or verdict.reason is not None or not _varies(found):
        return None
    distance = abs(repeats.distance(verdict))
    if math.isnan(distance):
        return spread_text(found)
    many = f"more than {_FAR}" if distance > _FAR else f"{distance:.1f}"
    away = f"{many} {'SD' if found.measured else 'simulated SD'} away"
    where = f"your gate is {away}"
    if repeats.of_single_runs(verdict.metric):
        where = (
            f"your gate, which judges all together, is {away} from the {_short(found.mean)} of single runs"
        )
    return f"{spread_text(found)}; {where}"


def repeats_hint(verdict: Verdict, repeats: Repeats | None) -> str | None:
    """What to know of a gate that fails on a count of all runs although single runs would pass on average."""
    if repeats is None or verdict.passed or verdict.maximum is None or verdict.metric not in _INSTEAD:
        return None
    if not repeats.of_single_runs(verdict.metric):
        return None
    if repeats.figures[verdict.metric].mean > verdict.maximum:
        return None
    return f"a pair counts if it was inverted in any of the runs; {_INSTEAD[verdict.metric]}"


def spread_text(found: RepeatedFigure) -> str:
    """The standard deviation between runs, with what is known about it."""
    simulated = _short(found.simulated_spread)
    instead = f", simulated {simulated}" if simulated else ""
    if found.counted < 2:
        return f"same-prompt SD not measured with one run{instead}"
    if found.spread == 0:
        return f"the {found.counted} runs do not differ, so that the same-prompt SD is unknown{instead}"
    low, high = found.spread_interval(CONFIDENCE) or (math.nan, math.nan)
    interval = f"{CONFIDENCE * 100:g} % CI {_short(low)}-{_short(high)}"
    if found.measured:
        return f"same-prompt SD {_short(found.spread)} ({found.counted} runs, {interval})"
    doubt = f"very uncertain with {found.counted} runs ({interval})"
    return f"same-prompt SD {_short(found.spread)}, {doubt}{instead}"


def noise_lines(outcomes: Iterable[VariantOutcome]) -> list[str]:
    """Lines for a terminal: what each run of a repeated variant gave for its gates, and the noise floor.

    Variants that ran once have a line in common, which says that nothing was measured.
    """
    lines: list[str] = []
    once: list[float] = []
    for outcome in outcomes:
        repeats = outcome.repeats
        if repeats is not None and repeats.runs > 1:
            name = f"{one_line(outcome.scenario)} / {one_line(outcome.variant)}"
            lines += [f"{name}, {repeats.runs} runs:", *_of_variant(outcome.verdicts, repeats)]
        elif repeats is not None and outcome.verdicts and "kendall_tau" in repeats.figures:
            once.append(repeats.figures["kendall_tau"].simulated_spread)
    return lines + _ran_once([spread for spread in once if spread >= 0])


def _of_variant(verdicts: Sequence[Verdict], repeats: Repeats) -> Iterator[str]:
    told = {verdict.metric: noise_text(verdict, repeats) for verdict in verdicts}
    tau = repeats.figures.get("kendall_tau")
    if not told and tau is not None and tau.counted:
        told["kendall_tau"] = spread_text(tau)
    for name, text in told.items():
        if text is not None:
            found = repeats.figures[name]
            each = " ".join(_value(name, value) for value in found.values)
            yield f"  {name} {each}, together {_value(name, found.pooled)}"
            yield f"    {text}"
    yield from (f"  not counted: {reason}" for reason in repeats.left_out.values())


def _ran_once(simulated: Sequence[float]) -> list[str]:
    if not simulated:
        return []
    low, high = _short(min(simulated)), _short(max(simulated))
    about = low if low == high else f"{low} to {high}"
    return [
        f"variants that ran once: same-prompt SD of tau not measured, simulated {about}; "
        f"repeats: {ENOUGH_REPEATS} would measure it"
    ]


def repeats_markdown(outcome: VariantOutcome) -> list[str]:
    """A section of the report: every figure by run, its spread, and what to know of it."""
    repeats, pooled = outcome.repeats, outcome.alignment
    if repeats is None or pooled is None or not repeats.simulations + repeats.runs - 1:
        return []
    lines = ["## Repeats and Noise Floor", ""]
    if repeats.runs > 1 and repeats.counted:
        runs = [f"Run {run.repeat}" for run in outcome.runs]
        head = (
            "Metric",
            *runs,
            "Mean",
            "Same-prompt SD",
            f"{CONFIDENCE * 100:g} % CI",
            "Simulated SD",
            "Together",
        )
        compared = [str(run.ledger.succeeded) for run in outcome.runs]
        rows = [("Comparisons (successful)", *compared, "", "", "", "", str(outcome.ledger.succeeded))]
        rows += [_row(name, found) for name, found in repeats.figures.items() if _varies(found)]
        lines += [*table(head, rows, right=range(1, len(head))), ""]
    lines += [f"- {inline(text)}" for text in _remarks(repeats, pooled)]
    return [
        *lines,
        *(f"- Not counted in the spread: {inline(reason)}" for reason in repeats.left_out.values()),
    ]


def _varies(found: RepeatedFigure) -> bool:
    """Whether there is something to tell of single runs: they differ, or could."""
    return found.counted > 0 and (found.spread > 0 or found.simulated_spread >= 0)


def _row(name: str, found: RepeatedFigure) -> tuple[str, ...]:
    ends = found.spread_interval(CONFIDENCE)
    return (
        LABELS.get(name, name),
        *(_value(name, value) for value in found.values),
        number(found.mean) or UNKNOWN,
        number(found.spread) or UNKNOWN,
        f"{number(ends[0])} to {number(ends[1])}" if ends else "",
        number(found.simulated_spread) or "",
        _value(name, found.pooled),
    )


def _remarks(repeats: Repeats, pooled: AlignmentMetrics) -> Iterator[str]:
    """What a reader of the spread has to know, a sentence each."""
    if repeats.counted == 1:
        yield (
            "There is one run to go by, so how far runs of this prompt lie apart was not measured. Simulated "
            f"runs of the judge stand in for it; repeats: {ENOUGH_REPEATS} or more would measure it."
        )
    if repeats.counted < 2:
        return
    if repeats.counted < ENOUGH_REPEATS:
        yield (
            f"A standard deviation of {repeats.counted} values is very uncertain. Up to {ENOUGH_REPEATS - 1} "
            "runs the distance of a gate is told in simulated ones."
        )
    yield from _compared_with_simulated(repeats)
    if not pooled.population.pairs_in_both_orders:
        yield (
            "No pair was shown in both orders in any run: that runs agree says nothing about a position bias."
        )
    yield (
        "Together, a pair counts as inverted if it was in any run: direct inversions grow with the number of "
        "runs, majority inversions and the inversion rate do not."
    )


def _compared_with_simulated(repeats: Repeats) -> Iterator[str]:
    """Whether the runs lie further apart, or less far, than runs of independent answers would."""
    tau = repeats.figures.get("kendall_tau")
    ends = tau.spread_interval(CONFIDENCE) if tau is not None else None
    if tau is None or ends is None:
        return
    if tau.simulated_spread < ends[0]:
        yield "The runs differ more in tau than their comparisons explain: something changed between them."
    if tau.simulated_spread > ends[1]:
        yield "The runs differ less in tau than independent answers would: the judge repeats its answers."


def _value(name: str, value: float) -> str:
    return figure(name, MetricValue(value)) or UNKNOWN


def _short(value: float) -> str:
    """Two significant digits, at least the whole number: ``0.07``, ``1.4``, ``12``; empty if undefined."""
    if not math.isfinite(value):
        return ""
    return f"{value:.2g}" if abs(value) < 10 else f"{value:.0f}"
