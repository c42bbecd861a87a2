"""How many comparisons: to tell two variants apart, or for an interval of a given width; and the reverse.

Everything by simulation of a judge, recorded or stated (:mod:`.simulation`); seeds make it repeatable, and
simulated runs of different plans share their random numbers as far as possible. Two assumptions to know of:
comparisons of one pair are taken as independent, and two variants as independent of each other. The first
flatters repeats of a pair; the second is cautious, since variants of one model err on the same pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from pytest_eng5.alignment.agreement import attainable_tau_b
from pytest_eng5.alignment.data import AlignmentDataError
from pytest_eng5.alignment.intervals import correlation_ends, effective_pairs
from pytest_eng5.alignment.matching import improved_judge, simulated_taus
from pytest_eng5.alignment.simulation import SimulatedJudge

__all__ = [
    "Plan",
    "Precision",
    "comparisons_for_width",
    "comparisons_to_detect",
    "detectable_difference",
    "least_comparisons",
    "power_of",
    "precision_at",
]

Progress = Callable[[int, int], None]
"""Called with steps done and steps in all (an upper bound)."""

_T = TypeVar("_T")

_NARROWING = 6

_SEARCH = 11
_STRONGEST = 16.0


@dataclass(frozen=True)
class Precision:
    """What a run with so many comparisons would show.

    Attributes:
        comparisons: Of the run.
        tau: Mean tau-b.
        spread: Its standard deviation between runs of the same judge.
        width: Usual width of its 95 % interval (or that of another confidence), within what is attainable.
    """

    comparisons: int
    tau: float
    spread: float
    width: float


@dataclass(frozen=True)
class Plan:
    """A comparison of two variants.

    Attributes:
        comparisons: Of each variant; ``None`` if no number up to the limit is enough.
        difference: In mean tau-b between the variants, at that many comparisons.
        power: Probability of finding it; with ``comparisons`` ``None`` the greatest that was seen.
        level: Two-sided significance level of the test.
        cost_usd: Of both variants together, ``None`` without a price or a number.
        runs: Simulated runs per step.
        seed: Of the simulation.
    """

    comparisons: int | None
    difference: float
    power: float
    level: float
    cost_usd: float | None
    runs: int
    seed: int


def precision_at(
    judge: SimulatedJudge, comparisons: int, *, confidence: float = 0.95, runs: int = 1000, seed: int = 0
) -> Precision:
    """Mean, spread and interval width of tau-b for runs with so many comparisons.

    Args:
        judge: Who judges.
        comparisons: Per run, at least one.
        confidence: Of the interval.
        runs: Simulated runs.
        seed: Of the simulation.

    Raises:
        AlignmentDataError: An argument out of range, or anchors all of one grade.
    """
    tau = simulated_taus(judge, comparisons, runs, seed)
    pairs = math.comb(len(judge.ranks), 2)
    attainable, number = attainable_tau_b(judge.ranks), effective_pairs(tau, min(comparisons, pairs))
    found = (correlation_ends(number, float(one), confidence, attainable) for one in tau)
    width = float(np.mean([0.0 if ends is None else ends[1] - ends[0] for ends in found]))
    return Precision(comparisons, float(tau.mean()), float(tau.std(ddof=1)), width)


def comparisons_for_width(
    judge: SimulatedJudge,
    width: float,
    *,
    confidence: float = 0.95,
    limit: int = 5000,
    runs: int = 500,
    seed: int = 0,
    progress: Progress | None = None,
) -> Precision | None:
    """The least number of comparisons, to a few, whose interval is usually no wider.

    ``None`` if that is beyond the limit.

    Args:
        judge: Who judges.
        width: Of the interval of tau-b, above 0.
        confidence: Of the interval.
        limit: Most comparisons to consider.
        runs: Simulated runs per step.
        seed: Of the simulation.
        progress: Called after each step.
    """
    if not width > 0:
        raise AlignmentDataError(f"a width of {width}", fix="ask for a width above 0")

    def precision(comparisons: int) -> tuple[bool, Precision]:
        found = precision_at(judge, comparisons, confidence=confidence, runs=runs, seed=seed)
        return found.width <= width, found

    return least_comparisons(precision, _smallest(judge), limit, progress)[0]


def power_of(
    baseline: SimulatedJudge,
    candidate: SimulatedJudge,
    comparisons: int,
    *,
    level: float = 0.05,
    runs: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Probability that two runs of so many comparisons each tell the judges apart, and their mean difference.

    The test is the two-sided one of :mod:`.comparison`. What its permutations spread is what differences of
    such runs spread around their mean, to about a twentieth, so that gives the critical value.

    Args:
        baseline: One judge.
        candidate: The other.
        comparisons: Of each run.
        level: Significance level.
        runs: Simulated pairs of runs.
        seed: Of the simulation.
    """
    one = simulated_taus(baseline, comparisons, runs, seed)
    found = simulated_taus(candidate, comparisons, runs, seed + 1) - one
    mean = float(found.mean())
    critical = np.quantile(np.abs(found - mean), 1 - level, method="higher")
    return float(np.mean(found * math.copysign(1.0, mean) > critical)), mean


def comparisons_to_detect(
    judge: SimulatedJudge,
    difference: float,
    *,
    power: float = 0.8,
    level: float = 0.05,
    reference: int | None = None,
    usd_per_comparison: float | None = None,
    limit: int = 5000,
    runs: int = 500,
    seed: int = 0,
    progress: Progress | None = None,
) -> Plan:
    """The least number of comparisons per variant, to a few, that tells a difference in tau-b.

    Args:
        judge: The baseline.
        difference: In mean tau-b at ``reference`` comparisons. More comparisons change it: tau is about the
            order alone, so variants that differ only in how noisy they are both come near what is attainable,
            and then no number of comparisons may be enough.
        power: Probability of finding it.
        level: Significance level of the two-sided test.
        reference: Comparisons at which the difference is stated; one round-robin if left out.
        usd_per_comparison: Price.
        limit: Most comparisons per variant to consider.
        runs: Simulated runs per step.
        seed: Of the simulation.
        progress: Called after each step.

    Raises:
        AlignmentDataError: An argument out of range, or no judge differs by that much.
    """
    if not (0 < power < 1 and 0 < level < 1 and difference):
        raise AlignmentDataError(f"power={power}, level={level}, difference={difference}")
    pairs = len(judge.theta) * (len(judge.theta) - 1) // 2
    candidate = improved_judge(judge, difference, reference or pairs, runs=runs, seed=seed)

    def attempt(comparisons: int) -> tuple[bool, Plan]:
        reached, mean = power_of(judge, candidate, comparisons, level=level, runs=runs, seed=seed)
        cost = None if usd_per_comparison is None else 2 * comparisons * usd_per_comparison
        return reached >= power, Plan(comparisons, mean, reached, level, cost, runs, seed)

    found, tried = least_comparisons(attempt, _smallest(judge), limit, progress)
    if found is not None:
        return found
    best = max(tried, key=lambda plan: plan.power)
    return Plan(None, best.difference, best.power, level, None, runs, seed)


def detectable_difference(
    judge: SimulatedJudge,
    comparisons: int,
    *,
    power: float = 0.8,
    level: float = 0.05,
    worse: bool = False,
    runs: int = 500,
    seed: int = 0,
    progress: Progress | None = None,
) -> Plan | None:
    """The least difference in mean tau-b that runs of so many comparisons tell; ``None`` if they tell none.

    Args:
        judge: The baseline; the candidate is the same judge moved towards the grades.
        comparisons: Of each variant.
        power: Probability of finding it.
        level: Significance level of the two-sided test.
        worse: Move the candidate away from the grades instead; the difference is negative then.
        runs: Simulated runs per step.
        seed: Of the simulation.
        progress: Called after each step.
    """
    low, high = 0.0, -_STRONGEST if worse else _STRONGEST
    reached, mean = power_of(
        judge, judge.towards_grades(high), comparisons, level=level, runs=runs, seed=seed
    )
    if reached < power or (mean < 0) is not worse:
        return None
    for step in range(_SEARCH):
        middle = (low + high) / 2
        moved = judge.towards_grades(middle)
        now, difference = power_of(judge, moved, comparisons, level=level, runs=runs, seed=seed)
        if now >= power:
            high, reached, mean = middle, now, difference
        else:
            low = middle
        if progress is not None:
            progress(step + 1, _SEARCH)
    return Plan(comparisons, mean, reached, level, None, runs, seed)


def _smallest(judge: SimulatedJudge) -> int:
    return max(len(judge.theta) // 2, 1)


def least_comparisons(
    attempt: Callable[[int], tuple[bool, _T]], start: int, limit: int, progress: Progress | None
) -> tuple[_T | None, list[_T]]:
    """The first success while doubling, then narrowed down to a twentieth; and all that was tried.

    Args:
        attempt: From a number of comparisons to whether it is enough, and what was found.
        start: The least number to try.
        limit: The greatest.
        progress: Called after each step.

    Returns:
        What was found at the least number that is enough, ``None`` if none is; and all findings.
    """
    steps = math.ceil(math.log2(max(limit / start, 1))) + 1 + _NARROWING
    tried: list[_T] = []

    def attempted(comparisons: int) -> bool:
        good, found = attempt(comparisons)
        tried.append(found)
        if progress is not None:
            progress(min(len(tried), steps - 1), steps)
        return good

    failed, best = 0, min(start, limit)
    while not attempted(best):
        if best >= limit:
            return None, tried
        failed, best = best, min(2 * best, limit)
    success = tried[-1]
    while best - failed > max(best // 20, 1):
        middle = (best + failed) // 2
        if attempted(middle):
            best, success = middle, tried[-1]
        else:
            failed = middle
    if progress is not None:
        progress(steps, steps)
    return success, tried
