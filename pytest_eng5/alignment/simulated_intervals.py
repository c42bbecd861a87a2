"""Intervals of simulated runs: what a gate with a confidence would see, and which bounds it could decide.

Ends are made as reports make them (:mod:`.metrics`), with one short cut: the standard error of a score-based
figure is taken from the simulated runs themselves and not estimated anew in each run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pytest_eng5.alignment import agreement
from pytest_eng5.alignment.bradley_terry import fit_wins, standard_errors
from pytest_eng5.alignment.data import AlignmentDataError, FloatArray
from pytest_eng5.alignment.effective import PairModel
from pytest_eng5.alignment.figures import scale_separation_reliability
from pytest_eng5.alignment.graph import connected
from pytest_eng5.alignment.intervals import (
    correlation_ends,
    effective_pairs,
    reliability_interval,
    wilson_interval,
)
from pytest_eng5.alignment.simulation import SimulatedJudge, simulated_runs

__all__ = ["GATED", "DecidableBounds", "GateOdds", "decidable_bounds", "gate_odds", "interval_ends"]

GATED = (
    *("kendall_tau", "agreement", "inversion_rate", "direct_inversions", "majority_inversions"),
    "ssr",
)
"""Figures whose gates can be planned."""


@dataclass(frozen=True)
class GateOdds:
    """How often runs of a judge pass a gate, fail it, or leave it undecided; the three add up to 1.

    Attributes:
        comparisons: Of each run.
        passed: Share of runs whose whole interval satisfies the bounds.
        failed: Share of runs none of whose interval does.
        undecided: The rest.
        error: Monte-Carlo standard error of ``undecided``.
    """

    comparisons: int
    passed: float
    failed: float
    undecided: float
    error: float


@dataclass(frozen=True)
class DecidableBounds:
    """Which minimum a run of so many comparisons can decide, with a given probability.

    Attributes:
        passes_up_to: A minimum up to this is passed.
        fails_from: A minimum above this is failed; between the two a run stays undecided more often.
    """

    passes_up_to: float
    fails_from: float


def interval_ends(
    judge: SimulatedJudge,
    metric: str,
    comparisons: int,
    *,
    confidence: float = 0.95,
    runs: int = 1000,
    seed: int = 0,
) -> FloatArray:
    """Ends of the intervals of a figure in simulated runs, shape (runs, 2); NaN where no gate would pass.

    That is where there is no interval, or where the comparisons do not join all anchors.

    Args:
        judge: Who judges.
        metric: One of :data:`GATED`.
        comparisons: Of each run.
        confidence: Of the intervals.
        runs: Simulated runs.
        seed: Of the simulation.

    Raises:
        AlignmentDataError: A figure that is not planned for, or an argument out of range.
    """
    if metric not in GATED:
        raise AlignmentDataError(f"gates on {metric} cannot be planned", fix=f"use one of {', '.join(GATED)}")
    if not 0 < confidence < 1 or comparisons < 1 or runs < 2:
        raise AlignmentDataError(f"confidence={confidence}, comparisons={comparisons}, runs={runs}")
    tables = np.concatenate(list(simulated_runs(judge, comparisons, runs, seed)))
    ends = _ends(metric, tables, judge, confidence)
    ends[~connected(tables + np.swapaxes(tables, -1, -2))] = np.nan
    return ends


def gate_odds(
    judge: SimulatedJudge,
    metric: str,
    low: float,
    high: float,
    comparisons: int,
    *,
    confidence: float = 0.95,
    runs: int = 1000,
    seed: int = 0,
) -> GateOdds:
    """How a gate ends: bounds ``low`` and ``high`` (infinite where there is none); the rest as above."""
    ends = interval_ends(judge, metric, comparisons, confidence=confidence, runs=runs, seed=seed)
    begin, end = ends[:, 0], ends[:, 1]
    passed = float(np.mean((begin >= low) & (end <= high)))
    failed = float(np.mean((end < low) | (begin > high)))
    undecided = max(1.0 - passed - failed, 0.0)
    return GateOdds(comparisons, passed, failed, undecided, _error(undecided, runs))


def decidable_bounds(
    judge: SimulatedJudge,
    metric: str,
    comparisons: int,
    *,
    power: float = 0.8,
    confidence: float = 0.95,
    runs: int = 1000,
    seed: int = 0,
) -> DecidableBounds:
    """Which minimum of a figure is passed, and which is failed, in a share ``power`` of runs."""
    ends = interval_ends(judge, metric, comparisons, confidence=confidence, runs=runs, seed=seed)
    return DecidableBounds(
        float(np.nanquantile(ends[:, 0], 1 - power)), float(np.nanquantile(ends[:, 1], power))
    )


def _error(share: float, runs: int) -> float:
    """Monte-Carlo standard error of a share of runs; of none or all as if half a run were otherwise."""
    inner = min(max(share, 0.5 / runs), 1 - 0.5 / runs)
    return float(np.sqrt(inner * (1 - inner) / runs))


def _ends(metric: str, tables: FloatArray, judge: SimulatedJudge, confidence: float) -> FloatArray:
    if metric not in ("kendall_tau", "ssr"):
        return np.array([_counted(metric, table, judge, confidence) for table in tables])
    theta = fit_wins(tables, start=judge.theta)
    if metric == "ssr":
        values = scale_separation_reliability(theta, standard_errors(tables, theta))
        found = [reliability_interval(values, float(one), confidence) for one in values]
    else:
        values = agreement.kendall_tau_b(judge.ranks, theta)
        compared = int(np.count_nonzero(tables[0] + tables[0].T)) // 2
        attainable, number = agreement.attainable_tau_b(judge.ranks), effective_pairs(values, compared)
        found = [correlation_ends(number, float(one), confidence, attainable) for one in values]
    return np.array([(np.nan, np.nan) if one is None else one for one in found])


def _counted(metric: str, wins: FloatArray, judge: SimulatedJudge, confidence: float) -> tuple[float, float]:
    """Ends of a share, or of a count as the share of the pairs that could be inverted."""
    ranks, pairs = judge.ranks, PairModel(wins, judge.theta, judge.ranks, repeats_count=True)
    decidable = float(agreement.decidable_comparisons(wins, ranks))
    inverted = float(agreement.inverted_comparisons(wins, ranks))
    whole = float(agreement.decidable_pairs(wins, ranks))
    parts: dict[str, tuple[float, float, float, float]] = {
        "agreement": (decidable - inverted, decidable, pairs.comparisons(decidable=True), 1.0),
        "inversion_rate": (inverted, float(wins.sum()), pairs.comparisons(decidable=False), 1.0),
        "direct_inversions": (
            float(agreement.direct_inversions(wins, ranks)),
            whole,
            pairs.inverted_pairs(),
            whole,
        ),
        "majority_inversions": (
            float(agreement.majority_inversions(wins, ranks)),
            whole,
            pairs.majority_pairs(),
            whole,
        ),
    }
    part, of, worth, times = parts[metric]
    if not of:
        return math.nan, math.nan
    low, high = wilson_interval(part / of * worth, worth, confidence)
    return low * times, high * times
