"""Brokers: always a real Kafka; what differs is who starts it.

``create_broker(BrokerOptions(...)).start()`` returns a `BrokerConnection` to a broker that has passed a
record through (embedded) or has answered (external).
"""

from __future__ import annotations

from pytest_eng5.brokers.access import check_access
from pytest_eng5.brokers.container import ContainerBroker
from pytest_eng5.brokers.embedded import EmbeddedBroker
from pytest_eng5.brokers.engine import (
    ContainerImageMissing,
    ContainerImageUnusable,
    ContainerSupportMissing,
    NoContainerEngine,
)
from pytest_eng5.brokers.errors import (
    AccessDenied,
    AuthenticationFailed,
    BrokerError,
    BrokerNotReady,
    BrokerStopped,
    BrokerUnreachable,
    ChecksumMismatch,
    DiskFull,
    KafkaHomeInvalid,
    KafkaNotInstalled,
    NoJava,
    NoNetwork,
    PortInUse,
    TlsFailed,
    TopicsMissing,
)
from pytest_eng5.brokers.external import ExternalBroker
from pytest_eng5.brokers.factory import attach, create_broker, resolve_kind
from pytest_eng5.brokers.install import Installation, install, serve
from pytest_eng5.brokers.model import (
    KINDS,
    AclRule,
    Broker,
    BrokerCapabilities,
    BrokerConnection,
    BrokerKind,
    BrokerOptions,
    ServerSecurity,
)
from pytest_eng5.brokers.probe import DEFAULT_PARTITIONS, ensure_topics, probe, round_trip

__all__ = [
    "DEFAULT_PARTITIONS",
    "KINDS",
    "AccessDenied",
    "AclRule",
    "AuthenticationFailed",
    "Broker",
    "BrokerCapabilities",
    "BrokerConnection",
    "BrokerError",
    "BrokerKind",
    "BrokerNotReady",
    "BrokerOptions",
    "BrokerStopped",
    "BrokerUnreachable",
    "ChecksumMismatch",
    "ContainerBroker",
    "ContainerImageMissing",
    "ContainerImageUnusable",
    "ContainerSupportMissing",
    "DiskFull",
    "EmbeddedBroker",
    "ExternalBroker",
    "Installation",
    "KafkaHomeInvalid",
    "KafkaNotInstalled",
    "NoContainerEngine",
    "NoJava",
    "NoNetwork",
    "PortInUse",
    "ServerSecurity",
    "TlsFailed",
    "TopicsMissing",
    "attach",
    "check_access",
    "create_broker",
    "ensure_topics",
    "install",
    "probe",
    "resolve_kind",
    "round_trip",
    "serve",
]
