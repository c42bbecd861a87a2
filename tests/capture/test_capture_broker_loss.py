"""The broker goes away while runs are waiting: everybody learns it within a bounded time."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from pytest_eng5.brokers import BrokerOptions, EmbeddedBroker
from pytest_eng5.capture import CaptureError, Deadlines, PublishError, RequestPublisher, wait_for_end
from pytest_eng5.evidence import Stream

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]
LONG = Deadlines(idle=300, total=300)


@pytest.fixture
def doomed(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    """A broker of one's own, to be killed."""
    folder = tmp_path / "doomed"
    folder.mkdir()
    options = BrokerOptions(
        kind="embedded", work_dir=folder, log_path=folder / "kafka.log", watch_pid=os.getpid()
    )
    broker = EmbeddedBroker(options)
    broker.start()
    yield broker
    broker.stop()


def java_of(broker: EmbeddedBroker) -> int:
    """Process id of the broker itself: the one that listens on its port."""
    import psutil

    port = int(broker.connection.bootstrap_servers.rpartition(":")[2])
    family = psutil.Process().children(recursive=True)
    for process in family:
        if any(c.status == "LISTEN" and c.laddr.port == port for c in process.net_connections("tcp")):
            return int(process.pid)
    raise AssertionError("nobody listens on the broker's port")


async def test_a_killed_broker_is_noticed_within_35_seconds(
    doomed: EmbeddedBroker, lab: ModuleType, tmp_path: Path
) -> None:
    async with lab.rig_on(doomed, tmp_path) as rig:
        run = rig.run(expected=10)
        kept = await rig.send(lab.CALLBACK, lab.callback(run.batch_id))
        await rig.hub.drain()
        waiting = asyncio.create_task(wait_for_end(rig.hub, run, LONG))
        os.kill(java_of(doomed), signal.SIGKILL)
        began = time.monotonic()
        with pytest.raises(CaptureError) as caught:
            await asyncio.wait_for(waiting, 60)
        assert time.monotonic() - began < 36
        assert doomed.connection.bootstrap_servers in str(caught.value)
        assert "kept" in str(caught.value.fix)
        with pytest.raises(CaptureError):
            await asyncio.wait_for(rig.hub.drain(), 10)
        began = time.monotonic()
        await rig.hub.stop()
        assert time.monotonic() - began < 10
        assert rig.positions(run, Stream.COMPARISONS) == [kept]


async def test_a_drain_begun_after_the_loss_fails_as_a_capture_error(
    doomed: EmbeddedBroker, lab: ModuleType, tmp_path: Path
) -> None:
    async with lab.rig_on(doomed, tmp_path) as rig:
        os.kill(java_of(doomed), signal.SIGKILL)
        began = time.monotonic()
        with pytest.raises(CaptureError) as caught:
            await asyncio.wait_for(rig.hub.drain(), 60)
        assert time.monotonic() - began < 36
        assert caught.value.fix


async def test_a_short_outage_is_survived(doomed: EmbeddedBroker, lab: ModuleType, tmp_path: Path) -> None:
    """A broker that is frozen for some seconds costs patience, not evidence."""
    async with lab.rig_on(doomed, tmp_path) as rig:
        run = rig.run(expected=2)
        java = java_of(doomed)
        await rig.send(lab.CALLBACK, lab.callback(run.batch_id), partition=0)
        await rig.hub.drain()
        os.kill(java, signal.SIGSTOP)
        await asyncio.sleep(8)
        os.kill(java, signal.SIGCONT)
        await rig.send(lab.CALLBACK, lab.callback(run.batch_id), partition=1)
        await asyncio.wait_for(rig.hub.drain(), 30)
        assert run.account.comparisons == 2
        assert rig.hub.failure is None


async def test_publishing_to_a_dead_broker_fails_in_bounded_time(
    doomed: EmbeddedBroker, lab: ModuleType, tmp_path: Path
) -> None:
    publisher = RequestPublisher(doomed.connection.client_arguments(), "x.")
    await publisher.start()
    os.kill(java_of(doomed), signal.SIGKILL)
    began = time.monotonic()
    with pytest.raises(PublishError) as caught:
        await asyncio.wait_for(publisher.publish(b"{}", "batch"), 60)
    assert time.monotonic() - began < 40
    assert "x.huleedu.els.cj_assessment.requested.v1" in str(caught.value.where)
    assert caught.value.fix
    await asyncio.wait_for(publisher.stop(), 30)
