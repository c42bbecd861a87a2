"""The embedded broker: a real Apache Kafka as a child process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import socket
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pytest_eng5.brokers.aot import StartupCache, Training
from pytest_eng5.brokers.errors import (
    OTHER_WAYS,
    BrokerError,
    BrokerNotReady,
    BrokerStopped,
    DiskFull,
    PortInUse,
)
from pytest_eng5.brokers.home import make_home, sweep_homes
from pytest_eng5.brokers.jars import KafkaJars, fetched_jars, home_jars
from pytest_eng5.brokers.java import Java, find_java
from pytest_eng5.brokers.model import BrokerCapabilities, BrokerConnection, BrokerKind, BrokerOptions
from pytest_eng5.brokers.ports import LOOPBACK, can_be_bound, reserve_ports
from pytest_eng5.brokers.probe import load_client, round_trip, run_blocking
from pytest_eng5.brokers.server import (
    format_storage,
    java_command,
    java_environment,
    server_properties,
    write_properties,
)
from pytest_eng5.processes import SupervisedProcess

__all__ = ["EmbeddedBroker"]

_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_ORPHAN_SECONDS = 3.0  # nobody reads the data of an orphan: a clean end has no value
_TRAINING_SECONDS = 60.0
_ATTEMPTS = 3
_LOOK_SECONDS = 0.02
_LOG_LINES = 20
_TAIL_LINES = 400
_PORT_TAKEN = re.compile(r"Address already in use|BindException|Socket server failed to bind")
_NOISE = re.compile(
    r"\s+at [\w.$/<>]+\(|\s+\.\.\. \d+ more|.*AOT ?(Cache|Configuration|cache)|Picked up JAVA_TOOL_OPTIONS"
)
_NO_SPACE = re.compile(r"No space left on device|Disk quota exceeded")


class EmbeddedBroker:
    """One KRaft node on free loopback ports; its data is gone when it stops.

    ``start`` fetches what is missing, see `pytest_eng5.brokers.jars`. The process ends when the watched
    process does, and from any process by ``attach(broker.record()).stop()``.
    """

    kind: BrokerKind = "embedded"
    capabilities = BrokerCapabilities(
        create_topics=True, delete_topics=True, tls=False, sasl=False, durable_restart=False
    )

    def __init__(self, options: BrokerOptions) -> None:
        self._options = options
        self._process: SupervisedProcess | None = None
        self._connection: BrokerConnection | None = None
        self._training: Training | None = None
        self._stopped = False
        self.version = ""
        self.home: Path | None = None
        self.jars_folder: Path | None = None
        self.log_path: Path | None = options.log_path

    @classmethod
    def attach(cls, record: Mapping[str, Any]) -> EmbeddedBroker:
        """The broker started by another process, from its record."""
        broker = cls(BrokerOptions(kind="embedded"))
        broker._process = SupervisedProcess.attach(record["process"])
        broker._connection = BrokerConnection(record["bootstrap_servers"])
        broker._training = Training(**record["training"]) if record["training"] else None
        broker.version = record["version"]
        broker.home = Path(record["home"])
        broker.log_path = Path(record["process"]["log_path"])
        return broker

    @property
    def connection(self) -> BrokerConnection:
        """How to reach it."""
        if self._connection is None:
            raise BrokerError("the embedded broker has not been started")
        return self._connection

    @property
    def trains(self) -> bool:
        """Whether this run writes the start-up cache of later ones, so that `stop` takes some seconds."""
        return self._training is not None

    def start(self) -> BrokerConnection:
        """Start Kafka and return once a record went through it (about a second when all is prepared)."""
        if self._connection is not None and not self._stopped:
            return self._connection
        java = find_java(self._options.java_home)
        jars = self._jars()
        self.version = jars.version
        self.jars_folder = jars.class_path[0].parent
        cache = StartupCache.of(java, jars)
        try:
            return self._start_on_free_ports(java, jars, cache)
        except BrokerStopped:
            if not cache.ready:
                raise
        # A start-up cache that went bad is the one cause that a start without it cures.
        connection = self._start_on_free_ports(java, jars, None)
        cache.discard()
        return connection

    def _start_on_free_ports(
        self, java: Java, jars: KafkaJars, cache: StartupCache | None
    ) -> BrokerConnection:
        for _ in range(_ATTEMPTS - 1):
            try:
                return self._start_once(java, jars, cache)
            except PortInUse:
                if self._options.port is not None:
                    raise
        return self._start_once(java, jars, cache)

    def _jars(self) -> KafkaJars:
        home = self._options.kafka_home
        return home_jars(home) if home is not None else fetched_jars(self._options.report)

    def _start_once(self, java: Java, jars: KafkaJars, cache: StartupCache | None) -> BrokerConnection:
        sweep_homes(self._options.work_dir)
        home = make_home(self._options.work_dir)
        self.home = home
        self.log_path = self._options.log_path or _default_log(home)
        self._stopped = False
        try:
            with self._ports() as (port, controller_port):
                format_storage(java, jars, home / "data")
                properties = server_properties("data", port, controller_port)
                write_properties(home / "server.properties", properties)
                self._process = self._launch(java, jars, self._cache_flags(cache) if cache else ())
                self._connection = BrokerConnection(f"{LOOPBACK}:{port}")
                self._wait_until_ready(self._connection, port)
        except BaseException:
            if self._training is not None:
                self._training.drop()  # a start that failed teaches nothing
                self._training = None
            self.stop()
            shutil.rmtree(home, ignore_errors=True)
            self._connection = None
            raise
        return self._connection

    @contextlib.contextmanager
    def _ports(self) -> Iterator[tuple[int, int]]:
        fixed = self._options.port
        if fixed is None:
            with reserve_ports(2) as (port, controller_port):
                yield port, controller_port
            return
        if not can_be_bound(fixed):
            raise _port_in_use("the port is in use", f"{LOOPBACK}:{fixed}")
        with reserve_ports(1) as (controller_port,):
            yield fixed, controller_port

    def _cache_flags(self, cache: StartupCache) -> tuple[str, ...]:
        if cache.ready:
            return cache.use_flags()
        planned = cache.training()
        if planned is None:
            return ()
        self._training, flags = planned
        return flags

    def _launch(self, java: Java, jars: KafkaJars, flags: tuple[str, ...]) -> SupervisedProcess:
        assert self.home is not None
        assert self.log_path is not None
        # Temporary files (native compression libraries) and crash reports go where the data goes.
        extra = [*flags, f"-Djava.io.tmpdir={self.home}", "-XX:+ErrorFileToStderr"]
        return SupervisedProcess.start(
            java_command(java, jars, ["kafka.Kafka", "server.properties"], extra),
            watch_pid=self._options.watch_pid or os.getpid(),
            log_path=self.log_path,
            env=java_environment(),
            cwd=self.home,
            cleanup_dir=self.home,
            grace=_ORPHAN_SECONDS,
            stop_grace=_TRAINING_SECONDS if self._training else _STOP_SECONDS,
        )

    def _wait_until_ready(self, connection: BrokerConnection, port: int) -> None:
        deadline = time.monotonic() + (self._options.start_timeout or _START_SECONDS)
        process = self._process
        assert process is not None
        load_client()
        why = BrokerNotReady("Kafka opened no port in time")
        # The waits end at once when Kafka does; there is no event to wait for when it opens its port.
        while process.wait(_LOOK_SECONDS) is None and (left := deadline - time.monotonic()) > 0:
            if _accepts(port):
                try:
                    run_blocking(_while_alive(process, round_trip(connection, left)))
                    return
                except BrokerNotReady as error:  # perhaps it was not Kafka that answered
                    why = error
                except asyncio.CancelledError:
                    break
        if process.poll() is not None:
            raise self._died_at_start()
        raise BrokerNotReady(f"{why.what}; its log ends:\n{self._log_end()}", fix=why.fix)

    def _died_at_start(self) -> BrokerError:
        log = self._log_end()
        where = str(self.log_path)
        if _PORT_TAKEN.search(log):
            return _port_in_use(f"another process took the port; the log ends:\n{log}", where)
        if _NO_SPACE.search(log):
            return DiskFull(f"Kafka found no space for its data; the log ends:\n{log}", where=where)
        return BrokerStopped(f"Kafka ended while starting; its log ends:\n{log}", where=where, fix=OTHER_WAYS)

    def _log_end(self) -> str:
        """The last lines that tell something: no stack frames, nothing about the start-up cache."""
        lines = self._process.tail(_TAIL_LINES) if self._process else []
        telling = [line for line in lines if not _NOISE.match(line)][-_LOG_LINES:]
        return "\n".join(f"  | {line}" for line in telling) or "  | (empty)"

    def stop(self) -> None:
        """End Kafka and remove its data; harmless when repeated, from any process that has the record."""
        if self._process is None or self._stopped:
            return
        if self._training is not None:
            self._options.report("preparing the start-up cache of later sessions (once, some seconds)")
        self._process.stop(_TRAINING_SECONDS if self._training else _STOP_SECONDS)
        self._stopped = True
        if self.home is not None and self.log_path == _default_log(self.home):
            self.log_path.unlink(missing_ok=True)
        if self._training is not None:
            self._training.keep()
            self._training = None

    def failure(self) -> str | None:
        """None while the process runs or after `stop`, else the last lines of its log."""
        if self._process is None:
            return "the embedded broker has not been started"
        if self._stopped or (status := self._process.poll()) is None:
            return None
        return f"Kafka ended with status {status}; its log ({self.log_path}) ends:\n{self._log_end()}"

    def on_exit(self, callback: Callable[[], None]) -> None:
        """Call ``callback()`` from a daemon thread when the process has ended, asked to or not."""
        if self._process is None:
            raise BrokerError("the embedded broker has not been started")
        self._process.on_exit(lambda _status: callback())

    def describe(self) -> str:
        """One line for a report header."""
        words = ["embedded Apache Kafka", self.version]
        if self._connection is not None:
            words.append(f"at {self._connection.bootstrap_servers}")
        return " ".join(word for word in words if word)

    def record(self) -> dict[str, Any]:
        """Plain JSON for `attach`."""
        if self._process is None:
            raise BrokerError("the embedded broker has not been started")
        return {
            "kind": self.kind,
            "bootstrap_servers": self.connection.bootstrap_servers,
            "version": self.version,
            "home": str(self.home),
            "process": dict(self._process.record()),
            "training": asdict(self._training) if self._training else None,
        }


def _default_log(home: Path) -> Path:
    """Beside the data and not in it, so that it can be read when Kafka has died and its data is gone."""
    return home.with_name(home.name + ".log")


async def _while_alive(process: SupervisedProcess, work: Coroutine[Any, Any, None]) -> None:
    """Do the work, or be cancelled as soon as the process has ended."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)

    def cancel(_status: int) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the work was done long ago
            loop.call_soon_threadsafe(task.cancel)

    process.on_exit(cancel)
    await task


def _accepts(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1.0)
        return client.connect_ex((LOOPBACK, port)) == 0


def _port_in_use(what: str, where: str) -> PortInUse:
    return PortInUse(what, where=where, fix="choose another port, or none to get a free one")
