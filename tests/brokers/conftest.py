"""One real Kafka for the tests of this room, and a Maven repository of our own to fetch from."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from pytest_eng5.brokers import BrokerConnection, BrokerOptions, EmbeddedBroker
from pytest_eng5.brokers.jars import fetched_jars
from pytest_eng5.brokers.lockfile import Jar, LockedJars, locked_jars

_spec = spec_from_file_location("container_engine", Path(__file__).with_name("container_engine.py"))
assert _spec is not None
assert _spec.loader is not None
container_engine = module_from_spec(_spec)
sys.modules[_spec.name] = container_engine  # which its data classes need
_spec.loader.exec_module(container_engine)
engine, kafka_engine, made = container_engine.engine, container_engine.kafka_engine, container_engine.made


@pytest.fixture(scope="session")
def prepared() -> None:
    """The jars are in the user's cache; fetched once if they are not."""
    fetched_jars(print)


@pytest.fixture(scope="session")
def broker(prepared: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """A broker shared by all tests that do it no harm."""
    folder = tmp_path_factory.mktemp("broker")
    embedded = EmbeddedBroker(BrokerOptions(kind="embedded", work_dir=folder, log_path=folder / "kafka.log"))
    embedded.start()
    yield embedded
    embedded.stop()


@pytest.fixture(scope="session")
def connection(broker: EmbeddedBroker) -> BrokerConnection:
    return broker.connection


@pytest.fixture
def own_broker(prepared: None, tmp_path: Path) -> Iterator[Callable[..., EmbeddedBroker]]:
    """Make brokers for tests that hurt them; whatever is left of them is stopped."""
    made: list[EmbeddedBroker] = []

    def make(**options: Any) -> EmbeddedBroker:
        embedded = EmbeddedBroker(
            BrokerOptions(**{"kind": "embedded", "work_dir": tmp_path / "work", **options})
        )
        made.append(embedded)
        return embedded

    yield make
    for embedded in made:
        embedded.stop()


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder with nothing in it, for this process and its children."""
    monkeypatch.setenv("ENG5_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def copied_cache(prepared: None, empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the real jars, copied into a cache of its own; without derived files."""
    monkeypatch.delenv("ENG5_CACHE_DIR")
    source = fetched_jars(print).cache
    monkeypatch.setenv("ENG5_CACHE_DIR", str(empty_cache))
    copy = empty_cache / source.name
    copy.mkdir(parents=True)
    shutil.copytree(source / "jars", copy / "jars")  # copy2 keeps the dates
    shutil.copy2(source / "verified.json", copy)
    return copy


@dataclass
class Mirror:
    """A Maven repository on loopback; ``answers`` maps a URL path to a body, or to a function."""

    url: str
    answers: dict[str, bytes | Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)

    def path_of(self, jar: Jar) -> str:
        return f"/{jar.group.replace('.', '/')}/{jar.artifact}/{jar.version}/{jar.file_name}"

    def add(self, jar: Jar, content: bytes) -> None:
        self.answers[self.path_of(jar)] = content

    def jars_asked(self) -> Counter[str]:
        return Counter({path: count for path, count in self.asked.items() if path.endswith(".jar")})


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """An empty repository that fetches go to."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            made.asked[self.path] += 1
            answer = made.answers.get(self.path)
            if callable(answer):
                answer(self)
                return
            self.send_response(200 if answer is not None else 404)
            self.send_header("Content-Length", str(len(answer or b"")))
            self.end_headers()
            self.wfile.write(answer or b"")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Mirror(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    monkeypatch.setenv("ENG5_MAVEN_REPOSITORY", made.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def full_mirror(prepared: None, mirror: Mirror) -> Mirror:
    """A repository that has the real jars."""
    jars = fetched_jars(print)
    for jar, path in zip(locked_jars().jars, jars.class_path, strict=True):
        mirror.add(jar, path.read_bytes())
    return mirror


@pytest.fixture
def some_jars(mirror: Mirror) -> LockedJars:
    """Five made-up jars that the repository has."""
    jars = []
    for number in range(5):
        content = f"jar {number} ".encode() * 1000
        jar = Jar(
            "org.example", f"part-{number}", f"1.{number}", hashlib.sha256(content).hexdigest(), len(content)
        )
        mirror.add(jar, content)
        jars.append(jar)
    return LockedJars("9.9.9", tuple(jars))


class Witness:
    """What ``ps`` says, independent of the code under test."""

    @staticmethod
    def eventually(condition: Callable[[], object], seconds: float = 60.0) -> bool:
        """Whether the condition becomes true in time; for states of processes nobody can wait for."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    @staticmethod
    def processes_of(text: str) -> dict[int, str]:
        """Living processes whose command line holds ``text``: process id to command line."""
        answer = subprocess.run(
            ["ps", "-ww", "-eo", "pid=,stat=,args="], capture_output=True, text=True, check=True
        )
        rows = [line.split(None, 2) for line in answer.stdout.splitlines() if text in line]
        return {int(pid): args for pid, state, args in rows if state[0] != "Z" and int(pid) != os.getpid()}

    def supervised(self, home: Path | None) -> dict[int, str]:
        """The processes of the broker with that folder: supervisor and Java."""
        return {pid: args for pid, args in self.processes_of(str(home)).items() if "kafka.Kafka" in args}

    def kafkas(self, home: Path | None) -> list[int]:
        """The Java processes among them."""
        return [pid for pid, args in self.supervised(home).items() if " -- " not in args]

    def gone(self, home: Path | None) -> bool:
        """Whether neither a process nor the folder is left."""
        assert home is not None
        return not self.supervised(home) and not home.exists()


@pytest.fixture
def witness() -> Witness:
    return Witness()


@dataclass
class Script:
    """A Python program in a process of its own; its first line of output is JSON."""

    process: subprocess.Popen[str]
    first: Any

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)


@pytest.fixture
def script() -> Iterator[Callable[..., Script]]:
    """Run Python code in another process until it prints its first line."""
    running: list[subprocess.Popen[str]] = []

    def run(code: str, *arguments: str, first_line: bool = True) -> Script:
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), *arguments],
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        running.append(process)
        assert process.stdout is not None
        return Script(process, json.loads(process.stdout.readline()) if first_line else None)

    yield run
    for process in running:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
