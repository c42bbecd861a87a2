"""The capture hub: one consumer for all runs of a session.

It takes explicit positions on every partition before anything is published, routes each record to its run,
makes the lines durable, and only then commits the offsets. It joins no group, replays no history and drops
nothing in silence: what cannot be attributed goes to the session's own log.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pytest_eng5.capture.channel import RunChannel
from pytest_eng5.capture.errors import CaptureError
from pytest_eng5.capture.patience import BACKOFF_MS, TRANSACTION_SECONDS
from pytest_eng5.capture.routing import Router
from pytest_eng5.capture.source import Held, Source
from pytest_eng5.capture.stopping import disconnect
from pytest_eng5.capture.telling import tell_skipped
from pytest_eng5.capture.topics import describe_topics
from pytest_eng5.capture.watch import BrokerWatch
from pytest_eng5.contracts import (
    CAPTURED_EVENTS,
    ProcessingEvent,
    decode_event,
    topic_name,
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
_GATHER_SECONDS = 0.1  # while records keep coming, one fsync serves those of this long
_COMMIT_SECONDS = 1.0
_TOLD_SECONDS = 2.0  # an open transaction younger than this is nothing to tell about
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
        self._source: Source | None = None
        self._watch = BrokerWatch(client_arguments, self._broker_is_back, self._broker_is_away)
        self._tasks: list[asyncio.Task[None]] = []
        self._progress = asyncio.Condition()
        self._committed = time.monotonic()
        self._committing: asyncio.Task[None] | None = None
        self._jumps = 0
        self.failure: str | None = None
        self.foreign_events = 0
        self.stray_events = 0

    async def start(self) -> None:
        """Assign every partition, take the end offsets as positions, begin to consume.

        Raises:
            CaptureError: The broker does not answer or lacks a topic.
        """
        from aiokafka.errors import KafkaError

        try:
            await self._connect()
        except (KafkaError, OSError) as error:
            raise CaptureError(
                f"cannot consume: {type(error).__name__}: {error}",
                where=str(self._arguments.get("bootstrap_servers")),
                fix="check that the broker runs and is reachable from here",
            ) from error
        finally:
            if not self._tasks:
                await self._disconnect()

    async def _connect(self) -> None:
        from aiokafka import TopicPartition

        facts = await describe_topics(self._arguments, list(self._events))
        partitions = [TopicPartition(topic, n) for topic, all_ in facts.partitions.items() for n in all_]
        ends = await self._watch.start(partitions)
        self._source = Source(self._arguments, self._group_id, facts.record_limit)
        await self._source.start(ends)
        self._tasks = [
            asyncio.create_task(self._guarded(self._capture(self._source)), name="eng5-capture"),
            asyncio.create_task(
                self._guarded(self._watch.run(lambda: self._positions)), name="eng5-broker-watch"
            ),
        ]

    @property
    def _positions(self) -> dict[Any, int]:
        return {} if self._source is None else self._source.positions

    def register(self, channel: RunChannel) -> None:
        """Route the events of a run to its channel from now on."""
        self._router.register(channel)
        channel.log.info("collector_started", expected=channel.account.expected)

    @property
    def cost_usd(self) -> float:
        """Cost estimates of all runs together, as far as reported."""
        return sum(channel.account.cost_usd for channel in self._router.channels())

    async def drain(self) -> list[str]:
        """Wait until everything that stands on the topics now has been captured.

        What an open transaction holds back is waited for only for some seconds.

        Returns:
            What has not been captured for that reason, in words.

        Raises:
            CaptureError: The hub broke down meanwhile.
        """
        while True:
            ends, jumps = await self._ends(), self._jumps
            async with self._progress:
                while self._jumps == jumps:
                    self.check()
                    left = self._left(ends)
                    if left is not None:
                        return left
                    await self._progress.wait()

    def _left(self, ends: Mapping[Any, int]) -> list[str] | None:
        """What open transactions hold back before these ends; ``None`` while there is more to wait for."""
        held, left = self._held(TRANSACTION_SECONDS), []
        for partition, end in ends.items():
            if self._positions[partition] < end:
                if partition not in held:
                    return None
                left.append(str(held[partition]))
        return left

    def _held(self, seconds: float) -> dict[Any, Held]:
        return {} if self._source is None else self._source.held(seconds)

    async def _ends(self) -> dict[Any, int]:
        """The end offsets now; a broker that does not answer is asked again until the hub gives it up."""
        while True:
            self.check()
            ends = await self._watch.ends(self._positions)
            if ends is not None:
                return ends
            await asyncio.sleep(BACKOFF_MS / 1000)

    def obstacles(self) -> list[str]:
        """What keeps events from being captured at the moment, in words: no broker, an open transaction."""
        found = [] if self._watch.problem is None else [self._watch.describe()]
        return found + [str(held) for held in self._held(_TOLD_SECONDS).values()]

    def _broker_is_back(self) -> None:
        for channel in self._open_runs():
            channel.postpone()
            channel.log.warning("broker_returned")

    def _broker_is_away(self, problem: str) -> None:
        for channel in self._open_runs():
            channel.log.warning("broker_away", problem=problem)

    def _open_runs(self) -> list[RunChannel]:
        return [channel for channel in self._router.channels() if not channel.closed]

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
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._committing is not None:
            await self._committing
        if self._tasks and self._source is not None and not (self.failure or self._watch.problem):
            await self._source.commit()
        await self._disconnect()
        self._stray.close()

    async def _disconnect(self) -> None:
        clients = [stop for stop in (self._watch.stop, self._source and self._source.stop) if stop]
        await asyncio.gather(*(disconnect(stop()) for stop in clients))

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """Do work that ends only with the hub; its failure is the hub's."""
        try:
            await work
        except CaptureError as error:
            await self.abort(error.what)
        except Exception as error:
            _log.exception("capture stopped")
            unread = ", ".join(self._source.unread()) if self._source else ""
            where = f"; next to be read: {unread}" if unread else ""
            await self.abort(f"capture stopped: {type(error).__name__}: {error}{where}")

    async def _capture(self, source: Source) -> None:
        while self.failure is None:
            await self._step(source)

    async def _step(self, source: Source) -> None:
        touched: set[RunChannel] = set()
        batches = await source.poll(_POLL_MS)
        until, more = time.monotonic() + _GATHER_SECONDS, batches
        while more:
            self._take_all(more, touched)
            if time.monotonic() > until:
                break
            more = await source.poll(0)
        if batches:
            await asyncio.to_thread(self._sync, touched)
        await source.advance()
        source.grow()
        for missed in await source.jump(self._watch):
            touched |= self._lose(missed)
        await self._announce(touched)
        if batches and time.monotonic() - self._committed > _COMMIT_SECONDS and not self._watch.problem:
            self._commit_aside(source)

    def _lose(self, missed: str) -> set[RunChannel]:
        """Records are gone that may have been anybody's: no verdict for the runs that wait."""
        self._jumps += 1
        waiting = self._open_runs()
        _log.warning("%s; runs that were waiting: %d", missed, len(waiting))
        for channel in waiting:
            channel.lose(missed)
        return set(waiting)

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
        match = self._router.match_raw(record.key, record.value)
        rejection = Rejection.because(error, match.attribution)
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
        if owner is not None:
            tell_skipped(owner.log, record)
        if owner is not None or self._router.foreign:
            return set()
        open_runs = self._open_runs()
        for channel in open_runs:
            channel.reject(record, rejection)
        return set(open_runs)

    def _sync(self, channels: set[RunChannel]) -> None:
        for channel in channels:
            channel.sync()
        self._stray.sync()

    async def _announce(self, channels: Any) -> None:
        for channel in channels:
            channel.announce()
        async with self._progress:
            self._progress.notify_all()

    def _commit_aside(self, source: Source) -> None:
        """Commit while capturing goes on, about once a second, one at a time so that offsets never go back.

        A crash then repeats a second, never loses one.
        """
        if self._committing is None or self._committing.done():
            self._committed = time.monotonic()
            self._committing = asyncio.create_task(source.commit(), name="eng5-commit")


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
