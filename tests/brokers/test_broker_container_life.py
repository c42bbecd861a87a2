"""The container broker while it runs and when it ends: who stops it, who finds it, where it is reached."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_eng5.brokers import attach
from pytest_eng5.brokers.container import ContainerBroker
from pytest_eng5.brokers.engine import (
    client_host,
)
from pytest_eng5.brokers.reaper import _ordered

pytest.importorskip("testcontainers", reason="the extra 'container' is not installed")

IMAGE = "example/kafka:1"


class TestEnd:
    def test_stop_takes_it_away_with_its_data(self, kafka_engine, made):
        broker = made()
        broker.start()
        (container,) = kafka_engine.containers.values()
        broker.stop()
        broker.stop()
        assert kafka_engine.containers == {}
        assert kafka_engine.orders.count(f"DELETE /containers/{container['id']}") == 1
        assert broker.failure() is None

    def test_any_process_can_stop_it(self, kafka_engine, made):
        broker = made()
        broker.start()
        record = json.dumps(broker.record())
        code = (
            "import json, sys; from pytest_eng5.brokers import attach; attach(json.loads(sys.argv[1])).stop()"
        )
        subprocess.run([sys.executable, "-c", code, record], check=True, timeout=60)
        assert kafka_engine.containers == {}
        assert broker.log_path is not None
        assert "status 0" in broker.log_path.read_text()

    def test_an_attached_one_is_the_same(self, kafka_engine, made):
        broker = made()
        broker.start()
        other = attach(json.loads(json.dumps(broker.record())))
        assert isinstance(other, ContainerBroker)
        assert other.connection == broker.connection
        assert other.describe() == broker.describe()
        assert other.failure() is None
        assert other.record() == broker.record()

    def test_it_ends_when_the_watched_process_is_killed(self, kafka_engine, made, script, witness):
        watched = script("import time; print('1', flush=True); time.sleep(600)")
        made(watch_pid=watched.process.pid).start()
        assert len(kafka_engine.containers) == 1
        watched.kill()
        assert witness.eventually(lambda: kafka_engine.containers == {})

    def test_a_killed_session_leaves_none_even_while_starting(self, engine, made, script, witness):
        code = """
            import sys
            from pathlib import Path
            from pytest_eng5.brokers import BrokerOptions, create_broker
            print("1", flush=True)
            options = BrokerOptions(kind="container", image=sys.argv[1], log_path=Path(sys.argv[2]))
            create_broker(options).start()
        """
        session = script(code, IMAGE, str(engine.path.with_name("kafka.log")))
        assert witness.eventually(lambda: engine.archives)  # it waits for a Kafka that never answers
        session.kill()
        assert witness.eventually(lambda: engine.containers == {})

    def test_when_its_keeper_is_killed_stop_still_takes_it_away(self, kafka_engine, made):
        broker = made()
        broker.start()
        os.kill(broker.record()["process"]["pid"], signal.SIGKILL)
        broker.stop()
        assert kafka_engine.containers == {}

    def test_its_death_is_noticed_with_its_last_words(self, kafka_engine, made):
        broker = made()
        broker.start()
        noticed = threading.Event()
        broker.on_exit(noticed.set)
        assert broker.failure() is None
        kafka_engine.end(137, b"FATAL disk full\n")
        assert noticed.wait(60)
        failure = broker.failure()
        assert failure is not None
        assert "the Kafka container ended" in failure
        assert "FATAL disk full" in failure
        assert "status 137 (it ran out of memory)" in failure
        assert kafka_engine.containers == {}

    def test_an_impatient_user_gets_out_and_leaves_nothing(self, engine, made):
        broker = made()
        alarm = threading.Timer(2.0, lambda: os.kill(os.getpid(), signal.SIGINT))
        alarm.start()
        with pytest.raises(KeyboardInterrupt):
            broker.start()
        assert engine.containers == {}


class TestReuse:
    def test_it_stays_and_is_found_again(self, kafka_engine, made):
        first = made(reuse=True)
        first.start()
        first.stop()
        assert len(kafka_engine.containers) == 1
        second = made(reuse=True)
        second.start()
        assert len(kafka_engine.containers) == 1
        assert not first.found
        assert second.found
        assert second.describe().endswith("(found running)")
        assert second.connection == first.connection

    def test_two_sessions_at_once_share_it_and_neither_ends_it(self, kafka_engine, made):
        one, two = made(reuse=True), made(reuse=True)
        one.start()
        two.start()
        one.stop()
        assert two.failure() is None
        assert len(kafka_engine.containers) == 1

    def test_other_settings_are_another_container(self, kafka_engine, made):
        made(reuse=True).start()
        made(reuse=True, properties={"message.max.bytes": "5000000"}).start()
        assert len(kafka_engine.containers) == 2

    def test_one_that_is_not_to_be_reused_is_not_found(self, kafka_engine, made):
        made().start()
        second = made(reuse=True)
        second.start()
        assert not second.found
        assert len(kafka_engine.containers) == 2

    def test_one_that_has_ended_is_replaced(self, kafka_engine, made):
        first = made(reuse=True)
        first.start()
        first.stop()
        (name, container) = next(iter(kafka_engine.containers.items()))
        container["status"] = "exited"
        second = made(reuse=True)
        second.start()
        assert not second.found
        assert list(kafka_engine.containers) == [name]
        assert kafka_engine.containers[name]["id"] != container["id"]

    def test_two_that_start_it_at_once_meet_in_one(self, kafka_engine, made):
        first = made(reuse=True)
        first.start()
        first.stop()
        (name, container) = kafka_engine.containers.popitem()
        # Between the other's look and its order the container appears, not yet started.
        kafka_engine.before_create = lambda: kafka_engine.add(name, container["payload"])
        second = made(reuse=True)
        second.start()
        assert second.found
        assert kafka_engine.containers[name]["status"] == "running"
        # Whoever finds it puts the script in as well: the other may have died before.
        assert len(kafka_engine.scripts()) == 2

    def test_one_that_dies_is_taken_away(self, kafka_engine, made, witness):
        made(reuse=True).start()
        kafka_engine.end(1, b"gone\n")
        assert witness.eventually(lambda: kafka_engine.containers == {})


class TestWhere:
    def fake(self, host: str, name: str) -> Any:
        return SimpleNamespace(host=lambda: host, client=SimpleNamespace(info=lambda: {"Name": name}))

    @pytest.mark.parametrize(
        ("address", "host", "expected"),
        [
            ("tcp://127.0.0.1:2375", "127.0.0.1", "127.0.0.1"),
            ("tcp://localhost:2375", "localhost", "127.0.0.1"),
            ("tcp://build-7.example:2376", "build-7.example", "build-7.example"),
            ("ssh://ci@build-8.example", "build-8.example", "build-8.example"),
        ],
    )
    def test_a_remote_engine_is_reached_by_its_name(self, monkeypatch, address, host, expected):
        monkeypatch.setenv("DOCKER_HOST", address)
        assert client_host(self.fake(host, "somewhere")) == expected

    @pytest.mark.parametrize(
        ("inside", "name", "expected"),
        [
            (False, "anything", "127.0.0.1"),
            (True, socket.gethostname(), "127.0.0.1"),
            (True, "the-outer-machine", None),
        ],
    )
    def test_a_socket_is_this_machine_unless_it_was_mounted_from_outside(
        self, monkeypatch, inside, name, expected
    ):
        monkeypatch.setenv("DOCKER_HOST", "unix:///var/run/docker.sock")
        monkeypatch.setattr("testcontainers.core.utils.inside_container", lambda: inside)
        assert client_host(self.fake("172.17.0.1", name)) == expected

    def test_the_host_can_be_overridden(self, monkeypatch):
        from testcontainers.core.config import testcontainers_config

        monkeypatch.setattr(testcontainers_config, "tc_host_override", "10.1.2.3")
        assert client_host(self.fake("172.17.0.1", "x")) == "10.1.2.3"


class TestReaper:
    @pytest.fixture
    def reaper(self) -> Iterator[SimpleNamespace]:
        """A reaper that hears the third connection only, as the engine's proxy takes the first ones."""
        heard: list[bytes] = []
        with socket.create_server(("127.0.0.1", 0)) as server:

            def serve() -> None:
                for number in range(3):
                    line, _ = server.accept()
                    if number == 2:
                        heard.append(line.recv(200))
                        line.sendall(b"ACK\n")
                        heard.append(line.recv(1))
                    line.close()

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            yield SimpleNamespace(port=server.getsockname()[1], heard=heard, thread=thread)

    def test_it_is_told_whose_containers_to_take_and_acknowledges(self, reaper):
        from testcontainers.core.labels import SESSION_ID

        line = _ordered("127.0.0.1", reaper.port)
        assert reaper.heard == [f"label=org.testcontainers.session-id={SESSION_ID}\n".encode()]
        line.close()
        reaper.thread.join(5)
        assert reaper.heard[1:] == [b""]

    def test_its_image_is_not_searched_for(self, kafka_engine, made):
        made().start()
        assert not any("create" in each and "image" in each for each in kafka_engine.orders)
        assert len(kafka_engine.containers) == 1

    @pytest.fixture
    def reaping_engine(self, kafka_engine, reaper) -> Any:
        kafka_engine.images.add("testcontainers/ryuk:0.8.1")
        kafka_engine.reaper_port = reaper.port
        return kafka_engine

    def test_where_its_image_is_it_watches_over_the_container(self, reaping_engine, reaper, made):
        broker = made()
        broker.start()
        containers = {
            each["payload"]["Image"]: each["payload"] for each in reaping_engine.containers.values()
        }
        label = containers[IMAGE]["Labels"]["org.testcontainers.session-id"]
        assert reaper.heard == [f"label=org.testcontainers.session-id={label}\n".encode()]
        settings = containers["testcontainers/ryuk:0.8.1"]["HostConfig"]
        assert [each["HostIp"] for each in settings["PortBindings"]["8080/tcp"]] == ["127.0.0.1"]
        assert settings["AutoRemove"]
        broker.stop()
        reaper.thread.join(5)
        assert reaper.heard[1:] == [b""]
        assert reaping_engine.containers == {}

    def test_a_killed_keeper_lets_go_of_it(self, reaping_engine, reaper, made):
        broker = made()
        broker.start()
        os.kill(broker.record()["process"]["pid"], signal.SIGKILL)
        reaper.thread.join(5)
        assert reaper.heard[1:] == [b""]

    @pytest.mark.parametrize("reuse", [False, True])
    def test_it_is_not_used_for_what_stays_or_when_switched_off(
        self, reaping_engine, made, monkeypatch, reuse
    ):
        if not reuse:
            monkeypatch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
        made(reuse=reuse).start()
        assert [each["payload"]["Image"] for each in reaping_engine.containers.values()] == [IMAGE]
