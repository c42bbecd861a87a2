"""Findings: what a check has to say about recorded evidence, and their file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pytest_eng5.evidence.files import write_json
from pytest_eng5.evidence.records import EvidenceError

__all__ = ["Finding", "FindingsFile", "Severity", "read_findings", "write_findings"]

Severity = Literal["error", "warning", "info"]


class Finding(BaseModel):
    """One observation about a run, with as much of its place as is known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str = Field(description="Stable name of the rule, such as META-MISSING")
    severity: Severity = Field(description="Errors fail the item; warnings and infos are reported")
    message: str = Field(description="What is wrong, one sentence for a human")
    check: str = Field(description="Item the finding belongs to, such as metadata")
    hint: str | None = Field(default=None, description="What to do about it")
    request_id: str | None = None
    correlation_id: str | None = None
    essay_ids: tuple[str, ...] = ()
    field: str | None = Field(default=None, description="JSON pointer or name of the field concerned")
    position: str | None = Field(default=None, description="topic[partition]@offset of the record")
    evidence: str | None = Field(default=None, description="file:line inside the run folder")


MOST_OF_A_CODE = 1_000
"""Findings of one code that are written; of a run in which everything is wrong these say enough."""


class FindingsFile(BaseModel):
    """The shape of ``findings.json``; ``omitted`` counts findings beyond the first 1,000 of a code."""

    schema_version: str = "1.0.0"
    findings: tuple[Finding, ...] = ()
    omitted: dict[str, int] | None = None


def write_findings(path: Path, findings: Iterable[Finding]) -> None:
    """Write ``findings.json`` atomically, at most 1,000 of a code; absent values are left out."""
    seen: Counter[str] = Counter()
    kept = []
    for finding in findings:
        seen[finding.code] += 1
        if seen[finding.code] <= MOST_OF_A_CODE:
            kept.append(finding)
    omitted = {code: count - MOST_OF_A_CODE for code, count in seen.items() if count > MOST_OF_A_CODE}
    document = FindingsFile(findings=tuple(kept), omitted=omitted or None)
    write_json(path, document.model_dump(mode="json", exclude_none=True))


def read_findings(path: Path) -> tuple[Finding, ...]:
    """Read ``findings.json``.

    Raises:
        EvidenceError: The file is missing or damaged.
    """
    try:
        return FindingsFile.model_validate_json(path.read_bytes()).findings
    except (OSError, ValidationError) as error:
        where, fix = str(path), "run the scenario again"
        raise EvidenceError(f"no readable findings: {error}", where=where, fix=fix) from error
