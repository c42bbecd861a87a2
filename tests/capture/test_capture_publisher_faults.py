"""Publishing on old brokers, without rights, through bad networks, and up to the broker's limit."""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from kafka_proxy import API_VERSIONS, INIT_PRODUCER_ID, PRODUCE

from pytest_eng5.brokers import ensure_topics
from pytest_eng5.capture import CaptureError, PublishError, RequestPublisher, publisher
from pytest_eng5.contracts import ProcessingEvent, topic_name

pytestmark = pytest.mark.asyncio
REQUESTED = ProcessingEvent.ELS_CJ_ASSESSMENT_REQUESTED
CLUSTER_AUTHORIZATION_FAILED = 31


@pytest_asyncio.fixture
async def prefix(broker: Any) -> str:
    made = f"t{uuid4().hex[:8]}."
    await ensure_topics(broker.connection, [topic_name(REQUESTED, made)], partitions=1, may_create=True)
    return made


@pytest_asyncio.fixture
async def sender(proxy: Any, prefix: str) -> AsyncIterator[RequestPublisher]:
    """Reaches the broker through the proxy, and waits one second for an answer."""
    made = RequestPublisher({"bootstrap_servers": proxy.address, "request_timeout_ms": 1000}, prefix)
    await made.start()
    yield made
    await made.stop()


async def values(broker: Any, prefix: str) -> list[bytes]:
    """All that stands on the topic, asked without the proxy."""
    topic = TopicPartition(topic_name(REQUESTED, prefix), 0)
    consumer = AIOKafkaConsumer(**broker.connection.client_arguments(), max_partition_fetch_bytes=32 << 20)
    await consumer.start()
    try:
        consumer.assign([topic])
        await consumer.seek_to_beginning()
        end = (await consumer.end_offsets([topic]))[topic]
        found: list[bytes] = []
        while await consumer.position(topic) < end:
            found += [record.value for record in (await consumer.getmany(timeout_ms=500)).get(topic, [])]
        return found
    finally:
        await consumer.stop()


async def test_a_lost_acknowledgement_makes_no_second_request(
    broker: Any, proxy: Any, sender: RequestPublisher, prefix: str, lab: ModuleType
) -> None:
    lost: list[bytes] = []

    def lose_the_first(key: int, frame: bytes) -> bytes | None:
        if key == PRODUCE and not lost:
            lost.append(frame)
            return None
        return frame

    proxy.on_response = lose_the_first
    began = time.monotonic()
    published = await sender.publish(b"once", "batch")
    assert time.monotonic() - began < 14
    assert lost
    assert sender.idempotent
    assert published.position == f"{topic_name(REQUESTED, prefix)}[0]@0"
    assert await values(broker, prefix) == [b"once"]


def without_init_producer_id(frame: bytes) -> bytes:
    """An answer to ApiVersions of a broker from before idempotence: another key in the place of that one."""
    head, pairs = frame[:10], frame[10:]
    entries = [pairs[at : at + 6] for at in range(0, len(pairs), 6)]
    known = [entry for entry in entries if entry[:2] != struct.pack(">h", 22)]
    assert len(known) == len(entries) - 1
    return head[:6] + struct.pack(">i", len(known)) + b"".join(known)


@pytest.mark.parametrize("why", ["too old", "not allowed"])
async def test_without_idempotence_it_publishes_plainly_and_warns(
    broker: Any,
    proxy: Any,
    prefix: str,
    lab: ModuleType,
    why: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def spoil(key: int, frame: bytes) -> bytes:
        if why == "too old" and key == API_VERSIONS:
            return without_init_producer_id(frame)
        if why == "not allowed" and key == INIT_PRODUCER_ID:
            return frame[:8] + struct.pack(">h", CLUSTER_AUTHORIZATION_FAILED) + frame[10:]
        return frame

    proxy.on_response = spoil
    made = RequestPublisher({"bootstrap_servers": proxy.address}, prefix)
    with caplog.at_level(logging.WARNING, logger="pytest_eng5"):
        await made.start()
    try:
        assert not made.idempotent
        assert "only without idempotence" in caplog.text
        assert "IDEMPOTENT_WRITE" in caplog.text
        await made.publish(b"plain", "batch")
        assert await values(broker, prefix) == [b"plain"]
    finally:
        await made.stop()


async def test_what_was_given_up_is_not_sent_later_and_the_next_request_is(
    broker: Any, proxy: Any, sender: RequestPublisher, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "PATIENCE_SECONDS", 1.0)
    proxy.lose()
    began = time.monotonic()
    with pytest.raises(PublishError) as caught:
        await sender.publish(b"given up", "batch")
    assert 1 <= time.monotonic() - began < 30
    assert caught.value.may_have_arrived
    assert "may or may not have arrived" in caught.value.what
    assert "before it is published again" in str(caught.value.fix)
    assert caught.value.exit_code == 4
    with pytest.raises(PublishError) as again:  # the next one finds no connection at all
        await sender.publish(b"never handed over", "batch")
    assert not again.value.may_have_arrived
    assert "was not published" in again.value.what
    proxy.heal()
    monkeypatch.undo()
    await sender.publish(b"next", "batch")
    await asyncio.sleep(1)
    assert await values(broker, prefix) == [b"next"]


async def test_a_request_made_while_the_broker_is_away_arrives_when_it_is_back(
    broker: Any, proxy: Any, sender: RequestPublisher, prefix: str
) -> None:
    proxy.lose()
    publishing = asyncio.create_task(sender.publish(b"patient", "batch"))
    await asyncio.sleep(2)
    assert not publishing.done()
    proxy.heal()
    await asyncio.wait_for(publishing, 60)
    assert await values(broker, prefix) == [b"patient"]


async def small_topic(broker: Any, prefix: str) -> None:
    admin = AIOKafkaAdminClient(**broker.connection.client_arguments())
    await admin.start()
    try:
        settings = {"max.message.bytes": "50000"}
        topic = NewTopic(topic_name(REQUESTED, prefix), 1, 1, topic_configs=settings)
        await admin.create_topics([topic])
    finally:
        await admin.close()


@pytest.mark.parametrize("told", [True, False], ids=["limit known", "limit unknown"])
async def test_the_topic_s_own_limit_counts(broker: Any, monkeypatch: pytest.MonkeyPatch, told: bool) -> None:
    if not told:
        monkeypatch.setattr("pytest_eng5.capture.topics._LIMIT_SETTING", "no.such.setting")
    prefix = f"s{uuid4().hex[:8]}."
    await small_topic(broker, prefix)
    made = RequestPublisher(broker.connection.client_arguments(), prefix)
    await made.start()
    try:
        assert made.record_limit == (50_000 if told else None)
        await made.publish(b"x" * 49_900, "batch")
        for size in (49_980, 50_000, 60_000):
            with pytest.raises(PublishError) as caught:
                await made.publish(b"x" * size, "batch")
            assert not caught.value.may_have_arrived
            assert str(size)[:3] in caught.value.what
            assert ("the limit is 50000 bytes" in caught.value.what) is told
            assert "max.message.bytes" in str(caught.value.fix)
            await made.publish(b"next", "batch")  # which is not harmed
        assert [len(value) for value in await values(broker, prefix)] == [49_900, 4, 4, 4]
    finally:
        await made.stop()


async def test_a_request_of_twenty_megabytes_passes_where_the_broker_allows_it(
    generous: Any, lab: ModuleType
) -> None:
    prefix = f"l{uuid4().hex[:8]}."
    await ensure_topics(generous.connection, [topic_name(REQUESTED, prefix)], partitions=1, may_create=True)
    made = RequestPublisher(generous.connection.client_arguments(), prefix)
    await made.start()
    try:
        await made.publish(b"x" * (lab.LARGE - 100), "batch")
        with pytest.raises(PublishError, match=f"the limit is {lab.LARGE} bytes"):
            await made.publish(b"x" * (lab.LARGE + 1), "batch")
    finally:
        await made.stop()
    assert [len(value) for value in await values(generous, prefix)] == [lab.LARGE - 100]


async def test_a_topic_that_is_missing_is_named_at_the_start(broker: Any) -> None:
    made = RequestPublisher(broker.connection.client_arguments(), "nobody-made.")
    with pytest.raises(CaptureError, match=r"nobody-made\.huleedu\.els\.cj_assessment\.requested\.v1"):
        await made.start()
    await made.stop()
