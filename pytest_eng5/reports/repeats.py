"""The runs of a variant as repeats of one measurement: values, spread, and the noise floor.

A gate judges the comparisons of all runs together. Beside it stands how far single runs of the same prompt
lie apart: by the runs themselves if there are at least four, else by simulated runs of the judge behind them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pytest_eng5.alignment import (
    AlignmentMetrics,
    MetricValue,
    RepeatedFigure,
    alignment_metrics,
    distance_to_gate,
    repeated_figure,
    simulated_spreads,
)
from pytest_eng5.errors import Eng5Error
from pytest_eng5.evidence import EndReason, RunEvidence
from pytest_eng5.gates import METRICS, Verdict
from pytest_eng5.gates.vacuity import vacuous
from pytest_eng5.reports.outcome import RunOutcome, sound_values
from pytest_eng5.reports.population import population

__all__ = ["CONFIDENCE", "CUMULATIVE", "SIMULATIONS", "Repeats", "repeats_of"]

CUMULATIVE = frozenset({"direct_inversions", "upper_grade_inversions", "zero_win_anchors"})
"""Counts that more comparisons of the same pairs raise or lower by themselves: whether there ever was one."""

SIMULATIONS = 200
"""Simulated runs behind a noise floor. Their own error is 5 % of it, that of their judge is larger."""

CONFIDENCE = 0.95
"""Of the interval of a standard deviation."""


@dataclass(frozen=True)
class Repeats:
    """All figures over the runs of a variant.

    Attributes:
        runs: Number of runs there should be.
        left_out: Why a run has no part in the spread, by its number; its values are NaN.
        figures: By name of the metric, one value per run.
        simulations: Simulated runs behind each ``simulated_spread``; 0 for none.
        seed: Of the simulation.
    """

    runs: int
    left_out: Mapping[int, str]
    figures: Mapping[str, RepeatedFigure]
    simulations: int
    seed: int

    @property
    def counted(self) -> int:
        """Number of runs that the spread is over."""
        return self.runs - len(self.left_out)

    def distance(self, verdict: Verdict) -> float:
        """How many noise floors what a gate judged lies from its nearest bound; negative if that is broken.

        Of a `CUMULATIVE` count of several runs it is the mean of the single runs that lies so far off: the
        count of all together is another measure. NaN without a noise floor.
        """
        found = self.figures.get(verdict.metric)
        if found is None or verdict.reason is not None:
            return math.nan
        value = found.mean if self.of_single_runs(verdict.metric) else verdict.value
        low = -math.inf if verdict.minimum is None else verdict.minimum
        high = math.inf if verdict.maximum is None else verdict.maximum
        above = distance_to_gate(value, low, found.noise_floor)
        return min(above, -distance_to_gate(value, high, found.noise_floor))

    def of_single_runs(self, metric: str) -> bool:
        """Whether the distance of a gate is that of single runs."""
        return metric in CUMULATIVE and self.counted > 1

    def to_dict(self, verdicts: Iterable[Verdict] = ()) -> dict[str, Any]:
        """Plain JSON-able values, with the distance of each gate; undefined numbers are ``None``."""
        return {
            "runs": self.runs,
            "counted": self.counted,
            "left_out": [{"repeat": repeat, "reason": reason} for repeat, reason in self.left_out.items()],
            "confidence": CONFIDENCE,
            "figures": {name: _plain(found) for name, found in self.figures.items()},
            "simulations": self.simulations,
            "seed": self.seed,
            "distances": {verdict.metric: _finite(self.distance(verdict)) for verdict in verdicts},
        }


def repeats_of(
    runs: Sequence[RunOutcome],
    evidence: Iterable[RunEvidence],
    pooled: AlignmentMetrics | None,
    *,
    simulations: int = SIMULATIONS,
    seed: int = 0,
) -> Repeats | None:
    """Measure each run by itself, and how far they lie apart.

    A run that did not end as it should, or whose comparisons are no fit for a gate, has no part in it.

    Args:
        runs: All runs there should be.
        evidence: Of those that can be read.
        pooled: The figures of all of them together; without them there is nothing to measure.
        simulations: Simulated runs for the noise floor of few repeats; 0 for none.
        seed: Of the simulation.
    """
    if pooled is None:
        return None
    readable = {item.folder.root: item for item in evidence}
    single: dict[int, AlignmentMetrics] = {}
    left_out: dict[int, str] = {}
    for run in runs:
        found = _single(run, readable.get(run.root))
        if isinstance(found, str):
            left_out[run.repeat] = found
        else:
            single[run.repeat] = found
    values = {repeat: sound_values(metrics) for repeat, metrics in single.items()}
    whole = [readable[run.root] for run in runs if run.repeat in single]
    spreads = _simulated(whole, simulations, seed)
    together = sound_values(pooled)
    undefined = MetricValue(math.nan)
    return Repeats(
        runs=len(runs),
        left_out=left_out,
        figures={
            name: repeated_figure(
                [values.get(run.repeat, {}).get(name, undefined).value for run in runs],
                found.value,
                spreads.get(name, math.nan),
            )
            for name, found in together.items()
        },
        simulations=simulations,
        seed=seed,
    )


def _single(run: RunOutcome, evidence: RunEvidence | None) -> AlignmentMetrics | str:
    """The figures of one run, or why they are none of a whole run."""
    if evidence is None or run.obstacle is not None:
        return run.obstacle or f"run-{run.repeat} cannot be read"
    if run.ending is None or run.ending.reason is not EndReason.COMPLETED:
        return f"run-{run.repeat} ended with {run.ending.reason.value if run.ending else 'nothing'}"
    try:
        metrics = alignment_metrics(population(evidence), bootstrap=0)
    except Eng5Error as error:
        return f"run-{run.repeat}: {str(error).splitlines()[0]}"
    unfit = vacuous(METRICS["coverage"], metrics)
    return metrics if unfit is None else f"run-{run.repeat}: {unfit}"


def _simulated(evidence: Sequence[RunEvidence], simulations: int, seed: int) -> Mapping[str, float]:
    if not evidence or not simulations:
        return {}
    try:
        return simulated_spreads([population(run) for run in evidence], simulations=simulations, seed=seed)
    except Eng5Error:  # runs of different anchors: the reports say that they contradict each other
        return {}


def _plain(found: RepeatedFigure) -> dict[str, Any]:
    low, high = found.spread_interval(CONFIDENCE) or (math.nan, math.nan)
    known = asdict(found) | {"values": [_finite(value) for value in found.values], "measured": found.measured}
    numbers = known | {"spread_low": low, "spread_high": high, "noise_floor": found.noise_floor}
    return {k: _finite(v) if isinstance(v, float) else v for k, v in numbers.items()}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
