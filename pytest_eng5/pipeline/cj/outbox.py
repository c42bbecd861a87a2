"""What the CJ service says at the end of a batch, kept until the broker has it (contract section 1.4).

The end of a batch and its last events are written in one transaction. A process that dies while it publishes
them publishes the rest when it is started again, and none twice: it looks on the topics first.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_eng5.contracts import EventEnvelope, ProcessingEvent
from pytest_eng5.pipeline.cj.records import BatchStore
from pytest_eng5.pipeline.database import Database
from pytest_eng5.pipeline.errors import PublishRefused
from pytest_eng5.pipeline.faults import CJ_EVENTS, FaultBook, FaultySeam
from pytest_eng5.pipeline.kafka import KafkaOptions
from pytest_eng5.pipeline.logs import service_logger
from pytest_eng5.pipeline.publisher import Publisher
from pytest_eng5.pipeline.replay import events_since

__all__ = ["Message", "Outbox"]

_CLOCK_MARGIN_MS = 60_000
_log = service_logger("cj_assessment_service")


@dataclass(frozen=True, slots=True)
class Message:
    """An event on its way."""

    event: ProcessingEvent
    envelope: EventEnvelope
    key: str


class Outbox:
    """Publishes the last events of batches.

    Args:
        database: The state.
        batches: Where a batch ends.
        publisher: Where events go.
        faults: The faults that are planned for them, if any are.
    """

    def __init__(
        self, database: Database, batches: BatchStore, publisher: Publisher, faults: FaultBook | None = None
    ) -> None:
        self._database = database
        self._batches = batches
        self._publisher = publisher
        self._seam = FaultySeam(publisher, faults or FaultBook(CJ_EVENTS))
        database.define(
            "CREATE TABLE IF NOT EXISTS outbox (number INTEGER PRIMARY KEY AUTOINCREMENT,"
            " job_id INTEGER NOT NULL, event TEXT NOT NULL, event_id TEXT NOT NULL, key TEXT NOT NULL,"
            " value BLOB NOT NULL, created_at REAL NOT NULL)"
        )

    async def end(self, job_id: int, messages: Sequence[Message]) -> None:
        """End a batch and publish its last events, each after the one before.

        Raises:
            PublishRefused: The broker will never take one of them; those after it are not published.
            BrokerLost: The broker is away; they are published after a restart.
        """
        with self._database.transaction():
            self._batches.ended(job_id)
            numbers = [self._keep(job_id, message) for message in messages]
        for number, message in zip(numbers, messages, strict=True):
            try:
                await self._seam.publish(message.event, message.envelope, key=message.key)
            except PublishRefused:
                self._database.run("DELETE FROM outbox WHERE job_id = ?", job_id)
                raise
            self._done(number)

    def forget(self) -> None:
        """Publish nothing that the process before this one did not get to."""
        self._database.run("DELETE FROM outbox")

    async def recover(self, options: KafkaOptions) -> None:
        """Publish what the process before this one did not get to."""
        left = self._database.rows("SELECT * FROM outbox ORDER BY number")
        for row in left:
            topic = self._publisher.topic(ProcessingEvent(row["event"]))
            partitions = await self._publisher.partitions(topic)
            since = int(row["created_at"] * 1000) - _CLOCK_MARGIN_MS
            if row["event_id"] not in await events_since(options, partitions, since):
                await self._publisher.send(topic, row["value"], key=row["key"].encode())
            self._done(row["number"])
        if left:
            _log.info("events of ended batches published", count=len(left))

    def _keep(self, job_id: int, message: Message) -> int:
        envelope = message.envelope
        cursor = self._database.run(
            "INSERT INTO outbox (job_id, event, event_id, key, value, created_at) VALUES (?, ?, ?, ?, ?, ?)",
            *(job_id, message.event.value, str(envelope.event_id), message.key),
            *(envelope.to_wire(), time.time()),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def _done(self, number: int) -> None:
        self._database.run("DELETE FROM outbox WHERE number = ?", number)
