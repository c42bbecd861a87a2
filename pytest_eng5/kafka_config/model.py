"""What a file of Kafka settings says, once checked."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Any

from pytest_eng5.kafka_config.redaction import Secret

__all__ = ["MECHANISMS", "SECURITY_PROTOCOLS", "KafkaConfig"]

SECURITY_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
"""How a listener is secured, in Kafka's own words."""

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
"""The SASL mechanisms that need a user name and a password and nothing else."""


@dataclass(frozen=True, slots=True)
class KafkaConfig:
    """The settings of one file; see `load_kafka_config` for the keys.

    Attributes:
        security_protocol: One of `SECURITY_PROTOCOLS`.
        bootstrap_servers: ``host:port`` list, if the file names one.
        warnings: What is allowed but weakens security, one sentence each, for a report header.
        mechanism: One of `MECHANISMS`, if the protocol has SASL.
        username: The user name for it.
        password: Its password; not shown.
        ssl_context: Trusted CAs and own certificate, if the protocol has TLS; not shown.
    """

    security_protocol: str = "PLAINTEXT"
    bootstrap_servers: str | None = None
    warnings: tuple[str, ...] = ()
    mechanism: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ssl_context: ssl.SSLContext | None = field(default=None, repr=False, compare=False)

    def client_options(self) -> dict[str, Any]:
        """Keyword arguments of every aiokafka client, without the bootstrap servers; values may be secret."""
        options: dict[str, Any] = {"security_protocol": self.security_protocol}
        if self.ssl_context is not None:
            options["ssl_context"] = self.ssl_context
        if self.mechanism is not None:
            options["sasl_mechanism"] = self.mechanism
            options["sasl_plain_username"] = self.username
            options["sasl_plain_password"] = Secret(self.password or "")
        return options

    def describe(self) -> str:
        """One line for a report header, such as ``SASL_SSL, SCRAM-SHA-512 as eng5``."""
        if self.mechanism is None:
            return self.security_protocol
        return f"{self.security_protocol}, {self.mechanism} as {self.username}"
