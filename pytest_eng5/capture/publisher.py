"""Publishing the request of a run."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_eng5.capture.errors import PublishError
from pytest_eng5.contracts import ProcessingEvent, topic_name

__all__ = ["Published", "RequestPublisher"]

_REQUEST_MS = 10_000


@dataclass(frozen=True, slots=True)
class Published:
    """Where a request stands; ``timestamp_ms`` is the broker's."""

    position: str
    timestamp_ms: int


class RequestPublisher:
    """One idempotent producer for all requests of a session.

    Args:
        client_arguments: Keyword arguments for the Kafka client.
        topic_prefix: Prefix of all topics.
    """

    def __init__(self, client_arguments: Mapping[str, Any], topic_prefix: str = "") -> None:
        self._arguments = dict(client_arguments)
        self._topic = topic_name(ProcessingEvent.ELS_CJ_ASSESSMENT_REQUESTED, topic_prefix)
        self._producer: Any = None

    async def start(self) -> None:
        """Connect.

        Raises:
            PublishError: The broker does not answer.
        """
        from aiokafka import AIOKafkaProducer
        from aiokafka.errors import KafkaError

        self._producer = AIOKafkaProducer(
            **self._arguments, acks="all", enable_idempotence=True, request_timeout_ms=_REQUEST_MS
        )
        try:
            await self._producer.start()
        except (KafkaError, OSError) as error:
            with contextlib.suppress(Exception):
                await self._producer.stop()
            raise PublishError(
                f"cannot connect a producer: {type(error).__name__}: {error}",
                where=str(self._arguments.get("bootstrap_servers")),
                fix="check that the broker runs and is reachable from here",
            ) from error

    async def publish(self, value: bytes, key: str) -> Published:
        """Publish one request and wait for all in-sync replicas.

        Args:
            value: The envelope, UTF-8 JSON.
            key: The batch id.

        Raises:
            PublishError: Not acknowledged; too large, not allowed, or the broker is gone.
        """
        from aiokafka.errors import KafkaError

        try:
            sent = await self._producer.send_and_wait(self._topic, value, key=key.encode())
        except (KafkaError, OSError) as error:
            raise self._error(error, len(value)) from error
        return Published(f"{sent.topic}[{sent.partition}]@{sent.offset}", sent.timestamp)

    async def stop(self) -> None:
        """Flush and disconnect."""
        if self._producer is not None:
            with contextlib.suppress(Exception):
                await self._producer.stop()

    def _error(self, error: Exception, size: int) -> PublishError:
        from aiokafka.errors import MessageSizeTooLargeError

        fix = "check that the broker runs, is reachable, and lets this client write"
        if isinstance(error, MessageSizeTooLargeError):
            fix = f"the request has {size} bytes; shorten the prompts or raise max.message.bytes of the topic"
        name = str(error) or type(error).__name__
        return PublishError(f"the request was not published: {name}", where=self._topic, fix=fix)
