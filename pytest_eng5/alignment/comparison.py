"""Is one variant better than another? Paired on the anchor pairs that both judged.

The difference of two taus says little by itself: two runs of one judge over 12 anchors and 66 comparisons
differ by more than 0.10 in a quarter to a half of cases (``docs/calibration.md``). So each comes with

- a p-value from a permutation test. If the variants judge alike, it does not matter which of them made which
  comparison of a pair: the comparisons of each pair change sides at random and everything is fitted anew. A
  pair with as many comparisons of either variant changes sides as a whole, because repeats of a pair may be
  no news; of others the comparisons are dealt out anew. Equally large differences count half (mid-p).
- an interval: the difference ± t · a standard deviation, with as many degrees of freedom as there are anchors
  but one. It is the deviation over the permutations, which is that between repeats if the variants are not
  far apart, so that interval and p-value agree; or that over resampled pairs (drawn for both variants
  together) if it is smaller, as it is for variants that are far apart; and at least what a single differing
  pair would make.

Both condition on the pairs, so what variants have in common (the same model, the same hard pairs) cancels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.special import stdtrit

from pytest_eng5.alignment import agreement
from pytest_eng5.alignment.bradley_terry import ALPHA, fit_wins
from pytest_eng5.alignment.data import AlignmentData, AlignmentDataError, FloatArray, IntArray
from pytest_eng5.alignment.permutation import PairCounts, deal, pair_counts, resampled_pairs
from pytest_eng5.alignment.results import jsonable

__all__ = ["COMPARED", "Difference", "VariantComparison", "compare_runs", "compare_variants", "holm"]

COMPARED = ("kendall_tau", "direct_inversions", "pair_agreement")
"""Figures that are compared. ``pair_agreement`` is the mean over pairs of different grades of the share of
comparisons that the better grade won: every pair counts alike."""

_SAME = 1e-9


@dataclass(frozen=True)
class Difference:
    """One figure of two variants.

    Attributes:
        baseline: Its value for the baseline, over the pairs that both judged.
        candidate: Its value for the candidate.
        difference: Candidate minus baseline.
        low: Lower end of the interval of the difference, ``None`` without one.
        high: Upper end.
        p_value: Two-sided mid-p of the permutation test: how often chance makes a larger difference, equally
            large ones counting half.
        adjusted_p_value: The same after Holm's correction for all candidates compared with this baseline.
    """

    baseline: float
    candidate: float
    difference: float
    low: float | None
    high: float | None
    p_value: float
    adjusted_p_value: float


@dataclass(frozen=True)
class VariantComparison:
    """A candidate against a baseline.

    Attributes:
        baseline: Name of the baseline.
        candidate: Name of the candidate.
        differences: By figure.
        anchors: Graded anchors that the common pairs join.
        pairs: Pairs that both judged.
        pairs_left_out: Pairs that only one of them judged.
        differing_pairs: Common pairs with different results.
        comparisons: Comparisons of baseline and candidate on the common pairs.
        permutations: Number of permutations; if ``exact`` all there are.
        exact: Whether every permutation was tried.
        confidence: Of the intervals.
        seed: Of the permutations.
    """

    baseline: str
    candidate: str
    differences: Mapping[str, Difference]
    anchors: int
    pairs: int
    pairs_left_out: int
    differing_pairs: int
    comparisons: tuple[int, int]
    permutations: int
    exact: bool
    confidence: float
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers; an undefined number is ``None``."""
        plain: dict[str, Any] = jsonable(asdict(self))
        return plain


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for being several (Holm 1979, Scandinavian Journal of Statistics 6).

    Args:
        p_values: One per test; NaN for a test that could not be made, which stays NaN and does not count.
    """
    known = sorted((p, k) for k, p in enumerate(p_values) if not np.isnan(p))
    adjusted = [float("nan")] * len(p_values)
    least = 0.0
    for position, (p, k) in enumerate(known):
        least = max(least, min(1.0, (len(known) - position) * p))
        adjusted[k] = least
    return adjusted


def compare_variants(
    variants: Mapping[str, AlignmentData],
    baseline: str,
    *,
    permutations: int = 2000,
    resamples: int = 500,
    seed: int = 0,
    confidence: float = 0.95,
    alpha: float = ALPHA,
) -> tuple[VariantComparison, ...]:
    """Compare every other variant with the baseline, Holm-corrected over all of them, figure by figure.

    Args:
        variants: Population by name of variant; repeated runs pooled.
        baseline: One of the names.
        permutations: Random permutations; fewer if there are no more.
        resamples: Of pairs, for the intervals; 0 leaves them to the permutations.
        seed: Of both.
        confidence: Of the intervals, each by itself.
        alpha: Regularisation of the fits.

    Raises:
        AlignmentDataError: No such baseline, nothing to compare it with, or variants with different grades.
    """
    others = [name for name in variants if name != baseline]
    if baseline not in variants or not others:
        raise AlignmentDataError(
            f"the variants are {', '.join(variants) or 'none'}, the baseline is to be {baseline}",
            fix="name one of at least two variants as the baseline",
        )
    found = [
        compare_runs(
            variants[baseline],
            variants[name],
            names=(baseline, name),
            permutations=permutations,
            resamples=resamples,
            seed=seed,
            confidence=confidence,
            alpha=alpha,
        )
        for name in others
    ]
    adjusted = {name: holm([one.differences[name].p_value for one in found]) for name in COMPARED}
    return tuple(
        replace(
            one,
            differences={
                name: replace(difference, adjusted_p_value=adjusted[name][k])
                for name, difference in one.differences.items()
            },
        )
        for k, one in enumerate(found)
    )


def compare_runs(
    baseline: AlignmentData,
    candidate: AlignmentData,
    *,
    names: tuple[str, str] = ("baseline", "candidate"),
    permutations: int = 2000,
    resamples: int = 500,
    seed: int = 0,
    confidence: float = 0.95,
    alpha: float = ALPHA,
) -> VariantComparison:
    """Compare two populations over the same anchors; arguments as in :func:`compare_variants`.

    Anchors that only one of them has, or whose grade is unknown, are left out, and so are pairs that only one
    judged. Without a common pair every figure is NaN and every p-value too.

    Raises:
        AlignmentDataError: An anchor has different grades in the two, or an argument is out of range.
    """
    if permutations < 1 or resamples < 0 or not 0 < confidence < 1:
        raise AlignmentDataError(
            f"permutations={permutations}, resamples={resamples}, confidence={confidence}"
        )
    ranks, tables = _common_anchors(baseline, candidate)
    pairs, kept = pair_counts(*tables)
    measure = _Measure(pairs, ranks[kept], alpha)
    dealt, exact = deal(pairs, permutations, seed)
    shuffled = measure.differences(dealt)
    times = resampled_pairs(pairs, resamples, seed)
    drawn = measure.differences(np.broadcast_to(pairs.won, (len(times), *pairs.won.shape)), times)
    points = measure.figures(pairs.won[None])
    quantile = float(stdtrit(max(pairs.n - 1, 1), 0.5 + confidence / 2))
    either = np.count_nonzero(np.triu(sum(table + table.T for table in tables), 1))
    return VariantComparison(
        baseline=names[0],
        candidate=names[1],
        differences={
            name: _difference(
                points[name][0], shuffled[name], drawn[name], measure.one_pair[name], quantile, exact
            )
            for name in COMPARED
        },
        anchors=pairs.n,
        pairs=len(pairs.first),
        pairs_left_out=int(either) - len(pairs.first),
        differing_pairs=pairs.differing,
        comparisons=(int(pairs.games[0].sum()), int(pairs.games[1].sum())),
        permutations=len(dealt),
        exact=exact,
        confidence=confidence,
        seed=seed,
    )


def _common_anchors(
    one: AlignmentData, other: AlignmentData
) -> tuple[IntArray, tuple[FloatArray, FloatArray]]:
    """Ranks of the graded anchors that both have, and both tables of wins between them."""
    one, other = one.graded(), other.graded()
    ranks = dict(zip(other.ids, other.grade_ranks, strict=True))
    for anchor, rank in zip(one.ids, one.grade_ranks, strict=True):
        if ranks.get(anchor, rank) != rank:
            raise AlignmentDataError(
                f"anchor {anchor} has different grades in the two runs", fix="compare runs with equal grades"
            )
    both = sorted(anchor for anchor in one.ids if anchor in ranks)
    one, other = one.ordered_as(both), other.ordered_as(both)
    return one.ranks(), (one.wins(), other.wins())


class _Measure:
    """Figures of both variants for many results on the same pairs."""

    def __init__(self, pairs: PairCounts, ranks: IntArray, alpha: float) -> None:
        self.pairs, self.ranks, self.alpha = pairs, ranks, alpha
        self.sign = np.sign(ranks[pairs.second] - ranks[pairs.first])
        self.start = fit_wins(pairs.tables(pairs.won, pairs.games).sum(axis=0), alpha)

    def figures(self, won: IntArray, times: IntArray | None = None) -> dict[str, FloatArray]:
        """Each figure, shape (b, 2).

        Args:
            won: Wins of the first anchor, shape (b, 2, P).
            times: How often each pair counts, shape (b, P); once each if left out.
        """
        games, decidable = self.pairs.games, self.sign != 0
        weight = np.ones((1, 1, len(self.sign))) if times is None else times[:, None, :].astype(np.float64)
        theta = fit_wins(self.pairs.tables(won * weight, games * weight), self.alpha, self.start)
        worse_won = np.where(self.sign > 0, games - won, won)
        total = np.broadcast_to((weight * decidable).sum(axis=-1), theta.shape[:2])
        lost = (weight * decidable * worse_won / games).sum(axis=-1)
        share = np.divide(lost, total, out=np.full(total.shape, np.nan), where=total > 0)
        inverted = (weight * decidable * (worse_won > 0)).sum(axis=-1)
        return {
            "kendall_tau": agreement.kendall_tau_b(self.ranks, theta),
            "direct_inversions": np.where(total > 0, inverted, np.nan),
            "pair_agreement": 1.0 - share,
        }

    @property
    def one_pair(self) -> dict[str, float]:
        """By how much each figure changes if one pair of different grades is judged the other way round."""
        pairs = max(int(np.count_nonzero(self.sign)), 1)
        return {"kendall_tau": 2.0 / pairs, "direct_inversions": 1.0, "pair_agreement": 1.0 / pairs}

    def differences(self, won: IntArray, times: IntArray | None = None) -> dict[str, FloatArray]:
        """Candidate minus baseline, each of shape (b,)."""
        if not len(won) or not len(self.sign):
            return {name: np.empty(0) for name in COMPARED}
        return {name: values[:, 1] - values[:, 0] for name, values in self.figures(won, times).items()}


def _difference(
    points: FloatArray,
    shuffled: FloatArray,
    drawn: FloatArray,
    one_pair: float,
    quantile: float,
    exact: bool,
) -> Difference:
    found = float(points[1] - points[0])
    if np.isnan(found):
        return Difference(float(points[0]), float(points[1]), found, None, None, np.nan, np.nan)
    deviations = [float(np.nanstd(values)) for values in (shuffled, drawn) if not np.isnan(values).all()]
    half = quantile * max(min(deviations, default=0.0), one_pair)
    p = _p_value(found, shuffled, exact)
    return Difference(float(points[0]), float(points[1]), found, found - half, found + half, p, p)


def _p_value(found: float, shuffled: FloatArray, exact: bool) -> float:
    """Mid-p: share of permutations further from 0, and half of those as far (Lancaster 1961).

    Differences of taus and counts take few values, and a p-value that counts all that are as far rejects much
    too seldom. Of random permutations the original counts as one more. A permutation that leaves a figure
    undefined (all scores equal) counts as further; no difference at all has a p-value of 1.
    """
    if abs(found) <= _SAME:
        return 1.0
    distance = np.abs(shuffled) - abs(found)
    nearer, alike = np.count_nonzero(distance < -_SAME), np.count_nonzero(np.abs(distance) <= _SAME)
    further = shuffled.size - nearer - alike
    if exact:
        return (further + alike / 2) / shuffled.size
    return (further + (alike + 1) / 2) / (shuffled.size + 1)
