"""Figures in words: value, interval, and why there is none."""

from __future__ import annotations

import math

from pytest_eng5.alignment import AlignmentMetrics, MetricValue
from pytest_eng5.gates import METRICS, MetricInfo
from pytest_eng5.gates.vacuity import vacuous
from pytest_eng5.reports.outcome import VariantOutcome

__all__ = [
    "LABELS",
    "NOT_AVAILABLE",
    "attainable_text",
    "cost_text",
    "figure",
    "interval",
    "number",
    "unfit",
    "why_unknown",
]

NOT_AVAILABLE = "not available"

LABELS = {
    "kendall_tau": "Kendall's tau (tau-b)",
    "kendall_tau_a": "Kendall's tau-a",
    "direct_inversions": "Direct inversions (unique pairs)",
    "majority_inversions": "Majority inversions",
    "inversion_rate": "Inversion rate per comparison",
    "agreement": "Agreement between different grades",
    "zero_win_anchors": "Zero-win anchors",
    "expected_zero_win": "Expected zero-win anchors",
    "upper_grade_inversions": "Upper grade (A, B) inversions",
    "position_bias": "Position bias towards essay A",
    "flip_rate": "Flip rate",
    "ssr": "Scale separation reliability",
    "coverage": "Pairs compared",
    "connected": "Comparisons connect all anchors",
    "first_rate": "P(first), pairs in both orders",
    "position_effect": "Position effect (logits)",
    "circular_triads": "Circular triads",
    "consistence": "Coefficient of consistence",
    "judge_infit": "Infit of the judge",
    "judge_outfit": "Outfit of the judge",
    "worst_infit": "Greatest infit of an anchor",
    "worst_outfit": "Greatest outfit of an anchor",
    "misfitting_anchors": "Misfitting anchors",
    "suspect_grades": "Suspect grades",
    "split_half": "Split-half reliability",
}
"""What the report calls each metric."""

_DECIMALS = {"tau": 3, "ratio": 3, "number": 2, "count": 0, "flag": 0}


def number(value: float | None, decimals: int = 3) -> str | None:
    """A number with fixed decimals and no negative zero; ``None`` if it is not finite."""
    if value is None or not math.isfinite(value):
        return None
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text


def figure(name: str, found: MetricValue) -> str | None:
    """The value of a metric with the decimals of its kind, yes or no for a flag; ``None`` if undefined."""
    kind = METRICS[name].kind
    if kind == "flag" and math.isfinite(found.value):
        return "yes" if found.value else "no"
    return number(found.value, _DECIMALS[kind])


def interval(name: str, found: MetricValue) -> str | None:
    """``0.610 to 0.900``; ``None`` without an interval. Counts are shown with one decimal."""
    decimals = max(_DECIMALS[METRICS[name].kind], 1)
    low, high = number(found.low, decimals), number(found.high, decimals)
    return None if low is None or high is None else f"{low} to {high}"


def why_unknown(info: MetricInfo, metrics: AlignmentMetrics) -> str:
    """The reason for an undefined figure."""
    return vacuous(info, metrics) or "undefined for these comparisons"


def unfit(metrics: AlignmentMetrics) -> str | None:
    """Why no gate may pass on the figures as a whole, even where they have values; else ``None``."""
    return vacuous(METRICS["coverage"], metrics)


def attainable_text(value: float) -> str:
    """An attainable maximum, or why there is none."""
    return number(value) or f"{NOT_AVAILABLE}: the grades are all the same or unknown"


def cost_text(outcome: VariantOutcome) -> str | None:
    """Reported cost in dollars; ``None`` if nothing reported any."""
    if outcome.cost_usd is None or not outcome.ledger.callbacks:
        return None
    return f"${outcome.cost_usd:.4f}"
