"""The second line of a verdict: what the reader may not know about this metric in this run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_eng5.gates.threshold import TOLERANCE, ThresholdLike, bounds_of, satisfies
from pytest_eng5.gates.wording import bound_text, plural

if TYPE_CHECKING:
    from pytest_eng5.alignment import AlignmentMetrics, MetricValue

__all__ = ["comparisons_to_decide", "hint_for"]


def hint_for(threshold: ThresholdLike, metrics: AlignmentMetrics, status: str) -> str | None:
    """A hint for a metric that was measured, or ``None`` if there is nothing to add."""
    found = metrics.values[threshold.metric]
    if status == "UNDECIDED":
        return _undecided(threshold, metrics, found)
    own = {
        "zero_win_anchors": _zero_win,
        "position_bias": _position_bias,
        "kendall_tau": _tied_scores,
    }.get(threshold.metric)
    special = own(threshold, metrics, status) if own else None
    return special or (_close(threshold, found) if status == "FAIL" else None)


def comparisons_to_decide(threshold: ThresholdLike, found: MetricValue, comparisons: int) -> int | None:
    """About how many comparisons in all would move the interval off the threshold.

    The side of the interval that reaches over the bound shrinks with the root of the number of comparisons,
    if the value stays where it is. ``None`` if the value lies on the bound or there is no interval.
    """
    if found.low is None or found.high is None:
        return None
    needed = 0.0
    for bound in bounds_of(threshold):
        if math.isinf(bound) or not found.low <= bound <= found.high:
            continue
        side = found.value - found.low if bound < found.value else found.high - found.value
        distance = abs(found.value - bound)
        if distance < 1e-9:
            return None
        needed = max(needed, comparisons * (side / distance) ** 2)
    return math.ceil(needed - 1e-6) if needed else None


def _undecided(threshold: ThresholdLike, metrics: AlignmentMetrics, found: MetricValue) -> str:
    if found.low is None:
        return "no interval was computed; allow the bootstrap some resamples"
    if found.method == "model":
        return "compare the same anchors more often"
    have = metrics.population.comparisons
    total = comparisons_to_decide(threshold, found, have)
    if total is None:
        return "the value lies on the threshold: no number of comparisons will decide"
    more = max(total - have, 1)
    return f"about {plural(more, 'more comparison')} would decide, if the value stays where it is"


def _close(threshold: ThresholdLike, found: MetricValue) -> str | None:
    if found.low is None or found.high is None:
        return None
    if not any(found.low <= bound <= found.high for bound in bounds_of(threshold)):
        return None
    return "the threshold lies inside the interval: a repeat of the same judge might pass"


def _zero_win(threshold: ThresholdLike, metrics: AlignmentMetrics, status: str) -> str | None:
    expected = metrics.values.get("expected_zero_win")
    if status == "PASS" or expected is None or satisfies(expected.value, *bounds_of(threshold)):
        return None
    return f"a judge without any inversion would leave {expected.value:.2f} on these comparisons"


def _position_bias(threshold: ThresholdLike, metrics: AlignmentMetrics, status: str) -> str | None:
    if status != "PASS" or (threshold.min is not None and threshold.max is not None):
        return None
    if threshold.max is not None:
        return f"bias towards essay B is not looked at; add min: {bound_text(-threshold.max)}"
    return f"bias towards essay A is not looked at; add max: {bound_text(-(threshold.min or 0.0))}"


def _tied_scores(threshold: ThresholdLike, metrics: AlignmentMetrics, status: str) -> str | None:
    if metrics.values[threshold.metric].value <= metrics.attainable_tau_b + TOLERANCE:
        return None
    return "same-grade anchors have exactly equal scores, so tau-b exceeds what untied scores could attain"
