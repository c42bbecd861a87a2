"""Restarts, pauses and kept data of the embedded broker; librdkafka is the witness for the records."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.brokers import (
    BrokerError,
    BrokerNotReady,
    BrokerOptions,
    BrokerStopped,
    BrokerUnreachable,
    EmbeddedBroker,
    PortInUse,
    attach,
    probe,
)
from pytest_eng5.brokers import embedded as embedded_module
from pytest_eng5.brokers.freeze import signal_command
from pytest_eng5.brokers.logs import telling_lines
from pytest_eng5.processes import SupervisedProcess

QUICK_CRASH = {"broker.session.timeout.ms": "1500", "broker.heartbeat.interval.ms": "300"}


class Witness:
    """librdkafka on a topic with one partition."""

    def __init__(self, servers: str, topic: str = "kept") -> None:
        self.servers = servers
        self.topic = topic

    def create(self) -> None:
        admin = AdminClient({"bootstrap.servers": self.servers})
        admin.create_topics([NewTopic(self.topic, 1, 1)])[self.topic].result(60)

    def produce(self, values: Iterable[str]) -> None:
        """Every value is acknowledged when this returns."""
        failed: list[object] = []

        def note(error: object, _: object) -> None:
            if error:
                failed.append(error)

        producer = Producer({"bootstrap.servers": self.servers, "acks": "all", "linger.ms": 1})
        for value in values:
            producer.produce(self.topic, value.encode(), on_delivery=note)
        assert producer.flush(60) == 0
        assert failed == []

    def _consumer(self) -> Consumer:
        return Consumer({"bootstrap.servers": self.servers, "group.id": "g", "enable.auto.commit": False})

    def values(self) -> list[str]:
        """All records of the topic, in order."""
        consumer = self._consumer()
        _, end = consumer.get_watermark_offsets(TopicPartition(self.topic, 0), timeout=60)
        consumer.assign([TopicPartition(self.topic, 0, 0)])
        found: list[str] = []
        while len(found) < end:
            found += [(message.value() or b"").decode() for message in consumer.consume(end, 1.0)]
        consumer.close()
        return found

    def commit(self, offset: int) -> None:
        consumer = self._consumer()
        consumer.commit(offsets=[TopicPartition(self.topic, 0, offset)], asynchronous=False)
        consumer.close()

    def committed(self) -> int:
        consumer = self._consumer()
        found = consumer.committed([TopicPartition(self.topic, 0)], timeout=60)[0].offset
        consumer.close()
        return int(found)


NUMBERS = [str(number) for number in range(100)]


class TestRestart:
    def test_keeps_address_records_offsets_and_cluster(self, own_broker, witness):
        broker = own_broker()
        connection = broker.start()
        there = Witness(connection.bootstrap_servers)
        there.create()
        there.produce(NUMBERS)
        there.commit(42)
        cluster = AdminClient({"bootstrap.servers": there.servers}).list_topics(timeout=60).cluster_id
        [before] = witness.kafkas(broker.home)
        assert broker.restart() == connection
        [after] = witness.kafkas(broker.home)
        assert before != after
        assert there.values() == NUMBERS
        assert there.committed() == 42
        assert AdminClient({"bootstrap.servers": there.servers}).list_topics(timeout=60).cluster_id == cluster
        broker.stop()
        assert witness.gone(broker.home)

    @pytest.mark.slow
    @pytest.mark.thorough
    def test_after_a_crash_all_that_was_acknowledged_is_there(self, own_broker, tmp_path):
        broker = own_broker(log_path=tmp_path / "kafka.log", properties=QUICK_CRASH)
        there = Witness(broker.start().bootstrap_servers)
        there.create()
        for turn in range(3):
            there.produce(f"{turn}.{number}" for number in NUMBERS)
            broker.restart(crash=True)
        assert there.values() == [f"{turn}.{number}" for turn in range(3) for number in NUMBERS]
        assert (tmp_path / "kafka.log").read_text().count("status 137 (SIGUSR2)") == 3

    @pytest.mark.thorough
    def test_down_time_is_seen_by_clients_and_not_told_as_a_failure(self, own_broker):
        broker = own_broker()
        connection = broker.start()
        told = threading.Event()
        broker.on_exit(told.set)
        refused: list[str] = []
        failures: list[str | None] = []

        def watch() -> None:
            while not over.is_set():
                failures.append(broker.failure())
                try:
                    asyncio.run(probe(connection, 0.5))
                except BrokerUnreachable as error:
                    refused.append(str(error))

        over = threading.Event()
        watcher = threading.Thread(target=watch)
        watcher.start()
        since = time.monotonic()
        broker.restart(down=1.0)
        assert time.monotonic() - since > 1.0
        over.set()
        watcher.join()
        assert refused
        assert set(failures) == {None}
        assert not told.is_set()

    @pytest.mark.thorough
    def test_the_end_is_told_after_a_restart_too(self, own_broker, witness):
        broker = own_broker()
        broker.start()
        told = threading.Event()
        broker.on_exit(told.set)
        broker.restart()
        for pid in witness.kafkas(broker.home):
            os.kill(pid, signal.SIGKILL)
        assert told.wait(60)
        assert "Kafka ended with status 137" in str(broker.failure())
        with pytest.raises(BrokerStopped, match="status 137"):
            broker.restart()

    @pytest.mark.thorough
    def test_is_refused_where_nothing_runs(self, own_broker):
        broker = own_broker()
        with pytest.raises(BrokerError, match="only a broker that runs"):
            broker.restart()
        broker.start()
        with pytest.raises(BrokerError, match="only by the process that started it"):
            EmbeddedBroker.attach(broker.record()).restart()
        broker.stop()
        with pytest.raises(BrokerError, match="only a broker that runs"):
            broker.restart()

    @pytest.mark.thorough
    def test_that_fails_leaves_nothing(self, own_broker, monkeypatch, witness):
        broker = own_broker()
        broker.start()
        monkeypatch.setattr(embedded_module, "java_command", lambda *_: ["sh", "-c", "echo broken; exit 3"])
        with pytest.raises(BrokerStopped, match="broken"):
            broker.restart()
        assert witness.gone(broker.home)
        with pytest.raises(BrokerError, match="has not been started"):
            _ = broker.connection

    @pytest.mark.thorough
    def test_a_port_lost_meanwhile_is_told(self, own_broker, monkeypatch, witness):
        broker = own_broker()
        connection = broker.start()
        port = int(connection.bootstrap_servers.partition(":")[2])
        real = EmbeddedBroker._end

        def end_and_lose(self: EmbeddedBroker, *arguments: object, **options: object) -> None:
            real(self, *arguments, **options)  # type: ignore[arg-type]
            if not thieves:
                thieves.append(socket.create_server(("127.0.0.1", port)))

        thieves: list[socket.socket] = []
        monkeypatch.setattr(EmbeddedBroker, "_end", end_and_lose)
        with pytest.raises(PortInUse, match=connection.bootstrap_servers):
            broker.restart()
        thieves[0].close()
        assert witness.gone(broker.home)


@pytest.mark.thorough
class TestPause:
    def test_a_paused_broker_accepts_and_says_nothing(self, own_broker):
        broker = own_broker()
        connection = broker.start()
        broker.pause()
        assert broker.failure() is None
        with pytest.raises(BrokerUnreachable, match="accepts connections"):
            asyncio.run(probe(connection, 1.0))
        broker.resume()
        assert asyncio.run(probe(connection)) == 1

    def test_a_paused_broker_can_be_stopped(self, own_broker, witness):
        broker = own_broker()
        broker.start()
        broker.pause()
        since = time.monotonic()
        broker.stop()
        assert time.monotonic() - since < 30
        assert witness.gone(broker.home)
        with pytest.raises(BrokerError, match="does not run"):
            broker.pause()


class TestKeptData:
    @pytest.fixture
    def kept(self, own_broker, tmp_path) -> Callable[..., EmbeddedBroker]:
        def make(**options: object) -> EmbeddedBroker:
            return own_broker(**{"data_dir": tmp_path / "Lärare, 例" / "data", **options})

        return make

    def test_stays_over_stop_and_start(self, kept, tmp_path):
        first = kept()
        assert first.capabilities.durable_restart
        there = Witness(first.start().bootstrap_servers)
        there.create()
        there.produce(NUMBERS)
        there.commit(7)
        first.stop()
        assert list((tmp_path / "work").iterdir()) == []
        again = Witness(kept().start().bootstrap_servers)
        assert again.values() == NUMBERS
        assert again.committed() == 7

    def test_without_a_folder_nothing_is_kept(self, own_broker):
        assert not own_broker().capabilities.durable_restart

    @pytest.mark.thorough
    def test_attached_brokers_know_it(self, kept):
        broker = kept()
        broker.start()
        assert attach(json.loads(json.dumps(broker.record()))).capabilities.durable_restart

    def test_in_use_is_told_at_once_and_harms_nobody(self, kept, tmp_path):
        first = kept()
        connection = first.start()
        since = time.monotonic()
        with pytest.raises(BrokerError, match="another broker uses this data folder") as caught:
            kept().start()
        assert time.monotonic() - since < 30
        assert caught.value.where == str(tmp_path / "Lärare, 例" / "data")
        assert asyncio.run(probe(connection)) == 1
        assert len(list((tmp_path / "work").glob("eng5-kafka-*/"))) == 1

    @pytest.mark.thorough
    def test_kafkas_own_lock_is_told_the_same_way(self, kept, monkeypatch):
        """The other one came between our look and Kafka's start."""
        kept().start()
        monkeypatch.setattr("pytest_eng5.brokers.data.is_free", lambda _: True)
        with pytest.raises(BrokerError, match="another broker uses this data folder"):
            kept().start()

    @pytest.mark.thorough
    def test_a_start_that_fails_keeps_it(self, kept, monkeypatch):
        first = kept()
        there = Witness(first.start().bootstrap_servers)
        there.create()
        there.produce(NUMBERS)
        first.stop()
        with monkeypatch.context() as patch:
            patch.setattr(embedded_module, "java_command", lambda *_: ["sleep", "600"])
            with pytest.raises(BrokerNotReady):
                kept(start_timeout=0.3).start()
        assert Witness(kept().start().bootstrap_servers).values() == NUMBERS

    @pytest.mark.slow
    @pytest.mark.thorough
    def test_a_session_that_is_killed_keeps_it(self, tmp_path, script, own_broker, witness):
        code = """
            import json, sys, time
            from pathlib import Path
            from pytest_eng5.brokers import BrokerOptions, create_broker
            options = BrokerOptions(kind="embedded", work_dir=Path(sys.argv[1]), data_dir=Path(sys.argv[2]))
            broker = create_broker(options)
            broker.start()
            print(json.dumps(broker.record()), flush=True)
            time.sleep(600)
        """
        holder = script(code, str(tmp_path / "work"), str(tmp_path / "data"))
        there = Witness(holder.first["bootstrap_servers"])
        there.create()
        there.produce(NUMBERS)
        holder.kill()
        home = Path(holder.first["home"])
        assert witness.eventually(lambda: witness.gone(home))
        broker = own_broker(data_dir=tmp_path / "data", properties=QUICK_CRASH)
        assert Witness(broker.start().bootstrap_servers).values() == NUMBERS

    @pytest.mark.thorough
    def test_sweeping_an_old_home_does_not_follow_the_link(self, kept, own_broker, tmp_path):
        kept().start()
        data = tmp_path / "Lärare, 例" / "data"
        old = tmp_path / "work" / "eng5-kafka-old"
        old.mkdir()
        (tmp_path / "records").mkdir()
        (tmp_path / "records" / "file").touch()
        (old / "data").symlink_to(tmp_path / "records")
        os.utime(old, (1, 1))
        own_broker().start()
        assert not old.exists()
        assert (tmp_path / "records" / "file").exists()
        assert (data / "meta.properties").exists()


class TestLog:
    @pytest.mark.thorough
    def test_is_appended_to_and_begins_with_where_the_data_is(self, own_broker, tmp_path):
        log = tmp_path / "deep" / "er" / "kafka.log"
        log.parent.mkdir(parents=True)
        log.write_text("of yesterday\n")
        broker = own_broker(log_path=log)
        broker.start()
        home = broker.home
        broker.stop()
        lines = log.read_text().splitlines()
        assert lines[0] == "of yesterday"
        assert lines[1].endswith(f"[eng5] Apache Kafka 4.3.0 starts in {home}")
        assert "status 137 (SIGUSR2)" in lines[-1]

    def test_lines_of_an_earlier_start_do_not_explain_this_one(self, own_broker, tmp_path, monkeypatch):
        log = tmp_path / "kafka.log"
        log.write_text("java.net.BindException: Address already in use\nNo space left on device\n")
        monkeypatch.setattr(embedded_module, "java_command", lambda *_: ["sh", "-c", "echo my own; exit 3"])
        with pytest.raises(BrokerStopped) as caught:
            own_broker(log_path=log).start()
        assert "my own" in str(caught.value)
        assert "Address already in use" not in str(caught.value)

    @pytest.mark.parametrize(
        ("name", "why"), [("folder", "Is a directory"), ("file/log", "Not a directory|File")]
    )
    def test_that_cannot_be_written_is_told_before_anything_starts(self, own_broker, tmp_path, name, why):
        (tmp_path / "folder").mkdir()
        (tmp_path / "file").touch()
        with pytest.raises(BrokerError, match=f"the log of Kafka cannot be written: ({why})") as caught:
            own_broker(log_path=tmp_path / name).start()
        assert caught.value.where == str(tmp_path / name)
        assert "--eng5-kafka-log" in str(caught.value.fix)
        assert list((tmp_path / "work").iterdir()) == []

    @given(st.lists(st.lists(st.text("ab c", min_size=1), max_size=4), min_size=1, max_size=4), st.booleans())
    def test_only_lines_after_the_last_mark_are_told(self, starts, marked):
        mark = "[eng5] starts"
        lines = [line for start in starts for line in (f"1999 {mark}", *start)]
        if not marked:
            lines = starts[-1]
        told = telling_lines(lines, mark)
        assert told == ("\n".join(f"  | {line}" for line in starts[-1]) or "  | (empty)")


class TestSignals:
    @pytest.mark.parametrize("system", ["linux", "darwin"])
    def test_reach_the_command_and_not_its_supervisor(self, tmp_path, monkeypatch, system, witness):
        process = SupervisedProcess.start(
            ["sh", "-c", "trap 'exit 7' USR1; echo up; while :; do sleep 0.05; done"],
            watch_pid=os.getpid(),
            log_path=tmp_path / "log",
        )
        assert witness.eventually(lambda: "up" in process.tail())
        with monkeypatch.context() as patch:
            patch.setattr("sys.platform", system)
            signal_command(process.pid, signal.SIGUSR1)
        assert process.wait(60) == 7
        process.stop()


class TestProperties:
    def test_are_those_of_the_server(self, own_broker):
        broker = own_broker(properties={"num.partitions": "5", "auto.create.topics.enable": "true"})
        Witness(broker.start().bootstrap_servers, "unasked").produce(["x"])
        admin = AdminClient({"bootstrap.servers": broker.connection.bootstrap_servers})
        assert len(admin.list_topics(timeout=60).topics["unasked"].partitions) == 5

    @pytest.mark.parametrize("name", ["listeners", "log.dirs", "node.id", "controller.quorum.voters"])
    def test_that_the_broker_decides_are_refused(self, name):
        with pytest.raises(Exception, match=f"decides {name} itself"):
            EmbeddedBroker(BrokerOptions(kind="embedded", properties={name: "x", "num.partitions": "1"}))
