"""How fast does the capture hub take in events, against a bare Kafka loop that only parses JSON?

    python benchmarks/capture.py [--events 20000]

An embedded broker is filled with callbacks of about 1.4 KB, one batch, three partitions. The hub validates
every event, appends it to the run's log and makes it durable; the bare loop calls ``orjson.loads``. Both read
the same topic; both are measured in processes of their own, in which the events stand on the topic before the
clock starts. Prints figures and ratios, judges nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import uuid4

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from pytest_eng5.brokers import BrokerOptions, create_broker, ensure_topics
from pytest_eng5.capture import CaptureHub, RunChannel
from pytest_eng5.contracts import CAPTURED_EVENTS, ProcessingEvent, decode_event, topic_name, topic_names
from pytest_eng5.evidence import RunFolder

CALLBACK = ProcessingEvent.LLM_COMPARISON_RESULT
PARTITIONS = 3


def callback(batch: str, number: int) -> bytes:
    """A callback of about 1.4 KB, as the LLM provider service writes it."""
    now = "2026-03-01T09:00:07.123456Z"
    metadata = {
        "essay_a_id": f"student::{number % 97:027x}",
        "essay_b_id": f"student::{number % 89 + 100:027x}",
        "bos_batch_id": batch,
        "cj_batch_id": "151",
        "cj_source": "els",
        "cj_request_type": "cj_comparison",
        "reasoning_effort": "low",
        "output_verbosity": "low",
        "resolved_provider": "openai",
        "resolved_model": "gpt-5.1",
        "queue_processing_mode": "per_request",
        "prompt_sha256": f"{number:064x}",
    }
    data = {
        "request_id": str(uuid4()),
        "correlation_id": str(uuid4()),
        "winner": "Essay A",
        "justification": "The first essay controls its language more firmly. " * 6,
        "confidence": 4.2,
        "error_detail": None,
        "provider": "openai",
        "model": "gpt-5.1",
        "response_time_ms": 1840,
        "token_usage": {"prompt_tokens": 2110, "completion_tokens": 38, "total_tokens": 2148},
        "cost_estimate": 0.0001,
        "requested_at": now,
        "completed_at": now,
        "trace_id": None,
        "request_metadata": metadata,
    }
    return json.dumps(
        {
            "event_id": str(uuid4()),
            "event_type": "LLMComparisonResultV1",
            "event_timestamp": now,
            "source_service": "llm_provider_service",
            "schema_version": 1,
            "correlation_id": data["correlation_id"],
            "metadata": None,
            "data": data,
        }
    ).encode()


async def fill(servers: str, prefix: str, batch: str, events: int) -> int:
    """Publish the events; returns the mean size of one in bytes."""
    producer = AIOKafkaProducer(bootstrap_servers=servers, linger_ms=20, max_batch_size=1 << 18)
    await producer.start()
    topic, size = topic_name(CALLBACK, prefix), 0
    for number in range(events):
        value = callback(batch, number)
        size += len(value)
        await producer.send(topic, value, partition=number % PARTITIONS)
    await producer.stop()
    return size // events


class _FromTheBeginning(CaptureHub):
    """The hub as it is, but standing at the beginning: so that all events are there when the clock starts."""

    async def start(self) -> None:
        with mock.patch.object(AIOKafkaConsumer, "end_offsets", AIOKafkaConsumer.beginning_offsets):
            await super().start()


async def hub_seconds(servers: str, prefix: str, batch: str, events: int, folder: Path) -> float:
    """Seconds in which the hub has validated and durably logged all events."""
    hub = _FromTheBeginning({"bootstrap_servers": servers}, f"{prefix}g", folder / "stray.jsonl", prefix)
    channel = RunChannel(RunFolder(folder / "run"), batch, frozenset(), events)
    hub.register(channel)
    began = time.perf_counter()
    await hub.start()
    connected = time.perf_counter() - began
    began = time.perf_counter()
    await hub.drain()
    seconds = time.perf_counter() - began
    await hub.stop()
    channel.close()
    assert channel.account.comparisons == events, channel.account
    print(f"connected in {connected:.2f} s", file=sys.stderr)
    return seconds


async def bare_seconds(servers: str, prefix: str, events: int, *, validate: bool) -> float:
    """Seconds of a loop that only parses: with orjson, or with the contract's model."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, max_partition_fetch_bytes=4 << 20)
    await consumer.start()
    partitions = [TopicPartition(topic_name(CALLBACK, prefix), number) for number in range(PARTITIONS)]
    consumer.assign(partitions)
    for partition in partitions:
        consumer.seek(partition, 0)
    seen, began = 0, time.perf_counter()
    while seen < events:
        for messages in (await consumer.getmany(timeout_ms=500, max_records=2000)).values():
            for message in messages:
                if validate:
                    decode_event(CALLBACK, message.value)
                else:
                    orjson.loads(message.value)
            seen += len(messages)
    seconds = time.perf_counter() - began
    await consumer.stop()
    return seconds


def child(what: str, servers: str, prefix: str, batch: str, events: int) -> dict[str, float]:
    """One measurement in a fresh process: seconds and peak memory in MB."""
    command = [sys.executable, __file__, "--child", what, servers, prefix, batch, str(events)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def run_child(what: str, servers: str, prefix: str, batch: str, events: int) -> None:
    """The other side of :func:`child`."""
    with tempfile.TemporaryDirectory() as folder:
        if what == "hub":
            seconds = asyncio.run(hub_seconds(servers, prefix, batch, events, Path(folder)))
        else:
            seconds = asyncio.run(bare_seconds(servers, prefix, events, validate=what == "model"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1024 if sys.platform != "darwin" else 1 << 20
    )
    print(json.dumps({"seconds": seconds, "peak_mb": peak}))


def measure(servers: str, connection: Any, events: int, repeats: int) -> dict[str, dict[str, float]]:
    """Median of several measurements of each kind on a topic of its own."""
    prefix, batch = f"bench{uuid4().hex[:6]}.", str(uuid4())

    async def prepare() -> int:
        topics = topic_names(CAPTURED_EVENTS, prefix)
        await ensure_topics(connection, topics, partitions=PARTITIONS, may_create=True)
        return await fill(servers, prefix, batch, events)

    size = asyncio.run(prepare())
    print(f"\n{events} callbacks of {size} bytes on {PARTITIONS} partitions, median of {repeats}")
    found: dict[str, dict[str, float]] = {}
    labels = {
        "orjson": "bare loop, orjson.loads",
        "model": "bare loop, contract model",
        "hub": "hub, durable",
    }
    runs: dict[str, list[dict[str, float]]] = {what: [] for what in labels}
    for _ in range(repeats):
        for what in labels:
            runs[what].append(child(what, servers, prefix, batch, events))
    for what, label in labels.items():
        seconds = statistics.median(run["seconds"] for run in runs[what])
        peak = max(run["peak_mb"] for run in runs[what])
        found[what] = {"seconds": seconds, "peak_mb": peak}
        print(f"  {label:28} {seconds:6.2f} s {events / seconds:9.0f} events/s   peak {peak:4.0f} MB")
    return found


def main() -> None:
    """Measure half the events and all of them, and print the ratios."""
    parser = argparse.ArgumentParser(description="Throughput of the capture hub")
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        what, servers, prefix, batch, events = arguments.child
        run_child(what, servers, prefix, batch, int(events))
        return
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "kafka.log"
        broker = create_broker(BrokerOptions(kind="embedded", log_path=log, watch_pid=os.getpid()))
        connection = broker.start()
        try:
            servers = connection.bootstrap_servers
            half = measure(servers, connection, arguments.events // 2, arguments.repeats)
            full = measure(servers, connection, arguments.events, arguments.repeats)
        finally:
            broker.stop()
    hub, bare, model = full["hub"], full["orjson"], full["model"]
    print(f"\nhub / bare loop with orjson:     {bare['seconds'] / hub['seconds']:.2f} of its speed (aim 0.5)")
    print(f"hub / bare loop with the model:  {model['seconds'] / hub['seconds']:.2f} of its speed")
    print(f"time for all / time for half:    {hub['seconds'] / half['hub']['seconds']:.2f} (aim <= 2.2)")
    print(f"peak memory of the hub:          {hub['peak_mb']:.0f} MB (aim < 300)")


if __name__ == "__main__":
    main()
