"""Several runs of one variant: pooled, their spread, and the noise floor beside a threshold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from pytest_eng5.alignment.bradley_terry import ALPHA
from pytest_eng5.alignment.data import AlignmentData, AlignmentDataError, FloatArray
from pytest_eng5.alignment.figures import FIGURES, anchors_of, figures
from pytest_eng5.alignment.matching import judge_of_run
from pytest_eng5.alignment.results import jsonable
from pytest_eng5.alignment.simulation import simulated_outcomes

__all__ = ["RepeatSummary", "RepeatedFigure", "distance_to_gate", "pool", "repeat_summary"]

_ENOUGH = 4
"""Runs from which their own spread is the noise floor; of fewer it is itself too noisy."""


@dataclass(frozen=True)
class RepeatedFigure:
    """One figure over the runs of a variant.

    Attributes:
        values: One per run, NaN where undefined.
        mean: Of the defined ones.
        spread: Their standard deviation (n - 1); NaN with fewer than two.
        pooled: The figure of all comparisons together. Counts of inversions grow with comparisons, so this is
            no mean of the runs.
        simulated_spread: Standard deviation between simulated runs of the judge behind the pooled
            comparisons, each with the comparisons of one run.
    """

    values: tuple[float, ...]
    mean: float
    spread: float
    pooled: float
    simulated_spread: float

    @property
    def noise_floor(self) -> float:
        """How far two runs of the same prompt lie apart, as a standard deviation: the spread between the
        runs if there are four or more, else the simulated one."""
        counted = sum(not math.isnan(value) for value in self.values)
        return self.spread if counted >= _ENOUGH else self.simulated_spread


@dataclass(frozen=True)
class RepeatSummary:
    """All figures over the runs of a variant.

    Attributes:
        runs: Number of runs.
        figures: By name.
        simulations: Simulated runs behind ``simulated_spread``.
        seed: Of the simulation.
    """

    runs: int
    figures: Mapping[str, RepeatedFigure]
    simulations: int
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers; an undefined number is ``None``."""
        plain: dict[str, Any] = jsonable(
            {
                "runs": self.runs,
                "figures": {n: asdict(f) | {"noise_floor": f.noise_floor} for n, f in self.figures.items()},
                "simulations": self.simulations,
                "seed": self.seed,
            }
        )
        return plain


def pool(runs: Sequence[AlignmentData]) -> AlignmentData:
    """The comparisons of all runs as one population, over the anchors of the first.

    Raises:
        AlignmentDataError: There is no run, or the runs have not the same anchors with the same grades.
    """
    if not runs:
        raise AlignmentDataError("there is no run to pool")
    first = runs[0]
    own = dict(zip(first.ids, first.grades, strict=True))
    for number, run in enumerate(runs[1:], 2):
        if dict(zip(run.ids, run.grades, strict=True)) != own:
            raise AlignmentDataError(f"run 1 and run {number} do not have the same anchors and grades")
    moved = [run.ordered_as(first.ids) for run in runs]
    return replace(
        first,
        winners=np.concatenate([run.winners for run in moved]),
        losers=np.concatenate([run.losers for run in moved]),
        first=np.concatenate([run.first for run in moved]),
        confidence=np.concatenate([run.confidence for run in moved]),
        justification=tuple(text for run in moved for text in run.justification),
        request_id=tuple(request for run in moved for request in run.request_id),
    )


def repeat_summary(
    runs: Sequence[AlignmentData], *, simulations: int = 400, seed: int = 0, alpha: float = ALPHA
) -> RepeatSummary:
    """Pool the runs of one variant and measure how far they lie apart.

    Args:
        runs: At least one, of the same anchors; anchors with an unknown grade are left out.
        simulations: Simulated runs for the noise floor of few repeats; 0 for none.
        seed: Of the simulation.
        alpha: Regularisation of the fits.

    Raises:
        AlignmentDataError: There is no run, runs of different anchors, or a negative number of simulations.
    """
    if simulations < 0:
        raise AlignmentDataError(f"simulations={simulations}")
    together = pool(runs).scored()
    anchors = anchors_of(together)
    single = [run.ordered_as(together.ids).outcomes() for run in runs]
    values = figures(anchors, np.stack(single), alpha=alpha)
    pooled = figures(anchors, together.outcomes(), alpha=alpha)
    spreads = dict.fromkeys(FIGURES, math.nan)
    if simulations and together.n_comparisons:
        judge = judge_of_run(together, alpha=alpha, seed=seed)
        largest = max(single, key=lambda outcomes: float(outcomes.sum()))
        repeats = np.concatenate(list(simulated_outcomes(largest, judge, simulations, seed)))
        simulated = figures(anchors, repeats, alpha=alpha)
        spreads = {name: _spread(simulated[name]) for name in FIGURES}
    return RepeatSummary(
        len(runs),
        {
            name: RepeatedFigure(
                tuple(values[name].tolist()),
                _mean(values[name]),
                _spread(values[name]),
                float(pooled[name]),
                spreads[name],
            )
            for name in FIGURES
        },
        simulations,
        seed,
    )


def distance_to_gate(value: float, bound: float, noise_floor: float) -> float:
    """How many noise floors a value lies above (positive) or below a bound; NaN without a noise floor."""
    if math.isnan(noise_floor) or noise_floor <= 0:
        return math.nan
    return (value - bound) / noise_floor


def _mean(values: FloatArray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan


def _spread(values: FloatArray) -> float:
    known = values[~np.isnan(values)]
    return float(known.std(ddof=1)) if known.size > 1 else math.nan
