"""Where the records come from: explicit positions on every partition, moved only by what has been taken.

Records of transactions are read once they are committed: what a producer aborted was never published, and
is no evidence. The broker hands out nothing behind a transaction that is still open; the source says so.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_eng5.capture.patience import BACKOFF_MS, request_ms
from pytest_eng5.capture.watch import BrokerWatch

__all__ = ["Held", "Source"]

_MAX_RECORDS = 2000
_METADATA_MS = 500  # how soon partitions that are added are noticed
_PARTITION_BYTES = 4 << 20
_FETCH_BYTES = 8 << 20  # must pass within one request, also on a slow line
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Held:
    """A partition whose records are hidden by an open transaction.

    Attributes:
        partition: The partition, as the client names it.
        offset: The first offset that is not handed out.
        offsets: How many there are.
        since: When it was first seen, monotonic seconds.
    """

    partition: Any
    offset: int
    offsets: int
    since: float

    @property
    def seconds(self) -> float:
        """How long it has been so."""
        return time.monotonic() - self.since

    def __str__(self) -> str:
        where = f"{self.partition.topic}[{self.partition.partition}]"
        return (
            f"an open transaction of a producer has held back {where} from offset {self.offset} on "
            f"({self.offsets} offsets) for {self.seconds:.0f} s"
        )


class Source:
    """A consumer of some topics that belongs to a group by name only: it joins none.

    Args:
        arguments: Keyword arguments for the Kafka client.
        group_id: Under which name offsets are committed.
        record_limit: Bytes of the largest record batch, if known.

    Attributes:
        positions: The next offset of every partition; everything before it has been handed out and taken.
    """

    def __init__(self, arguments: Mapping[str, Any], group_id: str, record_limit: int | None = None) -> None:
        from aiokafka import AIOKafkaConsumer

        limit = record_limit or 0
        self._request_seconds = request_ms(record_limit) / 1000
        settings = {
            "request_timeout_ms": request_ms(record_limit),
            "retry_backoff_ms": BACKOFF_MS,
            "metadata_max_age_ms": _METADATA_MS,
            "max_partition_fetch_bytes": max(_PARTITION_BYTES, limit),
            "fetch_max_bytes": max(_FETCH_BYTES, limit),
            **arguments,
        }
        self._consumer = AIOKafkaConsumer(
            **settings,
            group_id=group_id,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
        )
        self._held: dict[Any, Held] = {}
        self._out_of_range: set[Any] = set()
        self.positions: dict[Any, int] = {}

    async def start(self, positions: Mapping[Any, int]) -> None:
        """Connect and read from these positions on.

        Raises:
            KafkaError, OSError: The broker does not answer.
        """
        await self._consumer.start()
        self._assign(positions)

    def _assign(self, positions: Mapping[Any, int]) -> None:
        self._consumer.assign(list(positions))
        for partition, offset in positions.items():
            self._consumer.seek(partition, offset)
        self.positions = dict(positions)

    async def poll(self, milliseconds: int) -> Mapping[Any, Sequence[Any]]:
        """Records by partition; none if none came in time.

        Raises:
            KafkaError: The broker refuses, or a record is damaged.
        """
        from aiokafka.errors import OffsetOutOfRangeError

        try:
            records: Mapping[Any, Sequence[Any]] = await self._consumer.getmany(
                timeout_ms=milliseconds, max_records=_MAX_RECORDS
            )
        except OffsetOutOfRangeError as error:
            self._out_of_range |= set(error.args[0])
            return {}
        return records

    async def advance(self) -> None:
        """Move the positions behind everything that was handed out, markers and gaps included."""
        for partition in self.positions:
            self.positions[partition] = await self._consumer.position(partition)
        self._note_transactions()

    def _note_transactions(self) -> None:
        for partition, position in self.positions.items():
            stable = self._consumer.last_stable_offset(partition)
            end = self._consumer.highwater(partition)
            if stable is None or end is None or not 0 <= stable <= position < end:
                self._held.pop(partition, None)
                continue
            known = self._held.get(partition)
            since = known.since if known is not None and known.offset == position else time.monotonic()
            self._held[partition] = Held(partition, position, end - position, since)

    def held(self, seconds: float) -> dict[Any, Held]:
        """Partitions that an open transaction has held back for at least so long."""
        return {partition: held for partition, held in self._held.items() if held.seconds >= seconds}

    def grow(self) -> list[Any]:
        """Read partitions that have been added, from their beginning; returns them.

        To be called after :meth:`advance`: what has been fetched but not handed out is fetched again.
        """
        added = [partition for partition in self._known() if partition not in self.positions]
        if added:
            self._assign(self.positions | dict.fromkeys(added, 0))
            _log.warning("partitions added while capturing: %s", ", ".join(map(_name, added)))
        return added

    def _known(self) -> Iterator[Any]:
        from aiokafka import TopicPartition

        for topic in sorted({partition.topic for partition in self.positions}):
            for number in sorted(self._consumer.partitions_for_topic(topic) or ()):
                yield TopicPartition(topic, number)

    async def jump(self, watch: BrokerWatch) -> list[str]:
        """Go on where there are records, for partitions whose position is gone; returns what was missed.

        Nothing is done as long as the broker does not tell where they begin and end.
        """
        if not self._out_of_range:
            return []
        gone = [partition for partition in self._out_of_range if partition in self.positions]
        beginnings, ends = await watch.beginnings(gone), await watch.ends(gone)
        if beginnings is None or ends is None:
            return []
        self._out_of_range.clear()
        missed = []
        for partition in gone:
            position, beginning, end = self.positions[partition], beginnings[partition], ends[partition]
            if position < beginning:
                missed.append(
                    f"the broker removed offsets {position} to {beginning - 1} of {_name(partition)} before "
                    "they were captured (retention)"
                )
            elif position > end:
                missed.append(
                    f"{_name(partition)} ends at offset {end}, although {position} had been reached: the "
                    "topic was deleted and made anew, or truncated"
                )
            else:
                continue
            self.positions[partition] = beginning if position < beginning else end
            self._consumer.seek(partition, self.positions[partition])
        return missed

    def unread(self) -> list[str]:
        """Where records stand that have not been handed out, as ``topic[partition]@offset``."""
        found = []
        for partition, position in self.positions.items():
            end = self._consumer.highwater(partition)
            if end is not None and end > position:
                found.append(f"{_name(partition)}@{position}")
        return found

    async def commit(self) -> None:
        """Commit the positions; a failure is only logged: resuming would repeat some records at most."""
        try:
            async with asyncio.timeout(2 * self._request_seconds):
                await self._consumer.commit(dict(self.positions))
        except Exception as error:
            _log.warning("offsets not committed: %s", error)

    async def stop(self) -> None:
        """Disconnect."""
        await self._consumer.stop()


def _name(partition: Any) -> str:
    return f"{partition.topic}[{partition.partition}]"
