"""The second line of a verdict: what the reader may not know about this metric in this run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_eng5.gates.registry import metric_info
from pytest_eng5.gates.threshold import TOLERANCE, ThresholdLike, bounds_of, confidence_of, satisfies
from pytest_eng5.gates.wording import bound_text

if TYPE_CHECKING:
    from pytest_eng5.alignment import AlignmentMetrics, MetricValue

__all__ = ["hint_for"]


def hint_for(threshold: ThresholdLike, metrics: AlignmentMetrics, status: str) -> str | None:
    """A hint for a metric that was measured, or ``None`` if there is nothing to add."""
    found, name = metrics.values[threshold.metric], threshold.metric
    if confidence_of(threshold) is not None and not metric_info(name).interval:
        return f"{name} has no interval, so its value was judged"
    own = _OWN.get(name)
    special = own(threshold, metrics, status) if own else None
    return special or (_close(threshold, found) if status == "FAIL" else None)


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


def _anchors(threshold: ThresholdLike, metrics: AlignmentMetrics, status: str) -> str | None:
    """The anchors that a figure is about, worst first, and what to do."""
    if status == "PASS":
        return None
    rows = metrics.quality.anchors
    name = threshold.metric
    if name == "suspect_grades":
        told = [f"{row.id} ({row.grade}) may be {row.suspicion}" for row in rows if row.suspicion]
        return f"{', '.join(told[:_SHOWN])}: ask an expert" if told else None
    key = "outfit" if name == "worst_outfit" else "infit"
    worst = sorted(rows, key=lambda row: -getattr(row, key))
    chosen = [row for row in worst if row.misfit] if name == "misfitting_anchors" else worst[:1]
    told = [f"{row.id} ({row.grade}) has {key} {getattr(row, key):.2f}" for row in chosen[:_SHOWN]]
    return f"{', '.join(told)}: its verdicts contradict each other; look at its inversions" if told else None


_Hint = Callable[[ThresholdLike, "AlignmentMetrics", str], str | None]
_SHOWN = 5
_OWN: dict[str, _Hint] = {
    "zero_win_anchors": _zero_win,
    "position_bias": _position_bias,
    "kendall_tau": _tied_scores,
    **dict.fromkeys(("suspect_grades", "misfitting_anchors", "worst_infit", "worst_outfit"), _anchors),
}
