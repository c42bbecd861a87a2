"""The seam where events leave the pipeline: every event of every service goes through one class."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    IncompatibleBrokerVersion,
    KafkaError,
    LeaderNotAvailableError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    RecordListTooLargeError,
    UnknownTopicOrPartitionError,
)
from aiokafka.structs import RecordMetadata, TopicPartition

from pytest_eng5.contracts import EventEnvelope, ProcessingEvent, topic_name
from pytest_eng5.pipeline.errors import BrokerLost, PublishRefused
from pytest_eng5.pipeline.kafka import KafkaOptions, record_limit
from pytest_eng5.pipeline.logs import service_logger

__all__ = ["Publisher"]

_SURELY_ALLOWED = 900_000  # below the default of max.message.bytes: no need to ask for the topic's limit
_BATCH_OVERHEAD = 61  # bytes of a record batch (format 2) around its records
_BROKER_REQUEST = 100 << 20  # what any broker takes in one request by default (socket.request.max.bytes)
_STOP_SECONDS = 3.0
_NO_LEADER_SECONDS = 0.2
_log = service_logger("publisher")


class Publisher:
    """Publishes envelopes with ``acks=all`` and idempotence, without headers (contract 1.2 and 1.3).

    An idempotent producer repeats a send until the broker has it, without making a duplicate of it; what
    bounds that here is the patience of the pipeline. A broker that does not allow idempotence gets a plain
    producer.
    """

    def __init__(self, options: KafkaOptions) -> None:
        self._options = options
        self._idempotent = True
        self._stopped = False
        self._producer = self._make()
        self._renewing = asyncio.Lock()
        self._leaving: set[asyncio.Task[None]] = set()
        self._limits: dict[str, int | None] = {}

    def _make(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            acks="all",
            enable_idempotence=self._idempotent,
            max_request_size=_BROKER_REQUEST,
            **self._options.client_arguments("eng5-pipeline-producer"),
        )

    async def start(self) -> None:
        """Connect; raises what the client raises, and ``TimeoutError``."""
        async with asyncio.timeout(self._options.broker_timeout):
            try:
                await self._producer.start()
            except (ClusterAuthorizationFailedError, IncompatibleBrokerVersion) as error:
                _log.warning(
                    "publishing without idempotence: an event whose acknowledgement is lost may come twice",
                    problem=type(error).__name__,
                    fix="allow IDEMPOTENT_WRITE on the cluster",
                )
                await self._producer.stop()
                self._idempotent = False
                self._producer = self._make()
                await self._producer.start()

    async def stop(self) -> None:
        """Send what is pending and disconnect."""
        self._stopped = True
        await self._producer.stop()

    def topic(self, event: ProcessingEvent) -> str:
        """The topic of an event on this broker, with the prefix."""
        return topic_name(event, self._options.topic_prefix)

    async def partitions(self, topic: str) -> list[TopicPartition]:
        """The partitions of a topic."""
        return [TopicPartition(topic, number) for number in await self._producer.partitions_for(topic)]

    async def publish(
        self, event: ProcessingEvent, envelope: EventEnvelope, *, key: str | None = None
    ) -> None:
        """Publish one event and wait until the broker has it.

        Raises:
            PublishRefused: The broker will never take this event.
            BrokerLost: The broker did not take it in time; the pipeline cannot go on.
        """
        await self.send(self.topic(event), envelope.to_wire(), key=None if key is None else key.encode())

    async def send(
        self, topic: str, value: bytes, *, key: bytes | None = None, timestamp_ms: int | None = None
    ) -> RecordMetadata:
        """Send one record to a topic and wait until the broker has it; returns where it lies.

        Args:
            timestamp_ms: The record's timestamp, if it is not to be now.

        Raises:
            PublishRefused: The broker will never take this record.
            BrokerLost: The broker did not take it in time; the pipeline cannot go on.
        """
        try:
            async with asyncio.timeout(self._options.broker_timeout):
                return await self._send(topic, value, key, timestamp_ms)
        except (KafkaError, OSError) as error:  # TimeoutError is an OSError
            raise BrokerLost(
                f"cannot publish to {topic} ({type(error).__name__})",
                where=self._options.bootstrap_servers,
                fix="look at the broker's own log; start the pipeline again once the broker is up",
            ) from error

    async def _send(
        self, topic: str, value: bytes, key: bytes | None, timestamp_ms: int | None
    ) -> RecordMetadata:
        size = len(value) + len(key or b"")
        limit = await self._limit(topic) if size > _SURELY_ALLOWED else None
        if size + _BATCH_OVERHEAD > (limit or _BROKER_REQUEST):
            raise _too_large(topic, size, limit)
        while True:
            producer = self._producer
            try:
                sent = await _taken(producer, topic, value, key, timestamp_ms)
                return await sent
            except (MessageSizeTooLargeError, RecordListTooLargeError):
                await self._renew(producer)
                raise _too_large(topic, size, await self._limit(topic)) from None
            except (OutOfOrderSequenceNumber, ProducerClosed):
                if self._stopped:
                    raise
                await self._renew(producer)  # a record before this one was refused; this one was not taken

    async def _limit(self, topic: str) -> int | None:
        if topic not in self._limits:
            self._limits[topic] = await record_limit(self._options, topic)
        return self._limits[topic]

    async def _renew(self, refused: AIOKafkaProducer) -> None:
        """Take a new producer after a refusal: the numbering of an idempotent one has a hole then."""
        async with self._renewing:
            if self._producer is not refused:
                return
            fresh = self._make()
            await fresh.start()
            self._producer = fresh
        leaving = asyncio.create_task(_stop(refused))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)


def _too_large(topic: str, size: int, limit: int | None) -> PublishRefused:
    allowed = "what the broker allows" if limit is None else f"the {limit} bytes that the topic allows"
    return PublishRefused(
        f"the event is larger than {allowed}: {size} bytes", where=topic, fix="raise max.message.bytes"
    )


async def _taken(
    producer: AIOKafkaProducer, topic: str, value: bytes, key: bytes | None, timestamp_ms: int | None
) -> asyncio.Future[RecordMetadata]:
    """Hand a record over; what comes back is done once the broker has it.

    While a broker restarts the producer knows no leader and refuses to take the record. It has not got it
    then, so that asking again makes no duplicate; it offers nothing to wait on.
    """
    while True:
        try:
            sent: asyncio.Future[RecordMetadata] = await producer.send(
                topic, value, key=key, timestamp_ms=timestamp_ms
            )
        except (LeaderNotAvailableError, UnknownTopicOrPartitionError):
            await asyncio.sleep(_NO_LEADER_SECONDS)
        else:
            return sent


async def _stop(producer: AIOKafkaProducer) -> None:
    with suppress(KafkaError, OSError):
        async with asyncio.timeout(_STOP_SECONDS):
            await producer.stop()
