"""The watch over the broker: where the topics end, and whether anybody is there to tell.

aiokafka's clients reconnect for ever and say so only in the log, and a broker that is away looks like a
pipeline that is silent. The watch asks on a connection of its own, so that it does not queue behind records.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from pytest_eng5.capture.errors import CaptureError
from pytest_eng5.capture.patience import BACKOFF_MS, PATIENCE_SECONDS, REQUEST_MS

__all__ = ["BrokerWatch"]

_INTERVAL_SECONDS = 1.0
_REPEAT_MS = 1000
_LAST_SECONDS = 1.0
_SHORT_SECONDS = 2.5
_FAILURES = 3  # a process that was asleep finds one request overdue, and must ask again before it gives up
_log = logging.getLogger(__name__)


class BrokerWatch:
    """Asks the broker for the offsets of the captured partitions, about once a second.

    Args:
        arguments: Keyword arguments for the Kafka client.
        on_return: Called when the broker answers again after it had not.
        on_loss: Called with the problem when it no longer answers.

    Attributes:
        problem: Why it does not answer, ``None`` while it does.
    """

    def __init__(
        self,
        arguments: Mapping[str, Any],
        on_return: Callable[[], None],
        on_loss: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._arguments = dict(arguments)
        self._on_return = on_return
        self._on_loss = on_loss
        self._client: Any = None
        self._answered = time.monotonic()
        self._failures = 0
        self.problem: str | None = None

    async def start(self, partitions: Iterable[Any]) -> dict[Any, int]:
        """Connect; returns the end offsets.

        Raises:
            KafkaError, OSError: The broker does not answer.
        """
        from aiokafka import AIOKafkaConsumer

        # No group, no assignment: this client reads no record. It counts those of open transactions too.
        self._client = AIOKafkaConsumer(
            **{"request_timeout_ms": REQUEST_MS, "retry_backoff_ms": BACKOFF_MS, **self._arguments},
            isolation_level="read_uncommitted",
        )
        await self._client.start()
        # How long it looks for an answer must exceed the time of a single request, which otherwise is not
        # seen to fail: the client would go on with a dead connection for ever.
        self._client._request_timeout_ms = REQUEST_MS + _REPEAT_MS
        by_topic: dict[str, list[Any]] = {}
        for partition in partitions:
            by_topic.setdefault(partition.topic, []).append(partition)
        # Side by side, since the client looks up one topic at a time and rests after each.
        answers = await asyncio.gather(*map(self._client.end_offsets, by_topic.values()))
        self._answered = time.monotonic()
        return {partition: end for answer in answers for partition, end in answer.items()}

    async def stop(self) -> None:
        """Disconnect."""
        if self._client is not None:
            await self._client.stop()

    async def ends(self, partitions: Iterable[Any]) -> dict[Any, int] | None:
        """The end offsets now, those of open transactions included; ``None`` if the broker does not tell."""
        return await self._ask(self._client.end_offsets, list(partitions))

    async def beginnings(self, partitions: Iterable[Any]) -> dict[Any, int] | None:
        """The offsets of the oldest records still there; ``None`` if the broker does not tell."""
        return await self._ask(self._client.beginning_offsets, list(partitions))

    async def run(self, partitions: Callable[[], Iterable[Any]]) -> None:
        """Ask again and again until the broker has been away too long.

        Raises:
            CaptureError: It has.
        """
        while True:
            await asyncio.sleep(_INTERVAL_SECONDS if self.problem is None else BACKOFF_MS / 1000)
            asking = asyncio.ensure_future(self.ends(partitions()))
            try:
                await asyncio.wait({asking}, timeout=self._patience())
            finally:
                asking.cancel()
            if not asking.done():
                self._failures += 1
            if self._failures >= _FAILURES and self.away_seconds > PATIENCE_SECONDS:
                raise CaptureError(self.describe())

    def _patience(self) -> float | None:
        """How long the next answer is waited for; not limited until it may be the last attempt."""
        if self._failures < _FAILURES - 1:
            return None
        return max(PATIENCE_SECONDS - self.away_seconds, _LAST_SECONDS)

    @property
    def away_seconds(self) -> float:
        """Seconds since the last answer; 0 while the broker answers."""
        return 0.0 if self.problem is None else time.monotonic() - self._answered

    def describe(self) -> str:
        """The problem in one sentence."""
        servers = self._arguments.get("bootstrap_servers")
        return f"the broker at {servers} has not answered for {self.away_seconds:.0f} s ({self.problem})"

    async def _ask(
        self, question: Callable[[list[Any]], Awaitable[dict[Any, int]]], partitions: list[Any]
    ) -> dict[Any, int] | None:
        from aiokafka.errors import KafkaError

        try:
            answer = await question(partitions)
        except (KafkaError, OSError, TimeoutError) as error:
            self._failed(error, partitions)
            return None
        self._succeeded()
        return answer

    def _failed(self, error: Exception, partitions: list[Any]) -> None:
        known = self._client.partitions_for_topic
        gone = sorted({part.topic for part in partitions if not known(part.topic)})
        problem = f"no topic {', '.join(gone)}" if gone else type(error).__name__
        if self.problem is None:
            _log.warning("the broker does not answer (%s: %s)", problem, error)
            self._on_loss(problem)
        self.problem = problem
        self._failures += 1

    def _succeeded(self) -> None:
        before, self._answered = self._answered, time.monotonic()
        away = self._answered - before
        noticed, self.problem = self.problem is not None, None
        self._failures = 0
        if noticed:
            _log.warning("the broker answers again after %.1f s", away)
        if noticed or away > _SHORT_SECONDS:  # a short absence ends within the attempts of one question
            self._on_return()
