"""Trouble while the broker runs, or several processes at once: told clearly, and nothing is left behind."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.brokers import BrokerConnection, DiskFull, EmbeddedBroker, attach, ensure_topics, probe
from pytest_eng5.processes import SupervisedProcess

FRAMES = [
    "\tat kafka.network.Acceptor.openServerSocket(SocketServer.scala:615)",
    "\tat java.base/sun.nio.ch.Net.bind0(Native Method)",
    "\tat java.base/java.util.concurrent.CompletableFuture.uniWhenComplete(Unknown Source)",
    "\tat kafka.server.KafkaRaftServer.$anonfun$startup$1$adapted(KafkaRaftServer.scala:94)",
    "\tat org.example.Some.<init>(Some.java:1)",
    "\t... 18 more",
    "Temporary AOTConfiguration recorded: /cache/startup/x.aot.1.new.config",
    "Launching child process /java/bin/java to assemble AOT cache /cache/x.aot.1.new using configuration",
    "Picked up JAVA_TOOL_OPTIONS: -Djava.class.path=a.jar:b.jar",
    "AOTCache creation is complete: /cache/startup/x.aot.1.new 56823808 bytes",
]
MESSAGES = [
    "2026-01-01T09:00:00.000Z [main] ERROR kafka.Kafka$ - Exiting Kafka due to fatal exception",
    "org.apache.kafka.common.KafkaException: Socket server failed to bind: Address already in use.",
    "Caused by: java.net.BindException: Address already in use",
    "java.lang.OutOfMemoryError: Java heap space",
    "Error: Could not create the Java Virtual Machine.",
]


def dead_broker(tmp_path: Path, lines: list[str]) -> EmbeddedBroker:
    """A broker whose process has ended and whose log holds these lines."""
    log = tmp_path / "kafka.log"
    log.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    process = SupervisedProcess.start(
        ["sh", "-c", "exit 1"], watch_pid=os.getpid(), log_path=tmp_path / "other.log"
    )
    process.wait(60)
    broker = EmbeddedBroker.attach(
        {
            "bootstrap_servers": "127.0.0.1:1",
            "training": None,
            "version": "1",
            "home": str(tmp_path / "home"),
            "process": {**process.record(), "log_path": str(log)},
        }
    )
    assert isinstance(broker, EmbeddedBroker)
    return broker


class TestWhatIsShownOfTheLog:
    @given(data=st.data())
    def test_messages_in_order_and_no_frames(self, tmp_path_factory, data):
        lines = data.draw(st.lists(st.sampled_from(FRAMES + MESSAGES), max_size=30))
        broker = EmbeddedBroker.attach(
            {
                "bootstrap_servers": "127.0.0.1:1",
                "training": None,
                "version": "1",
                "home": "/nowhere",
                "process": {
                    "pid": 2**22 + 5,
                    "identity": "1",
                    "log_path": str(tmp_path_factory.mktemp("log") / "kafka.log"),
                    "cleanup_dir": None,
                },
            }
        )
        assert broker.log_path is not None
        broker.log_path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        expected = [line for line in lines if line in MESSAGES][-20:]
        shown = broker._log_end().splitlines()
        assert shown == ([f"  | {line}" for line in expected] or ["  | (empty)"])

    def test_the_cause_is_seen_under_a_long_trace(self, tmp_path):
        failure = dead_broker(tmp_path, [MESSAGES[0], MESSAGES[2], *FRAMES * 30]).failure()
        assert failure is not None
        assert "Caused by: java.net.BindException: Address already in use" in failure
        assert "\tat " not in failure

    def test_a_log_that_is_gone(self, tmp_path):
        broker = dead_broker(tmp_path, [])
        assert broker.log_path is not None
        broker.log_path.unlink()
        failure = broker.failure()
        assert failure is not None
        assert failure.endswith("| (empty)")


@pytest.mark.thorough
class TestFullDisk:
    @pytest.fixture
    def small_disk(self, tmp_path) -> Iterator[Path]:
        """A disk of 130 MB in memory, where this user may mount one."""
        folder = tmp_path / "small"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=130m", "tmpfs", str(folder)]
        try:
            mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
        except OSError:
            mounted = False
        if not mounted:
            pytest.skip("a small disk cannot be mounted here")
        yield folder
        subprocess.run(["umount", "-l", str(folder)], check=True)

    def test_too_small_a_disk_is_refused_at_the_start(self, own_broker, small_disk):
        (small_disk / "ballast").write_bytes(bytes(100_000_000))
        with pytest.raises(DiskFull, match=r"only 3. MB are free") as caught:
            own_broker(work_dir=small_disk).start()
        assert caught.value.where == str(small_disk)
        assert [path.name for path in small_disk.iterdir()] == ["ballast"]

    @pytest.mark.slow
    def test_a_disk_that_fills_up_is_told_as_the_cause(self, own_broker, small_disk, tmp_path, witness):
        broker = own_broker(work_dir=small_disk, log_path=tmp_path / "kafka.log")
        connection = broker.start()

        async def fill() -> None:
            await ensure_topics(connection, ["big"], partitions=1, may_create=True)
            async with AIOKafkaProducer(**connection.client_arguments(request_timeout_ms=2000)) as producer:
                for _ in range(300):
                    await producer.send_and_wait("big", os.urandom(900_000))

        with pytest.raises((KafkaError, TimeoutError)):
            asyncio.run(asyncio.wait_for(fill(), 60))
        assert witness.eventually(lambda: broker.failure() is not None, 20)
        assert "No space left on device" in str(broker.failure())
        broker.stop()
        assert list(small_disk.iterdir()) == []


@pytest.mark.thorough
class TestManyProcesses:
    def test_a_worker_starts_it_another_uses_it_the_controller_ends_it(self, tmp_path, script, witness):
        """As under xdist: the worker that started the broker is gone long before the session is."""
        start = """
            import json, sys
            from pathlib import Path
            from pytest_eng5.brokers import BrokerOptions, create_broker
            options = BrokerOptions(kind="embedded", work_dir=Path(sys.argv[1]), watch_pid=int(sys.argv[2]))
            broker = create_broker(options)
            broker.start()
            print(json.dumps(broker.record()))
        """
        use = """
            import asyncio, json, sys
            from pytest_eng5.brokers import attach, ensure_topics
            broker = attach(json.loads(sys.argv[1]))
            made = asyncio.run(ensure_topics(broker.connection, ["from.worker"], may_create=True))
            print(json.dumps(made))
        """
        first = script(start, str(tmp_path / "work"), str(os.getpid()))
        assert first.process.wait(60) == 0
        second = script(use, json.dumps(first.first))
        assert second.first == {"from.worker": 3}
        controller = attach(first.first)
        assert controller.failure() is None
        assert isinstance(controller, EmbeddedBroker)
        controller.stop()
        assert witness.gone(controller.home)

    def test_several_may_stop_it_at_once(self, own_broker, witness):
        broker = own_broker()
        broker.start()
        record = json.loads(json.dumps(broker.record()))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: attach(record).stop(), range(4)))
        assert witness.gone(broker.home)
        broker.stop()

    @pytest.mark.slow
    def test_sessions_killed_at_any_moment_leave_nothing(self, prepared, tmp_path, witness):
        """Signal 9 at random moments of the start, from the first import to the first record."""
        code = """
            import sys
            from pathlib import Path
            from pytest_eng5.brokers import BrokerOptions, create_broker
            work = Path(sys.argv[1])
            options = BrokerOptions(kind="embedded", work_dir=work / "work", log_path=work / "log")
            create_broker(options).start()
            sys.stdin.read()
        """
        moments = random.Random(5)
        for number in range(8):
            folder = tmp_path / str(number)
            with subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(code), str(folder)],
                stdin=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            ) as session:
                time.sleep(moments.uniform(0.05, 2.0))
                session.send_signal(signal.SIGKILL)
        assert witness.eventually(lambda: not witness.supervised(tmp_path), 15)
        left = [path for path in tmp_path.glob("*/work/*") if any(path.rglob("*.log"))]
        assert left == []

    def test_clients_of_one_session_do_not_see_those_of_another(self, connection, own_broker):
        other = own_broker().start()

        async def names(each: BrokerConnection) -> int:
            await ensure_topics(each, ["only.here"], may_create=each is other)
            return await probe(each)

        assert asyncio.run(names(other)) == 1
        with pytest.raises(Exception, match=r"only\.here"):
            asyncio.run(names(connection))
