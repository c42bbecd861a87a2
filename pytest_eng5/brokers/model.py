"""The words of this room: how to reach a broker, what it can do, what a backend must offer."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

__all__ = [
    "KINDS",
    "AclRule",
    "Broker",
    "BrokerCapabilities",
    "BrokerConnection",
    "BrokerKind",
    "BrokerOptions",
    "SaslMechanism",
    "SecurityProtocol",
    "ServerSecurity",
]

BrokerKind = Literal["embedded", "external", "container"]
"""Who starts the broker: this package, somebody else, a container engine."""

KINDS: tuple[BrokerKind, ...] = get_args(BrokerKind)

SecurityProtocol = Literal["SSL", "SASL_PLAINTEXT", "SASL_SSL"]
"""How clients talk to a secured listener, by Kafka's names."""

SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
"""How a client proves its user name, by Kafka's names."""


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


@dataclass(frozen=True)
class AclRule:
    """One rule of the broker's access control: who may do what with which resource.

    Args:
        user: User name without ``User:``; ``"*"`` is everybody.
        operations: ``"read"``, ``"write"``, ``"describe"``, ``"create"``, ``"delete"``, ``"alter"``,
            ``"describe_configs"``, ``"alter_configs"``, ``"cluster_action"``, ``"idempotent_write"`` or
            ``"all"``.
        resource: ``"topic"``, ``"group"``, ``"cluster"`` or ``"transactional_id"``.
        name: Of the resource; ``"*"`` is all of them. Ignored for the cluster.
        prefixed: Whether ``name`` is the beginning of the names that are meant.
        deny: Whether the rule forbids, which wins over every rule that allows.
    """

    user: str
    operations: tuple[str, ...]
    resource: Literal["topic", "group", "cluster", "transactional_id"] = "topic"
    name: str = "*"
    prefixed: bool = False
    deny: bool = False


@dataclass(frozen=True)
class ServerSecurity:
    """How the listener of an embedded broker is secured; every file is PEM.

    In a ``data_dir`` users of SCRAM and rules stay: a later start changes passwords and adds, but does not
    remove those that it no longer names.

    Args:
        protocol: Of the clients' listener.
        mechanism: Of the SASL protocols.
        users: User name to password, for the SASL protocols.
        certificate: The server's certificate, followed by the intermediate ones if there are any; for the
            protocols with SSL. It must be valid for 127.0.0.1.
        private_key: Its key, not encrypted.
        ca: Certificates of those who signed: the server trusts client certificates signed by them, and the
            clients of `client_options` trust the server's.
        client_auth: Whether clients must (``"required"``), may (``"requested"``) or need not show a
            certificate. Under ``"SSL"`` its common name is the user name.
        client_certificates: User name to certificate chain and key, for the clients of `client_options`.
        super_users: User names that may do everything.
        acls: Rules created at start; None switches access control off, an empty tuple allows nothing to
            anybody but the super users.
    """

    protocol: SecurityProtocol
    mechanism: SaslMechanism | None = None
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    certificate: Path | None = None
    private_key: Path | None = None
    ca: Path | None = None
    client_auth: Literal["none", "requested", "required"] = "none"
    client_certificates: Mapping[str, tuple[Path, Path]] = field(default_factory=dict)
    super_users: tuple[str, ...] = ()
    acls: tuple[AclRule, ...] | None = None

    @property
    def tls(self) -> bool:
        """Whether the listener is encrypted."""
        return self.protocol in ("SSL", "SASL_SSL")

    @property
    def sasl(self) -> bool:
        """Whether the listener asks for a user name and a password."""
        return self.protocol in ("SASL_PLAINTEXT", "SASL_SSL")

    def client_options(self, user: str | None = None) -> dict[str, Any]:
        """Keyword arguments of an aiokafka client for the secured listener.

        Args:
            user: One of ``users`` (SASL) or ``client_certificates`` (SSL); default is the first super user
                who is one of them, else the first of them.
        """
        name = self.default_user if user is None else user
        options: dict[str, Any] = {"security_protocol": self.protocol}
        if self.tls:
            context = ssl.create_default_context(cafile=self.ca)
            if name is not None and name in self.client_certificates:
                context.load_cert_chain(*self.client_certificates[name])
            options["ssl_context"] = context
        if self.sasl:
            options["sasl_mechanism"] = self.mechanism
            options["sasl_plain_username"] = name
            options["sasl_plain_password"] = self.users[name or ""]
        return options

    @property
    def default_user(self) -> str | None:
        """The user of the broker's own connection: a super user if possible; None where nobody has a name."""
        known = list(self.users if self.sasl else self.client_certificates)
        return next((name for name in [*self.super_users, *known] if name in known), None)


def silent(_: str) -> None:
    """Report nothing: the default of `BrokerOptions.report`."""


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
        security: How the listener of an embedded broker is secured; default is not at all.
        properties: Server properties of an embedded broker to add or replace.
        data_dir: Where an embedded broker keeps topics, records and offsets over stop and start; default is a
            temporary folder that is removed when the broker stops.
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
    security: ServerSecurity | None = None
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)
    data_dir: Path | None = None
    start_timeout: float | None = None
    report: Callable[[str], None] = field(default=silent, repr=False)


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
