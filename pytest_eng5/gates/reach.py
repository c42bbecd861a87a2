"""Thresholds that no data could satisfy, found before anything is run or paid for.

Needs nothing but the thresholds and the expert grades, and imports no numerical library, so that
collection can afford it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pytest_eng5.gates.registry import METRICS, MetricInfo, UnknownMetricError, metric_info
from pytest_eng5.gates.threshold import TOLERANCE, ThresholdLike, bounds_of, satisfies
from pytest_eng5.gates.wording import bound_text

__all__ = ["Contradiction", "attainable", "contradictions", "unreachable"]

GradeRanks = Sequence[int | None]


@dataclass(frozen=True)
class Contradiction:
    """Thresholds that cannot all be met, with the reason; ``str()`` is the reason."""

    metrics: tuple[str, ...]
    reason: str

    def __str__(self) -> str:
        return self.reason


def attainable(metric: str, grade_ranks: Sequence[int]) -> float | None:
    """Greatest tau that the grade ties allow scores without ties.

    ``None`` for other metrics or if all grades are equal. The formulas are those of
    ``alignment.attainable_tau_b`` and ``attainable_tau_a``, without the numerical libraries.
    """
    pairs, untied = _pairs(grade_ranks)
    if not untied or metric not in ("kendall_tau", "kendall_tau_a"):
        return None
    return untied / pairs if metric == "kendall_tau_a" else math.sqrt(untied / pairs)


def unreachable(threshold: ThresholdLike, grade_ranks: GradeRanks) -> str | None:
    """Why no data could satisfy a threshold, or ``None`` if some could.

    For tau the greatest value is the one that scores without ties can attain; equal scores of same-grade
    anchors, the only way above it, are an accident that no threshold should wait for.

    Args:
        threshold: Metric and bounds.
        grade_ranks: Rank per anchor, 0 = best, ``None`` for an unknown grade. With an unknown grade or
            fewer than two anchors only what holds for all anchors is refused here; the gate itself then
            fails with that reason.

    Returns:
        One sentence without a final full stop. A metric that does not exist is such a reason too.
    """
    try:
        info = metric_info(threshold.metric)
    except UnknownMetricError as error:
        return f"{error.what}; {error.fix}"
    low, high = bounds_of(threshold)
    if math.isnan(low) or math.isnan(high):
        return f"the threshold of {info.name} is not a number"
    if low == -math.inf and high == math.inf:
        return f"the threshold of {info.name} has neither min nor max"
    if low > high:
        return f"{info.name}: min {bound_text(low)} is above max {bound_text(high)}"
    return _beyond(info, low, high, grade_ranks)


def _beyond(info: MetricInfo, low: float, high: float, grade_ranks: GradeRanks) -> str | None:
    known = [rank for rank in grade_ranks if rank is not None]
    complete = len(known) == len(grade_ranks) and len(known) >= 2
    if complete and info.needs in ("three", "circle", "triads") and len(known) < 3:
        return f"{info.name} cannot be measured: it takes at least 3 anchors, and there are 2"
    if complete and info.needs in ("decidable", "upper") and len(set(known)) == 1:
        return f"{info.name} cannot be measured: all {len(known)} anchors have the same grade"
    smallest, largest, why = _range(info, known if complete else None)
    whole = info.kind in ("count", "flag")
    if low > largest + TOLERANCE:
        why = why or f"it is at most {bound_text(largest, count=whole)}"
        return f"{info.name} >= {bound_text(low, count=whole)} cannot be reached: {why}"
    if high < smallest - TOLERANCE:
        least = bound_text(round(smallest, 3), count=whole)
        return f"{info.name} <= {bound_text(high, count=whole)} cannot be reached: it is at least {least}"
    finite = math.isfinite(low) and math.isfinite(high)
    if whole and finite and math.ceil(low - TOLERANCE) > math.floor(high + TOLERANCE):
        return f"{info.name}: there is no whole number from {bound_text(low)} to {bound_text(high)}"
    return None


def _range(info: MetricInfo, known: list[int] | None) -> tuple[float, float, str | None]:
    """Smallest and largest value, and what limits the largest where the anchors do."""
    if info.name == "ssr":
        return -math.inf, 1.0 - 1e-9, "it is always below 1"
    if known is None:
        return info.low, math.inf if info.high is None else info.high, None
    pairs, untied = _pairs(known)
    best = attainable(info.name, known)
    if best is not None:
        why = f"grade ties limit it to {best:.3f} ({pairs - untied} of {pairs} pairs have equal grades)"
        return -best, best, why
    if info.high is not None:
        return info.low, info.high, None
    if info.of_judge:
        return info.low, *_most_of_judge(info, len(known))
    if info.needs in ("decidable", "upper"):
        return 0.0, float(untied), f"only {untied} of {pairs} pairs can be inverted"
    return 0.0, float(len(known) - 1), f"of {len(known)} anchors at least one wins"


def _most_of_judge(info: MetricInfo, n: int) -> tuple[float, str | None]:
    """Of a figure that no grade limits: the triads that can be circular, or the number of anchors."""
    if info.name == "circular_triads":
        most = (n**3 - (n if n % 2 else 4 * n)) / 24
        return most, f"of {n} anchors at most {most:.0f} triads are circular (Kendall and Babington Smith)"
    return (float(n), f"there are {n} anchors") if info.kind == "count" else (math.inf, None)


def contradictions(
    thresholds: Iterable[ThresholdLike], grade_ranks: GradeRanks, comparisons_max: int | None = None
) -> list[Contradiction]:
    """Thresholds of one variant that exclude each other or the number of comparisons it may make.

    Args:
        thresholds: All thresholds of the variant; unknown metrics are left to :func:`unreachable`.
        grade_ranks: As there; an unknown grade or fewer than two anchors give no contradiction.
        comparisons_max: The most comparisons between anchors, all repeats together; default one full
            round-robin. Up to a round-robin no pair is compared twice.
    """
    known = [rank for rank in grade_ranks if rank is not None]
    if len(known) < 2 or len(known) != len(grade_ranks):
        return []
    limit = _pairs(known)[0] if comparisons_max is None else comparisons_max
    every = {threshold.metric: threshold for threshold in thresholds}
    return [*_zero_win_trap(every, known, limit), *_too_few(every, known, limit)]


def _zero_win_trap(every: dict[str, ThresholdLike], known: list[int], limit: int) -> Iterator[Contradiction]:
    """No inversions and no zero-win anchor: the lowest grade loses to all others (contract 14.3)."""
    demand = next((name for name in _NO_INVERSION if _forbids_inversions(every.get(name))), None)
    zero = every.get("zero_win_anchors")
    if demand is None or zero is None or satisfies(1.0, *bounds_of(zero)) or bounds_of(zero)[0] > 0:
        return
    lowest = known.count(max(known))
    pairs, untied = _pairs(known)
    if untied and (lowest == 1 or (lowest == 2 and limit <= pairs)):
        who = "the one anchor" if lowest == 1 else "one of the two anchors"
        yield Contradiction(
            (demand, "zero_win_anchors"),
            f"{demand} without any inversion and zero_win_anchors <= 0 exclude each other: without "
            f"inversions {who} of the lowest grade never wins; allow zero_win_anchors: {{max: 1}}",
        )


_NO_INVERSION = ("direct_inversions", "inversion_rate", "agreement")


def _forbids_inversions(threshold: ThresholdLike | None) -> bool:
    if threshold is None:
        return False
    low, high = bounds_of(threshold)
    if threshold.metric == "agreement":
        return low >= 1.0
    return high < 1.0 if threshold.metric == "direct_inversions" else high <= 0.0


def _too_few(every: dict[str, ThresholdLike], known: list[int], limit: int) -> Iterator[Contradiction]:
    n = len(known)
    pairs, _ = _pairs(known)
    if every and limit < n - 1:
        yield Contradiction(
            tuple(every),
            f"{limit} comparisons cannot join {n} anchors, and no gate passes on a disconnected graph; "
            f"allow at least {n - 1}",
        )
    coverage = every.get("coverage")
    if coverage is not None and bounds_of(coverage)[0] > limit / pairs + TOLERANCE:
        yield Contradiction(
            ("coverage",), f"{limit} comparisons cover at most {limit / pairs:.3f} of {pairs} pairs"
        )
    for name in every:
        if name in METRICS and METRICS[name].needs == "both_orders" and limit <= pairs:
            yield Contradiction(
                (name,),
                f"up to {pairs} comparisons no pair is seen in both orders, so {name} cannot be measured",
            )


def _pairs(grade_ranks: Sequence[int]) -> tuple[int, int]:
    """Number of pairs, and of those with different grades."""
    every = math.comb(len(grade_ranks), 2)
    return every, every - sum(math.comb(count, 2) for count in Counter(grade_ranks).values())
