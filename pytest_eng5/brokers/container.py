"""A broker in a container: Apache Kafka's own images, or any that starts the same way.

Everything that talks to the container engine happens in the process of `pytest_eng5.brokers.keeper`; here is
the side of the session: start that process, wait until a record has gone through, watch it, end it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_eng5.brokers.engine import (
    ContainerImageMissing,
    ContainerImageUnusable,
    ContainerSupportMissing,
    NoContainerEngine,
    connect,
    remove_container,
    require_packages,
)
from pytest_eng5.brokers.errors import OTHER_WAYS, BrokerError, BrokerNotReady, BrokerStopped
from pytest_eng5.brokers.keeper import ENDED_BY_ITSELF, REFUSED
from pytest_eng5.brokers.kraft import NO_START_SCRIPT, KafkaSpec
from pytest_eng5.brokers.model import BrokerCapabilities, BrokerConnection, BrokerKind, BrokerOptions
from pytest_eng5.brokers.probe import load_client, round_trip, run_blocking
from pytest_eng5.errors import UsageError
from pytest_eng5.processes import SupervisedProcess

__all__ = ["DEFAULT_IMAGE", "ContainerBroker"]

DEFAULT_IMAGE = "apache/kafka-native:4.1.1"
"""Apache Kafka compiled ahead of time: a third of the memory and of the start of apache/kafka."""

_START_SECONDS = 120.0
_STOP_SECONDS = 60.0
_LOOK_SECONDS = 0.05
_LOG_LINES = 20
# Not with -m: importing the package imports the module, and Python would warn about running it again.
_KEEP = "import sys; from pytest_eng5.brokers.keeper import main; sys.exit(main())"
_API_VERSIONS = b"\x00\x00\x00\x0a\x00\x12\x00\x00\x00\x00\x00\x01\xff\xff"
_ERRORS: dict[str, type[BrokerError]] = {
    error.__name__: error
    for error in (
        ContainerImageMissing,
        ContainerImageUnusable,
        ContainerSupportMissing,
        NoContainerEngine,
    )
}


class ContainerBroker:
    """One KRaft node in a container, its port on loopback; gone with its data when it stops, unless reused.

    The container ends when the watched process does, and from any process by
    ``attach(broker.record()).stop()``. With ``reuse`` it stays and is found again by image and settings, also
    by a second session at the same time: sessions that share it share its topics, so each of them needs a
    topic prefix of its own.
    """

    kind: BrokerKind = "container"
    capabilities = BrokerCapabilities(
        create_topics=True, delete_topics=True, tls=False, sasl=False, durable_restart=False
    )

    def __init__(self, options: BrokerOptions) -> None:
        if options.security is not None:
            raise UsageError(
                "a container broker has no TLS and no SASL",
                fix="use --eng5-broker external with a file of --eng5-kafka-config",
            )
        self._options = options
        self._spec = KafkaSpec(options.image or DEFAULT_IMAGE, dict(options.properties), options.reuse)
        self._process: SupervisedProcess | None = None
        self._connection: BrokerConnection | None = None
        self._stopped = False
        self.container: str | None = None
        self.found = False
        self.log_path: Path | None = options.log_path
        self._temporary_log = options.log_path is None

    @classmethod
    def attach(cls, record: Mapping[str, Any]) -> ContainerBroker:
        """The broker started by another process, from its record."""
        broker = cls(BrokerOptions(kind="container", image=record["image"], reuse=record["reuse"]))
        broker._process = SupervisedProcess.attach(record["process"])
        broker._connection = BrokerConnection(record["bootstrap_servers"])
        broker.container = record["container"]
        broker.found = record["found"]
        broker.log_path = Path(record["process"]["log_path"])
        broker._temporary_log = record["temporary_log"]
        return broker

    @property
    def connection(self) -> BrokerConnection:
        """How to reach it."""
        if self._connection is None:
            raise BrokerError("the container broker has not been started")
        return self._connection

    def start(self) -> BrokerConnection:
        """Start the container, or find the one to reuse, and return once a record went through it.

        Raises:
            ContainerSupportMissing, NoContainerEngine: Nothing that runs containers; at once.
            ContainerImageMissing, ContainerImageUnusable: No image, or not one of Kafka's.
            BrokerStopped: Kafka ended while starting.
            BrokerNotReady: It runs but passes no record through.
        """
        if self._connection is not None and not self._stopped:
            return self._connection
        require_packages()
        self._stopped = False
        self._process = self._launch()
        try:
            self._connection = BrokerConnection(self._started(self._process))
            self._wait_until_ready(self._process, self._connection)
        except BaseException:
            self.stop()
            self._connection = None
            raise
        return self._connection

    def _launch(self) -> SupervisedProcess:
        if self.log_path is None:
            handle, name = tempfile.mkstemp(
                prefix="eng5-container-", suffix=".log", dir=self._options.work_dir
            )
            os.close(handle)
            self.log_path = Path(name)
        return SupervisedProcess.start(
            [sys.executable, "-c", _KEEP, self._spec.to_json()],
            watch_pid=self._options.watch_pid or os.getpid(),
            log_path=self.log_path,
            stdout_pipe=True,
            grace=_STOP_SECONDS,
        )

    def _started(self, process: SupervisedProcess) -> str:
        """The address that the keeper tells; what it reports on the way is passed on."""
        for message in _messages(process):
            if "report" in message:
                self._options.report(message["report"])
            elif "failed" in message:
                failed = message["failed"]
                kind = _ERRORS.get(failed.pop("kind"), BrokerError)
                raise kind(failed["what"], where=failed["where"], fix=failed["fix"])
            else:
                self.container = message["started"]["container"]
                self.found = message["started"]["found"]
                return str(message["started"]["bootstrap_servers"])
        raise BrokerStopped(
            f"the process that keeps the container ended; its log ends:\n{self._log_end()}",
            where=str(self.log_path),
            fix=OTHER_WAYS,
        )

    def _wait_until_ready(self, process: SupervisedProcess, connection: BrokerConnection) -> None:
        seconds = self._options.start_timeout or _START_SECONDS
        deadline = time.monotonic() + seconds
        load_client()
        why = BrokerNotReady("Kafka answered no request", fix="see its log; on a busy machine try again")
        # The waits end at once when the container does; nobody tells when Kafka opens its port.
        while process.wait(_LOOK_SECONDS) is None and (left := deadline - time.monotonic()) > 0:
            if _answers(connection.bootstrap_servers):
                try:
                    run_blocking(round_trip(connection, left))
                    return
                except BrokerNotReady as error:
                    why = error
        if process.poll() is not None:
            raise self._died_at_start()
        raise BrokerNotReady(
            f"{why.what} (within {seconds:g} s); its log ends:\n{self._log_end()}",
            where=self._spec.image,
            fix=why.fix,
        )

    def _died_at_start(self) -> BrokerError:
        log = self._log_end()
        if f"ended with status {NO_START_SCRIPT}" in log:
            return ContainerImageUnusable(
                f"the image does not start the way apache/kafka does; its log ends:\n{log}",
                where=self._spec.image,
                fix="use apache/kafka-native, apache/kafka or one made like them with --eng5-kafka-image",
            )
        return BrokerStopped(
            f"the container ended while Kafka was starting; its log ends:\n{log}",
            where=self._spec.image,
            fix=f"try another image with --eng5-kafka-image; or {OTHER_WAYS}",
        )

    def _log_end(self) -> str:
        lines = self._process.tail(_LOG_LINES) if self._process else []
        return "\n".join(f"  | {line}" for line in lines) or "  | (empty)"

    def stop(self) -> None:
        """Take the container away (a reused one stays); harmless when repeated, from any process."""
        if self._process is None or self._stopped:
            return
        status = self._process.stop(_STOP_SECONDS)
        self._stopped = True
        if status not in (0, ENDED_BY_ITSELF, REFUSED) and self.container and not self._spec.reuse:
            # The keeper was killed, and with it the care for the container.
            with contextlib.suppress(BrokerError):
                remove_container(connect(), self.container)
        if self._temporary_log and self.log_path is not None:
            self.log_path.unlink(missing_ok=True)

    def failure(self) -> str | None:
        """None while the container runs or after `stop`, else the last lines of its log."""
        if self._process is None:
            return "the container broker has not been started"
        if self._stopped or self._process.poll() is None:
            return None
        return f"the Kafka container ended; its log ({self.log_path}) ends:\n{self._log_end()}"

    def on_exit(self, callback: Callable[[], None]) -> None:
        """Call ``callback()`` from a daemon thread when the container has ended, asked to or not."""
        if self._process is None:
            raise BrokerError("the container broker has not been started")
        self._process.on_exit(lambda _status: callback())

    def describe(self) -> str:
        """One line for a report header."""
        words = ["container", self._spec.image]
        if self._connection is not None:
            words.append(f"at {self._connection.bootstrap_servers}")
        if self.found:
            words.append("(found running)")
        return " ".join(words)

    def record(self) -> dict[str, Any]:
        """Plain JSON for `attach`."""
        if self._process is None:
            raise BrokerError("the container broker has not been started")
        return {
            "kind": self.kind,
            "bootstrap_servers": self.connection.bootstrap_servers,
            "image": self._spec.image,
            "reuse": self._spec.reuse,
            "container": self.container,
            "found": self.found,
            "temporary_log": self._temporary_log,
            "process": dict(self._process.record()),
        }


def _messages(process: SupervisedProcess) -> Iterator[dict[str, Any]]:
    """What the keeper says; other lines, should a library print some, are left out."""
    assert process.stdout is not None
    for line in process.stdout:
        with contextlib.suppress(ValueError):
            message = json.loads(line)
            if isinstance(message, dict):
                yield message


def _answers(server: str) -> bool:
    """Whether Kafka answers a request for API versions; an engine's proxy accepts connections for nobody."""
    host, _, port = server.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), 1.0) as client:
            client.sendall(_API_VERSIONS)
            return len(client.recv(8)) == 8
    except OSError:
        return False
