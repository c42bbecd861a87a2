"""An engine of our own for the container broker: Docker's HTTP interface on a Unix socket.

It "publishes" the port of an embedded Kafka, keeps what it is told to do, and misbehaves as it is told.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import socket
import socketserver
import struct
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from pytest_eng5.brokers import BrokerOptions, create_broker
from pytest_eng5.brokers.container import ContainerBroker

IMAGE = "example/kafka:1"


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
