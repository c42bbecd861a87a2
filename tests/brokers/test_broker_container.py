"""The container broker against an engine of our own: what it orders, leaves, and says when refused.

The engine speaks Docker's HTTP interface on a Unix socket and "publishes" the port of an embedded Kafka. Real
containers are in tests/docker.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib.util
import io
import json
import os
import re
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from pytest_eng5.brokers import BrokerOptions, BrokerStopped, ServerSecurity, attach, create_broker
from pytest_eng5.brokers.container import DEFAULT_IMAGE, ContainerBroker
from pytest_eng5.brokers.engine import (
    ContainerImageMissing,
    ContainerImageUnusable,
    ContainerSupportMissing,
    NoContainerEngine,
    client_host,
    connect,
)
from pytest_eng5.brokers.errors import BrokerError, BrokerNotReady
from pytest_eng5.brokers.probe import ensure_topics
from pytest_eng5.brokers.reaper import _ordered
from pytest_eng5.errors import UsageError

pytest.importorskip("testcontainers", reason="the extra 'container' is not installed")

IMAGE = "example/kafka:1"
AT_ONCE = 5.0


@dataclass
class Engine:
    """What the engine has, what it was told, and how it behaves."""

    path: Path
    port: int
    reaper_port: int = 0
    images: set[str] = field(default_factory=lambda: {IMAGE})
    pull: tuple[int, list[dict[str, Any]]] = (200, [])
    start_error: str | None = None
    name: str = "engine"
    log: bytes = b""
    exit_code: int = 137
    containers: dict[str, dict[str, Any]] = field(default_factory=dict)
    orders: list[str] = field(default_factory=list)
    archives: list[bytes] = field(default_factory=list)
    ends_at_once: bool = False
    before_create: Callable[[], None] = lambda: None

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    def add(self, name: str, payload: dict[str, Any], status: str = "created") -> str:
        number = f"{len(self.orders):064x}"
        ended = threading.Event()
        if self.ends_at_once:
            ended.set()
        self.containers[name] = {"id": number, "payload": payload, "status": status, "ended": ended}
        return number

    def find(self, key: str) -> str | None:
        return next((name for name, each in self.containers.items() if key in (name, each["id"])), None)

    def scripts(self) -> list[str]:
        """Every start script that was put into a container."""
        texts = []
        for archive in self.archives:
            with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
                texts.append(opened.extractfile("eng5-start/start.sh").read().decode())  # type: ignore[union-attr]
        return texts

    def end(self, exit_code: int, log: bytes = b"") -> None:
        """Let all containers end, also those to come."""
        self.exit_code, self.log = exit_code, self.log + log
        self.ends_at_once = True
        for container in list(self.containers.values()):
            container["ended"].set()


class _Api(BaseHTTPRequestHandler):
    """The few paths of Docker's interface that are used."""

    engine: Engine
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def address_string(self) -> str:
        return "socket"

    def _answer(self, status: int, body: Any = None) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _begin_chunks(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, content: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
        self.wfile.flush()

    def _handle(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = re.sub(r"^/v1\.\d+", "", unquote(url.path))
        self.engine.orders.append(f"{self.command} {path}")
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        with contextlib.suppress(BrokenPipeError):
            if path.startswith("/images/"):
                self._image(path, query)
            elif path.startswith("/containers/"):
                self._container(path, query, body)
            elif path in ("/version", "/info"):
                self._answer(200, {"ApiVersion": "1.41", "Name": self.engine.name})
            else:
                self._answer(404, {"message": f"page not found: {path}"})

    do_GET = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815

    def _image(self, path: str, query: dict[str, str]) -> None:
        name = path.removeprefix("/images/").removesuffix("/json")
        if path != "/images/create":
            known = name in self.engine.images
            self._answer(
                200 if known else 404, {"Id": name} if known else {"message": f"No such image: {name}"}
            )
            return
        status, lines = self.engine.pull
        if status != 200:
            self._answer(status, lines[0])
            return
        self._begin_chunks()
        for line in lines:
            time.sleep(line.get("after", 0))
            self._chunk(json.dumps(line).encode() + b"\r\n")
        self._chunk(b"")
        if not any("error" in line for line in lines):
            self.engine.images.add(f"{query['fromImage']}:{query['tag']}")

    def _container(self, path: str, query: dict[str, str], body: bytes) -> None:
        engine = self.engine
        if path == "/containers/create":
            engine.before_create()
            name = query.get("name", "unnamed")
            if name in engine.containers:
                self._answer(409, {"message": f"Conflict. The name {name} is already in use"})
            else:
                self._answer(201, {"Id": engine.add(name, json.loads(body)), "Warnings": []})
            return
        key, _, action = path.removeprefix("/containers/").partition("/")
        found = engine.find(key)
        if found is None:
            self._answer(404, {"message": f"No such container: {key}"})
        elif self.command == "DELETE":
            engine.containers.pop(found)["ended"].set()
            self._answer(204)
        else:
            getattr(self, f"_{action}")(engine.containers[found], body)

    def _json(self, container: dict[str, Any], _: bytes) -> None:
        published = {"9092/tcp": self.engine.port, "8080/tcp": self.engine.reaper_port}
        ports = {
            port: [{"HostIp": "127.0.0.1", "HostPort": str(number)}] for port, number in published.items()
        }
        state = {"Status": container["status"], "OOMKilled": self.engine.exit_code == 137}
        network = {"Ports": ports, "Networks": {}}
        self._answer(
            200, {"Id": container["id"], "State": state, "NetworkSettings": network, "Config": {"Tty": False}}
        )

    def _start(self, container: dict[str, Any], _: bytes) -> None:
        if self.engine.start_error:
            self._answer(400, {"message": self.engine.start_error})
            return
        container["status"] = "running"
        self._answer(204)

    def _archive(self, _: dict[str, Any], body: bytes) -> None:
        self.engine.archives.append(body)
        self._answer(200)

    def _wait(self, container: dict[str, Any], _: bytes) -> None:
        container["ended"].wait()
        container["status"] = "exited"
        self._answer(200, {"StatusCode": self.engine.exit_code})

    def _logs(self, container: dict[str, Any], _: bytes) -> None:
        self._begin_chunks()
        sent = 0
        while True:
            over = container["ended"].is_set()
            if text := self.engine.log[sent:]:
                self._chunk(struct.pack(">BxxxL", 2, len(text)) + text)
                sent += len(text)
            if over:
                self._chunk(b"")
                return
            time.sleep(0.01)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine that DOCKER_HOST points to; no Kafka behind its port."""
    for name in [name for name in os.environ if name.startswith(("TESTCONTAINERS_", "TC_", "DOCKER_"))]:
        monkeypatch.delenv(name)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        made = Engine(tmp_path / "docker.sock", free.getsockname()[1], name=socket.gethostname())
    monkeypatch.setenv("DOCKER_HOST", made.url)

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True

    server = Server(str(made.path), type("Api", (_Api,), {"engine": made}))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield made
    made.end(0)
    server.shutdown()
    server.server_close()


@pytest.fixture
def kafka_engine(engine: Engine, broker: Any) -> Engine:
    """The same with a Kafka behind its port."""
    engine.port = int(broker.connection.bootstrap_servers.rpartition(":")[2])
    return engine


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Callable[..., ContainerBroker]]:
    """Make container brokers; all of them are stopped at the end."""
    brokers: list[ContainerBroker] = []

    def make(**options: Any) -> ContainerBroker:
        given = {"kind": "container", "image": IMAGE, "log_path": tmp_path / "kafka.log", **options}
        container = create_broker(BrokerOptions(**given))
        assert isinstance(container, ContainerBroker)
        brokers.append(container)
        return container

    yield make
    for each in brokers:
        each.stop()


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
        subprocess.run([sys.executable, "-c", code, record], check=True, timeout=30)
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
        assert noticed.wait(10)
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
    def reaping_engine(self, kafka_engine, reaper) -> Engine:
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
