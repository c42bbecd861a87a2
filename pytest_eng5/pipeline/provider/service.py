"""The LLM provider service, put together for one process."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from pytest_eng5.contracts import ProcessingEvent
from pytest_eng5.pipeline.broker import Broker
from pytest_eng5.pipeline.http import Readiness
from pytest_eng5.pipeline.provider.app import provider_app
from pytest_eng5.pipeline.provider.archive import PromptArchive
from pytest_eng5.pipeline.provider.processing import Processor
from pytest_eng5.pipeline.provider.queue import MemoryQueue
from pytest_eng5.pipeline.provider.simulations import SimulationBook
from pytest_eng5.pipeline.settings import LLMProviderSettings

__all__ = ["ProviderService"]

Work = Callable[[], Coroutine[Any, Any, None]]


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
        processor = Processor(settings, book, broker.publisher, archive, worker_id)
        self._queue = MemoryQueue(settings, processor)
        callback_topic = broker.publisher.topic(ProcessingEvent.LLM_COMPARISON_RESULT)

        async def register(batch_id: str, simulation: Any) -> None:
            book.register(batch_id, simulation)

        self.app = provider_app(self._queue, register, callback_topic, not_ready)
        self.works: list[tuple[str, Work]] = [("comparison queue", self._queue.run)]

    async def start(self) -> None:
        """Take up the work; the broker is connected."""

    async def stop(self) -> None:
        """Give the work back."""
