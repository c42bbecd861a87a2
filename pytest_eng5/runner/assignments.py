"""The assignment of a run: looked at before anything is uploaded or published (contract 10.3).

On a pipeline that is not ours nothing is written: whatever is missing or differs is told, with the command
that puts it right. What is found is evidence, because grades cannot be worked out again without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx

from pytest_eng5.contracts import GRADE_SCALES, text_sha256, utc_now
from pytest_eng5.contracts.admin import AnchorSummary, AssessmentInstructions, RegisteredAnchor, StudentPrompt
from pytest_eng5.evidence import AssignedAnchor, AssignmentContext, ProjectionSettings, SourceText
from pytest_eng5.runner.capacity import REGISTER
from pytest_eng5.runner.errors import AssignmentRefused
from pytest_eng5.runner.inventory import Essay, Inventory
from pytest_eng5.runner.settings import Environment
from pytest_eng5.scenario import Variant
from pytest_eng5.services import AdminAuth, AdminClient, ContentClient, NotFound

__all__ = ["CANONICAL", "Assignment", "admin_client", "examine_assignment", "require_address"]

CANONICAL = "canonical_national"
"""Origin of assignments whose rubric no run may replace (contract 7.8)."""

_CJ_OPTION = "--eng5-cj-url"


@dataclass(frozen=True, slots=True)
class Assignment:
    """An assignment, and the texts of its anchors by their label."""

    context: AssignmentContext
    texts: dict[str, str]


def admin_client(
    http: httpx.AsyncClient, environment: Environment, correlation_id: str | None = None
) -> AdminClient:
    """The client of the CJ service's admin API, with the session's own key or with the user's token.

    Raises:
        AssignmentRefused: The CJ service has no address.
    """
    url = require_address(environment.cj_url)
    auth = AdminAuth(environment.operator.variables if environment.operator else None)
    correlation = UUID(correlation_id) if correlation_id else None
    return AdminClient(http, url, auth, correlation_id=correlation, option=_CJ_OPTION)


def require_address(url: str | None) -> str:
    """The address of the CJ service.

    Raises:
        AssignmentRefused: There is none.
    """
    if url is None:
        raise AssignmentRefused(
            "mode execute asks the CJ service about its assignment, and that service has no address",
            where=_CJ_OPTION,
            fix=f"give {_CJ_OPTION} http://HOST:PORT, or set CJ_SERVICE_URL",
        )
    return url


async def examine_assignment(
    http: httpx.AsyncClient,
    environment: Environment,
    variant: Variant,
    assignment_id: str,
    inventory: Inventory,
    correlation_id: str | None = None,
) -> Assignment:
    """Read an assignment back and see that a run can be bound to it.

    Raises:
        AssignmentRefused: Another grade scale than expected, a rubric that may not be replaced, no student
            prompt, no anchors, or an anchor whose text is gone.
        ServiceError, TokenError: The service knows no such assignment, lets nobody in, or fails.
    """
    admin = admin_client(http, environment, correlation_id)
    record = await _record(admin, environment, assignment_id)
    _refuse_other_scale(record, variant)
    _refuse_rubric(record, variant)
    storage_id = _prompt_storage_id(record, assignment_id)
    summary = await admin.anchors(assignment_id)
    anchors = _usable(summary, record, environment, assignment_id)
    prompt = await admin.student_prompt(assignment_id)
    texts = await _texts(http, environment, anchors)
    context = AssignmentContext(
        assignment_id=assignment_id,
        course_id=variant.course_id,
        grade_scale=record.grade_scale,
        context_origin=record.context_origin,
        read_at=utc_now(),
        instructions=_instructions(record, inventory, assignment_id),
        student_prompt=_student_prompt(prompt, storage_id, inventory),
        student_prompt_storage_id=storage_id,
        anchors=tuple(_anchor(anchor, text, inventory) for anchor, text in zip(anchors, texts, strict=True)),
        projection=_projection(record.grade_scale),
    )
    labels = [anchor.anchor_label for anchor in anchors]
    return Assignment(context, dict(zip(labels, texts, strict=True)))


async def _record(admin: AdminClient, environment: Environment, assignment_id: str) -> AssessmentInstructions:
    try:
        return await admin.instructions(assignment_id)
    except NotFound as error:
        raise AssignmentRefused(
            f"the CJ service knows no assignment {assignment_id}",
            where=environment.cj_url,
            fix="check the assignment id, or create its instructions (POST /admin/v1/assessment-instructions)"
            f" and then {REGISTER} {assignment_id} --anchor-dir FOLDER",
        ) from error


def _refuse_other_scale(record: AssessmentInstructions, variant: Variant) -> None:
    expected = variant.expected_grade_scale
    if expected is not None and record.grade_scale != expected:
        raise AssignmentRefused(
            f"the grade scale of assignment {record.assignment_id} is {record.grade_scale}, expected was"
            f" {expected}",
            where="expected_grade_scale",
            fix="correct expected_grade_scale or the assignment id; the scale of an assignment never changes",
        )


def _refuse_rubric(record: AssessmentInstructions, variant: Variant) -> None:
    if record.context_origin == CANONICAL and variant.rubric is not None:
        raise AssignmentRefused(
            f"assignment {record.assignment_id} is {CANONICAL}: its rubric is fixed and cannot be replaced",
            where="rubric",
            fix="remove the rubric of this variant, or use an assignment of a research experiment",
        )


def _prompt_storage_id(record: AssessmentInstructions, assignment_id: str) -> str:
    if record.student_prompt_storage_id is None:
        raise AssignmentRefused(
            f"assignment {assignment_id} has no student prompt",
            where="student_prompt_storage_id",
            fix="upload it to the CJ service: POST /admin/v1/student-prompts with assignment_id, prompt_text",
        )
    return record.student_prompt_storage_id


def _usable(
    summary: AnchorSummary, record: AssessmentInstructions, environment: Environment, assignment_id: str
) -> list[RegisteredAnchor]:
    """The anchors that a batch of the assignment gets."""
    anchors = [anchor for anchor in summary.anchors if anchor.grade_scale == record.grade_scale]
    if anchors:
        return anchors
    others = ", ".join(f"{count} in {scale}" for scale, count in summary.anchor_count_by_scale.items())
    raise AssignmentRefused(
        f"assignment {assignment_id} has no anchors in its grade scale {record.grade_scale}"
        + (f" (only {others})" if others else ""),
        where=environment.cj_url,
        fix=f"{REGISTER} {assignment_id} --anchor-dir FOLDER",
    )


async def _texts(
    http: httpx.AsyncClient, environment: Environment, anchors: Sequence[RegisteredAnchor]
) -> list[str]:
    content = ContentClient(http, environment.content_url)
    found = await asyncio.gather(*(content.fetch(anchor.text_storage_id) for anchor in anchors))
    texts: list[str] = []
    for anchor, stored in zip(anchors, found, strict=True):
        try:
            texts.append((stored or b"").decode())
        except UnicodeDecodeError:
            texts.append("")
        if not texts[-1].strip():
            state = "is gone" if stored is None else "is empty or not UTF-8"
            raise AssignmentRefused(
                f"the text of anchor {anchor.anchor_label} {state}",
                where=f"content {anchor.text_storage_id}",
                fix=f"{REGISTER} {anchor.assignment_id} --anchor-dir FOLDER",
            )
    return texts


def _instructions(record: AssessmentInstructions, inventory: Inventory, assignment_id: str) -> SourceText:
    place = f"admin/v1/assessment-instructions/assignment/{assignment_id}"
    return _source(record.instructions_text, inventory.instructions, place)


def _student_prompt(prompt: StudentPrompt, storage_id: str, inventory: Inventory) -> SourceText:
    return _source(prompt.prompt_text, inventory.prompt, f"content/{storage_id}")


def _source(text: str, local: SourceText | None, place: str) -> SourceText:
    """A text of the service; it comes from the inputs folder if that has the same one."""
    if local is not None and local.content.strip() == text.strip():
        return SourceText(source_path=local.source_path, checksum=text_sha256(text), content=text)
    return SourceText(source_path=place, checksum=text_sha256(text), content=text)


def _anchor(anchor: RegisteredAnchor, text: str, inventory: Inventory) -> AssignedAnchor:
    path = _path_of(text, inventory)
    return AssignedAnchor(
        registration_id=str(anchor.id),
        anchor_id=anchor.anchor_label,
        grade=anchor.grade,
        grade_scale=anchor.grade_scale,
        text_storage_id=anchor.text_storage_id,
        checksum=text_sha256(text),
        file_name=path.name if path else anchor.anchor_label,
        source_path=path.as_posix() if path else f"content/{anchor.text_storage_id}",
    )


def _path_of(text: str, inventory: Inventory) -> Path | None:
    """The essay of the inputs folder with this text, relative to that folder."""
    same = (essay for essay in inventory.anchors if _equal(essay, text))
    return next((essay.path.relative_to(inventory.root) for essay in same), None)


def _equal(essay: Essay, text: str) -> bool:
    return essay.text.strip() == text.strip()


def _projection(scale_id: str) -> ProjectionSettings | None:
    scale = GRADE_SCALES.get(scale_id)
    if scale is None:
        return None
    return ProjectionSettings(
        grade_scale=scale.id, grades=scale.grades, priors=scale.priors, below_lowest=scale.below_lowest
    )
