"""From a request to a batch that can be compared: validation, essay texts, what the judge is told."""

from __future__ import annotations

import asyncio
from collections import Counter

from pydantic import ValidationError

from pytest_eng5.contracts import (
    ESSAY_ID_LIMIT,
    ContentType,
    ELS_CJAssessmentRequestV1,
    EssayProcessingInputRefV1,
    ProviderOverrides,
    validation_reasons,
)
from pytest_eng5.pipeline.cj.batch import Batch, Essay
from pytest_eng5.pipeline.cj.clients import ContentClient
from pytest_eng5.pipeline.cj.prompts import SYSTEM_PROMPT, JudgeContext, guard_legacy_prompt
from pytest_eng5.pipeline.errors import ServiceError
from pytest_eng5.pipeline.logs import service_logger
from pytest_eng5.pipeline.settings import CJSettings

__all__ = ["check_request", "fetch_essays", "judge_context", "provider_overrides"]

_LANGUAGE_LIMIT = 10
_FETCHES_AT_ONCE = 10
_log = service_logger("cj_assessment_service")


def check_request(request: ELS_CJAssessmentRequestV1) -> None:
    """Refuse what the service's database or its present abilities could not hold (contract 5.4).

    Raises:
        ServiceError: With the code that goes into the failed event.
    """
    if request.assignment_id is not None:
        raise ServiceError(
            "INITIALIZATION_FAILED",
            "assignment-bound batches are not supported yet by the reference pipeline; "
            "send assignment_id null (GUEST)",
            assignment_id=request.assignment_id,
        )
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


async def judge_context(request: ELS_CJAssessmentRequestV1, content: ContentClient) -> JudgeContext:
    """Assignment and rubric of a GUEST batch.

    Raises:
        ServiceError: The request names a student prompt that cannot be fetched. Judging without it would
            silently be another experiment.
    """
    stored = None
    if request.student_prompt_ref is not None:
        stored = request.student_prompt_ref.references.get(ContentType.STUDENT_PROMPT_TEXT.value)
    prompt = None if stored is None else await content.text(stored.storage_id)
    overrides = request.llm_config_overrides
    rubric = None if overrides is None else overrides.judge_rubric_override
    return guard_legacy_prompt(JudgeContext(student_prompt=prompt, rubric=rubric))


async def fetch_essays(batch: Batch, content: ContentClient) -> list[Essay]:
    """The essays whose text can be had, in the request's order; the others are dropped (contract 7.2).

    Raises:
        ServiceError: Not one essay can be had.
    """
    slots = asyncio.Semaphore(_FETCHES_AT_ONCE)

    async def fetch(ref: EssayProcessingInputRefV1) -> Essay | None:
        try:
            async with slots:
                return Essay(ref.essay_id, await content.text(ref.text_storage_id))
        except ServiceError as error:
            _log.warning("essay skipped", essay_id=ref.essay_id, error_code=error.code, problem=error.what)
            return None

    refs = batch.request.essays_for_cj
    essays = [essay for essay in await asyncio.gather(*map(fetch, refs)) if essay is not None]
    if refs and not essays:
        raise ServiceError("CONTENT_SERVICE_ERROR", f"none of the {len(refs)} essay texts could be fetched")
    return essays
