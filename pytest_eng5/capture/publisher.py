"""Publishing the request of a run, once, or with an error that says how far it came."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_eng5.capture.errors import PublishError
from pytest_eng5.capture.patience import BACKOFF_MS, PATIENCE_SECONDS, STOP_SECONDS, request_ms
from pytest_eng5.capture.stopping import disconnect
from pytest_eng5.capture.topics import describe_topics
from pytest_eng5.contracts import ProcessingEvent, topic_name
from pytest_eng5.telemetry import current_log

__all__ = ["Published", "RequestPublisher"]

_BATCH_OVERHEAD = 61  # bytes of a record batch (format 2) around its records
_BROKER_REQUEST = 100 << 20  # what any broker takes in one request by default (socket.request.max.bytes)
_CHECK = "check that the broker runs, is reachable, and lets this client write"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Published:
    """Where a request stands; ``timestamp_ms`` is the broker's."""

    position: str
    timestamp_ms: int


class RequestPublisher:
    """One producer for all requests of a session, idempotent where the broker allows it.

    An idempotent producer repeats a request whose acknowledgement was lost without making a second one of
    it, and would do so for ever; here it has ``PATIENCE_SECONDS``. Once it has given up, it is disconnected
    before the error is raised: nothing is sent later behind the back of a run that has already ended.

    Args:
        client_arguments: Keyword arguments for the Kafka client.
        topic_prefix: Prefix of all topics.

    Attributes:
        idempotent: Whether the broker knows a repeated request when it sees one.
        record_limit: Bytes of the largest record batch that the topic takes, if the broker tells.
    """

    def __init__(self, client_arguments: Mapping[str, Any], topic_prefix: str = "") -> None:
        self._arguments = dict(client_arguments)
        self._topic = topic_name(ProcessingEvent.ELS_CJ_ASSESSMENT_REQUESTED, topic_prefix)
        self._producer: Any = None
        self._connecting = asyncio.Lock()
        self.idempotent = True
        self.record_limit: int | None = None

    async def start(self) -> None:
        """Connect.

        Raises:
            CaptureError: The broker lacks the topic.
            PublishError: The broker does not answer.
        """
        from aiokafka.errors import KafkaError

        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                facts = await describe_topics(self._arguments, [self._topic])
                self.record_limit = facts.record_limit
                await self._connected()
        except (KafkaError, OSError) as error:  # TimeoutError is an OSError
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
            PublishError: Not acknowledged; its ``may_have_arrived`` tells whether the broker may have it.
        """
        from aiokafka.errors import KafkaError

        self._refuse_too_large(len(value) + len(key.encode()))
        current_log().info("kafka_publish_started", topic=self._topic, bytes=len(value))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE_SECONDS
        try:
            async with asyncio.timeout_at(deadline):
                producer, sent = await self._hand_over(value, key.encode())
        except (KafkaError, OSError) as error:
            raise self._error(error, len(value), may_have_arrived=False) from error
        await asyncio.wait({sent}, timeout=deadline - loop.time())
        try:
            found = sent.result()
        except asyncio.InvalidStateError:
            await self._give_up(producer)
            overdue = TimeoutError(f"no acknowledgement within {PATIENCE_SECONDS:g} s")
            raise self._error(overdue, len(value), may_have_arrived=True) from None
        except KafkaError as error:
            await self._give_up(producer)
            raise self._error(error, len(value), may_have_arrived=_is_unclear(error)) from error
        published = Published(f"{found.topic}[{found.partition}]@{found.offset}", found.timestamp)
        current_log().info("kafka_publish_success", position=published.position)
        current_log().info("runner_request_published", position=published.position)
        return published

    async def stop(self) -> None:
        """Flush and disconnect."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await disconnect(producer.stop())

    async def _hand_over(self, value: bytes, key: bytes) -> tuple[Any, Any]:
        """A producer that has taken the record, and the future of its acknowledgement."""
        from aiokafka.errors import KafkaError

        while True:
            try:
                producer = await self._connected()
                return producer, await producer.send(self._topic, value, key=key)
            except KafkaError as error:
                if not error.retriable:
                    raise
            await asyncio.sleep(BACKOFF_MS / 1000)

    async def _connected(self) -> Any:
        async with self._connecting:
            if self._producer is None:
                self._producer = await self._connect()
            return self._producer

    async def _connect(self) -> Any:
        """A started producer: idempotent, or plain if the broker is too old or does not allow it.

        Since Kafka 3.0 the right to write to a topic is enough; before, IDEMPOTENT_WRITE was needed.
        """
        from aiokafka.errors import ClusterAuthorizationFailedError, IncompatibleBrokerVersion

        try:
            return await self._start_producer(idempotent=True)
        except (ClusterAuthorizationFailedError, IncompatibleBrokerVersion) as error:
            _log.warning(
                "the broker lets this client publish only without idempotence (%s): a request whose "
                "acknowledgement is lost may be published twice; allow IDEMPOTENT_WRITE on the cluster",
                type(error).__name__,
            )
            self.idempotent = False
            return await self._start_producer(idempotent=False)

    async def _start_producer(self, *, idempotent: bool) -> Any:
        from aiokafka import AIOKafkaProducer

        settings = {
            "request_timeout_ms": request_ms(self.record_limit),
            "retry_backoff_ms": BACKOFF_MS,
            **self._arguments,
        }
        producer = AIOKafkaProducer(
            **settings,
            acks="all",
            enable_idempotence=idempotent,
            max_request_size=_BROKER_REQUEST,  # the topic's own limit is checked before, and by the broker
        )
        try:
            await producer.start()
            await producer.partitions_for(self._topic)  # asked once, and not when a request is waiting
        except BaseException:
            await disconnect(producer.stop())
            raise
        return producer

    async def _give_up(self, producer: Any) -> None:
        """Disconnect a producer without sending what it still holds; the next request gets a new one.

        An idempotent producer that has lost one batch could not go on anyway: its numbering has a hole.
        """
        if self._producer is producer:
            self._producer = None
        sender = producer._sender.sender_task  # stop() would first wait until everything is sent
        sender.cancel()
        await asyncio.wait({sender}, timeout=2 * STOP_SECONDS)
        await disconnect(producer.stop())

    def _refuse_too_large(self, size: int) -> None:
        from aiokafka.errors import MessageSizeTooLargeError

        limit = self.record_limit or _BROKER_REQUEST
        if size + _BATCH_OVERHEAD > limit:
            raise self._error(MessageSizeTooLargeError(), size, may_have_arrived=False)

    def _error(self, error: Exception, size: int, *, may_have_arrived: bool) -> PublishError:
        from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

        name = str(error) or type(error).__name__
        if isinstance(error, MessageSizeTooLargeError | RecordListTooLargeError):
            limit = f"{self.record_limit} bytes" if self.record_limit else "what the broker allows"
            what = f"the request was not published: it has {size} bytes, the limit is {limit}"
            fix = "shorten the prompts, or raise max.message.bytes of the topic"
        elif may_have_arrived:
            what = f"the request was not acknowledged and may or may not have arrived: {name}"
            fix = f"{_CHECK}; see whether the pipeline works on it before it is published again"
        else:
            what, fix = f"the request was not published: {name}", _CHECK
        found = PublishError(what, where=self._topic, fix=fix)
        found.may_have_arrived = may_have_arrived
        return found


def _is_unclear(error: Exception) -> bool:
    """Whether the broker may have the request in spite of this error: only its own refusals are certain."""
    from aiokafka.errors import BrokerResponseError, NotEnoughReplicasAfterAppendError, RequestTimedOutError

    refused = isinstance(error, BrokerResponseError)
    return not refused or isinstance(error, NotEnoughReplicasAfterAppendError | RequestTimedOutError)
