"""Judging recorded runs again: where they lie, what they were to be judged by, and the outcome of today."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pytest_eng5.errors import UsageError
from pytest_eng5.evidence import EvidenceError, RunFolder, RunPlan, VariantFolder, read_plan, write_findings
from pytest_eng5.gates import ThresholdLike
from pytest_eng5.reports.evaluate import evaluate_variant
from pytest_eng5.reports.outcome import VariantOutcome

__all__ = [
    "Criteria",
    "Recorded",
    "evaluate_folder",
    "evaluate_recorded",
    "recorded_criteria",
    "recorded_repeats",
    "recorded_runs",
    "variant_folders",
]

_RUN = "run-"
_KEYS = ("min", "max", "confidence", "undecided")
_MARKS = ("plan.json", "inventory.json")


@dataclass(frozen=True, slots=True)
class _Bounds:
    """A threshold as it stands in a plan."""

    metric: str
    min: float | None
    max: float | None
    confidence: float | None = None
    undecided: str | None = None


@dataclass(frozen=True, slots=True)
class Criteria:
    """What a variant is judged by.

    Attributes:
        thresholds: One per gate.
        expected_codes: Of a negative test, the codes that must appear; else ``None``.
    """

    thresholds: Sequence[ThresholdLike] = ()
    expected_codes: frozenset[str] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `from_dict` and the resolved scenario of a plan have them."""
        return {
            "thresholds": {t.metric: {key: getattr(t, key, None) for key in _KEYS} for t in self.thresholds},
            "expect": None if self.expected_codes is None else {"findings": sorted(self.expected_codes)},
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Criteria:
        """The criteria in the resolved scenario of a plan."""
        bounds = [
            _Bounds(metric, *(found.get(key) for key in _KEYS))
            for metric, found in values.get("thresholds", {}).items()
        ]
        expect = values.get("expect")
        return cls(tuple(bounds), frozenset(expect["findings"]) if expect else None)


class Recorded(NamedTuple):
    """A recorded variant, or one run of it.

    Attributes:
        root: Folder of the variant.
        only: Number of the run if only that one is meant.
        run: Folder of that run if it is not ``run-<only>`` in the variant's folder, as of a copy.
    """

    root: Path
    only: int | None = None
    run: Path | None = None

    @property
    def folder(self) -> Path:
        """What was meant: the folder of the run or of the variant."""
        return self.run or (self.root if self.only is None else VariantFolder(self.root).run(self.only).root)


def variant_folders(session: Path) -> list[Path]:
    """Folders of all variants that have a planned run, or only a plan of one, in order of name."""
    return sorted({path.parent.parent for name in _MARKS for path in session.glob(f"*/*/{_RUN}*/{name}")})


def recorded_runs(folder: Path) -> list[Recorded]:
    """What a folder holds, be it a session's, a scenario's, a variant's or that of one run, also of a copy.

    Raises:
        UsageError: It holds no recorded run.
    """
    folder = folder.absolute()
    if any((folder / mark).exists() for mark in _MARKS):
        return [_single(folder)]
    if any(path for mark in _MARKS for path in folder.glob(f"{_RUN}*/{mark}")):
        return [Recorded(folder)]
    of_scenario = {path.parent.parent for mark in _MARKS for path in folder.glob(f"*/{_RUN}*/{mark}")}
    if found := sorted(of_scenario) or variant_folders(folder):
        return [Recorded(variant) for variant in found]
    what = "there is no recorded run in this folder" if folder.is_dir() else "there is no such folder"
    fix = (
        "name a session such as .eng5/latest, or a run in it such as .eng5/latest/anchor_align/baseline/run-1"
    )
    raise UsageError(what, where=str(folder), fix=fix)


def _single(folder: Path) -> Recorded:
    name = folder.name.removeprefix(_RUN)
    if name != folder.name and name.isascii() and name.isdigit() and int(name) > 0:
        return Recorded(folder.parent, int(name))
    try:
        number = read_plan(RunFolder(folder).plan).repeat
    except EvidenceError:
        number = 1  # what is wrong with it is told when it is read
    return Recorded(folder.parent, number, folder)


def recorded_repeats(variant: Path) -> int:
    """How many runs a variant's folder should hold: the number of its last one, or what its plan says."""
    numbers = (path.name.removeprefix(_RUN) for path in variant.glob(f"{_RUN}*"))
    plan = _plan(variant)
    planned = int(plan.resolved_scenario.get("repeats", 1)) if plan else 1
    return max([planned, *(int(number) for number in numbers if number.isascii() and number.isdigit())])


def recorded_criteria(variant: Path, run: Path | None = None) -> Criteria:
    """What the recorded runs of a variant, or a copy of one, were to be judged by when they were made."""
    plan = _plan(variant, run)
    return Criteria.from_dict(plan.resolved_scenario if plan else {})


def evaluate_recorded(
    variant: Path,
    criteria: Criteria | None = None,
    *,
    only: int | None = None,
    run: Path | None = None,
    findings: Path | None = None,
) -> VariantOutcome:
    """Check, measure and judge recorded runs with the code of today; nothing recorded is touched.

    Args:
        variant: Folder with ``run-1`` and so on.
        criteria: What to judge by; by default what was recorded.
        only: Number of a run that is judged by itself.
        run: Where that one lies, if not in the variant's folder.
        findings: Folder for a ``run-k/findings.json`` per run, if they are to be kept.
    """
    chosen = criteria or recorded_criteria(variant, run)
    outcome = evaluate_variant(
        variant,
        chosen.thresholds,
        repeats=recorded_repeats(variant),
        only=only,
        run=run,
        expected_codes=chosen.expected_codes,
    )
    if findings is not None and outcome.snapshot is None:
        for one in outcome.runs:
            write_findings(VariantFolder(findings).run(one.repeat).findings, one.findings)
    return outcome


def evaluate_folder(folder: Path, criteria: Mapping[str, Criteria]) -> list[VariantOutcome]:
    """Check, measure and judge everything that is recorded in a folder.

    Args:
        folder: Of a session, a variant or one run.
        criteria: By variant, in place of what was recorded; empty to judge by that.

    Raises:
        UsageError: Nothing is recorded there, or a variant for which there are no criteria.
    """
    outcomes = []
    for found in recorded_runs(folder):
        plan = _plan(found.root, found.run)
        variant = plan.variant if plan else found.root.name
        if criteria and variant not in criteria:
            raise UsageError(
                f"the scenario file has no variant {variant}",
                where=str(found.folder),
                fix=f"check one of {', '.join(criteria)}, or judge by what was recorded",
            )
        chosen = criteria.get(variant)
        outcomes.append(evaluate_recorded(found.root, chosen, only=found.only, run=found.run))
    return outcomes


def _plan(variant: Path, run: Path | None = None) -> RunPlan | None:
    for path in sorted(variant.glob(f"{_RUN}*/plan.json")) if run is None else [RunFolder(run).plan]:
        try:
            return read_plan(path)
        except EvidenceError:
            continue
    return None
