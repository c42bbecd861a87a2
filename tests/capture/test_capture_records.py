"""Records of every kind that Kafka allows, and what happens to topics while they are captured."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import confluent_kafka
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from confluent_kafka.admin import AdminClient

from pytest_eng5.brokers import ensure_topics
from pytest_eng5.capture import CaptureError, Deadlines, hub, source, wait_for_end
from pytest_eng5.capture.source import Source
from pytest_eng5.capture.watch import BrokerWatch
from pytest_eng5.evidence import EndReason, Stream

pytestmark = pytest.mark.asyncio
LONG = Deadlines(idle=60, total=60)
BINARY = bytes(range(256))


@asynccontextmanager
async def admin_of(broker: Any) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**broker.connection.client_arguments())
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def reader_of(broker: Any, topic: str, **settings: Any) -> AsyncIterator[tuple[Source, BrokerWatch]]:
    """A source at the beginning of partition 0 of a topic, as a hub has it that lags behind."""
    arguments = broker.connection.client_arguments()
    partition = TopicPartition(topic, 0)
    watch = BrokerWatch(arguments, lambda: None)
    await watch.start([partition])
    made = Source(arguments, "reader", **settings)
    await made.start({partition: 0})
    try:
        yield made, watch
    finally:
        await made.stop()
        await watch.stop()


async def read_to(reader: Source, end: int) -> list[Any]:
    """What the source hands out until its position reaches ``end``."""
    found: list[Any] = []
    async with asyncio.timeout(60):
        while next(iter(reader.positions.values())) < end:
            for records in (await reader.poll(500)).values():
                found += records
            await reader.advance()
    return found


def transactional(rig: Any) -> confluent_kafka.Producer:
    settings = {"bootstrap.servers": rig.bootstrap, "transactional.id": rig.prefix, "log_level": 0}
    client = confluent_kafka.Producer(settings)
    client.init_transactions(20)
    return client


@pytest.mark.parametrize("key", [None, b"", b"text", BINARY], ids=["null", "empty", "text", "binary"])
async def test_keys_and_headers_are_kept_byte_for_byte(rig: Any, lab: ModuleType, key: bytes | None) -> None:
    run = rig.run()
    headers = [
        ("null", None),
        ("empty", b""),
        ("binary", BINARY),
        ("twice", b"1"),
        ("twice", b"2"),
        ("å", b"x"),
    ]
    value = lab.wire(lab.callback(run.batch_id))
    client = confluent_kafka.Producer({"bootstrap.servers": rig.bootstrap})
    client.produce(rig.topic(lab.CALLBACK), value, key=key, headers=headers)
    assert await asyncio.to_thread(client.flush, 60) == 0
    await rig.hub.drain()
    ((record, rejection),) = rig.lines(run, Stream.COMPARISONS)
    assert rejection is None
    assert (record.key, record.value, list(record.headers)) == (key, value, headers)


@pytest.mark.parametrize("value", [None, b""], ids=["tombstone", "empty"])
async def test_a_record_without_content_is_reported_and_stops_nothing(
    rig: Any, lab: ModuleType, value: bytes | None
) -> None:
    run = rig.run()
    client = confluent_kafka.Producer({"bootstrap.servers": rig.bootstrap})
    client.produce(rig.topic(lab.COMPLETED), value, key=run.batch_id, partition=1)
    assert await asyncio.to_thread(client.flush, 60) == 0
    await rig.send(lab.COMPLETED, lab.completed(run.batch_id), partition=1)
    await rig.hub.drain()
    ((record, rejection),) = rig.lines(run, Stream.REJECTED)
    assert record.value == value
    assert (rejection.stage, rejection.attribution) == ("undecodable", "text")
    assert run.account.completed


async def test_what_a_producer_aborted_is_no_evidence(rig: Any, lab: ModuleType) -> None:
    run = rig.run()
    client = await asyncio.to_thread(transactional, rig)
    value = lab.wire(lab.callback(run.batch_id))
    for end in (client.abort_transaction, client.commit_transaction, client.abort_transaction):
        client.begin_transaction()
        for number in range(6):
            client.produce(rig.topic(lab.CALLBACK), value, partition=number % 3)
        await asyncio.to_thread(client.flush, 60)
        await asyncio.to_thread(end, 60)
    kept = await rig.send(lab.CALLBACK, lab.callback(run.batch_id), partition=2)
    await asyncio.wait_for(rig.hub.drain(), 60)
    positions = rig.positions(run, Stream.COMPARISONS)
    assert len(positions) == 6 + 1
    assert kept in positions
    assert rig.stray() == []


async def test_an_open_transaction_holds_a_run_back_only_so_long_and_is_named(
    rig: Any, lab: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "TRANSACTION_SECONDS", 1.5)
    monkeypatch.setattr(hub, "_TOLD_SECONDS", 0.5)
    run = rig.run(expected=2)
    client = await asyncio.to_thread(transactional, rig)
    client.begin_transaction()
    client.produce(rig.topic(lab.CALLBACK), lab.wire(lab.callback(run.batch_id)), partition=1)
    await asyncio.to_thread(client.flush, 60)
    await rig.send(lab.CALLBACK, lab.callback(run.batch_id), partition=1)  # published, but nobody may see it
    end = await asyncio.wait_for(wait_for_end(rig.hub, run, Deadlines(idle=1, total=60)), 60)
    assert end.reason is EndReason.IDLE_DEADLINE
    assert "0 of 2 comparisons seen" in end.detail
    assert f"open transaction of a producer has held back {rig.topic(lab.CALLBACK)}[1]" in end.detail
    assert "from offset 0 on (2 offsets)" in end.detail
    await rig.send(lab.COMPLETED, lab.completed(run.batch_id))
    await rig.send(lab.RICH, lab.rich(run.batch_id))
    (left,) = await asyncio.wait_for(rig.hub.drain(), 60)
    assert f"{rig.topic(lab.CALLBACK)}[1]" in left
    await asyncio.to_thread(client.commit_transaction, 60)
    async with asyncio.timeout(60):
        while await rig.hub.drain():
            pass
    assert run.account.comparisons == 2
    assert (await wait_for_end(rig.hub, run, LONG)).detail == "completed"
    assert rig.hub.obstacles() == []


async def test_an_old_transaction_is_not_evidence_when_it_ends(
    broker: Any, lab: ModuleType, tmp_path: Path
) -> None:
    """Published before the hub's positions were taken, although it becomes visible only afterwards."""
    async with lab.rig_on(broker, tmp_path, started=False) as rig:
        run = rig.run()
        client = await asyncio.to_thread(transactional, rig)
        client.begin_transaction()
        client.produce(rig.topic(lab.CALLBACK), lab.wire(lab.callback(run.batch_id)), partition=0)
        await asyncio.to_thread(client.flush, 60)
        await rig.hub.start()
        try:
            await asyncio.to_thread(client.commit_transaction, 60)
            fresh = await rig.send(lab.CALLBACK, lab.callback(run.batch_id), partition=0)
            await asyncio.wait_for(rig.hub.drain(), 60)
            assert rig.positions(run, Stream.COMPARISONS) == [fresh]
        finally:
            await rig.hub.stop()


async def test_partitions_that_are_added_are_captured_from_their_beginning(rig: Any, lab: ModuleType) -> None:
    run = rig.run(expected=8)
    await rig.send(lab.CALLBACK, lab.callback(run.batch_id), partition=0)
    async with admin_of(rig.broker) as admin:
        await admin.create_partitions({rig.topic(lab.CALLBACK): NewPartitions(5)})
    client = confluent_kafka.Producer({"bootstrap.servers": rig.bootstrap})
    sent = 1
    for number in (4, 3, 4, 0, 1, 2, 3):
        client.produce(rig.topic(lab.CALLBACK), lab.wire(lab.callback(run.batch_id)), partition=number)
        sent += 1
    assert await asyncio.to_thread(client.flush, 60) == 0
    waiting = asyncio.create_task(wait_for_end(rig.hub, run, LONG))
    await rig.send(lab.COMPLETED, lab.completed(run.batch_id))
    await rig.send(lab.RICH, lab.rich(run.batch_id))
    assert (await asyncio.wait_for(waiting, 60)).detail == "completed"
    positions = rig.positions(run, Stream.COMPARISONS)
    assert len(positions) == len(set(positions)) == sent


async def test_a_topic_made_anew_ends_the_runs_that_wait_and_no_others(rig: Any, lab: ModuleType) -> None:
    run = rig.run(expected=5)
    for _ in range(3):
        await rig.send(lab.CALLBACK, lab.callback(run.batch_id), partition=1)
    await rig.hub.drain()
    waiting = asyncio.create_task(wait_for_end(rig.hub, run, LONG))
    topic = rig.topic(lab.CALLBACK)
    client = AdminClient({"bootstrap.servers": rig.bootstrap})
    client.delete_topics([topic])[topic].result(60)
    async with asyncio.timeout(60):
        while topic in client.list_topics(timeout=60).topics:  # noqa: ASYNC110 - nothing tells us when
            await asyncio.sleep(0.05)
    await ensure_topics(rig.broker.connection, [topic], partitions=3, may_create=True)
    with pytest.raises(CaptureError) as caught:
        await asyncio.wait_for(waiting, 60)
    assert f"{topic}[1] ends at offset 0, although 3 had been reached" in caught.value.what
    assert caught.value.fix
    run.close()
    later = rig.run("later")
    assert await asyncio.to_thread(_send, rig, lab.wire(lab.callback(later.batch_id))) == 0
    await asyncio.wait_for(rig.hub.drain(), 60)
    assert later.account.comparisons == 1
    rig.hub.check()


def _send(rig: Any, value: bytes) -> int:
    client = confluent_kafka.Producer({"bootstrap.servers": rig.bootstrap})
    client.produce("".join([rig.prefix, "huleedu.llm_provider.comparison_result.v1"]), value, partition=1)
    return client.flush(60)


async def test_a_topic_that_is_gone_is_named(rig: Any, lab: ModuleType) -> None:
    topic = rig.topic(lab.COMPLETED)
    client = AdminClient({"bootstrap.servers": rig.bootstrap})
    client.delete_topics([topic])[topic].result(60)
    draining = asyncio.create_task(rig.hub.drain())
    async with asyncio.timeout(60):
        while not rig.hub.obstacles():  # noqa: ASYNC110 - nothing tells us when
            await asyncio.sleep(0.1)
    assert f"no topic {topic}" in rig.hub.obstacles()[0]
    draining.cancel()


async def test_records_removed_before_they_were_read_are_named_and_the_rest_is_read(
    broker: Any, lab: ModuleType, tmp_path: Path
) -> None:
    async with lab.rig_on(broker, tmp_path, started=False) as rig:
        topic = rig.topic(lab.CALLBACK)
        for number in range(10):
            await rig.send(lab.CALLBACK, b"%d" % number, partition=0)
        async with admin_of(broker) as admin:
            await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(6)})
        async with reader_of(broker, topic) as (reader, watch):
            missed: list[str] = []
            async with asyncio.timeout(60):
                while not missed:
                    assert not await reader.poll(500)
                    await reader.advance()
                    missed = await reader.jump(watch)
            assert missed == [
                f"the broker removed offsets 0 to 5 of {topic}[0] before they were captured (retention)"
            ]
            assert [record.value for record in await read_to(reader, 10)] == [b"6", b"7", b"8", b"9"]
            assert await reader.jump(watch) == []


async def test_records_removed_while_the_hub_lags_end_the_runs_that_wait(
    rig: Any, lab: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = rig.run(expected=100)
    inside, loop = asyncio.Event(), asyncio.get_running_loop()

    def slow() -> None:
        if not inside.is_set():
            loop.call_soon_threadsafe(inside.set)
            time.sleep(1.5)

    monkeypatch.setattr(run, "sync", slow)
    waiting = asyncio.create_task(wait_for_end(rig.hub, run, LONG))
    await rig.send(lab.CALLBACK, lab.callback(run.batch_id), partition=0)
    await asyncio.wait_for(inside.wait(), 60)
    await asyncio.sleep(0.7)  # what was fetched ahead is fetched; the next fetch begins behind it
    for _ in range(4):
        await rig.send(lab.FAILED, lab.failed("somebody else's"), partition=0)
    async with admin_of(rig.broker) as admin:
        await admin.delete_records({TopicPartition(rig.topic(lab.FAILED), 0): RecordsToDelete(4)})
    try:
        with pytest.raises(CaptureError, match="removed offsets"):
            await asyncio.wait_for(waiting, 15)
    except TimeoutError:  # the four had been fetched in time after all: then nothing may be missing
        assert rig.hub.foreign_events == 4


async def test_records_removed_after_they_were_read_harm_nobody(rig: Any, lab: ModuleType) -> None:
    run = rig.run(expected=4)
    for _ in range(3):
        await rig.send(lab.CALLBACK, lab.callback(run.batch_id), partition=0)
    await rig.hub.drain()
    async with admin_of(rig.broker) as admin:
        await admin.delete_records({TopicPartition(rig.topic(lab.CALLBACK), 0): RecordsToDelete(3)})
    await rig.send(lab.CALLBACK, lab.callback(run.batch_id), partition=0)
    await rig.hub.drain()
    assert run.lost is None
    assert run.account.comparisons == 4


async def test_gaps_that_compaction_left_are_passed(generous: Any) -> None:
    """Two hundred values of two keys: the cleaner leaves the last ones, at offsets with gaps between."""
    topic = "compacted"
    settings = {
        **{"cleanup.policy": "compact", "segment.ms": "50", "min.cleanable.dirty.ratio": "0.0"},
        **{"max.compaction.lag.ms": "50", "min.compaction.lag.ms": "0"},
    }
    async with admin_of(generous) as admin:
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=settings)])
    client = confluent_kafka.Producer({"bootstrap.servers": generous.connection.bootstrap_servers})
    survivors: list[Any] = []
    async with asyncio.timeout(60):
        while len(survivors) == 0 or survivors[-1].offset + 1 == len(survivors):
            for number in range(40):
                client.produce(topic, str(number), key=f"k{number % 2}")
            assert await asyncio.to_thread(client.flush, 60) == 0
            await asyncio.sleep(0.3)  # a segment must be old before it is closed and cleaned
            async with reader_of(generous, topic) as (reader, watch):
                (end,) = (await watch.ends(reader.positions) or {}).values()
                survivors = await read_to(reader, end)
                assert await reader.jump(watch) == []
    assert len(survivors) < end
    assert [record.offset for record in survivors] == sorted({record.offset for record in survivors})


@pytest.mark.parametrize("told", [True, False], ids=["limit known", "limit unknown"])
async def test_a_record_up_to_the_limit_does_not_stall_what_is_behind_it(
    generous: Any, lab: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    """20 MB where a fetch asks for 64 KB: the broker hands out the first record whatever its size."""
    if not told:
        monkeypatch.setattr("pytest_eng5.capture.topics._LIMIT_SETTING", "no.such.setting")
        monkeypatch.setattr(source, "_PARTITION_BYTES", 1 << 16)
        monkeypatch.setattr(source, "_FETCH_BYTES", 1 << 16)
    async with lab.rig_on(generous, tmp_path) as rig:
        run = rig.run(expected=6)
        small = lab.callback(run.batch_id)
        large = lab.callback(run.batch_id, metadata={"prompt": ""})
        large["data"]["request_metadata"]["prompt"] = "x" * (lab.LARGE - len(lab.wire(large)) - 200)
        for number in range(2):
            await rig.send(lab.CALLBACK, small, partition=number)
            await rig.send(lab.CALLBACK, large, partition=number)
            await rig.send(lab.CALLBACK, lab.callback(run.batch_id), partition=number)
        await asyncio.wait_for(rig.hub.drain(), 60)
        sizes = sorted(len(record.value or b"") for record, _ in rig.lines(run, Stream.COMPARISONS))
        assert len(sizes) == 6
        assert sizes[-2:] == [len(lab.wire(large))] * 2


async def test_no_old_record_is_fetched(broker: Any, lab: ModuleType, tmp_path: Path) -> None:
    """Counted on the wire: what comes from the broker does not grow with what stands on the topics."""
    proxy = lab.KafkaProxy(lab.port_of(broker))
    try:
        async with lab.rig_on(broker, tmp_path, started=False, through=proxy.address) as rig:
            old = lab.wire(lab.callback("of an earlier session", metadata={"prompt": "x" * 1000}))
            for number in range(4000):
                await rig.producer.send(rig.topic(lab.CALLBACK), old, partition=number % 3)
            await rig.producer.flush()
            run = rig.run()
            await rig.hub.start()
            await rig.send(lab.CALLBACK, lab.callback(run.batch_id))
            await rig.hub.drain()
            await rig.hub.stop()
            assert run.account.comparisons == 1
            assert rig.hub.foreign_events == 0
            assert 1000 < proxy.bytes_to_clients < 100_000
    finally:
        proxy.close()


async def test_a_damaged_record_ends_the_capture_and_names_its_place(
    broker: Any, lab: ModuleType, tmp_path: Path
) -> None:
    """One bit is turned over on the way: nothing of what follows may be taken for the truth, nor skipped."""
    proxy = lab.KafkaProxy(lab.port_of(broker))
    try:
        async with lab.rig_on(broker, tmp_path, through=proxy.address) as rig:
            run = rig.run(expected=2)
            kept = await rig.send(lab.CALLBACK, lab.callback(run.batch_id), partition=2)
            await rig.hub.drain()
            proxy.on_response = lambda _, frame: frame.replace(b"Clearer control", b"Clearer contrXl")
            await rig.send(lab.CALLBACK, lab.callback(run.batch_id), partition=2)
            with pytest.raises(CaptureError, match="CorruptRecord") as caught:
                await asyncio.wait_for(wait_for_end(rig.hub, run, LONG), 60)
            assert f"next to be read: {rig.topic(lab.CALLBACK)}[2]@1" in caught.value.what
            assert rig.positions(run, Stream.COMPARISONS) == [kept]
    finally:
        proxy.close()
