"""Every sampled figure for one or thousands of tables of outcomes at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_eng5.alignment import agreement, bias, graph
from pytest_eng5.alignment.bradley_terry import ALPHA, fit_wins, standard_errors
from pytest_eng5.alignment.data import AlignmentData, FloatArray, IntArray

__all__ = ["FIGURES", "UPPER_GRADES", "Anchors", "anchors_of", "figures", "scale_separation_reliability"]

UPPER_GRADES = frozenset({"A", "A-", "B+", "B", "B-", "9", "8"})
"""Grades that count as A or B; 9 and 8 are the two top steps of the national scale, as A and B are."""

FIGURES = (
    *("kendall_tau", "kendall_tau_a", "direct_inversions", "majority_inversions", "inversion_rate"),
    *("agreement", "zero_win_anchors", "upper_grade_inversions", "position_bias", "flip_rate", "ssr"),
)
"""Names of the figures that :func:`figures` computes: those with sampling error."""


@dataclass(frozen=True, eq=False)
class Anchors:
    """What is known of the anchors before there is any comparison.

    Attributes:
        ranks: Grade ranks, 0 = best, shape (n,).
        upper: Whether the grade is an upper grade (A or B), shape (n,).
    """

    ranks: IntArray
    upper: npt.NDArray[np.bool_]


def anchors_of(data: AlignmentData, upper_grades: Collection[str] = UPPER_GRADES) -> Anchors:
    """The anchors of a population in which every grade is known.

    Raises:
        AlignmentDataError: A grade is unknown.
    """
    upper = [(grade or "").strip().upper() in upper_grades for grade in data.grades]
    return Anchors(data.ranks(), np.array(upper, dtype=bool))


def scale_separation_reliability(theta: FloatArray, standard_error: FloatArray) -> FloatArray:
    """Scale separation reliability 1 - mean(SE^2) / var(theta), not capped (sirt ``mle.reliability``).

    Args:
        theta: Scores, shape (..., n).
        standard_error: Their sum-to-zero standard errors, shape (..., n).

    Returns:
        At most 1, negative where error exceeds spread, shape (...); the variance is the sample variance
        (n - 1). NaN with fewer than two items, equal scores, or an item without a standard error.
    """
    if theta.shape[-1] < 2:
        return np.full(theta.shape[:-1], np.nan)
    spread = np.asarray(theta.var(axis=-1, ddof=1))
    error = np.mean(standard_error**2, axis=-1)
    whole = spread > agreement.TIE**2
    unreliable: FloatArray = np.divide(error, spread, out=np.full(spread.shape, np.nan), where=whole)
    return 1.0 - unreliable


def figures(
    anchors: Anchors, outcomes: FloatArray, *, alpha: float = ALPHA, start: FloatArray | None = None
) -> Mapping[str, FloatArray]:
    """All figures of :data:`FIGURES`, by name; what nothing speaks to is NaN.

    Args:
        anchors: The anchors, n of them.
        outcomes: Wins by position, shape (..., n, n, 2).
        alpha: Regularisation of the Bradley-Terry fit.
        start: Scores to start the fit from, shape (n,).

    Returns:
        Arrays of shape (...).
    """
    wins = outcomes.sum(axis=-1)
    ranks, upper = anchors.ranks, anchors.upper
    theta = fit_wins(wins, alpha, start)
    whole = graph.connected(wins + np.swapaxes(wins, -1, -2))
    total = wins.sum(axis=(-1, -2))
    inverted = agreement.inverted_comparisons(wins, ranks)
    decidable = agreement.decidable_comparisons(wins, ranks)
    upper_pairs = agreement.decidable_pairs(wins, ranks, upper)
    return {
        "kendall_tau": agreement.kendall_tau_b(ranks, theta),
        "kendall_tau_a": agreement.kendall_tau_a(ranks, theta),
        "direct_inversions": _where(decidable, agreement.direct_inversions(wins, ranks)),
        "majority_inversions": _where(decidable, agreement.majority_inversions(wins, ranks)),
        "inversion_rate": _share(inverted, total),
        "agreement": _share(decidable - inverted, decidable),
        "zero_win_anchors": _where(total, agreement.zero_wins(wins)),
        "upper_grade_inversions": _where(upper_pairs, agreement.direct_inversions(wins, ranks, upper)),
        "position_bias": _share(outcomes[..., 0].sum(axis=(-1, -2)), total) - 0.5,
        "flip_rate": bias.flip_rates(outcomes),
        "ssr": np.where(whole, scale_separation_reliability(theta, standard_errors(wins, theta)), np.nan),
    }


def _share(part: FloatArray, whole: FloatArray) -> FloatArray:
    share: FloatArray = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
    return share


def _where(some: FloatArray, value: FloatArray) -> FloatArray:
    return np.where(some > 0, value, np.nan)
