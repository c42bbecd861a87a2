"""A bare aiokafka client, for questions that its producer, consumer and admin client do not put."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from pytest_eng5.brokers.model import BrokerConnection

if TYPE_CHECKING:
    from aiokafka.client import AIOKafkaClient

__all__ = ["REQUEST_MS", "ask_any", "ask_controller", "connected"]

REQUEST_MS = 3000
"""Milliseconds a broker gets to answer one request."""

_NOT_CONTROLLER = 41
_RETRY_SECONDS = 0.02


@contextlib.asynccontextmanager
async def connected(connection: BrokerConnection) -> AsyncIterator[AIOKafkaClient]:
    """A client that knows the nodes of the cluster; KafkaError or OSError if no server answers."""
    from aiokafka.client import AIOKafkaClient

    client = AIOKafkaClient(**connection.client_arguments(request_timeout_ms=REQUEST_MS))
    try:
        await client.bootstrap()
        yield client
    finally:
        await client.close()


async def ask_any(client: AIOKafkaClient, request: Any) -> Any:
    """Put a question that every node can answer."""
    await _until(client, lambda: client.get_random_node() is not None)
    return await _send(client, client.get_random_node(), request)


async def ask_controller(client: AIOKafkaClient, request: Any) -> Any:
    """Have the controller do something; it may have moved since the client looked."""
    await _until(client, lambda: client.cluster.controller is not None)
    answer = await _send(client, client.cluster.controller.nodeId, request)
    errors = answer.topic_errors if hasattr(answer, "topic_errors") else answer.topic_error_codes
    if any(code == _NOT_CONTROLLER for _, code, *_ in errors):
        await client.force_metadata_update()
        answer = await _send(client, client.cluster.controller.nodeId, request)
    return answer


async def _send(client: AIOKafkaClient, node: Any, request: Any) -> Any:
    from aiokafka.errors import IncompatibleBrokerVersion

    try:
        return await client.send(node, request)
    except NotImplementedError as error:  # which is how aiokafka says that no version is common
        raise IncompatibleBrokerVersion(str(error)) from error


async def _until(client: AIOKafkaClient, known: Callable[[], bool]) -> None:
    """Ask for the nodes again until something is known of them; a starting broker does not know itself."""
    while not known():
        await client.force_metadata_update()
        await asyncio.sleep(_RETRY_SECONDS)
