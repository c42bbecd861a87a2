"""Confidence intervals: Wilson for shares, standard errors on a suitable scale for the rest.

What an interval is about: the mean of a figure over repeats, other runs of the same judge over the same
pairs. Plain percentile intervals of tau do not hold it. A resample sees only about 63 % of the pairs, so
its scores agree less with the grades than those of all comparisons, and the interval lies too low; BCa
corrects far too much in the other direction. What does: repeats simulated from the scores at the scale at
which they predict (:mod:`.calibrated`) say how many independent pairs the run is worth, and Wilson's
interval for so many is put around the point value. It is a score interval: the variance is that at its
ends, so that it holds near the greatest tau too, where a standard error at the point value is too small.
Repeats of a pair that are no news are told from the results within pairs, and so are the effective numbers
of other shares (:mod:`.effective`); a run with them is worth no less than one that asks each pair once.
``docs/calibration.md`` has the coverage of each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri, stdtrit

from pytest_eng5.alignment.data import FloatArray
from pytest_eng5.alignment.effective import effective_number_of_values

__all__ = [
    "Interval",
    "correlation_ends",
    "correlation_interval",
    "effective_pairs",
    "fisher_interval",
    "percentile_interval",
    "reliability_interval",
    "wilson_interval",
    "wilson_number",
]

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


def wilson_number(share: float, low: float, high: float, confidence: float = 0.95) -> float:
    """The number of comparisons that a Wilson interval was made for, from the end farther from the share.

    The ends e solve (share - e)² = z² e(1 - e) / n. Infinite for an interval without width.
    """
    end = low if share - low >= high - share else high
    if end == share:
        return math.inf
    return _quantile(confidence) ** 2 * end * (1 - end) / (share - end) ** 2


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


def correlation_interval(
    repeats: Sequence[tuple[FloatArray, float]],
    point: float,
    confidence: float,
    *,
    attainable: float,
    pairs: int,
) -> Interval | None:
    """Wilson interval of a rank correlation, as a share (1 + correlation)/2 of concordant pairs.

    Args:
        repeats: Correlations of simulated repeats of the run, from which follows how many pairs that vary
            independently it is worth, and by how much repeats of pairs that are no news inflate their
            variance; several if it can be looked at in several ways, of which the most favourable counts.
        point: The correlation of all comparisons.
        confidence: Of the interval.
        attainable: What the interval cannot exceed, unless the point value does.
        pairs: Pairs that were compared.

    Returns:
        ``None`` without a point value or if the repeats are mostly undefined.
    """
    numbers = [effective_pairs(values, pairs) / effect for values, effect in repeats]
    return correlation_ends(max(numbers), point, confidence, attainable)


def effective_pairs(repeats: FloatArray, pairs: int) -> float:
    """How many independent pairs would make correlations vary like these; NaN if most are undefined.

    Where they do not vary at all it is the number of pairs that there are: so much are runs worth that vary
    less and less, of which ever fewer have a single pair the other way round.
    """
    known = _defined(repeats)
    if known is None:
        return math.nan
    return effective_number_of_values(known, -1.0, 1.0) if np.ptp(known) > 0 else float(pairs)


def correlation_ends(number: float, point: float, confidence: float, attainable: float) -> Interval | None:
    """:func:`correlation_interval` from the effective number of pairs."""
    if math.isnan(number) or math.isnan(point):
        return None
    low, high = (2 * end - 1 for end in wilson_interval((1 + point) / 2 * number, number, confidence))
    return min(low, point), max(min(high, attainable), point)


def reliability_interval(
    repeats: FloatArray, point: float, confidence: float, *, repeat_effect: float = 1.0
) -> Interval | None:
    """Interval of a reliability: 1 - (1 - point) · exp(± z · sd(log(1 - repeats)) · √repeat_effect).

    Args:
        repeats: Reliabilities of simulated repeats of the run.
        point: The reliability of all comparisons.
        confidence: Of the interval.
        repeat_effect: By how much repeats of pairs that are no news inflate the variance.
    """
    known = _defined(repeats)
    if known is None or np.isnan(point):
        return None
    error = float(np.log1p(-known).std()) * math.sqrt(repeat_effect)
    factor = float(np.exp(_quantile(confidence) * error))
    return 1 - (1 - point) * factor, 1 - (1 - point) / factor


def _quantile(confidence: float) -> float:
    return float(ndtri(0.5 + confidence / 2))


def _defined(values: FloatArray) -> FloatArray | None:
    """The values that are not NaN, or ``None`` if these are half or fewer."""
    defined: FloatArray = values[~np.isnan(values)]
    return defined if defined.size * 2 > values.size else None
