"""Is a variant better than the baseline by as much as asked? From a paired comparison to a verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_eng5.errors import UsageError
from pytest_eng5.gates.threshold import TOLERANCE
from pytest_eng5.gates.verdicts import Status
from pytest_eng5.gates.wording import bound_text, plural

if TYPE_CHECKING:
    from pytest_eng5.alignment import Difference, VariantComparison

__all__ = ["IMPROVEMENTS", "ImprovementVerdict", "judge_improvement"]

IMPROVEMENTS = {
    "kendall_tau": "kendall_tau",
    "direct_inversions": "direct_inversions",
    "agreement": "pair_agreement",
}
"""What can be asked to improve, and the figure of a paired comparison that it is."""

_LOWER_IS_BETTER = frozenset({"direct_inversions"})


@dataclass(frozen=True)
class ImprovementVerdict:
    """What a gate on an improvement decided.

    Attributes:
        metric: Name of the figure.
        status: PASS if all of the interval is at least the minimum and the p-value, corrected for all
            candidates, at most one minus the confidence; FAIL if none of the interval is; else UNDECIDED.
        message: One sentence that starts with the status.
        hint: What would decide, or ``None``.
        improvement: Of the candidate, positive if better; NaN if undefined.
        low: Lower end of its interval, ``None`` without one.
        high: Upper end.
        minimum: What was asked for.
    """

    metric: str
    status: Status
    message: str
    hint: str | None
    improvement: float
    low: float | None
    high: float | None
    minimum: float

    @property
    def passed(self) -> bool:
        """Whether the status is PASS; an undecided gate has not passed."""
        return self.status is Status.PASS


def judge_improvement(
    comparison: VariantComparison,
    metric: str = "kendall_tau",
    minimum: float = 0.0,
    *,
    obstacle: str | None = None,
) -> ImprovementVerdict:
    """Judge one figure of a candidate against the baseline.

    Args:
        comparison: Of both variants, with the confidence that the gate asks for.
        metric: One of :data:`IMPROVEMENTS`, or the name of a figure.
        minimum: The least improvement, in units of the figure; fewer inversions are an improvement. Below 0:
            how much worse the candidate may be, for which the p-value does not count.
        obstacle: Why the figures mean nothing whatever their values, as when they rest on unconnected pairs.

    Raises:
        UsageError: There is no such figure, or the minimum is not a number.
    """
    figure = IMPROVEMENTS.get(metric, metric)
    if figure not in comparison.differences or not math.isfinite(minimum):
        raise UsageError(
            f"an improvement of {metric} by {minimum} cannot be judged",
            fix=f"choose one of {', '.join(IMPROVEMENTS)}, and a number",
        )
    difference = comparison.differences[figure]
    undefined = difference.low is None or difference.high is None or math.isnan(difference.difference)
    if undefined or obstacle is not None:
        return _unmeasured(comparison, metric, minimum, obstacle)
    gain, low, high = _improvement(figure, difference)
    status = _status(low, high, minimum, difference.adjusted_p_value, 1 - comparison.confidence)
    return ImprovementVerdict(
        metric=metric,
        status=status,
        message=f"{status.value} {metric} of {comparison.candidate} {_change(figure, gain, minimum)} "
        f"than that of {comparison.baseline} ({_context(comparison, figure, low, high)})",
        hint=_hint(comparison, gain, low, high, minimum) if status is Status.UNDECIDED else None,
        improvement=gain,
        low=low,
        high=high,
        minimum=minimum,
    )


def _improvement(figure: str, difference: Difference) -> tuple[float, float, float]:
    low, high = difference.low or 0.0, difference.high or 0.0
    if figure in _LOWER_IS_BETTER:
        return -difference.difference, -high, -low
    return difference.difference, low, high


def _status(low: float, high: float, minimum: float, p_value: float, level: float) -> Status:
    if high < minimum - TOLERANCE:
        return Status.FAIL
    if low >= minimum - TOLERANCE and (minimum < 0 or p_value <= level + TOLERANCE):
        return Status.PASS
    return Status.UNDECIDED


def _change(figure: str, gain: float, minimum: float) -> str:
    enough, count = gain >= minimum - TOLERANCE, figure in _LOWER_IS_BETTER
    by, bound = _value(figure, abs(gain)), bound_text(abs(minimum), count=count)
    if gain >= -TOLERANCE:
        return f"better by {by} {'>=' if enough else '<'} {'-' if minimum < 0 else ''}{bound}"
    if minimum < 0:
        return f"worse by {by} {'<=' if enough else '>'} {bound}"
    return f"worse by {by}, not better by {bound}," if minimum else f"worse by {by}"


def _value(figure: str, value: float) -> str:
    return f"{value:z.{0 if figure in _LOWER_IS_BETTER else 3}f}"


def _context(comparison: VariantComparison, figure: str, low: float, high: float) -> str:
    difference = comparison.differences[figure]
    percent = f"{comparison.confidence * 100:g} % CI"
    p_value = f"p {_p_text(difference.p_value)}"
    if difference.adjusted_p_value != difference.p_value:
        p_value += f", {_p_text(difference.adjusted_p_value)} over all variants"
    return (
        f"{_value(figure, difference.candidate)} against {_value(figure, difference.baseline)}, "
        f"{percent} {low:z.2f} to {high:z.2f}, {p_value}, "
        f"{plural(comparison.pairs, 'common pair')}, {comparison.differing_pairs} judged differently"
    )


def _p_text(value: float) -> str:
    return "<0.001" if value < 0.0005 else f"{value:.3f}"


def _hint(comparison: VariantComparison, gain: float, low: float, high: float, minimum: float) -> str:
    from pytest_eng5.alignment import comparisons_to_decide  # needs numpy, which collection does without

    have = min(comparison.comparisons)
    total = comparisons_to_decide(gain, low, high, minimum, have)
    if total is None:
        return "the improvement lies on the minimum: no number of comparisons will decide"
    if total <= have:
        return "the interval decides, but not after correction for all variants: compare fewer, or more often"
    more = plural(total - have, "more comparison")
    return f"about {more} of either variant would decide, if the difference stays where it is"


def _unmeasured(
    comparison: VariantComparison, metric: str, minimum: float, obstacle: str | None
) -> ImprovementVerdict:
    undefined = "it is undefined on the common pairs"
    reason = obstacle or ("no pair was judged by both" if not comparison.pairs else undefined)
    return ImprovementVerdict(
        metric=metric,
        status=Status.FAIL,
        message=f"FAIL {metric} of {comparison.candidate} not compared with {comparison.baseline}: {reason}",
        hint="a gate never passes on what was not measured",
        improvement=math.nan,
        low=None,
        high=None,
        minimum=minimum,
    )
