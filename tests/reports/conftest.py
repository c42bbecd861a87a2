"""Synthetic recorded runs, written through the evidence API as a real run would leave them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import choix
import numpy as np
import pytest

from pytest_eng5.contracts import (
    AssessmentResultV1,
    BatchStatus,
    CJAssessmentCompletedV1,
    CJAssessmentFailedV1,
    CourseCode,
    ELS_CJAssessmentRequestV1,
    ErrorDetail,
    EssayProcessingInputRefV1,
    EssayResultV1,
    EventEnvelope,
    LLMComparisonResultV1,
    ProcessingEvent,
    SystemProcessingMetadata,
    WireModel,
    text_sha256,
    topic_name,
    wire_essay_id,
)
from pytest_eng5.evidence import (
    AppendOnlyLog,
    CapturedRecord,
    EndReason,
    Finding,
    PlannedEssay,
    Rejection,
    RunEnding,
    RunEvidence,
    RunFolder,
    RunPlan,
    SourceText,
    Stream,
    encode_line,
    load_evidence,
    write_plan,
)
from pytest_eng5.reports import VariantOutcome, evaluate_variant, finalise_run

ROLE_MODELS = ("A", "A", "B", "B", "C+", "C-", "D+", "D-", "E+", "E-", "F+", "F+")
START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
TOPICS = {
    Stream.COMPARISONS: ProcessingEvent.LLM_COMPARISON_RESULT,
    Stream.ASSESSMENT_RESULTS: ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED,
    Stream.COMPLETIONS: ProcessingEvent.CJ_ASSESSMENT_COMPLETED,
    Stream.FAILURES: ProcessingEvent.CJ_ASSESSMENT_FAILED,
}

Pair = tuple[int, int]


def uuid_of(*parts: object) -> str:
    return str(uuid5(NAMESPACE_URL, "/".join(map(str, parts))))


@dataclass
class Recording:
    """A run on its way to disk; every method appends, :meth:`end` closes it."""

    root: Path
    plan: RunPlan
    logs: dict[Stream, AppendOnlyLog] = field(default_factory=dict)
    made: list[Pair] = field(default_factory=list)
    offset: int = 0
    calls: int = 0

    @property
    def ids(self) -> list[str]:
        return [essay.essay_id for essay in self.plan.essays]

    def put(self, stream: Stream, data: WireModel | bytes, rejection: Rejection | None = None) -> None:
        self.offset += 1
        moment = START + timedelta(milliseconds=self.offset)
        envelope_id = uuid_of(self.plan.batch_uuid, "event", self.offset)
        value = (
            data
            if isinstance(data, bytes)
            else EventEnvelope(
                event_id=envelope_id,  # type: ignore[arg-type]
                event_type="synthetic",
                event_timestamp=moment,
                source_service="synthetic",
                correlation_id=getattr(data, "correlation_id", self.plan.correlation_id),
                data=data,
            ).to_wire()
        )
        record = CapturedRecord(
            topic=topic_name(TOPICS.get(stream, ProcessingEvent.LLM_COMPARISON_RESULT)),
            partition=0,
            offset=self.offset,
            timestamp_ms=int(moment.timestamp() * 1000),
            received_at=moment,
            key=self.plan.batch_uuid.encode(),
            value=value,
        )
        folder = RunFolder(self.root)
        log = self.logs.setdefault(stream, AppendOnlyLog(folder.stream(stream)))
        log.append(encode_line(record, rejection))

    def callback(
        self,
        first: int,
        second: int,
        a_wins: bool | None,
        *,
        justification: str = "the clearer argument",
        confidence: float = 3.5,
        request: str | None = None,
        metadata: dict[str, Any] | None = None,
        **changes: Any,
    ) -> LLMComparisonResultV1:
        """One callback; ``a_wins`` None is a failure."""
        self.calls += 1
        request_id = request or uuid_of(self.plan.batch_uuid, "request", self.calls)
        error = ErrorDetail(error_code="EXTERNAL_SERVICE_ERROR", message="529 overloaded", timestamp=START)
        outcome: dict[str, Any] = (
            {"error_detail": error}
            if a_wins is None
            else {
                "winner": "Essay A" if a_wins else "Essay B",
                "justification": justification,
                "confidence": confidence,
            }
        )
        ids = self.ids
        data = LLMComparisonResultV1.model_validate(
            {
                "request_id": request_id,
                "correlation_id": uuid_of(request_id, "correlation"),
                "provider": "anthropic",
                "model": "claude-haiku-4-5-20251001",
                "response_time_ms": 5,
                "token_usage": {"prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100},
                "cost_estimate": 0.001,
                "requested_at": START,
                "completed_at": START + timedelta(seconds=1),
                "request_metadata": {
                    "essay_a_id": ids[first],
                    "essay_b_id": ids[second],
                    "bos_batch_id": self.plan.batch_uuid,
                    "cj_batch_id": "108",
                    "cj_source": "els",
                    "cj_request_type": "cj_comparison",
                    "prompt_sha256": sha256(request_id.encode()).hexdigest(),
                    **(metadata or {}),
                },
                **outcome,
                **changes,
            }
        )
        self.put(Stream.COMPARISONS, data)
        if a_wins is not None:
            self.made.append((first, second) if a_wins else (second, first))
        return data

    def judge(
        self,
        seed: int = 7,
        discrimination: float = 2.0,
        pairs: Iterable[Pair] | None = None,
        upsets: Sequence[Pair] = (),
        **more: Any,
    ) -> None:
        """Compare pairs (default: all) with a seeded judge; the earlier essay of the plan is the better."""
        draw = random.Random(seed)
        wanted = list(combinations(range(len(self.plan.essays)), 2)) if pairs is None else list(pairs)
        for better, worse in wanted:
            first, second = (better, worse) if draw.random() < 0.5 else (worse, better)
            gap = discrimination * (second - first)
            wins = draw.random() < 1 / (1 + math.exp(-gap))
            if (worse, better) in upsets:
                wins = first == worse
            self.callback(first, second, wins, **more)

    def publish(self) -> None:
        """The request, as it would have been published."""
        data = ELS_CJAssessmentRequestV1(
            entity_id=self.plan.batch_uuid,
            timestamp=START,
            system_metadata=SystemProcessingMetadata(
                entity_id=self.plan.batch_uuid, entity_type="batch", timestamp=START
            ),
            essays_for_cj=[
                EssayProcessingInputRefV1(
                    essay_id=essay.essay_id, text_storage_id=f"storage-{essay.local_id}"
                )
                for essay in self.plan.essays
            ],
            language="en",
            course_code=CourseCode.ENG5,
            user_id="researcher",
        )
        envelope = EventEnvelope(
            event_type="request",
            event_timestamp=START,
            source_service="harness",
            correlation_id=self.plan.correlation_id,  # type: ignore[arg-type]
            data=data,
        )
        path = RunFolder(self.root).request
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(envelope.to_wire())

    def complete(self, **judging: Any) -> Recording:
        """A whole run without a fault."""
        self.publish()
        self.judge(**judging)
        self.result()
        self.completed()
        return self

    def result(self, shift: float = 0.0) -> None:
        """The rich result, scored with choix as the production service does."""
        scores = np.asarray(choix.ilsr_pairwise(len(self.ids), self.made, alpha=0.01))
        scores = scores - scores.mean() + shift
        ranks = {int(essay): rank for rank, essay in enumerate(np.argsort(-scores, kind="stable"), start=1)}
        rows = [
            EssayResultV1(
                essay_id=essay.essay_id,
                normalized_score=0.5,
                letter_grade=essay.grade if essay.is_anchor and essay.grade else "C",
                confidence_score=0.9,
                confidence_label="HIGH",
                bt_score=float(scores[k]),
                rank=ranks[k],
                is_anchor=essay.is_anchor,
            )
            for k, essay in enumerate(self.plan.essays)
        ]
        self.put(
            Stream.ASSESSMENT_RESULTS,
            AssessmentResultV1(
                entity_id=self.plan.batch_uuid,
                timestamp=START,
                assessed_at=START,
                batch_id=self.plan.batch_uuid,
                cj_assessment_job_id="108",
                assessment_method="cj_assessment",
                model_used="claude-haiku-4-5-20251001",
                model_provider="anthropic",
                essay_results=rows,
            ),
        )

    def _status(self) -> dict[str, Any]:
        return {
            "entity_id": self.plan.batch_uuid,
            "timestamp": START,
            "cj_assessment_job_id": "108",
            "system_metadata": SystemProcessingMetadata(
                entity_id=self.plan.batch_uuid,
                entity_type="batch",
                timestamp=START,
                error_info={"reason": "CJ_INSUFFICIENT_COMPARISONS"},
            ),
        }

    def completed(self) -> None:
        status = BatchStatus.COMPLETED_SUCCESSFULLY
        self.put(Stream.COMPLETIONS, CJAssessmentCompletedV1(status=status, **self._status()))

    def failed(self) -> None:
        status = BatchStatus.FAILED_CRITICALLY
        self.put(Stream.FAILURES, CJAssessmentFailedV1(status=status, **self._status()))

    def rejected(self, value: bytes = b"\xff{") -> None:
        self.put(Stream.REJECTED, value, Rejection("undecodable", (("", "no UTF-8"),), "unattributed"))

    def close(self) -> None:
        for log in self.logs.values():
            log.close()

    def end(self, reason: EndReason = EndReason.COMPLETED, detail: str = "all events are in") -> RunEnding:
        self.close()
        return RunEnding(
            reason=reason,
            detail=detail,
            started_at=START,
            ended_at=START + timedelta(seconds=9),
            published=True,
            request_position=f"{topic_name(ProcessingEvent.ELS_CJ_ASSESSMENT_REQUESTED)}[0]@3",
            timeout_seconds=30.0 if "deadline" in reason.value else None,
        )

    def load(self, ending: RunEnding | None = None) -> RunEvidence:
        self.close()
        return load_evidence(self.root, ending)


def make_plan(grades: Sequence[str | None], repeat: int, students: int, **changes: Any) -> RunPlan:
    scenario, variant = changes.pop("scenario", "anchor_align"), changes.pop("variant", "baseline")
    batch = uuid_of("batch", scenario, variant, repeat)
    names = [f"anchor_{k + 1:02d}" for k in range(len(grades))]
    names += [f"pupil_{k + 1:02d}" for k in range(students)]
    essays = tuple(
        PlannedEssay(
            essay_id=wire_essay_id(batch, name),
            local_id=name,
            file_name=f"{name}.txt",
            source_path=f"role_models/anchors/{name}.txt",
            checksum=text_sha256(f"Essay {name}"),
            grade=grades[k] if k < len(grades) else None,
            is_anchor=k < len(grades),
            text_storage_id=f"storage-{name}",
        )
        for k, name in enumerate(names)
    )
    n = len(essays)
    facts: dict[str, Any] = {
        "mode": "anchor-align-test",
        "batch_uuid": batch,
        "correlation_id": uuid_of(batch, "correlation"),
        "created_at": START,
        "runner_version": "0.1.0",
        "course_code": "ENG5",
        "language": "en",
        "provider": "anthropic",
        "model": "claude-haiku-4-5-20251001",
        "temperature": 0.1,
        "planned_comparisons": n * (n - 1) // 2,
        "idle_seconds": 30,
        "total_seconds": 300,
    }
    return RunPlan(scenario=scenario, variant=variant, repeat=repeat, essays=essays, **{**facts, **changes})


def text(content: str, path: str = "prompts/x.txt") -> SourceText:
    return SourceText(source_path=path, checksum=text_sha256(content), content=content)


Record = Callable[..., Recording]


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """Start a run below ``tmp_path/<scenario>/<variant>/run-<repeat>`` with a plan written."""

    def start(
        grades: Sequence[str | None] = ROLE_MODELS,
        *,
        repeat: int = 1,
        students: int = 0,
        system_prompt: str | None = None,
        rubric: str | None = None,
        **changes: Any,
    ) -> Recording:
        plan = make_plan(
            grades,
            repeat,
            students,
            system_prompt=None if system_prompt is None else text(system_prompt, "prompts/system.txt"),
            rubric=None if rubric is None else text(rubric, "prompts/rubric.txt"),
            **changes,
        )
        root = tmp_path / plan.scenario / plan.variant / f"run-{repeat}"
        write_plan(RunFolder(root).plan, plan)
        return Recording(root, plan)

    return start


@dataclass
class Checks:
    """Stands in for the checks: findings and exceptions by check name."""

    findings: dict[str, list[Finding]] = field(default_factory=dict)
    crashes: dict[str, Exception] = field(default_factory=dict)
    names: tuple[str, ...] = ("events", "completeness", "schema", "manifest")
    asked: list[str] = field(default_factory=list)

    def checks_for(self, mode: str) -> tuple[str, ...]:
        return self.names

    def run_checks(self, evidence: RunEvidence, names: Sequence[str]) -> tuple[Finding, ...]:
        self.asked += names
        for name in names:
            if name in self.crashes:
                raise self.crashes[name]
        return tuple(finding for name in names for finding in self.findings.get(name, []))

    def find(self, code: str, message: str = "is wrong", check: str = "events", **more: Any) -> None:
        finding = Finding(**{"code": code, "severity": "error", "message": message, "check": check, **more})
        self.findings.setdefault(check, []).append(finding)


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Checks:
    """Checks under the test's control, in place of the real ones."""
    stand_in = Checks()
    monkeypatch.setattr("pytest_eng5.reports.checking.checks_for", stand_in.checks_for)
    monkeypatch.setattr("pytest_eng5.reports.checking.run_checks", stand_in.run_checks)
    return stand_in


@dataclass(frozen=True)
class Limit:
    """A threshold as a gate sees it."""

    metric: str
    min: float | None = None
    max: float | None = None
    confidence: float | None = None
    undecided: str | None = None


@pytest.fixture(scope="session")
def limit() -> type[Limit]:
    return Limit


@pytest.fixture
def judged() -> Callable[..., VariantOutcome]:
    """Complete the given runs of one variant, unless they are complete, and evaluate it."""

    def evaluate(*runs: Recording, limits: Sequence[Limit] = (), **options: Any) -> VariantOutcome:
        for run in runs:
            if not RunFolder(run.root).manifest.exists():
                finalise_run(run.root, run.end())
        settings = {"repeats": len(runs), "bootstrap": 0, **options}
        return evaluate_variant(runs[0].root.parent, limits, **settings)

    return evaluate


SIX = ("A", "A", "B", "C+", "D+", "E+")


@pytest.fixture
def made(record: Record, judged: Callable[..., VariantOutcome]) -> Callable[..., VariantOutcome]:
    """A variant over six anchors whose judge follows the grades but for some pairs (better, worse)."""

    def make(
        variant: str, upsets: Iterable[Pair] = (), *, runs: int = 1, pairs: Any = None, **more: Any
    ) -> VariantOutcome:
        turned = [(worse, better) for better, worse in upsets]
        recordings = [record(SIX, variant=variant, repeat=k, **more) for k in range(1, runs + 1)]
        for recording in recordings:
            recording.complete(discrimination=99.0, pairs=pairs, upsets=turned)
        return judged(*recordings)

    return make
