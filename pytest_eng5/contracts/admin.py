"""Requests and answers of the CJ service's admin API and of its anchor registration (contract 5.2, 5.3).

Requests are as strict as the service; answers are as tolerant as their readers need: dates in ISO 8601 or
RFC 822, ids as numbers or text, grade scales that this package does not know.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from pytest_eng5.contracts.base import WireDatetime, WireModel
from pytest_eng5.contracts.grades import GRADE_SCALES

__all__ = [
    "ANCHOR_MINIMUM",
    "ASSIGNMENT_ID_LIMIT",
    "CONTEXT_ORIGIN",
    "AnchorRegistered",
    "AnchorRegistration",
    "AnchorSummary",
    "AssessmentInstructions",
    "AssessmentInstructionsDeleted",
    "AssessmentInstructionsPage",
    "AssessmentInstructionsUpsert",
    "JudgeRubric",
    "JudgeRubricUpload",
    "RegisteredAnchor",
    "StudentPrompt",
    "StudentPromptUpload",
]

ASSIGNMENT_ID_LIMIT = 100
ANCHOR_MINIMUM = 100
"""Characters that the text of an anchor must have."""
CONTEXT_ORIGIN = "research_experiment"
"""Origin of instructions that allow a rubric of the run's own; ``canonical_national`` does not."""


def _registered(scale: str) -> str:
    if scale not in GRADE_SCALES:
        raise ValueError(f"no registered grade scale; there are {', '.join(GRADE_SCALES)}")
    return scale


_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=10)]
_Id = Annotated[str, StringConstraints(min_length=1, max_length=ASSIGNMENT_ID_LIMIT)]
_StorageId = Annotated[str, StringConstraints(min_length=1, max_length=255)]
_Scale = Annotated[str, AfterValidator(_registered)]


class AssessmentInstructionsUpsert(WireModel):
    """Body of ``POST /admin/v1/assessment-instructions``, for an assignment or for a course, never both."""

    assignment_id: _Id | None = None
    course_id: _Id | None = None
    instructions_text: _Text
    grade_scale: _Scale
    context_origin: str = Field(default=CONTEXT_ORIGIN, min_length=1)
    student_prompt_storage_id: _StorageId | None = None

    @model_validator(mode="after")
    def _one_owner(self) -> Self:
        if (self.assignment_id is None) == (self.course_id is None):
            raise ValueError("give either assignment_id or course_id")
        return self


class AssessmentInstructions(WireModel):
    """One record of instructions; ``grade_scale`` and ``context_origin`` never change once it exists."""

    id: int | str
    assignment_id: str | None = None
    course_id: str | None = None
    instructions_text: str
    grade_scale: str
    context_origin: str = CONTEXT_ORIGIN
    student_prompt_storage_id: str | None = None
    created_at: WireDatetime


class AssessmentInstructionsPage(WireModel):
    """Answer to ``GET /admin/v1/assessment-instructions``."""

    items: list[AssessmentInstructions]
    total: int = Field(ge=0)
    page: int = 1
    page_size: int = 50


class AssessmentInstructionsDeleted(WireModel):
    """Answer to a ``DELETE`` of instructions."""

    status: str
    assignment_id: str | None = None
    course_id: str | None = None


class StudentPromptUpload(WireModel):
    """Body of ``POST /admin/v1/student-prompts``."""

    assignment_id: _Id
    prompt_text: _Text


class StudentPrompt(WireModel):
    """The student prompt bound to an assignment."""

    assignment_id: str
    student_prompt_storage_id: str
    prompt_text: str
    instructions_text: str
    grade_scale: str
    created_at: WireDatetime


class JudgeRubricUpload(WireModel):
    """Body of ``POST /admin/v1/judge-rubrics``."""

    assignment_id: _Id
    rubric_text: _Text


class JudgeRubric(WireModel):
    """The judge rubric bound to an assignment."""

    assignment_id: str
    judge_rubric_storage_id: str
    rubric_text: str
    instructions_text: str
    grade_scale: str
    created_at: WireDatetime


class RegisteredAnchor(WireModel):
    """One anchor of an assignment as the service keeps it."""

    id: int | str
    assignment_id: str
    anchor_label: str
    grade: str
    grade_scale: str
    text_storage_id: str
    created_at: WireDatetime | None = None


class AnchorSummary(WireModel):
    """Answer to ``GET /admin/v1/anchors/assignment/<id>``.

    Attributes:
        anchor_count: Anchors in the scale of the assignment's instructions: those a run would use.
        anchor_count_total: Anchors in any scale.
    """

    assignment_id: str
    grade_scale: str
    anchor_count: int = Field(ge=0)
    anchors: list[RegisteredAnchor] = Field(default_factory=list)
    anchor_count_total: int | None = None
    anchor_count_by_scale: dict[str, int] = Field(default_factory=dict)


class AnchorRegistration(WireModel):
    """Body of ``POST /api/v1/anchors/register``; equal label and scale replace text and grade.

    The service takes the grade for a missing label, so that two anchors of one grade would replace each
    other: here a label is required.
    """

    assignment_id: _Id
    anchor_label: str = Field(min_length=1, max_length=255)
    grade: str = Field(min_length=1, max_length=4)
    essay_text: str = Field(min_length=ANCHOR_MINIMUM, repr=False)


class AnchorRegistered(WireModel):
    """Answer 201 to a registration."""

    anchor_id: int | str
    storage_id: str
    grade_scale: str
    status: str = "registered"
