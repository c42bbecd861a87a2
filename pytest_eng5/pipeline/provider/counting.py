"""How often a comparison was asked for before: counted on the queue's own log, so that every worker agrees.

A comparison that is asked for again may fail or succeed anew (`judge.fails`), depending on the attempt's
number. That number is the count of earlier records with the same key since the batch's simulation was
registered; it is the same for whoever reads the partition, and for a record that is delivered again.
"""

from __future__ import annotations

from bisect import bisect_left

from aiokafka import ConsumerRecord, TopicPartition

from pytest_eng5.pipeline.kafka import KafkaOptions
from pytest_eng5.pipeline.replay import keys_between

__all__ = ["AttemptLog"]


class AttemptLog:
    """Counts for one assignment of partitions; another assignment needs another log.

    Args:
        options: How to read again what was published before the assignment.
    """

    def __init__(self, options: KafkaOptions) -> None:
        self._options = options
        self._known_from: dict[TopicPartition, int] = {}
        self._offsets: dict[TopicPartition, dict[bytes, list[int]]] = {}

    async def attempt(self, record: ConsumerRecord, since: int) -> int:
        """Number of earlier records like this one from offset ``since`` on, and remember this one.

        To be asked for every record of a batch in which comparisons are simulated to fail, in order.

        Raises:
            BrokerLost: What was published before the assignment cannot be read.
        """
        partition = TopicPartition(record.topic, record.partition)
        await self._know(partition, min(since, record.offset), record.offset)
        offsets = self._offsets[partition].setdefault(record.key, [])
        place = bisect_left(offsets, record.offset)
        if place == len(offsets):
            offsets.append(record.offset)
        return max(0, place - bisect_left(offsets, since))

    def saw(self, partition: TopicPartition, offset: int) -> None:
        """A record of the partition was polled; from the first of them on nothing is read a second time."""
        self._known_from.setdefault(partition, offset)

    async def _know(self, partition: TopicPartition, since: int, offset: int) -> None:
        known = self._known_from.setdefault(partition, offset)
        found = self._offsets.setdefault(partition, {})
        if since >= known:
            return
        earlier: dict[bytes, list[int]] = {}
        for key, place in await keys_between(self._options, partition, since, known):
            earlier.setdefault(key, []).append(place)
        for key, places in earlier.items():
            found[key] = places + found.get(key, [])
        self._known_from[partition] = since
