"""What became of a variant: its runs, findings, figures, gates and the verdict over all of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_eng5.alignment import AlignmentMetrics, MetricValue
from pytest_eng5.checks import Ledger
from pytest_eng5.evidence import Finding, InventorySnapshot, RunEnding, RunPlan
from pytest_eng5.gates import METRICS, Status, Verdict
from pytest_eng5.gates.vacuity import vacuous

if TYPE_CHECKING:
    from pytest_eng5.reports.repeats import Repeats

__all__ = ["NOTHING", "Outcome", "RunOutcome", "VariantOutcome", "exit_status", "sound_values"]


class Outcome(StrEnum):
    """Verdict over a variant, best to worst; ``DONE`` where a mode judges nothing and nothing went wrong."""

    DONE = "DONE"
    PASS = "PASS"
    UNDECIDED = "UNDECIDED"
    FAIL = "FAIL"
    ERROR = "ERROR"

    @classmethod
    def worst(cls, outcomes: Iterable[Outcome]) -> Outcome:
        """The worst of several, ``PASS`` of none."""
        order = list(cls)
        return max(outcomes, key=order.index, default=cls.PASS)

    @property
    def exit_code(self) -> int:
        """The command line's exit code: 0 pass, 1 fail, 3 undecided, 4 infrastructure."""
        codes = {Outcome.FAIL: 1, Outcome.UNDECIDED: 3, Outcome.ERROR: 4}
        return codes.get(self, 0)


def exit_status(outcomes: Sequence[VariantOutcome]) -> int:
    """The command line's exit code for all variants: that of the worst.

    A gate that is undecided and wants no more than a warning then counts as passed.
    An error is the user's to put right (2) if no run came to grief in another way.
    """
    code = Outcome.worst(outcome.verdict for outcome in outcomes if not outcome.tolerated).exit_code
    endings = [run.ending for outcome in outcomes for run in outcome.runs]
    troubles = {ending.reason.exit_code if ending else 4 for ending in endings} & {2, 4}
    return 2 if code == Outcome.ERROR.exit_code and troubles == {2} else code


NOTHING = Ledger(planned=0, succeeded=0, failed=0, unreadable=0, missing=0, unexpected=0)
"""The ledger of a run that makes no comparisons, or that cannot be read."""


QUIET_MODES = frozenset({"plan", "dry-run"})
"""Modes in which nothing is compared."""

OF_THE_ORDER = (
    *("kendall_tau", "kendall_tau_a", "ssr", "position_effect", "judge_infit", "judge_outfit"),
    *("worst_infit", "worst_outfit", "misfitting_anchors", "split_half"),
)


def sound_values(metrics: AlignmentMetrics) -> dict[str, MetricValue]:
    """Every figure by name; NaN where undefined.

    Figures that rest on an order of all anchors are undefined as well if no gate may pass on the
    comparisons, as when they leave anchors out or in unconnected groups.
    """
    values = dict(metrics.values)
    if vacuous(METRICS["coverage"], metrics) is not None:
        values |= {name: MetricValue(math.nan) for name in OF_THE_ORDER}
    return values


@dataclass(frozen=True)
class RunOutcome:
    """One run of a variant.

    Attributes:
        root: Its folder.
        plan: ``None`` if the folder cannot be read.
        ending: ``None`` if the run was killed before it could say, or cannot be read.
        ledger: Where the planned comparisons went.
        usable: Succeeded comparisons that name two different essays of the plan.
        cost_usd: As reported in the callbacks, ``None`` if the run cannot be read.
        judges: (provider, model) of the callbacks.
        problem: Why the folder cannot be read, in one sentence.
        unfired: Planted faults that did not show, one sentence each.
    """

    repeat: int
    root: Path
    plan: RunPlan | None = None
    ending: RunEnding | None = None
    findings: tuple[Finding, ...] = ()
    ledger: Ledger = NOTHING
    usable: int = 0
    cost_usd: float | None = None
    judges: tuple[tuple[str, str], ...] = ()
    problem: str | None = None
    unfired: tuple[str, ...] = ()

    @property
    def batch_uuid(self) -> str | None:
        """Batch uuid, if the plan could be read."""
        return self.plan.batch_uuid if self.plan else None

    @property
    def obstacle(self) -> str | None:
        """Why no verdict can be given about this run: infrastructure, not the judge; else ``None``."""
        if self.problem is not None:
            return self.problem
        if self.ending is None:
            return f"run-{self.repeat} was killed before it could end"
        if self.ending.reason.is_infrastructure:
            return f"run-{self.repeat} ended with {self.ending.reason.value}: {self.ending.detail}"
        return None

    def findings_of(self, check: str) -> tuple[Finding, ...]:
        """Findings of one check."""
        return tuple(finding for finding in self.findings if finding.check == check)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able values."""
        return {
            "repeat": self.repeat,
            "folder": self.root.name,
            "batch_uuid": self.batch_uuid,
            "ending": self.ending.model_dump(mode="json") if self.ending else None,
            "problem": self.problem,
            "comparisons": {**asdict(self.ledger), "usable": self.usable},
            "cost_usd": self.cost_usd,
            "judges": [{"provider": provider, "model": model} for provider, model in self.judges],
            "findings": [finding.model_dump(mode="json", exclude_none=True) for finding in self.findings],
        }


@dataclass(frozen=True)
class VariantOutcome:
    """A variant with all its runs.

    Attributes:
        root: The variant's folder.
        alignment: Figures pooled over the runs, ``None`` for modes that judge nothing and if they could
            not be computed.
        not_computed: Why there are no figures.
        verdicts: One per threshold, in their order.
        verdict: The worst of runs, findings and thresholds.
        reasons: Why the verdict is not PASS, one sentence each.
        expected_codes: Finding codes that must appear, for a negative test.
        snapshot: Of mode ``plan``, whose folder holds no run.
        repeats: The runs by themselves and how far they lie apart; ``None`` without figures.
    """

    scenario: str
    variant: str
    mode: str
    root: Path
    runs: tuple[RunOutcome, ...]
    alignment: AlignmentMetrics | None
    verdicts: tuple[Verdict, ...]
    verdict: Outcome
    reasons: tuple[str, ...] = ()
    not_computed: str | None = None
    expected_codes: frozenset[str] | None = None
    snapshot: InventorySnapshot | None = None
    repeats: Repeats | None = None

    @property
    def judging(self) -> bool:
        """Whether comparisons were to be made and waited for, so that there is something to judge."""
        waited = not self.runs or any(not (run.ending and run.ending.reason.is_quiet) for run in self.runs)
        return self.mode not in QUIET_MODES and waited

    @property
    def undecided(self) -> tuple[Verdict, ...]:
        """Gates whose interval holds the threshold."""
        return tuple(verdict for verdict in self.verdicts if verdict.status is Status.UNDECIDED)

    @property
    def tolerated(self) -> bool:
        """Whether the variant is undecided only by gates that want no more than a warning then."""
        undecided = self.undecided
        return self.verdict is Outcome.UNDECIDED and bool(undecided) and all(v.tolerated for v in undecided)

    @property
    def essay_counts(self) -> tuple[int, int] | None:
        """Anchors and students that were looked at, if that is known."""
        if self.snapshot is not None:
            return len(self.snapshot.of_role("anchor")), len(self.snapshot.of_role("student"))
        if self.plan is None:
            return None
        anchors = sum(essay.is_anchor for essay in self.plan.essays)
        return anchors, len(self.plan.essays) - anchors

    @property
    def metrics(self) -> dict[str, MetricValue]:
        """Every figure by name, see :func:`sound_values`."""
        return {} if self.alignment is None else sound_values(self.alignment)

    @property
    def ledger(self) -> Ledger:
        """Comparisons of all runs together."""
        counts = [asdict(run.ledger) for run in self.runs]
        return Ledger(**{name: sum(count[name] for count in counts) for name in asdict(NOTHING)})

    @property
    def usable(self) -> int:
        """Succeeded comparisons that name two different essays of the plan."""
        return sum(run.usable for run in self.runs)

    @property
    def cost_usd(self) -> float | None:
        """Reported cost of all runs; ``None`` if one of them cannot be read."""
        costs = [run.cost_usd for run in self.runs]
        known = [cost for cost in costs if cost is not None]
        return math.fsum(known) if known and len(known) == len(costs) else None

    @property
    def judges(self) -> tuple[tuple[str, str], ...]:
        """(provider, model) really seen in callbacks, sorted."""
        return tuple(sorted({judge for run in self.runs for judge in run.judges}))

    @property
    def batch_uuids(self) -> tuple[str, ...]:
        """Batch uuids of the runs that can be read."""
        return tuple(run.batch_uuid for run in self.runs if run.batch_uuid)

    @property
    def endings(self) -> tuple[RunEnding | None, ...]:
        """How each run ended."""
        return tuple(run.ending for run in self.runs)

    @property
    def plan(self) -> RunPlan | None:
        """The first readable plan: prompts, judge and anchors are those of every run."""
        return next((run.plan for run in self.runs if run.plan), None)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Findings of all runs."""
        return tuple(finding for run in self.runs for finding in run.findings)

    @property
    def unfired(self) -> tuple[str, ...]:
        """Planted faults that did not show in a run."""
        return tuple(f"run-{run.repeat}: {text}" for run in self.runs for text in run.unfired)

    @property
    def error_codes(self) -> frozenset[str]:
        """Codes of all findings that are errors."""
        return frozenset(finding.code for finding in self.findings if finding.severity == "error")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able values; undefined numbers are ``None``."""
        return {
            "scenario": self.scenario,
            "variant": self.variant,
            "mode": self.mode,
            "verdict": self.verdict.value,
            "reasons": list(self.reasons),
            "expected_codes": None if self.expected_codes is None else sorted(self.expected_codes),
            "comparisons": {**asdict(self.ledger), "usable": self.usable},
            "cost_usd": self.cost_usd,
            "judges": [{"provider": provider, "model": model} for provider, model in self.judges],
            "batch_uuids": list(self.batch_uuids),
            "verdicts": [verdict.to_dict() for verdict in self.verdicts],
            "alignment": self.alignment.to_dict() if self.alignment else None,
            "not_computed": self.not_computed,
            "repeats": self.repeats.to_dict(self.verdicts) if self.repeats else None,
            "runs": [run.to_dict() for run in self.runs],
        }
