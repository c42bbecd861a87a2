"""Infit and outfit: do the comparisons look as the fitted model says they should?

For a comparison with outcome x (1 if i won) and fitted probability p the standardised residual is
z = (x - p) / √(p(1 - p)). Outfit is the mean of z², infit Σ p(1-p)z² / Σ p(1-p), which listens less to
surprises in lopsided pairs (sirt ``btm``). Both are about 1 where the model holds, above it where there are
more upsets than it expects, below it where there are fewer: 0.5 to 1.5 is productive (Linacre 2002). An
anchor misfits if its infit exceeds the mean over anchors by two standard deviations (Pollitt 2012).

Scores fitted to few comparisons explain them too well, so values below 1 are usual after one round-robin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from pytest_eng5.alignment.data import AlignmentDataError, FloatArray

__all__ = ["FitStatistics", "fit_statistics"]


@dataclass(frozen=True, eq=False)
class FitStatistics:
    """Infit and outfit, unitless.

    Attributes:
        infit: Per anchor, NaN without a comparison, shape (n,).
        outfit: Per anchor, shape (n,).
        judge_infit: Of all comparisons, NaN without any.
        judge_outfit: Of all comparisons.
        misfit: Whether the infit of the anchor is above mean + 2 SD, shape (n,).
    """

    infit: FloatArray
    outfit: FloatArray
    judge_infit: float
    judge_outfit: float
    misfit: npt.NDArray[np.bool_]


def fit_statistics(wins: FloatArray, theta: FloatArray) -> FitStatistics:
    """Infit and outfit of each anchor and of the judge.

    Args:
        wins: Times i beat j, shape (n, n).
        theta: Scores in logits, shape (n,).

    Raises:
        AlignmentDataError: Shapes that do not belong together.
    """
    n = len(theta)
    if wins.shape != (n, n):
        raise AlignmentDataError(f"a table of wins of shape {wins.shape} does not fit {n} scores")
    difference = theta[:, None] - theta[None, :]
    p, against = expit(difference), expit(-difference)
    games = wins + wins.T
    squares = wins * against**2 + wins.T * p**2
    variance = p * against
    outfit = _ratio((squares / variance).sum(axis=1), games.sum(axis=1))
    infit = _ratio(squares.sum(axis=1), (games * variance).sum(axis=1))
    return FitStatistics(
        infit=infit,
        outfit=outfit,
        judge_infit=float(_ratio(squares.sum(), (games * variance).sum())),
        judge_outfit=float(_ratio((squares / variance).sum(), games.sum())),
        misfit=_far_above(infit),
    )


def _far_above(infit: FloatArray) -> npt.NDArray[np.bool_]:
    known = infit[~np.isnan(infit)]
    if known.size < 3:
        return np.zeros(infit.shape, dtype=bool)
    limit = known.mean() + 2 * known.std(ddof=1)
    far: npt.NDArray[np.bool_] = np.nan_to_num(infit, nan=-np.inf) > limit + 1e-12
    return far


def _ratio(part: npt.ArrayLike, whole: npt.ArrayLike) -> FloatArray:
    below = np.asarray(whole, dtype=np.float64)
    ratio: FloatArray = np.divide(part, below, out=np.full(below.shape, np.nan), where=below > 0)
    return ratio
