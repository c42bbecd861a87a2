"""What can go wrong with a broker; each error says how to get out of it."""

from __future__ import annotations

from pytest_eng5.errors import InfrastructureError

__all__ = [
    "OTHER_WAYS",
    "AccessDenied",
    "AuthenticationFailed",
    "BrokerError",
    "BrokerNotReady",
    "BrokerStopped",
    "BrokerUnreachable",
    "ChecksumMismatch",
    "DiskFull",
    "KafkaHomeInvalid",
    "KafkaNotInstalled",
    "NoJava",
    "NoNetwork",
    "PortInUse",
    "TlsFailed",
    "TopicsMissing",
]

OTHER_WAYS = (
    "use an unpacked Apache Kafka with --eng5-kafka-home DIR, or a running one with "
    "--eng5-broker external --eng5-bootstrap-servers HOST:PORT"
)
"""The two ways around a broker that cannot be fetched or started here, as messages say it."""


class BrokerError(InfrastructureError):
    """Root of the errors of this room."""


class KafkaNotInstalled(BrokerError):
    """The Python packages that fetch Apache Kafka are not installed."""


class NoJava(BrokerError):
    """No Java runtime that is new enough was found."""


class NoNetwork(BrokerError):
    """The jars of Apache Kafka are not in the cache and cannot be fetched."""


class ChecksumMismatch(BrokerError):
    """A jar is not the one whose SHA-256 the package has on record."""


class DiskFull(BrokerError):
    """There is too little space for the jars or the data of the broker."""


class KafkaHomeInvalid(BrokerError):
    """The folder given as an unpacked Apache Kafka is not one."""


class PortInUse(BrokerError):
    """Another process listens on the port that the user fixed, or on every port tried."""


class BrokerStopped(BrokerError):
    """The broker process ended although nobody asked it to."""


class BrokerNotReady(BrokerError):
    """The broker runs but did not pass a record through in time."""


class BrokerUnreachable(BrokerError):
    """No broker answers at the bootstrap servers."""


class TlsFailed(BrokerUnreachable):
    """Client and broker do not agree on encryption, or one does not accept the other's certificate."""


class AuthenticationFailed(BrokerUnreachable):
    """The broker does not accept user name and password, or they do not agree on how to ask for them."""


class AccessDenied(BrokerError):
    """The account lacks rights on topics, the consumer group or the cluster."""


class TopicsMissing(BrokerError):
    """Topics are missing on a broker where none may be created, or could not be created."""
