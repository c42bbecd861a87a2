"""Composing a run: its plan, its request, and what the simulated judge is told."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from pytest_eng5 import __version__
from pytest_eng5.contracts import (
    PLAIN_PREFIX,
    STUDENT_PREFIX,
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
    qualities,
    scale_of,
    text_sha256,
    topic_name,
    utc_now,
    wire_essay_id,
)
from pytest_eng5.evidence import AssignmentContext, PlannedEssay, RunPlan, SourceText
from pytest_eng5.runner.assignments import Assignment
from pytest_eng5.runner.capacity import comparison_shortages
from pytest_eng5.runner.errors import AssignmentRefused, InputError
from pytest_eng5.runner.inventory import Essay, Inventory, read_source
from pytest_eng5.runner.settings import RunnerSettings, deadlines_for
from pytest_eng5.scenario import STUDENT_FOLDER, ScenarioError, Variant, read_student_grades
from pytest_eng5.scenario.essays import normal_name

__all__ = [
    "SOURCE_SERVICE",
    "bind_plan",
    "compose_plan",
    "compose_request",
    "qualities",
    "sent_essays",
    "simulation",
]

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
    scale = scale_of({essay.grade for essay in essays if essay.grade})
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


def bind_plan(plan: RunPlan, variant: Variant, assignment: AssignmentContext) -> RunPlan:
    """The plan of a run whose assignment is known: the service adds its anchors to the students' essays.

    Raises:
        AssignmentRefused: There are too few comparisons for so many essays.
    """
    essays = len(plan.essays) + len(assignment.anchors)
    planned = variant.planned_comparisons(essays)
    short = next((each for each in comparison_shortages(essays, planned) if each.refused), None)
    if short is not None:
        raise AssignmentRefused(short.message, where="comparisons.max", fix=short.fix)
    return plan.model_copy(
        update={
            "planned_comparisons": planned,
            "total_seconds": deadlines_for(variant, planned).total,
            "grade_scale": assignment.grade_scale,
        }
    )


def sent_essays(mode: str, inventory: Inventory) -> tuple[Essay, ...]:
    """The essays that a mode uploads and names in its request, in this order."""
    return inventory.anchors if mode == "anchor-align-test" else inventory.students


def _planned(batch_id: str, mode: str, inventory: Inventory) -> Iterator[PlannedEssay]:
    """The essays of a run; ids on the wire differ even if a student's own id is that of an anchor.

    Those of mode ``execute`` go into an artefact of schema 1.0, which allows no colons in them.
    """
    anchors = [(essay, essay.local_id, True) for essay in inventory.anchors]
    students = [(essay, f"{STUDENT_FOLDER}/{essay.local_id}", False) for essay in inventory.students]
    chosen = {"anchor-align-test": anchors, "execute": students}.get(mode, [*anchors, *students])
    prefix = PLAIN_PREFIX if mode == "execute" else STUDENT_PREFIX
    for essay, identity, is_anchor in chosen:
        yield PlannedEssay(
            essay_id=wire_essay_id(batch_id, identity, prefix),
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
            **({"llm_batching_mode_hint": settings.batching_mode} if settings.batching_mode else {}),
        },
    )


def simulation(plan: RunPlan, variant: Variant, assignment: Assignment | None = None) -> dict[str, Any]:
    """How the reference pipeline's judge decides in one run.

    Repeats differ in their seed, so that they are independent draws of the same judge. Students are as good
    as the variant's table of grades says, else as the anchors are on average. What the service calls the
    anchors of an assignment is not known yet: what is said of them is said of their texts.

    Args:
        plan: The run.
        variant: Its variant.
        assignment: What it is bound to, if anything.

    Raises:
        InputError: The table of students' grades cannot be read any more.
    """
    mock = variant.judge.mock
    anchors = {anchor.anchor_id: anchor.grade for anchor in assignment.context.anchors} if assignment else {}
    graded = {essay.essay_id: essay.grade for essay in plan.essays if essay.grade}
    students = [essay for essay in plan.essays if not essay.is_anchor]
    quality = qualities({**anchors, **graded, **_student_grades(variant, students)})
    usual = [quality[label] for label in anchors]
    average = sum(usual) / len(usual) if usual else 0.0
    told = assignment.texts if assignment else {}
    texts = {label: text_sha256(text.strip()) for label, text in told.items()}
    by_text = {
        "text_qualities": {texts[label]: quality[label] for label in anchors},
        "text_labels": {texts[label]: label for label in anchors},
    }
    return {
        "qualities": {essay.essay_id: quality.get(essay.essay_id, average) for essay in plan.essays},
        "labels": {essay.essay_id: _label(essay) for essay in plan.essays},
        **(by_text if assignment else {}),
        "discrimination": mock.discrimination,
        "position_bias": mock.position_bias,
        "failure_rate": mock.failure_rate,
        "latency_ms": mock.latency_ms,
        "seed": mock.seed + _REPEAT_STRIDE * (plan.repeat - 1),
    }


def _label(essay: PlannedEssay) -> str:
    return essay.local_id if essay.is_anchor else f"{STUDENT_FOLDER}/{essay.local_id}"


def _student_grades(variant: Variant, students: Iterable[PlannedEssay]) -> dict[str, str]:
    """Grade of each student in the variant's table, by id on the wire."""
    table = variant.judge.mock.student_grades
    if table is None:
        return {}
    try:
        grades = read_student_grades(table)
    except ScenarioError as error:
        raise InputError(error.problems) from error
    return {
        student.essay_id: grades[name]
        for student in students
        if (name := normal_name(student.file_name)) in grades
    }
