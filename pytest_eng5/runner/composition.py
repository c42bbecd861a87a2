"""Composing a run: its plan, its request, and what the simulated judge is told."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from pytest_eng5 import __version__
from pytest_eng5.contracts import (
    ContentType,
    CourseCode,
    ELS_CJAssessmentRequestV1,
    EssayProcessingInputRefV1,
    EventEnvelope,
    LLMConfigOverrides,
    ProcessingEvent,
    ProcessingStage,
    StorageReferenceMetadata,
    StoredContent,
    SystemProcessingMetadata,
    grade_rank,
    scale_of,
    topic_name,
    utc_now,
    wire_essay_id,
)
from pytest_eng5.evidence import PlannedEssay, RunPlan, SourceText
from pytest_eng5.runner.inventory import Inventory, read_source
from pytest_eng5.runner.settings import RunnerSettings, deadlines_for
from pytest_eng5.scenario import STUDENT_FOLDER, Variant

__all__ = ["SOURCE_SERVICE", "compose_plan", "compose_request", "qualities", "simulation"]

SOURCE_SERVICE = "pytest_eng5"
_REPEAT_STRIDE = 1_000_003


@cache
def _git_sha(folder: Path) -> str | None:
    """Commit of the scenario's checkout, or ``None`` outside one."""
    command = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    try:
        shown = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return shown.stdout.strip() or None if shown.returncode == 0 else None


def _source(path: Path | None, variant: Variant) -> SourceText | None:
    return None if path is None else read_source(path, variant.location.path.parent)


def compose_plan(settings: RunnerSettings, inventory: Inventory) -> RunPlan:
    """Decide everything about a run but where its texts are stored; ids are new at every call.

    Raises:
        InputError: A prompt or rubric file vanished or became empty since collection.
    """
    variant, batch_id = settings.spec.variant, str(uuid4())
    essays = tuple(_planned(batch_id, variant.mode, inventory))
    planned = variant.planned_comparisons(len(essays))
    deadlines = deadlines_for(variant, planned)
    scale = scale_of({essay.grade for essay in inventory.anchors if essay.grade})
    return RunPlan(
        scenario=variant.scenario,
        variant=variant.id,
        repeat=settings.spec.repeat,
        mode=variant.mode,
        batch_uuid=batch_id,
        correlation_id=str(uuid4()),
        created_at=utc_now(),
        runner_version=__version__,
        git_sha=_git_sha(variant.location.path.parent),
        course_code=variant.course_code,
        language=variant.language,
        grade_scale=scale.id if scale else None,
        assignment_id=settings.assignment_id,
        course_id=variant.course_id,
        provider=variant.judge.provider,
        model=variant.judge.model,
        temperature=variant.judge.temperature,
        planned_comparisons=planned,
        idle_seconds=deadlines.idle,
        total_seconds=deadlines.total,
        budget_usd=settings.budget_usd,
        topic_prefix=settings.environment.topic_prefix,
        system_prompt=_source(variant.system_prompt, variant),
        rubric=_source(variant.rubric, variant),
        instructions=inventory.instructions,
        prompt_reference=inventory.prompt,
        essays=essays,
        resolved_scenario=variant.to_dict() | {"python": platform.python_version()},
    )


def _planned(batch_id: str, mode: str, inventory: Inventory) -> Iterator[PlannedEssay]:
    """The essays of a run; ids on the wire differ even if a student's own id is that of an anchor."""
    anchors = [(essay, essay.local_id, True) for essay in inventory.anchors]
    students = [(essay, f"{STUDENT_FOLDER}/{essay.local_id}", False) for essay in inventory.students]
    for essay, identity, is_anchor in anchors if mode == "anchor-align-test" else (*anchors, *students):
        yield PlannedEssay(
            essay_id=wire_essay_id(batch_id, identity),
            local_id=essay.local_id,
            file_name=essay.path.name,
            source_path=essay.path.relative_to(inventory.root).as_posix(),
            checksum=essay.checksum,
            grade=essay.grade,
            is_anchor=is_anchor,
        )


def _overrides(plan: RunPlan, variant: Variant) -> LLMConfigOverrides:
    judge = variant.judge
    return LLMConfigOverrides(
        provider_override=judge.provider,
        model_override=judge.model,
        temperature_override=judge.temperature,
        max_tokens_override=judge.max_tokens,
        reasoning_effort=judge.reasoning_effort,
        output_verbosity=judge.output_verbosity,
        system_prompt_override=plan.system_prompt.content if plan.system_prompt else None,
        judge_rubric_override=plan.rubric.content if plan.rubric else None,
    )


def compose_request(
    plan: RunPlan,
    settings: RunnerSettings,
    storage: Mapping[str, str],
    prompt_storage_id: str | None,
) -> EventEnvelope:
    """The request of a run (contract 2.2) in its envelope.

    Args:
        storage: Storage id of each essay's text, by its id on the wire.
        prompt_storage_id: Storage id of the student prompt; only the GUEST flow carries it.
    """
    now = utc_now()
    reference = None
    if prompt_storage_id is not None and plan.assignment_id is None and plan.prompt_reference is not None:
        stored = StoredContent(storage_id=prompt_storage_id, path=plan.prompt_reference.source_path)
        reference = StorageReferenceMetadata(references={ContentType.STUDENT_PROMPT_TEXT.value: stored})
    request = ELS_CJAssessmentRequestV1(
        entity_id=plan.batch_uuid,
        entity_type="batch",
        timestamp=now,
        system_metadata=SystemProcessingMetadata(
            entity_id=plan.batch_uuid,
            entity_type="batch",
            timestamp=now,
            processing_stage=ProcessingStage.PENDING,
            event=ProcessingEvent.ELS_CJ_ASSESSMENT_REQUESTED.value,
        ),
        essays_for_cj=[
            EssayProcessingInputRefV1(essay_id=essay.essay_id, text_storage_id=storage[essay.essay_id])
            for essay in plan.essays
        ],
        language=plan.language,
        course_code=CourseCode(plan.course_code),
        student_prompt_ref=reference,
        llm_config_overrides=_overrides(plan, settings.spec.variant),
        assignment_id=plan.assignment_id,
        user_id=settings.user_id,
        org_id=settings.org_id,
    )
    return EventEnvelope(
        event_type=topic_name(ProcessingEvent.ELS_CJ_ASSESSMENT_REQUESTED),
        event_timestamp=now,
        source_service=SOURCE_SERVICE,
        correlation_id=UUID(plan.correlation_id),
        data=request,
        metadata={
            "runner_mode": plan.mode,
            "batch_label": settings.batch_label or f"{plan.scenario}.{plan.variant}.{plan.repeat}",
            "max_comparisons": plan.planned_comparisons,
        },
    )


def qualities(grades: Mapping[str, str]) -> dict[str, float]:
    """Quality of each essay for the simulated judge: one unit per step of the grade scale, better is higher.

    Args:
        grades: Expert grade by essay id.
    """
    scale = scale_of(set(grades.values()))
    if scale is None:
        return {essay: -float(grade_rank(grade) or 0) for essay, grade in grades.items()}
    steps = {grade: float(index) for index, grade in enumerate(scale.grades)}
    return {essay: steps.get(grade, -1.0) for essay, grade in grades.items()}


def simulation(plan: RunPlan, variant: Variant) -> dict[str, Any]:
    """How the reference pipeline's judge decides in one run.

    Repeats differ in their seed, so that they are independent draws of the same judge.
    """
    mock = variant.judge.mock
    return {
        "qualities": qualities({essay.essay_id: essay.grade for essay in plan.essays if essay.grade}),
        "labels": {essay.essay_id: essay.local_id for essay in plan.essays},
        "discrimination": mock.discrimination,
        "position_bias": mock.position_bias,
        "failure_rate": mock.failure_rate,
        "latency_ms": mock.latency_ms,
        "seed": mock.seed + _REPEAT_STRIDE * (plan.repeat - 1),
    }
