"""``eng5 compare``: two recorded runs, variants or sessions against each other, from files alone."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pytest_eng5.errors import UsageError
from pytest_eng5.evidence import EvidenceError, RunFolder, read_plan
from pytest_eng5.gates.improvement import IMPROVEMENTS
from pytest_eng5.reports.comparison import Pair, WantedMetric, compare_pairs, why_not_compared
from pytest_eng5.reports.comparison_changes import LOOKED_AT
from pytest_eng5.reports.comparison_junit import worst_verdict
from pytest_eng5.reports.comparison_model import Comparison
from pytest_eng5.reports.comparison_text import changes_text, figures_text, pairs_text
from pytest_eng5.reports.evaluate import evaluate_variant
from pytest_eng5.reports.outcome import QUIET_MODES, Outcome, VariantOutcome
from pytest_eng5.reports.recorded import Recorded, recorded_repeats, recorded_runs

__all__ = ["Asked", "RecordedComparison", "compare_recorded"]

_ALTERED = "manifest"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a comparison.

    Attributes:
        metric: What has to improve; ``None`` if nothing has to.
        min_improvement: By how much.
        confidence: Of the intervals.
    """

    metric: str | None
    min_improvement: float
    confidence: float

    @classmethod
    def checked(cls, metric: str | None, min_improvement: float | None, confidence: float) -> Self:
        """What flags ask for.

        Raises:
            UsageError: They do not go together, or a value is out of range.
        """
        if metric is not None and metric not in IMPROVEMENTS:
            fix = f"use one of {', '.join(IMPROVEMENTS)}"
            raise UsageError(f"unknown metric {metric!r}", where="--metric", fix=fix)
        if metric is not None and min_improvement is None:
            fix = "add --min-improvement, such as 0; all figures are shown anyway"
            raise UsageError("nothing is asked of it", where="--metric", fix=fix)
        if min_improvement is not None and not math.isfinite(min_improvement):
            raise UsageError("not a number", where="--min-improvement", fix="give one such as 0.02")
        if not 0 < confidence < 1:
            raise UsageError(
                f"not a confidence: {confidence:g}", where="--confidence", fix="give one such as 0.95"
            )
        wanted = None if min_improvement is None else metric or "kendall_tau"
        return cls(wanted, min_improvement or 0.0, confidence)

    @property
    def metrics(self) -> list[WantedMetric]:
        """The gate, if there is one."""
        return [] if self.metric is None else [WantedMetric(self.metric, self.min_improvement)]


@dataclass(frozen=True, slots=True)
class RecordedComparison:
    """What came out: a comparison per pair of variants, and what else is worth knowing.

    Attributes:
        comparisons: Each with one candidate.
        notices: About the evidence, one sentence each.
    """

    comparisons: tuple[Comparison, ...]
    notices: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0, or by the worst verdict 1 for a FAIL and 3 for UNDECIDED."""
        return Outcome(worst_verdict(self.comparisons)).exit_code

    def require_figures(self) -> None:
        """Refuse what could not be compared, now that is told what changed.

        Raises:
            UsageError: There are no figures for a pair.
        """
        for comparison in self.comparisons:
            found = comparison.candidates[0]
            if found.problem is not None or not found.pairs:
                raise UsageError(
                    found.problem or "no anchor pair was judged by both, so that nothing can be compared",
                    where=f"{comparison.baseline} and {found.candidate}",
                    fix="compare runs over the same anchors with the same grades",
                )

    def text(self) -> str:
        """For a terminal: notices, then per pair what changed, the figures, the pairs and the verdict."""
        lines = [f"notice: {notice}" for notice in self.notices]
        for comparison in self.comparisons:
            lines += [""] if lines else []
            lines += _text(comparison)
        return "\n".join(lines)

    def json(self) -> str:
        """The same as a JSON object."""
        document = {
            "notices": list(self.notices),
            "verdict": worst_verdict(self.comparisons) if self._judged else None,
            "comparisons": [
                {"changed": _changed(one), **one.model_dump(mode="json", exclude={"undecided"})}
                for one in self.comparisons
            ],
        }
        return json.dumps(document, indent=2, allow_nan=False)

    @property
    def _judged(self) -> bool:
        return any(candidate.verdicts for one in self.comparisons for candidate in one.candidates)


def _changed(comparison: Comparison) -> dict[str, bool]:
    """Which of the things that are looked at changed."""
    whats = [change.what for change in comparison.candidates[0].changes]
    return {name: any(what.startswith(name) for what in whats) for name in LOOKED_AT}


def _text(comparison: Comparison) -> list[str]:
    found = comparison.candidates[0]
    lines = [
        f"{comparison.scenario}: {comparison.baseline} -> {found.candidate}",
        *changes_text(found.changes),
    ]
    if found.problem is not None or not found.pairs:
        return lines
    lines += ["", *figures_text(comparison, found), "", *pairs_text(found, len(found.differing_pairs))]
    for verdict in found.verdicts:
        lines += ["", verdict.message] + ([f"  hint: {verdict.hint}"] if verdict.hint else [])
    return lines


def compare_recorded(baseline: Path, candidate: Path, asked: Asked) -> RecordedComparison:
    """Compare what is recorded in two folders.

    A folder with a single variant is compared with another such; otherwise each variant with its namesake of
    the same scenario. P-values are corrected for the number of such pairs.

    Args:
        baseline: Folder of a run, a variant or a session.
        candidate: Another one.
        asked: What is asked of the candidate.

    Raises:
        UsageError: A folder holds no run that compared anchors, or runs that failed or are not as they were
            written; the folders are the same or one lies in the other; they have no variant in common.
    """
    _refuse_overlap(baseline, candidate)
    matched = _matched(_variants(baseline), _variants(candidate), (baseline, candidate))
    names = _labels(baseline, candidate) if len(matched) > 1 else _labels(*(one.folder for one in matched[0]))
    outcomes = [tuple(map(_evaluated, pair)) for pair in matched]
    pairs = [Pair(names[0], one, names[1], other) for one, other in outcomes]
    compared = compare_pairs(pairs, asked.metrics, asked.confidence)
    return RecordedComparison(
        comparisons=tuple(
            Comparison(
                scenario=_title(one, other, len(matched) > 1),
                baseline=names[0],
                confidence=asked.confidence,
                candidates=(found,),
            )
            for (one, other), found in zip(outcomes, compared, strict=True)
        ),
        notices=tuple(notice for pair in outcomes for outcome in pair for notice in _notices(outcome)),
    )


def _variants(folder: Path) -> list[Recorded]:
    """Variants of a folder that compared something; a mere plan or dry run is left out of a session."""
    found = recorded_runs(folder)
    judging = [one for one in found if not _is_quiet(one)]
    if not judging:
        raise UsageError(
            "nothing was compared in the runs of this folder",
            where=str(folder),
            fix="name runs of mode anchor-align-test, or of execute with an assignment",
        )
    return judging


def _is_quiet(one: Recorded) -> bool:
    folders = [one.folder] if one.only is not None else sorted(one.root.glob("run-*"))
    plans = [RunFolder(path).plan for path in folders]
    if any(RunFolder(path).inventory.exists() for path in folders):
        return True
    try:
        return any(read_plan(path).mode in QUIET_MODES for path in plans if path.exists())
    except EvidenceError:
        return False  # what is wrong with it is told when it is read


def _refuse_overlap(baseline: Path, candidate: Path) -> None:
    one, other = baseline.resolve(), candidate.resolve()
    if one == other or one in other.parents or other in one.parents:
        what = "is the same folder" if one == other else "is part of the other one"
        raise UsageError(what, where=str(candidate), fix="name two different runs, variants or sessions")


def _labels(baseline: Path, candidate: Path) -> tuple[str, str]:
    """What tells two folders apart: their paths without what they begin and end with alike."""
    one, other = list(baseline.resolve().parts), list(candidate.resolve().parts)
    while one and other and one[0] == other[0]:
        one, other = one[1:], other[1:]
    while len(one) > 1 and len(other) > 1 and one[-1] == other[-1]:
        one, other = one[:-1], other[:-1]
    return "/".join(one), "/".join(other)


def _matched(
    ones: Sequence[Recorded], others: Sequence[Recorded], folders: tuple[Path, Path]
) -> list[tuple[Recorded, Recorded]]:
    if len(ones) == len(others) == 1:
        return [(ones[0], others[0])]
    known = {_key(one): one for one in ones}
    if found := [(known[_key(other)], other) for other in others if _key(other) in known]:
        return found
    listed = [", ".join("/".join(_key(one)) for one in some) for some in (ones, others)]
    raise UsageError(
        f"no variant of the same name: {listed[0]} here, {listed[1]} there",
        where=f"{folders[0]} and {folders[1]}",
        fix="name the folders of the two variants to compare",
    )


def _key(one: Recorded) -> tuple[str, str]:
    return one.root.parent.name, one.root.name


def _evaluated(one: Recorded) -> VariantOutcome:
    root, repeats = one.root, recorded_repeats(one.root)
    outcome = evaluate_variant(root, (), repeats=repeats, only=one.only, run=one.run, bootstrap=0)
    altered = [
        finding for finding in outcome.findings if finding.check == _ALTERED and finding.severity == "error"
    ]
    if altered:
        raise UsageError(
            f"the evidence is not as it was written: {altered[0].code} {altered[0].message}",
            where=str(root),
            fix=f"eng5 verify {root} names every file; compare runs that are whole",
        )
    if (reason := why_not_compared(outcome)) is not None:
        raise UsageError(reason, where=str(root), fix="compare runs that ended, or repeat this one")
    return outcome


def _notices(outcome: VariantOutcome) -> list[str]:
    """Errors that the checks found: the comparisons may not be what they seem."""
    codes = ", ".join(sorted(outcome.error_codes))
    return [f"the checks found {codes} in {outcome.root}; eng5 check tells more"] if codes else []


def _title(one: VariantOutcome, other: VariantOutcome, several: bool) -> str:
    if several:
        return f"{one.scenario} / {one.variant}"
    return one.scenario if one.scenario == other.scenario else f"{one.scenario} and {other.scenario}"
