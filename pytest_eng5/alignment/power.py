"""Plans with their Monte-Carlo error: the searches of :mod:`.planning`, made several times over.

A search is repeated with seeds of its own (batch means); the spread between the repetitions is the error of
the answer, the matching of the judges and the narrowing down included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pytest_eng5.alignment.matching import improved_judge, simulated_taus
from pytest_eng5.alignment.planning import (
    Precision,
    Progress,
    comparisons_for_width,
    comparisons_to_detect,
    detectable_difference,
    least_comparisons,
    power_of,
    precision_at,
)
from pytest_eng5.alignment.simulated_intervals import gate_odds
from pytest_eng5.alignment.simulation import SimulatedJudge

__all__ = [
    "Batches",
    "Detection",
    "Planned",
    "Room",
    "plan_detection",
    "plan_gate",
    "plan_width",
    "precision_of",
    "room_for_difference",
    "smallest_difference",
    "tau_at",
]

_STRIDE = 7919
_STRONGEST = 16.0


@dataclass(frozen=True)
class Batches:
    """How much is simulated.

    Attributes:
        number: Repetitions of each search, at least two.
        runs: Simulated runs per step of a search.
        seed: Of the first repetition.
        limit: Most comparisons of a run to consider.
        progress: Called with steps done and steps in all, an upper bound, of one search after the other.
    """

    number: int = 5
    runs: int = 400
    seed: int = 0
    limit: int = 5000
    progress: Progress | None = None

    def seeds(self) -> list[int]:
        """One per repetition."""
        return [self.seed + _STRIDE * k for k in range(self.number)]

    def of(self, repetition: int) -> Progress | None:
        """Progress of one repetition as part of all."""
        report = self.progress
        if report is None:
            return None
        return lambda done, steps: report(repetition * steps + done, self.number * steps)


@dataclass(frozen=True)
class Planned:
    """An answer and its Monte-Carlo error.

    Attributes:
        value: Mean over the repetitions that found one; ``None`` if most of them found none.
        error: Standard error of that mean; NaN with fewer than two.
        found: Repetitions that found one.
        repetitions: All of them.
    """

    value: float | None
    error: float
    found: int
    repetitions: int


@dataclass(frozen=True)
class Room:
    """Mean tau-b of a judge, and how much better or worse another could be at as many comparisons.

    Attributes:
        tau: Of the judge.
        better: Greatest difference upwards.
        worse: Greatest difference downwards, negative.
    """

    tau: float
    better: float
    worse: float


@dataclass(frozen=True)
class Detection:
    """How many comparisons tell two variants apart.

    Attributes:
        comparisons: Of each variant; its ``value`` is ``None`` if no number up to the limit is enough.
        power: Probability of finding the difference with that many, or the greatest seen up to the limit.
        power_error: Its Monte-Carlo standard error.
        difference: In mean tau-b at that many.
    """

    comparisons: Planned
    power: float
    power_error: float
    difference: float


def tau_at(judge: SimulatedJudge, comparisons: int, batches: Batches) -> float:
    """Mean tau-b of runs with so many comparisons."""
    runs = batches.number * batches.runs
    return float(simulated_taus(judge, comparisons, runs, batches.seed).mean())


def room_for_difference(judge: SimulatedJudge, comparisons: int, batches: Batches) -> Room:
    """How far a variant of this judge could lie above or below it at so many comparisons."""
    tau = tau_at(judge, comparisons, batches)
    ends = (tau_at(judge.towards_grades(step), comparisons, batches) for step in (_STRONGEST, -_STRONGEST))
    best, worst = ends
    return Room(tau, best - tau, worst - tau)


def plan_detection(
    judge: SimulatedJudge,
    difference: float,
    reference: int,
    batches: Batches,
    *,
    power: float = 0.8,
    level: float = 0.05,
) -> Detection:
    """Comparisons per variant that find a difference in mean tau-b, stated at ``reference`` comparisons.

    Args:
        judge: The baseline.
        difference: Candidate minus baseline, not 0.
        reference: Comparisons at which the difference is stated.
        batches: How much is simulated.
        power: Probability of finding it.
        level: Significance level of the two-sided test.

    Raises:
        AlignmentDataError: An argument out of range, or no judge differs by that much.
    """
    plans = [
        comparisons_to_detect(
            judge,
            difference,
            power=power,
            level=level,
            reference=reference,
            limit=batches.limit,
            runs=batches.runs,
            seed=seed,
            progress=batches.of(k),
        )
        for k, seed in enumerate(batches.seeds())
    ]
    found = _planned([plan.comparisons for plan in plans])
    if found.value is None:
        reached = float(np.mean([plan.power for plan in plans]))
        mean = float(np.mean([plan.difference for plan in plans]))
    else:
        candidate = improved_judge(judge, difference, reference, runs=batches.runs, seed=batches.seed)
        runs, seed = batches.number * batches.runs, batches.seed + 1
        number = math.ceil(found.value)
        reached, mean = power_of(judge, candidate, number, level=level, runs=runs, seed=seed)
    error = math.sqrt(max(reached * (1 - reached), 1e-4) / (batches.number * batches.runs))
    return Detection(found, reached, error, mean)


def smallest_difference(
    judge: SimulatedJudge,
    comparisons: int,
    batches: Batches,
    *,
    worse: bool = False,
    power: float = 0.8,
    level: float = 0.05,
) -> Planned:
    """The least difference in mean tau-b that runs of so many comparisons tell.

    Args:
        judge: The baseline.
        comparisons: Of each variant.
        batches: How much is simulated.
        worse: Ask for a candidate below the baseline; the answer is negative then.
        power: Probability of finding it.
        level: Significance level of the two-sided test.
    """
    found: list[float | None] = []
    for k, seed in enumerate(batches.seeds()):
        plan = detectable_difference(
            judge,
            comparisons,
            power=power,
            level=level,
            worse=worse,
            runs=batches.runs,
            seed=seed,
            progress=batches.of(k),
        )
        found.append(None if plan is None else plan.difference)
    return _planned(found)


def plan_width(judge: SimulatedJudge, width: float, batches: Batches, *, confidence: float = 0.95) -> Planned:
    """Comparisons of a run whose interval of tau-b is usually no wider; arguments as above."""
    found: list[Precision | None] = [
        comparisons_for_width(
            judge,
            width,
            confidence=confidence,
            limit=batches.limit,
            runs=batches.runs,
            seed=seed,
            progress=batches.of(k),
        )
        for k, seed in enumerate(batches.seeds())
    ]
    return _planned([None if one is None else one.comparisons for one in found])


def plan_gate(
    judge: SimulatedJudge,
    metric: str,
    low: float,
    high: float,
    batches: Batches,
    *,
    power: float = 0.8,
    confidence: float = 0.95,
) -> Planned:
    """Comparisons of a run after which a gate is passed or failed, not undecided, in a share ``power``."""
    start = len(judge.theta) - 1

    def decided(seed: int) -> Callable[[int], tuple[bool, int]]:
        def attempt(comparisons: int) -> tuple[bool, int]:
            if comparisons < start:  # no gate passes where the comparisons do not join all anchors
                return False, comparisons
            odds = gate_odds(
                judge, metric, low, high, comparisons, confidence=confidence, runs=batches.runs, seed=seed
            )
            return odds.passed + odds.failed >= power, comparisons

        return attempt

    return _planned(
        [
            least_comparisons(decided(seed), start, max(batches.limit, start), batches.of(k))[0]
            for k, seed in enumerate(batches.seeds())
        ]
    )


def precision_of(
    judge: SimulatedJudge, comparisons: int, batches: Batches, *, confidence: float = 0.95
) -> Precision:
    """Precision from all runs of the batches together."""
    runs = batches.number * batches.runs
    return precision_at(judge, comparisons, confidence=confidence, runs=runs, seed=batches.seed)


def _planned(values: Sequence[float | None]) -> Planned:
    known = [value for value in values if value is not None]
    error = float(np.std(known, ddof=1)) / math.sqrt(len(known)) if len(known) > 1 else math.nan
    value = float(np.mean(known)) if 2 * len(known) > len(values) else None
    return Planned(value, error, len(known), len(values))
