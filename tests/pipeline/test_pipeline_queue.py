"""The queue and its workers: bounded, fair, and never silent about a comparison that went wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from pytest_eng5.contracts import EventEnvelope, LLMComparisonRequest, ProcessingEvent
from pytest_eng5.pipeline.content.store import MemoryStore
from pytest_eng5.pipeline.errors import BrokerLost, PublishRefused, ServiceError
from pytest_eng5.pipeline.provider import processing
from pytest_eng5.pipeline.provider.archive import StoreArchive
from pytest_eng5.pipeline.provider.callbacks import QueuedComparison
from pytest_eng5.pipeline.provider.judge import Simulation
from pytest_eng5.pipeline.provider.metrics import ProviderMetrics
from pytest_eng5.pipeline.provider.processing import Processor
from pytest_eng5.pipeline.provider.queue import MemoryQueue
from pytest_eng5.pipeline.provider.simulations import SimulationBook
from pytest_eng5.pipeline.settings import LLMProviderSettings

CALLBACK = ProcessingEvent.LLM_COMPARISON_RESULT


class Outbox:
    """Stands in for the publisher; may refuse."""

    def __init__(self, refuse: Callable[[ProcessingEvent], Exception | None] = lambda _: None) -> None:
        self.sent: list[tuple[ProcessingEvent, EventEnvelope]] = []
        self.changed = asyncio.Event()
        self._refuse = refuse

    async def publish(
        self, event: ProcessingEvent, envelope: EventEnvelope, *, key: str | None = None
    ) -> None:
        await asyncio.sleep(0)
        if error := self._refuse(event):
            raise error
        self.sent.append((event, envelope))
        self.changed.set()

    @property
    def callbacks(self) -> list[Any]:
        return [envelope.data for event, envelope in self.sent if event is CALLBACK]


def item(first: str = "a", second: str = "b", batch: str | None = "batch") -> QueuedComparison:
    metadata: dict[str, Any] = {"essay_a_id": first, "essay_b_id": second}
    if batch:
        metadata["bos_batch_id"] = batch
    request = LLMComparisonRequest(
        user_prompt=f"(ID: {first}) against (ID: {second})",
        callback_topic="t",
        llm_config_overrides={"provider_override": "mock"},
        metadata=metadata,
    )
    return QueuedComparison(request)


def simulation(**changes: Any) -> Simulation:
    return Simulation.model_validate({"qualities": {"a": 1.0, "b": 0.0}, **changes})


class Bench:
    """A queue with its surroundings."""

    def __init__(self, outbox: Outbox | None = None, **settings: Any) -> None:
        self.outbox = outbox or Outbox()
        self.store = MemoryStore()
        self.book = SimulationBook()
        settings_ = LLMProviderSettings(**settings)
        archive = StoreArchive(self.store)
        metrics = ProviderMetrics("bench")
        processor = Processor(settings_, self.book, self.outbox, archive, metrics)  # type: ignore[arg-type]
        self.queue = MemoryQueue(settings_, processor)

    async def _until(self, count: int) -> None:
        while len(self.outbox.callbacks) < count:
            self.outbox.changed.clear()
            await self.outbox.changed.wait()

    def work(self, *items: QueuedComparison, callbacks: int | None = None) -> list[Any]:
        """Process items with a running queue; the callbacks in their order."""

        async def run() -> None:
            for each in items:
                await self.queue.put(each)
            worker = asyncio.create_task(self.queue.run())
            waiting: Awaitable[None] = self._until(len(items) if callbacks is None else callbacks)
            done = asyncio.ensure_future(waiting)
            await asyncio.wait({worker, done}, timeout=60, return_when=asyncio.FIRST_COMPLETED)
            if worker.done():
                worker.result()
            assert done.done()
            for _ in range(50):
                await asyncio.sleep(0)  # it has yet to tell that it is done
            worker.cancel()
            with suppress(asyncio.CancelledError):
                await worker

        asyncio.run(run())
        return self.outbox.callbacks


def test_a_full_queue_refuses() -> None:
    bench = Bench(queue_max_size=2)
    for _ in range(2):
        asyncio.run(bench.queue.put(item()))
    assert bench.queue.depth == 2
    with pytest.raises(ServiceError) as caught:
        asyncio.run(bench.queue.put(item()))
    assert (caught.value.code, caught.value.status) == ("LLM_QUEUE_FULL", 503)


def test_events_of_one_comparison_come_in_their_order() -> None:
    bench = Bench()
    bench.book.register("batch", simulation())
    bench.work(item())
    assert [event.value for event, _ in bench.outbox.sent] == [
        "llm_provider.request.started",
        "llm_provider.comparison_result",
        "llm_provider.request.completed",
    ]


def test_latencies_run_side_by_side() -> None:
    bench = Bench()
    bench.book.register("batch", simulation(latency_ms=200))
    began = time.monotonic()
    answers = bench.work(*(item() for _ in range(40)))
    assert len(answers) == 40
    assert 0.2 <= time.monotonic() - began < 6
    assert all(answer.response_time_ms >= 200 for answer in answers)


def test_no_more_than_the_workers_run_side_by_side() -> None:
    bench = Bench(queue_workers=2)
    bench.book.register("batch", simulation(latency_ms=100))
    began = time.monotonic()
    bench.work(*(item() for _ in range(6)))
    assert time.monotonic() - began >= 0.3


def test_failures_become_error_callbacks() -> None:
    bench = Bench()
    bench.book.register("batch", simulation(failure_rate=1.0))
    (answer,) = bench.work(item())
    assert answer.error_detail.error_code == "EXTERNAL_SERVICE_ERROR"
    assert answer.error_detail.details == {"context": {"provider": "mock", "failure_rate": 1.0}}
    assert (answer.provider, answer.request_metadata["resolved_provider"]) == ("openai", "mock")
    assert bench.outbox.sent[-1][0] is ProcessingEvent.LLM_PROVIDER_FAILURE


def test_the_same_pair_gets_the_same_answer_but_another_chance_to_fail() -> None:
    bench = Bench(queue_workers=1)
    bench.book.register("batch", simulation(failure_rate=0.5, seed=4))
    answers = bench.work(*(item() for _ in range(30)))
    assert len({answer.winner for answer in answers if answer.winner}) == 1
    failed = [answer.is_error for answer in answers]
    assert 5 <= sum(failed) <= 25


def test_an_essay_without_a_quality_is_an_error_callback() -> None:
    bench = Bench()
    bench.book.register("batch", simulation())
    (answer,) = bench.work(item("a", "stranger"))
    assert answer.error_detail.error_code == "LLM_CONFIGURATION_ERROR"
    assert answer.error_detail.details["ids"] == ["stranger"]


def test_without_a_registration_the_mock_answers() -> None:
    answers = Bench().work(item(batch="unknown"), item(batch=None))
    assert all(answer.is_success for answer in answers)


def test_an_unexpected_error_is_an_error_callback_without_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the prompt was: secret")

    monkeypatch.setattr(processing, "simulated_judgement", broken)
    bench = Bench()
    bench.book.register("batch", simulation())
    (answer,) = bench.work(item())
    assert answer.error_detail.error_code == "LLM_INTERNAL_ERROR"
    assert "secret" not in answer.model_dump_json()


def test_the_exact_prompt_is_kept() -> None:
    bench = Bench()
    asked = item()
    (answer,) = bench.work(asked)

    async def kept() -> bytes:
        found = await bench.store.get(answer.request_metadata["prompt_storage_id"])
        assert found is not None
        return found.body

    assert asyncio.run(kept()) == asked.request.user_prompt.encode()


def test_an_event_that_the_broker_refuses_costs_only_itself() -> None:
    refused: list[ProcessingEvent] = []

    def refuse(event: ProcessingEvent) -> Exception | None:
        if event is CALLBACK and not refused:
            refused.append(event)
            return PublishRefused("too large")
        return None

    bench = Bench(Outbox(refuse), queue_workers=1)
    assert len(bench.work(item(), item(), callbacks=1)) == 1


def test_a_lost_broker_ends_the_queue() -> None:
    bench = Bench(Outbox(lambda _: BrokerLost("gone")))
    with pytest.raises(ExceptionGroup) as caught:
        bench.work(item(), callbacks=1)
    assert caught.group_contains(BrokerLost)
