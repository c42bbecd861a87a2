"""Recorded runs, made line by line through the evidence API: a clean one, to be altered by a test."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from recorded_messages import (
    BATCH,
    CORRELATION,
    MODEL,
    START,
    STREAMS,
    UNRANKED,
    UNSCORED,
    Message,
    callback,
    completion,
    essay_id,
    fail,
    failed_event,
    identifier,
    rich_result,
    round_robin,
    scores,
    stamp,
    system_metadata,
)

from pytest_eng5.contracts import ProcessingEvent, decode_event, topic_name
from pytest_eng5.evidence import (
    Artefact,
    CapturedEvent,
    CapturedRecord,
    EndReason,
    Finding,
    RejectedRecord,
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

    def held(self) -> RunEvidence:
        """The same evidence without files, which is ten times as quick: for checks that open none."""
        self.score()
        asked = ProcessingEvent.ELS_CJ_ASSESSMENT_REQUESTED
        return RunEvidence(
            self.folder,
            RunPlan.model_validate(self.plan),
            decode_event(asked, json.dumps(self._request()).encode()) if self.with_request else None,
            *(tuple(self._captured(kind)) for kind in STREAMS),
            rejected=tuple(
                RejectedRecord(record, rejection, f"events/rejected.jsonl:{number}")
                for number, (record, rejection) in enumerate(self.rejected, start=1)
            ),
            ending=None if self.ending is None else self.made_ending(),
        )

    def _captured(self, kind: str) -> Iterator[CapturedEvent]:
        for number, message in enumerate(self.messages(kind), start=1):
            record = self.record(message, kind)
            envelope = decode_event(STREAMS[kind], record.value or b"")
            yield CapturedEvent(record, envelope, f"events/{kind}.jsonl:{number}")

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
            "system_metadata": system_metadata(0.5, "pending"),
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
