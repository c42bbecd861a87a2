"""The reports of a whole session."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytest_eng5.evidence import VariantFolder
from pytest_eng5.reports.alignment_report import write_alignment_report
from pytest_eng5.reports.outcome import VariantOutcome
from pytest_eng5.reports.summary import write_summary

__all__ = ["write_session"]


def write_session(session: Path, outcomes: Sequence[VariantOutcome]) -> None:
    """Write an alignment report per variant that was judged and left a folder, and ``summary.json``.

    Args:
        session: Folder of the session; its name is the session's.
        outcomes: Variants in the order of the session.
    """
    for outcome in outcomes:
        if outcome.judging and outcome.root.is_dir():
            write_alignment_report(VariantFolder(outcome.root), outcome)
    write_summary(session / "summary.json", session.name, outcomes)
