"""A real broker, the pipeline as a real child process, and a small client that runs batches through them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from pytest_eng5.brokers import BrokerOptions, EmbeddedBroker
from pytest_eng5.contracts import (
    PIPELINE_EVENTS,
    ELS_CJAssessmentRequestV1,
    EssayProcessingInputRefV1,
    EventEnvelope,
    ProcessingEvent,
    SystemProcessingMetadata,
    decode_event,
    topic_name,
    wire_essay_id,
)

REQUESTED = ProcessingEvent.ELS_CJ_ASSESSMENT_REQUESTED
CALLBACK = ProcessingEvent.LLM_COMPARISON_RESULT
COMPLETED = ProcessingEvent.CJ_ASSESSMENT_COMPLETED
FAILED = ProcessingEvent.CJ_ASSESSMENT_FAILED
RICH = ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED
RESOURCE = ProcessingEvent.RESOURCE_CONSUMPTION_REPORTED
# Of brokers, so that a member of a group that was killed is missed sooner than Kafka's least of 6 s.
PROPERTIES = {"group.min.session.timeout.ms": "1000"}


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """A broker shared by all tests that do it no harm; each pipeline on it has its own topics."""
    folder = tmp_path_factory.mktemp("broker")
    log = folder / "kafka.log"
    options = BrokerOptions(kind="embedded", work_dir=folder, log_path=log, properties=PROPERTIES)
    embedded = EmbeddedBroker(options)
    embedded.start()
    yield embedded
    embedded.stop()


@dataclass
class Running:
    """A pipeline process, and what it said when it was ready."""

    process: subprocess.Popen[str]
    log_file: Path
    stderr_file: Path
    bootstrap: str
    prefix: str
    ready: dict[str, Any]

    def logs(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]

    def terminate(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Signal it; exit code and the seconds that took."""
        began = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(60), time.monotonic() - began

    def http(self) -> httpx.Client:
        return httpx.Client(trust_env=False)


Start = Callable[..., Running]


class Starter:
    """Starts pipelines and ends all of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[subprocess.Popen[str]] = []

    def __call__(
        self, bootstrap: str, *options: str, prefix: str | None = None, env: dict[str, str] | None = None
    ) -> Running:
        number = len(self._started)
        prefix = f"t{uuid4().hex[:8]}." if prefix is None else prefix
        log_file, stderr_file = self._folder / f"{number}.log", self._folder / f"{number}.err"
        command = [sys.executable, "-m", "pytest_eng5.pipeline", "serve", "--bootstrap-servers", bootstrap]
        command += ["--topic-prefix", prefix, "--log-file", str(log_file), *options]
        with stderr_file.open("w") as stderr:
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env={**os.environ, "ENG5_PIPELINE_STATE": "memory", **(env or {})},
            )
        self._started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"the pipeline did not become ready: {stderr_file.read_text()}"
        return Running(process, log_file, stderr_file, bootstrap, prefix, json.loads(line)["ready"])

    def end(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.terminate()
        for process in self._started:
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            assert process.stdout is not None
            process.stdout.close()


@pytest.fixture(scope="session")
def pipeline(broker: EmbeddedBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One pipeline for the tests that need nothing special of it."""
    starter = Starter(tmp_path_factory.mktemp("pipeline"))
    yield starter(broker.connection.bootstrap_servers, "--pair-seed", "5", "--max-comparisons", "500")
    starter.end()


@pytest.fixture
def start_pipeline(broker: EmbeddedBroker, tmp_path: Path) -> Iterator[Start]:
    """Start pipelines of one's own on the shared broker, each with topics of its own."""
    starter = Starter(tmp_path)

    def start(*options: str, **more: Any) -> Running:
        return starter(more.pop("bootstrap", broker.connection.bootstrap_servers), *options, **more)

    yield start
    starter.end()


@dataclass
class Plan:
    """A batch to run.

    ``simulation`` is merged into the side channel's body; ``None`` registers none. ``texts`` may hold
    ``None`` for an essay whose storage id does not exist. ``request`` and ``metadata`` are overlaid.
    """

    texts: Sequence[str | None]
    qualities: Sequence[float] | None = None
    simulation: dict[str, Any] | None = field(default_factory=dict)
    request: dict[str, Any] = field(default_factory=dict)
    overrides: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    copies: int = 1
    batch_id: str = field(default_factory=lambda: str(uuid4()))


def round_robin(n: int, **changes: Any) -> Plan:
    """n essays of falling quality, compared once each."""
    budget = {"max_comparisons": n * (n - 1) // 2}
    metadata = budget | changes.pop("metadata", {})
    return Plan([f"Text of essay number {i}." for i in range(n)], metadata=metadata, **changes)


@dataclass
class Outcome:
    """What a batch caused, by event, in the order of arrival: envelopes and raw records."""

    plan: Plan
    ids: list[str]
    envelope: EventEnvelope
    records: dict[ProcessingEvent, list[Any]] = field(default_factory=dict)

    def of(self, event: ProcessingEvent) -> list[EventEnvelope]:
        return [decode_event(event, record.value) for record in self.records.get(event, [])]

    def data(self, event: ProcessingEvent) -> list[Any]:
        return [envelope.data for envelope in self.of(event)]

    def one(self, event: ProcessingEvent) -> Any:
        (payload,) = self.data(event)
        return payload

    @property
    def callbacks(self) -> list[Any]:
        return self.data(CALLBACK)

    def label(self, essay_id: str) -> int:
        return self.ids.index(essay_id)

    @property
    def games(self) -> list[tuple[int, int, str | None]]:
        """(first, second, winner) of each callback, essays by their place in the request, sorted."""
        found = (
            (
                self.label(result.request_metadata["essay_a_id"]),
                self.label(result.request_metadata["essay_b_id"]),
                result.winner,
            )
            for result in self.callbacks
        )
        return sorted(found, key=str)


def _batch_of(event: ProcessingEvent, value: bytes) -> str:
    try:
        payload = json.loads(value)["data"]
        found = payload["request_metadata"]["bos_batch_id"] if event is CALLBACK else payload["entity_id"]
    except (ValueError, KeyError, TypeError):
        return ""
    return str(found)


class Client:
    """Publishes requests to a pipeline and collects what they cause."""

    def __init__(self, running: Running, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer) -> None:
        self.running = running
        self.producer = producer
        self.consumer = consumer
        self.http = httpx.AsyncClient(trust_env=False, timeout=30)
        self.outcomes: dict[str, Outcome] = {}
        self.others: list[tuple[ProcessingEvent, Any]] = []

    def topic(self, event: ProcessingEvent) -> str:
        return topic_name(event, self.running.prefix)

    async def upload(self, text: str) -> str:
        answer = await self.http.post(self.running.ready["content_url"], content=text.encode())
        assert answer.status_code == 201, answer.text
        return str(answer.json()["storage_id"])

    async def prepare(self, plan: Plan) -> Outcome:
        """Upload the essays, tell the judge about them, compose the request."""
        ids = [wire_essay_id(plan.batch_id, str(i)) for i in range(len(plan.texts))]
        storage = [uuid4().hex if text is None else await self.upload(text) for text in plan.texts]
        if plan.simulation is not None:
            qualities = plan.qualities or [float(len(ids) - i) for i in range(len(ids))]
            body = {
                "qualities": dict(zip(ids, qualities, strict=True)),
                "labels": {essay_id: f"label-{i}" for i, essay_id in enumerate(ids)},
                "discrimination": 1.0,
                "seed": 7,
                **plan.simulation,
            }
            url = f"{self.running.ready['llm_url']}/admin/simulations/{plan.batch_id}"
            answer = await self.http.put(url, json=body)
            assert answer.status_code == 204, answer.text
        fields: dict[str, Any] = {
            "entity_id": plan.batch_id,
            "entity_type": "batch",
            "system_metadata": SystemProcessingMetadata(entity_id=plan.batch_id, entity_type="batch"),
            "essays_for_cj": [
                EssayProcessingInputRefV1(essay_id=essay_id, text_storage_id=storage_id)
                for essay_id, storage_id in zip(ids, storage, strict=True)
            ],
            "language": "en",
            "course_code": "ENG5",
            "user_id": "researcher",
            "llm_config_overrides": {
                "provider_override": "mock",
                "model_override": "simulated-judge",
                **plan.overrides,
            },
            **plan.request,
        }
        envelope = EventEnvelope(
            event_type=topic_name(REQUESTED),
            source_service="tests",
            data=ELS_CJAssessmentRequestV1.model_validate(fields),
            metadata=plan.metadata,
        )
        outcome = Outcome(plan, ids, envelope)
        self.outcomes[plan.batch_id] = outcome
        return outcome

    async def publish(self, event: ProcessingEvent, value: bytes, key: str | None = None) -> None:
        await self.producer.send_and_wait(self.topic(event), value, key=key.encode() if key else None)

    async def request(self, outcome: Outcome) -> None:
        for _ in range(outcome.plan.copies):
            await self.publish(REQUESTED, outcome.envelope.to_wire(), outcome.plan.batch_id)

    async def collect(self, until: Callable[[], bool], seconds: float = 90) -> None:
        """Take in events until a condition holds."""
        deadline = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < deadline, f"waited {seconds} s: {self.summary()}"
            await self._take_in(await self.consumer.getmany(timeout_ms=200))

    async def drain(self, seconds: float = 0.5) -> None:
        """Take in what still comes within a while."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            await self._take_in(await self.consumer.getmany(timeout_ms=100))

    async def _take_in(self, polled: dict[TopicPartition, list[Any]]) -> None:
        by_topic = {self.topic(event): event for event in PIPELINE_EVENTS}
        for partition, records in polled.items():
            event = by_topic[partition.topic]
            for record in records:
                outcome = self.outcomes.get(_batch_of(event, record.value))
                if outcome is None:
                    self.others.append((event, record))
                else:
                    outcome.records.setdefault(event, []).append(record)

    def summary(self) -> str:
        return "; ".join(
            f"{batch}: " + ", ".join(f"{event.value} {len(records)}" for event, records in o.records.items())
            for batch, o in self.outcomes.items()
        )


def ended(*outcomes: Outcome) -> bool:
    """Whether each batch has its last event."""
    return all(outcome.records.get(RESOURCE) or outcome.records.get(FAILED) for outcome in outcomes)


@asynccontextmanager
async def client_of(running: Running) -> AsyncIterator[Client]:
    """A client whose consumer stands at the end of all topics but the request's."""
    producer = AIOKafkaProducer(bootstrap_servers=running.bootstrap, max_request_size=4_000_000)
    consumer = AIOKafkaConsumer(bootstrap_servers=running.bootstrap, request_timeout_ms=5000)
    events = [event for event in PIPELINE_EVENTS if event is not REQUESTED]
    await producer.start()
    await consumer.start()
    client = Client(running, producer, consumer)
    try:
        partitions = [TopicPartition(client.topic(event), number) for event in events for number in range(3)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        for partition, offset in ends.items():
            consumer.seek(partition, offset)
        yield client
    finally:
        await client.http.aclose()
        for kafka in (producer, consumer):
            with suppress(Exception):
                await asyncio.wait_for(kafka.stop(), 10)


RunBatches = Callable[..., list[Outcome]]


@pytest.fixture
def run_batches() -> RunBatches:
    """Run batches on a pipeline at the same time and return what each caused."""

    def run(running: Running, *plans: Plan, seconds: float = 90) -> list[Outcome]:
        async def work() -> list[Outcome]:
            async with client_of(running) as client:
                outcomes = [await client.prepare(plan) for plan in plans]
                for outcome in outcomes:
                    await client.request(outcome)
                await client.collect(lambda: ended(*outcomes), seconds)
                await client.drain()
                return outcomes

        return asyncio.run(work())

    return run


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class Service:
    """One process, perhaps not ready yet."""

    process: subprocess.Popen[str]
    log_file: Path
    stderr_file: Path

    def ready(self) -> dict[str, Any]:
        """Wait for its line."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.stderr_file.read_text()
        return dict(json.loads(line)["ready"])

    def logs(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]

    def said(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.logs() if line["event"] == event]

    def until_said(self, event: str, seconds: float = 60) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while not (self.log_file.exists() and (found := self.said(event))):
            assert time.monotonic() < deadline, f"{event!r} was not said: {self.stderr_file.read_text()}"
            time.sleep(0.05)
        return found[0]


Launch = Callable[..., Service]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Start ``serve`` with options and do not wait for it."""
    started: list[subprocess.Popen[str]] = []

    def start(*options: str, env: dict[str, str] | None = None) -> Service:
        number = len(started)
        log_file, stderr_file = tmp_path / f"{number}.log", tmp_path / f"{number}.err"
        command = [sys.executable, "-m", "pytest_eng5.pipeline", "serve", "--log-file", str(log_file)]
        with stderr_file.open("w") as stderr:
            process = subprocess.Popen(
                [*command, *options],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env={**os.environ, "ENG5_PIPELINE_STATE": "memory", **(env or {})},
            )
        started.append(process)
        return Service(process, log_file, stderr_file)

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
    for process in started:
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def prefix() -> str:
    return f"s{uuid4().hex[:8]}."


@pytest.fixture
def servers(broker: EmbeddedBroker) -> str:
    return broker.connection.bootstrap_servers


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[[int], EmbeddedBroker]]:
    """Start a broker on a port."""
    started: list[EmbeddedBroker] = []

    def make(port: int) -> EmbeddedBroker:
        places = {"work_dir": tmp_path / "kafka", "log_path": tmp_path / "kafka.log"}
        options = BrokerOptions(kind="embedded", port=port, properties=PROPERTIES, **places)
        started.append(EmbeddedBroker(options))
        started[-1].start()
        return started[-1]

    yield make
    for embedded in started:
        embedded.stop()


def stack(launch: Launch, servers: str, prefix: str, order: str) -> dict[str, Service]:
    """The three services on ports known beforehand, started in an order and not waited for."""
    ports = {name: free_port() for name in ("content", "cj", "llm")}
    env = {
        "CONTENT_SERVICE_URL": f"http://127.0.0.1:{ports['content']}/v1/content",
        "LLM_PROVIDER_SERVICE_URL": f"http://127.0.0.1:{ports['llm']}",
        "KAFKA_BOOTSTRAP_SERVERS": servers,
    }
    services = {}
    for name in order.split():
        options = ["--service", name, f"--{name}-port", str(ports[name]), "--topic-prefix", prefix]
        services[name] = launch(*options, env=env)
    return services


def as_running(services: dict[str, Service], servers: str, prefix: str) -> Any:
    """What the batch client needs to know of a pipeline."""
    said = {name: service.ready() for name, service in services.items()}
    ready = {f"{name}_url": said[name][f"{name}_url"] for name in ("content", "cj", "llm")}
    return SimpleNamespace(ready=ready, bootstrap=servers, prefix=prefix)


@pytest.fixture(scope="session")
def lab() -> Any:
    """This module, for tests that need more of it than the fixtures: ``lab.Plan``, ``lab.client_of``."""
    return sys.modules[__name__]
