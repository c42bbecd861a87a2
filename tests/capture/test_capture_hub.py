"""The hub itself: positions, nothing lost, nothing replayed, counting, durability, offsets."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from pytest_eng5.capture import CaptureError, CaptureHub
from pytest_eng5.capture import hub as hub_module
from pytest_eng5.capture import source as source_module
from pytest_eng5.contracts import CAPTURED_EVENTS
from pytest_eng5.evidence import Stream

pytestmark = pytest.mark.asyncio


async def committed(rig: Any) -> dict[TopicPartition, int]:
    """What the group has committed, asked by a client of its own."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=rig.bootstrap, group_id=f"{rig.prefix}group", enable_auto_commit=False
    )
    await consumer.start()
    try:
        partitions = [
            TopicPartition(rig.topic(event), number) for event in CAPTURED_EVENTS for number in range(3)
        ]
        consumer.assign(partitions)
        found = {partition: await consumer.committed(partition) for partition in partitions}
    finally:
        await consumer.stop()
    return {partition: offset for partition, offset in found.items() if offset is not None}


async def test_a_history_of_5000_events_is_not_replayed(broker: Any, lab: ModuleType, tmp_path: Path) -> None:
    async with lab.rig_on(broker, tmp_path, started=False) as rig:
        run = rig.run()
        old = lab.wire(lab.callback(run.batch_id, "run-e1", "run-e2"))
        for number in range(5000):
            await rig.producer.send(rig.topic(lab.CALLBACK), old, partition=number % 3)
        await rig.producer.flush()
        await rig.hub.start()
        try:
            fresh = await rig.send(lab.CALLBACK, lab.callback(run.batch_id))
            await rig.hub.drain()
            assert rig.positions(run, Stream.COMPARISONS) == [fresh]
            assert run.account.comparisons == 1
        finally:
            await rig.hub.stop()


@pytest.mark.parametrize("attempt", range(5))
async def test_nothing_published_right_after_start_is_lost(
    broker: Any, lab: ModuleType, tmp_path: Path, attempt: int
) -> None:
    """Published in the tick in which start() returns, on every partition, before the hub has polled once."""
    async with lab.rig_on(broker, tmp_path, started=False) as rig:
        run = rig.run()
        value = lab.wire(lab.callback(run.batch_id))
        await rig.producer.partitions_for(rig.topic(lab.CALLBACK))
        await rig.hub.start()
        try:
            topic = rig.topic(lab.CALLBACK)
            sent = [await rig.producer.send(topic, value, partition=number) for number in range(3)]
            await asyncio.gather(*sent)
            await rig.hub.drain()
            assert len(rig.lines(run, Stream.COMPARISONS)) == 3
        finally:
            await rig.hub.stop()


async def test_a_run_registered_in_the_tick_of_publishing_gets_everything(rig: Any, lab: ModuleType) -> None:
    for number in range(10):
        run = rig.run(f"run{number}")
        await rig.send(lab.COMPLETED, lab.completed(run.batch_id))
    await rig.hub.drain()
    assert all(run.account.completed for run in rig.channels)


async def test_redelivered_callbacks_are_logged_twice_and_counted_once(rig: Any, lab: ModuleType) -> None:
    """A relay makes a new event id at every delivery (contract 1.4); the request id tells."""
    run = rig.run(expected=2)
    event = lab.callback(run.batch_id, cost_estimate=0.25)
    again = event | {"event_id": str(uuid4()), "event_timestamp": "2026-03-01T10:00:00Z"}
    for value in (event, again, lab.callback(run.batch_id, cost_estimate=0.5)):
        await rig.send(lab.CALLBACK, value, partition=0)
    await rig.hub.drain()
    assert run.account.comparisons == 2
    assert run.account.cost_usd == pytest.approx(0.75)
    assert len(rig.lines(run, Stream.COMPARISONS)) == 3


async def test_failed_comparisons_count_as_comparisons(rig: Any, lab: ModuleType) -> None:
    run = rig.run(expected=2)
    error = {"error_code": "EXTERNAL_SERVICE_ERROR", "message": "overloaded"}
    lacking = {"winner": None, "justification": None, "confidence": None}
    event = lab.callback(run.batch_id, error_detail=error, **lacking)
    await rig.send(lab.CALLBACK, event, partition=0)
    await rig.send(lab.CALLBACK, event, partition=0)
    await rig.send(lab.CALLBACK, lab.callback(run.batch_id), partition=0)
    await rig.hub.drain()
    assert (run.account.comparisons, run.account.failed) == (2, 1)


async def test_the_account_names_what_is_missing(rig: Any, lab: ModuleType) -> None:
    run = rig.run(expected=2)
    assert run.account.missing() == ["2 of 2 comparisons", "the completed event", "the rich result"]
    await rig.send(lab.CALLBACK, lab.callback(run.batch_id))
    await rig.send(lab.RICH, lab.rich(run.batch_id))
    await rig.hub.drain()
    assert run.account.missing() == ["1 of 2 comparisons", "the completed event"]
    await rig.send(lab.CALLBACK, lab.callback(run.batch_id))
    await rig.send(lab.COMPLETED, lab.completed(run.batch_id))
    await rig.hub.drain()
    assert run.account.missing() == []


async def test_drain_waits_for_everything_that_stands_on_the_topics(rig: Any, lab: ModuleType) -> None:
    run = rig.run(expected=3000)
    values = [lab.wire(lab.callback(run.batch_id)) for _ in range(3000)]
    for number, value in enumerate(values):
        await rig.producer.send(rig.topic(lab.CALLBACK), value, partition=number % 3)
    await rig.producer.flush()
    await rig.hub.drain()
    assert run.account.comparisons == 3000
    assert len(rig.lines(run, Stream.COMPARISONS)) == 3000


async def test_drain_on_quiet_topics_returns_at_once(rig: Any) -> None:
    began = time.monotonic()
    await rig.hub.drain()
    assert time.monotonic() - began < 30


async def test_what_drain_promises_is_on_disk_before_it_returns(
    rig: Any, lab: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a slow disk, waiters are woken only when the lines are durable."""
    run = rig.run()
    durable: list[int] = []
    sync = run.sync

    def slow_sync() -> None:
        time.sleep(0.3)
        sync()
        durable.append(len(rig.lines(run, Stream.COMPARISONS)))

    monkeypatch.setattr(run, "sync", slow_sync)
    await rig.send(lab.CALLBACK, lab.callback(run.batch_id))
    await rig.hub.drain()
    assert durable == [1]


async def test_a_waiter_is_woken_only_after_the_lines_are_durable(
    rig: Any, lab: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = rig.run()
    order: list[str] = []
    sync = run.sync
    monkeypatch.setattr(run, "sync", lambda: (time.sleep(0.2), sync(), order.append("durable")))
    await rig.send(lab.CALLBACK, lab.callback(run.batch_id))
    assert await run.changed(60)
    order.append("woken")
    assert order == ["durable", "woken"]


async def test_offsets_are_committed_only_for_lines_on_disk(
    rig: Any, lab: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every commit the committed offsets are covered by the lines that a reader finds on disk."""
    monkeypatch.setattr(hub_module, "_COMMIT_SECONDS", 0.0)
    run = rig.run(expected=600)
    consumer, seen = rig.hub._source._consumer, []
    commit = consumer.commit

    async def watched(offsets: dict[Any, int]) -> None:
        on_disk = {(r.topic, r.partition, r.offset) for r, _ in rig.lines(run, Stream.COMPARISONS)}
        for partition, offset in offsets.items():
            expected = {(partition.topic, partition.partition, number) for number in range(offset)}
            assert expected <= on_disk, "an offset was committed before its line was durable"
        seen.append(sum(offsets.values()))
        await commit(offsets)

    monkeypatch.setattr(consumer, "commit", watched)
    failures: list[str] = []
    monkeypatch.setattr(source_module._log, "warning", lambda *args: failures.append(str(args)))
    for number in range(600):
        await rig.send(lab.CALLBACK, lab.callback(run.batch_id), partition=number % 3)
    await rig.hub.drain()
    await rig.hub.stop()
    assert failures == []
    assert len(seen) > 1
    assert seen[-1] == 600
    assert sum((await committed(rig)).values()) == 600


async def test_stopping_in_the_middle_never_commits_more_than_is_on_disk(rig: Any, lab: ModuleType) -> None:
    run = rig.run(expected=20_000)
    value = lab.wire(lab.callback(run.batch_id))
    for number in range(5000):
        await rig.producer.send(rig.topic(lab.CALLBACK), value, partition=number % 3)
    publishing = asyncio.create_task(rig.producer.flush())
    await run.changed(60)
    await rig.hub.stop()
    run.close()
    await publishing
    lines = len(rig.lines(run, Stream.COMPARISONS))
    assert 0 < sum((await committed(rig)).values()) <= lines


async def test_a_hub_stopped_and_started_again_goes_on_with_what_is_new(rig: Any, lab: ModuleType) -> None:
    run = rig.run(expected=3)
    first = await rig.send(lab.CALLBACK, lab.callback(run.batch_id), partition=0)
    await rig.hub.drain()
    await rig.hub.stop()
    assert sum((await committed(rig)).values()) == 1
    await rig.send(lab.CALLBACK, lab.callback(run.batch_id), partition=0)  # nobody listens
    rig.hub = rig.new_hub()
    await rig.hub.start()
    rig.hub.register(run)
    third = await rig.send(lab.CALLBACK, lab.callback(run.batch_id), partition=0)
    await rig.hub.drain()
    assert rig.positions(run, Stream.COMPARISONS) == [first, third]


async def test_two_hubs_share_the_topics_without_taking_from_each_other(rig: Any, lab: ModuleType) -> None:
    """Two sessions, even with the same group: neither joins it, so both get every record."""
    other = rig.new_hub()
    await other.start()
    try:
        one = rig.run("one", 9)
        two = rig.run("two", 9)
        other.register(two)
        for number in range(9):
            await rig.send(lab.CALLBACK, lab.callback(one.batch_id), partition=number % 3)
        await rig.hub.drain()
        await other.drain()
        assert one.account.comparisons == 9
        assert other.foreign_events == 9
    finally:
        await other.stop()


async def test_closing_a_run_while_its_lines_are_synced_harms_nobody(
    rig: Any, lab: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deadline may fire while the hub's thread is inside fsync for that very run."""
    ended, other = rig.run("ended"), rig.run("other")
    inside = asyncio.Event()
    loop = asyncio.get_running_loop()
    fsync = os.fsync

    def slow(descriptor: int) -> None:
        if threading.current_thread() is not threading.main_thread():
            loop.call_soon_threadsafe(inside.set)
            time.sleep(0.3)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    for number in range(20):
        await rig.send(lab.CALLBACK, lab.callback(ended.batch_id), partition=number % 3)
    await asyncio.wait_for(inside.wait(), 60)
    ended.close()
    await rig.send(lab.CALLBACK, lab.callback(other.batch_id))
    await rig.hub.drain()
    assert rig.hub.failure is None
    assert other.account.comparisons == 1
    assert all(json.loads(record.value or b"") for record, _ in rig.lines(ended, Stream.COMPARISONS))


async def test_a_full_disk_stops_the_capture_loudly(
    rig: Any, lab: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = rig.run()

    def full() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run, "sync", full)
    await rig.send(lab.CALLBACK, lab.callback(run.batch_id))
    assert await run.changed(60)
    with pytest.raises(CaptureError, match="No space left on device"):
        rig.hub.check()
    monkeypatch.undo()
    await rig.hub.stop()
    assert await committed(rig) == {}


async def test_abort_reaches_every_waiter_and_drain(rig: Any) -> None:
    one, two = rig.run("one"), rig.run("two")
    waiting = [asyncio.create_task(run.changed(30)) for run in (one, two)]
    await asyncio.sleep(0)
    began = time.monotonic()
    await rig.hub.abort("the pipeline died")
    await rig.hub.abort("a later reason does not hide the first")
    assert await asyncio.gather(*waiting) == [True, True]
    assert time.monotonic() - began < 29
    with pytest.raises(CaptureError, match="the pipeline died") as caught:
        await rig.hub.drain()
    assert caught.value.fix
    assert caught.value.exit_code == 4


async def test_a_topic_that_does_not_exist_is_named(broker: Any, tmp_path: Path) -> None:
    arguments = broker.connection.client_arguments()
    hub = CaptureHub(arguments, "g", tmp_path / "stray.jsonl", "nobody-made.")
    with pytest.raises(CaptureError) as caught:
        await hub.start()
    assert "nobody-made.huleedu.llm_provider.comparison_result.v1" in caught.value.what
    assert caught.value.where == broker.connection.bootstrap_servers
    assert "topics" in str(caught.value.fix)


async def test_no_broker_at_the_address_is_an_error_with_the_address(tmp_path: Path) -> None:
    hub = CaptureHub({"bootstrap_servers": "127.0.0.1:1"}, "g", tmp_path / "stray.jsonl")
    began = time.monotonic()
    with pytest.raises(CaptureError) as caught:
        await hub.start()
    assert time.monotonic() - began < 29
    assert caught.value.where == "127.0.0.1:1"
    assert caught.value.fix
    await hub.stop()
