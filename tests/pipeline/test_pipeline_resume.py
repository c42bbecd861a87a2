"""The CJ service stopped at any moment and made anew over its state: as if nothing had happened."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from contextlib import suppress
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka.structs import TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_eng5.contracts import (
    ELS_CJAssessmentRequestV1,
    ErrorDetail,
    EventEnvelope,
    LLMComparisonRequest,
    LLMComparisonResultV1,
    ProcessingEvent,
    SystemProcessingMetadata,
    topic_name,
    utc_now,
)
from pytest_eng5.pipeline.cj import outbox as outbox_module
from pytest_eng5.pipeline.cj.service import CJService
from pytest_eng5.pipeline.cj.workflow import Services
from pytest_eng5.pipeline.database import Database
from pytest_eng5.pipeline.errors import PublishRefused
from pytest_eng5.pipeline.settings import CJSettings

REQUESTED = ProcessingEvent.ELS_CJ_ASSESSMENT_REQUESTED
CALLBACK = ProcessingEvent.LLM_COMPARISON_RESULT
COMPLETED = ProcessingEvent.CJ_ASSESSMENT_COMPLETED
FAILED = ProcessingEvent.CJ_ASSESSMENT_FAILED
RICH = ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED
RESOURCE = ProcessingEvent.RESOURCE_CONSUMPTION_REPORTED


class _Crash(Exception):
    """The process ends here."""


class World:
    """A CJ service that dies after every ``lives`` submissions or callbacks, and Kafka, which does not."""

    def __init__(self, seed: int, lives: list[int], **changes: Any) -> None:
        self.settings = CJSettings(pair_generation_seed=seed, **changes)
        self.database = Database()
        self.lives = list(lives)
        self.judged: dict[UUID, LLMComparisonRequest] = {}
        self.pairs: list[tuple[str, str]] = []
        self.published: list[tuple[ProcessingEvent, dict[str, Any]]] = []
        self.restarts = 0
        self._random = Random(seed)
        self._topic: list[bytes] = []
        self._read = 0
        self._left = 0
        self._crashed = asyncio.Event()
        self._news = asyncio.Event()

    async def _step(self) -> None:
        if self._left > 0:
            self._left -= 1
            if not self._left:
                self._crashed.set()
                await asyncio.sleep(3600)  # nothing is done any more, only cancelled

    # What the service works with

    async def text(self, storage_id: str) -> str:
        await asyncio.sleep(0)
        return f"text of {storage_id}"

    async def submit(self, request: LLMComparisonRequest) -> None:
        await asyncio.sleep(0)
        assert request.correlation_id is not None
        if request.correlation_id not in self.judged:  # the provider service knows a comparison again
            metadata = request.metadata
            self.judged[request.correlation_id] = request
            self.pairs.append((metadata["essay_a_id"], metadata["essay_b_id"]))
            self._topic.append(_callback(request, len(self.pairs)))
            self._news.set()
        await self._step()

    async def publish(
        self, event: ProcessingEvent, envelope: EventEnvelope, *, key: str | None = None
    ) -> None:
        self.published.append((event, json.loads(envelope.to_wire())))
        await asyncio.sleep(0)

    # Its lives

    def run(self, request: bytes) -> World:
        async def lives() -> None:
            first = True
            while not self._over():
                self._left = self.lives.pop(0) if self.lives else 0
                self._crashed.clear()
                with suppress(ExceptionGroup):
                    async with asyncio.TaskGroup() as tasks:
                        await self._live(tasks, request if first else None)
                first = False
                self.restarts += 1

        asyncio.run(asyncio.wait_for(lives(), 120))
        return self

    async def _live(self, tasks: asyncio.TaskGroup, request: bytes | None) -> None:
        services = Services(self.settings, self, self, self, database=self.database)  # type: ignore[arg-type]
        service = CJService(services, tasks)
        service.resume()
        if request is not None:
            await service.handle(REQUESTED, request)
        tasks.create_task(self._die())
        while not self._over() and not self._crashed.is_set():
            await self._consume(service)
        while not self._crashed.is_set() and self.database.value("SELECT COUNT(*) FROM outbox"):  # noqa: ASYNC110
            await asyncio.sleep(0)  # the last event is out, and about to be noted as such
        raise _Crash

    async def _die(self) -> None:
        await self._crashed.wait()
        raise _Crash

    async def _consume(self, service: CJService) -> None:
        """Handle a callback, now and then commit; what was not committed comes again after a crash."""
        position = self._read
        while position < len(self._topic):
            await service.handle(CALLBACK, self._topic[position])
            position += 1
            if self._random.random() < 0.5:
                self._read = position
            await self._step()
        self._read = position
        self._news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.002):
                await self._news.wait()

    def _over(self) -> bool:
        return any(event in (RESOURCE, FAILED) for event, _ in self.published)

    @property
    def events(self) -> list[ProcessingEvent]:
        return [event for event, _ in self.published]

    @property
    def scores(self) -> list[tuple[str, float]]:
        (rich,) = [envelope["data"] for event, envelope in self.published if event is RICH]
        return [(essay["essay_id"], essay["bt_score"]) for essay in rich["essay_results"]]


def _callback(request: LLMComparisonRequest, number: int) -> bytes:
    """The answer hangs on the pair alone, so that it is the same in every world."""
    first, second = request.metadata["essay_a_id"], request.metadata["essay_b_id"]
    fate = Random(f"{first} {second}").random()
    outcome: dict[str, Any] = (
        {"error_detail": ErrorDetail(error_code="TIMEOUT", message="late")}
        if fate < 0.05
        else {"winner": "Essay A" if fate < 0.6 else "Essay B", "justification": "j", "confidence": 3.0}
    )
    assert request.correlation_id is not None
    result = LLMComparisonResultV1(
        request_id=str(number),
        correlation_id=request.correlation_id,
        provider="mock",
        model="m",
        response_time_ms=0,
        cost_estimate=0,
        requested_at=utc_now(),
        completed_at=utc_now(),
        request_metadata=request.metadata,
        **outcome,
    )
    return EventEnvelope(event_type="t", source_service="s", data=result).to_wire()


def a_request(essays: int, budget: int, **changes: Any) -> bytes:
    batch_id = str(uuid4())
    fields = {
        "entity_id": batch_id,
        "system_metadata": SystemProcessingMetadata(entity_id=batch_id, entity_type="batch"),
        "essays_for_cj": [{"essay_id": f"e{i}", "text_storage_id": f"s{i}"} for i in range(essays)],
        "language": "en",
        "course_code": "ENG5",
        "user_id": "u",
        "llm_config_overrides": {"provider_override": "mock"},
        **changes,
    }
    data = ELS_CJAssessmentRequestV1.model_validate(fields)
    envelope = EventEnvelope(
        event_type="t", source_service="s", data=data, metadata={"max_comparisons": budget}
    )
    return envelope.to_wire()


@settings(deadline=None, max_examples=25)
@given(
    essays=st.integers(2, 7),
    extra=st.integers(0, 6),
    seed=st.integers(0, 10**6),
    lives=st.lists(st.integers(1, 25), max_size=5),
    stable_below=st.sampled_from([0.025, 3.0]),
)
def test_a_batch_ends_as_if_nothing_had_happened(
    essays: int, extra: int, seed: int, lives: list[int], stable_below: float
) -> None:
    budget = essays * (essays - 1) // 2 + extra
    changes = {"score_stability_threshold": stable_below}
    calm = World(seed, [], **changes).run(a_request(essays, budget))
    stormy = World(seed, lives, **changes).run(a_request(essays, budget))
    assert stormy.pairs == calm.pairs or Counter(stormy.pairs) == Counter(calm.pairs)
    assert stormy.events == calm.events
    assert stormy.events in ([COMPLETED, RICH, RESOURCE], [FAILED])
    if RICH in calm.events:
        assert stormy.scores == calm.scores


def test_a_batch_that_is_stable_is_found_so_after_a_restart() -> None:
    """The change of the scores is that since the wave before, which another process fitted."""
    calm = World(3, [], score_stability_threshold=10.0).run(a_request(6, 15))
    stormy = World(3, [21], score_stability_threshold=10.0).run(a_request(6, 15))
    assert 12 <= len(calm.pairs) < 15
    assert (len(stormy.pairs), stormy.restarts) == (len(calm.pairs), 2)
    assert stormy.scores == calm.scores


def test_the_storm_is_real() -> None:
    world = World(1, [1, 2, 3, 4, 5]).run(a_request(6, 15))
    assert world.restarts == 6
    assert len(world.pairs) == 15
    assert Counter(map(frozenset, world.pairs)) == Counter(
        map(frozenset, itertools.combinations((f"e{i}" for i in range(6)), 2))
    )


def test_what_is_over_leaves_only_its_id() -> None:
    world = World(1, [7]).run(a_request(6, 15))
    assert world.database.value("SELECT COUNT(*) FROM pairs") == 0
    assert world.database.value("SELECT COUNT(*) FROM outbox") == 0
    (row,) = world.database.rows("SELECT * FROM batches")
    assert (row["running"], row["request"], row["preparation"], row["generator"]) == (0, None, None, None)


def test_the_work_per_event_does_not_grow() -> None:
    """Statements per comparison: about as many in a large batch as in a small one."""
    spent = []
    for essays in (4, 16):
        world = World(3, [])
        statements: list[str] = []
        world.database._connection.set_trace_callback(statements.append)
        total = essays * (essays - 1) // 2
        world.run(a_request(essays, total))
        ours = "SELECT COUNT(*) FROM outbox"  # asked by the world while it waits
        spent.append(sum(statement != ours for statement in statements) / total)
    assert spent[1] <= spent[0]


# The last events of a batch


class Broker:
    """A publisher that fails after some events, and what it has."""

    def __init__(self, takes: int, error: Exception) -> None:
        self.takes = takes
        self.error = error
        self.has: list[dict[str, Any]] = []

    async def publish(self, event: ProcessingEvent, envelope: EventEnvelope, *, key: str | None) -> None:
        await self._take(envelope.to_wire())

    async def send(self, topic: str, value: bytes, key: bytes | None) -> None:
        await self._take(value)

    async def _take(self, value: bytes) -> None:
        if len(self.has) >= self.takes:
            raise self.error
        self.has.append(json.loads(value))

    def topic(self, event: ProcessingEvent) -> str:
        return topic_name(event)

    async def partitions(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, 0)]


def messages() -> list[outbox_module.Message]:
    """Three events; what is in them does not matter here."""
    data = SystemProcessingMetadata(entity_id="b", entity_type="batch")
    return [
        outbox_module.Message(
            event, EventEnvelope(event_type=event.value, source_service="s", data=data), "b"
        )
        for event in (COMPLETED, RICH, RESOURCE)
    ]


@pytest.mark.parametrize("taken", [0, 1, 2, 3])
@pytest.mark.parametrize("acknowledged", [True, False])
def test_what_was_not_published_is_published_later_and_nothing_twice(
    taken: int, acknowledged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, wanted = Database(), messages()
    broker = Broker(taken, _Crash())
    services = Services(CJSettings(), broker, broker, broker, database=database)  # type: ignore[arg-type]
    with suppress(_Crash):
        asyncio.run(services.outbox.end(1, wanted))
    if not acknowledged and taken < 3:  # it has one more, and died before it could say so
        broker.has.append(json.loads(wanted[taken].envelope.to_wire()))
    broker.takes = 99

    async def known(*_: Any) -> frozenset[str]:
        return frozenset(event["event_id"] for event in broker.has)

    monkeypatch.setattr(outbox_module, "events_since", known)
    for _ in range(2):
        again = Services(CJSettings(), broker, broker, broker, database=database)  # type: ignore[arg-type]
        asyncio.run(again.outbox.recover(None))  # type: ignore[arg-type]
    assert [event["event_id"] for event in broker.has] == [str(m.envelope.event_id) for m in wanted]


def test_an_event_that_is_refused_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker(1, PublishRefused("too large"))
    services = Services(CJSettings(), broker, broker, broker)  # type: ignore[arg-type]
    with pytest.raises(PublishRefused):
        asyncio.run(services.outbox.end(1, messages()))
    broker.takes = 99
    asyncio.run(services.outbox.recover(None))  # type: ignore[arg-type]
    assert len(broker.has) == 1
