"""How many comparisons in all until an interval no longer holds a bound: the hint of an undecided gate.

If the value stays where it is, the distance from the value to either end shrinks with the root of the number
of comparisons, on the scale on which the interval is symmetric: that of log(1 - x) for reliabilities, the
plain one otherwise. Wilson intervals are computed anew with more comparisons instead, tau's among them. A
value that moves, as values do, needs more or fewer: half of all such estimates turn out too low.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from pytest_eng5.alignment.intervals import wilson_interval

__all__ = [
    "Scale",
    "comparisons_to_decide",
    "comparisons_to_decide_reliability",
    "comparisons_to_decide_share",
]

Scale = Literal["fisher", "reliability", "plain"]

_EDGE = 1e-9
_LIMIT = 10**7


def comparisons_to_decide(
    value: float, low: float, high: float, bound: float, comparisons: int, scale: Scale = "plain"
) -> int | None:
    """Comparisons in all, those made included, for an interval that excludes the bound.

    Args:
        value: The value, within the interval.
        low: Lower end of its interval.
        high: Upper end.
        bound: What the interval shall exclude.
        comparisons: Those it rests on.
        scale: On which the interval is symmetric: ``fisher`` for tau, ``reliability`` for SSR and the like.

    Returns:
        ``comparisons`` if the interval excludes the bound already; ``None`` if the value lies on the bound,
        so that no number would decide.
    """
    if not low <= bound <= high:
        return comparisons
    moved = _SCALES[scale]
    end = low if bound < value else high
    side, distance = abs(moved(value) - moved(end)), abs(moved(value) - moved(bound))
    if distance < _EDGE:
        return None
    return max(math.ceil(comparisons * (side / distance) ** 2 - 1e-6), comparisons + 1)


def comparisons_to_decide_share(
    value: float, bound: float, comparisons: int, confidence: float = 0.95, worth: float = 1.0
) -> int | None:
    """The same for a share of comparisons with a Wilson interval.

    Args:
        value: The share, 0 to 1.
        bound: What the interval shall exclude.
        comparisons: Those the share is of.
        confidence: Of the interval.
        worth: Effective number (:func:`.intervals.wilson_number`) per comparison.

    Returns:
        As above; ``None`` also beyond ten million.
    """

    def decided(number: int) -> bool:
        low, high = wilson_interval(value * number * worth, number * worth, confidence)
        return not low <= bound <= high

    return None if abs(value - bound) < _EDGE else _least(decided, comparisons)


def comparisons_to_decide_reliability(
    value: float, low: float, high: float, bound: float, comparisons: int
) -> int | None:
    """The same for a reliability, which does not stay where it is: it grows with the comparisons.

    With k times as many, r becomes kr / (1 + (k - 1)r) (Spearman 1910, Brown 1910), and the spread of
    log(1 - r) shrinks with the root of k. Sooner or later the whole interval lies above any bound below 1.

    Returns:
        As in :func:`comparisons_to_decide`; ``None`` for a reliability that is not positive, which more
        comparisons of the same kind do not raise, and beyond ten million.
    """
    if not low <= bound <= high:
        return comparisons
    if value <= 0 or bound >= 1:
        return None
    spread = _reliability(low) - _reliability(value)

    def decided(number: int) -> bool:
        k = number / comparisons
        return 1 - (1 - value) / (1 + (k - 1) * value) * math.exp(spread / math.sqrt(k)) > bound

    return _least(decided, comparisons)


def _least(decided: Callable[[int], bool], comparisons: int) -> int | None:
    """The least number from those made on that decides, ``None`` beyond ten million."""
    if not decided(_LIMIT):
        return None
    below, enough = max(comparisons - 1, 0), max(comparisons, 1)
    while not decided(enough):
        below, enough = enough, 2 * enough
    while enough - below > 1:
        middle = (below + enough) // 2
        below, enough = (below, middle) if decided(middle) else (middle, enough)
    return enough


def _fisher(value: float) -> float:
    return math.atanh(min(max(value, -1 + _EDGE), 1 - _EDGE))


def _reliability(value: float) -> float:
    return math.log(max(1 - value, _EDGE))


_SCALES: dict[Scale, Callable[[float], float]] = {
    "fisher": _fisher,
    "reliability": _reliability,
    "plain": float,
}
