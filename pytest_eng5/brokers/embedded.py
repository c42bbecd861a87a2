"""The embedded broker: a real Apache Kafka as a child process."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_eng5.brokers.aot import StartupCache
from pytest_eng5.brokers.cache import disk_full_becomes_clear, require_space
from pytest_eng5.brokers.errors import (
    OTHER_WAYS,
    BrokerError,
    BrokerNotReady,
    BrokerStopped,
    DiskFull,
    PortInUse,
)
from pytest_eng5.brokers.jars import KafkaJars, fetched_jars, home_jars
from pytest_eng5.brokers.java import Java, find_java
from pytest_eng5.brokers.model import BrokerCapabilities, BrokerConnection, BrokerKind, BrokerOptions
from pytest_eng5.brokers.ports import LOOPBACK, can_be_bound, reserve_ports
from pytest_eng5.brokers.probe import round_trip, run_blocking
from pytest_eng5.brokers.server import format_storage, kafka_command, server_properties, write_properties
from pytest_eng5.processes import ProcessRecord, SupervisedProcess

__all__ = ["EmbeddedBroker"]

_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_TRAINING_SECONDS = 60.0
_ATTEMPTS = 3
_LOOK_SECONDS = 0.02
_ROOM_FOR_DATA = 100_000_000
_LOG_LINES = 20
_PORT_TAKEN = re.compile(r"Address already in use|BindException|Socket server failed to bind")
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
        self._training: tuple[StartupCache, Path] | None = None
        self._version = ""
        self.java: Java | None = None
        self.jars: KafkaJars | None = None
        self.data_dir: Path | None = None
        self.log_path: Path | None = options.log_path

    @classmethod
    def attach(cls, record: Mapping[str, Any]) -> EmbeddedBroker:
        """The broker started by another process, from its record."""
        broker = cls(BrokerOptions(kind="embedded"))
        broker._process = SupervisedProcess.attach(record["process"])
        broker._connection = BrokerConnection(record["bootstrap_servers"])
        broker._version = record["version"]
        broker.log_path = Path(record["process"]["log_path"])
        broker.data_dir = Path(record["data_dir"])
        if record["training"]:
            path, java_version, output = record["training"]
            broker._training = (StartupCache(Path(path), java_version), Path(output))
        return broker

    @property
    def connection(self) -> BrokerConnection:
        """How to reach it."""
        if self._connection is None:
            raise BrokerError("the embedded broker has not been started")
        return self._connection

    def start(self) -> BrokerConnection:
        """Start Kafka and return once a record went through it (about a second when all is prepared)."""
        if self._connection is not None:
            return self._connection
        options = self._options
        self.java = find_java(options.java_home)
        self.jars = home_jars(options.kafka_home) if options.kafka_home else fetched_jars(options.report)
        self._version = self.jars.version
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._start_once(self.java, self.jars)
            except PortInUse:
                if options.port is not None or attempt == _ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    def _start_once(self, java: Java, jars: KafkaJars) -> BrokerConnection:
        home = self._make_home()
        try:
            with self._ports() as (port, controller_port):
                self.data_dir = home / "data"
                format_storage(java, jars, self.data_dir)
                properties = server_properties(self.data_dir, port, controller_port)
                write_properties(home / "server.properties", properties)
                self._process = self._launch(java, jars, home)
                connection = BrokerConnection(f"{LOOPBACK}:{port}")
                self._wait_until_ready(connection, port)
        except BaseException:
            self._training = None  # a start that failed teaches nothing
            self.stop()
            shutil.rmtree(home, ignore_errors=True)
            raise
        self._connection = connection
        return connection

    def _make_home(self) -> Path:
        """The folder that vanishes with the broker."""
        parent = self._options.work_dir or Path(tempfile.gettempdir())
        with disk_full_becomes_clear(parent):
            parent.mkdir(parents=True, exist_ok=True)
            require_space(parent, _ROOM_FOR_DATA, "the data of the embedded broker")
            home = Path(tempfile.mkdtemp(prefix="eng5-kafka-", dir=parent)).absolute()
        self.log_path = self._options.log_path or home / "kafka.log"
        return home

    @contextlib.contextmanager
    def _ports(self) -> Iterator[tuple[int, int]]:
        fixed = self._options.port
        if fixed is not None and not can_be_bound(fixed):
            raise _port_in_use(f"port {fixed} is in use", f"{LOOPBACK}:{fixed}")
        with reserve_ports(1 if fixed is not None else 2) as ports:
            yield (fixed, ports[0]) if fixed is not None else (ports[0], ports[1])

    def _launch(self, java: Java, jars: KafkaJars, home: Path) -> SupervisedProcess:
        assert self.log_path is not None
        return SupervisedProcess.start(
            kafka_command(java, jars, home / "server.properties", self._cache_flags(java, jars)),
            watch_pid=self._options.watch_pid or os.getpid(),
            log_path=self.log_path,
            cleanup_dir=home,
            grace=_TRAINING_SECONDS if self._training else _STOP_SECONDS,
        )

    def _cache_flags(self, java: Java, jars: KafkaJars) -> tuple[str, ...]:
        cache = StartupCache.of(java, jars)
        if cache.ready:
            return cache.use_flags()
        output = cache.training_output()
        if output is None:
            return ()
        self._training = (cache, output)
        return cache.training_flags(output)

    def _wait_until_ready(self, connection: BrokerConnection, port: int) -> None:
        deadline = time.monotonic() + (self._options.start_timeout or _START_SECONDS)
        process = self._process
        assert process is not None
        while not _accepts(port):
            # The wait ends at once when Kafka does; there is no event to wait for when it opens its port.
            if process.wait(_LOOK_SECONDS) is not None:
                raise self._died_at_start()
            if time.monotonic() > deadline:
                raise BrokerNotReady(f"Kafka opened no port in time; its log ends:\n{self._log_end()}")
        try:
            run_blocking(round_trip(connection, max(1.0, deadline - time.monotonic())))
        except BrokerNotReady:
            if process.poll() is not None:
                raise self._died_at_start() from None
            raise

    def _died_at_start(self) -> BrokerError:
        log = self._log_end()
        where = str(self.log_path)
        if _PORT_TAKEN.search(log):
            return _port_in_use(f"another process took the port; the log ends:\n{log}", where)
        if _NO_SPACE.search(log):
            return DiskFull(f"Kafka found no space for its data; the log ends:\n{log}", where=where)
        return BrokerStopped(f"Kafka ended while starting; its log ends:\n{log}", where=where, fix=OTHER_WAYS)

    def _log_end(self) -> str:
        lines = self._process.tail(_LOG_LINES) if self._process else []
        return "\n".join(f"  | {line}" for line in lines) or "  | (empty)"

    def stop(self) -> None:
        """End Kafka and remove its data; harmless when repeated, from any process that has the record."""
        if self._process is None:
            return
        self._process.stop(_TRAINING_SECONDS if self._training else _STOP_SECONDS)
        if self._training is not None:
            cache, output = self._training
            cache.keep(output)
            self._training = None

    def failure(self) -> str | None:
        """None while the process runs, else the last lines of its log."""
        if self._process is None:
            return "the embedded broker has not been started"
        status = self._process.poll()
        if status is None:
            return None
        return f"Kafka ended with status {status}; its log ({self.log_path}) ends:\n{self._log_end()}"

    def describe(self) -> str:
        """One line for a report header."""
        at = f" at {self._connection.bootstrap_servers}" if self._connection else ""
        return f"embedded Apache Kafka {self._version}{at}".replace("  ", " ")

    def record(self) -> dict[str, Any]:
        """Plain JSON for `attach`."""
        if self._process is None:
            raise BrokerError("the embedded broker has not been started")
        process: ProcessRecord = self._process.record()
        training = self._training
        return {
            "kind": self.kind,
            "bootstrap_servers": self.connection.bootstrap_servers,
            "version": self._version,
            "data_dir": str(self.data_dir),
            "process": process,
            "training": [str(training[0].path), training[0].java_version, str(training[1])]
            if training
            else None,
        }


def _accepts(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1.0)
        return client.connect_ex((LOOPBACK, port)) == 0


def _port_in_use(what: str, where: str) -> PortInUse:
    return PortInUse(what, where=where, fix="choose another port, or none to get a free one")
