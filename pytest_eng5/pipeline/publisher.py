"""The seam where events leave the pipeline: every event of every service goes through one class."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.structs import RecordMetadata

from pytest_eng5.contracts import EventEnvelope, ProcessingEvent, topic_name
from pytest_eng5.pipeline.errors import BrokerLost, PublishRefused
from pytest_eng5.pipeline.kafka import KafkaOptions

__all__ = ["Publisher"]


class Publisher:
    """Publishes envelopes with ``acks=all`` and idempotence, without headers (contract 1.2 and 1.3).

    An idempotent producer repeats a send until the broker has it, without making a duplicate of it; what
    bounds that here is the patience of the pipeline.
    """

    def __init__(self, options: KafkaOptions) -> None:
        self._options = options
        self._producer = AIOKafkaProducer(
            acks="all", enable_idempotence=True, **options.client_arguments("eng5-pipeline-producer")
        )

    async def start(self) -> None:
        """Connect."""
        await self._producer.start()

    async def stop(self) -> None:
        """Send what is pending and disconnect."""
        await self._producer.stop()

    def topic(self, event: ProcessingEvent) -> str:
        """The topic of an event on this broker, with the prefix."""
        return topic_name(event, self._options.topic_prefix)

    async def publish(
        self, event: ProcessingEvent, envelope: EventEnvelope, *, key: str | None = None
    ) -> None:
        """Publish one event and wait until the broker has it.

        Raises:
            PublishRefused: The broker will never take this event.
            BrokerLost: The broker did not take it in time; the pipeline cannot go on.
        """
        await self.send(self.topic(event), envelope.to_wire(), key=None if key is None else key.encode())

    async def send(self, topic: str, value: bytes, *, key: bytes | None = None) -> RecordMetadata:
        """Send one record to a topic and wait until the broker has it; returns where it lies.

        Raises:
            PublishRefused: The broker will never take this record.
            BrokerLost: The broker did not take it in time; the pipeline cannot go on.
        """
        sending = self._producer.send_and_wait(topic, value, key=key)
        try:
            return await asyncio.wait_for(sending, self._options.broker_timeout)
        except MessageSizeTooLargeError:
            raise PublishRefused("the event is larger than the broker allows", where=topic) from None
        except (KafkaError, TimeoutError) as error:
            raise BrokerLost(
                f"cannot publish to {topic} ({type(error).__name__})",
                where=self._options.bootstrap_servers,
                fix="look at the broker's own log; start the pipeline again once the broker is up",
            ) from error
