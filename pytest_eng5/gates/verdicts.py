"""From a threshold and the metrics of a run to a verdict in one sentence."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pytest_eng5.errors import UsageError
from pytest_eng5.gates.deciding import Needed, needed_to_decide
from pytest_eng5.gates.hints import hint_for
from pytest_eng5.gates.registry import MetricInfo, metric_info
from pytest_eng5.gates.threshold import (
    TOLERANCE,
    ThresholdLike,
    bounds_of,
    confidence_of,
    satisfies,
    tolerates_undecided,
)
from pytest_eng5.gates.vacuity import vacuous
from pytest_eng5.gates.wording import bound_text, ends_text, interval_text, plural, value_text

if TYPE_CHECKING:
    from pytest_eng5.alignment import AlignmentMetrics, MetricValue

__all__ = ["Status", "Verdict", "judge", "unmeasured"]

_VACUOUS = "a gate never passes on what was not measured"


class Status(StrEnum):
    """Outcome of a gate; ``UNDECIDED`` only if the threshold asks for a confidence."""

    PASS = "PASS"
    FAIL = "FAIL"
    UNDECIDED = "UNDECIDED"


@dataclass(frozen=True)
class Verdict:
    """What a gate decided.

    Attributes:
        metric: Name of the metric.
        status: Outcome.
        message: One sentence that starts with the status; fit to be a failure's first line.
        hint: What to do or to know, or ``None``.
        value: Point value, NaN if undefined.
        low: Lower end of its interval, ``None`` without one.
        high: Upper end.
        minimum: Lowest value that passes, ``None`` without one.
        maximum: Highest value that passes.
        attainable: Greatest value that the grade ties allow, for tau.
        comparisons: Comparisons that the value rests on.
        reason: Why the metric could not be judged; ``None`` if it was.
        confidence: Of the interval that was judged; ``None`` if the point value was.
        tolerated: Whether the gate is undecided and the threshold wants no more than a warning then.
        needed: Comparisons in all that would decide; ``None`` if it is decided, or no number would.
    """

    metric: str
    status: Status
    message: str
    hint: str | None
    value: float
    low: float | None
    high: float | None
    minimum: float | None
    maximum: float | None
    attainable: float | None
    comparisons: int
    reason: str | None = None
    confidence: float | None = None
    tolerated: bool = False
    needed: int | None = None

    @property
    def passed(self) -> bool:
        """Whether the status is PASS; an undecided gate has not passed."""
        return self.status is Status.PASS

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able values; undefined numbers are ``None``."""
        plain = asdict(self) | {"status": self.status.value}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in plain.items()}


def judge(threshold: ThresholdLike, metrics: AlignmentMetrics) -> Verdict:
    """Judge one threshold.

    The point value decides. If the threshold has a ``confidence``, the interval does: PASS if all of it
    satisfies the threshold, FAIL if none of it, else UNDECIDED. Nothing passes that was not measured: see
    :mod:`pytest_eng5.gates.vacuity`.

    Raises:
        UnknownMetricError: There is no such metric.
        UsageError: The threshold has no bound or a bound that is not a number, or asks for a confidence
            other than the one the metrics were computed with.
    """
    info = metric_info(threshold.metric)
    _check(info, threshold, metrics)
    reason = vacuous(info, metrics)
    if reason is not None:
        return _verdict(threshold, metrics, Status.FAIL, _unmeasured(info, metrics, reason), _VACUOUS, reason)
    status = _status(info, threshold, metrics.values[info.name])
    needed = needed_to_decide(threshold, metrics) if status is Status.UNDECIDED else None
    message = _measured(info, threshold, metrics, status, needed)
    hint = needed.sentence if needed else hint_for(threshold, metrics, status.value)
    verdict = _verdict(threshold, metrics, status, message, hint, None)
    return replace(
        verdict,
        confidence=confidence_of(threshold) if info.interval else None,
        tolerated=needed is not None and tolerates_undecided(threshold),
        needed=needed.comparisons if needed else None,
    )


def unmeasured(threshold: ThresholdLike, reason: str) -> Verdict:
    """The verdict where there are no metrics at all."""
    return Verdict(
        metric=threshold.metric,
        status=Status.FAIL,
        message=f"FAIL {threshold.metric} not measured: {reason}",
        hint=_VACUOUS,
        value=math.nan,
        low=None,
        high=None,
        minimum=threshold.min,
        maximum=threshold.max,
        attainable=None,
        comparisons=0,
        reason=reason,
    )


def _check(info: MetricInfo, threshold: ThresholdLike, metrics: AlignmentMetrics) -> None:
    low, high = bounds_of(threshold)
    if math.isnan(low) or math.isnan(high) or (low == -math.inf and high == math.inf):
        raise UsageError(
            f"threshold of {threshold.metric} has min {threshold.min} and max {threshold.max}",
            fix="give it a min, a max or both",
        )
    confidence = confidence_of(threshold) if info.interval else None
    used = metrics.bootstrap.confidence
    if confidence is not None and not math.isclose(confidence, used):
        raise UsageError(
            f"threshold of {threshold.metric} asks for confidence {confidence}, intervals have {used}",
            fix="compute the metrics with the confidence of the threshold",
        )


def _status(info: MetricInfo, threshold: ThresholdLike, found: MetricValue) -> Status:
    low, high = bounds_of(threshold)
    if confidence_of(threshold) is None or not info.interval:
        return Status.PASS if satisfies(found.value, low, high) else Status.FAIL
    if found.low is None or found.high is None:
        return Status.UNDECIDED
    if satisfies(found.low, low, high) and satisfies(found.high, low, high):
        return Status.PASS
    apart = found.high < low - TOLERANCE or found.low > high + TOLERANCE
    return Status.FAIL if apart else Status.UNDECIDED


def _measured(
    info: MetricInfo,
    threshold: ThresholdLike,
    metrics: AlignmentMetrics,
    status: Status,
    needed: Needed | None,
) -> str:
    """``FAIL kendall_tau 0.791 < 0.90 (..)``; what is undecided names the demand, and what would decide."""
    found = metrics.values[info.name]
    low, high = bounds_of(threshold)
    value = value_text(found.value, info.kind, low, high)
    context = ", ".join(_context(info, threshold, metrics, found))
    if needed is not None:
        demand = _demand(info, threshold)
        return f"{status.value} {info.name} {value}, wanted {demand} ({context}; {needed.brief})"
    return f"{status.value} {info.name} {value} {_relation(info, threshold, found.value)} ({context})"


def _relation(info: MetricInfo, threshold: ThresholdLike, value: float) -> str:
    """``< 0.90``, ``<= 1``; a threshold with two bounds names the broken one, or both if none is."""
    low, high = bounds_of(threshold)
    count = info.kind in ("count", "flag")
    at_least, at_most = satisfies(value, low, math.inf), satisfies(value, -math.inf, high)
    if not at_least:
        return f"< {bound_text(low, count=count)}"
    if not at_most:
        return f"> {bound_text(high, count=count)}"
    return _demand(info, threshold)


def _demand(info: MetricInfo, threshold: ThresholdLike) -> str:
    count = info.kind in ("count", "flag")
    low, high = bounds_of(threshold)
    ends = ((">=", low), ("<=", high))
    return " and ".join(f"{sign} {bound_text(b, count=count)}" for sign, b in ends if math.isfinite(b))


def _context(
    info: MetricInfo, threshold: ThresholdLike, metrics: AlignmentMetrics, found: MetricValue
) -> list[str]:
    context = []
    if found.low is not None and found.high is not None:
        percent = f"{metrics.bootstrap.confidence * 100:g} % CI"
        if confidence_of(threshold) is None:
            ends = interval_text(found.low, found.high, info.kind)
        else:
            ends = ends_text(found.low, found.high, *bounds_of(threshold))
        context.append(f"{percent} {ends}")
    best = _attainable(info.name, metrics)
    if best is not None:
        context.append(f"attainable {best:.3f}")
    return [*context, plural(metrics.population.comparisons, "comparison")]


def _unmeasured(info: MetricInfo, metrics: AlignmentMetrics, reason: str) -> str:
    return f"FAIL {info.name} not measured: {reason} ({plural(metrics.population.comparisons, 'comparison')})"


def _attainable(metric: str, metrics: AlignmentMetrics) -> float | None:
    best = {"kendall_tau": metrics.attainable_tau_b, "kendall_tau_a": metrics.attainable_tau_a}.get(metric)
    return None if best is None or math.isnan(best) else best


def _verdict(
    threshold: ThresholdLike,
    metrics: AlignmentMetrics,
    status: Status,
    message: str,
    hint: str | None,
    reason: str | None,
) -> Verdict:
    found = metrics.values.get(threshold.metric)
    return Verdict(
        metric=threshold.metric,
        status=status,
        message=message,
        hint=hint,
        value=math.nan if found is None else found.value,
        low=None if found is None else found.low,
        high=None if found is None else found.high,
        minimum=threshold.min,
        maximum=threshold.max,
        attainable=_attainable(threshold.metric, metrics),
        comparisons=metrics.population.comparisons,
        reason=reason,
    )
