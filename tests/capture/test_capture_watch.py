"""The watch over the broker, with a client whose answers are written down beforehand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError

from pytest_eng5.capture import CaptureError, watch
from pytest_eng5.capture.watch import BrokerWatch

pytestmark = pytest.mark.asyncio
PARTITION = TopicPartition("t", 0)


class Client:
    """Answers, fails, or takes so many seconds, in this order; the last one again and again."""

    def __init__(self, *answers: Any, topics: tuple[str, ...] = ("t",)) -> None:
        self.answers: Iterator[Any] = chain(answers, repeat(answers[-1]))
        self.topics = topics
        self.asked = 0

    async def end_offsets(self, partitions: list[Any]) -> dict[Any, int]:
        self.asked += 1
        answer = next(self.answers)
        if isinstance(answer, float):
            await asyncio.sleep(answer)
        if isinstance(answer, Exception):
            raise answer
        return dict.fromkeys(partitions, 7)

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return {0} if topic in self.topics else None


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch) -> Callable[..., BrokerWatch]:
    """Makes watches that are a hundred times as impatient as usual."""
    monkeypatch.setattr(watch, "_INTERVAL_SECONDS", 0.01)
    monkeypatch.setattr(watch, "_LAST_SECONDS", 0.01)
    monkeypatch.setattr(watch, "BACKOFF_MS", 1)
    monkeypatch.setattr(watch, "PATIENCE_SECONDS", 0.3)

    def make(client: Client, on_return: Callable[[], None] = lambda: None) -> BrokerWatch:
        made = BrokerWatch({"bootstrap_servers": "host:1"}, on_return)
        made._client = client
        return made

    return make


async def test_it_tells_where_topics_end_and_that_all_is_well(watching: Any) -> None:
    guard = watching(Client(None))
    assert await guard.ends([PARTITION]) == {PARTITION: 7}
    assert guard.problem is None
    assert guard.away_seconds == 0


async def test_it_gives_up_a_broker_that_fails_for_too_long(watching: Any) -> None:
    guard = watching(Client(KafkaTimeoutError()))
    began = time.monotonic()
    with pytest.raises(CaptureError, match=r"the broker at host:1 has not answered for 0 s \(KafkaTimeout"):
        await asyncio.wait_for(guard.run(lambda: [PARTITION]), 60)
    assert 0.3 < time.monotonic() - began < 30


async def test_it_gives_up_a_broker_that_never_ends_an_answer(watching: Any) -> None:
    """The last attempt is cut off where patience ends, however long a request may take."""
    guard = watching(Client(OSError(), OSError(), 60.0))
    began = time.monotonic()
    with pytest.raises(CaptureError, match="OSError"):
        await asyncio.wait_for(guard.run(lambda: [PARTITION]), 60)
    assert 0.3 < time.monotonic() - began < 30


async def test_a_process_that_was_asleep_asks_again_before_it_gives_up(watching: Any) -> None:
    """After a minute in a debugger one request is overdue; that says nothing about the broker."""
    client = Client(OSError(), OSError(), None)
    guard = watching(client)
    guard._answered = time.monotonic() - 60
    running = asyncio.create_task(guard.run(lambda: [PARTITION]))
    async with asyncio.timeout(60):
        while client.asked < 5:  # noqa: ASYNC110 - the client tells nobody
            await asyncio.sleep(0.01)
    assert not running.done()
    assert guard.problem is None
    running.cancel()


async def test_a_return_is_told_once(watching: Any) -> None:
    told: list[int] = []
    guard = watching(Client(None, OSError(), OSError(), None), lambda: told.append(1))
    for expected in (None, "OSError", "OSError", None, None):
        answer = await guard.ends([PARTITION])
        assert guard.problem == expected
        assert (answer is None) == (expected is not None)
    assert told == [1]


async def test_an_absence_within_one_question_is_a_return_too(
    watching: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client repeats a question for some seconds: a quick restart is then seen by its length only."""
    monkeypatch.setattr(watch, "_SHORT_SECONDS", 0.2)
    told: list[int] = []
    guard = watching(Client(None, 0.3, None), lambda: told.append(1))
    for expected in (0, 1, 1):
        assert await guard.ends([PARTITION])
        assert (guard.problem, len(told)) == (None, expected)


async def test_a_missing_topic_is_not_mistaken_for_a_missing_broker(watching: Any) -> None:
    guard = watching(Client(KafkaTimeoutError(), topics=()))
    assert await guard.ends([PARTITION]) is None
    assert guard.problem == "no topic t"
    assert "no topic t" in guard.describe()
