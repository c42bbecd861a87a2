"""Does a topic full of old events slow a new session down?

    python benchmarks/old_events.py [--events 200000] [--rounds 3]

One embedded broker, two sets of topics: on one stand that many callbacks of earlier sessions (1.4 KB each,
three partitions), the other is empty. The same small session (pytest in a process of its own, reference
pipeline, one run of six comparisons) is performed on both, in turns. Prints the medians of the whole session
and of the run in it, and their ratios; judges nothing. The target is a ratio within 10 % of 1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from aiokafka import AIOKafkaProducer

from pytest_eng5.brokers import BrokerConnection, BrokerOptions, create_broker, ensure_topics
from pytest_eng5.contracts import PIPELINE_EVENTS, ProcessingEvent, topic_name, topic_names

EMPTY, OLD = "empty.", "old."
PARTITIONS = 3
ESSAYS = 4
SCENARIO = """scenario: benchmark
mode: anchor-align-test
inputs: essays
judge: {provider: mock, model: simulated-judge, mock: {discrimination: 12, seed: 7}}
timeout: {idle: 30, total: 60}
variants:
  - id: only
"""


def old_callback(number: int) -> bytes:
    """A callback of about 1.4 KB that belongs to some earlier session."""
    now = "2026-03-01T09:00:07.123456Z"
    data = {
        "request_id": str(uuid4()),
        "correlation_id": str(uuid4()),
        "winner": "Essay A",
        "justification": "Clearer control of language. " * 20,
        "confidence": 4.2,
        "provider": "openai",
        "model": "gpt-5.1",
        "response_time_ms": 1840,
        "cost_estimate": 0.01,
        "requested_at": now,
        "completed_at": now,
        "request_metadata": {
            "essay_a_id": f"student::{number % 97:027x}",
            "essay_b_id": f"student::{number % 89 + 100:027x}",
            "bos_batch_id": str(uuid4()),
            "prompt_sha256": f"{number:064x}",
        },
    }
    envelope = {
        "event_id": str(uuid4()),
        "event_type": "LLMComparisonResultV1",
        "event_timestamp": now,
        "source_service": "llm_provider_service",
        "schema_version": 1,
        "correlation_id": str(uuid4()),
        "data": data,
    }
    return json.dumps(envelope).encode()


async def prepare(connection: BrokerConnection, events: int) -> None:
    """Create both sets of topics and fill one."""
    topics = [*topic_names(PIPELINE_EVENTS, EMPTY), *topic_names(PIPELINE_EVENTS, OLD)]
    await ensure_topics(connection, topics, partitions=PARTITIONS, may_create=True)
    producer = AIOKafkaProducer(**connection.client_arguments(), linger_ms=20, max_batch_size=1 << 19)
    await producer.start()
    topic = topic_name(ProcessingEvent.LLM_COMPARISON_RESULT, OLD)
    for number in range(events):
        await producer.send(topic, old_callback(number), partition=number % PARTITIONS)
    await producer.stop()


def prepare_folder(folder: Path) -> None:
    """A scenario with a few essays."""
    anchors = folder / "essays" / "anchors"
    anchors.mkdir(parents=True)
    rows = ["anchor_id,file_name,grade"]
    for number, grade in zip(range(ESSAYS), ("A", "B", "C+", "D+"), strict=True):
        (anchors / f"e{number}.txt").write_text(f"Essay {number}.\n")
        rows.append(f"e{number},e{number}.txt,{grade}")
    (folder / "essays" / "anchors.csv").write_text("\n".join(rows) + "\n")
    (folder / "essays" / "prompt.md").write_text("Write about the sea.\n")
    (folder / "benchmark.eng5.yaml").write_text(SCENARIO)
    (folder / "pytest.ini").write_text("[pytest]\n")


def session(folder: Path, servers: str, prefix: str) -> tuple[float, float]:
    """Seconds of one session, and of the run in it."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "--eng5-broker", "external"]
    command += ["--eng5-bootstrap-servers", servers, "--eng5-pipeline", "embedded"]
    command += ["--eng5-topic-prefix", prefix, "--eng5-create-topics"]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    (artefact,) = (folder / ".eng5" / "latest").resolve().glob("benchmark/only/run-1/assessment_run*.json")
    ending = json.loads(artefact.read_text())["validation"]["runner_status"]["ending"]
    times = [datetime.fromisoformat(ending[name]) for name in ("started_at", "ended_at")]
    return seconds, (times[1] - times[0]).total_seconds()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options = BrokerOptions(
            kind="embedded", work_dir=folder, log_path=folder / "kafka.log", watch_pid=os.getpid()
        )
        broker = create_broker(options)
        servers = broker.start().bootstrap_servers
        try:
            asyncio.run(prepare(broker.connection, args.events))
            prepare_folder(folder / "tree")
            session(folder / "tree", servers, EMPTY)  # warms caches up for both
            found: dict[str, list[tuple[float, float]]] = {EMPTY: [], OLD: []}
            for turn in range(args.rounds):
                for prefix in (EMPTY, OLD) if turn % 2 else (OLD, EMPTY):
                    found[prefix].append(session(folder / "tree", servers, prefix))
        finally:
            broker.stop()
    for at, what in enumerate(("session", "run")):
        empty, old = (statistics.median(times[at] for times in found[prefix]) for prefix in (EMPTY, OLD))
        print(
            f"{what}: {empty:.2f} s on empty topics, {old:.2f} s beside {args.events} old events, "
            f"ratio {old / empty:.3f}"
        )


if __name__ == "__main__":
    main()
