"""A real broker, events as the services write them, and a rig: one capture hub on topics of its own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from kafka_proxy import KafkaProxy

from pytest_eng5.brokers import BrokerOptions, EmbeddedBroker, ensure_topics
from pytest_eng5.capture import CaptureHub, RunChannel
from pytest_eng5.contracts import CAPTURED_EVENTS, ProcessingEvent, topic_name, topic_names
from pytest_eng5.evidence import CapturedRecord, Rejection, RunFolder, Stream, decode_line, read_stream

CALLBACK = ProcessingEvent.LLM_COMPARISON_RESULT
COMPLETED = ProcessingEvent.CJ_ASSESSMENT_COMPLETED
FAILED = ProcessingEvent.CJ_ASSESSMENT_FAILED
RICH = ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED
LARGE = 20 << 20
NOW = "2026-03-01T09:00:07Z"


@pytest.fixture(scope="session")
def broker(shared_broker: EmbeddedBroker) -> EmbeddedBroker:
    """One broker for all tests that do it no harm; each rig on it has its own topics."""
    return shared_broker


@contextmanager
def own_broker(folder: Path, **properties: str) -> Iterator[EmbeddedBroker]:
    """A broker with server properties of its own, or one to be harmed."""
    folder.mkdir(exist_ok=True)
    options = BrokerOptions(
        kind="embedded",
        work_dir=folder,
        log_path=folder / "kafka.log",
        watch_pid=os.getpid(),
        properties={name.replace("_", "."): value for name, value in properties.items()},
    )
    embedded = EmbeddedBroker(options)
    embedded.start()
    try:
        yield embedded
    finally:
        embedded.stop()


@pytest.fixture(scope="session")
def generous(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """A broker that takes records of 20 MB and compacts at once."""
    limit = str(LARGE)
    settings = {"message_max_bytes": limit, "replica_fetch_max_bytes": limit, "log_cleaner_backoff_ms": "100"}
    with own_broker(tmp_path_factory.mktemp("generous"), **settings) as embedded:
        yield embedded


@pytest.fixture
def proxy(broker: EmbeddedBroker) -> Iterator[KafkaProxy]:
    """A way to the shared broker that can be disturbed."""
    made = KafkaProxy(port_of(broker))
    yield made
    made.close()


def port_of(broker: EmbeddedBroker) -> int:
    return int(broker.connection.bootstrap_servers.rpartition(":")[2])


def envelope(data: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An envelope with nothing in it that could tell whose event it is."""
    return {
        "event_id": str(uuid4()),
        "event_type": "whatever",
        "event_timestamp": NOW,
        "source_service": "synthetic",
        "schema_version": 1,
        "correlation_id": str(uuid4()),
        "data": data,
        **changes,
    }


def callback(batch: str | None, first: str | None = None, second: str | None = None, **changes: Any) -> Any:
    """A callback (contract 2.3); ids that are None are left out of its metadata."""
    named = {"essay_a_id": first, "essay_b_id": second, "bos_batch_id": batch}
    metadata = {key: value for key, value in named.items() if value is not None}
    metadata |= changes.pop("metadata", {})
    return envelope(
        {
            "request_id": str(uuid4()),
            "correlation_id": str(uuid4()),
            "winner": "Essay A",
            "justification": "Clearer control of language.",
            "confidence": 4.2,
            "provider": "openai",
            "model": "gpt-5.1",
            "response_time_ms": 1840,
            "cost_estimate": 0.01,
            "requested_at": NOW,
            "completed_at": NOW,
            "request_metadata": metadata,
            **changes,
        }
    )


def completed(batch: str | None, job: str = "151", ids: Sequence[str] = (), **changes: Any) -> Any:
    """The thin completion (contract 2.5)."""
    return envelope(
        {
            "event_name": "cj_assessment.completed",
            "entity_id": batch,
            "entity_type": "batch",
            "status": "completed_successfully",
            "system_metadata": {"entity_id": "x", "entity_type": "batch", "processing_stage": "completed"},
            "cj_assessment_job_id": job,
            "processing_summary": {"successful_essay_ids": list(ids)},
            **changes,
        }
    )


def failed(batch: str | None, job: str = "INITIALIZATION_FAILED", **changes: Any) -> Any:
    """A failed batch (contract 2.6)."""
    info = {"error_code": "CONTENT_SERVICE_ERROR", "error_message": "essay text not found"}
    return envelope(
        {
            "event_name": "cj_assessment.failed",
            "entity_id": batch,
            "entity_type": "batch",
            "status": "failed_critically",
            "system_metadata": {"entity_id": "x", "entity_type": "batch", "error_info": info},
            "cj_assessment_job_id": job,
            **changes,
        }
    )


def rich(batch: str | None, ids: Sequence[str] = ("e1", "e2"), job: str = "151", **changes: Any) -> Any:
    """The rich result (contract 2.4)."""
    entry = {"normalized_score": 0.0, "letter_grade": "U", "confidence_score": 0.0, "confidence_label": "LOW"}
    results = [
        {"essay_id": essay, "bt_score": 0.0, "rank": rank, **entry} for rank, essay in enumerate(ids, 1)
    ]
    return envelope(
        {
            "event_name": "assessment.result.published",
            "batch_id": batch,
            "cj_assessment_job_id": job,
            "assessment_method": "cj_assessment",
            "model_used": "gpt-5.1",
            "model_provider": "openai",
            "essay_results": results,
            **changes,
        }
    )


def wire(event: Any) -> bytes:
    """An event as bytes; bytes stay as they are."""
    return event if isinstance(event, bytes) else json.dumps(event).encode()


Line = tuple[CapturedRecord, Rejection | None]


@dataclass
class Rig:
    """A hub, a producer, and the channels of the runs under test."""

    broker: EmbeddedBroker
    folder: Path
    prefix: str
    hub: CaptureHub
    producer: AIOKafkaProducer
    channels: list[RunChannel] = field(default_factory=list)

    @property
    def bootstrap(self) -> str:
        return self.broker.connection.bootstrap_servers

    def topic(self, event: ProcessingEvent) -> str:
        return topic_name(event, self.prefix)

    def run(self, name: str = "run", expected: int = 1, essays: Sequence[str] = ()) -> RunChannel:
        """Register a run with its own batch and essays."""
        ids = frozenset(essays or (f"{name}-e1", f"{name}-e2"))
        channel = RunChannel(RunFolder(self.folder / name), str(uuid4()), ids, expected)
        self.hub.register(channel)
        self.channels.append(channel)
        return channel

    async def send(
        self,
        event: ProcessingEvent,
        value: Any,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
        null: bool = False,
    ) -> str:
        """Publish one record; returns ``topic[partition]@offset``."""
        payload = None if null else wire(value)
        sent = await self.producer.send_and_wait(
            self.topic(event), payload, key=key, partition=partition, headers=list(headers)
        )
        return f"{sent.topic}[{sent.partition}]@{sent.offset}"

    def lines(self, channel: RunChannel, stream: Stream) -> list[Line]:
        """What stands in a log on disk at this moment."""
        return [(record, rejection) for record, rejection, _ in read_stream(channel.folder, stream)]

    def positions(self, channel: RunChannel, stream: Stream) -> list[str]:
        return [record.position for record, _ in self.lines(channel, stream)]

    def stray(self) -> list[Line]:
        path = self.folder / "stray.jsonl"
        content = path.read_bytes().splitlines() if path.exists() else []
        return [decode_line(line, "stray") for line in content]

    def everything(self) -> int:
        """Lines in all logs of all runs."""
        return sum(len(self.lines(channel, stream)) for channel in self.channels for stream in Stream)

    def new_hub(self, group: str | None = None) -> CaptureHub:
        """A hub as a later session would have it."""
        arguments = self.broker.connection.client_arguments()
        stray = self.folder / "stray.jsonl"
        return CaptureHub(arguments, group or f"{self.prefix}group", stray, self.prefix)


@asynccontextmanager
async def rig_on(
    broker: EmbeddedBroker, folder: Path, *, started: bool = True, through: str | None = None
) -> AsyncIterator[Rig]:
    """A rig on new topics of a broker; its hub may reach it through a proxy at that address."""
    prefix = f"t{uuid4().hex[:8]}."
    topics = topic_names(CAPTURED_EVENTS, prefix)
    await ensure_topics(broker.connection, topics, partitions=3, may_create=True)
    arguments = broker.connection.client_arguments()
    producer = AIOKafkaProducer(**arguments, max_request_size=LARGE)
    await producer.start()
    hub = CaptureHub(
        {**arguments, "bootstrap_servers": through or arguments["bootstrap_servers"]},
        f"{prefix}group",
        folder / "stray.jsonl",
        prefix,
    )
    rig = Rig(broker, folder, prefix, hub, producer)
    if started:
        await hub.start()
    try:
        yield rig
    finally:
        if started:
            await rig.hub.stop()
        for channel in rig.channels:
            channel.close()
        with suppress(Exception):
            await producer.stop()


@pytest_asyncio.fixture
async def rig(broker: EmbeddedBroker, tmp_path: Path) -> AsyncIterator[Rig]:
    """A started hub on new topics."""
    async with rig_on(broker, tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def lab() -> ModuleType:
    """This module, for tests that need more of it than the fixtures: ``lab.callback``, ``lab.rig_on``."""
    return sys.modules[__name__]
