"""Confidence that cannot be had: from figures without an interval, or from so few comparisons.

Needs nothing but thresholds and expert grades, and no numerical library, so that collection can afford it.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from statistics import NormalDist

from pytest_eng5.gates.registry import METRICS, MetricInfo
from pytest_eng5.gates.threshold import TOLERANCE, ThresholdLike, bounds_of, confidence_of
from pytest_eng5.gates.wording import bound_text, plural

__all__ = ["never_certain"]

_MOST = 10**6
_WORTH = 2.0
"""What a comparison is worth at most. Some are certain, so that their share varies less than a coin's: runs
without an inversion, over 5 to 16 anchors, were worth up to 1.3 comparisons each."""


def never_certain(
    threshold: ThresholdLike, grade_ranks: Sequence[int | None], comparisons_max: int | None = None
) -> str | None:
    """Why a threshold with a ``confidence`` could not pass whatever the judge did, or ``None``.

    Even a judge without a single inversion leaves a Wilson interval that reaches above zero; where the best
    interval, each comparison being worth two, does not satisfy the threshold, the gate would be undecided at
    best.

    Args:
        threshold: One whose bounds and metric are sound.
        grade_ranks: Rank per anchor, 0 = best, ``None`` for an unknown grade.
        comparisons_max: The most comparisons between anchors, all repeats together; default one full
            round-robin.

    Returns:
        One sentence without a final full stop.
    """
    info, confidence = METRICS.get(threshold.metric), confidence_of(threshold)
    if info is None or confidence is None:
        return None
    if not info.interval:
        return f"{info.name} {_why_none(info)}, so no confidence can be asked of it: remove it"
    known = [rank for rank in grade_ranks if rank is not None]
    if len(known) < 2 or len(known) != len(grade_ranks):
        return None
    pairs = len(known) * (len(known) - 1) // 2
    limit = pairs if comparisons_max is None else comparisons_max
    z2 = NormalDist().inv_cdf(0.5 + confidence / 2) ** 2
    percent = f"{confidence * 100:g} %"
    if info.name in _COUNTS:
        least = len(set(known)) - 1 if info.name != "upper_grade_inversions" else 1
        return _count(info.name, threshold, least, z2, percent)
    if info.name in _SHARES:
        most = min(limit, pairs) if info.name == "flip_rate" else limit
        return _share(info.name, threshold, most, z2, percent)
    return None


def _why_none(info: MetricInfo) -> str:
    return (
        "has no interval" if info.of_judge else "is a property of the comparisons made, without an interval"
    )


_COUNTS = ("direct_inversions", "majority_inversions", "upper_grade_inversions")
_SHARES = ("inversion_rate", "agreement", "flip_rate", "position_bias")


def _count(name: str, threshold: ThresholdLike, least: int, z2: float, percent: str) -> str | None:
    """Pairs of different grades: at least so many are compared, and none of them is inverted."""
    best = least * z2 / (_WORTH * least + z2)
    high = bounds_of(threshold)[1]
    if high >= best - TOLERANCE:
        return None
    return (
        f"{name} <= {bound_text(high, count=True)} cannot be shown with {percent} confidence: even without "
        f"any inversion the interval reaches at least {best:.1f}; remove confidence, or raise max"
    )


def _share(name: str, threshold: ThresholdLike, number: int, z2: float, percent: str) -> str | None:
    """The best share that the bounds allow, of at most so many comparisons."""
    low, high = bounds_of(threshold)
    if name == "position_bias":
        low, high = low + 0.5, high + 0.5

    def possible(n: int) -> bool:
        some = _WORTH * n
        return _narrowest(low, high, some, z2) <= high - low if low > 0 and high < 1 else _extreme(some)

    def _extreme(n: float) -> bool:
        end = z2 / (n + z2)  # of the interval of none of n, and 1 minus that of all of n
        return end <= high + TOLERANCE if low <= 0 else 1 - end >= low - TOLERANCE

    if possible(number):
        return None
    needed = _least(possible)
    more = "no number of them would be enough" if needed is None else f"it takes at least {needed}"
    unit = "pair" if name == "flip_rate" else "comparison"
    return (
        f"{name} {_demand(threshold)} cannot be shown with {percent} confidence by {plural(number, unit)}, "
        f"however good the judge: {more}"
    )


def _narrowest(low: float, high: float, n: float, z2: float) -> float:
    """The least width of the interval of a share within the bounds: farthest from one half."""
    share = min(low, high, key=lambda end: end * (1 - end))
    return 2 * math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2))) / (1 + z2 / n)


def _least(possible: Callable[[int], bool]) -> int | None:
    number = bisect_left(range(_MOST + 1), True, key=possible)
    return number if number <= _MOST else None


def _demand(threshold: ThresholdLike) -> str:
    ends = ((">=", threshold.min), ("<=", threshold.max))
    return " and ".join(f"{sign} {bound_text(end)}" for sign, end in ends if end is not None)
