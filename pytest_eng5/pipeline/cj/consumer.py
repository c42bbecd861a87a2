"""The CJ service's Kafka consumer: its own group, explicit positions, manual commit (contract 1.5)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from pytest_eng5.contracts import CJ_CONSUMER_GROUP, ProcessingEvent, topic_name
from pytest_eng5.pipeline.errors import StartupFailed
from pytest_eng5.pipeline.kafka import KafkaOptions
from pytest_eng5.pipeline.logs import service_logger

__all__ = ["CJConsumer"]

_EVENTS = (ProcessingEvent.ELS_CJ_ASSESSMENT_REQUESTED, ProcessingEvent.LLM_COMPARISON_RESULT)
_JOIN_TIMEOUT = 60.0
_LONG_POLL_MS = 60_000
_log = service_logger("cj_assessment_service")

Handler = Callable[[ProcessingEvent, bytes | None], Awaitable[None]]


class _Watch(ConsumerRebalanceListener):  # type: ignore[misc]
    """Knows whether the consumer has partitions at the moment."""

    def __init__(self) -> None:
        self.assigned: frozenset[TopicPartition] = frozenset()

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self.assigned = frozenset()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self.assigned = frozenset(assigned)


class CJConsumer:
    """Reads requests and callbacks and gives them to a handler, in the order of each partition.

    Args:
        options: Address, prefix.
        session_timeout_ms: After how long without a sign of life the group gives its partitions away.
    """

    def __init__(self, options: KafkaOptions, session_timeout_ms: int) -> None:
        self._topics = {topic_name(event, options.topic_prefix): event for event in _EVENTS}
        self._options = options
        self._session_timeout_ms = session_timeout_ms
        self._watch = _Watch()
        self._positioned = False
        self._handled: dict[TopicPartition, int] = {}
        self._dirty = asyncio.Event()
        self._consumer: AIOKafkaConsumer | None = None

    def not_ready(self) -> str | None:
        """Why the consumer does not consume, ``None`` if it does."""
        if not self._positioned:
            return "the consumer has no positions yet"
        return None if self._watch.assigned else "the consumer has no partitions assigned"

    async def start(self) -> None:
        """Join the group, take a position in every partition and commit it.

        A position that was only implied (``latest``) is resolved later than it looks: what is published
        in between would be lost. So it is asked for here, and kept for a rebalance by the commit.

        Raises:
            StartupFailed: The group gave this consumer no partitions in time.
        """
        # Created here rather than in the constructor: aiokafka binds it to the running loop.
        self._consumer = AIOKafkaConsumer(
            group_id=self._options.topic_prefix + CJ_CONSUMER_GROUP,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            session_timeout_ms=self._session_timeout_ms,
            heartbeat_interval_ms=max(1, self._session_timeout_ms // 5),
            **self._options.client_arguments("eng5-pipeline-consumer"),
        )
        self._consumer.subscribe(list(self._topics), listener=self._watch)
        try:
            await asyncio.wait_for(self._consumer.start(), _JOIN_TIMEOUT)
        except TimeoutError:
            group = self._options.topic_prefix + CJ_CONSUMER_GROUP
            raise StartupFailed(
                f"the consumer group {group} assigned nothing within {_JOIN_TIMEOUT:g} s",
                where=self._options.bootstrap_servers,
                fix="end other pipelines on this broker, or start this one with --topic-prefix",
            ) from None
        partitions = self._consumer.assignment()
        positions = {tp: await self._consumer.position(tp) for tp in partitions}
        await self._consumer.commit(positions)
        self._positioned = True

    async def run(self, handle: Handler) -> None:
        """Consume for ever; an offset is committed once its record has been handled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._commit_handled())
            await self._consume(handle)

    async def _consume(self, handle: Handler) -> None:
        assert self._consumer is not None
        while True:
            polled = await self._consumer.getmany(timeout_ms=_LONG_POLL_MS)
            for partition, records in polled.items():
                for record in records:
                    await handle(self._topics[partition.topic], record.value)
                self._handled[partition] = records[-1].offset + 1
            if polled:
                self._dirty.set()

    async def _commit_handled(self) -> None:
        """Commit beside the consumption: waiting for each commit would slow every wave down."""
        assert self._consumer is not None
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            offsets, self._handled = self._handled, {}
            try:
                await self._consumer.commit(offsets)
            except KafkaError as error:
                # What was handled may come again; requests and callbacks are recognised when they do.
                if error.retriable:
                    self._handled = offsets | self._handled
                _log.warning("offsets not committed", problem=type(error).__name__)

    async def stop(self) -> None:
        """Leave the group."""
        if self._consumer is not None:
            await self._consumer.stop()
