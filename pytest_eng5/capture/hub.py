"""The capture hub: one consumer for all runs of a session.

It takes explicit positions on every partition before anything is published, routes each record to its run,
makes the lines durable, and only then commits the offsets. It joins no group, replays no history and drops
nothing in silence: what cannot be attributed goes to the session's own log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pytest_eng5.capture.channel import RunChannel
from pytest_eng5.capture.errors import CaptureError
from pytest_eng5.capture.routing import Router
from pytest_eng5.contracts import (
    CAPTURED_EVENTS,
    ProcessingEvent,
    decode_event,
    topic_name,
    validation_reasons,
)
from pytest_eng5.evidence import AppendOnlyLog, CapturedRecord, Rejection, Stream, encode_line

__all__ = ["CaptureHub"]

_STREAMS: Mapping[ProcessingEvent, Stream] = {
    ProcessingEvent.LLM_COMPARISON_RESULT: Stream.COMPARISONS,
    ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED: Stream.ASSESSMENT_RESULTS,
    ProcessingEvent.CJ_ASSESSMENT_COMPLETED: Stream.COMPLETIONS,
    ProcessingEvent.CJ_ASSESSMENT_FAILED: Stream.FAILURES,
}
_POLL_MS = 500
_MAX_RECORDS = 2000
_GATHER_SECONDS = 0.1  # while records keep coming, one fsync serves those of this long
_REQUEST_MS = 3000
_COMMIT_SECONDS = 1.0
_SILENCE_SECONDS = 3.0
_RETRY_SECONDS = 0.5
_PATIENCE_SECONDS = 30.0
_log = logging.getLogger(__name__)


class CaptureHub:
    """Consumes the four result topics for every run of a session.

    Args:
        client_arguments: Keyword arguments for the Kafka client: ``bootstrap_servers`` and security.
        group_id: Where consumed offsets are committed; one per process and session.
        stray_log: File for records that belong to no run, and for records of runs that have ended.
        topic_prefix: Prefix of all topics.
    """

    def __init__(
        self, client_arguments: Mapping[str, Any], group_id: str, stray_log: Path, topic_prefix: str = ""
    ) -> None:
        self._arguments = dict(client_arguments)
        self._group_id = group_id
        self._events = {topic_name(event, topic_prefix): event for event in CAPTURED_EVENTS}
        self._stray = AppendOnlyLog(stray_log)
        self._router = Router()
        self._consumer: Any = None
        self._task: asyncio.Task[None] | None = None
        self._progress = asyncio.Condition()
        self._processed: dict[Any, int] = {}
        self._committed = time.monotonic()
        self._committing: asyncio.Task[None] | None = None
        self._heard = time.monotonic()
        self.failure: str | None = None
        self.foreign_events = 0
        self.stray_events = 0

    async def start(self) -> None:
        """Assign every partition, take the end offsets as positions, begin to consume.

        Raises:
            CaptureError: The broker does not answer or lacks a topic.
        """
        from aiokafka import AIOKafkaConsumer
        from aiokafka.errors import KafkaError

        self._consumer = AIOKafkaConsumer(
            **self._arguments,
            group_id=self._group_id,
            enable_auto_commit=False,
            auto_offset_reset="none",
            request_timeout_ms=_REQUEST_MS,
            retry_backoff_ms=100,
            max_partition_fetch_bytes=4 << 20,
        )
        try:
            await self._consumer.start()
            partitions = await self._partitions()
            self._consumer.assign(partitions)
            ends = await self._consumer.end_offsets(partitions)
            for partition, offset in ends.items():
                self._consumer.seek(partition, offset)
            self._processed = dict(ends)
        except (KafkaError, OSError) as error:
            await self._stop_consumer()
            raise CaptureError(
                f"cannot consume: {type(error).__name__}: {error}",
                where=str(self._arguments.get("bootstrap_servers")),
                fix="check that the broker runs and is reachable from here",
            ) from error
        self._task = asyncio.create_task(self._run(), name="eng5-capture")

    async def _partitions(self) -> list[Any]:
        from aiokafka import TopicPartition
        from aiokafka.admin import AIOKafkaAdminClient

        admin = AIOKafkaAdminClient(**self._arguments, request_timeout_ms=_REQUEST_MS)
        try:
            await admin.start()
            described = await admin.describe_topics(list(self._events))
        finally:
            await admin.close()
        numbers = {topic["topic"]: [part["partition"] for part in topic["partitions"]] for topic in described}
        absent = sorted(topic for topic in self._events if not numbers.get(topic))
        if absent:
            raise CaptureError(
                f"the broker has no topic {', '.join(absent)}",
                where=str(self._arguments.get("bootstrap_servers")),
                fix="start the pipeline that owns the topics, or create them",
            )
        return [TopicPartition(topic, number) for topic in self._events for number in sorted(numbers[topic])]

    def register(self, channel: RunChannel) -> None:
        """Route the events of a run to its channel from now on."""
        self._router.register(channel)

    @property
    def cost_usd(self) -> float:
        """Cost estimates of all runs together, as far as reported."""
        return sum(channel.account.cost_usd for channel in self._router.channels())

    async def drain(self) -> None:
        """Wait until everything that stands on the topics now has been captured.

        Raises:
            CaptureError: The hub broke down meanwhile.
        """
        ends = await self._ends()
        async with self._progress:
            await self._progress.wait_for(
                lambda: (
                    self.failure is not None
                    or all(self._processed[partition] >= end for partition, end in ends.items())
                )
            )
        self.check()

    async def _ends(self) -> dict[Any, int]:
        """The end offsets now; a broker that does not answer is asked again until the hub gives it up."""
        from aiokafka.errors import KafkaError

        while True:
            self.check()
            try:
                ends: dict[Any, int] = await self._consumer.end_offsets(list(self._processed))
                return ends
            except (KafkaError, OSError) as error:
                _log.warning("end offsets not told, asking again: %s", error)
                await asyncio.sleep(_RETRY_SECONDS)

    def check(self) -> None:
        """Raise the failure of the hub, if it has one."""
        if self.failure is not None:
            raise CaptureError(self.failure, fix="see the broker's log; all evidence captured so far is kept")

    async def abort(self, reason: str) -> None:
        """Tell every run that nothing more will come, and why."""
        if self.failure is None:
            self.failure = reason
        await self._announce(self._router.channels())

    async def stop(self) -> None:
        """Stop consuming, commit what was made durable, close the session's log."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._committing is not None:
            await self._committing
        if self._task is not None and self.failure is None:
            await self._commit()
        await self._stop_consumer()
        self._stray.close()

    async def _stop_consumer(self) -> None:
        """Disconnect within bounds; in a task of its own, since the client's cancellations leak out of it."""
        if self._consumer is None:
            return
        stopping = asyncio.create_task(self._consumer.stop())
        await asyncio.wait({stopping}, timeout=_REQUEST_MS / 1000)
        stopping.cancel()
        with contextlib.suppress(Exception, asyncio.CancelledError):
            await stopping

    async def _run(self) -> None:
        try:
            while True:
                await self._step()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            _log.exception("capture stopped")
            await self.abort(f"capture stopped: {type(error).__name__}: {error}")

    async def _step(self) -> None:
        touched: set[RunChannel] = set()
        batches = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_MAX_RECORDS)
        until, more = time.monotonic() + _GATHER_SECONDS, batches
        while more:
            self._take_all(more, touched)
            if time.monotonic() > until:
                break
            more = await self._consumer.getmany(timeout_ms=0, max_records=_MAX_RECORDS)
        if batches:
            self._heard = time.monotonic()
            await asyncio.to_thread(self._sync, touched)
        await self._advance()
        await self._announce(touched)
        if not batches:
            await self._check_silence()
        elif time.monotonic() - self._committed > _COMMIT_SECONDS:
            self._commit_aside()

    def _take_all(self, batches: Mapping[Any, Sequence[Any]], touched: set[RunChannel]) -> None:
        now = datetime.now(UTC)
        for partition, messages in batches.items():
            event = self._events[partition.topic]
            for message in messages:
                touched |= self._take(event, _record(message, now))

    def _take(self, event: ProcessingEvent, record: CapturedRecord) -> set[RunChannel]:
        try:
            envelope = decode_event(event, record.value or b"")
        except ValidationError as error:
            return self._reject(record, error)
        match = self._router.match(envelope)
        if match.attribution == "unattributed":
            match = self._router.match_raw(record.key, record.value)
        if match.channel is not None and not match.channel.closed:
            match.channel.accept(_STREAMS[event], record, envelope)
            return {match.channel}
        if match.attribution == "foreign":
            self.foreign_events += 1
            return set()
        rejection = Rejection("schema", (("/data", "names no batch and no essay"),), match.attribution)
        return self._stray_or_shared(record, match.channel, rejection)

    def _reject(self, record: CapturedRecord, error: ValidationError) -> set[RunChannel]:
        reasons = validation_reasons(error)
        undecodable = any(item["type"] in ("json_invalid", "json_type") for item in error.errors())
        match = self._router.match_raw(record.key, record.value)
        stage = "undecodable" if undecodable else "schema"
        rejection = Rejection(stage, tuple(reasons), match.attribution)
        if match.channel is not None and not match.channel.closed:
            match.channel.reject(record, rejection)
            return {match.channel}
        return self._stray_or_shared(record, match.channel, rejection)

    def _stray_or_shared(
        self, record: CapturedRecord, owner: RunChannel | None, rejection: Rejection
    ) -> set[RunChannel]:
        """A record without a living run: every open run reports it while nobody else uses the topics."""
        self._stray.append(encode_line(record, rejection))
        self.stray_events += 1
        if owner is not None or self._router.foreign:
            return set()
        open_runs = {channel for channel in self._router.channels() if not channel.closed}
        for channel in open_runs:
            channel.reject(record, rejection)
        return open_runs

    def _sync(self, channels: set[RunChannel]) -> None:
        for channel in channels:
            channel.sync()
        self._stray.sync()

    async def _advance(self) -> None:
        for partition in self._processed:
            self._processed[partition] = await self._consumer.position(partition)

    async def _announce(self, channels: Any) -> None:
        for channel in channels:
            channel.announce()
        async with self._progress:
            self._progress.notify_all()

    def _commit_aside(self) -> None:
        """Commit while capturing goes on; one at a time, so that offsets never go back."""
        if self._committing is None or self._committing.done():
            self._committed = time.monotonic()
            self._committing = asyncio.create_task(self._commit(), name="eng5-commit")

    async def _commit(self) -> None:
        """Commit what is durable, about once a second: a crash then repeats a second, never loses one."""
        try:
            async with asyncio.timeout(_REQUEST_MS / 1000):
                await self._consumer.commit(dict(self._processed))
        except Exception as error:  # resuming would repeat some events; capturing goes on
            _log.warning("offsets not committed: %s", error)

    async def _check_silence(self) -> None:
        """After a silence, ask whether the broker is still there: its loss must not be taken for calm."""
        silent = time.monotonic() - self._heard
        if silent < _SILENCE_SECONDS:
            return
        try:
            async with asyncio.timeout(_REQUEST_MS / 1000):
                await self._consumer.end_offsets(list(self._processed))
            self._heard = time.monotonic()
        except Exception as error:
            if silent > _PATIENCE_SECONDS:
                servers = self._arguments.get("bootstrap_servers")
                raise CaptureError(
                    f"the broker at {servers} has not answered for {silent:.0f} s ({type(error).__name__})"
                ) from error


def _record(message: Any, now: datetime) -> CapturedRecord:
    headers: Sequence[tuple[str, bytes | None]] = message.headers or ()
    return CapturedRecord(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        timestamp_ms=message.timestamp if message.timestamp is not None else -1,
        received_at=now,
        key=message.key,
        value=message.value,
        headers=tuple(headers),
    )
