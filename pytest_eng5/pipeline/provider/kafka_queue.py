"""The queue as a Kafka topic that the workers of a group share.

A comparison is accepted once its record is acknowledged, and its offset is committed once its callback is.
So a worker that dies loses nothing: whoever gets its partitions takes up what has no callback yet. A worker
that gives partitions away (another joins, or it ends) first finishes what it has begun, for a few seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from pytest_eng5.contracts import ProcessingEvent
from pytest_eng5.pipeline.errors import BrokerLost, PublishRefused, ServiceError, StartupFailed
from pytest_eng5.pipeline.kafka import KafkaOptions
from pytest_eng5.pipeline.logs import service_logger
from pytest_eng5.pipeline.provider.callbacks import SERVICE, QueuedComparison
from pytest_eng5.pipeline.provider.counting import AttemptLog
from pytest_eng5.pipeline.provider.processing import Processor
from pytest_eng5.pipeline.provider.progress import Progress
from pytest_eng5.pipeline.provider.records import QueueRecord, batch_of, queue_topic
from pytest_eng5.pipeline.provider.shared_simulations import SharedSimulations
from pytest_eng5.pipeline.publisher import Publisher
from pytest_eng5.pipeline.replay import answered_since
from pytest_eng5.pipeline.settings import LLMProviderSettings

__all__ = ["GROUP", "KafkaQueue"]

GROUP = "pytest_eng5_llm_provider_group"
_LONG_POLL_MS = 60_000
_JOIN_TIMEOUT = 60.0
# Less than the request timeout of the clients, in which the join of the other members waits for us.
_FINISH_BEFORE_REBALANCE = 2.0
_FINISH_BEFORE_END = 0.7
_CLOCK_SLACK_MS = 60_000
_MEASURE_SECONDS = 1.0
_log = service_logger(SERVICE)


class _Tenure:
    """What belongs to one assignment of partitions: begins when those of before are given away.

    Attributes:
        inherited: By partition, the end of what another worker may have answered already; as long as it is
            not known, that is everything.
        progress: By partition, what is finished.
        attempts: How often each comparison was asked for.
        answers: From which time on callbacks were looked up, and their request ids.
    """

    def __init__(self, options: KafkaOptions) -> None:
        self.inherited: dict[TopicPartition, int] = {}
        self.progress: dict[TopicPartition, Progress] = {}
        self.attempts = AttemptLog(options)
        self.answers: tuple[int, frozenset[str]] | None = None

    def may_be_answered(self, record: ConsumerRecord) -> bool:
        """Whether the record was there before this tenure began."""
        end = self.inherited.get(TopicPartition(record.topic, record.partition))
        return end is None or bool(record.offset < end)


class _Rebalances(ConsumerRebalanceListener):  # type: ignore[misc]
    """Tells the queue of one assignment of partitions after the other."""

    def __init__(self, queue: KafkaQueue) -> None:
        self._queue = queue

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self._queue.give_back()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        await self._queue.take_over(assigned)


class KafkaQueue:
    """This worker's end of the queue.

    Args:
        settings: Sizes and the session timeout of the group.
        options: How to connect.
        publisher: Where accepted comparisons go.
        processor: Answers them.
        simulations: Kept in step before anything is judged.
        worker_id: Name of this process in log lines.
    """

    def __init__(
        self,
        settings: LLMProviderSettings,
        options: KafkaOptions,
        publisher: Publisher,
        processor: Processor,
        simulations: SharedSimulations,
        worker_id: str,
    ) -> None:
        self._settings = settings
        self._options = options
        self._publisher = publisher
        self._processor = processor
        self._simulations = simulations
        self._worker_id = worker_id
        self._topic = queue_topic(options.topic_prefix)
        self._consumer: AIOKafkaConsumer | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        self._room.set()
        self._finished = asyncio.Event()
        self._failure: asyncio.Future[None] | None = None
        self._depth = 0
        self._tenure = _Tenure(options)

    async def put(self, item: QueuedComparison) -> UUID:
        """Publish a comparison to the queue.

        Raises:
            ServiceError: ``LLM_QUEUE_FULL``, or the broker does not take it.
        """
        if self._consumer is None:
            raise ServiceError("SERVICE_UNAVAILABLE", "the service is starting")
        if self.depth >= self._settings.queue_max_size:
            raise ServiceError(
                "LLM_QUEUE_FULL", f"the partitions of this worker hold {self.depth} comparisons"
            )
        record = QueueRecord.of(item)
        try:
            await self._publisher.send(self._topic, record.model_dump_json().encode(), key=record.key)
        except PublishRefused:
            raise ServiceError(
                "VALIDATION_ERROR", "the comparison is larger than the broker allows"
            ) from None
        except BrokerLost as error:
            raise ServiceError("KAFKA_PUBLISH_ERROR", error.what) from None
        return item.queue_id

    @property
    def depth(self) -> int:
        """Comparisons that waited in the partitions of this worker when it last looked, every second."""
        return self._depth

    async def start(self) -> None:
        """Join the group.

        Raises:
            StartupFailed: The group gave no answer in time.
        """
        consumer = AIOKafkaConsumer(
            group_id=self._options.topic_prefix + GROUP,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=self._settings.queue_session_timeout_ms,
            heartbeat_interval_ms=max(1, self._settings.queue_session_timeout_ms // 10),
            **self._options.client_arguments(f"eng5-provider-{self._worker_id}"),
        )
        consumer.subscribe([self._topic], listener=_Rebalances(self))
        self._consumer = consumer
        try:
            await asyncio.wait_for(consumer.start(), _JOIN_TIMEOUT)
        except TimeoutError:
            raise StartupFailed(
                f"the consumer group {self._options.topic_prefix + GROUP} took nobody in within "
                f"{_JOIN_TIMEOUT:g} s",
                where=self._options.bootstrap_servers,
                fix="look at the broker's own log, or start this worker with another --topic-prefix",
            ) from None

    async def stop(self) -> None:
        """Leave the group, so that the others need not wait for the session to end."""
        if self._consumer is not None:
            await self._consumer.stop()

    async def take_over(self, assigned: set[TopicPartition]) -> None:
        """Partitions were assigned: what already lies there may have been answered by another worker."""
        assert self._consumer is not None
        numbers = sorted(partition.partition for partition in assigned)
        _log.info("partitions assigned", worker=self._worker_id, partitions=numbers)
        tenure = self._tenure
        if assigned:
            tenure.inherited.update(await self._consumer.end_offsets(assigned))

    async def give_back(self) -> None:
        """Partitions are about to be given away: begin nothing more, and finish what has begun."""
        ending, self._tenure = self._tenure, _Tenure(self._options)
        await self._finish(ending, _FINISH_BEFORE_REBALANCE)

    async def run(self) -> None:
        """Work for ever; when cancelled, finish what has begun, for less than a second.

        Raises:
            BrokerLost: Callbacks cannot be published any more.
        """
        self._failure = asyncio.get_running_loop().create_future()
        works = (self._consume, self._commit_finished, self._measure)
        helpers = [asyncio.create_task(work()) for work in works]
        try:
            done, _ = await asyncio.wait([*helpers, self._failure], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            await self._finish(self._tenure, _FINISH_BEFORE_END)

    async def _consume(self) -> None:
        assert self._consumer is not None
        while True:
            await self._room.wait()
            room = self._settings.queue_workers - len(self._running)
            polled = await self._consumer.getmany(timeout_ms=_LONG_POLL_MS, max_records=room)
            tenure = self._tenure
            for partition, found in polled.items():
                tenure.attempts.saw(partition, found[0].offset)
            items = await self._items(tenure, [record for found in polled.values() for record in found])
            if tenure is not self._tenure:
                # Given away meanwhile: whoever has the partitions now reads these records again.
                continue
            for record, item in items:
                self._take(record, item)

    async def _items(
        self, tenure: _Tenure, records: Sequence[ConsumerRecord]
    ) -> list[tuple[ConsumerRecord, QueuedComparison | None]]:
        """What each record asks for; ``None`` if it cannot be read or has been answered before."""
        contents = [_decoded(record) for record in records]
        batches = {batch_of(content.request) for content in contents if content is not None}
        await self._simulations.know({batch_id for batch_id in batches if batch_id is not None})
        answered = await self._answered(tenure, records)
        return [
            (record, await self._item(tenure, record, content, answered))
            for record, content in zip(records, contents, strict=True)
        ]

    async def _item(
        self,
        tenure: _Tenure,
        record: ConsumerRecord,
        content: QueueRecord | None,
        answered: frozenset[str],
    ) -> QueuedComparison | None:
        if content is None:
            return None
        batch_id, attempt = batch_of(content.request), 0
        if batch_id is not None and self._simulations.may_fail(batch_id):
            since = self._simulations.since(batch_id, record.partition)
            attempt = await tenure.attempts.attempt(record, since)
        if str(content.queue_id) in answered:
            _log.info("answered before", worker=self._worker_id, request_id=str(content.queue_id))
            return None
        return content.item(attempt)

    async def _answered(self, tenure: _Tenure, records: Sequence[ConsumerRecord]) -> frozenset[str]:
        """Which request ids have a callback from the worker that had these records before."""
        inherited = [record.timestamp for record in records if tenure.may_be_answered(record)]
        if not inherited:
            return frozenset()
        if tenure.answers is None or min(inherited) < tenure.answers[0]:
            since = min(inherited) - _CLOCK_SLACK_MS
            topic = self._publisher.topic(ProcessingEvent.LLM_COMPARISON_RESULT)
            partitions = await self._publisher.partitions(topic)
            tenure.answers = since, await answered_since(self._options, partitions, since)
        return tenure.answers[1]

    def _take(self, record: ConsumerRecord, item: QueuedComparison | None) -> None:
        """Begin with a record; ``None`` as item means that there is nothing to do any more."""
        partition = TopicPartition(record.topic, record.partition)
        progress = self._tenure.progress.setdefault(partition, Progress())
        progress.begin(record.offset)
        if item is None:
            progress.finish(record.offset)
            self._finished.set()
            return
        task = asyncio.create_task(self._answer(item, progress, record.offset))
        self._running.add(task)
        task.add_done_callback(self._ended)
        if len(self._running) >= self._settings.queue_workers:
            self._room.clear()

    async def _answer(self, item: QueuedComparison, progress: Progress, offset: int) -> None:
        await self._processor.process(item)
        progress.finish(offset)
        self._finished.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._room.set()
        error = None if task.cancelled() else task.exception()
        if error is not None and self._failure is not None and not self._failure.done():
            self._failure.set_exception(error)

    async def _finish(self, tenure: _Tenure, seconds: float) -> None:
        """Let what has begun come to its end, give the rest up, and commit."""
        begun = set(self._running)
        if begun:
            _, late = await asyncio.wait(begun, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            if late:
                _log.warning("comparisons given back", worker=self._worker_id, comparisons=len(late))
        await self._commit(tenure)

    async def _measure(self) -> None:
        """Look at the depth again and again; a partition whose records wait here is not fetched meanwhile."""
        assert self._consumer is not None
        while True:
            with suppress(KafkaError):
                ends = await self._consumer.end_offsets(list(self._consumer.assignment()))
                taken = {partition: await self._consumer.position(partition) for partition in ends}
                self._depth = sum(max(0, end - taken[partition]) for partition, end in ends.items())
            await asyncio.sleep(_MEASURE_SECONDS)

    async def _commit_finished(self) -> None:
        """Commit beside the work: waiting for each commit would slow it down."""
        while True:
            await self._finished.wait()
            self._finished.clear()
            await self._commit(self._tenure)

    async def _commit(self, tenure: _Tenure) -> None:
        assert self._consumer is not None
        progress = tenure.progress.items()
        offsets = {partition: p.committable for partition, p in progress if p.committable is not None}
        if not offsets:
            return
        try:
            await self._consumer.commit(offsets)
        except KafkaError as error:
            # What was answered may be delivered again; its callback is found then.
            _log.warning("offsets not committed", problem=type(error).__name__)


def _decoded(record: ConsumerRecord) -> QueueRecord | None:
    try:
        return QueueRecord.model_validate_json(record.value or b"")
    except ValidationError:
        where = f"{record.topic}[{record.partition}]@{record.offset}"
        _log.error("queued comparison cannot be read", where=where)
        return None
