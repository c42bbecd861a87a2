"""Is the judge consistent with itself? Circular triads, Kendall's ζ, split halves.

Nothing here looks at grades: a judge can be perfectly consistent and wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_eng5.alignment.bradley_terry import ALPHA, fit_wins
from pytest_eng5.alignment.data import AlignmentDataError, FloatArray, IntArray

__all__ = [
    "SplitHalf",
    "circular_triads",
    "consistence",
    "decided_triads",
    "greatest_circular_triads",
    "split_half",
]


@dataclass(frozen=True)
class SplitHalf:
    """Agreement of scores from random halves of the comparisons.

    Attributes:
        correlation: Median over the splits of Pearson's r between the scores of the halves; NaN if none
            could be computed.
        reliability: Of all comparisons, 2r / (1 + r) (Spearman 1910, Brown 1910); NaN likewise.
        splits: Number of splits.
        seed: Of the splits.
    """

    correlation: float
    reliability: float
    splits: int
    seed: int


def circular_triads(wins: FloatArray) -> FloatArray:
    """Number of triads in which i beats j, j beats k and k beats i (Kendall and Babington Smith 1940).

    Who beats whom is decided by the majority of a pair's comparisons; a pair that is even or was not compared
    is undecided, and triads with such a pair do not count.

    Args:
        wins: Times i beat j, shape (..., n, n).

    Returns:
        d, shape (...).
    """
    beats = _beats(wins)
    return _closed_walks(beats) / 3


def decided_triads(wins: FloatArray) -> FloatArray:
    """Number of triads all three pairs of which are decided, shape (...); arguments as above."""
    beats = _beats(wins)
    return _closed_walks(beats + np.swapaxes(beats, -1, -2)) / 6


def greatest_circular_triads(n: int) -> float:
    """Greatest number of circular triads among n items: (n³ - n)/24 for odd n, (n³ - 4n)/24 for even n."""
    return (n**3 - (n if n % 2 else 4 * n)) / 24


def consistence(wins: FloatArray) -> FloatArray:
    """Kendall's coefficient of consistence ζ = 1 - d / d_max.

    1 for a judge that is never circular, 0 for the most circular one. A coin gives 0.21 on average with 12
    items and tends to 0 with more. If not all triads are decided, d / d_max is replaced by the share of the
    decided triads that are circular over the greatest share, which is the same if all are; such a ζ can fall
    below 0.

    Args:
        wins: Times i beat j, shape (..., n, n).

    Returns:
        ζ, shape (...); NaN where no triad is decided.
    """
    n = wins.shape[-1]
    decided = decided_triads(wins)
    greatest = greatest_circular_triads(n) / max(n * (n - 1) * (n - 2) / 6, 1)
    empty = np.full(np.shape(decided), np.nan)
    share = np.divide(circular_triads(wins), decided, out=empty, where=decided > 0)
    zeta: FloatArray = 1.0 - share / (greatest or np.nan)
    return zeta


def split_half(wins: FloatArray, *, splits: int = 100, seed: int = 0, alpha: float = ALPHA) -> SplitHalf:
    """Split the comparisons at random, score each half, correlate; the median of many splits.

    Args:
        wins: Times i beat j, shape (n, n).
        splits: Number of random splits.
        seed: Of the splits; equal seeds give equal splits, whatever the event order.
        alpha: Regularisation of the fits.

    Raises:
        AlignmentDataError: A negative number of splits.
    """
    if splits < 0:
        raise AlignmentDataError(f"splits={splits}")
    cells = np.argwhere(wins > 0)
    which = np.repeat(np.arange(len(cells)), wins[wins > 0].astype(np.int64))
    if len(which) < 2 or not splits:
        return SplitHalf(float("nan"), float("nan"), splits, seed)
    halves = _halves(np.random.default_rng(seed), cells, which, wins, splits)
    theta = fit_wins(halves, alpha)
    r = _correlation(theta[0], theta[1])
    known = r[~np.isnan(r)]
    median = float(np.median(known)) if known.size else float("nan")
    return SplitHalf(median, 2 * median / (1 + median) if median > -1 else float("nan"), splits, seed)


def _beats(wins: FloatArray) -> FloatArray:
    beats: FloatArray = (wins > np.swapaxes(wins, -1, -2)).astype(np.float64)
    return beats


def _closed_walks(graph: FloatArray) -> FloatArray:
    """Closed walks of length three: trace of the third power."""
    walks: FloatArray = np.einsum("...ij,...ji->...", graph @ graph, graph)
    return walks


def _halves(
    generator: np.random.Generator, cells: IntArray, which: IntArray, wins: FloatArray, splits: int
) -> FloatArray:
    """Tables of wins of both halves, shape (2, splits, n, n)."""
    m = len(which)
    order = generator.permuted(np.tile(np.arange(m), (splits, 1)), axis=1)
    half = (order < m // 2).astype(np.float64)
    first = np.zeros((splits, len(cells)))
    np.add.at(first.T, which, half.T)
    tables = np.zeros((2, splits, *wins.shape))
    tables[0][:, cells[:, 0], cells[:, 1]] = first
    tables[1] = wins - tables[0]
    return tables


def _correlation(x: FloatArray, y: FloatArray) -> FloatArray:
    """Pearson's r of rows; NaN where a row has no spread."""
    x, y = x - x.mean(axis=-1, keepdims=True), y - y.mean(axis=-1, keepdims=True)
    spread = np.sqrt((x**2).sum(axis=-1) * (y**2).sum(axis=-1))
    r: FloatArray = np.divide(
        (x * y).sum(axis=-1), spread, out=np.full(spread.shape, np.nan), where=spread > 1e-12
    )
    return r
