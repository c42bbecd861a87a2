"""Textbook bootstrap intervals for every sampled figure: percentile and BCa.

Both are offered because they are what other tools report, and because for figures that are averages they are
as good as any. For tau they are not: see :mod:`.intervals` and ``docs/calibration.md``, which measures them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from scipy.special import ndtr, ndtri

from pytest_eng5.alignment.bootstrap import Unit, leave_one_out, resamples
from pytest_eng5.alignment.bradley_terry import ALPHA
from pytest_eng5.alignment.data import FloatArray, IntArray
from pytest_eng5.alignment.figures import FIGURES, Anchors, figures
from pytest_eng5.alignment.intervals import Interval, percentile_interval

__all__ = ["Method", "bca_interval", "bootstrap_intervals", "resampled_figures"]

Method = Literal["percentile", "bca"]


def resampled_figures(
    anchors: Anchors,
    outcomes: FloatArray,
    count: int,
    seed: int,
    *,
    unit: Unit = "pairs",
    alpha: float = ALPHA,
    start: FloatArray | None = None,
) -> dict[str, FloatArray]:
    """Every figure of every resample, by name, each of shape (count,); empty without comparisons.

    Args:
        anchors: The anchors, n of them.
        outcomes: Wins by position, shape (n, n, 2).
        count: Number of resamples.
        seed: Of the resampling.
        unit: What is drawn with replacement.
        alpha: Regularisation of the fits.
        start: Scores to start the fits from, shape (n,).
    """
    slices = [
        figures(anchors, tables, alpha=alpha, start=start)
        for tables in resamples(outcomes, count, seed, unit)
    ]
    return {name: np.concatenate([part[name] for part in slices] or [np.empty(0)]) for name in FIGURES}


def bootstrap_intervals(
    anchors: Anchors,
    outcomes: FloatArray,
    count: int,
    seed: int,
    *,
    method: Method,
    confidence: float = 0.95,
    unit: Unit = "pairs",
    alpha: float = ALPHA,
) -> Mapping[str, Interval | None]:
    """Percentile or BCa interval of every figure; ``None`` where resamples do not define one.

    Args:
        anchors: The anchors, n of them.
        outcomes: Wins by position, shape (n, n, 2).
        count: Number of resamples.
        seed: Of the resampling.
        method: ``percentile`` or ``bca``.
        confidence: Of the intervals.
        unit: What is drawn with replacement, and left out by the jackknife of BCa.
        alpha: Regularisation of the fits.
    """
    drawn = resampled_figures(anchors, outcomes, count, seed, unit=unit, alpha=alpha)
    if method == "percentile":
        return {name: percentile_interval(drawn[name], confidence) for name in FIGURES}
    points = figures(anchors, outcomes, alpha=alpha)
    tables, alike = leave_one_out(outcomes, unit)
    left = figures(anchors, tables, alpha=alpha)
    return {
        name: bca_interval(drawn[name], float(points[name]), left[name], alike, confidence)
        for name in FIGURES
    }


def bca_interval(
    values: FloatArray, point: float, left_out: FloatArray, alike: IntArray, confidence: float
) -> Interval | None:
    """Bias-corrected and accelerated interval (Efron 1987, Journal of the ASA 82).

    Args:
        values: The resampled figure, shape (count,).
        point: The figure of all comparisons. Of resamples equal to it, half count as below it.
        left_out: The figure without one unit each, shape (k,).
        alike: How many units give each of these, shape (k,).
        confidence: Of the interval.

    Returns:
        Ends that are values that occurred; ``None`` if half of the resamples or the point are undefined.
        A figure that no resample or no unit changes has no bias or acceleration to correct for.
    """
    defined = values[~np.isnan(values)]
    if np.isnan(point) or defined.size * 2 <= values.size:
        return None
    if np.ptp(defined) == 0:
        return percentile_interval(values, confidence)
    below = float(np.mean(defined < point) + np.mean(defined == point) / 2)
    edge = 0.5 / defined.size
    bias = float(ndtri(min(max(below, edge), 1 - edge)))
    quantile = ndtri(np.array([0.5 - confidence / 2, 0.5 + confidence / 2]))
    shifted = bias + quantile
    stretch = np.maximum(1 - _acceleration(left_out, alike) * shifted, 1e-3)
    levels = ndtr(bias + shifted / stretch)
    low, high = np.quantile(defined, np.sort(levels), method="inverted_cdf")
    return float(low), float(high)


def _acceleration(left_out: FloatArray, alike: IntArray) -> float:
    known = ~np.isnan(left_out)
    if not known.any():
        return 0.0
    weight = alike[known].astype(np.float64)
    influence = np.average(left_out[known], weights=weight) - left_out[known]
    spread = float(np.sum(weight * influence**2))
    return float(np.sum(weight * influence**3) / (6 * spread**1.5)) if spread > 0 else 0.0
