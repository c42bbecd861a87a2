"""Publishing the request."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, TopicPartition

from pytest_eng5.brokers import ensure_topics
from pytest_eng5.capture import PublishError, RequestPublisher
from pytest_eng5.contracts import ProcessingEvent, topic_name

pytestmark = pytest.mark.asyncio
REQUESTED = ProcessingEvent.ELS_CJ_ASSESSMENT_REQUESTED


@pytest_asyncio.fixture
async def prefix(broker: Any) -> str:
    made = f"t{uuid4().hex[:8]}."
    await ensure_topics(broker.connection, [topic_name(REQUESTED, made)], partitions=3, may_create=True)
    return made


@pytest_asyncio.fixture
async def publisher(broker: Any, prefix: str) -> AsyncIterator[RequestPublisher]:
    made = RequestPublisher(broker.connection.client_arguments(), prefix)
    await made.start()
    yield made
    await made.stop()


async def read_all(broker: Any, topic: str) -> list[Any]:
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.connection.bootstrap_servers)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(3)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(partitions)
        found: list[Any] = []
        while len(found) < sum(ends.values()):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += records
        return found
    finally:
        await consumer.stop()


async def test_the_request_stands_where_it_is_said_to_stand(
    broker: Any, publisher: RequestPublisher, prefix: str
) -> None:
    value, batch = '{"a": "é"}'.encode(), str(uuid4())
    published = await publisher.publish(value, batch)
    (record,) = await read_all(broker, topic_name(REQUESTED, prefix))
    assert (record.key, record.value) == (batch.encode(), value)
    assert published.position == f"{record.topic}[{record.partition}]@{record.offset}"
    assert published.timestamp_ms == record.timestamp
    assert abs(published.timestamp_ms / 1000 - time.time()) < 10
    assert record.headers == ()


async def test_many_requests_at_once_each_get_a_position(publisher: RequestPublisher) -> None:
    import asyncio

    done = await asyncio.gather(*(publisher.publish(b"{}", str(uuid4())) for _ in range(50)))
    assert len({published.position for published in done}) == 50
    assert all(re.fullmatch(r".+\[[0-2]\]@\d+", published.position) for published in done)


async def test_a_request_that_is_too_large_says_its_size(publisher: RequestPublisher) -> None:
    with pytest.raises(PublishError) as caught:
        await publisher.publish(b"x" * 2_000_000, "batch")
    assert "it has 2000005 bytes, the limit is 1048588 bytes" in caught.value.what
    assert not caught.value.may_have_arrived
    await publisher.publish(b"{}", "batch")  # the next one is not harmed


async def test_no_broker_at_the_address() -> None:
    publisher = RequestPublisher({"bootstrap_servers": "127.0.0.1:1"})
    with pytest.raises(PublishError) as caught:
        await publisher.start()
    assert caught.value.exit_code == 4
    assert caught.value.where == "127.0.0.1:1"
    await publisher.stop()
