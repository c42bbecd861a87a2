"""The publishing seam and the watch over the broker, on the real broker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaConnectionError
from kafka_proxy import INIT_PRODUCER_ID, PRODUCE, KafkaProxy

from pytest_eng5.contracts import (
    PIPELINE_EVENTS,
    EventEnvelope,
    ProcessingEvent,
    topic_name,
    topic_names,
)
from pytest_eng5.pipeline.errors import BrokerLost, PublishRefused, StartupFailed
from pytest_eng5.pipeline.kafka import BrokerWatch, KafkaOptions, TopicSpec, ensure_topics
from pytest_eng5.pipeline.publisher import Publisher

EVENT = ProcessingEvent.CJ_ASSESSMENT_COMPLETED


@pytest.fixture
def options(broker: Any) -> KafkaOptions:
    return KafkaOptions(broker.connection.bootstrap_servers, f"p{uuid4().hex[:8]}.")


def with_admin(options: KafkaOptions, work: Callable[[AIOKafkaAdminClient], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        admin = AIOKafkaAdminClient(**options.client_arguments("tests"))
        await admin.start()
        try:
            return await work(admin)
        finally:
            await admin.close()

    return asyncio.run(run())


def envelope(payload: Any = "x") -> EventEnvelope:
    return EventEnvelope(event_type="t", source_service="s", data=payload)


async def read_all(options: KafkaOptions, count: int) -> list[Any]:
    consumer = AIOKafkaConsumer(
        topic_name(EVENT, options.topic_prefix),
        bootstrap_servers=options.bootstrap_servers,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        return [await asyncio.wait_for(consumer.getone(), 60) for _ in range(count)]
    finally:
        await consumer.stop()


@pytest.mark.parametrize(("key", "expected"), [(None, None), ("batch-å", "batch-å".encode())])
def test_an_event_arrives_with_its_key_and_without_headers(
    key: str | None, expected: bytes | None, options: KafkaOptions
) -> None:
    sent = envelope({"n": 1})

    async def work(admin: AIOKafkaAdminClient) -> Any:
        await ensure_topics(admin, map(TopicSpec, topic_names([EVENT], options.topic_prefix)))
        publisher = Publisher(options)
        await publisher.start()
        try:
            await publisher.publish(EVENT, sent, key=key)
        finally:
            await publisher.stop()
        return await read_all(options, 1)

    (record,) = with_admin(options, work)
    assert (record.key, record.headers) == (expected, ())
    assert EventEnvelope.model_validate_json(record.value) == sent


def test_an_event_that_is_too_large_is_refused_and_the_next_one_goes_through(options: KafkaOptions) -> None:
    async def work(admin: AIOKafkaAdminClient) -> Any:
        await ensure_topics(admin, map(TopicSpec, topic_names([EVENT], options.topic_prefix)))
        publisher = Publisher(options)
        await publisher.start()
        try:
            with pytest.raises(PublishRefused, match="larger"):
                await publisher.publish(EVENT, envelope("x" * 3_000_000))
            await publisher.publish(EVENT, envelope("small"))
        finally:
            await publisher.stop()
        return await read_all(options, 1)

    (record,) = with_admin(options, work)
    assert b"small" in record.value


def test_publishing_where_nothing_can_arrive_ends_in_time(options: KafkaOptions) -> None:
    impatient = KafkaOptions(options.bootstrap_servers, "no-such-topics.", broker_timeout=1.0)

    async def work(_: AIOKafkaAdminClient) -> float:
        publisher = Publisher(impatient)
        await publisher.start()
        began = time.monotonic()
        try:
            with pytest.raises(BrokerLost, match="cannot publish to no-such-topics"):
                await publisher.publish(EVENT, envelope())
        finally:
            await publisher.stop()
        return time.monotonic() - began

    assert with_admin(options, work) < 30


def test_topics_are_made_once_and_kept(options: KafkaOptions) -> None:
    topics = topic_names(PIPELINE_EVENTS, options.topic_prefix)

    async def work(admin: AIOKafkaAdminClient) -> Any:
        wanted = [TopicSpec(topic) for topic in topics]
        await asyncio.gather(ensure_topics(admin, wanted), ensure_topics(admin, wanted))
        await ensure_topics(admin, wanted, create=False)
        return await admin.describe_topics(topics)

    described = with_admin(options, work)
    assert {len(topic["partitions"]) for topic in described} == {3}
    assert all(partition["leader"] >= 0 for topic in described for partition in topic["partitions"])


def test_topics_are_made_as_they_are_specified(options: KafkaOptions) -> None:
    name = f"{options.topic_prefix}kept"

    async def work(admin: AIOKafkaAdminClient) -> Any:
        await ensure_topics(admin, [TopicSpec(name, 5, {"cleanup.policy": "compact"})])
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
        return await admin.describe_topics([name]), answer.resources

    (topic,), ((_, _, _, _, settings),) = with_admin(options, work)
    assert len(topic["partitions"]) == 5
    assert {entry[0]: entry[1] for entry in settings}["cleanup.policy"] == "compact"


def test_topics_that_may_not_be_made_are_named(options: KafkaOptions) -> None:
    names = [f"{options.topic_prefix}{name}" for name in ("there", "absent")]

    async def work(admin: AIOKafkaAdminClient) -> Any:
        await ensure_topics(admin, [TopicSpec(names[0])])
        with pytest.raises(StartupFailed, match=f"lacks 1 of 2 topics: {names[1]}") as caught:
            await ensure_topics(admin, map(TopicSpec, names), create=False)
        assert "--no-create-topics" in str(caught.value.fix)
        return await admin.list_topics()

    assert names[1] not in with_admin(options, work)


class Absent:
    """An admin client whose broker is away for a number of questions."""

    def __init__(self, *answers: Exception | float | None) -> None:
        self.answers = list(answers)

    async def describe_topics(self, topics: list[str]) -> None:
        assert topics == []
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            await asyncio.sleep(answer)


def watch(admin: Absent, broker_timeout: float) -> BrokerWatch:
    options = KafkaOptions("host:1", broker_timeout=broker_timeout)
    return BrokerWatch(admin, options, interval=0.02)  # type: ignore[arg-type]


def test_the_watch_gives_up_on_a_broker_that_stays_away() -> None:
    guard = watch(Absent(KafkaConnectionError()), 0.3)
    began = time.monotonic()
    with pytest.raises(BrokerLost, match="KafkaConnectionError") as caught:
        asyncio.run(asyncio.wait_for(guard.run(), 60))
    assert 0.3 < time.monotonic() - began < 30
    assert caught.value.where == "host:1"
    assert caught.value.fix
    assert guard.problem == "KafkaConnectionError"


class Cluster:
    """An admin client of a cluster of some age and size that has no topics."""

    def __init__(self, brokers: int, knows_its_default: bool) -> None:
        self.brokers = brokers
        self.knows_its_default = knows_its_default
        self.asked: list[tuple[str, int]] = []
        self.made: dict[str, int] = {}

    async def list_topics(self) -> list[str]:
        return []

    async def describe_cluster(self) -> dict[str, Any]:
        return {"brokers": list(range(self.brokers))}

    async def create_topics(self, topics: list[Any]) -> Any:
        self.asked += [(topic.name, topic.replication_factor) for topic in topics]
        codes = [0 if t.replication_factor > 0 or self.knows_its_default else 38 for t in topics]
        self.made |= {t.name: t.num_partitions for t, code in zip(topics, codes, strict=True) if code == 0}
        return SimpleNamespace(
            topic_errors=[(t.name, code, "") for t, code in zip(topics, codes, strict=True)]
        )

    async def describe_topics(self, names: list[str]) -> list[dict[str, Any]]:
        part = {"leader": 1}
        return [{"topic": n, "error_code": 0, "partitions": [part] * self.made.get(n, 0)} for n in names]


@pytest.mark.parametrize(
    ("brokers", "knows", "asked"),
    [
        (3, True, [("a", -1), ("b", -1)]),
        (1, False, [("a", -1), ("b", -1), ("a", 1), ("b", 1)]),
        (5, False, [("a", -1), ("b", -1), ("a", 3), ("b", 3)]),
    ],
)
def test_topics_have_the_replicas_that_the_cluster_wants(
    brokers: int, knows: bool, asked: list[tuple[str, int]]
) -> None:
    """One replica is too few where two must be in sync; before Kafka 2.4 a number must be said."""
    cluster = Cluster(brokers, knows)
    asyncio.run(ensure_topics(cluster, [TopicSpec("a"), TopicSpec("b")]))
    assert cluster.asked == asked
    assert cluster.made == {"a": 3, "b": 3}


def test_the_watch_bears_a_short_absence() -> None:
    admin = Absent(None, OSError(), OSError(), None)
    guard = watch(admin, 60.0)

    async def work() -> list[str | None]:
        running = asyncio.create_task(guard.run())
        seen = []
        for _ in range(40):
            await asyncio.sleep(0.01)
            seen.append(guard.problem)
        running.cancel()
        return seen

    seen = asyncio.run(work())
    assert seen[0] is None
    assert "OSError" in seen
    assert seen[-1] is None


def test_a_broker_that_hangs_is_away_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_eng5.pipeline.kafka._PROBE_TIMEOUT", 0.1)
    with pytest.raises(BrokerLost, match="no answer within"):
        asyncio.run(asyncio.wait_for(watch(Absent(60.0), 0.3).run(), 60))


def test_every_client_gives_up_early() -> None:
    arguments = KafkaOptions("host:1").client_arguments("me")
    assert arguments["request_timeout_ms"] <= 5000
    assert (arguments["bootstrap_servers"], arguments["client_id"]) == ("host:1", "me")


@pytest.fixture
def proxy(broker: Any) -> Iterator[Any]:
    made = KafkaProxy(int(broker.connection.bootstrap_servers.rpartition(":")[2]))
    yield made
    made.close()


def through(proxy: Any, options: KafkaOptions) -> KafkaOptions:
    return KafkaOptions(proxy.address, options.topic_prefix)


def on_topic(options: KafkaOptions, limit: int, work: Callable[[Publisher], Awaitable[Any]]) -> Any:
    """Work with a publisher whose topic has one partition and takes records of up to ``limit`` bytes."""

    async def run(admin: AIOKafkaAdminClient) -> Any:
        (name,) = topic_names([EVENT], options.topic_prefix)
        await ensure_topics(admin, [TopicSpec(name, 1, {"max.message.bytes": str(limit)})])
        publisher = Publisher(options)
        await publisher.start()
        try:
            return await work(publisher)
        finally:
            await publisher.stop()

    return with_admin(options, run)


def test_an_event_up_to_the_limit_of_its_topic_passes_and_one_above_is_refused(options: KafkaOptions) -> None:
    async def work(publisher: Publisher) -> list[int]:
        await publisher.publish(EVENT, envelope("x" * 2_900_000))
        with pytest.raises(PublishRefused) as caught:
            await publisher.publish(EVENT, envelope("x" * 3_000_000))
        assert "larger than the 3000000 bytes that the topic allows: 3000" in caught.value.what
        assert str(caught.value.where) == publisher.topic(EVENT)
        await publisher.publish(EVENT, envelope("next"))
        return [len(record.value) > 1_000_000 for record in await read_all(options, 2)]

    assert on_topic(options, 3_000_000, work) == [True, False]


def test_a_refusal_by_the_broker_harms_no_other_event(options: KafkaOptions) -> None:
    """The refused ones leave holes in the numbering of an idempotent producer, in front of the others."""

    async def work(publisher: Publisher) -> list[Any]:
        payloads = ["x" * 30_000 if number % 5 == 2 else number for number in range(40)]
        sending = [publisher.publish(EVENT, envelope(payload)) for payload in payloads]
        outcomes = await asyncio.gather(*sending, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [
            PublishRefused if isinstance(payload, str) else type(None) for payload in payloads
        ]
        records = await read_all(options, 32)
        return sorted(EventEnvelope.model_validate_json(record.value).data for record in records)

    assert on_topic(options, 20_000, work) == [number for number in range(40) if number % 5 != 2]


def test_a_lost_acknowledgement_makes_no_second_event(options: KafkaOptions, proxy: Any) -> None:
    lost: list[bytes] = []

    def lose_the_first(key: int, frame: bytes) -> bytes | None:
        if key == PRODUCE and not lost:
            lost.append(frame)
            return None
        return frame

    async def work(publisher: Publisher) -> Any:
        proxy.on_response = lose_the_first
        for number in range(3):
            await publisher.publish(EVENT, envelope(number))
        assert lost
        return [
            EventEnvelope.model_validate_json(record.value).data
            for record in await read_all(through(proxy, options), 3)
        ]

    assert on_topic(through(proxy, options), 1_000_000, work) == [0, 1, 2]


def test_a_broker_that_forbids_idempotence_gets_a_plain_producer(options: KafkaOptions, proxy: Any) -> None:
    def forbid(key: int, frame: bytes) -> bytes:
        return frame[:8] + b"\0\x1f" + frame[10:] if key == INIT_PRODUCER_ID else frame

    proxy.on_response = forbid

    async def work(publisher: Publisher) -> Any:
        await publisher.publish(EVENT, envelope("plain"))
        return await read_all(options, 1)

    (record,) = on_topic(through(proxy, options), 1_000_000, work)
    assert b"plain" in record.value


@pytest.mark.slow
@pytest.mark.thorough
def test_the_watch_finds_back_after_a_partition_of_the_network(options: KafkaOptions, proxy: Any) -> None:
    """Its old connection stays dead for ever; a watch that clung to it would end the pipeline."""

    async def work(admin: AIOKafkaAdminClient) -> tuple[str | None, float]:
        guard = BrokerWatch(admin, through(proxy, options), interval=0.2)
        running = asyncio.create_task(guard.run())
        await asyncio.sleep(0.5)
        proxy.lose()
        await asyncio.sleep(5)
        problem = guard.problem
        proxy.heal()
        healed = time.monotonic()
        async with asyncio.timeout(60):
            while guard.problem is not None:  # noqa: ASYNC110 - the watch tells nobody
                await asyncio.sleep(0.05)
        running.cancel()
        return problem, time.monotonic() - healed

    problem, seconds = with_admin(through(proxy, options), work)
    assert problem is not None
    assert seconds < 5
