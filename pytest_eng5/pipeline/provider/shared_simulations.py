"""Simulations that every worker knows, whichever was told: a compacted topic that each of them reads."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from pydantic import ValidationError

from pytest_eng5.pipeline.errors import BrokerLost, PublishRefused, ServiceError
from pytest_eng5.pipeline.kafka import KafkaOptions
from pytest_eng5.pipeline.logs import service_logger
from pytest_eng5.pipeline.provider.callbacks import SERVICE
from pytest_eng5.pipeline.provider.judge import Simulation
from pytest_eng5.pipeline.provider.records import SimulationRecord, queue_topic, simulations_topic
from pytest_eng5.pipeline.provider.simulations import SimulationBook
from pytest_eng5.pipeline.publisher import Publisher
from pytest_eng5.pipeline.replay import patiently

__all__ = ["SharedSimulations"]

_LONG_POLL_MS = 60_000
_log = service_logger(SERVICE)


class SharedSimulations:
    """Keeps a book in step with the topic.

    Args:
        options: How to connect.
        publisher: Where registrations go.
        book: What is kept in step.
    """

    def __init__(self, options: KafkaOptions, publisher: Publisher, book: SimulationBook) -> None:
        self._options = options
        self._publisher = publisher
        self._book = book
        self._partition = TopicPartition(simulations_topic(options.topic_prefix), 0)
        self._since: dict[str, dict[int, int]] = {}
        self._position = 0
        self._moved = asyncio.Condition()
        self._consumer: AIOKafkaConsumer | None = None
        self._queue: list[TopicPartition] = []

    async def start(self) -> None:
        """Read the topic from its start to its present end.

        Raises:
            BrokerLost: The broker does not answer.
        """
        consumer = AIOKafkaConsumer(
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            **self._options.client_arguments("eng5-provider-simulations"),
        )
        self._consumer = consumer
        await patiently(self._options, "connecting", consumer.start)
        consumer.assign([self._partition])
        await consumer.seek_to_beginning(self._partition)
        self._queue = await self._publisher.partitions(queue_topic(self._options.topic_prefix))
        end = await self._end()
        while self._position < end:
            await self._read(timeout_ms=500)

    async def run(self) -> None:
        """Follow the topic for ever."""
        while True:
            await self._read(timeout_ms=_LONG_POLL_MS)

    async def stop(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            await self._consumer.stop()

    async def register(self, batch_id: str, simulation: Simulation) -> None:
        """Make a simulation known to all workers; returns once the broker has it and this worker uses it.

        Raises:
            ServiceError: The broker does not take it.
        """
        if self._consumer is None:
            raise ServiceError("SERVICE_UNAVAILABLE", "the service is starting")
        consumer = self._consumer
        try:
            ends = await patiently(self._options, "queue offsets", lambda: consumer.end_offsets(self._queue))
            since = {tp.partition: end for tp, end in ends.items()}
            value = SimulationRecord(simulation=simulation, queue_since=since).model_dump_json().encode()
            sent = await self._publisher.send(self._partition.topic, value, key=batch_id.encode())
            await self._reached(sent.offset + 1)
        except PublishRefused as error:
            raise ServiceError("VALIDATION_ERROR", f"the simulation is too large: {error.what}") from None
        except BrokerLost as error:
            raise ServiceError("KAFKA_PUBLISH_ERROR", error.what) from None

    async def know(self, batch_ids: Collection[str]) -> None:
        """Have read everything that was registered before this call, if one of the batches is unknown.

        Raises:
            BrokerLost: The broker does not answer.
        """
        if any(self._book.find(batch_id) is None for batch_id in batch_ids):
            await self._reached(await self._end())

    def may_fail(self, batch_id: str) -> bool:
        """Whether comparisons of the batch are simulated to fail now and then."""
        simulation = self._book.find(batch_id)
        return simulation is not None and simulation.failure_rate > 0

    def since(self, batch_id: str, partition: int) -> int:
        """Where a queue partition ended when the batch's simulation was registered."""
        return self._since.get(batch_id, {}).get(partition, 0)

    async def _end(self) -> int:
        consumer = self._consumer
        assert consumer is not None
        ends = await patiently(
            self._options, "end of the simulations", lambda: consumer.end_offsets([self._partition])
        )
        return int(ends[self._partition])

    async def _reached(self, offset: int) -> None:
        async with self._moved:
            try:
                await asyncio.wait_for(
                    self._moved.wait_for(lambda: self._position >= offset), self._options.broker_timeout
                )
            except TimeoutError:
                raise BrokerLost(
                    "the registered simulations cannot be read",
                    where=self._options.bootstrap_servers,
                    fix="look at the broker's own log; start the pipeline again once the broker is up",
                ) from None

    async def _read(self, timeout_ms: int) -> None:
        assert self._consumer is not None
        for records in (await self._consumer.getmany(timeout_ms=timeout_ms)).values():
            for record in records:
                self._apply(record)
        async with self._moved:
            self._position = await self._consumer.position(self._partition)
            self._moved.notify_all()

    def _apply(self, record: ConsumerRecord) -> None:
        try:
            batch_id = (record.key or b"").decode()
            registered = SimulationRecord.model_validate_json(record.value or b"")
        except (ValidationError, UnicodeDecodeError):
            _log.warning("registration cannot be read", offset=record.offset)
            return
        self._book.register(batch_id, registered.simulation)
        self._since[batch_id] = registered.queue_since
