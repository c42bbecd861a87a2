"""The server's side of a secured listener: its settings checked, and put into Kafka's words.

A secured node has three listeners. ``CLIENTS`` is as the user asks. Kafka talks to itself over ``INTERNAL``
and ``CONTROLLER``, and has to be a super user there. Whoever reached these could therefore get round every
rule: so both ask for a password (SASL/PLAIN on loopback) that is made at each start and known to nobody
else, and their user has a name that cannot be guessed, so that no client certificate or user can bear it.
"""

from __future__ import annotations

import secrets
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from pytest_eng5.brokers.model import (
    AclRule,
    BrokerConnection,
    SaslMechanism,
    SecurityProtocol,
    ServerSecurity,
)
from pytest_eng5.brokers.pem import pkcs8_pem, read_pem
from pytest_eng5.brokers.ports import LOOPBACK
from pytest_eng5.errors import UsageError

__all__ = ["Insider", "check_security", "probe_options", "secured_properties"]

_CLIENTS = "listener.name.clients."
_AUTHORIZER = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
_ANONYMOUS = "ANONYMOUS"
_OPERATIONS = {
    *("all", "read", "write", "create", "delete", "alter", "describe", "cluster_action"),
    *("describe_configs", "alter_configs", "idempotent_write"),
}


@dataclass(frozen=True)
class Insider:
    """The user that Kafka itself is on its own listeners; new for each start."""

    name: str = field(default_factory=lambda: f"eng5-{secrets.token_hex(12)}")
    password: str = field(default_factory=lambda: secrets.token_hex(24), repr=False)

    def connection(self, port: int) -> BrokerConnection:
        """To the internal listener, where this user may do everything."""
        options = {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "PLAIN",
            "sasl_plain_username": self.name,
            "sasl_plain_password": self.password,
        }
        return BrokerConnection(f"{LOOPBACK}:{port}", options)


# ---- what the user asks for ------------------------------------------------------------------------------


def check_security(security: ServerSecurity) -> None:
    """Refuse settings that do not fit together.

    Raises:
        UsageError: Says which, and what is missing.
    """
    if security.protocol not in get_args(SecurityProtocol):
        raise _refusal(f"{security.protocol!r} is not one of {', '.join(get_args(SecurityProtocol))}")
    if security.sasl:
        _check_sasl(security)
    if security.tls:
        _check_tls(security)
    for name in {*security.users, *security.client_certificates, *security.super_users}:
        if not name or ";" in name or not name.isprintable():
            raise _refusal(f"{name!r} cannot be a user name")
    for rule in security.acls or ():
        _check_rule(rule)
    if security.acls is not None and not {security.default_user, _ANONYMOUS} & set(security.super_users):
        raise _refusal("access control needs a super user who is one of the users")


def _check_sasl(security: ServerSecurity) -> None:
    if security.mechanism not in get_args(SaslMechanism):
        raise _refusal(f"{security.protocol} needs a mechanism: one of {', '.join(get_args(SaslMechanism))}")
    if not security.users or not all(security.users.values()):
        raise _refusal(f"{security.protocol} needs users, each with a password")


def _check_tls(security: ServerSecurity) -> None:
    if security.certificate is None or security.private_key is None:
        raise _refusal(f"{security.protocol} needs a certificate and its private key")
    if security.client_auth != "none" and security.ca is None:
        raise _refusal("client certificates need a CA that has signed them")
    if security.client_auth == "required" and security.default_user not in security.client_certificates:
        who = f"of {security.default_user!r}" if security.default_user else "of one user at least"
        raise _refusal(f"client certificates are required, so the one {who} must be known")


def _check_rule(rule: AclRule) -> None:
    unknown = sorted(set(rule.operations) - _OPERATIONS)
    if unknown or not rule.operations:
        raise _refusal(f"{rule} has no known operation {', '.join(unknown)}".rstrip())


def _refusal(what: str) -> UsageError:
    return UsageError(what, where="security of the embedded broker", fix="correct its ServerSecurity")


def probe_options(security: ServerSecurity) -> dict[str, Any]:
    """Client options to find out whether the broker is ready.

    They do not judge the server's certificate: one that has expired is as good as any for a test of clients.
    """
    options = security.client_options()
    context = options.get("ssl_context")
    if isinstance(context, ssl.SSLContext):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return options


# ---- in Kafka's words ------------------------------------------------------------------------------------


def secured_properties(
    security: ServerSecurity, insider: Insider, port: int, controller_port: int, internal_port: int
) -> dict[str, str]:
    """The server properties that differ from those of a plain node."""
    clients, internal = f"CLIENTS://{LOOPBACK}:{port}", f"INTERNAL://{LOOPBACK}:{internal_port}"
    own = _jaas(_PLAIN, {"username": insider.name, "password": insider.password, **_known(insider)})
    properties = {
        "listeners": f"{clients},{internal},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"{clients},{internal}",
        "listener.security.protocol.map": f"CLIENTS:{security.protocol},INTERNAL:SASL_PLAINTEXT,"
        "CONTROLLER:SASL_PLAINTEXT",
        "inter.broker.listener.name": "INTERNAL",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "sasl.mechanism.controller.protocol": "PLAIN",
    }
    for listener in ("internal", "controller"):
        properties[f"listener.name.{listener}.sasl.enabled.mechanisms"] = "PLAIN"
        properties[f"listener.name.{listener}.plain.sasl.jaas.config"] = own
    if security.sasl:
        properties |= _sasl(security)
    if security.tls:
        properties |= _tls(security)
    if security.acls is not None:
        properties["authorizer.class.name"] = _AUTHORIZER
        supers = [insider.name, *security.super_users]
        properties["super.users"] = ";".join(f"User:{name}" for name in supers)
    return properties


def _known(insider: Insider) -> dict[str, str]:
    return {f"user_{insider.name}": insider.password}


def _sasl(security: ServerSecurity) -> dict[str, str]:
    mechanism = str(security.mechanism)
    # The users of SCRAM live in the metadata, those of PLAIN in this line.
    users = {f"user_{name}": password for name, password in security.users.items()}
    line = _jaas(_PLAIN, users) if mechanism == "PLAIN" else _jaas(_SCRAM, {})
    return {
        f"{_CLIENTS}sasl.enabled.mechanisms": mechanism,
        f"{_CLIENTS}{mechanism.lower()}.sasl.jaas.config": line,
    }


def _jaas(module: str, options: dict[str, str]) -> str:
    return " ".join([module, "required", *(f"{_quoted(k)}={_quoted(v)}" for k, v in options.items())]) + ";"


def _quoted(text: str) -> str:
    """A string as Java's StreamTokenizer reads it back."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def _tls(security: ServerSecurity) -> dict[str, str]:
    assert security.certificate is not None
    assert security.private_key is not None
    properties = {
        f"{_CLIENTS}ssl.keystore.type": "PEM",
        f"{_CLIENTS}ssl.keystore.certificate.chain": read_pem(security.certificate),
        f"{_CLIENTS}ssl.keystore.key": pkcs8_pem(security.private_key),
        f"{_CLIENTS}ssl.client.auth": security.client_auth,
        # The common name, so that a user is called the same whatever proves it.
        f"{_CLIENTS}ssl.principal.mapping.rules": r"RULE:^(?:.*[^\\],)?CN=([^,]+).*$/$1/,DEFAULT",
    }
    if security.ca is not None:
        properties[f"{_CLIENTS}ssl.truststore.type"] = "PEM"
        properties[f"{_CLIENTS}ssl.truststore.certificates"] = read_pem(Path(security.ca))
    return properties
