"""What a gate needs to know of a threshold; the scenario's class satisfies it without being imported."""

from __future__ import annotations

import math
from typing import Protocol

__all__ = ["TOLERANCE", "ThresholdLike", "bounds_of", "confidence_of", "satisfies", "tolerates_undecided"]

TOLERANCE = 1e-12
"""Slack of comparisons, for the rounding of floating point numbers only."""


class ThresholdLike(Protocol):
    """A metric with a lowest value, a highest value, or both.

    An optional attribute ``confidence`` asks for the whole interval to be judged instead of the value;
    ``undecided`` says what then becomes of a gate that cannot decide, ``fail`` (the default) or ``warn``.
    """

    @property
    def metric(self) -> str:
        """Name of the metric."""

    @property
    def min(self) -> float | None:
        """Lowest value that passes."""

    @property
    def max(self) -> float | None:
        """Highest value that passes."""


def bounds_of(threshold: ThresholdLike) -> tuple[float, float]:
    """Lowest and highest value that pass, infinite where the threshold sets none."""
    low = -math.inf if threshold.min is None else float(threshold.min)
    high = math.inf if threshold.max is None else float(threshold.max)
    return low, high


def confidence_of(threshold: ThresholdLike) -> float | None:
    """The confidence that the threshold asks for, ``None`` if the point value is to be judged."""
    value = getattr(threshold, "confidence", None)
    return None if value is None else float(value)


def tolerates_undecided(threshold: ThresholdLike) -> bool:
    """Whether an undecided gate is to be a warning and not a failure."""
    return getattr(threshold, "undecided", None) == "warn"


def satisfies(value: float, low: float, high: float) -> bool:
    """Whether a value lies within bounds; never true of NaN."""
    return low - TOLERANCE <= value <= high + TOLERANCE
