"""The words of this room: how to reach a broker, what it can do, what a backend must offer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

__all__ = [
    "KINDS",
    "Broker",
    "BrokerCapabilities",
    "BrokerConnection",
    "BrokerKind",
    "BrokerOptions",
]

BrokerKind = Literal["embedded", "external", "container"]
"""Who starts the broker: this package, somebody else, a container engine."""

KINDS: tuple[BrokerKind, ...] = get_args(BrokerKind)


@dataclass(frozen=True)
class BrokerConnection:
    """How a client reaches the broker.

    Args:
        bootstrap_servers: Comma-separated ``host:port`` list.
        client_options: Further keyword arguments of every aiokafka client (TLS, SASL). Their values may be
            secret, so only the names are shown.
    """

    bootstrap_servers: str
    client_options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def client_arguments(self, **more: Any) -> dict[str, Any]:
        """Keyword arguments for an aiokafka client; ``more`` wins over the connection's own."""
        return {"bootstrap_servers": self.bootstrap_servers, **self.client_options, **more}

    def __repr__(self) -> str:
        shown = f"{self.bootstrap_servers!r}"
        if self.client_options:
            shown += f", client_options={{{', '.join(sorted(self.client_options))}: ...}}"
        return f"BrokerConnection({shown})"


@dataclass(frozen=True)
class BrokerCapabilities:
    """What a broker allows; what needs a capability that is missing is refused with that reason.

    Args:
        create_topics: Topics may be created.
        delete_topics: Topics may be deleted.
        tls: The listener is, or can be made, encrypted.
        sasl: The listener can ask for a user name.
        durable_restart: Stop and start keep the records.
    """

    create_topics: bool
    delete_topics: bool
    tls: bool
    sasl: bool
    durable_restart: bool


def _silent(_: str) -> None:
    """Default of `BrokerOptions.report`."""


@dataclass(frozen=True)
class BrokerOptions:
    """All that decides which broker is used and how it is started.

    Args:
        kind: ``"auto"`` or one of `KINDS`; see `pytest_eng5.brokers.resolve_kind`.
        bootstrap_servers: ``host:port`` list of an external broker.
        kafka_home: An unpacked Apache Kafka whose ``libs/`` replace the fetched jars.
        work_dir: Where a temporary folder for the broker's data is made; default is the system's.
        log_path: The broker's log; by default beside the data and removed with it.
        watch_pid: The broker ends when this process is gone; default is the calling process.
        client_options: Keyword arguments of every aiokafka client of an external broker.
        may_create_topics: Whether topics may be created on an external broker.
        java_home: A Java runtime to use instead of the one found.
        port: Port of the embedded broker on 127.0.0.1; default is any free one.
        image: Image of a container broker; default is `pytest_eng5.brokers.container.DEFAULT_IMAGE`.
        reuse: Leave a container running at the end and use it again next time.
        start_timeout: Seconds for the broker to be ready (embedded) or to answer (external).
        report: Called with one line of text when something takes long (fetching jars).
    """

    kind: str = "auto"
    bootstrap_servers: str | None = None
    kafka_home: Path | None = None
    work_dir: Path | None = None
    log_path: Path | None = None
    watch_pid: int | None = None
    client_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    may_create_topics: bool = False
    java_home: Path | None = None
    port: int | None = None
    image: str | None = None
    reuse: bool = False
    start_timeout: float | None = None
    report: Callable[[str], None] = field(default=_silent, repr=False)


class Broker(Protocol):
    """A broker backend. ``start`` and ``stop`` may be called from any thread, also inside a running loop."""

    @property
    def kind(self) -> BrokerKind: ...

    @property
    def capabilities(self) -> BrokerCapabilities: ...

    @property
    def connection(self) -> BrokerConnection:
        """How to reach the broker; raises BrokerError before `start`."""
        ...

    def start(self) -> BrokerConnection:
        """Bring the broker up (embedded) or make sure that it answers (external)."""
        ...

    def stop(self) -> None:
        """End what `start` started; harmless when repeated, and for a broker that is not ours."""
        ...

    def failure(self) -> str | None:
        """None while all is well, else why the broker is unusable, with the last lines of its log."""
        ...

    def describe(self) -> str:
        """One line for a report header."""
        ...

    def record(self) -> dict[str, Any]:
        """Plain JSON from which `pytest_eng5.brokers.attach` makes the same broker in another process."""
        ...
