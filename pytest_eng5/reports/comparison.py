"""Variants against a baseline: from outcomes of recorded runs to figures, named pairs and verdicts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

from pytest_eng5.alignment import (
    AlignmentData,
    Difference,
    VariantComparison,
    compare_runs,
    connected,
    holm,
)
from pytest_eng5.alignment.results import jsonable
from pytest_eng5.errors import Eng5Error
from pytest_eng5.evidence import EndReason, load_evidence
from pytest_eng5.gates.improvement import ImprovementVerdict, judge_improvement
from pytest_eng5.reports.comparison_changes import changes_between
from pytest_eng5.reports.comparison_model import (
    Change,
    ComparedCandidate,
    ComparedFigure,
    ComparedPair,
    Comparison,
    ImprovementRecord,
)
from pytest_eng5.reports.figures import unfit
from pytest_eng5.reports.outcome import VariantOutcome
from pytest_eng5.reports.population import population

__all__ = [
    "AskedMetric",
    "CompareLike",
    "Pair",
    "WantedMetric",
    "compare_outcomes",
    "compare_pairs",
    "why_not_compared",
]


class AskedMetric(Protocol):
    """A figure and the least improvement asked for: ``scenario.ComparedMetric``."""

    @property
    def name(self) -> str: ...
    @property
    def min_improvement(self) -> float: ...


class CompareLike(Protocol):
    """Who is compared with whom in what: ``scenario.Compare``, which this room does not know."""

    @property
    def baseline(self) -> str: ...
    @property
    def candidates(self) -> tuple[str, ...]: ...
    @property
    def metrics(self) -> Sequence[AskedMetric]: ...
    @property
    def confidence(self) -> float: ...
    @property
    def undecided(self) -> Literal["fail", "warn"]: ...


@dataclass(frozen=True, slots=True)
class WantedMetric:
    """A figure and the least improvement asked for, by hand."""

    name: str
    min_improvement: float


@dataclass(frozen=True)
class Pair:
    """A candidate and its baseline by name; in place of an outcome, why there is none."""

    baseline_name: str
    baseline: VariantOutcome | str
    name: str
    candidate: VariantOutcome | str


@dataclass(frozen=True, slots=True)
class _Problem:
    """Why a candidate was not compared, and whether that is because a run failed."""

    text: str
    run_failed: bool = False


@dataclass(frozen=True)
class _Compared:
    """A candidate whose comparisons were put beside those of the baseline."""

    found: VariantComparison
    pairs: tuple[ComparedPair, ...]
    obstacle: str | None


def compare_outcomes(
    scenario: str, asked: CompareLike, outcomes: Mapping[str, VariantOutcome | str]
) -> Comparison:
    """Compare every candidate with the baseline on the anchor pairs that both judged; repeats are pooled.

    P-values are corrected for all candidates that were asked for. One that has no figures counts with a
    p-value of 1, which is the worst for the others: nothing gets easier to prove because a run failed.

    Args:
        scenario: Name of the scenario.
        asked: What to compare.
        outcomes: By id of the variant; in place of an outcome, why there is none.
    """
    first = (asked.baseline, outcomes[asked.baseline])
    pairs = [Pair(*first, name, outcomes[name]) for name in asked.candidates]
    return Comparison(
        scenario=scenario,
        baseline=asked.baseline,
        confidence=asked.confidence,
        undecided=asked.undecided,
        candidates=tuple(compare_pairs(pairs, asked.metrics, asked.confidence)),
    )


def compare_pairs(
    pairs: Sequence[Pair], metrics: Sequence[AskedMetric], confidence: float
) -> list[ComparedCandidate]:
    """Compare each candidate with its own baseline; p-values are corrected for all of them together."""
    compared = [_try(pair, confidence) for pair in pairs]
    corrected = _corrected(compared)
    found = []
    for pair, one, whole in zip(pairs, compared, corrected, strict=True):
        changes = _changes(pair)
        if isinstance(one, _Problem):
            found.append(
                ComparedCandidate(
                    candidate=pair.name, problem=one.text, run_failed=one.run_failed, changes=changes
                )
            )
        elif whole is not None:
            found.append(_record(pair.name, replace(one, found=whole), metrics, changes))
    return found


def _changes(pair: Pair) -> tuple[Change, ...]:
    if isinstance(pair.baseline, str) or isinstance(pair.candidate, str):
        return ()
    return changes_between(pair.baseline, pair.candidate)


def why_not_compared(outcome: VariantOutcome) -> str | None:
    """Why the runs of a variant cannot be compared with others: they failed, or have no figures."""
    return _run_failure(outcome) or outcome.not_computed


def _run_failure(outcome: VariantOutcome) -> str | None:
    for run in outcome.runs:
        if run.obstacle is not None:
            return run.obstacle
        if run.ending is not None and run.ending.reason is EndReason.PIPELINE_FAILED:
            return f"run-{run.repeat}: the pipeline failed: {run.ending.detail}"
    if not outcome.judging:
        return f"mode {outcome.mode} judged nothing, or the run was not waited for"
    return None


def _try(pair: Pair, confidence: float) -> _Compared | _Problem:
    both = ((pair.baseline_name, pair.baseline), (pair.name, pair.candidate))
    for id_, outcome in both:
        reason = outcome if isinstance(outcome, str) else _run_failure(outcome)
        if reason is not None:
            return _Problem(f"{id_}: {reason}", run_failed=True)
    assert not isinstance(pair.baseline, str)
    assert not isinstance(pair.candidate, str)
    for id_, known in ((pair.baseline_name, pair.baseline), (pair.name, pair.candidate)):
        if known.not_computed is not None:
            return _Problem(f"{id_}: {known.not_computed}")
    try:
        return _compared(pair.baseline, pair.candidate, (pair.baseline_name, pair.name), confidence)
    except Eng5Error as error:
        return _Problem(str(error).splitlines()[0])


def _compared(
    baseline: VariantOutcome, candidate: VariantOutcome, names: tuple[str, str], confidence: float
) -> _Compared:
    one, other = (population([load_evidence(run.root) for run in v.runs]) for v in (baseline, candidate))
    found = compare_runs(one, other, names=names, confidence=confidence)
    reasons = (
        f"{name}: {reason}"
        for name, reason in zip(names, map(_unfit, (baseline, candidate)), strict=True)
        if reason
    )
    tables = _common_tables(one, other)
    return _Compared(found, tuple(_differing(*tables)), next(reasons, None) or _unconnected(found, *tables))


def _unfit(outcome: VariantOutcome) -> str | None:
    return unfit(outcome.alignment) if outcome.alignment else "there are no figures"


def _common_tables(one: AlignmentData, other: AlignmentData) -> tuple[AlignmentData, AlignmentData]:
    """Both populations with the graded anchors that both have, in one order: best grade first, then id."""
    one, other = one.graded(), other.graded()
    ranks = dict(zip(one.ids, one.grade_ranks, strict=True))
    both = sorted((id_ for id_ in other.ids if id_ in ranks), key=lambda id_: (ranks[id_], id_))
    return one.ordered_as(both), other.ordered_as(both)


def _unconnected(found: VariantComparison, one: AlignmentData, other: AlignmentData) -> str | None:
    """Why scores over the common pairs are not on one scale."""
    games = [data.wins() + data.wins().T for data in (one, other)]
    common = (games[0] > 0) & (games[1] > 0)
    kept = np.flatnonzero(common.any(axis=0))
    if not found.pairs or bool(connected(common[np.ix_(kept, kept)].astype(float))):
        return None
    return f"the {found.pairs} pairs that both judged leave the anchors in unconnected groups"


def _differing(one: AlignmentData, other: AlignmentData) -> Iterator[ComparedPair]:
    """Pairs of which the better grade won different shares; most changed first, equal grades last."""
    wins, others = one.wins().astype(int), other.wins().astype(int)
    pairs = []
    for better in range(one.n_anchors):
        for worse in range(better + 1, one.n_anchors):
            games, games_other = (int(w[better, worse] + w[worse, better]) for w in (wins, others))
            won, won_other = int(wins[better, worse]), int(others[better, worse])
            if games and games_other and won * games_other != won_other * games:
                equal = one.grade_ranks[better] == one.grade_ranks[worse]
                pairs.append((equal, -abs(won / games - won_other / games_other), better, worse))
    for _, _, better, worse in sorted(pairs):
        yield ComparedPair(
            better=one.ids[better],
            better_grade=one.grades[better] or "",
            worse=one.ids[worse],
            worse_grade=one.grades[worse] or "",
            baseline_won=int(wins[better, worse]),
            baseline_comparisons=int(wins[better, worse] + wins[worse, better]),
            candidate_won=int(others[better, worse]),
            candidate_comparisons=int(others[better, worse] + others[worse, better]),
        )


def _corrected(compared: Sequence[_Compared | _Problem]) -> list[VariantComparison | None]:
    """The comparisons with p-values corrected over all of them, figure by figure; ``None`` without one."""
    found = [None if isinstance(one, _Problem) else one.found for one in compared]
    return [one and replace(one, differences=_adjusted(k, found)) for k, one in enumerate(found)]


def _adjusted(position: int, found: Sequence[VariantComparison | None]) -> dict[str, Difference]:
    mine, corrected = found[position], {}
    for figure, difference in mine.differences.items() if mine else ():
        p_values = [1.0 if one is None else one.differences[figure].p_value for one in found]
        adjusted = holm([1.0 if math.isnan(p) else p for p in p_values])[position]
        known = not math.isnan(difference.p_value)
        corrected[figure] = replace(difference, adjusted_p_value=adjusted if known else math.nan)
    return corrected


def _record(
    name: str, one: _Compared, metrics: Sequence[AskedMetric], changes: tuple[Change, ...]
) -> ComparedCandidate:
    found = one.found
    verdicts = [
        judge_improvement(found, metric.name, metric.min_improvement, obstacle=one.obstacle)
        for metric in metrics
    ]
    return ComparedCandidate(
        candidate=name,
        changes=changes,
        anchors=found.anchors,
        pairs=found.pairs,
        pairs_left_out=found.pairs_left_out,
        baseline_comparisons=found.comparisons[0],
        candidate_comparisons=found.comparisons[1],
        permutations=found.permutations,
        exact=found.exact,
        seed=found.seed,
        figures={figure: _figure(difference) for figure, difference in found.differences.items()},
        verdicts=tuple(map(_verdict, verdicts)),
        differing_pairs=one.pairs,
    )


def _figure(difference: Difference) -> ComparedFigure:
    return ComparedFigure.model_validate(jsonable(difference.__dict__))


def _verdict(verdict: ImprovementVerdict) -> ImprovementRecord:
    plain = jsonable(
        {name: getattr(verdict, name) for name in ("metric", "message", "hint", "improvement", "low", "high")}
    )
    return ImprovementRecord(**plain, status=verdict.status.value, min_improvement=verdict.minimum)
