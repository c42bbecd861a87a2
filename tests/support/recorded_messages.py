"""Messages of a recorded run as the services put them on the wire: clean ones, to be altered by a test."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

import choix

from pytest_eng5.contracts import ProcessingEvent, topic_name

START = datetime(2026, 3, 1, 9, 0, 0, tzinfo=UTC)
BATCH = "b3a1f7de-0c54-4d0a-8a0f-6a1f0f7d2c10"
CORRELATION = "0d8f7a54-64f0-4b2f-8d2e-3d6a4c6f9d01"
MODEL = "gpt-5-mini-2025-08-07"
NO_TOKENS = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
UNSCORED, UNRANKED = -999.0, -1
"""Stand in a rich result for the score and rank that the comparisons give."""
STREAMS = {
    "comparisons": ProcessingEvent.LLM_COMPARISON_RESULT,
    "assessment_results": ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED,
    "completions": ProcessingEvent.CJ_ASSESSMENT_COMPLETED,
    "failures": ProcessingEvent.CJ_ASSESSMENT_FAILED,
}


def stamp(second: float) -> str:
    return (START + timedelta(seconds=second)).isoformat().replace("+00:00", "Z")


def identifier(*parts: object) -> str:
    return str(UUID(hashlib.sha256(repr(parts).encode()).hexdigest()[:32]))


def essay_id(index: int) -> str:
    return "student::" + hashlib.sha256(f"essay {index}".encode()).hexdigest()[:27]


def round_robin(n: int) -> Iterator[list[tuple[int, int]]]:
    """Waves of the circle method: every pair once, every essay at most once per wave."""
    ring: list[int | None] = [*range(n)] + ([None] if n % 2 else [])
    for _ in range(len(ring) - 1):
        half = len(ring) // 2
        pairs = zip(ring[:half], reversed(ring[half:]), strict=True)
        yield [(a, b) for a, b in pairs if a is not None and b is not None]
        ring = [ring[0], ring[-1], *ring[1:-1]]


@cache
def scores(essays: tuple[str, ...], games: tuple[tuple[str, str], ...]) -> dict[str, float]:
    """Scores by essay from (winner, loser), as the service computes them (contract 8.1)."""
    place = {essay: index for index, essay in enumerate(essays)}
    theta = choix.ilsr_pairwise(len(essays), [(place[won], place[lost]) for won, lost in games], alpha=0.01)
    return dict(zip(essays, (theta - theta.mean()).tolist(), strict=True))


@dataclass
class Message:
    """One record: the envelope as an object, and where and when it lies.

    ``pair`` are the essays that the service asked about, whatever the callback says.
    """

    value: Any
    second: float
    partition: int = 0
    offset: int = 0
    pair: tuple[str, ...] = ()

    @property
    def data(self) -> Any:
        return self.value["data"]

    @property
    def metadata(self) -> Any:
        return self.value["data"]["request_metadata"]

    def again(self, **moved: Any) -> Message:
        """A redelivery: the relay makes a new envelope around the same payload."""
        value = copy.deepcopy(self.value)
        value["event_id"] = identifier("again", value["event_id"])
        place = {"second": self.second, "partition": self.partition, "offset": 1000}
        return Message(value, **place | moved, pair=self.pair)

    @property
    def game(self) -> tuple[str, str] | None:
        """Winner and loser."""
        first, second = self.pair
        won = self.data["winner"]
        return None if won is None else (first, second) if won == "Essay A" else (second, first)


def callback(sequence: int, a: int, b: int, winner: str = "Essay A", second: float | None = None) -> Message:
    """A success as contract 2.3 shows it."""
    at = 5.0 + 0.01 * sequence if second is None else second
    correlation = identifier("comparison", sequence)
    data = {
        "request_id": identifier("request", sequence),
        "correlation_id": correlation,
        "winner": winner,
        "justification": "Clearer control of language.",
        "confidence": 4.2,
        "error_detail": None,
        "provider": "openai",
        "model": MODEL,
        "response_time_ms": 1840,
        "token_usage": {"prompt_tokens": 2110, "completion_tokens": 38, "total_tokens": 2148},
        "cost_estimate": 0.03222,
        "requested_at": stamp(at - 2),
        "completed_at": stamp(at),
        "trace_id": None,
        "request_metadata": {
            "essay_a_id": essay_id(a),
            "essay_b_id": essay_id(b),
            "bos_batch_id": BATCH,
            "cj_batch_id": "151",
            "cj_source": "els",
            "cj_request_type": "cj_comparison",
            "reasoning_effort": "low",
            "resolved_provider": "openai",
            "resolved_model": MODEL,
            "queue_processing_mode": "per_request",
            "prompt_sha256": hashlib.sha256(f"{a} against {b}".encode()).hexdigest(),
        },
    }
    value = {
        "event_type": "LLMComparisonResultV1",
        "source_service": "llm_provider_service",
        "schema_version": 1,
        "event_id": identifier("event", sequence),
        "event_timestamp": stamp(at),
        "correlation_id": correlation,
        "metadata": None,
        "data": data,
    }
    pair = (essay_id(a), essay_id(b))
    return Message(value, at + 0.001, partition=sequence % 3, offset=sequence // 3, pair=pair)


def fail(message: Message, *, processed: bool = True) -> Message:
    """Turn a success into an error callback as contract 2.3, 3.3 and 3.4 describe it."""
    error = {
        "error_code": "EXTERNAL_SERVICE_ERROR",
        "message": "no answer",
        "correlation_id": message.data["correlation_id"],
        "timestamp": message.data["completed_at"],
        "service": "llm_provider_service",
        "operation": "compare",
        "details": {},
    }
    message.data.update(
        winner=None, justification=None, confidence=None, error_detail=error, provider="openai"
    )
    message.data.update(model="unknown", response_time_ms=0, cost_estimate=0.0, token_usage=NO_TOKENS)
    if not processed:
        for key in ("resolved_provider", "resolved_model", "queue_processing_mode"):
            message.metadata.pop(key, None)
    return message


def _batch_event(kind: str, second: float, data: dict[str, Any]) -> Message:
    event = STREAMS[kind]
    base = {"event_name": event.value, "entity_id": BATCH, "entity_type": "batch", "parent_id": None}
    value = {
        "event_type": topic_name(event),
        "source_service": "cj_assessment_service",
        "schema_version": 1,
        "event_id": identifier(kind),
        "event_timestamp": stamp(second),
        "correlation_id": CORRELATION,
        "metadata": {},
        "data": base | {"timestamp": stamp(second)} | data,
    }
    return Message(value, second + 0.001)


def system_metadata(second: float, stage: str, **more: Any) -> dict[str, Any]:
    base = {"entity_id": BATCH, "entity_type": "batch", "timestamp": stamp(second), "processing_stage": stage}
    return base | {"error_info": {}} | more


def rich_result(n: int, second: float) -> Message:
    rows = [
        {
            "essay_id": essay_id(index),
            "normalized_score": 0.0,
            "letter_grade": "U",
            "confidence_score": 0.0,
            "confidence_label": "LOW",
            "bt_score": UNSCORED,
            "rank": UNRANKED,
            "is_anchor": False,
        }
        for index in range(n)
    ]
    data = {"batch_id": BATCH, "cj_assessment_job_id": "151", "assessment_method": "cj_assessment"}
    judge = {"model_used": MODEL, "model_provider": "openai", "essay_results": rows}
    more = {"assessment_metadata": {"comparison_count": n * (n - 1) // 2}, "assessed_at": stamp(second)}
    return _batch_event("assessment_results", second, data | judge | more)


def completion(n: int, second: float) -> Message:
    summary = {"total_essays": n, "successful": n, "failed": 0, "failed_essay_ids": []}
    summary["successful_essay_ids"] = [essay_id(index) for index in range(n)]
    data = {"status": "completed_successfully", "system_metadata": system_metadata(second, "completed")}
    more = {"cj_assessment_job_id": "151", "processing_summary": summary}
    return _batch_event("completions", second, data | more)


def failed_event(reason: dict[str, Any], second: float, job: str = "151") -> Message:
    data = {"status": "failed_critically", "cj_assessment_job_id": job}
    metadata = {"system_metadata": system_metadata(second, "failed", error_info=reason)}
    return _batch_event("failures", second, data | metadata)
