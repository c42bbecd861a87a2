"""A tiny pipeline written from the contract alone; shares no code with pytest_eng5.

``python foreign_pipeline.py BOOTSTRAP PREFIX LOG``: content service and mock-mode route on one HTTP port, CJ
and LLM provider in one consumer loop, everything published with zstd. It prints one JSON line when it is
ready and ends when its standard input closes. A batch whose variant is named after a fault gets that fault,
one whose variant is named after a way to publish is published that way.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import sys
import threading
import time
import uuid
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import choix
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

SERVERS, PREFIX, LOG = sys.argv[1:4]
REQUESTED, CALLBACK, COMPLETED, FAILED, RICH = (
    PREFIX + name
    for name in (
        "huleedu.els.cj_assessment.requested.v1",
        "huleedu.llm_provider.comparison_result.v1",
        "huleedu.cj_assessment.completed.v1",
        "huleedu.cj_assessment.failed.v1",
        "huleedu.assessment.result.published.v1",
    )
)
STORE: dict[str, bytes] = {}
PRODUCERS: dict[str, dict] = {
    **{codec: {"compression.type": codec} for codec in ("none", "gzip", "snappy", "lz4", "zstd")},
    "batched": {"compression.type": "lz4", "linger.ms": 300, "batch.num.messages": 1000},
    "plain": {"enable.idempotence": False, "acks": 1},
    "transactional": {"transactional.id": f"{PREFIX}transactions", "compression.type": "gzip"},
}


class Services(BaseHTTPRequestHandler):
    """Content service, and the provider's word that it is a mock."""

    def answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        name = uuid.uuid4().hex
        STORE[name] = body
        self.answer(201, json.dumps({"storage_id": name, "correlation_id": str(uuid.uuid4())}).encode())

    def do_GET(self) -> None:
        if self.path == "/admin/mock-mode":
            self.answer(200, b'{"use_mock_llm": true, "mock_mode": "default"}')
            return
        body = STORE.get(self.path.rsplit("/", 1)[-1])
        self.answer(404, b"{}") if body is None else self.answer(200, body, "text/plain")

    def log_message(self, *_: object) -> None:
        pass


def now() -> str:
    """The time as JSON has it."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def envelope(kind: str, source: str, correlation: str, data: dict, metadata: dict | None = None) -> bytes:
    """An event in its envelope (1.2)."""
    return json.dumps(
        {
            "event_id": str(uuid.uuid4()),
            "event_type": kind,
            "event_timestamp": now(),
            "source_service": source,
            "schema_version": 1,
            "correlation_id": correlation,
            "data_schema_uri": None,
            "data": data,
            "metadata": metadata,
        }
    ).encode()


class Batch:
    """One request, judged, scored and answered."""

    def __init__(self, request: dict) -> None:
        data = request["data"]
        self.correlation = request["correlation_id"]
        self.batch, self.overrides = data["entity_id"], data["llm_config_overrides"]
        self.essays = [(essay["essay_id"], essay["text_storage_id"]) for essay in data["essays_for_cj"]]
        self.fault = request["metadata"]["batch_label"].split(".")[1]
        self.job = str(int(uuid.UUID(self.batch)) % 100_000)
        self.games: list[tuple[str, str]] = []
        self.started = now()

    def callbacks(self):
        """(key, value) of every comparison, wave after wave of the round-robin."""
        texts = {essay: STORE[storage].decode() for essay, storage in self.essays}
        rank = {essay: int(re.search(r"rank (\d+)", text)[1]) for essay, text in texts.items()}
        for number, (first, second) in enumerate(itertools.combinations([e for e, _ in self.essays], 2)):
            a, b = (second, first) if number % 2 else (first, second)
            prompt = f"Rubric\n\nEssay A (ID: {a})\n{texts[a]}\n\nEssay B (ID: {b})\n{texts[b]}"
            winner = a if rank[a] < rank[b] else b
            self.games.append((winner, b if winner == a else a))
            yield number, self.callback(a, b, winner, hashlib.sha256(prompt.encode()).hexdigest())

    def callback(self, a: str, b: str, winner: str, digest: str) -> dict:
        """The payload of 2.3."""
        return {
            "request_id": str(uuid.uuid4()),
            "correlation_id": str(uuid.uuid4()),
            "winner": "Essay A" if winner == a else "Essay B",
            "justification": "Bättre språk.",
            "confidence": 4.2,
            "error_detail": None,
            "provider": self.overrides["provider_override"],
            "model": self.overrides["model_override"],
            "response_time_ms": 12,
            "token_usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
            "cost_estimate": 110 / 1000 * 0.015,
            "requested_at": now(),
            "completed_at": now(),
            "trace_id": None,
            "request_metadata": {
                "essay_a_id": a,
                "essay_b_id": b,
                "bos_batch_id": self.batch,
                "cj_batch_id": self.job,
                "cj_source": "els",
                "cj_request_type": "cj_comparison",
                "resolved_provider": self.overrides["provider_override"],
                "resolved_model": self.overrides["model_override"],
                "queue_processing_mode": "per_request",
                "prompt_sha256": digest,
            },
        }

    def base(self, name: str) -> dict:
        """Fields that every CJ event has."""
        entity = {"entity_id": self.batch, "entity_type": "batch", "parent_id": None}
        return {"event_name": name, **entity, "timestamp": now()}

    def completed(self, seconds: float = 0.5) -> dict:
        """The thin event of 2.5."""
        ids = [essay for essay, _ in self.essays]
        system = {
            **{"entity_id": self.batch, "entity_type": "batch", "processing_stage": "completed"},
            **{"started_at": self.started, "completed_at": now(), "event": "cj_assessment.completed"},
            "error_info": {},
        }
        summary = {
            **{"total_essays": len(ids), "successful": len(ids), "failed": 0},
            **{"successful_essay_ids": ids, "failed_essay_ids": [], "single_essay_batch": False},
            "processing_time_seconds": seconds,
        }
        return self.base("cj_assessment.completed") | {
            "status": "completed_successfully",
            "system_metadata": system,
            "cj_assessment_job_id": self.job,
            "processing_summary": summary,
        }

    def result(self) -> dict:
        """The rich event of 2.4."""
        ids = sorted(essay for essay, _ in self.essays)
        place = {essay: number for number, essay in enumerate(ids)}
        theta = choix.ilsr_pairwise(
            len(ids), [(place[won], place[lost]) for won, lost in self.games], alpha=0.01
        )
        theta -= theta.mean()
        order = sorted(ids, key=lambda essay: -theta[place[essay]])
        rows = [
            {
                **{"essay_id": essay, "normalized_score": 0.0, "letter_grade": "U", "confidence_score": 0.0},
                **{"confidence_label": "LOW", "bt_score": float(theta[place[essay]]), "rank": rank},
                **{"is_anchor": False, "feedback_uri": None, "metrics_uri": None, "display_name": None},
            }
            for rank, essay in enumerate(order, start=1)
        ]
        return self.base("assessment.result.published") | {
            "batch_id": self.batch,
            "cj_assessment_job_id": self.job,
            "assignment_id": None,
            "assessment_method": "cj_assessment",
            "model_used": self.overrides["model_override"],
            "model_provider": self.overrides["provider_override"],
            "model_version": None,
            "essay_results": rows,
            "assessment_metadata": {"comparison_count": len(self.games), "calibration_method": "default"},
            "assessed_at": now(),
        }

    def publish(self, producer: Producer) -> None:
        """All events of the batch, published its way."""
        if self.fault != "transactional":
            self.produce(producer)
            return
        producer.init_transactions(20)
        producer.begin_transaction()
        for _, data in self.callbacks():  # of judgements that were thought better of: nobody may see them
            producer.produce(CALLBACK, envelope("LLMComparisonResultV1", "x", data["correlation_id"], data))
        producer.flush(60)
        producer.abort_transaction(20)
        self.games.clear()
        producer.begin_transaction()
        self.produce(producer)
        producer.commit_transaction(20)

    def produce(self, producer: Producer) -> None:
        """All events of the batch, with its fault."""
        fault, third = self.fault, 2
        for number, data in self.callbacks():
            value = envelope("LLMComparisonResultV1", "llm_provider_service", data["correlation_id"], data)
            if number == third:
                value = self.spoil(fault, data, value)
            if value is not None:
                producer.produce(CALLBACK, value)
            if fault == "slow":
                producer.flush(60)
                time.sleep(1)
            if number == third and fault == "duplicate":
                again = envelope(
                    "LLMComparisonResultV1", "llm_provider_service", data["correlation_id"], data
                )
                producer.produce(CALLBACK, again)
            if number == third and fault == "conflict":
                other = data | {"winner": "Essay A" if data["winner"] == "Essay B" else "Essay B"}
                again = envelope(
                    "LLMComparisonResultV1", "llm_provider_service", data["correlation_id"], other
                )
                producer.produce(CALLBACK, again)
        producer.flush(60)
        trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
        times = (0.5, 0.7) if fault == "second_completion" else (0.5,)
        for seconds in times:
            done = envelope(
                COMPLETED, "cj_assessment_service", self.correlation, self.completed(seconds), trace
            )
            producer.produce(COMPLETED, done, key=self.batch)
        producer.flush(60)
        if fault != "no_result":
            kind = "assessment.result.published"
            rich = envelope(kind, "cj_assessment_service", self.correlation, self.result(), trace)
            producer.produce(RICH, rich, key=self.job)
        producer.flush(60)

    def spoil(self, fault: str, data: dict, value: bytes) -> bytes | None:
        """The third callback as the fault has it; ``None``: not at all."""
        metadata = dict(data["request_metadata"])
        if fault == "drop":
            return None
        if fault == "garbage":
            return b"\xff\xfe\x00 nothing that can be read"
        if fault == "corrupt":
            return value.replace(b'"winner"', b'"win\xff\xfener"')
        if fault == "truncated":
            return value[: len(value) - 40]
        if fault == "no_hash":
            del metadata["prompt_sha256"]
        elif fault == "unknown_essay":
            metadata["essay_a_id"] = "student::0000000000000000000"
        elif fault == "swapped":
            metadata |= {"essay_a_id": metadata["essay_b_id"]}
        else:
            return value
        changed = data | {"request_metadata": metadata}
        return envelope("LLMComparisonResultV1", "llm_provider_service", data["correlation_id"], changed)


def main() -> None:
    """Serve until standard input closes."""
    admin = AdminClient({"bootstrap.servers": SERVERS})
    topics = [NewTopic(name, 3, 1) for name in (REQUESTED, CALLBACK, COMPLETED, FAILED, RICH)]
    for created in admin.create_topics(topics).values():
        created.result(60)
    consumer = Consumer(
        {"bootstrap.servers": SERVERS, "group.id": "foreign", "auto.offset.reset": "earliest"}
    )
    consumer.assign([TopicPartition(REQUESTED, number, 0) for number in range(3)])
    producers: dict[str, Producer] = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Services)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    print(json.dumps({"url": f"http://127.0.0.1:{server.server_port}"}), flush=True)
    with open(LOG, "w") as log:  # noqa: PTH123
        while not ended.is_set():
            message = consumer.poll(0.1)
            if message is None or message.error():
                continue
            request = json.loads(message.value())
            print(request["metadata"]["batch_label"], file=log, flush=True)
            batch = Batch(request)
            way = batch.fault if batch.fault in PRODUCERS else "zstd"
            if way not in producers:
                settings = {"bootstrap.servers": SERVERS, "enable.idempotence": True, "linger.ms": 5}
                producers[way] = Producer(settings | PRODUCERS[way])
            threading.Thread(target=batch.publish, args=(producers[way],), daemon=True).start()
    consumer.close()


if __name__ == "__main__":
    main()
