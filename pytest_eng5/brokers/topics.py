"""Topics: made explicitly, or asked for by name, which creates nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_eng5.brokers.acls import Lack
from pytest_eng5.brokers.client import REQUEST_MS, ask_any, ask_controller, connected
from pytest_eng5.brokers.diagnosis import unusable
from pytest_eng5.brokers.errors import AccessDenied, TopicsMissing
from pytest_eng5.brokers.model import BrokerConnection

if TYPE_CHECKING:
    from aiokafka.client import AIOKafkaClient

__all__ = ["DEFAULT_PARTITIONS", "create_topics", "ensure_topics", "topics_missing"]

DEFAULT_PARTITIONS = 3
"""As the production bootstrap script creates them."""

# Error codes of Kafka's protocol.
_ABSENT = frozenset({3, 17})  # unknown; not a possible name, of which creating says more
_CREATED = frozenset({0, 7, 36})  # made; being made; made by somebody else
_DENIED = 29
_CLUSTER_DENIED = 31
_BAD_REPLICATION = 38
_BROKERS_DEFAULT = -1
_USUAL_REPLICAS = 3
_RETRY_SECONDS = 0.02


async def ensure_topics(
    connection: BrokerConnection,
    topics: Sequence[str],
    *,
    partitions: int = DEFAULT_PARTITIONS,
    may_create: bool,
    timeout: float = 30.0,  # noqa: ASYNC109
) -> Mapping[str, int]:
    """Make sure that every topic exists and has a leader for each partition.

    A topic that is created has the broker's default replication factor: with one replica it could not take
    a record on a cluster where ``min.insync.replicas`` is 2.

    Args:
        connection: The broker.
        topics: Topic names.
        partitions: Partitions of a topic that is created; an existing topic keeps what it has.
        may_create: Create what is missing; otherwise missing topics are an error.
        timeout: Seconds for all of it.

    Returns:
        Topic name to number of partitions.

    Raises:
        TopicsMissing: Naming the topics that are missing, or why they could not be created.
        AccessDenied: The account may not see or not create a topic.
        BrokerUnreachable: The broker does not answer.
    """
    from aiokafka.errors import KafkaError

    wanted = list(dict.fromkeys(topics))
    try:
        async with asyncio.timeout(timeout), connected(connection) as client:
            found = await _found(client, wanted)
            if hidden := [name for name, topic in found.items() if topic["error_code"] == _DENIED]:
                raise _hidden(connection, hidden)
            missing = [name for name, topic in found.items() if topic["error_code"] in _ABSENT]
            if missing and not may_create:
                raise topics_missing(connection, missing)
            if missing:
                await create_topics(connection, client, missing, partitions)
            return await _all_led(client, wanted)
    except (KafkaError, OSError) as error:  # TimeoutError is an OSError
        raise await unusable(connection, error) from error


async def create_topics(
    connection: BrokerConnection, client: AIOKafkaClient, topics: Sequence[str], partitions: int
) -> None:
    """Create topics with the broker's default replication factor; those that exist by now are left alone.

    Raises:
        TopicsMissing: With the broker's reason.
        AccessDenied: The account may not create them.
    """
    answer = await _create(client, topics, partitions, _BROKERS_DEFAULT)
    if old := [name for name, code, *_ in answer if code == _BAD_REPLICATION]:  # before Kafka 2.4
        replicas = min(_USUAL_REPLICAS, len(client.cluster.brokers()))
        answer = [each for each in answer if each[0] not in old]
        answer += await _create(client, old, partitions, replicas)
    if denied := [name for name, code, *_ in answer if code in (_DENIED, _CLUSTER_DENIED)]:
        lack = Lack()
        lack.right("Create", "topic", *denied)
        raise lack.error(connection)
    for topic, code, *message in answer:
        if code not in _CREATED:
            raise TopicsMissing(
                f"topic {topic} cannot be created: {_reason(code, message)}",
                fix="create it by other means, or use an account that may create topics",
            )


async def _create(
    client: AIOKafkaClient, topics: Sequence[str], partitions: int, replicas: int
) -> list[tuple[Any, ...]]:
    from aiokafka.protocol.admin import CreateTopicsRequest

    wanted: list[tuple[Any, ...]] = [(name, partitions, replicas, [], []) for name in topics]
    answer = await ask_controller(client, CreateTopicsRequest(wanted, REQUEST_MS, False))
    return list(answer.topic_errors)


def _reason(code: int, message: Sequence[str | None]) -> str:
    from aiokafka.errors import for_code

    said = message[0] if message else None
    return said or str(for_code(code).__name__)


def topics_missing(connection: BrokerConnection, topics: Sequence[str]) -> TopicsMissing:
    """The error that names topics which do not exist and will not be created."""
    many = f"{len(topics)} topics are missing:" if len(topics) > 1 else "a topic is missing:"
    return TopicsMissing(
        f"{many} {', '.join(topics)}",
        where=connection.bootstrap_servers,
        fix="create them (production uses 3 partitions), allow it with --eng5-create-topics, or check "
        "--eng5-topic-prefix",
    )


def _hidden(connection: BrokerConnection, topics: Sequence[str]) -> AccessDenied:
    lack = Lack(hidden=list(topics))
    lack.right("Describe", "topic", *topics)
    return lack.error(connection)


async def _found(client: AIOKafkaClient, topics: Sequence[str]) -> dict[str, dict[str, Any]]:
    from pytest_eng5.brokers.questions import TopicsRequest

    answer = await ask_any(client, TopicsRequest(topics))
    return {each["topic"]: each for each in answer.to_object()["topics"]}


async def _all_led(client: AIOKafkaClient, topics: Sequence[str]) -> dict[str, int]:
    while True:
        found = {name: topic["partitions"] for name, topic in (await _found(client, topics)).items()}
        if all(parts and all(part["leader"] >= 0 for part in parts) for parts in found.values()):
            return {topic: len(found[topic]) for topic in topics}
        await asyncio.sleep(_RETRY_SECONDS)  # Kafka tells nobody when a leader is elected
