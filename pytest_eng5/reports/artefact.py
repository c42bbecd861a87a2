"""From recorded evidence to the artefact of a run."""

from __future__ import annotations

import platform
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pytest_eng5.contracts import utc_now
from pytest_eng5.evidence import (
    Artefact,
    ArtefactMetadata,
    CapturedEvent,
    Comparison,
    Costs,
    EssayInput,
    Inputs,
    ManifestEntry,
    ObservedEvents,
    PlannedEssay,
    RunEnding,
    RunEvidence,
    RunFolder,
    RunnerStatus,
    RunPlan,
    TokenCount,
    Validation,
    hash_files,
)
from pytest_eng5.reports.scores import reported_results, score_run

__all__ = ["build_artefact"]

_HEX64 = re.compile(r"[0-9a-f]{64}")


def build_artefact(evidence: RunEvidence, ending: RunEnding) -> Artefact:
    """The artefact of a run as it ended; what is unknown is left out.

    Raises:
        pydantic.ValidationError: The plan holds something that the artefact's schema forbids.
    """
    return Artefact(
        metadata=_metadata(evidence.plan),
        inputs=_inputs(evidence.plan),
        llm_comparisons=tuple(
            _comparison(sequence, event)
            for sequence, event in enumerate(evidence.distinct_comparisons, start=1)
        ),
        bt_summary=score_run(evidence),
        grade_projections=tuple(_projections(evidence)),
        costs=_costs(evidence),
        validation=_validation(evidence, ending),
    )


def _metadata(plan: RunPlan) -> ArtefactMetadata:
    facts = plan.model_dump(
        include={
            *("scenario", "variant", "repeat", "batch_uuid", "correlation_id", "runner_version", "git_sha"),
            *("course_code", "language", "grade_scale", "assignment_id", "course_id"),
            *("provider", "model", "temperature", "planned_comparisons"),
        }
    )
    return ArtefactMetadata.model_validate(
        {
            **facts,
            "runner_mode": plan.mode,
            "generated_at": utc_now(),
            "system_prompt_sha256": plan.system_prompt.checksum if plan.system_prompt else None,
            "rubric_sha256": plan.rubric.checksum if plan.rubric else None,
        }
    )


def _inputs(plan: RunPlan) -> Inputs:
    return Inputs(
        instructions=plan.instructions,
        prompt_reference=plan.prompt_reference,
        anchors=tuple(_input(essay) for essay in plan.essays if essay.is_anchor),
        students=tuple(_input(essay) for essay in plan.essays if not essay.is_anchor),
    )


def _input(essay: PlannedEssay) -> EssayInput:
    return EssayInput(
        essay_id=essay.essay_id,
        file_name=essay.file_name,
        source_path=essay.source_path,
        checksum=essay.checksum,
        anchor_id=essay.local_id if essay.is_anchor else None,
        local_id=None if essay.is_anchor else essay.local_id,
        grade=essay.grade,
        text_storage_id=essay.text_storage_id,
    )


def _comparison(sequence: int, event: CapturedEvent) -> Comparison:
    data = event.comparison
    prompt_hash = data.metadata_text("prompt_sha256")
    error = data.error_detail
    return Comparison(
        sequence=sequence,
        request_id=data.request_id,
        correlation_id=str(data.correlation_id),
        status="succeeded" if data.is_success else "failed",
        essay_a_id=data.metadata_text("essay_a_id"),
        essay_b_id=data.metadata_text("essay_b_id"),
        winner_id=data.winner_id,
        loser_id=data.loser_id,
        confidence=data.confidence,
        justification=data.justification,
        prompt_hash=prompt_hash if prompt_hash and _HEX64.fullmatch(prompt_hash) else None,
        provider=data.provider,
        model=data.model,
        tokens_prompt=data.token_usage.prompt_tokens,
        tokens_completion=data.token_usage.completion_tokens,
        cost_usd=data.cost_estimate,
        started_at=data.requested_at,
        completed_at=data.completed_at,
        failure_reason=error.message if error else None,
        error_code=error.error_code if error else None,
        position=event.record.position,
    )


def _projections(evidence: RunEvidence) -> Iterable[dict[str, Any]]:
    """What the rich result says about essays that are no anchors; it publishes no probabilities."""
    for essay_id, row in reported_results(evidence).items():
        essay = evidence.essays.get(essay_id)
        if essay is None or essay.is_anchor:
            continue
        scale = evidence.plan.grade_scale
        yield {
            "essay_id": essay_id,
            **({"grade_scale": scale} if scale else {}),
            "grade": row.letter_grade,
            "normalized_score": row.normalized_score,
            "confidence_score": row.confidence_score,
            "confidence_label": row.confidence_label,
        }


def _costs(evidence: RunEvidence) -> Costs:
    """Reported cost and tokens of every distinct callback, failed ones included: they are paid as well."""
    by_judge: defaultdict[tuple[str, str], list[CapturedEvent]] = defaultdict(list)
    for event in evidence.distinct_comparisons:
        by_judge[event.comparison.provider, event.comparison.model].append(event)
    counts = [
        TokenCount(
            provider=provider,
            model=model,
            prompt_tokens=sum(event.comparison.token_usage.prompt_tokens for event in events),
            completion_tokens=sum(event.comparison.token_usage.completion_tokens for event in events),
            usd=sum(event.comparison.cost_estimate for event in events),
        )
        for (provider, model), events in sorted(by_judge.items())
    ]
    return Costs(total_usd=sum(count.usd for count in counts), token_counts=tuple(counts))


def _validation(evidence: RunEvidence, ending: RunEnding) -> Validation:
    observed = ObservedEvents(
        llm_comparisons=len(evidence.distinct_comparisons),
        assessment_results=len(evidence.results),
        completions=len(evidence.completions),
        failures=len(evidence.failures),
        rejected=len(evidence.rejected),
    )
    return Validation(
        artefact_checksum="",
        manifest=tuple(_recorded(evidence.folder)),
        cli_environment={"python": platform.python_version(), "os": platform.platform(terse=True)},
        runner_status=RunnerStatus(
            partial_data=ending.partial,
            timeout_seconds=ending.timeout_seconds,
            observed_events=observed,
            ending=ending,
        ),
    )


def _recorded(folder: RunFolder) -> list[ManifestEntry]:
    """What was recorded rather than derived: plan, request, event logs."""
    paths: list[Path] = [folder.plan]
    for part in (folder.request.parent, folder.events):
        paths += [path for path in part.rglob("*") if path.is_file()]
    return hash_files(folder.root, paths)
