"""What other producers write: every compression codec, transactions, large records."""

from __future__ import annotations

import asyncio
from types import ModuleType
from typing import Any

import confluent_kafka
import pytest

from pytest_eng5.evidence import Stream

pytestmark = pytest.mark.asyncio


def producer(rig: Any, **options: Any) -> confluent_kafka.Producer:
    return confluent_kafka.Producer(
        {"bootstrap.servers": rig.bootstrap, "linger.ms": 20, "log_level": 0, **options}
    )


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_compressed_records_are_captured_byte_for_byte(rig: Any, lab: ModuleType, codec: str) -> None:
    run = rig.run(expected=60)
    values = [lab.wire(lab.callback(run.batch_id, justification=f"nr {n} å")) for n in range(60)]
    client = producer(rig, **{"compression.type": codec})
    for number, value in enumerate(values):
        client.produce(rig.topic(lab.CALLBACK), value, partition=number % 3, headers={"n": str(number)})
    assert await asyncio.to_thread(client.flush, 60) == 0
    await rig.hub.drain()
    lines = rig.lines(run, Stream.COMPARISONS)
    assert {record.headers[0][1]: record.value for record, _ in lines} == {
        str(number).encode(): value for number, value in enumerate(values)
    }
    assert run.account.comparisons == 60


async def test_a_commit_marker_at_the_end_does_not_hold_the_drain(rig: Any, lab: ModuleType) -> None:
    """The end offset of a transaction's partition counts a control record that no consumer is given."""
    run = rig.run(expected=9)
    client = producer(rig, **{"transactional.id": rig.prefix})
    await asyncio.to_thread(client.init_transactions, 20)
    client.begin_transaction()
    for number in range(9):
        client.produce(rig.topic(lab.CALLBACK), lab.wire(lab.callback(run.batch_id)), partition=number % 3)
    await asyncio.to_thread(client.commit_transaction, 20)
    async with asyncio.timeout(60):  # the broker writes the markers, one per partition, after it has answered
        while sum((await rig.hub._ends()).values()) < 9 + 3:  # noqa: ASYNC110 - nothing tells us when
            await asyncio.sleep(0.05)
    await asyncio.wait_for(rig.hub.drain(), 60)
    assert run.account.comparisons == 9
    assert sum(rig.hub._positions.values()) == 9 + 3


async def test_several_transactions_with_plain_records_between(rig: Any, lab: ModuleType) -> None:
    run = rig.run(expected=10)
    client = producer(rig, **{"transactional.id": rig.prefix})
    await asyncio.to_thread(client.init_transactions, 20)
    for _ in range(5):
        client.begin_transaction()
        client.produce(rig.topic(lab.CALLBACK), lab.wire(lab.callback(run.batch_id)), partition=0)
        await asyncio.to_thread(client.commit_transaction, 20)
        await asyncio.wait_for(rig.hub.drain(), 60)
        await rig.send(lab.CALLBACK, lab.callback(run.batch_id), partition=0)
    await asyncio.wait_for(rig.hub.drain(), 60)
    assert run.account.comparisons == 10


async def test_an_aborted_transaction_does_not_hold_the_drain(rig: Any, lab: ModuleType) -> None:
    run = rig.run(expected=1)
    client = producer(rig, **{"transactional.id": rig.prefix})
    await asyncio.to_thread(client.init_transactions, 20)
    client.begin_transaction()
    client.produce(rig.topic(lab.COMPLETED), lab.wire(lab.completed(run.batch_id)), partition=1)
    await asyncio.to_thread(client.flush, 60)
    await asyncio.to_thread(client.abort_transaction, 20)
    await rig.send(lab.CALLBACK, lab.callback(run.batch_id))
    await asyncio.wait_for(rig.hub.drain(), 60)
    assert run.account.comparisons == 1


async def test_a_record_near_the_broker_s_limit_is_captured_whole(rig: Any, lab: ModuleType) -> None:
    run = rig.run()
    value = lab.wire(lab.callback(run.batch_id, metadata={"prompt": "ö" * 80_000}))
    assert len(value) > 400_000
    await rig.send(lab.CALLBACK, value)
    await rig.hub.drain()
    ((record, _),) = rig.lines(run, Stream.COMPARISONS)
    assert record.value == value


async def test_three_hundred_runs_are_told_apart(rig: Any, lab: ModuleType) -> None:
    runs = [rig.run(f"run{number}") for number in range(300)]
    for run in runs:
        await rig.producer.send(rig.topic(lab.COMPLETED), lab.wire(lab.completed(run.batch_id)))
    await rig.producer.flush()
    await rig.hub.drain()
    assert sum(run.account.completed for run in runs) == 300
    assert rig.stray() == []
