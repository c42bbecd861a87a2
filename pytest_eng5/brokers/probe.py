"""Is the broker usable?

An open port or a line in a log does not say that a broker works. Usable means: metadata comes back, the
addresses in it can be reached from here, and one record goes through.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import threading
import uuid
from collections.abc import Coroutine
from typing import Any, TypeVar

from pytest_eng5.brokers.client import REQUEST_MS, ask_controller, connected
from pytest_eng5.brokers.diagnosis import diagnose, unusable
from pytest_eng5.brokers.errors import AccessDenied, BrokerNotReady, BrokerUnreachable, TopicsMissing
from pytest_eng5.brokers.model import BrokerConnection
from pytest_eng5.brokers.topics import DEFAULT_PARTITIONS, create_topics, ensure_topics

__all__ = ["DEFAULT_PARTITIONS", "ensure_topics", "probe", "round_trip", "run_blocking"]

_T = TypeVar("_T")
_UNHEARD = logging.NullHandler()


def run_blocking(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine to its end from synchronous code, also where this thread already runs a loop."""
    results: list[_T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(asyncio.run(coroutine))
        except BaseException as error:
            errors.append(error)

    load_client()  # here, since compiling large modules for the first time can fail in another thread
    thread = threading.Thread(target=work, name="eng5-broker", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def load_client() -> None:
    """Import the client library, which takes a third of a second: done while a broker starts anyway."""
    importlib.import_module("aiokafka.admin")
    # What goes wrong is raised; without a handler the library's warnings would go to the terminal as well.
    logging.getLogger("aiokafka").addHandler(_UNHEARD)
    importlib.import_module("pytest_eng5.brokers.questions")


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
    from aiokafka.errors import KafkaError

    try:
        async with asyncio.timeout(timeout), connected(connection) as client:
            nodes = [(node.host, node.port) for node in client.cluster.brokers()]
            await asyncio.gather(*(_reach(connection, host, port) for host, port in nodes))
            return len(nodes)
    except (KafkaError, OSError) as error:  # TimeoutError is an OSError
        raise await unusable(connection, error) from error


async def _reach(connection: BrokerConnection, host: str, port: int) -> None:
    """Use an address that the broker advertises as a client would, with TLS and SASL."""
    wrong = await diagnose(host, port, connection.client_options)
    if wrong is None:
        return
    away = wrong.error is BrokerUnreachable
    fix = "use the listener meant for clients outside its network, or correct `advertised.listeners`"
    raise wrong.error(
        f"the broker answers but tells clients to use {host}:{port}, which {wrong.what}",
        where=connection.bootstrap_servers,
        fix=fix if away else wrong.fix,
    )


async def round_trip(connection: BrokerConnection, timeout: float = 30.0) -> None:  # noqa: ASYNC109
    """Pass one record through a topic made for this, and delete the topic again.

    Only for brokers of ours. Raises BrokerNotReady when it does not work within ``timeout`` seconds.
    """
    from aiokafka.errors import KafkaError
    from aiokafka.protocol.admin import DeleteTopicsRequest

    topic = f"eng5.probe.{uuid.uuid4().hex}"
    try:
        async with asyncio.timeout(timeout), connected(connection) as client:
            await create_topics(connection, client, [topic], 1)
            await _produce_and_consume(connection, topic)
            await ask_controller(client, DeleteTopicsRequest([topic], REQUEST_MS))
    except (KafkaError, OSError, TopicsMissing, AccessDenied) as error:
        raise BrokerNotReady(
            f"the broker did not pass a record through within {timeout:g} s: {str(error) or 'no answer'}",
            where=connection.bootstrap_servers,
            fix="see the broker's log; on a busy machine try again",
        ) from error


async def _produce_and_consume(connection: BrokerConnection, topic: str) -> None:
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

    arguments = connection.client_arguments(request_timeout_ms=REQUEST_MS)
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
