"""Settings that fit together, or an error that says which do not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pytest_eng5.kafka_config.model import MECHANISMS, SECURITY_PROTOCOLS, KafkaConfig
from pytest_eng5.kafka_config.reading import read_settings
from pytest_eng5.kafka_config.redaction import hide_credentials
from pytest_eng5.kafka_config.settings import Settings
from pytest_eng5.kafka_config.tls import client_context

__all__ = ["load_kafka_config"]

_SASL = ("SASL_SSL", "SASL_PLAINTEXT")
_TLS = ("SSL", "SASL_SSL")


def load_kafka_config(path: Path, environ: Mapping[str, str] | None = None) -> KafkaConfig:
    """Read and check a file of Kafka settings, TOML or YAML by its suffix.

    The keys: ``security_protocol`` (default PLAINTEXT) and ``bootstrap_servers``; in section ``ssl``
    ``ca_file`` (default: the CAs of the system), ``cert_file``, ``key_file``, ``key_password`` and
    ``check_hostname`` (default true); in section ``sasl`` ``mechanism``, ``username`` and ``password``.
    ``${NAME}`` in any text is an environment variable, ``$$`` a dollar sign.

    Args:
        path: The file. Paths in it are relative to its folder.
        environ: What ``${NAME}`` refers to; default is the environment of this process.

    Raises:
        UsageError: With file, key, what is wrong and how to fix it; never with a value that may be secret.
    """
    settings = read_settings(path, os.environ if environ is None else environ)
    protocol = _protocol(settings)
    _must_matter(settings, "ssl", protocol, _TLS)
    _must_matter(settings, "sasl", protocol, _SASL)
    mechanism = username = password = None
    warnings: tuple[str, ...] = ()
    if protocol in _SASL:
        hide_credentials()
        mechanism, username, password = _credentials(settings)
        if mechanism == "PLAIN" and protocol == "SASL_PLAINTEXT":
            warnings = (f"{path}: the password crosses the network unencrypted (PLAIN without TLS)",)
    context = None
    if protocol in _TLS:
        context, weak = client_context(settings)
        warnings = (*warnings, *weak)
    return KafkaConfig(
        security_protocol=protocol,
        bootstrap_servers=settings.text("bootstrap_servers"),
        warnings=warnings,
        mechanism=mechanism,
        username=username,
        password=password,
        ssl_context=context,
    )


def _protocol(settings: Settings) -> str:
    protocol = settings.choice("security_protocol", SECURITY_PROTOCOLS)
    if protocol is not None:
        return protocol
    tls, sasl = settings.given("ssl"), settings.given("sasl")
    if not tls and not sasl:
        return "PLAINTEXT"
    likely = ("SASL_SSL" if tls else "SASL_SSL or SASL_PLAINTEXT") if sasl else "SSL"
    raise settings.error(
        "security_protocol", f"is missing, but {(tls + sasl)[0]} is given", fix=f"add it: {likely}"
    )


def _must_matter(settings: Settings, section: str, protocol: str, having: tuple[str, ...]) -> None:
    """Settings that would be ignored are a mistake: the user believes that they protect something."""
    given = settings.given(section)
    if given and protocol not in having:
        named = settings.values.get("sasl.mechanism", "") if section == "sasl" else ""
        means = f" ({named})" if named in MECHANISMS else ""
        raise settings.error(
            given[0],
            f"has no effect{means}, since security_protocol is {protocol}",
            fix=f"set security_protocol to {' or '.join(having)}, or leave section {section} out",
        )


def _credentials(settings: Settings) -> tuple[str, str, str]:
    mechanism = settings.choice("sasl.mechanism", MECHANISMS)
    values = {
        "mechanism": mechanism,
        **{key: settings.text(f"sasl.{key}") for key in ("username", "password")},
    }
    examples = {"mechanism": " or ".join(MECHANISMS), "username": "the account", "password": '"${NAME}"'}
    for key, value in values.items():
        if value is None:
            raise settings.error(
                f"sasl.{key}", "is missing", fix=f"add {key} to section sasl: {examples[key]}"
            )
        if "\0" in value:
            raise settings.error(f"sasl.{key}", "holds a zero byte", fix="remove it")
    return str(values["mechanism"]), str(values["username"]), str(values["password"])
