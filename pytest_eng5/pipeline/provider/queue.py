"""The queue of accepted comparisons: what every queue offers, and the one in memory."""

from __future__ import annotations

import asyncio
from typing import Protocol

from pytest_eng5.pipeline.errors import ServiceError
from pytest_eng5.pipeline.provider.callbacks import QueuedComparison
from pytest_eng5.pipeline.provider.processing import Processor
from pytest_eng5.pipeline.settings import LLMProviderSettings

__all__ = ["ComparisonQueue", "MemoryQueue"]


class ComparisonQueue(Protocol):
    """Where accepted comparisons wait for the judge."""

    async def put(self, item: QueuedComparison) -> None:
        """Queue a comparison; it has been accepted when this returns.

        Raises:
            ServiceError: ``LLM_QUEUE_FULL``, or why it cannot be accepted now.
        """
        ...

    @property
    def depth(self) -> int:
        """Comparisons that wait, as far as this process knows."""
        ...

    async def run(self) -> None:
        """Work for ever."""
        ...


class MemoryQueue:
    """A bounded queue, emptied by a bounded number of workers, first come first served.

    Args:
        settings: Sizes.
        processor: Answers the comparisons.
    """

    def __init__(self, settings: LLMProviderSettings, processor: Processor) -> None:
        self._settings = settings
        self._processor = processor
        self._waiting: asyncio.Queue[QueuedComparison] = asyncio.Queue(settings.queue_max_size)

    async def put(self, item: QueuedComparison) -> None:
        """Queue a comparison.

        Raises:
            ServiceError: ``LLM_QUEUE_FULL``.
        """
        try:
            self._waiting.put_nowait(item)
        except asyncio.QueueFull:
            raise ServiceError(
                "LLM_QUEUE_FULL", f"the queue holds {self._waiting.maxsize} comparisons"
            ) from None

    @property
    def depth(self) -> int:
        """Comparisons that wait for a worker."""
        return self._waiting.qsize()

    async def run(self) -> None:
        """Work for ever."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._settings.queue_workers):
                workers.create_task(self._work())

    async def _work(self) -> None:
        while True:
            await self._processor.process(await self._waiting.get())
