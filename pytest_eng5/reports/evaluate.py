"""From the folders of a variant to its outcome; needs neither Kafka nor a judge."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pytest_eng5.alignment import AlignmentData, AlignmentMetrics, alignment_metrics
from pytest_eng5.checks import ledger
from pytest_eng5.errors import Eng5Error
from pytest_eng5.evidence import EvidenceError, RunEvidence, RunFolder, VariantFolder, load_evidence
from pytest_eng5.gates import METRICS, ThresholdLike, Verdict, judge, unmeasured
from pytest_eng5.gates.threshold import confidence_of
from pytest_eng5.reports.checking import checked, crash
from pytest_eng5.reports.outcome import NOTHING, QUIET_MODES, Outcome, RunOutcome, VariantOutcome
from pytest_eng5.reports.planned import planned_variant
from pytest_eng5.reports.population import population
from pytest_eng5.reports.repeats import SIMULATIONS, repeats_of
from pytest_eng5.reports.verdict import decide

__all__ = ["JUDGING_MODES", "evaluate_variant"]

JUDGING_MODES = frozenset({"execute", "anchor-align-test"})
"""Modes in which comparisons are made."""

CONFIDENCE = 0.95


def evaluate_variant(
    root: Path,
    thresholds: Sequence[ThresholdLike],
    *,
    repeats: int,
    only: int | None = None,
    run: Path | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    expected_codes: frozenset[str] | None = None,
) -> VariantOutcome:
    """Check, measure and judge the recorded runs of a variant; every file is read once.

    Args:
        root: The variant's folder, which holds ``run-1`` to ``run-<repeats>``.
        thresholds: Gates; each may ask for a confidence of its own.
        repeats: How many runs there should be; one that is missing makes the outcome an ERROR.
        only: Number of a run that is judged by itself, whatever became of the others.
        run: Where that one lies, if not in ``root``.
        bootstrap: Resamples for the intervals; 0 for none.
        seed: Of the resampling.
        expected_codes: For a negative test: it passes only if exactly these codes are found as errors.

    Raises:
        UsageError: A threshold names no known metric or has no bound.
    """
    numbers = range(1, repeats + 1) if only is None else (only,)
    folders = {k: VariantFolder(root).run(k) if run is None else RunFolder(run) for k in numbers}
    first = folders.get(1, VariantFolder(root).run(1))
    if first.inventory.exists():
        return planned_variant(root, first)
    loaded = {k: _load(folder.root, k) for k, folder in folders.items()}
    evidence = [item for item in loaded.values() if isinstance(item, RunEvidence)]
    runs = tuple(item if isinstance(item, RunOutcome) else _run(item, k) for k, item in loaded.items())
    mode = evidence[0].plan.mode if evidence else "unknown"
    quiet = bool(evidence) and all(item.ending and item.ending.reason.is_quiet for item in evidence)
    judging = mode in JUDGING_MODES and not quiet and (bool(thresholds) or _has_anchors(evidence))
    found = _measure(evidence, bootstrap, seed, thresholds) if judging else _nothing_judged(mode, quiet)
    figures = found if isinstance(found, dict) else {}
    problem = found if isinstance(found, str) else None
    if not evidence:
        problem = "no run can be read"
    refused = bool(evidence) and all(map(_refused, evidence))
    if refused:
        problem = None  # how the runs ended says it
    judged = () if quiet or refused else thresholds
    verdicts = tuple(_judge(threshold, figures, problem) for threshold in judged)
    verdict, reasons = decide(runs, verdicts, expected_codes, problem if judging else None)
    together = figures.get(CONFIDENCE)
    simulations = SIMULATIONS if bootstrap and (thresholds or len(runs) > 1) else 0
    if (quiet or mode in QUIET_MODES) and verdict is Outcome.PASS:
        verdict = Outcome.DONE
    return VariantOutcome(
        scenario=evidence[0].plan.scenario if evidence else root.parent.name,
        variant=evidence[0].plan.variant if evidence else root.name,
        mode=mode,
        root=root,
        runs=runs,
        alignment=together,
        verdicts=verdicts,
        verdict=verdict,
        reasons=reasons,
        not_computed=problem,
        expected_codes=expected_codes,
        repeats=repeats_of(runs, evidence, together, simulations=simulations, seed=seed),
    )


def _refused(evidence: RunEvidence) -> bool:
    ending = evidence.ending
    return ending is not None and ending.reason.is_refusal and not evidence.comparisons


def _has_anchors(evidence: Sequence[RunEvidence]) -> bool:
    """Whether there is anything to measure agreement with; where nothing can be read that stays open."""
    return not evidence or any(essay.is_anchor for item in evidence for essay in item.plan.essays)


def _nothing_judged(mode: str, quiet: bool) -> str:
    if quiet:
        return "the run was not waited for"
    return "without an assignment there are no anchors" if mode == "execute" else "this mode judges nothing"


def _load(root: Path, repeat: int) -> RunEvidence | RunOutcome:
    if not root.is_dir():
        return RunOutcome(repeat, root, problem=f"run-{repeat} was not made: there is no folder {root.name}")
    try:
        return load_evidence(root)
    except EvidenceError as error:
        problem = f"run-{repeat} cannot be read: {str(error).splitlines()[0]}"
        return RunOutcome(repeat, root, problem=problem, findings=(crash("manifest", root.name, error),))


def _run(evidence: RunEvidence, repeat: int) -> RunOutcome:
    distinct = [event.comparison for event in evidence.distinct_comparisons]
    return RunOutcome(
        repeat=repeat,
        root=evidence.folder.root,
        plan=evidence.plan,
        ending=evidence.ending,
        findings=checked(evidence),
        ledger=ledger(evidence) if evidence.plan.mode in JUDGING_MODES else NOTHING,
        usable=len(evidence.succeeded),
        cost_usd=math.fsum(data.cost_estimate for data in distinct),
        judges=tuple(sorted({(data.provider, data.model) for data in distinct})),
        unfired=tuple(evidence.faults.unfired()) if evidence.faults else (),
    )


def _measure(
    evidence: Sequence[RunEvidence], bootstrap: int, seed: int, thresholds: Sequence[ThresholdLike]
) -> dict[float, AlignmentMetrics] | str:
    """Figures by confidence: the usual one, and those that thresholds ask for; or why there are none."""
    wanted = {CONFIDENCE, *map(_confidence, thresholds)}
    try:
        data: AlignmentData = population(evidence)
        measure = partial(alignment_metrics, data, bootstrap=bootstrap, seed=seed)
        return {confidence: measure(confidence=confidence) for confidence in sorted(wanted)}
    except Eng5Error as error:
        return str(error).splitlines()[0]


def _judge(threshold: ThresholdLike, figures: dict[float, AlignmentMetrics], problem: str | None) -> Verdict:
    metrics = figures.get(_confidence(threshold))
    return unmeasured(threshold, problem or "unknown") if metrics is None else judge(threshold, metrics)


def _confidence(threshold: ThresholdLike) -> float:
    """The confidence that a threshold asks for, else that of every report."""
    info = METRICS.get(threshold.metric)
    asked = confidence_of(threshold) if info is not None and info.interval else None
    return CONFIDENCE if asked is None else asked
