"""Recorded runs, made line by line through the evidence API: a clean one, to be altered by a test."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import choix
import pytest

from pytest_eng5.contracts import ProcessingEvent, topic_name
from pytest_eng5.evidence import (
    Artefact,
    CapturedRecord,
    EndReason,
    Finding,
    Rejection,
    RunEnding,
    RunEvidence,
    RunFolder,
    RunPlan,
    artefact_json_schema,
    encode_line,
    load_evidence,
    write_artefact,
    write_findings,
    write_json,
    write_manifest,
    write_plan,
)

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


def _system(second: float, stage: str, **more: Any) -> dict[str, Any]:
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
    data = {"status": "completed_successfully", "system_metadata": _system(second, "completed")}
    more = {"cj_assessment_job_id": "151", "processing_summary": summary}
    return _batch_event("completions", second, data | more)


def failed_event(reason: dict[str, Any], second: float, job: str = "151") -> Message:
    data = {"status": "failed_critically", "cj_assessment_job_id": job}
    metadata = {"system_metadata": _system(second, "failed", error_info=reason)}
    return _batch_event("failures", second, data | metadata)


@dataclass
class Recorded:
    """A run in memory; :meth:`write` records it in a folder, :meth:`load` reads it back.

    ``assigned`` are essays that the service adds to those of the plan.
    """

    n: int
    root: Path
    plan: dict[str, Any]
    overrides: dict[str, Any]
    comparisons: list[Message]
    assessment_results: list[Message]
    completions: list[Message]
    failures: list[Message] = field(default_factory=list)
    rejected: list[tuple[CapturedRecord, Rejection]] = field(default_factory=list)
    ending: dict[str, Any] | None = field(default_factory=dict)
    with_request: bool = True
    assigned: tuple[str, ...] = ()

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.root)

    @property
    def artefact(self) -> Path:
        return self.folder.artefact(self.plan["mode"])

    def messages(self, kind: str) -> list[Message]:
        found: list[Message] = getattr(self, kind)
        return found

    def reject(
        self, message: Message, kind: str, stage: str, value: bytes | None, attribution: str = "text"
    ) -> None:
        """Move a message to the rejected records."""
        self.messages(kind).remove(message)
        record = self.record(message, kind, value)
        reasons = (
            (("/data/winner", "Input should be 'Essay A' or 'Essay B'"),)
            if stage == "schema"
            else (("", "invalid utf-8"),)
        )
        self.rejected.append((record, Rejection(stage, reasons, attribution)))

    def record(self, message: Message, kind: str, value: bytes | None = None) -> CapturedRecord:
        moment = START + timedelta(seconds=message.second)
        return CapturedRecord(
            topic=topic_name(STREAMS[kind], self.plan.get("topic_prefix", "")),
            partition=message.partition,
            offset=message.offset,
            timestamp_ms=round(moment.timestamp() * 1000),
            received_at=moment + timedelta(milliseconds=3),
            key=None,
            value=json.dumps(message.value).encode() if value is None else value,
        )

    def score(self) -> None:
        """Fill in the scores and ranks that the service would publish after these comparisons."""
        rows = [row for message in self.assessment_results for row in message.data["essay_results"]]
        if all(row["bt_score"] != UNSCORED and row["rank"] != UNRANKED for row in rows):
            return
        first: dict[str, Message] = {}
        for message in self.comparisons:
            first.setdefault(message.data["request_id"], message)
        games = tuple(message.game for message in first.values() if message.game is not None)
        essays = (*(essay["essay_id"] for essay in self.plan["essays"]), *self.assigned)
        theta = scores(essays, games) if games else dict.fromkeys(essays, 0.0)
        ranks = {essay: k for k, essay in enumerate(sorted(essays, key=lambda e: -theta[e]), start=1)}
        for row in rows:
            if row["bt_score"] == UNSCORED:
                row["bt_score"] = theta.get(row["essay_id"], 0.0)
            if row["rank"] == UNRANKED:
                row["rank"] = ranks.get(row["essay_id"], len(ranks) + 1)

    def write(self) -> None:
        self.score()
        folder = self.folder
        write_plan(folder.plan, RunPlan.model_validate(self.plan))
        if self.with_request:
            folder.request.parent.mkdir(parents=True, exist_ok=True)
            folder.request.write_text(json.dumps(self._request()))
        folder.events.mkdir(parents=True, exist_ok=True)
        for kind in STREAMS:
            lines = [encode_line(self.record(message, kind)) for message in self.messages(kind)]
            self._lines(kind, lines)
        self._lines("rejected", [encode_line(*line) for line in self.rejected])
        write_json(folder.schema, artefact_json_schema())
        write_findings(folder.findings, ())
        if self.ending is not None:
            write_artefact(self.artefact, self._artefact())
        write_manifest(self.root, folder.manifest)

    def load(self) -> RunEvidence:
        self.write()
        return load_evidence(self.root)

    def rewrite_manifest(self) -> None:
        write_manifest(self.root, self.folder.manifest)

    def _lines(self, name: str, lines: list[bytes]) -> None:
        if lines:
            (self.folder.events / f"{name}.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))

    def _request(self) -> dict[str, Any]:
        essays = [
            {"essay_id": essay["essay_id"], "text_storage_id": "5e" * 16} for essay in self.plan["essays"]
        ]
        data = {
            "event_name": "els.cj_assessment.requested",
            "entity_id": BATCH,
            "entity_type": "batch",
            "timestamp": stamp(0.5),
            "system_metadata": _system(0.5, "pending"),
            "essays_for_cj": essays,
            "language": "en",
            "course_code": "ENG5",
            "llm_config_overrides": self.overrides,
            "assignment_id": self.plan.get("assignment_id"),
            "user_id": "pytest-eng5",
        }
        return {
            "event_id": identifier("request"),
            "event_type": "huleedu.els.cj_assessment.requested.v1",
            "event_timestamp": stamp(0.5),
            "source_service": "pytest_eng5",
            "schema_version": 1,
            "correlation_id": CORRELATION,
            "data": data,
            "metadata": {"max_comparisons": self.plan["planned_comparisons"]},
        }

    def made_ending(self) -> RunEnding:
        facts = {
            "reason": EndReason.COMPLETED,
            "detail": "completed and drained",
            "started_at": START,
            "ended_at": START + timedelta(seconds=20),
            "request_timestamp_ms": round(START.timestamp() * 1000) + 500,
        }
        return RunEnding.model_validate(facts | (self.ending or {}))

    def _artefact(self) -> Artefact:
        distinct = {m.data["request_id"]: m for m in reversed(self.comparisons)}
        rows = [_row(k, m) for k, m in enumerate(reversed(distinct.values()), start=1)]
        made = Counter(e for row in rows for e in (row.get("essay_a_id"), row.get("essay_b_id")) if e)
        tokens: dict[tuple[str, str], tuple[int, int, float]] = {}
        for message in distinct.values():
            usage, judge = message.data["token_usage"], (message.data["provider"], message.data["model"])
            added = (usage["prompt_tokens"], usage["completion_tokens"], message.data["cost_estimate"])
            counted = tokens.get(judge, (0, 0, 0.0))
            tokens[judge] = (counted[0] + added[0], counted[1] + added[1], counted[2] + added[2])
        judged = [
            dict(
                zip(("provider", "model", "prompt_tokens", "completion_tokens", "usd"), (*k, *v), strict=True)
            )
            for k, v in tokens.items()
        ]
        metadata = {
            key: self.plan[key]
            for key in ("scenario", "variant", "repeat", "batch_uuid", "correlation_id", "runner_version")
        }
        more = {"course_code": "ENG5", "language": "en", "provider": "openai", "generated_at": stamp(20)}
        ending = self.made_ending()
        observed = {"llm_comparisons": len(rows), "assessment_results": 1, "completions": 1}
        status = {
            "partial_data": ending.partial,
            "observed_events": observed | {"failures": 0, "rejected": len(self.rejected)},
            "ending": ending,
        }
        summary = [
            {
                "essay_id": essay["essay_id"],
                "theta": 0.0,
                "standard_error": 0.3,
                "rank": rank,
                "comparison_count": made[essay["essay_id"]],
                "is_anchor": True,
            }
            for rank, essay in enumerate(self.plan["essays"], start=1)
        ]
        return Artefact.model_validate(
            {
                "metadata": metadata
                | more
                | {
                    "runner_mode": self.plan["mode"],
                    "planned_comparisons": self.plan["planned_comparisons"],
                },
                "inputs": {
                    "anchors": [{**essay, "anchor_id": essay["local_id"]} for essay in self.plan["essays"]]
                },
                "llm_comparisons": rows,
                "bt_summary": summary,
                "costs": {"total_usd": sum(v[2] for v in tokens.values()), "token_counts": judged},
                "validation": {"artefact_checksum": "", "runner_status": status},
            }
        )


def _row(sequence: int, message: Message) -> dict[str, Any]:
    data, metadata = message.data, message.metadata
    a, b = (
        value if isinstance(value := metadata.get(key), str) and value else None
        for key in ("essay_a_id", "essay_b_id")
    )
    won = data["winner"]
    return {
        "sequence": sequence,
        "request_id": data["request_id"],
        "correlation_id": data["correlation_id"].lower(),
        "status": "succeeded" if won else "failed",
        "essay_a_id": a,
        "essay_b_id": b,
        "winner_id": None if not won else a if won == "Essay A" else b,
        "loser_id": None if not won else b if won == "Essay A" else a,
        "provider": data["provider"],
        "model": data["model"],
        "tokens_prompt": data["token_usage"]["prompt_tokens"],
        "tokens_completion": data["token_usage"]["completion_tokens"],
        "cost_usd": data["cost_estimate"],
        "started_at": stamp(3),
        "completed_at": stamp(5),
        "position": f"callbacks[{message.partition}]@{message.offset}",
    }


def _planned_essay(index: int) -> dict[str, Any]:
    checksum = hashlib.sha256(f"text {index}".encode()).hexdigest()
    facts = {"essay_id": essay_id(index), "local_id": f"anchor-{index}", "file_name": f"anchor-{index}.txt"}
    return facts | {"source_path": f"anchors/anchor-{index}.txt", "checksum": checksum, "grade": "C"}


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Recorded]:
    """A clean run over n essays, one full round-robin that essay A wins if it is the better (lower) one."""
    numbers = itertools.count(1)

    def build(n: int = 6, *, waves: int | None = None) -> Recorded:
        pairs = [pair for wave in list(round_robin(n))[:waves] for pair in wave]
        plan = {
            "scenario": "anchor_align",
            "variant": "baseline",
            "repeat": 1,
            "mode": "anchor-align-test",
            "batch_uuid": BATCH,
            "correlation_id": CORRELATION,
            "created_at": stamp(0),
            "runner_version": "0.1.0",
            "course_code": "ENG5",
            "language": "en",
            "provider": "openai",
            "model": MODEL,
            "planned_comparisons": n * (n - 1) // 2,
            "idle_seconds": 30.0,
            "total_seconds": 300.0,
            "essays": [_planned_essay(index) for index in range(n)],
        }
        end = 6.0 + 0.01 * len(pairs)
        return Recorded(
            n=n,
            root=tmp_path / f"run-{next(numbers)}",
            plan=plan,
            overrides={"provider_override": "openai", "model_override": MODEL, "reasoning_effort": "low"},
            comparisons=[
                callback(k, a, b, "Essay A" if a < b else "Essay B") for k, (a, b) in enumerate(pairs)
            ],
            assessment_results=[rich_result(n, end)],
            completions=[completion(n, end)],
        )

    return build


@pytest.fixture
def run(make_run: Callable[..., Recorded]) -> Recorded:
    """A clean run over six essays: 15 comparisons."""
    return make_run()


class Tools:
    """The builders above, for tests, which cannot import this module."""

    Message, Recorded = Message, Recorded
    callback, fail, rich_result = staticmethod(callback), staticmethod(fail), staticmethod(rich_result)
    completion, failed_event = staticmethod(completion), staticmethod(failed_event)
    essay_id, identifier, stamp = staticmethod(essay_id), staticmethod(identifier), staticmethod(stamp)

    @staticmethod
    def codes(findings: tuple[Finding, ...] | list[Finding], severity: str | None = "error") -> list[str]:
        """Distinct codes of one severity (of all with ``None``), sorted."""
        return sorted({f.code for f in findings if severity is None or f.severity == severity})

    @staticmethod
    def told(findings: tuple[Finding, ...] | list[Finding]) -> str:
        """Everything that findings say, word for word; of many with one code the first three.

        Digests and sizes of whole files, which change with every field of a document, are left out.
        """
        seen: Counter[str] = Counter()
        parts = []
        for found in findings:
            seen[found.code] += 1
            if seen[found.code] <= 3:
                fields = found.model_dump(
                    exclude={"code", "severity", "check", "message"}, exclude_defaults=True
                )
                lines = [f"  {key}: {value}" for key, value in fields.items()]
                title = f"{found.code} {found.severity} of {found.check}: {found.message}"
                parts.append("\n".join((title, *lines)))
        more = [f"{code}: {count} in all" for code, count in seen.items() if count > 3]
        return re.sub(r"[0-9a-f]{12}\.\. \(\d+ bytes\)", "<digest>", "\n".join((*parts, *more)))


@pytest.fixture(scope="session")
def make() -> type[Tools]:
    return Tools
