"""From a request to a batch that can be compared: validation, essay texts, what the judge is told."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from dataclasses import replace

from pydantic import ValidationError

from pytest_eng5.contracts import (
    ANCHOR_PREFIX,
    ESSAY_ID_LIMIT,
    ContentType,
    ELS_CJAssessmentRequestV1,
    ProviderOverrides,
    validation_reasons,
)
from pytest_eng5.pipeline.cj.assignments import CANONICAL_NATIONAL, AssignmentStore, Instructions
from pytest_eng5.pipeline.cj.batch import Essay
from pytest_eng5.pipeline.cj.clients import ContentClient
from pytest_eng5.pipeline.cj.prompts import SYSTEM_PROMPT, JudgeContext, guard_legacy_prompt
from pytest_eng5.pipeline.errors import ServiceError
from pytest_eng5.pipeline.logs import service_logger
from pytest_eng5.pipeline.settings import CJSettings

__all__ = ["assignment_of", "check_request", "fetch_essays", "judge_context", "provider_overrides"]

_LANGUAGE_LIMIT = 10
_FETCHES_AT_ONCE = 10
_log = service_logger("cj_assessment_service")


def check_request(request: ELS_CJAssessmentRequestV1) -> None:
    """Refuse what the service's database could not hold (contract 5.4).

    Raises:
        ServiceError: With the code that goes into the failed event.
    """
    ids = [ref.essay_id for ref in request.essays_for_cj]
    too_long = [essay_id for essay_id in ids if not 0 < len(essay_id) <= ESSAY_ID_LIMIT]
    if too_long:
        raise ServiceError(
            "VALIDATION_ERROR", f"an essay id has 1 to {ESSAY_ID_LIMIT} characters", essay_ids=too_long
        )
    repeated = [essay_id for essay_id, times in Counter(ids).items() if times > 1]
    if repeated:
        raise ServiceError("VALIDATION_ERROR", "an essay id appears twice in the request", essay_ids=repeated)
    if len(request.language) > _LANGUAGE_LIMIT:
        raise ServiceError("VALIDATION_ERROR", f"language has at most {_LANGUAGE_LIMIT} characters")


def provider_overrides(request: ELS_CJAssessmentRequestV1, settings: CJSettings) -> ProviderOverrides:
    """The judge's settings for the LLM provider service: the request's, else the service's own.

    A temperature of 0.0 is kept.

    Raises:
        ServiceError: A value that the provider service's stricter model refuses.
    """
    wanted = request.overrides()
    wanted.pop("judge_rubric_override", None)
    defaults = {
        "provider_override": settings.default_llm_provider,
        "model_override": settings.default_llm_model,
        "temperature_override": settings.default_llm_temperature,
        "system_prompt_override": SYSTEM_PROMPT,
    }
    try:
        return ProviderOverrides.model_validate(defaults | wanted)
    except ValidationError as error:
        pointer, message = validation_reasons(error)[0]
        raise ServiceError("VALIDATION_ERROR", f"llm_config_overrides{pointer}: {message}") from None


def assignment_of(request: ELS_CJAssessmentRequestV1, assignments: AssignmentStore) -> Instructions | None:
    """The instructions that a request is bound to, ``None`` for GUEST.

    Raises:
        ServiceError: The assignment is unknown, or the request brings a rubric where none is allowed.
    """
    if request.assignment_id is None:
        return None
    found = assignments.find(request.assignment_id)
    if found is None:
        raise ServiceError(
            "INITIALIZATION_FAILED",
            f"there are no instructions for assignment {request.assignment_id}",
            assignment_id=request.assignment_id,
        )
    if found.context_origin == CANONICAL_NATIONAL and _rubric_override(request):
        raise ServiceError(
            "VALIDATION_ERROR",
            f"judge_rubric_override is not allowed: the rubric of a {CANONICAL_NATIONAL} assignment is fixed",
            assignment_id=request.assignment_id,
        )
    return found


def _rubric_override(request: ELS_CJAssessmentRequestV1) -> str | None:
    overrides = request.llm_config_overrides
    return None if overrides is None else overrides.judge_rubric_override


async def judge_context(
    request: ELS_CJAssessmentRequestV1, content: ContentClient, assignment: Instructions | None = None
) -> JudgeContext:
    """What the judge is told besides the essays (contract 7.8).

    Of a GUEST batch, the request's student prompt and rubric. Of an assignment, its own prompt (the
    request's is ignored), its instructions as criteria, and its rubric unless the request has one.

    Raises:
        ServiceError: A text that is named cannot be fetched. Judging without it would silently be another
            experiment.
    """

    async def text(storage_id: str | None) -> str | None:
        return None if storage_id is None else await content.text(storage_id)

    rubric = _rubric_override(request)
    if assignment is not None:
        return guard_legacy_prompt(
            JudgeContext(
                student_prompt=await text(assignment.student_prompt_storage_id),
                criteria=assignment.instructions_text,
                rubric=rubric or await text(assignment.judge_rubric_storage_id),
            )
        )
    references = {} if request.student_prompt_ref is None else request.student_prompt_ref.references
    stored = references.get(ContentType.STUDENT_PROMPT_TEXT.value)
    prompt = await text(None if stored is None else stored.storage_id)
    return guard_legacy_prompt(JudgeContext(student_prompt=prompt, rubric=rubric))


def _wanted(
    request: ELS_CJAssessmentRequestV1, assignment: Instructions | None, assignments: AssignmentStore
) -> list[tuple[Essay, str]]:
    """The essays to compare, without text, and where their texts are: the request's, then the anchors."""
    wanted = [(Essay(ref.essay_id), ref.text_storage_id) for ref in request.essays_for_cj]
    if assignment is None:
        return wanted
    for anchor in assignments.anchors(str(assignment.assignment_id), assignment.grade_scale):
        essay = Essay(f"{ANCHOR_PREFIX}{anchor.id}_{secrets.token_hex(4)}", grade=anchor.grade)
        wanted.append((essay, anchor.text_storage_id))
    return wanted


async def fetch_essays(
    request: ELS_CJAssessmentRequestV1,
    content: ContentClient,
    assignments: AssignmentStore,
    assignment: Instructions | None = None,
) -> list[Essay]:
    """The essays whose text can be had, those of the request first; the others are dropped (contract 7.2).

    Raises:
        ServiceError: Not one essay can be had.
    """
    slots = asyncio.Semaphore(_FETCHES_AT_ONCE)

    async def fetch(essay: Essay, storage_id: str) -> Essay | None:
        try:
            async with slots:
                return replace(essay, text=await content.text(storage_id))
        except ServiceError as error:
            _log.warning("essay skipped", essay_id=essay.id, error_code=error.code, problem=error.what)
            return None

    wanted = _wanted(request, assignment, assignments)
    essays = [
        essay for essay in await asyncio.gather(*(fetch(*each) for each in wanted)) if essay is not None
    ]
    if wanted and not essays:
        raise ServiceError("CONTENT_SERVICE_ERROR", f"none of the {len(wanted)} essay texts could be fetched")
    return essays
