"""The artefact of a run, schema 1.1: what was run, what came back, what it cost, how it ended.

Field names are those of the previous runner's schema 1.0 (contract 10.7). Version 1.1 adds the mode, request
ids, both essays of every comparison, confidence, our own standard errors and the ending; what is unknown is
left out, never filled with a placeholder. A failed comparison has no winner (contract 13, R13).

The artefact of an assignment satisfies schema 1.0 as well and says so in ``schema_version``; what that schema
has no place for, a comparison without a winner, stands apart in ``incomplete_comparisons``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from copy import deepcopy
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pytest_eng5.evidence.document import open_document
from pytest_eng5.evidence.ending import RunEnding
from pytest_eng5.evidence.files import json_bytes, write_atomic
from pytest_eng5.evidence.manifest import ManifestEntry
from pytest_eng5.evidence.plan import SourceText
from pytest_eng5.evidence.records import EvidenceError

__all__ = [
    "Artefact",
    "ArtefactMetadata",
    "BtEntry",
    "Comparison",
    "Costs",
    "GradeProjection",
    "Inputs",
    "RunnerStatus",
    "TokenCount",
    "Validation",
    "artefact_json_schema",
    "checksum_of",
    "read_artefact",
    "read_ending",
    "states_its_checksum",
    "write_artefact",
]

SCHEMA_ID = "https://pytest-eng5.invalid/schemas/assessment_run-1.1.json"
_HEX64 = r"^[0-9a-f]{64}$"
CHECKSUM_BLANKS = ("", "0" * 64)
"""What stood in for the checksum while it was computed: ours, and the old stub writer's (contract 10.7)."""
_UUID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class ArtefactMetadata(_Part):
    """Which run this is.

    Attributes:
        git_sha: Commit of the scenario's checkout. Without one, in an artefact of schema 1.0, which wants
            it, the git object id (blob) of the settings; ``git_sha_of`` says which of the two.
    """

    scenario: str
    variant: str
    repeat: int = Field(ge=1)
    batch_uuid: str
    correlation_id: str
    runner_mode: Literal["plan", "dry-run", "execute", "anchor-align-test"]
    runner_version: str
    generated_at: datetime
    course_code: str
    language: str
    git_sha: str | None = Field(default=None, pattern=r"^[0-9a-f]{7,40}$")
    git_sha_of: Literal["commit", "settings"] | None = None
    grade_scale: str | None = None
    assignment_id: str | None = None
    course_id: str | None = None
    provider: str
    model: str | None = None
    temperature: float | None = None
    system_prompt_sha256: str | None = Field(default=None, pattern=_HEX64)
    rubric_sha256: str | None = Field(default=None, pattern=_HEX64)
    planned_comparisons: int = Field(ge=1)


class EssayInput(_Part):
    """An essay of the run: ``essay_id`` on the wire, the user's own id as ``anchor_id`` or ``local_id``."""

    essay_id: str
    file_name: str
    source_path: str
    checksum: str = Field(pattern=_HEX64)
    anchor_id: str | None = None
    local_id: str | None = None
    grade: str | None = None
    text_storage_id: str | None = None


class Inputs(_Part):
    """What went in."""

    instructions: SourceText | None = None
    prompt_reference: SourceText | None = None
    anchors: tuple[EssayInput, ...] = ()
    students: tuple[EssayInput, ...] = ()


class Comparison(_Part):
    """One distinct comparison, in the order of capture; times are the provider's, costs USD as reported."""

    sequence: int = Field(ge=1)
    request_id: str
    correlation_id: str = Field(pattern=_UUID)
    status: Literal["succeeded", "failed"]
    essay_a_id: str | None = None
    essay_b_id: str | None = None
    winner_id: str | None = None
    loser_id: str | None = None
    confidence: float | None = Field(default=None, ge=1, le=5)
    justification: str | None = None
    prompt_hash: str | None = Field(default=None, pattern=_HEX64)
    provider: str
    model: str
    tokens_prompt: int = Field(ge=0)
    tokens_completion: int = Field(ge=0)
    cost_usd: float = Field(ge=0)
    started_at: datetime
    completed_at: datetime
    failure_reason: str | None = None
    error_code: str | None = None
    position: str


class BtEntry(_Part):
    """Score of one essay, re-derived from the captured comparisons; ``theta`` in logits, mean zero.

    ``standard_error`` is the sum-to-zero standard error; ``comparison_count`` the comparisons really made.
    ``reported_score`` and ``reported_rank`` are what the pipeline's rich result says.
    """

    essay_id: str
    theta: float
    standard_error: float = Field(ge=0)
    rank: int = Field(ge=1)
    comparison_count: int = Field(ge=0)
    is_anchor: bool
    anchor_id: str | None = None
    anchor_grade: str | None = None
    grade_projection: str | None = None
    reported_score: float | None = None
    reported_rank: int | None = None


class TokenCount(_Part):
    """Tokens and reported cost of one provider and model."""

    provider: str
    model: str
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)
    usd: float = Field(ge=0)


class Costs(_Part):
    """Cost of the run as the provider service reported it, USD."""

    total_usd: float = Field(ge=0)
    token_counts: tuple[TokenCount, ...] = ()


class ObservedEvents(_Part):
    """Distinct events captured, by kind; ``rejected`` could not be decoded or validated."""

    llm_comparisons: int = Field(ge=0)
    assessment_results: int = Field(ge=0)
    completions: int = Field(ge=0)
    failures: int = Field(ge=0)
    rejected: int = Field(ge=0)


class RunnerStatus(_Part):
    """How the run ended and what had been seen by then."""

    partial_data: bool
    timeout_seconds: float | None = None
    observed_events: ObservedEvents
    ending: RunEnding


class Validation(_Part):
    """What makes the artefact checkable: checksum, recorded files, environment, ending."""

    artefact_checksum: str = Field(pattern=r"^([0-9a-f]{64})?$")
    manifest: tuple[ManifestEntry, ...] = ()
    cli_environment: dict[str, str] = Field(default_factory=dict)
    runner_status: RunnerStatus


class GradeProjection(_Part):
    """Grade of a student's essay as the pipeline reports it.

    Attributes:
        grade: As published; national digits come from the optional ``grade_projection_summary``.
        probabilities: Of the grades of the scale, zeros left out.
        probabilities_source: Whether the pipeline published them or they were worked out from the captured
            comparisons (contract 8.3).
    """

    essay_id: str
    grade_scale: str
    grade: str
    probabilities: dict[str, float]
    probabilities_source: Literal["published", "derived"]
    normalized_score: float
    confidence_score: float
    confidence_label: str


class Artefact(_Part):
    """The whole document; ``conforms_to`` names the schema versions that it is written for."""

    schema_version: str = Field(default="1.1.0", pattern=r"^1\.[01]\.\d+$")
    conforms_to: tuple[str, ...] = ("1.1.0",)
    metadata: ArtefactMetadata
    inputs: Inputs
    llm_comparisons: tuple[Comparison, ...] = ()
    incomplete_comparisons: tuple[Comparison, ...] = ()
    bt_summary: tuple[BtEntry, ...] = ()
    grade_projections: tuple[GradeProjection, ...] = ()
    costs: Costs
    validation: Validation


def artefact_json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the artefact, generated from the models; the caller's own copy."""
    return deepcopy(_json_schema())


@cache
def _json_schema() -> dict[str, Any]:
    body = Artefact.model_json_schema(mode="validation")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **body,
        "title": "ENG5 assessment run, schema 1.1",
    }


def checksum_of(document: Mapping[str, Any], blank: str = "") -> str:
    """SHA-256 of an artefact with its own checksum blanked out.

    The JSON form is two spaces of indent, key order kept, ASCII escapes and no final newline.

    Args:
        document: The parsed artefact.
        blank: What stands in for the checksum: empty here and in the old hydrator, 64 zeros in its old stub
            writer (contract 10.7).
    """
    validation = {**document["validation"], "artefact_checksum": blank}
    body = json_bytes({**document, "validation": validation}).rstrip(b"\n")
    return hashlib.sha256(body).hexdigest()


def states_its_checksum(document: Mapping[str, Any]) -> bool:
    """Whether an artefact holds the checksum of its own content, by either convention.

    Args:
        document: A parsed artefact with a section ``validation``.
    """
    stored = document["validation"].get("artefact_checksum")
    try:
        return bool(stored) and any(stored == checksum_of(document, blank) for blank in CHECKSUM_BLANKS)
    except (ValueError, TypeError, RecursionError):
        return False


def write_artefact(path: Path, artefact: Artefact) -> dict[str, Any]:
    """Write the artefact atomically with its checksum; returns the document as written."""
    document = artefact.model_dump(mode="json", exclude_none=True)
    document["validation"]["artefact_checksum"] = checksum_of(document)
    write_atomic(path, json_bytes(document))
    return document


def read_ending(path: Path) -> RunEnding:
    """How the run of an artefact ended; of a large one only the last part is looked at.

    Raises:
        EvidenceError: The file is missing, damaged, or of another version.
    """
    document = open_document(path)
    try:
        status = document.rest["validation"]["runner_status"] if document else None
        return RunnerStatus.model_validate_json(json_bytes(status)).ending
    except (KeyError, TypeError, ValueError):
        return read_artefact(path).validation.runner_status.ending


def read_artefact(path: Path) -> Artefact:
    """Read an artefact of schema 1.1.

    Raises:
        EvidenceError: The file is missing, damaged, or of another version.
    """
    try:
        return Artefact.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise EvidenceError(
            f"no readable artefact of schema 1.1: {error}",
            where=str(path),
            fix="run the scenario again, or read the event logs, which do not depend on the artefact",
        ) from error
