"""Reading what already lies on a topic, without a group and without moving anybody's position."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from pytest_eng5.pipeline.errors import BrokerLost
from pytest_eng5.pipeline.kafka import KafkaOptions

__all__ = ["answered_since", "events_since", "keys_between", "patiently", "reader"]

_POLL_MS = 500
T = TypeVar("T")


async def patiently(options: KafkaOptions, what: str, ask: Callable[[], Awaitable[T]]) -> T:
    """Ask the broker again while it does not answer, as long as the pipeline waits for a broker.

    Raises:
        BrokerLost: It did not answer in time.
    """
    try:
        async with asyncio.timeout(options.broker_timeout):
            while True:
                with suppress(KafkaError):
                    return await ask()
                await asyncio.sleep(0.2)  # a broker that comes back announces itself to nobody
    except TimeoutError:
        raise BrokerLost(
            f"no answer within {options.broker_timeout:g} s: {what}",
            where=options.bootstrap_servers,
            fix="look at the broker's own log; start the pipeline again once the broker is up",
        ) from None


@asynccontextmanager
async def reader(options: KafkaOptions, client_id: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer without a group."""
    consumer = AIOKafkaConsumer(
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        **options.client_arguments(client_id),
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        # As a task of its own: aiokafka lets the cancellation of its own tasks out of stop(), and that must
        # not be mistaken for ours.
        stopping = asyncio.create_task(consumer.stop())
        await asyncio.wait({stopping})
        if not stopping.cancelled():
            stopping.exception()


async def _records(
    consumer: AIOKafkaConsumer, bounds: Mapping[TopicPartition, tuple[int, int]]
) -> AsyncIterator[ConsumerRecord]:
    """Records from the first offset of each partition up to, and without, its second."""
    waiting = {tp for tp, (start, end) in bounds.items() if start < end}
    if not waiting:
        return
    consumer.assign(list(waiting))
    for tp in waiting:
        consumer.seek(tp, bounds[tp][0])
    while waiting:
        for tp, records in (await consumer.getmany(*waiting, timeout_ms=_POLL_MS)).items():
            for record in records:
                if record.offset < bounds[tp][1]:
                    yield record
        waiting = {tp for tp in waiting if await consumer.position(tp) < bounds[tp][1]}


async def keys_between(
    options: KafkaOptions, partition: TopicPartition, start: int, end: int
) -> list[tuple[bytes, int]]:
    """Key and offset of each record with a key in a stretch of one partition, in order.

    Raises:
        BrokerLost: The broker does not answer.
    """

    async def read() -> list[tuple[bytes, int]]:
        async with reader(options, "eng5-provider-counts") as consumer:
            stretch = {partition: (start, end)}
            return [(r.key, r.offset) async for r in _records(consumer, stretch) if r.key is not None]

    return await patiently(options, f"reading {partition.topic} again", read)


async def answered_since(
    options: KafkaOptions, partitions: Collection[TopicPartition], timestamp_ms: int
) -> frozenset[str]:
    """Request ids of the callbacks that were published since a time.

    Args:
        options: How to connect.
        partitions: Of the topic of callbacks.
        timestamp_ms: The time, in milliseconds since the epoch.

    Raises:
        BrokerLost: The broker does not answer.
    """
    return await _identities(options, partitions, timestamp_ms, lambda body: body["data"]["request_id"])


async def events_since(
    options: KafkaOptions, partitions: Collection[TopicPartition], timestamp_ms: int
) -> frozenset[str]:
    """Event ids of whatever was published since a time; otherwise as `answered_since`."""
    return await _identities(options, partitions, timestamp_ms, lambda body: body["event_id"])


async def _identities(
    options: KafkaOptions,
    partitions: Collection[TopicPartition],
    timestamp_ms: int,
    identity: Callable[[Any], Any],
) -> frozenset[str]:
    async def read() -> frozenset[str]:
        async with reader(options, "eng5-pipeline-replay") as consumer:
            starts = await consumer.offsets_for_times(dict.fromkeys(partitions, max(0, timestamp_ms)))
            ends = await consumer.end_offsets(list(partitions))
            stretches = {tp: (start.offset, ends[tp]) for tp, start in starts.items() if start is not None}
            found = [_identity(record.value, identity) async for record in _records(consumer, stretches)]
            return frozenset(each for each in found if each is not None)

    return await patiently(options, "reading what was published", read)


def _identity(value: bytes | None, identity: Callable[[Any], Any]) -> str | None:
    try:
        return str(identity(orjson.loads(value or b"")))
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
