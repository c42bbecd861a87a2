"""The broker goes away while runs are waiting: for some seconds, which costs seconds, or for good."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import confluent_kafka
import pytest

from pytest_eng5.brokers import EmbeddedBroker, ensure_topics
from pytest_eng5.capture import (
    CaptureError,
    Deadlines,
    PublishError,
    RequestPublisher,
    patience,
    wait_for_end,
    watch,
)
from pytest_eng5.capture import publisher as publisher_module
from pytest_eng5.contracts import PIPELINE_EVENTS, topic_names
from pytest_eng5.evidence import EndReason, Stream
from pytest_eng5.pipeline import kafka as pipeline_kafka

pytestmark = pytest.mark.asyncio
LONG = Deadlines(idle=300, total=300)
HASTY = Deadlines(idle=3, total=60)
"""Shorter than every outage here: it must not fire while the broker is away."""


@pytest.fixture
def doomed(tmp_path: Path, lab: ModuleType) -> Iterator[EmbeddedBroker]:
    """A broker of one's own, to be harmed."""
    with lab.own_broker(tmp_path / "doomed") as embedded:
        yield embedded


def java_of(broker: EmbeddedBroker) -> int:
    """Process id of the broker itself: the one that listens on its port."""
    import psutil

    port = int(broker.connection.bootstrap_servers.rpartition(":")[2])
    family = psutil.Process().children(recursive=True)
    for process in family:
        if any(c.status == "LISTEN" and c.laddr.port == port for c in process.net_connections("tcp")):
            return int(process.pid)
    raise AssertionError("nobody listens on the broker's port")


class Service:
    """Publishes callbacks without pause, as a pipeline that is not disturbed, and knows what arrived."""

    def __init__(self, rig: Any, lab: ModuleType, batch: str) -> None:
        self.topic, self.batch, self.lab = rig.topic(lab.CALLBACK), batch, lab
        settings = {"bootstrap.servers": rig.bootstrap, "enable.idempotence": True, "log_level": 0}
        self.producer = confluent_kafka.Producer({**settings, "reconnect.backoff.max.ms": 500})
        self.arrived: list[str] = []

    def _delivered(self, error: Any, message: Any) -> None:
        assert error is None, error
        self.arrived.append(f"{message.topic()}[{message.partition()}]@{message.offset()}")

    async def publish(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = self.lab.wire(self.lab.callback(self.batch))
            self.producer.produce(self.topic, value, on_delivery=self._delivered)
            self.producer.poll(0)
            await asyncio.sleep(0.05)

    async def end_run(self, completed: str, rich: str) -> None:
        """The two events that end a batch."""
        self.producer.produce(completed, self.lab.wire(self.lab.completed(self.batch)))
        self.producer.produce(rich, self.lab.wire(self.lab.rich(self.batch)))
        await self.finish()

    async def finish(self) -> None:
        assert await asyncio.to_thread(self.producer.flush, 60) == 0


async def test_the_numbers_fit_together() -> None:
    """Harness and reference pipeline wait equally long, and one request at most a quarter of that."""
    assert pipeline_kafka.KafkaOptions("x:1").broker_timeout == patience.PATIENCE_SECONDS
    assert patience.REQUEST_MS <= 1000 * patience.PATIENCE_SECONDS / 4
    assert patience.request_ms(None) == patience.request_ms(1 << 20) == patience.REQUEST_MS
    assert patience.request_ms(20 << 20) > patience.REQUEST_MS


@pytest.mark.slow
async def test_a_killed_broker_is_given_up_in_time_by_all_who_wait(
    doomed: EmbeddedBroker, lab: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a third of the usual patience, to save time; the usual one is tried end to end."""
    for module in (watch, publisher_module):
        monkeypatch.setattr(module, "PATIENCE_SECONDS", 6.0)
    monkeypatch.setattr(watch, "REQUEST_MS", 1000)
    monkeypatch.setattr(watch, "_REPEAT_MS", 300)
    async with lab.rig_on(doomed, tmp_path) as rig:
        await ensure_topics(
            doomed.connection, topic_names(PIPELINE_EVENTS, rig.prefix), partitions=3, may_create=True
        )
        publisher = RequestPublisher(doomed.connection.client_arguments(), rig.prefix)
        await publisher.start()
        run, hasty = rig.run(expected=10), rig.run("hasty", expected=10)
        kept = await rig.send(lab.CALLBACK, lab.callback(run.batch_id))
        await rig.hub.drain()
        waiting = [
            asyncio.create_task(wait_for_end(rig.hub, *args)) for args in ((run, LONG), (hasty, HASTY))
        ]
        os.kill(java_of(doomed), signal.SIGKILL)
        began = time.monotonic()
        publishing = asyncio.create_task(publisher.publish(b"{}", "batch"))
        waiting.append(asyncio.create_task(rig.hub.drain()))
        await asyncio.sleep(3)
        (obstacle,) = rig.hub.obstacles()
        assert "has not answered for" in obstacle
        assert not any(task.done() for task in [*waiting, publishing]), "given up too early"
        for task in waiting:
            with pytest.raises(CaptureError) as caught:
                await asyncio.wait_for(task, 60)
            assert doomed.connection.bootstrap_servers in str(caught.value)
            assert "kept" in str(caught.value.fix)
        assert 6 < time.monotonic() - began < 30
        with pytest.raises(PublishError) as refused:
            await asyncio.wait_for(publishing, 60)
        assert time.monotonic() - began < 40
        assert refused.value.may_have_arrived
        assert "may or may not have arrived" in refused.value.what
        assert f"{rig.prefix}huleedu.els.cj_assessment.requested.v1" in str(refused.value.where)
        began = time.monotonic()
        await asyncio.gather(rig.hub.stop(), publisher.stop())
        assert time.monotonic() - began < 60
        assert rig.positions(run, Stream.COMPARISONS) == [kept]


@pytest.mark.slow
@pytest.mark.thorough
async def test_a_restart_loses_nothing_and_is_not_taken_for_idleness(
    doomed: EmbeddedBroker, lab: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "PATIENCE_SECONDS", 60.0)  # a busy machine may need that long to start Kafka
    async with lab.rig_on(doomed, tmp_path) as rig:
        run = rig.run(expected=1)
        service = Service(rig, lab, run.batch_id)
        waiting = asyncio.create_task(wait_for_end(rig.hub, run, HASTY))
        await service.publish(1)
        await service.finish()
        before = len(service.arrived)
        began = time.monotonic()
        await asyncio.gather(asyncio.to_thread(doomed.restart, down=2), service.publish(3))
        away = time.monotonic() - began
        await service.publish(1)
        await service.finish()
        assert time.monotonic() - began - away < 5, "a long stall after the restart"
        assert 0 < before < len(service.arrived)
        await service.end_run(rig.topic(lab.COMPLETED), rig.topic(lab.RICH))
        end = await asyncio.wait_for(waiting, 60)
        assert (end.reason, end.detail) == (EndReason.COMPLETED, "completed")
        captured = rig.positions(run, Stream.COMPARISONS)
        assert len(captured) == len(set(captured))
        assert set(captured) == set(service.arrived)
        print(f"{before} events before, {len(captured)} after; the broker was away for {away:.1f} s")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "seconds"), [("lose", 5), pytest.param("hold", 4, marks=pytest.mark.thorough)]
)
async def test_a_partition_of_the_network_costs_little_more_than_itself(
    broker: Any, proxy: Any, lab: ModuleType, tmp_path: Path, how: str, seconds: int
) -> None:
    """Some seconds in which the pipeline goes on and the harness hears nothing, all connections open."""
    async with lab.rig_on(broker, tmp_path, through=proxy.address) as rig:
        run = rig.run(expected=1)
        service = Service(rig, lab, run.batch_id)
        waiting = asyncio.create_task(wait_for_end(rig.hub, run, HASTY))
        await service.publish(1)
        await service.finish()
        await rig.hub.drain()
        before = run.account.comparisons
        getattr(proxy, how)()
        await service.publish(seconds)
        await service.finish()
        assert run.account.comparisons == before
        proxy.heal()
        healed = time.monotonic()
        await asyncio.wait_for(rig.hub.drain(), 60)
        assert time.monotonic() - healed < 5
        assert before < run.account.comparisons == len(service.arrived)
        await service.end_run(rig.topic(lab.COMPLETED), rig.topic(lab.RICH))
        assert (await asyncio.wait_for(waiting, 60)).detail == "completed"
        captured = rig.positions(run, Stream.COMPARISONS)
        assert len(captured) == len(set(captured))
        assert set(captured) == set(service.arrived)


async def test_connections_that_are_cut_are_made_anew(
    broker: Any, proxy: Any, lab: ModuleType, tmp_path: Path
) -> None:
    async with lab.rig_on(broker, tmp_path, through=proxy.address) as rig:
        run = rig.run(expected=1)
        service = Service(rig, lab, run.batch_id)
        for _ in range(8):
            await service.publish(0.2)
            proxy.cut()
        await service.finish()
        await asyncio.wait_for(rig.hub.drain(), 60)
        captured = rig.positions(run, Stream.COMPARISONS)
        assert len(captured) == len(set(captured))
        assert set(captured) == set(service.arrived)


async def test_the_total_deadline_fires_while_the_broker_is_away_and_says_so(
    broker: Any, proxy: Any, lab: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "REQUEST_MS", 300)
    monkeypatch.setattr(watch, "_REPEAT_MS", 200)
    monkeypatch.setattr(watch, "_INTERVAL_SECONDS", 0.2)
    async with lab.rig_on(broker, tmp_path, through=proxy.address) as rig:
        run = rig.run(expected=1)
        proxy.lose()
        began = time.monotonic()
        end = await asyncio.wait_for(wait_for_end(rig.hub, run, Deadlines(idle=0.5, total=2)), 10)
        assert 1.9 < time.monotonic() - began < 4
        assert end.reason is EndReason.TOTAL_DEADLINE
        assert "total deadline of 2 s passed" in end.detail
        assert f"the broker at {proxy.address} has not answered for" in end.detail
        proxy.heal()
