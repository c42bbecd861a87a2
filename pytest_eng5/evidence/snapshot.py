"""The snapshot of mode ``plan``: what lies in an inputs folder, and what could be run with it.

It is no plan of a run (``plan.json``): nothing has an id on the wire, and nothing was uploaded or published.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pytest_eng5.evidence.files import write_json
from pytest_eng5.evidence.records import EvidenceError

__all__ = [
    "CostEstimate",
    "FileRole",
    "InventoryFile",
    "InventorySnapshot",
    "PlannedMode",
    "PlannedThreshold",
    "Remark",
    "read_snapshot",
    "write_snapshot",
]

_HEX64 = r"^[0-9a-f]{64}$"
FileRole = Literal[
    "anchor", "student", "anchor_table", "instructions", "student_prompt", "system_prompt", "rubric"
]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InventoryFile(_Part):
    """One file of the inputs; ``path`` is relative to the inputs folder, of a prompt to the scenario file."""

    role: FileRole
    path: str
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=_HEX64, description="Of the file's bytes")
    text_sha256: str | None = Field(
        default=None, pattern=_HEX64, description="Of the text as it would be uploaded, UTF-8"
    )
    characters: int | None = Field(default=None, ge=0, description="Of that text")
    id: str | None = Field(default=None, description="The user's own id of an essay; never on the wire")
    grade: str | None = Field(default=None, description="Expert grade of an anchor")


class Remark(_Part):
    """Something to say about the inputs: where, what, and how to fix it."""

    message: str
    where: str | None = None
    fix: str | None = None


class PlannedMode(_Part):
    """What a run in one mode would compare.

    Attributes:
        comparisons: How many it would make.
        round_robin: How many there are of every pair once.
        obstacles: Why it could not be started.
        remarks: What would not stop it.
    """

    mode: str
    essays: int = Field(ge=0)
    comparisons: int = Field(ge=0)
    round_robin: int = Field(ge=0)
    obstacles: tuple[Remark, ...] = ()
    remarks: tuple[Remark, ...] = ()


class PlannedThreshold(_Part):
    """A threshold, the greatest value that the grade ties allow, and why no data could satisfy it."""

    metric: str
    min: float | None = None
    max: float | None = None
    confidence: float | None = None
    attainable: float | None = None
    problem: str | None = None


class CostEstimate(_Part):
    """What a run would cost in US dollars, and how that is known."""

    usd: float = Field(ge=0)
    basis: str


class InventorySnapshot(_Part):
    """The shape of ``inventory.json``.

    Attributes:
        planned_mode: The scenario's own mode, if only the command line asked for a plan.
        valid: Whether the inputs can be used, and a run in the planned mode could be started.
        problems: What makes the inputs unusable; files named here may be missing from ``files``.
        cost: ``None`` if it is not known.
    """

    schema_version: str = Field(default="1.0.0", pattern=r"^1\.\d+\.\d+$")
    scenario: str
    variant: str
    planned_mode: str | None = None
    created_at: datetime
    runner_version: str
    inputs: str
    course_code: str
    language: str
    grade_scale: str | None = None
    valid: bool
    files: tuple[InventoryFile, ...] = ()
    notices: tuple[Remark, ...] = ()
    problems: tuple[Remark, ...] = ()
    modes: tuple[PlannedMode, ...] = ()
    judge: dict[str, Any] = Field(default_factory=dict)
    thresholds: tuple[PlannedThreshold, ...] = ()
    cost: CostEstimate | None = None
    budget_usd: float | None = None
    resolved_scenario: dict[str, Any] = Field(default_factory=dict)

    def of_role(self, role: FileRole) -> tuple[InventoryFile, ...]:
        """Files of one role."""
        return tuple(file for file in self.files if file.role == role)

    @property
    def obstacles(self) -> tuple[Remark, ...]:
        """Everything that makes the snapshot invalid."""
        planned = [o for mode in self.modes if mode.mode == self.planned_mode for o in mode.obstacles]
        wrong = [Remark(message=t.problem) for t in self.thresholds if t.problem is not None]
        return (*self.problems, *planned, *wrong)


def write_snapshot(path: Path, snapshot: InventorySnapshot) -> None:
    """Write ``inventory.json`` atomically; absent values are left out."""
    write_json(path, snapshot.model_dump(mode="json", exclude_none=True))


def read_snapshot(path: Path) -> InventorySnapshot:
    """Read ``inventory.json``.

    Raises:
        EvidenceError: The file is missing or damaged.
    """
    try:
        return InventorySnapshot.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        where, fix = str(path), "plan again: eng5 run --mode plan"
        raise EvidenceError(f"no readable inventory: {error}", where=where, fix=fix) from error
