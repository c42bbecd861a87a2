"""Are there records from the future? Then a producer's clock, or the broker's, is ahead of this machine's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from pytest_eng5.brokers.diagnosis import unusable
from pytest_eng5.brokers.model import BrokerConnection

__all__ = ["seconds_ahead"]


async def seconds_ahead(
    connection: BrokerConnection,
    topics: Mapping[str, int],
    *,
    tolerance: float,
    timeout: float = 10.0,  # noqa: ASYNC109
) -> dict[str, float]:
    """Topics with a record more than ``tolerance`` seconds in the future; no record is read for it.

    The broker is asked for the first offset with a later timestamp. That there is none proves nothing about
    clocks that are behind.

    Args:
        connection: The broker.
        topics: Topic name to number of partitions.
        tolerance: Seconds.
        timeout: Seconds for all of it.

    Returns:
        Topic name to how many seconds ahead of this machine that record is.

    Raises:
        BrokerUnreachable: The broker does not answer in time.
    """
    from aiokafka import AIOKafkaConsumer, TopicPartition
    from aiokafka.errors import KafkaError

    now = time.time() * 1000
    limit = int(now + tolerance * 1000)
    asked = {TopicPartition(name, part): limit for name, count in topics.items() for part in range(count)}
    arguments = connection.client_arguments(enable_auto_commit=False)
    try:
        async with asyncio.timeout(timeout), AIOKafkaConsumer(**arguments) as consumer:
            found = await consumer.offsets_for_times(asked)
    except (KafkaError, OSError) as error:  # TimeoutError is an OSError
        raise await unusable(connection, error) from error
    ahead: dict[str, float] = {}
    for partition, first in found.items():
        if first is not None:
            seconds = (first.timestamp - now) / 1000
            ahead[partition.topic] = max(seconds, ahead.get(partition.topic, 0.0))
    return ahead
