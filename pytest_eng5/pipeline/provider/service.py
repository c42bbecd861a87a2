"""The LLM provider service, put together for one process."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from pytest_eng5.contracts import ProcessingEvent
from pytest_eng5.pipeline.broker import Broker
from pytest_eng5.pipeline.http import Readiness
from pytest_eng5.pipeline.provider.app import Register, provider_app
from pytest_eng5.pipeline.provider.archive import PromptArchive
from pytest_eng5.pipeline.provider.kafka_queue import KafkaQueue
from pytest_eng5.pipeline.provider.metrics import ProviderMetrics
from pytest_eng5.pipeline.provider.processing import Processor
from pytest_eng5.pipeline.provider.queue import ComparisonQueue, MemoryQueue
from pytest_eng5.pipeline.provider.shared_simulations import SharedSimulations
from pytest_eng5.pipeline.provider.simulations import SimulationBook
from pytest_eng5.pipeline.settings import LLMProviderSettings

__all__ = ["ProviderService"]

Work = Callable[[], Coroutine[Any, Any, None]]


class Part(Protocol):
    """Something that works with the broker."""

    async def start(self) -> None:
        """Connect."""
        ...

    async def stop(self) -> None:
        """Disconnect."""
        ...


class ProviderService:
    """Application, queue and judge of one process.

    Args:
        settings: Of the service.
        broker: Where callbacks go.
        archive: Where prompts are kept, if they are.
        not_ready: Why the process cannot work at the moment.
        worker_id: Name of the process.
    """

    def __init__(
        self,
        settings: LLMProviderSettings,
        broker: Broker,
        archive: PromptArchive | None,
        not_ready: Readiness,
        worker_id: str,
    ) -> None:
        book = SimulationBook()
        metrics = ProviderMetrics(worker_id)
        processor = Processor(settings, book, broker.publisher, archive, metrics)
        self._parts: list[Part] = []
        self.works: list[tuple[str, Work]] = []
        register: Register
        queue: ComparisonQueue
        if settings.queue == "kafka":
            shared = SharedSimulations(broker.options, broker.publisher, book)
            queue = KafkaQueue(settings, broker.options, broker.publisher, processor, shared, worker_id)
            self._parts = [shared, queue]
            self.works = [("registered simulations", shared.run)]
            register = shared.register
        else:
            queue = MemoryQueue(settings, processor)
            register = book.register_now
        self.works.append(("comparison queue", queue.run))
        callback_topic = broker.publisher.topic(ProcessingEvent.LLM_COMPARISON_RESULT)
        metrics.watch_queue(lambda: queue.depth)
        self.app = provider_app(queue, register, callback_topic, not_ready, metrics)

    async def start(self) -> None:
        """Take up the work; the broker is connected."""
        for part in self._parts:
            await part.start()

    async def stop(self) -> None:
        """Give the work back."""
        for part in reversed(self._parts):
            await part.stop()
