"""Confidence intervals: Wilson for shares, standard errors on a suitable scale for the rest.

What an interval of tau is about: the mean tau of repeats, other runs of the same judge over the same pairs.
Plain percentile intervals do not hold it. A resample sees only about 63 % of the pairs, so its scores agree
less with the grades than those of all comparisons, and the interval lies too low; BCa corrects far too much
in the other direction. What does: a standard error on Fisher's scale, put around the point value, with
Student's t for as many anchors. The standard error is the larger of two. Resampled pairs feel repeats of one
pair that are no news, but not that fitted scores are too far apart; repeats simulated from scores at the
scale at which they predict (:mod:`.calibrated`) feel that, but take repeats of a pair as independent.
``docs/calibration.md`` has the coverage of each. Counts of pairs with an inversion suffer most from
resampling (a pair left out cannot be an inversion) and have Wilson intervals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri, stdtrit

from pytest_eng5.alignment.data import FloatArray

__all__ = ["Interval", "fisher_interval", "percentile_interval", "reliability_interval", "wilson_interval"]

Interval = tuple[float, float]

_NORMAL = 1e9
"""Degrees of freedom from which t is the normal distribution."""


def wilson_interval(successes: float, total: float, confidence: float = 0.95) -> Interval:
    """Wilson score interval of a proportion (Wilson 1927); (0, 1) without data."""
    if total == 0:
        return 0.0, 1.0
    z2 = _quantile(confidence) ** 2
    share = successes / total
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = np.sqrt(z2 * (share * (1 - share) / total + z2 / (4 * total**2))) / (1 + z2 / total)
    return float(min(max(centre - half, 0.0), share)), float(max(min(centre + half, 1.0), share))


def percentile_interval(values: FloatArray, confidence: float) -> Interval | None:
    """Percentile interval (Efron 1979) whose ends are values that occurred; ``None`` without values."""
    defined = _defined(values)
    if defined is None:
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail], method="inverted_cdf")
    return float(low), float(high)


def fisher_interval(
    values: Sequence[FloatArray],
    point: float,
    confidence: float,
    *,
    pairs: int,
    attainable: float,
    degrees_of_freedom: float = math.inf,
) -> Interval | None:
    """Interval of a rank correlation: tanh(artanh(point) ± t * the largest sd(artanh(values))).

    Args:
        values: Sets of resampled or simulated correlations; the one that spreads most counts.
        point: The correlation of all comparisons.
        confidence: Of the interval.
        pairs: Pairs that the correlation is over; ±1, where artanh has no value, counts as half a
            discordant pair short of it, 1 - 1/pairs.
        attainable: What the interval cannot exceed, unless the point value does.
        degrees_of_freedom: Of t; without them the normal quantile.
    """
    known = [defined for one in values if (defined := _defined(one)) is not None]
    if not known or np.isnan(point):
        return None
    limit = 1.0 - 1.0 / pairs
    error = max(float(np.arctanh(np.clip(one, -limit, limit)).std()) for one in known)
    spread = error * float(stdtrit(min(degrees_of_freedom, _NORMAL), 0.5 + confidence / 2))
    centre = float(np.arctanh(np.clip(point, -limit, limit)))
    low, high = float(np.tanh(centre - spread)), float(np.tanh(centre + spread))
    return min(low, point), max(min(high, attainable), point)


def reliability_interval(values: Sequence[FloatArray], point: float, confidence: float) -> Interval | None:
    """Interval of a reliability: 1 - (1 - point) * exp(± z * the largest sd(log(1 - values))).

    Args:
        values: Sets of resampled or simulated reliabilities; the one that spreads most counts.
        point: The reliability of all comparisons.
        confidence: Of the interval.
    """
    known = [defined for one in values if (defined := _defined(one)) is not None]
    if not known or np.isnan(point):
        return None
    error = max(float(np.log1p(-one).std()) for one in known)
    factor = float(np.exp(_quantile(confidence) * error))
    return 1 - (1 - point) * factor, 1 - (1 - point) / factor


def _quantile(confidence: float) -> float:
    return float(ndtri(0.5 + confidence / 2))


def _defined(values: FloatArray) -> FloatArray | None:
    """The values that are not NaN, or ``None`` if these are half or fewer."""
    defined: FloatArray = values[~np.isnan(values)]
    return defined if defined.size * 2 > values.size else None
