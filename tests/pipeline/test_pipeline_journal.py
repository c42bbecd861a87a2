"""What the provider service keeps of its queue in memory: each comparison until it is answered, once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from pytest_eng5.contracts import LLMComparisonRequest
from pytest_eng5.pipeline.database import Database
from pytest_eng5.pipeline.errors import BrokerLost, ServiceError
from pytest_eng5.pipeline.provider.callbacks import QueuedComparison
from pytest_eng5.pipeline.provider.journal import Journal
from pytest_eng5.pipeline.provider.queue import MemoryQueue
from pytest_eng5.pipeline.settings import LLMProviderSettings


def comparison(**changes: Any) -> QueuedComparison:
    fields = {"user_prompt": "Which?", "callback_topic": "t", "correlation_id": uuid4(), **changes}
    return QueuedComparison(LLMComparisonRequest.model_validate(fields))


class Processor:
    """Keeps what it is given; ``broken`` after so many."""

    def __init__(self, broken: int = 10**6) -> None:
        self.broken = broken
        self.got: list[QueuedComparison] = []

    async def process(self, item: QueuedComparison) -> None:
        if len(self.got) >= self.broken:
            raise BrokerLost("gone")
        self.got.append(item)


def a_queue(database: Database, processor: Processor, **settings: Any) -> MemoryQueue:
    made = LLMProviderSettings(**{"queue_workers": 1, **settings})
    return MemoryQueue(made, processor, Journal(database))  # type: ignore[arg-type]


def work(queue: MemoryQueue, *items: QueuedComparison) -> list[Any]:
    """Put items and let the queue run for a moment; the ids it gave."""

    async def run() -> list[Any]:
        given = [await queue.put(item) for item in items]
        running = asyncio.create_task(queue.run())
        await asyncio.sleep(0.05)
        running.cancel()
        with suppress(asyncio.CancelledError, ExceptionGroup):
            await running
        return given

    return asyncio.run(run())


def test_an_answered_comparison_is_not_kept() -> None:
    database, processor = Database(), Processor()
    items = [comparison() for _ in range(3)]
    work(a_queue(database, processor), *items)
    assert processor.got == items
    assert list(Journal(database).waiting()) == []


def test_the_rest_is_taken_up_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    database, items = Database(path), [comparison(user_prompt=f"Which {i}?") for i in range(5)]
    work(a_queue(database, Processor(broken=2)), *items)
    database.close()
    processor = Processor()
    again = a_queue(Database(path), processor)
    again.resume(answered={str(items[3].queue_id)})  # its callback went out, its process died at once
    work(again)
    assert [item.queue_id for item in processor.got] == [items[i].queue_id for i in (2, 4)]
    assert processor.got[0].request == items[2].request
    assert processor.got[0].requested_at == items[2].requested_at
    assert processor.got[0].attempt is None


@pytest.mark.parametrize("answered", [False, True])
def test_a_comparison_that_is_sent_again_is_not_judged_again(answered: bool) -> None:
    processor = Processor()
    queue = a_queue(Database(), processor)
    first = comparison()
    again = QueuedComparison(first.request)
    given = [work(queue, first)[0], work(queue, again)[0]] if answered else work(queue, first, again)
    assert given == [first.queue_id, first.queue_id]
    assert processor.got == [first]


def test_comparisons_without_a_correlation_id_are_all_new() -> None:
    processor = Processor()
    items = [comparison(correlation_id=None) for _ in range(2)]
    work(a_queue(Database(), processor), *items)
    assert processor.got == items


def test_a_refused_comparison_is_not_kept() -> None:
    database = Database()
    queue = a_queue(database, Processor(), queue_max_size=1)

    async def fill() -> None:
        await queue.put(comparison())
        with pytest.raises(ServiceError, match="holds 1"):
            await queue.put(comparison())

    asyncio.run(fill())
    assert len(list(Journal(database).waiting())) == 1
