"""Starts, ends and deaths of the embedded broker, watched with ``ps``: nothing is ever left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from pytest_eng5.brokers import (
    BrokerError,
    BrokerNotReady,
    BrokerOptions,
    BrokerStopped,
    DiskFull,
    EmbeddedBroker,
    KafkaHomeInvalid,
    NoJava,
    PortInUse,
    attach,
    create_broker,
    probe,
)
from pytest_eng5.brokers import embedded as embedded_module
from pytest_eng5.brokers import server as server_module
from pytest_eng5.brokers.aot import StartupCache
from pytest_eng5.brokers.jars import fetched_jars
from pytest_eng5.brokers.ports import reserve_ports

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG is Linux only")

HOLDER = """
    import json, os, sys, time
    from pathlib import Path
    from pytest_eng5.brokers import BrokerOptions, create_broker
    work = Path(sys.argv[1])
    broker = create_broker(BrokerOptions(kind="embedded", work_dir=work, log_path=work / "kafka.log"))
    broker.start()
    print(json.dumps(broker.record()), flush=True)
    time.sleep(600)
"""


class TestStop:
    def test_leaves_no_process_and_no_data(self, own_broker, tmp_path, witness):
        broker = own_broker()
        broker.start()
        home = broker.home
        assert len(witness.supervised(home)) == 2
        since = time.monotonic()
        broker.stop()
        assert time.monotonic() - since < 60
        assert witness.gone(home)
        assert list((tmp_path / "work").iterdir()) == []

    @pytest.mark.thorough
    def test_keeps_the_log_where_one_was_asked_for(self, own_broker, tmp_path):
        broker = own_broker(log_path=tmp_path / "session" / "kafka.log")
        broker.start()
        broker.stop()
        assert "status 137 (SIGUSR2)" in (tmp_path / "session" / "kafka.log").read_text()

    @pytest.mark.thorough
    def test_is_no_failure_and_may_be_repeated(self, own_broker):
        broker = own_broker()
        broker.start()
        broker.stop()
        broker.stop()
        assert broker.failure() is None

    def test_before_a_start_is_harmless(self, own_broker):
        broker = own_broker()
        broker.stop()
        assert broker.failure() == "the embedded broker has not been started"
        with pytest.raises(BrokerError, match="has not been started"):
            _ = broker.connection
        with pytest.raises(BrokerError, match="has not been started"):
            broker.record()
        with pytest.raises(BrokerError, match="has not been started"):
            broker.on_exit(lambda: None)

    @pytest.mark.thorough
    def test_from_another_process(self, own_broker, script, witness):
        broker = own_broker()
        broker.start()
        code = """
            import json, sys
            from pytest_eng5.brokers import attach
            attach(json.loads(sys.argv[1])).stop()
            print("true")
        """
        script(code, json.dumps(broker.record()))
        assert witness.gone(broker.home)
        failure = broker.failure()
        assert failure is not None
        assert "Kafka ended with status 137" in failure

    @pytest.mark.thorough
    def test_and_start_again_gives_an_empty_broker(self, own_broker):
        broker = own_broker()
        first = broker.start()
        broker.stop()
        second = broker.start()
        assert asyncio.run(probe(second)) == 1
        assert (second.bootstrap_servers != first.bootstrap_servers) or broker.failure() is None


class TestDeath:
    """Somebody is killed with signal 9."""

    def start(self, script, tmp_path):
        holder = script(HOLDER, str(tmp_path / "work"))
        return holder, attach(holder.first)

    def test_of_the_session_ends_kafka_and_removes_its_data(self, script, tmp_path, witness):
        holder, broker = self.start(script, tmp_path)
        assert len(witness.kafkas(broker.home)) == 1
        since = time.monotonic()
        holder.kill()
        assert witness.eventually(lambda: witness.gone(broker.home))
        assert time.monotonic() - since < 30
        assert "is gone" in broker.log_path.read_text().splitlines()[-1]

    def test_of_kafka_is_told_with_the_end_of_its_log(self, script, tmp_path, witness):
        _, broker = self.start(script, tmp_path)
        told = threading.Event()
        broker.on_exit(told.set)
        assert broker.failure() is None
        for pid in witness.kafkas(broker.home):
            os.kill(pid, signal.SIGKILL)
        assert told.wait(60)
        failure = broker.failure()
        assert failure is not None
        assert "Kafka ended with status 137" in failure
        assert "controller activation" in failure
        assert str(broker.log_path) in failure
        assert witness.eventually(lambda: witness.gone(broker.home))

    @linux_only
    def test_of_the_supervisor_leaves_no_kafka(self, script, tmp_path, witness):
        _, broker = self.start(script, tmp_path)
        kafka = witness.kafkas(broker.home)
        os.kill(broker.record()["process"]["pid"], signal.SIGKILL)
        assert witness.eventually(lambda: not witness.supervised(broker.home), 5)
        assert len(kafka) == 1
        assert broker.failure() is not None
        broker.stop()
        assert witness.gone(broker.home)

    def test_ctrl_c_at_the_terminal_does_not_reach_kafka(self, script, tmp_path, witness):
        """Python ends by the interrupt, and only then Kafka: it is there for the clean-up code."""
        holder, broker = self.start(script, tmp_path)
        for pid in witness.kafkas(broker.home):
            assert os.getpgid(pid) != holder.process.pid
            assert os.getsid(pid) != os.getsid(holder.process.pid)
        os.killpg(holder.process.pid, signal.SIGINT)
        holder.process.wait(60)
        assert witness.eventually(lambda: witness.gone(broker.home))

    def test_while_starting_leaves_nothing(self, script, tmp_path, witness):
        code = HOLDER.replace("broker.start()", 'print("1", flush=True); broker.start()')
        holder = script(code, str(tmp_path / "work"))
        assert witness.eventually(lambda: witness.supervised(tmp_path / "work"))
        holder.kill()
        assert witness.eventually(lambda: not witness.supervised(tmp_path / "work"))
        assert [path.name for path in (tmp_path / "work").iterdir()] == ["kafka.log"]

    def test_of_an_xdist_worker_does_not_matter_while_the_controller_lives(self, script, tmp_path, witness):
        code = HOLDER.replace('kind="embedded",', 'kind="embedded", watch_pid=int(sys.argv[2]),')
        worker = script(code, str(tmp_path / "work"), str(os.getpid()))
        broker = attach(worker.first)
        worker.kill()
        assert not witness.eventually(lambda: broker.failure() is not None, 1)
        assert asyncio.run(probe(broker.connection)) == 1
        broker.stop()
        assert witness.gone(broker.home)


class TestPorts:
    def test_two_brokers_at_once_share_nothing(self, own_broker):
        one, two = own_broker(), own_broker()
        with contextlib.ExitStack() as stack:
            threads = [threading.Thread(target=each.start) for each in (one, two)]
            for thread in threads:
                thread.start()
                stack.callback(thread.join)
        assert one.connection.bootstrap_servers != two.connection.bootstrap_servers
        assert one.home != two.home
        one.stop()
        assert asyncio.run(probe(two.connection)) == 1

    @pytest.mark.thorough
    def test_the_users_port_is_used(self, own_broker):
        with reserve_ports(1) as (port,):
            pass
        assert own_broker(port=port).start().bootstrap_servers == f"127.0.0.1:{port}"

    def test_the_users_port_in_use_is_an_error_at_once(self, own_broker):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            since = time.monotonic()
            with pytest.raises(PortInUse, match=f"127.0.0.1:{port}: the port is in use") as caught:
                own_broker(port=port).start()
        assert time.monotonic() - since < 30
        assert "choose another port" in str(caught.value)

    @pytest.fixture
    def taken(self) -> Iterator[socket.socket]:
        with socket.create_server(("127.0.0.1", 0)) as server:
            yield server

    @pytest.mark.parametrize("which", [0, pytest.param(1, marks=pytest.mark.thorough)])
    def test_a_port_of_ours_taken_in_the_last_moment_is_replaced(self, own_broker, monkeypatch, taken, which):
        """Somebody grabs a chosen port, for clients or for the controller, before Kafka binds it."""
        attempts: list[int] = []

        @contextlib.contextmanager
        def unlucky_once(count: int) -> Iterator[list[int]]:
            with reserve_ports(count) as ports:
                if not attempts:
                    ports[which] = taken.getsockname()[1]
                attempts.append(count)
                yield ports

        monkeypatch.setattr(embedded_module, "reserve_ports", unlucky_once)
        broker = own_broker()
        connection = broker.start()
        assert len(attempts) == 2
        assert asyncio.run(probe(connection)) == 1
        broker.stop()
        assert list(broker.home.parent.iterdir()) == []

    @pytest.mark.thorough
    def test_no_luck_at_all_is_an_error(self, own_broker, monkeypatch, taken, tmp_path, witness):
        @contextlib.contextmanager
        def unlucky(count: int) -> Iterator[list[int]]:
            with reserve_ports(count) as ports:
                yield [taken.getsockname()[1], *ports[1:]]

        monkeypatch.setattr(embedded_module, "reserve_ports", unlucky)
        monkeypatch.setattr(embedded_module, "_ATTEMPTS", 2)
        broker = own_broker()
        with pytest.raises(PortInUse, match="another process took the port"):
            broker.start()
        assert list((tmp_path / "work").iterdir()) == []
        assert not witness.supervised(tmp_path)


class TestTroubleAtStart:
    def test_kafka_that_dies_shows_the_end_of_its_log(self, own_broker, monkeypatch, tmp_path, witness):
        real = embedded_module.server_properties
        monkeypatch.setattr(
            embedded_module,
            "server_properties",
            lambda *arguments: {**real(*arguments), "num.network.threads": "-1"},
        )
        since = time.monotonic()
        with pytest.raises(BrokerStopped) as caught:
            own_broker(log_path=tmp_path / "kafka.log").start()
        assert time.monotonic() - since < 60
        text = str(caught.value)
        assert "Kafka ended while starting; its log ends:" in text
        assert "num.network.threads" in text
        assert str(tmp_path / "kafka.log") in text
        assert "--eng5-kafka-home DIR" in text
        assert "--eng5-broker external" in text
        assert not witness.supervised(tmp_path)
        assert list((tmp_path / "work").iterdir()) == []

    def test_a_runtime_that_refuses_its_flags(self, own_broker, monkeypatch):
        monkeypatch.setattr(server_module, "JVM_FLAGS", ("-XX:+NoSuchFlag",))
        with pytest.raises(BrokerStopped, match="NoSuchFlag"):
            own_broker().start()

    def test_full_disk_while_starting(self, own_broker, monkeypatch, tmp_path):
        command = ["sh", "-c", "echo java.io.IOException: No space left on device >&2; exit 1"]
        monkeypatch.setattr(embedded_module, "java_command", lambda *_: command)
        with pytest.raises(DiskFull, match="No space left on device"):
            own_broker().start()

    def test_too_little_space_for_the_data(self, own_broker, monkeypatch, tmp_path):
        usage = shutil._ntuple_diskusage(10**9, 10**9, 10**6)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
        with pytest.raises(DiskFull, match="the data of the embedded broker needs"):
            own_broker().start()

    def test_a_kafka_that_never_opens_its_port(self, own_broker, monkeypatch, tmp_path, witness):
        monkeypatch.setattr(embedded_module, "java_command", lambda *_: ["sleep", "600"])
        broker = own_broker(start_timeout=0.5)
        with pytest.raises(BrokerNotReady, match="opened no port in time"):
            broker.start()
        assert witness.gone(broker.home)

    def test_no_java(self, own_broker, tmp_path):
        with pytest.raises(NoJava):
            own_broker(java_home=tmp_path).start()

    def test_no_kafka_where_one_was_promised(self, own_broker, tmp_path):
        with pytest.raises(KafkaHomeInvalid):
            own_broker(kafka_home=tmp_path).start()

    def test_an_interrupt_while_waiting_leaves_nothing(self, own_broker, monkeypatch, tmp_path, witness):
        async def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(embedded_module, "round_trip", interrupt)
        broker = own_broker()
        with pytest.raises(KeyboardInterrupt):
            broker.start()
        assert witness.gone(broker.home)
        with pytest.raises(BrokerError):
            _ = broker.connection


class TestSurroundings:
    @pytest.mark.thorough
    def test_a_folder_with_every_kind_of_character(self, own_broker, tmp_path, monkeypatch):
        monkeypatch.setenv("LC_ALL", "C")
        broker = own_broker(work_dir=tmp_path / "Lärare, 例 = #1 \\n 😀")
        assert asyncio.run(probe(broker.start())) == 1

    @pytest.mark.thorough
    def test_options_for_java_in_the_environment_do_no_harm(self, own_broker, tmp_path, monkeypatch):
        monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-XX:+NoSuchFlag")
        monkeypatch.setenv("_JAVA_OPTIONS", "-Xmx1k")
        broker = own_broker()
        assert asyncio.run(probe(broker.start())) == 1

    @pytest.mark.thorough
    def test_start_inside_a_running_loop(self, own_broker):
        async def outer() -> int:
            return await probe(own_broker().start())

        assert asyncio.run(outer()) == 1

    def test_an_unpacked_distribution_is_used_in_place(
        self, own_broker, tmp_path, empty_cache, monkeypatch, witness
    ):
        monkeypatch.setenv("ENG5_MAVEN_REPOSITORY", "http://127.0.0.1:1")
        monkeypatch.setattr(StartupCache, "training", lambda _: None)
        monkeypatch.delenv("ENG5_CACHE_DIR")
        jars = fetched_jars(print)
        monkeypatch.setenv("ENG5_CACHE_DIR", str(empty_cache))
        libs = tmp_path / "kafka_2.13-4.3.0" / "libs"
        libs.mkdir(parents=True)
        for jar in jars.class_path:
            (libs / jar.name).symlink_to(jar)
        broker = own_broker(kafka_home=libs.parent)
        assert asyncio.run(probe(broker.start())) == 1
        assert broker.describe().startswith("embedded Apache Kafka 4.3.0 at ")
        assert all(str(libs) in args for args in witness.supervised(broker.home).values())
        assert not list(empty_cache.glob("kafka-*"))

    def test_what_a_dead_machine_left_is_swept_at_the_next_start(self, own_broker, tmp_path):
        old = tmp_path / "work" / "eng5-kafka-old"
        (old / "data").mkdir(parents=True)
        log = old.with_name("eng5-kafka-older.log")
        log.touch()
        for path in (old, log):
            os.utime(path, (1, 1))
        own_broker().start()
        assert not old.exists()
        assert not log.exists()

    @pytest.mark.thorough
    def test_a_running_broker_is_not_swept_however_old(self, own_broker):
        first = own_broker()
        first.start()
        os.utime(first.home, (1, 1))
        os.utime(first.log_path, (1, 1))
        own_broker().start()
        assert first.home.exists()
        assert first.log_path.exists()
        assert asyncio.run(probe(first.connection)) == 1

    def test_secrets_of_the_session_are_not_in_the_record(self, own_broker):
        broker = own_broker(client_options={"sasl_plain_password": "geheim"})
        broker.start()
        assert "geheim" not in json.dumps(broker.record())

    @pytest.mark.thorough
    def test_default_log_lies_beside_the_data(self, own_broker):
        broker = own_broker()
        broker.start()
        log = broker.log_path
        assert log == broker.home.with_name(broker.home.name + ".log")
        assert re.search("WARN|INFO", log.read_text())
        broker.stop()
        assert not log.exists()


@pytest.mark.thorough
def test_default_options_use_this_process_and_the_systems_folder(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    broker = create_broker(BrokerOptions())
    assert isinstance(broker, EmbeddedBroker)
    try:
        broker.start()
        assert broker.home is not None
        assert broker.home.parent == tmp_path
    finally:
        broker.stop()
