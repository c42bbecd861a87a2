"""The parts of the queue on Kafka, each against an independent oracle or the real broker."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.contracts import EventEnvelope, LLMComparisonRequest, ProcessingEvent, decode_event
from pytest_eng5.pipeline.errors import ServiceError
from pytest_eng5.pipeline.kafka import KafkaOptions, ensure_topics
from pytest_eng5.pipeline.provider import kafka_queue
from pytest_eng5.pipeline.provider.callbacks import QueuedComparison, callback_envelope, success
from pytest_eng5.pipeline.provider.counting import AttemptLog
from pytest_eng5.pipeline.provider.judge import Judgement, Simulation
from pytest_eng5.pipeline.provider.kafka_queue import KafkaQueue
from pytest_eng5.pipeline.provider.metrics import ProviderMetrics
from pytest_eng5.pipeline.provider.processing import Processor
from pytest_eng5.pipeline.provider.records import (
    QueueRecord,
    provider_topics,
    queue_topic,
    simulations_topic,
)
from pytest_eng5.pipeline.provider.shared_simulations import SharedSimulations
from pytest_eng5.pipeline.provider.simulations import SimulationBook
from pytest_eng5.pipeline.publisher import Publisher
from pytest_eng5.pipeline.replay import answered_since, keys_between
from pytest_eng5.pipeline.settings import LLMProviderSettings
from pytest_eng5.pipeline.topics import event_topics

CALLBACK = ProcessingEvent.LLM_COMPARISON_RESULT


# What lies in the queue


def request(prompt: str = "a against b", batch: str | None = "batch", **more: Any) -> LLMComparisonRequest:
    metadata = {"essay_a_id": "a", "essay_b_id": "b"} | ({"bos_batch_id": batch} if batch else {})
    return LLMComparisonRequest.model_validate(
        {
            "user_prompt": prompt,
            "callback_topic": "t",
            "llm_config_overrides": {"provider_override": "mock"},
            "metadata": metadata,
            **more,
        }
    )


@given(
    prompt=st.text(min_size=1),
    correlation=st.none() | st.uuids(),
    metadata=st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text(), max_size=4),
    attempt=st.integers(0, 5),
)
def test_a_comparison_comes_out_of_the_queue_as_it_went_in(
    prompt: str, correlation: Any, metadata: dict[str, Any], attempt: int
) -> None:
    item = QueuedComparison(request(prompt, correlation_id=correlation, metadata=metadata))
    wire = QueueRecord.of(item).model_dump_json().encode()
    again = QueueRecord.model_validate_json(wire).item(attempt)
    assert again.request == item.request
    assert (again.queue_id, again.requested_at) == (item.queue_id, item.requested_at)
    assert again.attempt == attempt
    assert again.correlation_id == item.correlation_id
    assert abs(again.started - item.started) < 1


def test_repetitions_share_a_key_and_others_do_not() -> None:
    def key(*arguments: Any) -> bytes:
        return QueueRecord.of(QueuedComparison(request(*arguments))).key

    assert key("x", "one") == key("x", "one")
    assert len({key("x", "one"), key("x", "two"), key("y", "one"), key("x", None)}) == 4


# On the real broker


@pytest.fixture
def options(broker: Any) -> KafkaOptions:
    return KafkaOptions(broker.connection.bootstrap_servers, f"q{uuid4().hex[:8]}.")


@asynccontextmanager
async def connected(options: KafkaOptions, partitions: int = 2) -> AsyncIterator[Publisher]:
    """A publisher, and all topics of the provider with few partitions."""
    admin = AIOKafkaAdminClient(**options.client_arguments("tests"))
    publisher = Publisher(options)
    await admin.start()
    try:
        topics = event_topics(["llm"], options.topic_prefix, 3)
        await ensure_topics(admin, topics + provider_topics(options.topic_prefix, partitions))
        await publisher.start()
        yield publisher
    finally:
        await publisher.stop()
        await admin.close()


def on(options: KafkaOptions, work: Callable[[Publisher], Awaitable[Any]], partitions: int = 2) -> Any:
    async def run() -> Any:
        async with connected(options, partitions) as publisher:
            return await work(publisher)

    return asyncio.run(run())


async def records_of(options: KafkaOptions, partition: TopicPartition) -> list[Any]:
    consumer = AIOKafkaConsumer(bootstrap_servers=options.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        found: list[Any] = []
        while len(found) < end:
            found += (await consumer.getmany(partition, timeout_ms=500)).get(partition, [])
        return found
    finally:
        await consumer.stop()


def test_every_worker_counts_the_same_attempts(options: KafkaOptions) -> None:
    """A worker from the start, one that takes over in the middle, and one that gets a record again."""
    keys = [b"x", b"y", b"x", b"x", b"y", b"z", b"x", b"y"]
    since = 2

    async def work(publisher: Publisher) -> None:
        topic = queue_topic(options.topic_prefix)
        for key in keys:
            await publisher.send(topic, b"{}", key=key)
        partition = TopicPartition(topic, 0)
        records = await records_of(options, partition)
        assert [record.key for record in records] == keys
        expected = [keys[since:i].count(keys[i]) for i in range(len(keys))]
        for first in range(len(keys)):
            log = AttemptLog(options)
            for record in records[first:]:
                log.saw(partition, record.offset)
                counted = await log.attempt(record, since)
                assert counted == expected[record.offset], (first, record.offset)
                assert await log.attempt(record, since) == counted, "a record again is no attempt more"
        later = AttemptLog(options)
        assert await later.attempt(records[6], 0) == keys[:6].count(b"x")
        assert await later.attempt(records[7], 7) == 0

    on(options, work, partitions=1)


def test_a_stretch_is_read_without_its_end(options: KafkaOptions) -> None:
    async def work(publisher: Publisher) -> None:
        topic = queue_topic(options.topic_prefix)
        for number in range(6):
            await publisher.send(topic, b"{}", key=str(number).encode())
        await publisher.send(topic, b"{}")
        partition = TopicPartition(topic, 0)
        assert await keys_between(options, partition, 1, 4) == [(b"1", 1), (b"2", 2), (b"3", 3)]
        assert [key for key, _ in await keys_between(options, partition, 4, 7)] == [b"4", b"5"]
        assert await keys_between(options, partition, 3, 3) == []

    on(options, work, partitions=1)


def answer_to(item: QueuedComparison) -> EventEnvelope:
    return callback_envelope(success(item, Judgement("Essay B", 2.0, "said before"), 0.75, None))


def test_the_callbacks_since_a_time_are_found(options: KafkaOptions) -> None:
    items = [QueuedComparison(request(f"prompt {number}")) for number in range(7)]

    async def work(publisher: Publisher) -> None:
        topic = publisher.topic(CALLBACK)
        partitions = await publisher.partitions(topic)
        assert len(partitions) == 3
        assert await answered_since(options, partitions, 0) == frozenset()
        for item in items[:3]:
            await publisher.publish(CALLBACK, answer_to(item))
        await publisher.send(topic, b"no json")
        await asyncio.sleep(0.01)
        mark = await publisher.send(topic, b"{}")
        for item in items[3:]:
            await publisher.publish(CALLBACK, answer_to(item))
        assert mark.timestamp is not None
        assert await answered_since(options, partitions, 0) == {str(item.queue_id) for item in items}
        late = await answered_since(options, partitions, mark.timestamp)
        assert late == {str(item.queue_id) for item in items[3:]}

    on(options, work)


def simulation(**changes: Any) -> Simulation:
    return Simulation.model_validate({"qualities": {"a": 1.0, "b": 0.0}, **changes})


@asynccontextmanager
async def following(options: KafkaOptions, publisher: Publisher) -> AsyncIterator[Any]:
    """A worker's simulations and its book."""
    book = SimulationBook()
    shared = SharedSimulations(options, publisher, book)
    await shared.start()
    task = asyncio.create_task(shared.run())
    try:
        yield shared, book
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await shared.stop()


def test_a_simulation_reaches_those_that_were_there_and_those_that_come(options: KafkaOptions) -> None:
    async def work(publisher: Publisher) -> None:
        async with (
            following(options, publisher) as (told, own),
            following(options, publisher) as (other, book),
        ):
            await told.register("batch", simulation(seed=4))
            assert own.find("batch") == simulation(seed=4), "the one that was told knows at once"
            await other.know({"batch"})
            assert book.find("batch") == simulation(seed=4)
            await told.register("batch", simulation(seed=5))
            async with following(options, publisher) as (_, late):
                assert late.find("batch") == simulation(seed=5)
                assert late.find("other") is None

    on(options, work)


@pytest.mark.thorough
def test_an_unknown_batch_waits_for_the_end_of_the_topic_and_a_known_one_does_not(
    options: KafkaOptions,
) -> None:
    async def work(publisher: Publisher) -> None:
        async with following(options, publisher) as (told, book):
            for number in range(30):
                task = asyncio.create_task(told.register(f"batch {number}", simulation(seed=number)))
                await task
                await told.know({f"batch {number}"})
                found = book.find(f"batch {number}")
                assert found is not None
                assert found.seed == number
            await asyncio.wait_for(told.know({"never registered"}), 60)

    on(options, work)


def test_registrations_that_cannot_be_read_are_passed_over(options: KafkaOptions) -> None:
    async def work(publisher: Publisher) -> None:
        topic = simulations_topic(options.topic_prefix)
        await publisher.send(topic, b"{}", key=b"batch")
        await publisher.send(topic, b"\xff", key=b"\xff")
        async with following(options, publisher) as (shared, book):
            assert book.find("batch") is None
            await shared.register("batch", simulation())
            assert book.find("batch") == simulation()

    on(options, work)


@pytest.mark.thorough
def test_a_simulation_remembers_where_the_queue_ended(options: KafkaOptions) -> None:
    async def work(publisher: Publisher) -> None:
        topic = queue_topic(options.topic_prefix)
        sent = Counter([(await publisher.send(topic, b"{}", key=bytes([n]))).partition for n in range(9)])
        async with following(options, publisher) as (shared, _):
            await shared.register("batch", simulation())
            assert {n: shared.since("batch", n) for n in range(2)} == {n: sent[n] for n in range(2)}
            assert shared.since("unknown", 0) == 0
            assert not shared.may_fail("batch")
            await shared.register("batch", simulation(failure_rate=0.1))
            assert shared.may_fail("batch")

    on(options, work)


def test_a_simulation_that_is_too_large_is_refused(options: KafkaOptions) -> None:
    async def work(publisher: Publisher) -> None:
        async with following(options, publisher) as (shared, book):
            huge = simulation(labels={str(n): "x" * 1000 for n in range(2000)})
            with pytest.raises(ServiceError) as caught:
                await shared.register("batch", huge)
            assert (caught.value.code, caught.value.status) == ("VALIDATION_ERROR", 400)
            assert book.find("batch") is None

    on(options, work)


class Worker:
    """A queue with all that belongs to it, in this process."""

    def __init__(self, options: KafkaOptions, publisher: Publisher, **settings: Any) -> None:
        chosen = LLMProviderSettings(queue="kafka", **settings)
        self.book = SimulationBook()
        self.shared = SharedSimulations(options, publisher, self.book)
        processor = Processor(chosen, self.book, publisher, None, ProviderMetrics("tested"))
        self.queue = KafkaQueue(chosen, options, publisher, processor, self.shared, "tested")

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        await self.shared.start()
        await self.queue.start()
        tasks = [asyncio.create_task(work()) for work in (self.shared.run, self.queue.run)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.queue.stop()
            await self.shared.stop()


async def callbacks_of(
    options: KafkaOptions, publisher: Publisher, count: int, seconds: float = 15
) -> list[Any]:
    """The first callbacks on the topic, and whatever comes within a moment after them."""
    consumer = AIOKafkaConsumer(
        publisher.topic(CALLBACK), bootstrap_servers=options.bootstrap_servers, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        found: list[Any] = []
        async with asyncio.timeout(seconds):
            while len(found) < count:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += [decode_event(CALLBACK, record.value).data for record in records]
        for records in (await consumer.getmany(timeout_ms=700)).values():
            found += [decode_event(CALLBACK, record.value).data for record in records]
        return found
    finally:
        await consumer.stop()


async def enqueue(publisher: Publisher, options: KafkaOptions, *items: QueuedComparison) -> None:
    for item in items:
        record = QueueRecord.of(item)
        wire = record.model_dump_json().encode()
        await publisher.send(queue_topic(options.topic_prefix), wire, key=record.key)


def test_what_a_dead_worker_answered_without_committing_is_not_answered_again(options: KafkaOptions) -> None:
    items = [QueuedComparison(request(f"prompt {number}")) for number in range(6)]

    async def work(publisher: Publisher) -> list[Any]:
        await enqueue(publisher, options, *items)
        for item in items[::2]:
            await publisher.publish(CALLBACK, answer_to(item))
        async with Worker(options, publisher).working():
            return await callbacks_of(options, publisher, 6)

    answers = on(options, work)
    assert Counter(answer.request_id for answer in answers) == {str(item.queue_id): 1 for item in items}
    said_before = {str(item.queue_id) for item in items[::2]}
    for answer in answers:
        assert (answer.justification == "said before") == (answer.request_id in said_before)


def test_offsets_are_committed_after_the_callbacks_and_a_second_worker_has_nothing_to_do(
    options: KafkaOptions,
) -> None:
    items = [QueuedComparison(request(f"prompt {number}")) for number in range(8)]

    async def work(publisher: Publisher) -> tuple[list[Any], int, list[Any]]:
        await enqueue(publisher, options, *items)
        async with Worker(options, publisher).working():
            first = await callbacks_of(options, publisher, 8)
        admin = AIOKafkaAdminClient(bootstrap_servers=options.bootstrap_servers)
        await admin.start()
        try:
            group = options.topic_prefix + kafka_queue.GROUP
            committed = await admin.list_consumer_group_offsets(group)
        finally:
            await admin.close()
        async with Worker(options, publisher).working():
            again = await callbacks_of(options, publisher, 8)
        return first, sum(meta.offset for meta in committed.values()), again

    first, committed, again = on(options, work)
    assert len(first) == committed == len(again) == 8


def test_a_record_that_cannot_be_read_stops_nobody(options: KafkaOptions) -> None:
    good = QueuedComparison(request("after it"))

    async def work(publisher: Publisher) -> list[Any]:
        for value in (b"", b"{}", b"\xff"):
            await publisher.send(queue_topic(options.topic_prefix), value, key=b"bad")
        await enqueue(publisher, options, good)
        async with Worker(options, publisher).working():
            return await callbacks_of(options, publisher, 1)

    (answer,) = on(options, work, partitions=1)
    assert answer.request_id == str(good.queue_id)


@pytest.mark.thorough
def test_no_more_than_the_workers_run_side_by_side(options: KafkaOptions) -> None:
    async def work(publisher: Publisher) -> float:
        items = [QueuedComparison(request(f"prompt {number}", batch="slow")) for number in range(9)]
        worker = Worker(options, publisher, queue_workers=3)
        async with worker.working():
            await worker.shared.register("slow", simulation(latency_ms=300))
            began = asyncio.get_running_loop().time()
            await enqueue(publisher, options, *items)
            await callbacks_of(options, publisher, 9)
            return asyncio.get_running_loop().time() - began

    assert on(options, work) >= 0.9


@pytest.mark.parametrize("state", ["starting", "too large"])
def test_what_cannot_be_queued_is_refused(state: str, options: KafkaOptions) -> None:
    async def work(publisher: Publisher) -> ServiceError:
        worker = Worker(options, publisher)
        if state == "starting":
            with pytest.raises(ServiceError) as caught:
                await worker.queue.put(QueuedComparison(request()))
            return caught.value
        async with worker.working():
            with pytest.raises(ServiceError) as caught:
                await worker.queue.put(QueuedComparison(request("x" * 2_000_000)))
            return caught.value

    error = on(options, work)
    expected = {"starting": ("SERVICE_UNAVAILABLE", 503), "too large": ("VALIDATION_ERROR", 400)}
    assert (error.code, error.status) == expected[state]


@pytest.mark.thorough
def test_a_queue_that_is_full_refuses(options: KafkaOptions) -> None:
    """Full means: so many wait in the partitions of this worker while all its hands are busy."""

    async def work(publisher: Publisher) -> tuple[int, ServiceError]:
        worker = Worker(options, publisher, queue_workers=1, queue_max_size=2, mock_latency_ms=60_000)
        async with worker.working():
            accepted = 0
            async with asyncio.timeout(60):
                while True:
                    try:
                        await worker.queue.put(QueuedComparison(request(f"prompt {accepted}", batch=None)))
                    except ServiceError as error:
                        return accepted, error
                    accepted += 1
                    await asyncio.sleep(0.2)

    accepted, error = on(options, work, partitions=1)
    assert (error.code, error.status) == ("LLM_QUEUE_FULL", 503)
    assert 3 <= accepted <= 15


@pytest.mark.thorough
def test_other_clients_do_not_disturb(options: KafkaOptions) -> None:
    """A producer of the same topic with null keys and headers, as tools send them."""
    good = QueuedComparison(request("beside it"))

    async def work(publisher: Publisher) -> list[Any]:
        producer = AIOKafkaProducer(bootstrap_servers=options.bootstrap_servers)
        await producer.start()
        topic = queue_topic(options.topic_prefix)
        await producer.send_and_wait(topic, None, key=b"tombstone")
        await producer.send_and_wait(topic, b"{}", headers=[("x", b"\xff")])
        await producer.stop()
        await enqueue(publisher, options, good)
        async with Worker(options, publisher).working():
            return await callbacks_of(options, publisher, 1)

    (answer,) = on(options, work)
    assert answer.request_id == str(good.queue_id)
