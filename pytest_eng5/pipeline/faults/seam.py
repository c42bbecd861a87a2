"""The seam: what a service publishes goes through here, and comes out as the batch's fault plan has it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from aiokafka.structs import RecordMetadata

from pytest_eng5.contracts import EventEnvelope, ProcessingEvent
from pytest_eng5.pipeline.errors import PipelineError
from pytest_eng5.pipeline.faults.batch import BatchFaults
from pytest_eng5.pipeline.faults.book import CJ_EVENTS, FaultBook
from pytest_eng5.pipeline.faults.messages import Outgoing
from pytest_eng5.pipeline.logs import service_logger

__all__ = ["Direct", "FaultySeam", "Sink"]

_GAP_SECONDS = 0.003  # records of one millisecond have no order between partitions
_PATIENCE_SECONDS = 0.5
_log = service_logger("faults")

Direct = Callable[[bytes], Awaitable[None]]
"""Gives a true callback to the CJ service of this process."""


class Sink(Protocol):
    """Where records go: the publisher."""

    def topic(self, event: ProcessingEvent) -> str:
        """The topic of an event."""
        ...

    async def publish(
        self, event: ProcessingEvent, envelope: EventEnvelope, *, key: str | None = None
    ) -> None:
        """Publish one event."""
        ...

    async def send(
        self, topic: str, value: bytes, *, key: bytes | None = None, timestamp_ms: int | None = None
    ) -> RecordMetadata:
        """Send one record."""
        ...


class FaultySeam:
    """Publishes events, with the faults of their batch if it is to have any.

    Args:
        sink: Where records go.
        book: The faults.
        direct: The CJ service of this process; ``None`` where it runs elsewhere.
    """

    def __init__(
        self, sink: Sink, book: FaultBook, direct: Callable[[], Direct | None] = lambda: None
    ) -> None:
        self._sink = sink
        self._book = book
        self._direct = direct
        self._later: set[asyncio.Task[None]] = set()

    @property
    def pending(self) -> int:
        """Records that are held back at the moment, or tasks that will publish some."""
        return len(self._later)

    async def publish(
        self, event: ProcessingEvent, envelope: EventEnvelope, *, key: str | None = None
    ) -> None:
        """Publish one event as the plan of its batch has it; see `Publisher.publish` for errors."""
        faults = self._book.of(envelope.data)
        if faults is None:
            await self._sink.publish(event, envelope, key=key)
            return
        value = envelope.to_wire()
        applied = faults.apply(event, key, value)
        direct = self._direct()
        if applied.shielded and direct is not None:
            # First, so that the comparison is settled when the CJ service meets what stands on the topic.
            await direct(value)
        await self._send_all(applied.messages)
        if faults.holds:
            self._start(self._flush(faults))

    async def _send_all(self, messages: Sequence[Outgoing]) -> None:
        """One after the other; events that end a batch at once, since nobody waits for another one."""
        if all(message.event in CJ_EVENTS for message in messages):
            await asyncio.gather(*map(self._send, messages))
            return
        for number, message in enumerate(messages):
            await asyncio.sleep(_GAP_SECONDS if number else 0)
            await self._send(message)

    async def _send(self, message: Outgoing) -> None:
        if message.seconds:
            self._start(self._send_later(message))
            return
        stamp = round((time.time() - message.age) * 1000) if message.age else None
        key = None if message.key is None else message.key.encode()
        await self._sink.send(self._sink.topic(message.event), message.value, key=key, timestamp_ms=stamp)

    async def _send_later(self, message: Outgoing) -> None:
        await asyncio.sleep(message.seconds)
        await self._send(Outgoing(message.event, message.key, message.value, age=message.age))

    async def _flush(self, faults: BatchFaults) -> None:
        """Nothing may come that a held record could wait for."""
        await asyncio.sleep(_PATIENCE_SECONDS)
        for message in faults.flush():
            await self._send(message)

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(_reported(work))
        self._later.add(task)
        task.add_done_callback(self._later.discard)


async def _reported(work: Awaitable[None]) -> None:
    try:
        await work
    except PipelineError as error:
        _log.error("a delayed event was not published", problem=str(error))
