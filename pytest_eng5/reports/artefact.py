"""From recorded evidence to the artefact of a run."""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections import defaultdict
from importlib import metadata
from pathlib import Path

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
from pytest_eng5.reports.projections import grade_projections
from pytest_eng5.reports.scores import score_run

__all__ = ["build_artefact"]

_HEX64 = re.compile(r"[0-9a-f]{64}")


def build_artefact(evidence: RunEvidence, ending: RunEnding) -> Artefact:
    """The artefact of a run as it ended; what is unknown is left out.

    That of an assignment is of schema 1.0 and 1.1 at once, any other of 1.1 alone: 1.0 cannot do without an
    assignment.

    Raises:
        pydantic.ValidationError: The plan holds something that the artefact's schema forbids.
    """
    both = evidence.assignment is not None
    rows = [_comparison(n, event) for n, event in enumerate(evidence.distinct_comparisons, start=1)]
    return Artefact(
        schema_version="1.0.0" if both else "1.1.0",
        conforms_to=("1.0.0", "1.1.0") if both else ("1.1.0",),
        metadata=_metadata(evidence.plan, old=both),
        inputs=_inputs(evidence),
        llm_comparisons=tuple(row for row in rows if not both or _complete(row)),
        incomplete_comparisons=tuple(row for row in rows if both and not _complete(row)),
        bt_summary=score_run(evidence),
        grade_projections=tuple(grade_projections(evidence)),
        costs=_costs(evidence),
        validation=_validation(evidence, ending, old=both),
    )


def _complete(row: Comparison) -> bool:
    """Whether a comparison has everything that schema 1.0 requires of one."""
    return None not in (row.winner_id, row.loser_id, row.prompt_hash)


def _metadata(plan: RunPlan, *, old: bool) -> ArtefactMetadata:
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
            **(_identity(plan) if old else {}),
        }
    )


def _identity(plan: RunPlan) -> dict[str, str]:
    """The commit; where there is none, the object id that git gives to the settings as a file."""
    if plan.git_sha is not None:
        return {"git_sha": plan.git_sha, "git_sha_of": "commit"}
    content = json.dumps(plan.resolved_scenario, sort_keys=True).encode()
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
    return {"git_sha": blob.hexdigest(), "git_sha_of": "settings"}


def _inputs(evidence: RunEvidence) -> Inputs:
    """What went in; instructions and prompt of an assignment are its own, which are those that were used."""
    plan, assignment = evidence.plan, evidence.assignment
    return Inputs(
        instructions=assignment.instructions if assignment else plan.instructions,
        prompt_reference=assignment.student_prompt if assignment else plan.prompt_reference,
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


def _environment(*, old: bool) -> dict[str, str]:
    """Where the harness runs; schema 1.0 asks for two tools that it does not use."""
    found = {"python": platform.python_version(), "os": platform.platform(terse=True)}
    return {**found, "pdm": _version_of("pdm"), "docker_compose": "not used"} if old else found


def _version_of(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _validation(evidence: RunEvidence, ending: RunEnding, *, old: bool) -> Validation:
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
        cli_environment=_environment(old=old),
        runner_status=RunnerStatus(
            partial_data=ending.partial,
            timeout_seconds=ending.timeout_seconds,
            observed_events=observed,
            ending=ending,
        ),
    )


def _recorded(folder: RunFolder) -> list[ManifestEntry]:
    """What was recorded rather than derived: plan, assignment, request, event logs, prompts."""
    named = (folder.plan, folder.assignment, folder.prompts)
    paths: list[Path] = [path for path in named if path.exists()]
    for part in (folder.request.parent, folder.events):
        paths += [path for path in part.rglob("*") if path.is_file()]
    return hash_files(folder.root, paths)
