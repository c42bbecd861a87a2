"""The queue of accepted comparisons: what every queue offers, and the one in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Protocol
from uuid import UUID

from pytest_eng5.pipeline.errors import ServiceError
from pytest_eng5.pipeline.provider.callbacks import QueuedComparison
from pytest_eng5.pipeline.provider.journal import Journal
from pytest_eng5.pipeline.provider.processing import Processor
from pytest_eng5.pipeline.settings import LLMProviderSettings

__all__ = ["ComparisonQueue", "MemoryQueue"]


class ComparisonQueue(Protocol):
    """Where accepted comparisons wait for the judge."""

    async def put(self, item: QueuedComparison) -> UUID:
        """Queue a comparison; it has been accepted when this returns its queue id.

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
        journal: Keeps them over a restart, if they are to be kept.
    """

    def __init__(
        self, settings: LLMProviderSettings, processor: Processor, journal: Journal | None = None
    ) -> None:
        self._journal = journal
        self._settings = settings
        self._processor = processor
        self._waiting: asyncio.Queue[QueuedComparison] = asyncio.Queue()

    async def put(self, item: QueuedComparison) -> UUID:
        """Queue a comparison, unless the same is there or was answered.

        Raises:
            ServiceError: ``LLM_QUEUE_FULL``.
        """
        if self._waiting.qsize() >= self._settings.queue_max_size:
            raise ServiceError(
                "LLM_QUEUE_FULL", f"the queue holds {self._settings.queue_max_size} comparisons"
            )
        before = None if self._journal is None else self._journal.accept(item)
        if before is not None:
            return before
        self._waiting.put_nowait(item)
        return item.queue_id

    def resume(self, answered: Collection[str]) -> None:
        """Queue what was kept by the process before this one.

        Args:
            answered: Queue ids of those whose callback the broker has.
        """
        assert self._journal is not None
        for item in list(self._journal.waiting()):
            if str(item.queue_id) in answered:
                self._journal.answered(str(item.queue_id))
            else:
                self._waiting.put_nowait(item)

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
            item = await self._waiting.get()
            await self._processor.process(item)
            if self._journal is not None:
                self._journal.answered(str(item.queue_id))
