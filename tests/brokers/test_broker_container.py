"""The container broker against an engine of our own: what it orders, leaves, and says when refused.

The engine speaks Docker's HTTP interface on a Unix socket and "publishes" the port of an embedded Kafka. Real
containers are in tests/docker.
"""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import json
import os
import re
import socket
import time

import pytest

from pytest_eng5.brokers import BrokerOptions, BrokerStopped, ServerSecurity, attach, create_broker
from pytest_eng5.brokers.container import DEFAULT_IMAGE, ContainerBroker
from pytest_eng5.brokers.engine import (
    ContainerImageMissing,
    ContainerImageUnusable,
    ContainerSupportMissing,
    NoContainerEngine,
    connect,
)
from pytest_eng5.brokers.errors import BrokerError, BrokerNotReady
from pytest_eng5.brokers.probe import ensure_topics
from pytest_eng5.errors import UsageError

pytest.importorskip("testcontainers", reason="the extra 'container' is not installed")

IMAGE = "example/kafka:1"
AT_ONCE = 30.0


def refused(broker: ContainerBroker, kind: type[BrokerError]) -> BrokerError:
    """The error of a start that is refused at once."""
    since = time.monotonic()
    with pytest.raises(kind) as caught:
        broker.start()
    assert time.monotonic() - since < AT_ONCE
    assert caught.value.exit_code == 4
    assert caught.value.fix
    return caught.value


class TestNoEngine:
    @pytest.mark.parametrize("missing", ["docker", "testcontainers"])
    def test_without_the_packages_the_extra_is_named(self, made, monkeypatch, missing):
        real = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name, *more: None if name == missing else real(name, *more)
        )
        error = refused(made(), ContainerSupportMissing)
        assert missing in error.what
        assert "pip install 'pytest-eng5[container]'" in str(error)
        assert "--eng5-broker embedded" in str(error)

    @pytest.fixture
    def no_socket(self, tmp_path, monkeypatch):
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")

    def test_without_docker_it_says_so(self, no_socket, made, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))
        error = refused(made(), NoContainerEngine)
        assert "there is no container engine on this machine" in error.what
        assert "install Docker" in str(error)
        assert "DOCKER_HOST" in str(error)
        assert "--eng5-broker embedded" in str(error)

    def test_with_docker_but_no_engine_it_is_to_be_started(self, no_socket, made, monkeypatch, tmp_path):
        program = tmp_path / "docker"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        error = refused(made(), NoContainerEngine)
        assert "not running" in error.what
        assert f"unix://{tmp_path}/none.sock" in str(error)
        assert "systemctl start docker" in str(error)

    def test_a_socket_without_listener_is_an_engine_that_does_not_run(self, made, monkeypatch, tmp_path):
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(tmp_path / "old.sock"))
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/old.sock")
        assert "nobody listens" in refused(made(), NoContainerEngine).what

    def test_a_closed_port_as_well(self, made, monkeypatch):
        monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
        error = refused(made(), NoContainerEngine)
        assert "nobody listens" in error.what
        assert error.where == "tcp://127.0.0.1:1"

    def test_no_permission_names_the_group_that_has_it(self, engine, monkeypatch):
        def denied(*_: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(socket.socket, "connect", denied)
        with pytest.raises(NoContainerEngine) as caught:
            connect()
        assert "no permission" in caught.value.what
        assert f"usermod -aG {engine.path.group()} $USER" in str(caught.value)
        assert "rootless" in str(caught.value)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may open every socket")
    def test_no_permission_for_real(self, engine, made):
        engine.path.chmod(0)
        assert "no permission" in refused(made(), NoContainerEngine).what

    def test_something_else_at_the_address_is_told_in_its_words(self, made, monkeypatch):
        monkeypatch.setenv("DOCKER_HOST", "nonsense")
        error = refused(made(), NoContainerEngine)
        assert "does not answer" in error.what
        assert "docker context ls" in str(error)

    def test_the_current_context_is_respected(self, engine, monkeypatch, tmp_path):
        folder = tmp_path / "config"
        meta = folder / "contexts" / "meta" / hashed("elsewhere")
        meta.mkdir(parents=True)
        endpoint = {"docker": {"Host": f"unix://{tmp_path}/context.sock", "SkipTLSVerify": False}}
        (meta / "meta.json").write_text(
            json.dumps({"Name": "elsewhere", "Metadata": {}, "Endpoints": endpoint})
        )
        (folder / "config.json").write_text(json.dumps({"currentContext": "elsewhere"}))
        monkeypatch.setenv("DOCKER_CONFIG", str(folder))
        monkeypatch.delenv("DOCKER_HOST")
        with pytest.raises(NoContainerEngine) as caught:
            connect()
        assert caught.value.where == f"unix://{tmp_path}/context.sock"

    def test_a_secured_container_is_refused_before_anything_starts(self):
        with pytest.raises(UsageError, match="no TLS and no SASL"):
            create_broker(BrokerOptions(kind="container", security=ServerSecurity("SSL")))


def hashed(name: str) -> str:
    import hashlib

    return hashlib.sha256(name.encode()).hexdigest()


class TestNoImage:
    def test_the_registry_is_quoted(self, engine, made):
        words = "manifest for example/none:1 not found: manifest unknown: manifest unknown"
        engine.pull = (404, [{"message": words}])
        error = refused(made(image="example/none:1"), ContainerImageMissing)
        assert words in error.what
        assert error.where == "example/none:1"
        assert "docker pull example/none:1" in str(error)
        assert "--eng5-kafka-image" in str(error)
        assert engine.containers == {}

    def test_also_when_it_breaks_off(self, engine, made):
        engine.pull = (200, [{"status": "Pulling"}, {"error": "unexpected EOF"}])
        assert "unexpected EOF" in refused(made(image="example/none:1"), ContainerImageMissing).what

    @pytest.mark.thorough
    def test_a_slow_pull_is_reported(self, kafka_engine, made, monkeypatch):
        monkeypatch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
        progress = {"status": "Downloading", "id": "a", "progressDetail": {"current": 3e6, "total": 9e6}}
        second = {"status": "Downloading", "id": "b", "progressDetail": {"current": 1e6, "total": 1e6}}
        kafka_engine.pull = (200, [progress, second, {"status": "Extracting", "id": "a", "after": 5.2}])
        told: list[str] = []
        made(image="example/new:2", report=told.append).start()
        assert told == [
            "pulling the image example/new:2 (once)",
            "pulling the image example/new:2: 4 of 10 MB",
        ]

    def test_what_is_no_image_name_is_refused(self, engine, made, monkeypatch):
        engine.pull = (400, [{"message": "invalid reference format"}])
        assert "invalid reference format" in refused(made(image="no:image:name"), BrokerError).what

    def test_an_image_without_shell_is_unusable_and_leaves_nothing(self, engine, made):
        engine.start_error = 'exec: "sh": executable file not found in $PATH: unknown'
        error = refused(made(), ContainerImageUnusable)
        assert 'exec: "sh"' in error.what
        assert error.where == IMAGE
        assert engine.containers == {}

    def test_an_image_of_something_else_is_named(self, engine, made):
        engine.end(64, b"eng5: this image has none of /etc/kafka/docker/run\n")
        error = refused(made(), ContainerImageUnusable)
        assert "does not start the way apache/kafka does" in error.what
        assert "none of /etc/kafka/docker/run" in error.what
        assert engine.containers == {}

    def test_one_that_ends_shows_its_last_lines(self, engine, made):
        engine.end(1, b"".join(b"line %d\n" % number for number in range(50)) + b"OutOfMemoryError\n")
        error = refused(made(), BrokerStopped)
        assert "OutOfMemoryError" in error.what
        assert "line 45" in error.what
        assert "line 1\n" not in error.what
        assert "status 1" in error.what
        assert engine.containers == {}

    def test_one_that_never_answers_is_given_up_and_taken_away(self, engine, made):
        engine.log = b"still waiting\n"
        broker = made(start_timeout=1.0)
        with pytest.raises(BrokerNotReady, match="within 1 s") as caught:
            broker.start()
        assert "still waiting" in caught.value.what
        assert engine.containers == {}

    def test_the_default_image_is_pinned(self):
        name, _, tag = DEFAULT_IMAGE.partition(":")
        assert name == "apache/kafka-native"
        assert re.fullmatch(r"\d+\.\d+\.\d+", tag)


class TestStart:
    def test_a_record_goes_through(self, kafka_engine, made):
        connection = made().start()
        assert connection.bootstrap_servers == f"127.0.0.1:{kafka_engine.port}"
        topics = asyncio.run(ensure_topics(connection, ["container-topic"], partitions=2, may_create=True))
        assert topics == {"container-topic": 2}

    def test_its_port_is_bound_to_loopback_only(self, kafka_engine, made):
        made().start()
        (container,) = kafka_engine.containers.values()
        bindings = container["payload"]["HostConfig"]["PortBindings"]
        assert list(bindings) == ["9092/tcp"]
        assert [each["HostIp"] for each in bindings["9092/tcp"]] == ["127.0.0.1"]
        assert not container["payload"]["HostConfig"].get("PublishAllPorts")

    def test_it_waits_for_a_script_that_knows_the_port(self, kafka_engine, made):
        made().start()
        (container,) = kafka_engine.containers.values()
        command = [*container["payload"]["Entrypoint"], *container["payload"]["Cmd"]]
        assert command[:2] == ["sh", "-c"]
        assert "while [ ! -f /tmp/eng5-start/complete ]" in command[2]
        (script,) = kafka_engine.scripts()
        assert f"CLIENTS://127.0.0.1:{kafka_engine.port}," in script
        orders = kafka_engine.orders
        assert orders.index(f"POST /containers/{container['id']}/start") < orders.index(
            f"PUT /containers/{container['id']}/archive"
        )

    def test_its_settings_are_those_of_one_kraft_node(self, kafka_engine, made):
        made(properties={"message.max.bytes": "5000000"}).start()
        (container,) = kafka_engine.containers.values()
        environment = dict(each.split("=", 1) for each in container["payload"]["Env"])
        assert environment["KAFKA_PROCESS_ROLES"] == "broker,controller"
        assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
        assert environment["KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR"] == "1"
        assert environment["KAFKA_MESSAGE_MAX_BYTES"] == "5000000"
        assert "KAFKA_ADVERTISED_LISTENERS" not in environment
        assert "KAFKA_LOG_DIRS" not in environment

    def test_its_log_is_copied_while_it_runs(self, kafka_engine, made, witness, tmp_path):
        kafka_engine.log = b"first line\n"
        made().start()
        kafka_engine.log += b"second line\n"
        log = tmp_path / "kafka.log"
        assert witness.eventually(lambda: log.read_text() == "first line\nsecond line\n")

    def test_describe_names_image_and_address(self, kafka_engine, made):
        broker = made()
        assert broker.describe() == f"container {IMAGE}"
        broker.start()
        assert broker.describe() == f"container {IMAGE} at 127.0.0.1:{kafka_engine.port}"

    def test_capabilities_are_declared(self, made):
        capabilities = made().capabilities
        assert capabilities.create_topics
        assert not any([capabilities.tls, capabilities.sasl, capabilities.durable_restart])

    def test_before_the_start_there_is_nothing(self, made):
        broker = made()
        for ask in (lambda: broker.connection, broker.record, lambda: broker.on_exit(print)):
            with pytest.raises(BrokerError, match="has not been started"):
                ask()
        assert broker.failure() == "the container broker has not been started"
        broker.stop()

    def test_a_second_start_is_the_same_container(self, kafka_engine, made):
        broker = made()
        assert broker.start() is broker.start()
        assert len(kafka_engine.containers) == 1

    def test_without_log_path_a_temporary_log_goes_with_it(self, kafka_engine, made, tmp_path):
        (tmp_path / "work").mkdir()
        broker = made(log_path=None, work_dir=tmp_path / "work")
        broker.start()
        assert broker.log_path is not None
        assert broker.log_path.parent == tmp_path / "work"
        attach(broker.record()).stop()
        assert list((tmp_path / "work").iterdir()) == []
