"""From a population to all its figures: point values, intervals, rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from pytest_eng5.alignment import agreement, bias, graph
from pytest_eng5.alignment.bootstrap import Unit, simulated_wins
from pytest_eng5.alignment.bootstrap_intervals import bootstrap_intervals
from pytest_eng5.alignment.bradley_terry import ALPHA, fit_wins, standard_errors
from pytest_eng5.alignment.calibrated import calibrated_scores
from pytest_eng5.alignment.data import AlignmentData, AlignmentDataError, FloatArray
from pytest_eng5.alignment.effective import PairModel
from pytest_eng5.alignment.figures import (
    UPPER_GRADES,
    Anchors,
    anchors_of,
    figures,
    scale_separation_reliability,
)
from pytest_eng5.alignment.intervals import (
    Interval,
    correlation_interval,
    percentile_interval,
    reliability_interval,
    wilson_interval,
)
from pytest_eng5.alignment.judge_quality import judge_quality
from pytest_eng5.alignment.results import AlignmentMetrics, BootstrapInfo, MetricValue, Population
from pytest_eng5.alignment.rows import anchor_rows, inversion_rows

__all__ = ["Intervals", "alignment_metrics"]

Intervals = Literal["chosen", "percentile", "bca"]


@dataclass(frozen=True, eq=False)
class _Sample:
    """The scored part of a population: every anchor graded and compared."""

    anchors: Anchors
    outcomes: FloatArray
    wins: FloatArray
    theta: FloatArray
    alpha: float
    upper_grades: Collection[str]

    @cached_property
    def calibrated(self) -> FloatArray:
        """Scores at the scale at which they predict."""
        return calibrated_scores(self.wins, self.theta, self.alpha)

    def pairs(self, unit: Unit) -> PairModel:
        """Pairs and their probabilities; with unit ``comparisons`` repeats of a pair count in full."""
        return PairModel(self.wins, self.calibrated, self.anchors.ranks, repeats_count=unit == "comparisons")


@dataclass(frozen=True)
class _Sampling:
    count: int
    seed: int
    confidence: float
    unit: Unit


def alignment_metrics(
    data: AlignmentData,
    *,
    bootstrap: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    unit: Unit = "pairs",
    intervals: Intervals = "chosen",
    alpha: float = ALPHA,
    upper_grades: Collection[str] = UPPER_GRADES,
    splits: int = 100,
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
        intervals: ``chosen``, for each figure the kind that holds best, see :mod:`.intervals`; or
            ``percentile`` or ``bca`` for all figures that have sampling error.
        alpha: Regularisation of the Bradley-Terry fit.
        upper_grades: Grades whose inversions are counted as ``upper_grade_inversions``.
        splits: Random halvings for ``split_half``; 0 for none.

    Raises:
        AlignmentDataError: A negative number of resamples, a confidence outside (0, 1), or an unknown kind
            of interval.
    """
    if bootstrap < 0 or not 0 < confidence < 1:
        raise AlignmentDataError(f"bootstrap={bootstrap}, confidence={confidence}")
    if intervals not in ("chosen", "percentile", "bca"):
        raise AlignmentDataError(f"intervals {intervals!r}", fix="use 'chosen', 'percentile' or 'bca'")
    graded, scored = data.graded(), data.scored()
    sample = _sample(scored, alpha, upper_grades)
    sampling = _Sampling(bootstrap, seed, confidence, unit)
    points = {
        name: float(value)
        for name, value in figures(sample.anchors, sample.outcomes, alpha=alpha, start=sample.theta).items()
    }
    found = _chosen(sample, sampling, points)
    if intervals != "chosen":
        found = _textbook(sample, sampling, intervals)
    values = {name: _value(point, *found[name]) for name, point in points.items()} | _design(sample, graded)
    ranks = graded.ranks()
    quality = judge_quality(data, splits=splits, seed=seed, confidence=confidence, alpha=alpha)
    values |= quality.values
    return AlignmentMetrics(
        values={name: values[name] for name in (*_ORDER, *quality.values)},
        attainable_tau_b=agreement.attainable_tau_b(ranks),
        attainable_tau_a=agreement.attainable_tau_a(ranks),
        anchors=anchor_rows(data, scored, sample.theta, standard_errors(sample.wins, sample.theta)),
        inversions=inversion_rows(scored),
        population=_population(data, graded, sample),
        bootstrap=BootstrapInfo(bootstrap, seed, confidence, unit),
        quality=quality,
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
    return _Sample(
        anchors_of(scored, upper_grades), outcomes, wins, fit_wins(wins, alpha), alpha, upper_grades
    )


def _value(point: float, interval: Interval | None, method: str) -> MetricValue:
    return MetricValue(point) if interval is None else MetricValue(point, *interval, method)


_Found = Mapping[str, tuple[Interval | None, str]]


def _textbook(sample: _Sample, sampling: _Sampling, method: Literal["percentile", "bca"]) -> _Found:
    """One kind of bootstrap interval for every figure."""
    found = bootstrap_intervals(
        sample.anchors,
        sample.outcomes,
        sampling.count,
        sampling.seed,
        method=method,
        confidence=sampling.confidence,
        unit=sampling.unit,
        alpha=sample.alpha,
    )
    return {name: (interval, method) for name, interval in found.items()}


def _chosen(sample: _Sample, sampling: _Sampling, points: Mapping[str, float]) -> _Found:
    """For every figure the interval that holds best."""
    return _from_scores(sample, sampling, points) | _shares(sample, sampling) | _counts(sample, sampling)


def _from_scores(
    sample: _Sample,
    sampling: _Sampling,
    points: Mapping[str, float],
) -> dict[str, tuple[Interval | None, str]]:
    """Figures that rest on the scores, from simulated repeats of the run."""
    repeats, effect = _repeats(sample, sampling, sample.wins), sample.pairs(sampling.unit).repeat_effect
    ways = [(repeats, effect)]
    if effect > 1:
        ways.append((_repeats(sample, sampling, _once(sample.wins)), 1.0))
    pairs = int(_once(sample.wins).sum())
    found: dict[str, tuple[Interval | None, str]] = {}
    limits = {"kendall_tau": agreement.attainable_tau_b, "kendall_tau_a": agreement.attainable_tau_a}
    for name, attainable in limits.items():
        interval = correlation_interval(
            [(values[name], inflation) for values, inflation in ways],
            points[name],
            sampling.confidence,
            attainable=attainable(sample.anchors.ranks),
            pairs=pairs,
        )
        found[name] = interval, "bootstrap"
    ssr = reliability_interval(repeats["ssr"], points["ssr"], sampling.confidence, repeat_effect=effect)
    found["ssr"] = ssr, "bootstrap"
    found["zero_win_anchors"] = _zero_wins(sample, sampling), "model"
    return found


def _once(wins: FloatArray) -> FloatArray:
    """Each pair that was compared, once, shape (n, n)."""
    return np.triu((wins + wins.T) > 0, 1).astype(np.float64)


def _repeats(sample: _Sample, sampling: _Sampling, wins: FloatArray) -> dict[str, FloatArray]:
    """Figures of simulated runs of the same judge over the pairs of a table, each of shape (count,)."""
    if not sampling.count or not sample.wins.any():
        return {name: np.empty(0) for name in ("kendall_tau", "kendall_tau_a", "ssr")}
    truth = sample.calibrated
    tables = np.concatenate(list(simulated_wins(wins, truth, sampling.count, sampling.seed)))
    theta = fit_wins(tables, sample.alpha, truth)
    ssr = scale_separation_reliability(theta, standard_errors(tables, theta))
    return {
        "kendall_tau": agreement.kendall_tau_b(sample.anchors.ranks, theta),
        "kendall_tau_a": agreement.kendall_tau_a(sample.anchors.ranks, theta),
        "ssr": np.where(graph.connected(sample.wins + sample.wins.T), ssr, np.nan),
    }


def _zero_wins(sample: _Sample, sampling: _Sampling) -> Interval | None:
    tables = simulated_wins(sample.wins, sample.theta, sampling.count, sampling.seed)
    simulated = [agreement.zero_wins(table) for table in tables]
    return percentile_interval(np.concatenate(simulated or [np.empty(0)]), sampling.confidence)


def _shares(sample: _Sample, sampling: _Sampling) -> dict[str, tuple[Interval | None, str]]:
    """Shares of comparisons, with Wilson intervals for their effective numbers; of pairs in both orders."""
    wins, ranks, pairs = sample.wins, sample.anchors.ranks, sample.pairs(sampling.unit)
    inverted = float(agreement.inverted_comparisons(wins, ranks))
    decidable = float(agreement.decidable_comparisons(wins, ranks))
    both_orders = bias.pairs_in_both_orders(sample.outcomes)
    flips = bias.flip_rate(sample.outcomes) * both_orders
    won_by_a, total = float(sample.outcomes[..., 0].sum()), float(wins.sum())
    parts = {
        "inversion_rate": (inverted, total, pairs.comparisons(decidable=False), 1.0, 0.0),
        "agreement": (decidable - inverted, decidable, pairs.comparisons(decidable=True), 1.0, 0.0),
        "flip_rate": (flips, both_orders, both_orders, 1.0, 0.0),
        "position_bias": (won_by_a, total, pairs.first_places(), 1.0, 0.5),
    }
    return {name: (_wilson(*part, sampling.confidence), "wilson") for name, part in parts.items()}


def _counts(sample: _Sample, sampling: _Sampling) -> dict[str, tuple[Interval | None, str]]:
    """Counts of pairs, with the Wilson interval of their share times the number of pairs."""
    wins, ranks, upper = sample.wins, sample.anchors.ranks, sample.anchors.upper
    whole, uppers = (float(agreement.decidable_pairs(wins, ranks, among)) for among in (None, upper))
    pairs = sample.pairs(sampling.unit)
    parts = {
        "direct_inversions": (agreement.direct_inversions(wins, ranks), whole, pairs.inverted_pairs()),
        "majority_inversions": (agreement.majority_inversions(wins, ranks), whole, pairs.majority_pairs()),
        "upper_grade_inversions": (
            agreement.direct_inversions(wins, ranks, upper),
            uppers,
            pairs.inverted_pairs(upper),
        ),
    }
    return {
        name: (_wilson(float(count), of, worth, of, 0.0, sampling.confidence), "wilson")
        for name, (count, of, worth) in parts.items()
    }


def _wilson(
    part: float, whole: float, worth: float, times: float, minus: float, confidence: float
) -> Interval | None:
    """The interval of a share worth so many comparisons, multiplied and shifted; ``None`` of nothing."""
    if not whole:
        return None
    low, high = wilson_interval(part / whole * worth, worth, confidence)
    return low * times - minus, high * times - minus


def _design(sample: _Sample, graded: AlignmentData) -> dict[str, MetricValue]:
    """Properties of the comparisons that were made, without sampling error."""
    games = graded.wins() + graded.wins().T
    return {
        "expected_zero_win": MetricValue(
            agreement.expected_zero_wins(sample.wins, sample.anchors.ranks) if sample.wins.any() else np.nan
        ),
        "coverage": MetricValue(graph.coverage(games)),
        "connected": MetricValue(float(graph.connected(games))),
    }


def _pairs(graded: AlignmentData, sample: _Sample) -> dict[str, int]:
    """Pairs that could be inverted, of all graded anchors and of what was compared."""
    every = anchors_of(graded, sample.upper_grades)
    whole = np.ones((graded.n_anchors, graded.n_anchors))
    compared, scored = sample.wins, sample.anchors
    found = {
        "decidable_pairs": agreement.decidable_pairs(whole, every.ranks),
        "decidable_pairs_compared": agreement.decidable_pairs(compared, scored.ranks),
        "upper_pairs": agreement.decidable_pairs(whole, every.ranks, every.upper),
        "upper_pairs_compared": agreement.decidable_pairs(compared, scored.ranks, scored.upper),
    }
    return {name: int(number) for name, number in found.items()}


def _population(data: AlignmentData, graded: AlignmentData, sample: _Sample) -> Population:
    wins = graded.wins()
    games = wins + wins.T
    n = graded.n_anchors
    lonely = np.flatnonzero(games.sum(axis=-1) == 0)
    ranked = zip(data.ids, data.grade_ranks, strict=True)
    ranks = sample.anchors.ranks
    return Population(
        anchors=data.n_anchors,
        graded=n,
        unknown_grade=tuple(anchor for anchor, rank in ranked if rank is None),
        uncompared=tuple(graded.ids[i] for i in lonely),
        distinct_grades=len(set(graded.grade_ranks)),
        comparisons=graded.n_comparisons,
        excluded_comparisons=data.n_comparisons - graded.n_comparisons,
        decidable_comparisons=int(agreement.decidable_comparisons(sample.wins, ranks)),
        upper_comparisons=int(agreement.decidable_comparisons(sample.wins, ranks, sample.anchors.upper)),
        **_pairs(graded, sample),
        pairs=n * (n - 1) // 2,
        pairs_compared=int(np.count_nonzero(np.triu(games, 1))),
        pairs_in_both_orders=bias.pairs_in_both_orders(sample.outcomes),
        connected=bool(graph.connected(games)),
    )
