"""From a population to all its figures: point values, intervals, rows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_eng5.alignment import agreement, bias, graph
from pytest_eng5.alignment.bootstrap import Unit, resamples, simulated_wins
from pytest_eng5.alignment.bradley_terry import ALPHA, fit_wins, standard_errors
from pytest_eng5.alignment.data import AlignmentData, AlignmentDataError, FloatArray, IntArray
from pytest_eng5.alignment.intervals import (
    fisher_interval,
    percentile_interval,
    reliability_interval,
    wilson_interval,
)
from pytest_eng5.alignment.results import AlignmentMetrics, BootstrapInfo, MetricValue, Population
from pytest_eng5.alignment.rows import anchor_rows, inversion_rows

__all__ = ["UPPER_GRADES", "alignment_metrics", "scale_separation_reliability"]

UPPER_GRADES = frozenset({"A", "A-", "B+", "B", "B-", "9", "8"})
"""Grades that count as A or B; 9 and 8 are the two top steps of the national scale, as A and B are."""


@dataclass(frozen=True, eq=False)
class _Sample:
    """The scored part of a population: every anchor graded and compared."""

    ranks: IntArray
    upper: npt.NDArray[np.bool_]
    outcomes: FloatArray
    wins: FloatArray
    theta: FloatArray
    standard_error: FloatArray
    alpha: float


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


def alignment_metrics(
    data: AlignmentData,
    *,
    bootstrap: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    unit: Unit = "pairs",
    alpha: float = ALPHA,
    upper_grades: Collection[str] = UPPER_GRADES,
) -> AlignmentMetrics:
    """Compute every alignment figure of a population.

    Anchors with an unknown grade are left out with their comparisons; graded anchors without a comparison
    have no score and no part in the agreement figures. Both are named in ``population`` so that a gate can
    refuse to pass on them. A figure that nothing speaks to, counts included, is NaN and not 0. No point
    value depends on the order of anchors or events, and no interval on the order of events.

    Args:
        data: Anchors and the comparisons that succeeded.
        bootstrap: Number of resamples; 0 for point values only.
        seed: Of the resampling; recorded in the result.
        confidence: Of all intervals, between 0 and 1.
        unit: What the bootstrap draws, see :mod:`pytest_eng5.alignment.bootstrap`.
        alpha: Regularisation of the Bradley-Terry fit.
        upper_grades: Grades whose inversions are counted as ``upper_grade_inversions``.

    Raises:
        AlignmentDataError: A negative number of resamples or a confidence outside (0, 1).
    """
    if bootstrap < 0 or not 0 < confidence < 1:
        raise AlignmentDataError(f"bootstrap={bootstrap}, confidence={confidence}")
    graded = data.select(i for i, rank in enumerate(data.grade_ranks) if rank is not None)
    games = graded.wins() + graded.wins().T
    compared = np.flatnonzero(games.sum(axis=-1) > 0)
    scored = graded.select(int(i) for i in compared)
    sample = _sample(scored, alpha, upper_grades)
    values = _estimates(sample, bootstrap, seed, confidence, unit)
    values |= _shares(sample, confidence) | _counts(sample, confidence) | _design(sample, graded)
    ranks = graded.ranks()
    return AlignmentMetrics(
        values={name: values[name] for name in _ORDER},
        attainable_tau_b=agreement.attainable_tau_b(ranks),
        attainable_tau_a=agreement.attainable_tau_a(ranks),
        anchors=anchor_rows(data, scored, sample.theta, sample.standard_error),
        inversions=inversion_rows(scored),
        population=_population(data, graded, sample),
        bootstrap=BootstrapInfo(bootstrap, seed, confidence, unit),
    )


_ORDER = (
    "kendall_tau",
    "kendall_tau_a",
    "direct_inversions",
    "majority_inversions",
    "inversion_rate",
    "agreement",
    "zero_win_anchors",
    "expected_zero_win",
    "upper_grade_inversions",
    "position_bias",
    "flip_rate",
    "ssr",
    "coverage",
    "connected",
)


def _sample(scored: AlignmentData, alpha: float, upper_grades: Collection[str]) -> _Sample:
    outcomes = scored.outcomes()
    wins = outcomes.sum(axis=-1)
    theta = fit_wins(wins, alpha)
    upper = np.array([_normal(grade) in upper_grades for grade in scored.grades], dtype=bool)
    return _Sample(scored.ranks(), upper, outcomes, wins, theta, standard_errors(wins, theta), alpha)


def _normal(grade: str | None) -> str:
    return (grade or "").strip().upper()


def _estimates(
    sample: _Sample, count: int, seed: int, confidence: float, unit: Unit
) -> dict[str, MetricValue]:
    """Figures that rest on the scores, with bootstrap intervals; zero wins, with one from the model."""
    wins, theta = sample.wins, sample.theta
    resampled: list[tuple[FloatArray, FloatArray, FloatArray]] = []
    for tables in resamples(wins, count, seed, unit):
        resampled.append(_from_scores(sample, tables, fit_wins(tables, sample.alpha, start=theta)))
    points = [float(point) for point in _from_scores(sample, wins, theta)]
    columns = [np.concatenate(column) for column in zip(*resampled, strict=True)] or [np.empty(0)] * 3
    pairs = len(theta) * (len(theta) - 1) // 2
    limits = agreement.attainable_tau_b(sample.ranks), agreement.attainable_tau_a(sample.ranks)
    tau_b, tau_a = (
        fisher_interval(columns[k], points[k], confidence, pairs=pairs, attainable=limits[k]) for k in (0, 1)
    )
    ssr = reliability_interval(columns[2], points[2], confidence)
    simulated = [agreement.zero_wins(t) for t in simulated_wins(wins, theta, count, seed)]
    zero = percentile_interval(np.concatenate(simulated or [np.empty(0)]), confidence)
    return {
        "kendall_tau": _value(points[0], tau_b, "bootstrap"),
        "kendall_tau_a": _value(points[1], tau_a, "bootstrap"),
        "ssr": _value(points[2], ssr, "bootstrap"),
        "zero_win_anchors": _value(float(agreement.zero_wins(wins)) if wins.any() else np.nan, zero, "model"),
    }


def _from_scores(
    sample: _Sample, wins: FloatArray, theta: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """tau-b, tau-a and SSR of one or many tables of wins and their scores."""
    ssr = scale_separation_reliability(theta, standard_errors(wins, theta))
    whole = graph.connected(wins + np.swapaxes(wins, -1, -2))
    return (
        agreement.kendall_tau_b(sample.ranks, theta),
        agreement.kendall_tau_a(sample.ranks, theta),
        np.where(whole, ssr, np.nan),
    )


def _value(point: float, interval: tuple[float, float] | None, method: str) -> MetricValue:
    return MetricValue(point) if interval is None else MetricValue(point, *interval, method)


def _shares(sample: _Sample, confidence: float) -> dict[str, MetricValue]:
    """Shares of comparisons or of pairs, with Wilson intervals."""
    wins = sample.wins
    inverted = float(agreement.inverted_comparisons(wins, sample.ranks))
    decidable = float(agreement.decidable_comparisons(wins, sample.ranks))
    both_orders = bias.pairs_in_both_orders(sample.outcomes)
    flips = bias.flip_rate(sample.outcomes) * both_orders
    won_by_a = float(sample.outcomes[..., 0].sum())
    return {
        "inversion_rate": _share(inverted, float(wins.sum()), confidence),
        "agreement": _share(decidable - inverted, decidable, confidence),
        "flip_rate": _share(flips, both_orders, confidence),
        "position_bias": _share(won_by_a, float(wins.sum()), confidence, shift=0.5),
    }


def _share(part: float, whole: float, confidence: float, shift: float = 0.0) -> MetricValue:
    if not whole:
        return MetricValue(float("nan"))
    low, high = wilson_interval(part, whole, confidence)
    return MetricValue(part / whole - shift, low - shift, high - shift, "wilson")


def _counts(sample: _Sample, confidence: float) -> dict[str, MetricValue]:
    """Counts of pairs, with the Wilson interval of their share times the number of pairs."""
    wins, ranks, upper = sample.wins, sample.ranks, sample.upper
    pairs = float(agreement.decidable_pairs(wins, ranks))
    upper_pairs = float(agreement.decidable_pairs(wins, ranks, upper))
    return {
        "direct_inversions": _of_pairs(agreement.direct_inversions(wins, ranks), pairs, confidence),
        "majority_inversions": _of_pairs(agreement.majority_inversions(wins, ranks), pairs, confidence),
        "upper_grade_inversions": _of_pairs(
            agreement.direct_inversions(wins, ranks, upper), upper_pairs, confidence
        ),
    }


def _of_pairs(count: FloatArray, pairs: float, confidence: float) -> MetricValue:
    if not pairs:
        return MetricValue(float("nan"))
    low, high = wilson_interval(float(count), pairs, confidence)
    return MetricValue(float(count), low * pairs, high * pairs, "wilson")


def _design(sample: _Sample, graded: AlignmentData) -> dict[str, MetricValue]:
    """Properties of the comparisons that were made, without sampling error."""
    games = graded.wins() + graded.wins().T
    return {
        "expected_zero_win": MetricValue(
            agreement.expected_zero_wins(sample.wins, sample.ranks) if sample.wins.any() else np.nan
        ),
        "coverage": MetricValue(graph.coverage(games)),
        "connected": MetricValue(float(graph.connected(games))),
    }


def _population(data: AlignmentData, graded: AlignmentData, sample: _Sample) -> Population:
    wins = graded.wins()
    games = wins + wins.T
    n = graded.n_anchors
    lonely = np.flatnonzero(games.sum(axis=-1) == 0)
    ranked = zip(data.ids, data.grade_ranks, strict=True)
    return Population(
        anchors=data.n_anchors,
        graded=n,
        unknown_grade=tuple(anchor for anchor, rank in ranked if rank is None),
        uncompared=tuple(graded.ids[i] for i in lonely),
        distinct_grades=len(set(graded.grade_ranks)),
        comparisons=graded.n_comparisons,
        excluded_comparisons=data.n_comparisons - graded.n_comparisons,
        decidable_comparisons=int(agreement.decidable_comparisons(sample.wins, sample.ranks)),
        upper_comparisons=int(agreement.decidable_comparisons(sample.wins, sample.ranks, sample.upper)),
        pairs=n * (n - 1) // 2,
        pairs_compared=int(np.count_nonzero(np.triu(games, 1))),
        pairs_in_both_orders=bias.pairs_in_both_orders(sample.outcomes),
        connected=bool(graph.connected(games)),
    )
