"""What would decide a gate that is undecided, and when nothing would.

Every estimate takes the value as it is; values move, so a third to a half of them turn out too low.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from pytest_eng5.gates.threshold import ThresholdLike, bounds_of
from pytest_eng5.gates.wording import plural

if TYPE_CHECKING:
    from pytest_eng5.alignment import AlignmentMetrics

__all__ = ["Needed", "needed_to_decide"]


@dataclass(frozen=True)
class Needed:
    """What would decide.

    Attributes:
        comparisons: In all, those made included; ``None`` if no number would, or if it is not estimated.
        sentence: The same in words, with the reason.
        brief: The same in a few words.
    """

    comparisons: int | None
    sentence: str
    brief: str


def needed_to_decide(threshold: ThresholdLike, metrics: AlignmentMetrics) -> Needed:
    """About how many comparisons would move the interval of a metric off the threshold.

    SSR is moved as Spearman and Brown say; tau, shares and counts of pairs by the Wilson interval of more of
    them, each worth as much as those that were made.
    """
    found = metrics.values[threshold.metric]
    if found.low is None or found.high is None:
        sentence = "no interval could be computed: more than half of the resamples leave it undefined"
        return Needed(None, f"{sentence}, or there are none", "there is no interval")
    if found.method == "model":
        sentence = "how many comparisons would decide is not estimated for this figure; more would help"
        return Needed(None, sentence, "more comparisons would help")
    seen, rule = _Seen(found.value, found.low, found.high), _rule(threshold.metric, found.method)
    held = [bound for bound in bounds_of(threshold) if seen.low <= bound <= seen.high]
    answers = [rule(seen, bound, metrics) for bound in held]
    reasons = [answer for answer in answers if isinstance(answer, str)]
    if reasons or not answers:
        why = reasons[0] if reasons else "the interval is off the threshold already"
        return Needed(None, f"no number of comparisons would decide: {why}", "no number would decide")
    return _estimate(max(answer for answer in answers if isinstance(answer, int)), threshold.metric, metrics)


def _estimate(total: int, metric: str, metrics: AlignmentMetrics) -> Needed:
    population = metrics.population
    more = _rounded(max(total - population.comparisons, 1))
    provided = (
        "if it grows as Spearman and Brown say" if metric == "ssr" else "if the value stays where it is"
    )
    sentence = (
        f"about {plural(more, 'more comparison')} would decide, {provided}: "
        f"raise comparisons.max or repeats, to {population.comparisons + more} in all"
    )
    if population.pairs_compared == population.pairs:
        sentence += (
            f"; all {population.pairs} pairs are compared, so it repeats pairs, which is no news from a "
            "judge that repeats itself"
        )
    return Needed(population.comparisons + more, sentence, f"about {more} more would decide")


def _rounded(number: int) -> int:
    """Up to two significant digits: the estimate is not as good as its last digits look."""
    unit: int = 10 ** max(len(str(number)) - 2, 0)
    return -(-number // unit) * unit


_Answer = int | str
_ON_THE_BOUND = "the value lies on the threshold"


class _Seen(NamedTuple):
    """A value with an interval."""

    value: float
    low: float
    high: float


_Rule = Callable[[_Seen, float, "AlignmentMetrics"], _Answer]


def _on(seen: _Seen, scale: Callable[[float], float]) -> _Seen:
    return _Seen._make(map(scale, seen))


def _rule(metric: str, method: str) -> _Rule:
    if metric in ("kendall_tau", "kendall_tau_a"):
        return _tau
    if metric == "ssr":
        return _reliability
    if method != "wilson":
        return _plain
    return _WILSON[metric]


def _plain(seen: _Seen, bound: float, metrics: AlignmentMetrics) -> _Answer:
    from pytest_eng5.alignment import comparisons_to_decide  # needs numpy, which collection does without

    total = comparisons_to_decide(*seen, bound, metrics.population.comparisons)
    return _ON_THE_BOUND if total is None else total


def _tau(seen: _Seen, bound: float, metrics: AlignmentMetrics) -> _Answer:
    """As the share of concordant pairs that tau stands for."""

    def concordant(tau: float) -> float:
        return (1 + tau) / 2

    return _more(_on(seen, concordant), concordant(bound), metrics.population.comparisons, metrics)


def _more(share: _Seen, bound: float, number: int, metrics: AlignmentMetrics) -> _Answer:
    """How many of what a share is of, if each is worth as much as now."""
    from pytest_eng5.alignment import comparisons_to_decide_share, wilson_number

    confidence = metrics.bootstrap.confidence
    worth = wilson_number(*share, confidence) / number
    total = comparisons_to_decide_share(share.value, bound, number, confidence, worth)
    return _ON_THE_BOUND if total is None else total


def _reliability(seen: _Seen, bound: float, metrics: AlignmentMetrics) -> _Answer:
    from pytest_eng5.alignment import comparisons_to_decide_reliability

    total = comparisons_to_decide_reliability(*seen, bound, metrics.population.comparisons)
    return "more comparisons without a common scale do not make one" if total is None else total


def _share(
    seen: _Seen, bound: float, metrics: AlignmentMetrics, *, whole: str, shift: float = 0.0
) -> _Answer:
    """A share of the comparisons that a field of the population counts, less ``shift``."""
    number: int = getattr(metrics.population, whole)
    total = _more(_on(seen, lambda end: end + shift), bound + shift, number, metrics)
    if isinstance(total, str):
        return total
    return math.ceil(total * metrics.population.comparisons / number - 1e-9)


def _flips(seen: _Seen, bound: float, metrics: AlignmentMetrics) -> _Answer:
    """A share of pairs in both orders, of which there are not more than pairs."""
    population = metrics.population
    number = population.pairs_in_both_orders
    total = _more(seen, bound, number, metrics)
    if isinstance(total, str):
        return total
    if total > population.pairs:
        return f"it would take {total} pairs in both orders, and there are {population.pairs}"
    return population.comparisons + 2 * (total - number)


def _pairs(seen: _Seen, bound: float, metrics: AlignmentMetrics, *, kind: str) -> _Answer:
    """A count of pairs: only pairs that were not compared yet can move its interval."""
    from pytest_eng5.alignment import wilson_interval, wilson_number

    population, confidence = metrics.population, metrics.bootstrap.confidence
    have: int = getattr(population, f"{kind}_pairs_compared")
    most: int = getattr(population, f"{kind}_pairs")
    if have >= most:
        return f"all {most} pairs that can be inverted are compared; more anchors would help"
    share = _on(seen, lambda count: count / have)
    worth = wilson_number(*share, confidence) / have
    for number in range(have + 1, most + 1):
        some = number * worth
        low, high = wilson_interval(share.value * some, some, confidence)
        if not low * number <= bound <= high * number:
            return math.ceil(population.comparisons * number / have - 1e-9)
    return f"not even all {most} pairs that can be inverted would be enough"


_WILSON: dict[str, _Rule] = {
    "inversion_rate": partial(_share, whole="comparisons"),
    "agreement": partial(_share, whole="decidable_comparisons"),
    "position_bias": partial(_share, whole="comparisons", shift=0.5),
    "flip_rate": _flips,
    "direct_inversions": partial(_pairs, kind="decidable"),
    "majority_inversions": partial(_pairs, kind="decidable"),
    "upper_grade_inversions": partial(_pairs, kind="upper"),
}
