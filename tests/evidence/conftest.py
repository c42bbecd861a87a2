"""Records, plans and run folders made by hand: 12 essays, every pair compared once."""

from __future__ import annotations

import hashlib
import itertools
import json
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pytest_eng5.evidence import (
    AppendOnlyLog,
    Artefact,
    CapturedRecord,
    PlannedEssay,
    Rejection,
    RunFolder,
    RunPlan,
    Stream,
    encode_line,
    write_atomic,
    write_plan,
)

BATCH = "b3a1f7de-0c54-4d0a-8a0f-6a1f0f7d2c10"
CORRELATION = "0d8f7a54-64f0-4b2f-8d2e-3d6a4c6f9d01"
START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
GRADES = ("A", "A", "B", "B", "C+", "C-", "D+", "D-", "E+", "E-", "F+", "F+")
ESSAYS = tuple(f"student::{index:027x}" for index in range(12))
PAIRS = tuple(itertools.combinations(ESSAYS, 2))
ERROR = {"error_code": "RATE_LIMIT", "message": "slow down"}


def _uuid(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, text))


def make_record(value: bytes | None, *, topic: str = "t", offset: int = 0, **fields: Any) -> CapturedRecord:
    """A record with everything that does not matter filled in."""
    given = {"key": None, "partition": 0, "timestamp_ms": 1_772_355_600_000, "received_at": START}
    return CapturedRecord(topic=topic, offset=offset, value=value, **{**given, **fields})


def make_plan(**fields: Any) -> RunPlan:
    """The plan of a run with twelve anchors."""
    essays = tuple(
        PlannedEssay(
            essay_id=essay,
            local_id=f"anchor-{index}",
            file_name=f"{index}.txt",
            source_path=f"anchors/{index}.txt",
            checksum=hashlib.sha256(essay.encode()).hexdigest(),
            grade=grade,
        )
        for index, (essay, grade) in enumerate(zip(ESSAYS, GRADES, strict=True))
    )
    plan = {
        "scenario": "anchor_align",
        "variant": "baseline",
        "repeat": 1,
        "mode": "anchor-align-test",
        "batch_uuid": BATCH,
        "correlation_id": CORRELATION,
        "created_at": START,
        "runner_version": "0.1.0",
        "course_code": "ENG5",
        "language": "en",
        "provider": "mock",
        "planned_comparisons": 66,
        "idle_seconds": 30.0,
        "total_seconds": 300.0,
        "essays": essays,
    }
    return RunPlan.model_validate({**plan, **fields})


def make_callback(number: int, pair: tuple[str, str] | None = None, **data: Any) -> dict[str, Any]:
    """Callback number ``number``; essay A of the pair wins unless told otherwise."""
    essay_a, essay_b = pair or PAIRS[number % len(PAIRS)]
    moment = (START + timedelta(seconds=number)).isoformat()
    payload = {
        "request_id": f"request-{number}",
        "correlation_id": _uuid(f"pair {number}"),
        "winner": "Essay A",
        "justification": "Clearer.",
        "confidence": 4.0,
        "error_detail": None,
        "provider": "mock",
        "model": "simulated-judge",
        "response_time_ms": 12,
        "cost_estimate": 0.001,
        "requested_at": moment,
        "completed_at": moment,
        "request_metadata": {"essay_a_id": essay_a, "essay_b_id": essay_b, "bos_batch_id": BATCH},
    }
    return _envelope("LLMComparisonResultV1", {**payload, **data})


def make_failure(number: int, **data: Any) -> dict[str, Any]:
    """An error callback, the way contract 2.3 writes it."""
    nothing = {"winner": None, "justification": None, "confidence": None, "model": "unknown"}
    return make_callback(number, **{**nothing, "error_detail": ERROR, **data})


def _envelope(event_type: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"event_type": event_type, "source_service": "test", "data": data}


def make_ending_event(status: str, name: str) -> dict[str, Any]:
    """A completed or failed event."""
    state = {"entity_id": BATCH, "entity_type": "batch"}
    data = {"event_name": name, **state, "status": status, "system_metadata": state}
    return _envelope(name, {**data, "cj_assessment_job_id": "151"})


def make_result() -> dict[str, Any]:
    """The rich result of the run."""
    rows = [
        {
            "essay_id": essay,
            "normalized_score": 0,
            "letter_grade": "U",
            "confidence_score": 0,
            "confidence_label": "LOW",
            "bt_score": 5.5 - rank,
            "rank": rank + 1,
        }
        for rank, essay in enumerate(ESSAYS)
    ]
    data = {"batch_id": BATCH, "cj_assessment_job_id": "151", "assessment_method": "cj_assessment"}
    judge = {"model_used": "simulated-judge", "model_provider": "mock", "essay_results": rows}
    return _envelope("assessment.result.published", {**data, **judge})


def write_stream(
    root: Path, stream: Stream, events: Iterable[Any], rejection: Rejection | None = None
) -> Path:
    """Append events (or raw bytes) to a stream of a run folder."""
    path = RunFolder(root).stream(stream)
    with AppendOnlyLog(path) as log:
        for offset, event in enumerate(events):
            value = event if isinstance(event, bytes) else json.dumps(event).encode()
            log.append(encode_line(make_record(value, topic=stream.value, offset=offset), rejection))
    return path


def make_artefact(**fields: Any) -> Artefact:
    """An artefact with one comparison of each status."""
    moment = START.isoformat()
    common = {
        "provider": "mock",
        "model": "simulated-judge",
        "tokens_prompt": 10,
        "tokens_completion": 2,
        "cost_usd": 0.001,
        "started_at": moment,
        "completed_at": moment,
        "position": "t[0]@1",
    }
    won = {
        **common,
        "sequence": 1,
        "request_id": "r1",
        "correlation_id": CORRELATION,
        "status": "succeeded",
        "essay_a_id": ESSAYS[0],
        "essay_b_id": ESSAYS[1],
        "winner_id": ESSAYS[0],
        "loser_id": ESSAYS[1],
        "confidence": 4.0,
        "prompt_hash": "ab" * 32,
    }
    lost = {
        **common,
        "sequence": 2,
        "request_id": "r2",
        "correlation_id": BATCH,
        "status": "failed",
        "essay_a_id": ESSAYS[0],
        "essay_b_id": ESSAYS[2],
        "error_code": "RATE_LIMIT",
    }
    plan = make_plan()
    shared = set(plan.model_dump()) & {
        *("scenario", "variant", "repeat", "batch_uuid", "correlation_id", "runner_version"),
        *("course_code", "language", "provider", "planned_comparisons"),
    }
    counts = {"llm_comparisons": 2, "assessment_results": 1, "completions": 1, "failures": 0, "rejected": 0}
    ending = {"reason": "completed", "detail": "all in", "started_at": moment, "ended_at": moment}
    document = {
        "metadata": {
            **{name: getattr(plan, name) for name in shared},
            "runner_mode": plan.mode,
            "generated_at": moment,
        },
        "inputs": {
            "anchors": [
                {
                    "essay_id": essay.essay_id,
                    "anchor_id": essay.local_id,
                    "file_name": essay.file_name,
                    "source_path": essay.source_path,
                    "checksum": essay.checksum,
                    "grade": essay.grade,
                }
                for essay in plan.essays
            ]
        },
        "llm_comparisons": [won, lost],
        "bt_summary": [
            {
                "essay_id": ESSAYS[0],
                "theta": 1.5,
                "standard_error": 0.4,
                "rank": 1,
                "comparison_count": 1,
                "is_anchor": True,
            }
        ],
        "costs": {"total_usd": 0.002},
        "validation": {
            "artefact_checksum": "",
            "manifest": [{"path": "events/comparisons.jsonl", "sha256": "cd" * 32, "bytes": 10}],
            "cli_environment": {"python": "3.11"},
            "runner_status": {"partial_data": False, "observed_events": counts, "ending": ending},
        },
    }
    return Artefact.model_validate({**document, **fields})


@pytest.fixture
def record() -> Callable[..., CapturedRecord]:
    return make_record


@pytest.fixture
def plan() -> Callable[..., RunPlan]:
    return make_plan


@pytest.fixture
def artefact() -> Callable[..., Artefact]:
    return make_artefact


@pytest.fixture
def callback() -> Callable[..., dict[str, Any]]:
    return make_callback


@pytest.fixture
def failure() -> Callable[..., dict[str, Any]]:
    return make_failure


@pytest.fixture
def stream() -> Callable[..., Path]:
    return write_stream


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A clean run: plan, request, 66 comparisons, rich result, completion."""
    root = tmp_path / "run-1"
    write_plan(RunFolder(root).plan, make_plan())
    request = _envelope(
        "huleedu.els.cj_assessment.requested.v1",
        {
            "entity_id": BATCH,
            "system_metadata": {"entity_id": BATCH, "entity_type": "batch"},
            "essays_for_cj": [{"essay_id": essay, "text_storage_id": "0"} for essay in ESSAYS],
            "language": "en",
            "course_code": "ENG5",
            "user_id": "pytest-eng5",
        },
    )
    write_atomic(RunFolder(root).request, json.dumps(request).encode())
    write_stream(root, Stream.COMPARISONS, (make_callback(number) for number in range(66)))
    write_stream(root, Stream.ASSESSMENT_RESULTS, [make_result()])
    completed = make_ending_event("completed_successfully", "cj_assessment.completed")
    write_stream(root, Stream.COMPLETIONS, [completed])
    return root


@pytest.fixture
def failed_event() -> dict[str, Any]:
    return make_ending_event("failed_critically", "cj_assessment.failed")
