"""The outcome of mode ``plan``: no run, no figures, only whether a run could be started."""

from __future__ import annotations

from pathlib import Path

from pytest_eng5.evidence import EvidenceError, InventorySnapshot, Remark, RunFolder, read_snapshot
from pytest_eng5.reports.outcome import Outcome, RunOutcome, VariantOutcome

__all__ = ["planned_variant", "remark_text"]


def planned_variant(root: Path, folder: RunFolder) -> VariantOutcome:
    """The outcome of a variant of which a folder holds the snapshot of a plan."""
    snapshot: InventorySnapshot | None = None
    reasons: tuple[str, ...]
    try:
        snapshot = read_snapshot(folder.inventory)
        reasons = tuple(map(remark_text, snapshot.obstacles))
        verdict = Outcome.DONE if snapshot.valid else Outcome.FAIL
        problem = None
    except EvidenceError as error:
        problem = str(error).splitlines()[0]
        verdict, reasons = Outcome.ERROR, (problem,)
    return VariantOutcome(
        scenario=snapshot.scenario if snapshot else root.parent.name,
        variant=snapshot.variant if snapshot else root.name,
        mode="plan",
        root=root,
        runs=(RunOutcome(1, folder.root, problem=problem),),
        alignment=None,
        verdicts=(),
        verdict=verdict,
        reasons=reasons,
        not_computed="this mode judges nothing",
        snapshot=snapshot,
    )


def remark_text(remark: Remark) -> str:
    """A remark as one line and, if there is a fix, a second one."""
    line = f"{remark.where}: {remark.message}" if remark.where else remark.message
    return f"{line}\n  fix: {remark.fix}" if remark.fix else line
