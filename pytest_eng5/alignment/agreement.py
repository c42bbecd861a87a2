"""Agreement of scores and comparisons with expert grades.

Everything works on arrays with leading axes, so that one value and the values of many resamples come from
the same code: ``theta`` has shape (..., n), ``wins`` (times i beat j) has shape (..., n, n), and results
have the shape of the leading axes. ``grade_ranks`` has shape (n,), 0 = best. What cannot be computed is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pytest_eng5.alignment.data import FloatArray, IntArray

__all__ = [
    "attainable_tau_a",
    "attainable_tau_b",
    "decidable_comparisons",
    "decidable_pairs",
    "direct_inversions",
    "expected_zero_wins",
    "forced_tau",
    "inverted_comparisons",
    "kendall_tau_a",
    "kendall_tau_b",
    "majority_inversions",
    "zero_wins",
]

TIE = 1e-9
"""Scores closer than this are tied: the fit is exact to about 1e-12, so nearer ones are equal by symmetry."""

GradeRanks = Sequence[int] | IntArray


def _pairs(grade_ranks: GradeRanks) -> tuple[IntArray, IntArray, IntArray]:
    """Positions i < j of all pairs and the sign of the grade difference: 1 where i has the better grade."""
    ranks = np.asarray(grade_ranks, dtype=np.int64)
    i, j = np.triu_indices(len(ranks), 1)
    return i, j, np.sign(ranks[j] - ranks[i])


def _score_signs(theta: FloatArray, i: IntArray, j: IntArray) -> FloatArray:
    difference = theta[..., i] - theta[..., j]
    signs: FloatArray = np.where(np.abs(difference) <= TIE, 0.0, np.sign(difference))
    return signs


def _ratio(part: npt.ArrayLike, whole: npt.ArrayLike) -> FloatArray:
    """Division that is NaN where there is nothing to divide by."""
    bottom = np.asarray(whole, dtype=np.float64)
    top = np.asarray(part, dtype=np.float64)
    empty = np.full(np.broadcast(top, bottom).shape, np.nan)
    ratio: FloatArray = np.divide(top, bottom, out=empty, where=bottom > 0)
    return ratio


def kendall_tau_a(grade_ranks: GradeRanks, theta: FloatArray) -> FloatArray:
    """Kendall's tau-a: (concordant - discordant) / (n(n-1)/2) over all pairs; ties count as neither."""
    i, j, grade_sign = _pairs(grade_ranks)
    return _ratio((_score_signs(theta, i, j) * grade_sign).sum(axis=-1), float(len(i)))


def kendall_tau_b(grade_ranks: GradeRanks, theta: FloatArray) -> FloatArray:
    """Kendall's tau-b between grades (ties kept) and scores (Kendall 1945).

    (concordant - discordant) / sqrt(pairs untied in grade * pairs untied in theta); NaN if either is 0.
    """
    i, j, grade_sign = _pairs(grade_ranks)
    score_sign = _score_signs(theta, i, j)
    untied = np.count_nonzero(grade_sign) * np.count_nonzero(score_sign, axis=-1)
    return _ratio((score_sign * grade_sign).sum(axis=-1), np.sqrt(untied))


def forced_tau(grade_ranks: GradeRanks, theta: FloatArray) -> FloatArray:
    """The tau of published alignment reports: tau-a that counts pairs of equal grades as concordant.

    Those reports put anchors of one grade into the order of their scores before comparing the orders
    (contract 11, defect R15), so nothing but a pair of different grades can be discordant and the greatest
    value is always 1. For comparison with such figures only; not offered as a metric.
    """
    i, j, grade_sign = _pairs(grade_ranks)
    agreeing = _score_signs(theta, i, j) * grade_sign + (grade_sign == 0)
    return _ratio(agreeing.sum(axis=-1), float(len(i)))


def attainable_tau_a(grade_ranks: GradeRanks) -> float:
    """Greatest tau-a that these grades allow: the share of pairs with different grades."""
    _, _, grade_sign = _pairs(grade_ranks)
    return float(_ratio(np.count_nonzero(grade_sign), grade_sign.size))


def attainable_tau_b(grade_ranks: GradeRanks) -> float:
    """Greatest tau-b that these grades allow scores without ties: the root of the share of untied pairs.

    NaN if all grades are equal. Only exactly equal scores of same-grade anchors exceed it. That can happen:
    after a full round-robin the scores depend on the numbers of wins alone.
    """
    share = attainable_tau_a(grade_ranks)
    return float(np.sqrt(share)) if share > 0 else float("nan")


def _count(true: npt.NDArray[np.bool_]) -> FloatArray:
    return np.asarray(np.count_nonzero(true, axis=-1), dtype=np.float64)


def _better_worse(
    wins: FloatArray, grade_ranks: GradeRanks, better_among: npt.ArrayLike | None = None
) -> tuple[FloatArray, FloatArray]:
    """Wins of the better and of the worse grade, per pair of anchors with different grades, (..., pairs)."""
    i, j, sign = _pairs(grade_ranks)
    better, worse = np.where(sign > 0, i, j), np.where(sign > 0, j, i)
    chosen = sign != 0
    if better_among is not None:
        chosen &= np.asarray(better_among, dtype=bool)[better]
    better, worse = better[chosen], worse[chosen]
    return wins[..., better, worse], wins[..., worse, better]


def decidable_comparisons(
    wins: FloatArray, grade_ranks: GradeRanks, better_among: npt.ArrayLike | None = None
) -> FloatArray:
    """Number of comparisons between different grades: those that could be inversions."""
    better_won, worse_won = _better_worse(wins, grade_ranks, better_among)
    total: FloatArray = (better_won + worse_won).sum(axis=-1)
    return total


def decidable_pairs(
    wins: FloatArray, grade_ranks: GradeRanks, better_among: npt.ArrayLike | None = None
) -> FloatArray:
    """Number of unordered pairs with different grades that were compared."""
    better_won, worse_won = _better_worse(wins, grade_ranks, better_among)
    return _count(better_won + worse_won > 0)


def direct_inversions(
    wins: FloatArray, grade_ranks: GradeRanks, better_among: npt.ArrayLike | None = None
) -> FloatArray:
    """Number of unordered pairs in which the lower grade won at least one comparison.

    Args:
        wins: Times i beat j, shape (..., n, n).
        grade_ranks: Shape (n,).
        better_among: Which anchors count as the better one of a pair, boolean, shape (n,); default all.
    """
    _, worse_won = _better_worse(wins, grade_ranks, better_among)
    return _count(worse_won > 0)


def majority_inversions(wins: FloatArray, grade_ranks: GradeRanks) -> FloatArray:
    """Number of unordered pairs in which the lower grade won more comparisons than it lost."""
    better_won, worse_won = _better_worse(wins, grade_ranks)
    return _count(worse_won > better_won)


def inverted_comparisons(wins: FloatArray, grade_ranks: GradeRanks) -> FloatArray:
    """Number of comparisons, every occurrence counted, that the lower grade won."""
    _, worse_won = _better_worse(wins, grade_ranks)
    total: FloatArray = worse_won.sum(axis=-1)
    return total


def zero_wins(wins: FloatArray) -> FloatArray:
    """Number of anchors that were compared and never won."""
    won, lost = wins.sum(axis=-1), wins.sum(axis=-2)
    return _count((won == 0) & (lost > 0))


def expected_zero_wins(wins: FloatArray, grade_ranks: GradeRanks) -> float:
    """Zero-win anchors to expect from a judge that never inverts, given the comparisons that were made.

    Such a judge lets the better grade win always and either anchor win with probability 1/2 if the grades
    are equal. An anchor that met a lower grade has a win; one that met only its own grade k times and
    higher grades otherwise has none with probability 2^-k. A single round-robin with one or two anchors in
    the lowest grade gives exactly 1.

    Args:
        wins: Times i beat j, shape (n, n).
        grade_ranks: Shape (n,).
    """
    ranks = np.asarray(grade_ranks, dtype=np.int64)
    games = wins + wins.T
    met_lower = (games * (ranks[:, None] < ranks[None, :])).sum(axis=-1) > 0
    met_equal = (games * (ranks[:, None] == ranks[None, :])).sum(axis=-1)
    winless = (games.sum(axis=-1) > 0) & ~met_lower
    return float(np.sum(0.5 ** met_equal[winless]))
