"""What a run's assignment was when it was looked at, just before its request was published.

The CJ service adds an assignment's anchors to the students' essays under ids of its own,
``ANCHOR_<registration id>_<8 hexadecimal digits>`` (contract 7.2). With this file they can be told apart
again, and the grades that the service projects be worked out anew (contract 8.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pytest_eng5.contracts import ANCHOR_PREFIX
from pytest_eng5.evidence.files import write_json
from pytest_eng5.evidence.plan import PlannedEssay, SourceText
from pytest_eng5.evidence.records import EvidenceError

__all__ = [
    "AssignedAnchor",
    "AssignmentContext",
    "ProjectionSettings",
    "anchors_on_the_wire",
    "read_assignment",
    "write_assignment",
]

_WIRE_ID = re.compile(rf"{ANCHOR_PREFIX}(.+)_[0-9a-f]{{8}}")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class AssignedAnchor(_Part):
    """An anchor as the CJ service keeps it.

    Attributes:
        registration_id: The service's own id, part of its id on the wire.
        anchor_id: Its label.
        checksum: SHA-256 of the text that the content service keeps.
        file_name: Its file in the inputs folder; its label if it has none there.
        source_path: That file relative to the inputs folder, else ``content/<storage id>``.
    """

    registration_id: str
    anchor_id: str
    grade: str
    grade_scale: str
    text_storage_id: str
    checksum: str = Field(pattern=r"^[0-9a-f]{64}$")
    file_name: str
    source_path: str


class ProjectionSettings(_Part):
    """What grades are projected with (contract 8.1 and 8.3), besides the scores and the anchors' grades.

    Attributes:
        grades: Of the scale, lowest first.
        priors: Of the grades, in the same order.
        standard_error_reference: The item whose standard error is 0. The order of essays is that of the
            request, then that of the assignment's anchors.
        standard_error_cap: Largest standard error, in logits.
    """

    grade_scale: str
    grades: tuple[str, ...]
    priors: tuple[float, ...]
    below_lowest: str | None = None
    standard_error_reference: Literal["last anchor in essay order"] = "last anchor in essay order"
    standard_error_cap: float = 2.0


class AssignmentContext(_Part):
    """An assignment as read back from the services.

    Attributes:
        instructions: What the judge is told as criteria.
        anchors: In the order of the service, all in the assignment's grade scale.
        projection: ``None`` if the scale is none that this package knows.
    """

    schema_version: str = "1.0.0"
    assignment_id: str
    course_id: str | None = None
    grade_scale: str
    context_origin: str
    read_at: datetime
    instructions: SourceText
    student_prompt: SourceText
    student_prompt_storage_id: str
    anchors: tuple[AssignedAnchor, ...]
    projection: ProjectionSettings | None = None


def anchors_on_the_wire(assignment: AssignmentContext, seen: Iterable[str]) -> tuple[PlannedEssay, ...]:
    """The assignment's anchors under the ids that a batch gave them, in the order of the assignment.

    Args:
        assignment: The assignment.
        seen: Essay ids of the batch's events; the first one that names an anchor is its id. An anchor that
            never appeared goes by ``ANCHOR_<registration id>``.
    """
    ids: dict[str, str] = {}
    for essay_id in seen:
        if match := _WIRE_ID.fullmatch(essay_id):
            ids.setdefault(match[1], essay_id)
    return tuple(
        PlannedEssay(
            essay_id=ids.get(anchor.registration_id, f"{ANCHOR_PREFIX}{anchor.registration_id}"),
            local_id=anchor.anchor_id,
            file_name=anchor.file_name,
            source_path=anchor.source_path,
            checksum=anchor.checksum,
            grade=anchor.grade,
            is_anchor=True,
            text_storage_id=anchor.text_storage_id,
        )
        for anchor in assignment.anchors
    )


def write_assignment(path: Path, assignment: AssignmentContext) -> None:
    """Write what was read atomically."""
    write_json(path, assignment.model_dump(mode="json", exclude_none=True))


def read_assignment(path: Path) -> AssignmentContext | None:
    """Read it back; ``None`` if the run has no assignment.

    Raises:
        EvidenceError: The file is damaged.
    """
    try:
        return AssignmentContext.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise EvidenceError(
            f"the recorded assignment is damaged: {error}", where=str(path), fix="run again"
        ) from error
