"""How to reach a secured Kafka: TLS and SASL settings from a TOML or YAML file.

Secrets come from the environment (``${NAME}``) or stand in the file; they are in no error and no ``repr``.
"""

from __future__ import annotations

import os
import ssl
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pytest_eng5.errors import UsageError

__all__ = ["KafkaConfig", "load_kafka_config"]


@dataclass(frozen=True, slots=True)
class KafkaConfig:
    """The settings of one file, checked; see `load_kafka_config` for the keys.

    Attributes:
        security_protocol: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
        bootstrap_servers: ``host:port`` list, if the file names one.
        warnings: What is allowed but weakens security, one sentence each, for a report header.
    """

    security_protocol: str = "PLAINTEXT"
    bootstrap_servers: str | None = None
    warnings: tuple[str, ...] = ()
    mechanism: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ssl_context: ssl.SSLContext | None = field(default=None, repr=False, compare=False)

    def client_options(self) -> dict[str, Any]:
        """Keyword arguments for every aiokafka client but the bootstrap servers; the values may be secret."""
        options: dict[str, Any] = {"security_protocol": self.security_protocol}
        if self.ssl_context is not None:
            options["ssl_context"] = self.ssl_context
        if self.mechanism is not None:
            options["sasl_mechanism"] = self.mechanism
            options["sasl_plain_username"] = self.username
            options["sasl_plain_password"] = self.password
        return options


def load_kafka_config(path: Path, environ: Mapping[str, str] | None = None) -> KafkaConfig:
    """Read and check a file of Kafka settings, TOML or YAML by its suffix.

    Args:
        path: The file. Paths in it are relative to its folder.
        environ: What ``${NAME}`` refers to; default is the environment of this process.

    Raises:
        UsageError: With file, key, what is wrong and how to fix it; never with a value that may be secret.
    """
    try:
        text = path.read_text(encoding="utf-8")
        raw = tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text) or {}
    except (OSError, ValueError, yaml.YAMLError):
        raise UsageError("cannot be read", where=str(path), fix="give a TOML or YAML file") from None
    env = os.environ if environ is None else environ
    tls, sasl = raw.get("ssl", {}), raw.get("sasl", {})
    protocol = raw.get("security_protocol", "PLAINTEXT")
    context = None
    if protocol in ("SSL", "SASL_SSL"):
        ca = tls.get("ca_file")
        context = ssl.create_default_context(cafile=str(path.parent / ca) if ca else None)
        context.check_hostname = tls.get("check_hostname", True)
        if "cert_file" in tls:
            key = tls.get("key_file")
            context.load_cert_chain(path.parent / tls["cert_file"], path.parent / key if key else None)
    password = sasl.get("password")
    if password is not None and password.startswith("${"):
        password = env[password[2:-1]]
    return KafkaConfig(
        security_protocol=protocol,
        bootstrap_servers=raw.get("bootstrap_servers"),
        mechanism=sasl.get("mechanism"),
        username=sasl.get("username"),
        password=password,
        ssl_context=context,
    )
