"""The last step of a run: artefact, its schema, findings and manifest, each written once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pytest_eng5.evidence import (
    Finding,
    RunEnding,
    RunEvidence,
    RunFolder,
    artefact_json_schema,
    load_evidence,
    write_artefact,
    write_findings,
    write_json,
    write_manifest,
)
from pytest_eng5.reports.artefact import build_artefact
from pytest_eng5.reports.checking import checked, crash
from pytest_eng5.reports.telling import tell_artefact, tell_evidence, tell_summary
from pytest_eng5.telemetry import current_log

__all__ = ["finalise_run"]

T = TypeVar("T")


def finalise_run(root: Path, ending: RunEnding) -> None:
    """Write everything that is derived from the evidence of a run that has ended, whichever way.

    The event logs must be closed; the log of the run, if there is one, is closed here. Nothing that was
    captured is touched. If a step raises, the others are still done and the exception becomes a finding
    ``CHECK-CRASHED``. The check ``manifest`` is left out, because it looks at the finished folder.

    Args:
        root: The run folder, with its ``plan.json``.
        ending: How the run ended.

    Raises:
        OSError: Findings or manifest cannot be written, for want of space or rights.
    """
    folder, log = RunFolder(root), current_log()
    findings: list[Finding] = []
    evidence = _try(findings, "reading the evidence", lambda: load_evidence(root, ending))
    _try(findings, "writing the schema", lambda: write_json(folder.schema, artefact_json_schema()))
    if evidence is not None:
        found = evidence
        tell_evidence(log, found, ending)
        _try(findings, "writing the artefact", lambda: _write_artefact(folder, found, ending))
        findings += _try(findings, "checking", lambda: checked(found, without=("manifest",))) or ()
    try:
        tell_summary(log, ending, evidence, findings)
        write_findings(folder.findings, findings)
    finally:
        log.close()
        write_manifest(root, folder.manifest)


def _write_artefact(folder: RunFolder, evidence: RunEvidence, ending: RunEnding) -> None:
    path, artefact = folder.artefact(evidence.plan.mode), build_artefact(evidence, ending)
    write_artefact(path, artefact)
    tell_artefact(current_log(), path.name, artefact, evidence)


def _try(findings: list[Finding], doing: str, step: Callable[[], T]) -> T | None:
    try:
        return step()
    except Exception as error:  # evidence must not be lost to a fault in what is derived from it
        findings.append(crash("schema", doing, error))
        return None
