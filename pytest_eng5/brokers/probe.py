"""Is the broker usable? And its topics: made explicitly, or asked for by name.

An open port or a line in a log does not say that a broker works. Usable means: metadata comes back, the
addresses in it can be reached from here, and one record goes through.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import threading
import uuid
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_eng5.brokers.errors import BrokerNotReady, BrokerUnreachable, TopicsMissing
from pytest_eng5.brokers.model import BrokerConnection

if TYPE_CHECKING:
    from aiokafka.admin import AIOKafkaAdminClient

__all__ = ["DEFAULT_PARTITIONS", "ensure_topics", "probe", "round_trip", "run_blocking"]

DEFAULT_PARTITIONS = 3
"""As the production bootstrap script creates them."""

_REQUEST_MS = 3000
_ALREADY_EXISTS = 36
_RETRY_SECONDS = 0.02
_T = TypeVar("_T")


def run_blocking(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine to its end from synchronous code, also where this thread already runs a loop."""
    results: list[_T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(asyncio.run(coroutine))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, name="eng5-broker", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def load_client() -> None:
    """Import the client library, which takes a third of a second: done while a broker starts anyway."""
    importlib.import_module("aiokafka.admin")


async def probe(connection: BrokerConnection, timeout: float = 10.0) -> int:  # noqa: ASYNC109
    """Make sure that the broker answers and that every address it advertises can be reached; changes nothing.

    Args:
        connection: Where to ask.
        timeout: Seconds for all of it.

    Returns:
        The number of broker nodes.

    Raises:
        BrokerUnreachable: Nobody answers, not in Kafka's language, or an advertised address is out of reach.
    """
    from aiokafka.client import AIOKafkaClient
    from aiokafka.errors import KafkaError

    client = AIOKafkaClient(**connection.client_arguments(request_timeout_ms=_REQUEST_MS))
    try:
        async with asyncio.timeout(timeout):
            await client.bootstrap()
            nodes = [(node.host, node.port) for node in client.cluster.brokers()]
            await asyncio.gather(*(_reach(connection, host, port) for host, port in nodes))
    except (KafkaError, OSError) as error:  # TimeoutError is an OSError
        raise await _unreachable(connection, error) from error
    finally:
        await client.close()
    return len(nodes)


async def _unreachable(connection: BrokerConnection, error: Exception) -> BrokerUnreachable:
    servers = connection.bootstrap_servers.split(",")
    reasons = await asyncio.gather(*(_why_unreachable(server) for server in servers))
    told = [f"{server} {reason}" for server, reason in zip(servers, reasons, strict=True)]
    last = f" ({error})" if "accepts connections" in " ".join(told) and str(error) else ""
    return BrokerUnreachable(
        f"no Kafka broker answers: {'; '.join(told)}{last}",
        fix="check host, port and TLS/SASL settings and that the broker runs; without "
        "--eng5-bootstrap-servers an embedded broker is started",
    )


async def _why_unreachable(server: str) -> str:
    """What a plain TCP connection says, since aiokafka keeps the reason to its log."""
    host, _, port = server.strip().rpartition(":")
    try:
        _, writer = await asyncio.wait_for(
            asyncio.open_connection(host.strip("[]"), int(port)), _REQUEST_MS / 1000
        )
    except TimeoutError:
        return f"does not answer within {_REQUEST_MS / 1000:g} s"
    except OSError as error:
        return f"cannot be reached: {error.strerror or error}"
    writer.close()
    return "accepts connections but does not answer as a Kafka broker with these TLS/SASL settings"


async def _reach(connection: BrokerConnection, host: str, port: int) -> None:
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), _REQUEST_MS / 1000)
    except OSError as error:
        raise BrokerUnreachable(
            f"the broker answers but tells clients to use {host}:{port}, which cannot be reached from here "
            f"({error or 'no answer'})",
            where=connection.bootstrap_servers,
            fix="use the listener meant for clients outside its network, or correct `advertised.listeners`",
        ) from error
    writer.close()


async def round_trip(connection: BrokerConnection, timeout: float = 30.0) -> None:  # noqa: ASYNC109
    """Pass one record through a topic made for this, and delete the topic again.

    Only for brokers of ours. Raises BrokerNotReady when it does not work within ``timeout`` seconds.
    """
    from aiokafka.errors import KafkaError

    topic = f"eng5.probe.{uuid.uuid4().hex}"
    try:
        async with asyncio.timeout(timeout), _admin(connection) as admin:
            await _create(admin, [topic], 1)
            await _produce_and_consume(connection, topic)
            await admin.delete_topics([topic])
    except (KafkaError, OSError, TopicsMissing) as error:
        raise BrokerNotReady(
            f"the broker did not pass a record through within {timeout:g} s: {str(error) or 'no answer'}",
            where=connection.bootstrap_servers,
            fix="see the broker's log; on a busy machine try again",
        ) from error


async def _produce_and_consume(connection: BrokerConnection, topic: str) -> None:
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

    arguments = connection.client_arguments(request_timeout_ms=_REQUEST_MS)
    token = uuid.uuid4().bytes
    async with AIOKafkaProducer(**arguments, acks="all", enable_idempotence=True) as producer:
        sent = await producer.send_and_wait(topic, token)
    async with AIOKafkaConsumer(**arguments, enable_auto_commit=False) as consumer:
        partition = TopicPartition(topic, sent.partition)
        consumer.assign([partition])
        consumer.seek(partition, sent.offset)
        received = await consumer.getone()
    if received.value != token:
        raise BrokerNotReady("the broker returned another record than was sent", where=f"{topic}")


async def ensure_topics(
    connection: BrokerConnection,
    topics: Sequence[str],
    *,
    partitions: int = DEFAULT_PARTITIONS,
    may_create: bool,
    timeout: float = 30.0,  # noqa: ASYNC109
) -> Mapping[str, int]:
    """Make sure that every topic exists and has a leader for each partition; created ones have one replica.

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
        BrokerUnreachable: The broker does not answer.
    """
    from aiokafka.errors import KafkaError

    wanted = list(dict.fromkeys(topics))
    try:
        async with asyncio.timeout(timeout), _admin(connection) as admin:
            existing = await _existing(admin)
            missing = [topic for topic in wanted if topic not in existing]
            if missing and not may_create:
                raise _missing(connection, missing)
            if missing:
                await _create(admin, missing, partitions)
            return await _all_led(admin, wanted)
    except (KafkaError, OSError) as error:
        raise await _unreachable(connection, error) from error


def _missing(connection: BrokerConnection, topics: Sequence[str]) -> TopicsMissing:
    return TopicsMissing(
        f"{len(topics)} topics are missing: {', '.join(topics)}",
        where=connection.bootstrap_servers,
        fix="create them (production uses 3 partitions), or check --eng5-topic-prefix; nothing is created on "
        "a broker that is not ours",
    )


async def _create(admin: AIOKafkaAdminClient, topics: Sequence[str], partitions: int) -> None:
    from aiokafka.admin import NewTopic
    from aiokafka.errors import for_code

    answer = await admin.create_topics(
        [NewTopic(name=topic, num_partitions=partitions, replication_factor=1) for topic in topics]
    )
    for topic, code, *message in answer.topic_errors:
        if code not in (0, _ALREADY_EXISTS):
            reason = (message and message[0]) or for_code(code).__name__
            raise TopicsMissing(
                f"topic {topic} cannot be created: {reason}",
                fix="create it by other means, or use an account that may create topics",
            )


async def _existing(admin: AIOKafkaAdminClient) -> dict[str, list[dict[str, Any]]]:
    # All topics, not by name: on a broker with automatic creation asking by name would create them.
    return {each["topic"]: each["partitions"] for each in await admin.describe_topics()}


async def _all_led(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> dict[str, int]:
    while True:
        existing = await _existing(admin)
        found = {topic: existing.get(topic, []) for topic in topics}
        if all(parts and all(part["leader"] >= 0 for part in parts) for parts in found.values()):
            return {topic: len(parts) for topic, parts in found.items()}
        await asyncio.sleep(_RETRY_SECONDS)  # Kafka tells nobody when a leader is elected


@contextlib.asynccontextmanager
async def _admin(connection: BrokerConnection) -> AsyncIterator[AIOKafkaAdminClient]:
    from aiokafka.admin import AIOKafkaAdminClient

    admin = AIOKafkaAdminClient(**connection.client_arguments(request_timeout_ms=_REQUEST_MS))
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()
