"""The seam and its side channel, without Kafka: what is sent, when, and what the CJ service is given."""

from __future__ import annotations

import asyncio
import json
import time
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from starlette.applications import Starlette

from pytest_eng5.contracts import (
    EventEnvelope,
    Fault,
    FaultPlan,
    LLMComparisonResultV1,
    ProcessingEvent,
    topic_name,
    utc_now,
)
from pytest_eng5.pipeline.faults import CJ_EVENTS, PROVIDER_EVENTS, FaultBook, FaultySeam, fault_routes
from pytest_eng5.pipeline.http import service_app
from pytest_eng5.pipeline.metrics import ServiceMetrics
from pytest_eng5.pipeline.provider.service import _refusal

pytestmark = pytest.mark.asyncio

CALLBACK = ProcessingEvent.LLM_COMPARISON_RESULT
BATCH = "b3a1f7de-0c54-4d0a-8a0f-6a1f0f7d2c10"


def envelope(batch: str = BATCH) -> EventEnvelope:
    """A callback of a batch."""
    result = LLMComparisonResultV1(
        request_id=str(uuid4()),
        correlation_id=uuid4(),
        winner="Essay A",
        justification="j",
        confidence=3.0,
        provider="mock",
        model="m",
        response_time_ms=0,
        cost_estimate=0,
        requested_at=utc_now(),
        completed_at=utc_now(),
        request_metadata={"bos_batch_id": batch},
    )
    correlation = result.correlation_id
    return EventEnvelope(event_type="t", source_service="s", correlation_id=correlation, data=result)


class Sink:
    """Keeps what is published, in order, with the moment."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes, bytes | None, int | None, float]] = []
        self.order: list[str] = []

    def topic(self, event: ProcessingEvent) -> str:
        return topic_name(event)

    async def publish(
        self, event: ProcessingEvent, envelope: EventEnvelope, *, key: str | None = None
    ) -> None:
        await self.send(self.topic(event), envelope.to_wire(), key=None if key is None else key.encode())

    async def send(
        self, topic: str, value: bytes, *, key: bytes | None = None, timestamp_ms: int | None = None
    ) -> Any:
        self.sent.append((topic, value, key, timestamp_ms, time.monotonic()))
        self.order.append("sent")

    async def direct(self, value: bytes) -> None:
        self.order.append(json.loads(value)["data"]["winner"])


def seam(sink: Sink, *faults: dict[str, Any], direct: bool = True) -> FaultySeam:
    """A seam on which one batch has faults."""
    book = FaultBook(PROVIDER_EVENTS)
    if faults:
        plan = FaultPlan(faults=tuple(Fault(**fault) for fault in faults), correlation_id=uuid4())
        book.register(BATCH, plan)
    return FaultySeam(sink, book, lambda: sink.direct if direct else None)


async def test_without_a_plan_everything_passes_as_it_is() -> None:
    sink, event = Sink(), envelope()
    await seam(sink).publish(CALLBACK, event, key="k")
    ((topic, value, key, timestamp, _),) = sink.sent
    assert (topic, value, key, timestamp) == (topic_name(CALLBACK), event.to_wire(), b"k", None)


async def test_another_batch_is_not_touched() -> None:
    sink, event = Sink(), envelope("another")
    await seam(sink, {"action": "drop", "topic": "comparison_result"}).publish(CALLBACK, event)
    assert [value for _, value, *_ in sink.sent] == [event.to_wire()]
    assert sink.order == ["sent"]


async def test_the_cj_service_has_the_true_callback_before_the_faulty_one_is_sent() -> None:
    sink = Sink()
    fault = {"action": "set", "topic": "comparison_result", "field": "/data/winner", "value": "Essay B"}
    await seam(sink, fault).publish(CALLBACK, envelope())
    assert sink.order == ["Essay A", "sent"]
    assert json.loads(sink.sent[0][1])["data"]["winner"] == "Essay B"


@pytest.mark.parametrize("reaches", [True, False])
async def test_it_is_not_told_where_it_reads_the_topic(reaches: bool) -> None:
    sink = Sink()
    fault = {"action": "drop", "topic": "comparison_result", "reaches_cj": reaches}
    await seam(sink, fault, direct=reaches).publish(CALLBACK, envelope())
    assert sink.order == []


async def nothing_pending(channel: FaultySeam) -> None:
    async with asyncio.timeout(60):
        while channel.pending:  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.01)


async def test_a_delayed_event_holds_nobody_up() -> None:
    sink = Sink()
    channel = seam(sink, {"action": "delay", "topic": "comparison_result", "nth": 1, "seconds": 1.0})
    began = time.monotonic()
    await channel.publish(CALLBACK, envelope())
    await channel.publish(CALLBACK, envelope())
    assert (len(sink.sent), channel.pending) == (1, 1)
    await nothing_pending(channel)
    assert len(sink.sent) == 2
    assert sink.sent[1][4] - began >= 1.0


async def test_a_held_event_comes_even_if_nothing_follows() -> None:
    sink = Sink()
    channel = seam(sink, {"action": "reorder", "topic": "comparison_result", "by": 5})
    await channel.publish(CALLBACK, envelope())
    assert sink.sent == []
    await nothing_pending(channel)
    assert len(sink.sent) == 1


async def test_a_stale_copy_has_an_old_timestamp_of_its_own() -> None:
    sink = Sink()
    await seam(sink, {"action": "stale", "topic": "comparison_result"}).publish(CALLBACK, envelope())
    (_, _, _, true, _), (_, _, _, old, _) = sink.sent
    assert true is None
    assert old is not None
    assert abs(time.time() * 1000 - old - 3_600_000) < 60_000


class TestSideChannel:
    @pytest.fixture
    def book(self) -> FaultBook:
        return FaultBook(CJ_EVENTS)

    def client(self, book: FaultBook, **options: Any) -> httpx.AsyncClient:
        app: Starlette = service_app("test", fault_routes(book, **options), ServiceMetrics("test"))
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service")

    async def test_a_plan_is_put_and_its_counts_are_told(self, book: FaultBook) -> None:
        plan = {"faults": [{"action": "fail"}, {"action": "missing_result"}], "correlation_id": str(uuid4())}
        async with self.client(book) as client:
            assert (await client.put(f"/admin/faults/{BATCH}", json=plan)).status_code == 204
            found = book.find(BATCH)
            assert found is not None
            found.apply(ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED, "7", b'{"data": {}}')
            told = (await client.get(f"/admin/faults/{BATCH}")).json()
        assert told == {"faults": [{"seen": 0, "fired": 0}, {"seen": 1, "fired": 1}]}

    async def test_counts_of_an_unknown_batch_are_not_found(self, book: FaultBook) -> None:
        async with self.client(book) as client:
            assert (await client.get("/admin/faults/unknown")).status_code == 404

    async def test_a_senseless_plan_is_refused_with_its_reason(self, book: FaultBook) -> None:
        plan = {"faults": [{"action": "drop"}], "correlation_id": str(uuid4())}
        async with self.client(book) as client:
            answer = await client.put(f"/admin/faults/{BATCH}", json=plan)
        assert answer.status_code == 400
        assert "the action 'drop' needs the key 'topic'" in answer.text
        assert book.find(BATCH) is None

    async def test_a_service_may_refuse_what_it_cannot_do(self, book: FaultBook) -> None:
        plan = {"faults": [{"action": "fail"}], "correlation_id": str(uuid4())}
        async with self.client(book, refusal=lambda _: "not here") as client:
            answer = await client.put(f"/admin/faults/{BATCH}", json=plan)
        assert (answer.status_code, "not here" in answer.text) == (400, True)
        assert book.find(BATCH) is None


@pytest.mark.parametrize(
    ("faults", "together", "refused"),
    [
        ([{"action": "drop", "topic": "comparison_result"}], True, False),
        ([{"action": "drop", "topic": "comparison_result"}], False, True),
        ([{"action": "drop", "topic": "comparison_result", "reaches_cj": True}], False, False),
        ([{"action": "missing_result"}], False, False),
        ([{"action": "silence"}], False, True),
    ],
)
async def test_a_provider_service_alone_cannot_hide_a_fault_from_the_cj_service(
    faults: list[dict[str, Any]], together: bool, refused: bool
) -> None:
    broker: Any = SimpleNamespace(direct=Sink().direct if together else None)
    plan = FaultPlan(faults=tuple(Fault(**fault) for fault in faults), correlation_id=uuid4())
    problem = _refusal(plan, broker)
    assert (problem is not None) == refused
    assert problem is None or "write 'reaches_cj: true', or run both services in one process" in problem
