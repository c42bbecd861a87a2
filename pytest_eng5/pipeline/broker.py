"""The Kafka broker as the services of one process share it: one producer, one admin client, one watch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from pytest_eng5.pipeline.errors import NotYet
from pytest_eng5.pipeline.kafka import BrokerWatch, KafkaOptions, TopicSpec, ensure_topics
from pytest_eng5.pipeline.publisher import Publisher
from pytest_eng5.pipeline.refusal import refusal

__all__ = ["Broker"]


class Broker:
    """The broker of a process.

    Args:
        options: How its clients connect.

    Attributes:
        direct: Gives a callback to the CJ service of this process without the broker; ``None`` if it runs
            elsewhere.
    """

    def __init__(self, options: KafkaOptions) -> None:
        self.options = options
        self.publisher = Publisher(options)
        self.direct: Callable[[bytes], Awaitable[None]] | None = None
        self._admin: AIOKafkaAdminClient | None = None
        self._watch: BrokerWatch | None = None

    @property
    def problem(self) -> str | None:
        """Why the broker cannot be used at the moment, as far as the watch has seen."""
        return None if self._watch is None else self._watch.problem

    async def connect(self, topics: Collection[TopicSpec], *, create: bool) -> None:
        """Connect and have the topics; to be repeated as long as it raises `NotYet`.

        Raises:
            NotYet: The broker or a topic is not there.
            StartupFailed: A topic cannot be created, or the broker refuses us.
        """
        if self._admin is not None:
            with suppress(KafkaError, OSError):
                await self._admin.close()
        # A client of its own for each attempt: one that failed keeps what it learned about the cluster.
        self._admin = AIOKafkaAdminClient(**self.options.client_arguments("eng5-pipeline-admin"))
        try:
            await self._admin.start()
            await ensure_topics(self._admin, topics, create=create)
            await self.publisher.start()
        except (KafkaError, OSError) as error:
            refused = await refusal(self.options)
            raise refused or NotYet(
                f"the Kafka broker cannot be used: {error}",
                where=self.options.bootstrap_servers,
                fix="start a broker there (eng5 kafka run) or pass --bootstrap-servers",
            ) from None
        self._watch = BrokerWatch(self._admin, self.options)

    async def cluster_id(self) -> str | None:
        """Which cluster this is; ``None`` if it does not say. The broker is connected."""
        assert self._admin is not None
        try:
            described = await self._admin.describe_cluster()
        except (KafkaError, OSError):
            return None
        found = described.get("cluster_id")
        return found if isinstance(found, str) and found else None

    async def watch(self) -> None:
        """Watch the broker for ever.

        Raises:
            BrokerLost: It has been away for too long.
        """
        assert self._watch is not None
        await self._watch.run()

    async def stop(self) -> None:
        """Send what is pending and disconnect."""
        try:
            await self.publisher.stop()
        finally:
            if self._admin is not None:
                await self._admin.close()
