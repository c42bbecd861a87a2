"""The plan of a run: who is compared, by whom, how far; written before anything is published.

With it the event logs of an interrupted run can still be read: it holds the map from the opaque ids on the
wire back to essays and grades, which is nowhere else.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pytest_eng5.evidence.files import write_json
from pytest_eng5.evidence.records import EvidenceError

_FORMAT = "1.0.0"

__all__ = ["PlannedEssay", "RunPlan", "SourceText", "read_plan", "write_plan"]


class SourceText(BaseModel):
    """A text that went into a run: where it came from, its SHA-256, and the text itself."""

    model_config = ConfigDict(frozen=True)

    source_path: str
    checksum: str = Field(pattern=r"^[0-9a-f]{64}$")
    content: str


class PlannedEssay(BaseModel):
    """One essay of a run; ``essay_id`` is its opaque id on the wire, ``local_id`` the user's own."""

    model_config = ConfigDict(frozen=True)

    essay_id: str
    local_id: str
    file_name: str
    source_path: str
    checksum: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the text as uploaded, UTF-8")
    grade: str | None = None
    is_anchor: bool = True
    text_storage_id: str | None = None


class RunPlan(BaseModel):
    """Everything that is decided before a request is published."""

    model_config = ConfigDict(frozen=True)

    schema_version: str = Field(default=_FORMAT, description="Format of the whole run folder")
    scenario: str
    variant: str
    repeat: int = Field(ge=1)
    mode: str
    batch_uuid: str
    correlation_id: str
    created_at: datetime
    runner_version: str
    git_sha: str | None = Field(default=None, pattern=r"^[0-9a-f]{7,40}$")
    course_code: str
    language: str
    grade_scale: str | None = None
    assignment_id: str | None = None
    course_id: str | None = None
    provider: str
    model: str | None = None
    temperature: float | None = None
    planned_comparisons: int = Field(ge=1)
    idle_seconds: float
    total_seconds: float
    budget_usd: float | None = None
    topic_prefix: str = ""
    system_prompt: SourceText | None = None
    rubric: SourceText | None = None
    instructions: SourceText | None = None
    prompt_reference: SourceText | None = None
    essays: tuple[PlannedEssay, ...]
    resolved_scenario: dict[str, Any] = Field(
        default_factory=dict, description="The variant after merging and overrides, thresholds included"
    )


def write_plan(path: Path, plan: RunPlan) -> None:
    """Write the plan atomically."""
    write_json(path, plan.model_dump(mode="json", exclude_none=True))


def read_plan(path: Path) -> RunPlan:
    """Read a plan.

    Raises:
        EvidenceError: The file is missing or damaged, or the run was written in a format that is not known.
    """
    try:
        content = path.read_bytes()
        plan = RunPlan.model_validate_json(content)
    except (OSError, ValidationError) as error:
        if isinstance(error, ValidationError):
            _require_version(_version_of(content), path)
        raise EvidenceError(
            f"no readable plan: {error}",
            where=str(path),
            fix="name the folder of a run, such as .../baseline/run-1",
        ) from error
    _require_version(plan.schema_version, path)
    return plan


def _version_of(content: bytes) -> str:
    """The format that a plan says it has although it does not validate; ours if it says none."""
    try:
        return str(json.loads(content).get("schema_version", _FORMAT))
    except (ValueError, AttributeError, RecursionError):
        return _FORMAT


def _require_version(found: str, path: Path) -> None:
    """Refuse a run in a format of another major number; later minor ones only add what may be ignored.

    Raises:
        EvidenceError: It names the format found and those that are read.
    """
    major = _FORMAT.partition(".")[0]
    if found.partition(".")[0] != major:
        raise EvidenceError(
            f"the run was written in format {found}; this release reads {major}.x",
            where=str(path),
            fix="read it with the release that wrote it, which runner_version in the file names",
        )
