"""The CJ consumer on brokers that let a group wait, and through faults; a request has three seconds."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import confluent_kafka
import pytest
from aiokafka.errors import GroupCoordinatorNotAvailableError, IllegalStateError

from pytest_eng5.brokers import BrokerOptions, EmbeddedBroker, ensure_topics
from pytest_eng5.contracts import PIPELINE_EVENTS, ProcessingEvent, topic_name, topic_names
from pytest_eng5.pipeline.cj.consumer import CJConsumer
from pytest_eng5.pipeline.kafka import KafkaOptions

REQUESTED = ProcessingEvent.ELS_CJ_ASSESSMENT_REQUESTED
SESSION_MS = 6000


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """A broker that, as by default, lets the first member of a group wait three seconds for company."""
    folder = tmp_path_factory.mktemp("patient")
    embedded = EmbeddedBroker(
        BrokerOptions(
            kind="embedded",
            work_dir=folder,
            log_path=folder / "kafka.log",
            watch_pid=os.getpid(),
            properties={"group.initial.rebalance.delay.ms": "3000"},
        )
    )
    embedded.start()
    yield embedded
    embedded.stop()


class Heard:
    """Takes what the consumer hands over."""

    def __init__(self) -> None:
        self.values: list[bytes | None] = []
        self.news = asyncio.Event()

    async def __call__(self, event: ProcessingEvent, value: bytes | None) -> None:
        assert event is REQUESTED
        self.values.append(value)
        self.news.set()

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.values) < count:
                await self.news.wait()
                self.news.clear()


def produce(broker: EmbeddedBroker, prefix: str, *values: bytes | None) -> None:
    client = confluent_kafka.Producer({"bootstrap.servers": broker.connection.bootstrap_servers})
    for value in values:
        client.produce(
            topic_name(REQUESTED, prefix), value, key=b"\xff\xfe", headers=[("x", None)], partition=0
        )
    assert client.flush(60) == 0


@pytest.mark.slow
@pytest.mark.thorough
def test_it_joins_although_that_takes_longer_than_a_request_also_after_a_member_died(
    patient: EmbeddedBroker,
) -> None:
    options = KafkaOptions(patient.connection.bootstrap_servers, f"c{uuid4().hex[:8]}.")

    async def work() -> tuple[float, float, list[bytes | None]]:
        topics = topic_names(PIPELINE_EVENTS, options.topic_prefix)
        await ensure_topics(patient.connection, topics, partitions=3, may_create=True)
        first = CJConsumer(options, SESSION_MS)
        began = time.monotonic()
        await first.start()
        alone = time.monotonic() - began
        assert first.not_ready() is None
        client: Any = first._consumer
        for task in (client._coordinator._coordination_task, client._coordinator._heartbeat_task):
            task.cancel()  # it dies without leaving the group
        await client._client.close()
        client._closed = True
        produce(patient, options.topic_prefix, b"while nobody listened", None)
        second = CJConsumer(options, SESSION_MS)
        began = time.monotonic()
        await second.start()
        after_a_death = time.monotonic() - began
        heard = Heard()
        running = asyncio.create_task(second.run(heard))
        produce(patient, options.topic_prefix, b"live")
        await heard.wait_for(3)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await second.stop()
        return alone, after_a_death, heard.values

    alone, after_a_death, values = asyncio.run(work())
    assert 3 <= alone < 60
    assert after_a_death < 60
    assert values == [b"while nobody listened", None, b"live"]


@pytest.mark.parametrize(
    ("error", "kept"), [(GroupCoordinatorNotAvailableError(), True), (IllegalStateError(), False)]
)
def test_offsets_that_were_not_committed_are_part_of_the_next_commit(error: Exception, kept: bool) -> None:
    """Unless the partitions are no longer ours: then they are another member's to commit."""
    commits: list[dict[str, int]] = []

    class Client:
        async def commit(self, offsets: dict[str, int]) -> None:
            commits.append(dict(offsets))
            if len(commits) == 1:
                raise error

    async def work() -> None:
        consumer = CJConsumer(KafkaOptions("host:1"), SESSION_MS)
        consumer._consumer = Client()
        committing = asyncio.create_task(consumer._commit_handled())
        for offsets in ({"a": 5, "b": 2}, {"a": 6}):
            consumer._handled.update(offsets)  # type: ignore[call-overload]
            consumer._dirty.set()
            await asyncio.sleep(0.01)
        committing.cancel()

    asyncio.run(work())
    assert commits == [{"a": 5, "b": 2}, {"a": 6, "b": 2} if kept else {"a": 6}]


def test_the_topics_carry_the_prefix() -> None:
    consumer = CJConsumer(KafkaOptions("host:1", "p."), SESSION_MS)
    assert set(consumer._topics.values()) == {REQUESTED, ProcessingEvent.LLM_COMPARISON_RESULT}
    assert all(topic.startswith("p.huleedu.") for topic in consumer._topics)
