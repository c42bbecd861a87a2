"""Whose power is planned: the judge of a recorded run, or one from stated assumptions; and at what price."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pytest_eng5.alignment import (
    GATED,
    AlignmentData,
    AlignmentDataError,
    Batches,
    SimulatedJudge,
    discordance_seen,
    improved_judge,
    judge_of_run,
    room_for_difference,
    stated_judge,
)
from pytest_eng5.checks.costs import list_cost
from pytest_eng5.contracts import GRADE_SCALES, grade_rank, known_grades, list_price, qualities
from pytest_eng5.errors import UsageError
from pytest_eng5.evidence import EvidenceError, RunEvidence, VariantFolder, load_evidence
from pytest_eng5.gates import metric_info, unreachable
from pytest_eng5.reports.evaluate import JUDGING_MODES
from pytest_eng5.reports.population import population
from pytest_eng5.reports.recorded import recorded_repeats, recorded_runs

__all__ = [
    "PlannedGate",
    "PlanningJudge",
    "StatedJudge",
    "gates_of",
    "grades_of",
    "recorded_judge",
    "stated",
]

_GATE = re.compile(r"\s*([a-z_]+)\s*(>=|<=)\s*([-+.0-9eE]+)\s*")
_MATCHING_RUNS = 1000
_FEWEST, _MOST = 3, 100


@dataclass(frozen=True)
class PlannedGate:
    """A bound on a figure, as a threshold with a confidence has it."""

    metric: str
    min: float | None
    max: float | None

    def __str__(self) -> str:
        return f"{self.metric} >= {self.min:g}" if self.min is not None else f"{self.metric} <= {self.max:g}"


@dataclass(frozen=True, eq=False)
class PlanningJudge:
    """A judge to plan with.

    Attributes:
        judge: Who judges.
        grades: Of the anchors.
        origin: Where it comes from, in words.
        discrimination: Logits per step of the grade scale.
        noise: Standard deviation of its own opinion about an anchor, in steps of the scale; NaN without
            discrimination.
        per_run: Comparisons of one run.
        usd_per_comparison: Price, ``None`` if unknown.
        price_basis: Where the price comes from.
        notes: What should be known of it.
    """

    judge: SimulatedJudge
    grades: tuple[str, ...]
    origin: str
    discrimination: float
    noise: float
    per_run: int
    usd_per_comparison: float | None
    price_basis: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class StatedJudge:
    """Assumptions instead of a run.

    Attributes:
        grades: Of the anchors.
        discrimination: Logits per step of the grade scale, as in a scenario's ``judge.mock``.
        noise: Standard deviation of the judge's own opinion about an anchor, in steps of the scale.
        position_bias: Advantage of essay A in logits.
        tau: Mean tau-b of a run; moves the judge towards the grades or away until it is that.
        per_run: Comparisons of one run, default one round-robin.
        origin: Where the assumptions come from.
    """

    grades: Sequence[str]
    discrimination: float = 2.0
    noise: float = 1.0
    position_bias: float = 0.0
    tau: float | None = None
    per_run: int | None = None
    origin: str = "stated assumptions"


def grades_of(text: str | None, anchors: int | None) -> tuple[str, ...]:
    """Grades from a comma-separated list, or of so many anchors spread evenly over the ENG5 scale.

    Raises:
        UsageError: An unknown grade, mixed scales, all of one grade, or a number that does not fit.
    """
    if text is None:
        return _spread(12 if anchors is None else anchors)
    grades = tuple(part.strip().upper() for part in text.split(",") if part.strip())
    unknown = [grade for grade in grades if grade_rank(grade) is None]
    if unknown:
        fix = f"known grades: {', '.join(known_grades())}"
        raise UsageError(f"unknown grade {unknown[0]!r}", where="--grades", fix=fix)
    if len({grade.isdigit() for grade in grades}) > 1:
        raise UsageError("letters and national digits are two scales", where="--grades", fix="use one")
    if anchors is not None and anchors != len(grades):
        fix = "give one grade per anchor, or leave out --anchors"
        raise UsageError(f"{len(grades)} grades but {anchors} anchors", where="--grades", fix=fix)
    if len(grades) < _FEWEST or len(grades) > _MOST or len(set(grades)) < 2:
        fix = f"name {_FEWEST} to {_MOST} anchors' grades, not all the same, such as A,A,B,C+,D-,F+"
        raise UsageError("these anchors cannot be ranked", where="--grades", fix=fix)
    return grades


def _spread(anchors: int) -> tuple[str, ...]:
    if not _FEWEST <= anchors <= _MOST:
        fix = f"use {_FEWEST} to {_MOST}"
        raise UsageError(f"{anchors} anchors cannot be planned for", where="--anchors", fix=fix)
    scale = GRADE_SCALES["eng5_np_legacy_9_step"].grades[::-1]
    steps = np.linspace(0, len(scale) - 1, anchors).round().astype(int)
    return tuple(scale[step] for step in steps)


def stated(assumed: StatedJudge, usd_per_comparison: float | None = None, *, seed: int = 0) -> PlanningJudge:
    """A judge as assumed.

    Raises:
        UsageError: No judge has that tau.
    """
    ranks = _ranks(assumed.grades)
    quality = _qualities(assumed.grades)
    pairs = len(ranks) * (len(ranks) - 1) // 2
    per_run = assumed.per_run or pairs
    judge = stated_judge(
        ranks,
        quality.tolist(),
        assumed.discrimination,
        noise=assumed.noise,
        eta=assumed.position_bias,
        seed=seed,
    )
    if assumed.tau is not None:
        judge = _with_tau(judge, assumed.tau, per_run, seed)
    slope, noise = _described(judge, assumed.grades)
    return PlanningJudge(
        judge=judge,
        grades=tuple(assumed.grades),
        origin=assumed.origin,
        discrimination=slope,
        noise=noise,
        per_run=per_run,
        usd_per_comparison=usd_per_comparison,
        price_basis="as stated" if usd_per_comparison is not None else "",
    )


def recorded_judge(
    folder: Path, usd_per_comparison: float | None = None, *, per_run: int | None = None, seed: int = 0
) -> PlanningJudge:
    """The judge behind recorded runs of one variant, pooled, and what a comparison cost them.

    Args:
        folder: Of a variant or of one run of it; of a session only if it holds a single variant.
        usd_per_comparison: Price to use instead of the recorded one.
        per_run: Comparisons of one run to come; default as many as were recorded per run.
        seed: Of the matching.

    Raises:
        UsageError: No such folder, several variants, or runs that cannot be read or judged nothing.
    """
    runs = _evidence(folder)
    try:
        data = population(runs).scored()
        judge = judge_of_run(data, runs=_MATCHING_RUNS, seed=seed)
    except AlignmentDataError as error:
        raise UsageError(error.what, where=str(folder), fix=error.fix) from error
    grades = tuple(grade or "" for grade in data.grades)
    if len(set(data.grade_ranks)) < 2:
        fix = "plan with a run over anchors of different grades"
        raise UsageError("all anchors have one grade", where=str(folder), fix=fix)
    slope, noise = _described(judge, grades)
    price, basis = (usd_per_comparison, "as stated") if usd_per_comparison is not None else _price(runs)
    many = f"{len(runs)} runs, " if len(runs) > 1 else ""
    first = runs[0].plan
    return PlanningJudge(
        judge=judge,
        grades=grades,
        origin=f"recorded {first.scenario}/{first.variant}, {many}{data.n_comparisons} comparisons",
        discrimination=slope,
        noise=noise,
        per_run=per_run or max(round(data.n_comparisons / len(runs)), 1),
        usd_per_comparison=price,
        price_basis=basis,
        notes=tuple(_cautions(data)),
    )


def _cautions(data: AlignmentData) -> Iterator[str]:
    """What the figures of a recorded judge do not tell by themselves."""
    yield "the judge is itself estimated from these comparisons: plan with more runs to be surer"
    if not discordance_seen(data):
        yield "its scores put no pair into the wrong order: half such a pair is assumed"


def gates_of(texts: Sequence[str], grades: Sequence[str]) -> tuple[PlannedGate, ...]:
    """Gates such as ``kendall_tau>=0.9``.

    Raises:
        UsageError: Not of that form, a figure that cannot be planned, or a bound that no data could meet.
    """
    return tuple(_gate(text, grades) for text in texts)


def _gate(text: str, grades: Sequence[str]) -> PlannedGate:
    where = f"--gate {text}"
    found = _GATE.fullmatch(text)
    if found is None:
        fix = "write --gate 'kendall_tau>=0.9', in quotes: the shell takes > and < for itself"
        raise UsageError("a gate is a figure, >= or <=, and a bound", where=where, fix=fix)
    metric, sign, number = found.groups()
    try:
        bound = float(number)
    except ValueError as error:
        raise UsageError(f"{number!r} is no number", where=where, fix="write it like 0.9") from error
    metric_info(metric)
    if metric not in GATED:
        raise UsageError(f"{metric} cannot be planned", where=where, fix=f"use one of {', '.join(GATED)}")
    gate = PlannedGate(metric, bound if sign == ">=" else None, bound if sign == "<=" else None)
    if reason := unreachable(gate, _ranks(grades)):
        raise UsageError(reason, where=where, fix="choose a bound that these anchors allow")
    return gate


def _evidence(folder: Path) -> list[RunEvidence]:
    found = recorded_runs(folder)
    if len(found) > 1:
        names = ", ".join(str(one.root.relative_to(folder.absolute())) for one in found)
        raise UsageError("it holds several variants", where=str(folder), fix=f"name one of {names}")
    root, only, _ = found[0]
    numbers = range(1, recorded_repeats(root) + 1)
    folders = [VariantFolder(root).run(k).root for k in numbers] if only is None else [found[0].folder]
    try:
        runs = [load_evidence(path) for path in folders if (path / "plan.json").exists()]
    except EvidenceError as error:
        raise UsageError(error.what, where=error.where or str(folder), fix=error.fix) from error
    runs = [run for run in runs if run.plan.mode in JUDGING_MODES]
    if not runs:
        fix = "name a run of mode anchor-align-test or execute"
        raise UsageError("nothing was judged in this run", where=str(folder), fix=fix)
    return runs


def _price(runs: Sequence[RunEvidence]) -> tuple[float | None, str]:
    """USD per comparison that succeeded, failed ones paid for included: at list prices, else as reported."""
    events = [event for run in runs for event in run.distinct_comparisons]
    usable = sum(len(run.succeeded) for run in runs)
    judges = {(e.comparison.provider, e.comparison.model) for e in events if e.comparison.is_success}
    priced = all(list_price(*judge) is not None for judge in judges)
    reported = math.fsum(event.comparison.cost_estimate for event in events)
    cost, basis = (list_cost(events), "at list prices") if priced else (reported, "as reported")
    if not usable or not cost:
        return None, "the recorded judge was free"
    other = f", {_usd(reported / usable)} as reported" if priced and reported else ""
    return cost / usable, f"{basis}{other}"


def _usd(price: float) -> str:
    return f"${price:.4g}"


def _with_tau(judge: SimulatedJudge, tau: float, comparisons: int, seed: int) -> SimulatedJudge:
    room = room_for_difference(judge, comparisons, Batches(number=2, runs=_MATCHING_RUNS // 2, seed=seed))
    least, most = room.tau + room.worse, room.tau + room.better
    if not least < tau < most:
        fix = f"with {comparisons} comparisons choose one between {least:.2f} and {most:.2f}"
        raise UsageError(f"no such judge has a mean tau of {tau:g}", where="--tau", fix=fix)
    return improved_judge(judge, tau - room.tau, comparisons, runs=_MATCHING_RUNS, seed=seed)


def _ranks(grades: Sequence[str]) -> list[int]:
    return [grade_rank(grade) or 0 for grade in grades]


def _qualities(grades: Sequence[str]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    steps = qualities({str(k): grade for k, grade in enumerate(grades)})
    return np.array(list(steps.values()), dtype=np.float64)


def _described(judge: SimulatedJudge, grades: Sequence[str]) -> tuple[float, float]:
    """Logits per step of the scale, and the deviation of opinions in steps: a line through the scores."""
    quality = _qualities(grades)
    slope, start = np.polyfit(quality, judge.theta, 1)
    rest = judge.theta - start - slope * quality
    noise = float(rest.std()) / abs(float(slope)) if abs(slope) > 1e-9 else math.nan
    return float(slope), noise
