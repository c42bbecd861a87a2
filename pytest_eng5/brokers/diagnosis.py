"""Why a Kafka server cannot be used: what aiokafka keeps to its log, found out by asking again.

Only called once something has failed. Connections are opened with the user's settings, then, where that
says too little, with others: without TLS, with TLS that verifies nothing, without SASL. A password is sent
only as the settings say.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pytest_eng5.brokers.errors import AuthenticationFailed, BrokerUnreachable, TlsFailed
from pytest_eng5.brokers.model import BrokerConnection
from pytest_eng5.kafka_config import certificate_validity

if TYPE_CHECKING:
    from aiokafka.conn import AIOKafkaConnection

__all__ = ["Diagnosis", "diagnose", "unusable"]

_SECONDS = 2.0
_CLOSING_SECONDS = 0.1
_FILE = "the file of --eng5-kafka-config"
_NO_MECHANISM = "NONE"

# OpenSSL's X509_V_ERR codes, grouped.
_EXPIRED = 10
_NOT_YET_VALID = 9
_UNKNOWN_CA = frozenset({2, 18, 19, 20, 21})
_OTHER_NAME = frozenset({62, 63, 64})

# What OpenSSL calls an alert of the other side, without the TLS version in front, which says nothing.
_ALERT = "ALERT_"
_NO_CLIENT_CERTIFICATE = "CERTIFICATE_REQUIRED"
_BAD_CLIENT_CERTIFICATE = frozenset(
    {
        *("ACCESS_DENIED", "BAD_CERTIFICATE", "CERTIFICATE_EXPIRED", "CERTIFICATE_REVOKED"),
        *("CERTIFICATE_UNKNOWN", "UNKNOWN_CA", "UNSUPPORTED_CERTIFICATE"),
    }
)
_NOT_AGREED = frozenset({"HANDSHAKE_FAILURE", "INSUFFICIENT_SECURITY", "PROTOCOL_VERSION"})


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why one server cannot be used.

    Attributes:
        error: The class of error to raise.
        what: The reason, to be read after the server's address.
        fix: What to do about it.
    """

    error: type[BrokerUnreachable]
    what: str
    fix: str


@dataclass(frozen=True, slots=True)
class _Server:
    """One address, and the settings with which it is to be used."""

    host: str
    port: int
    options: Mapping[str, Any]

    @property
    def protocol(self) -> str:
        return str(self.options.get("security_protocol", "PLAINTEXT"))

    @property
    def tls(self) -> bool:
        return self.protocol in ("SSL", "SASL_SSL")

    @property
    def sasl(self) -> bool:
        return self.protocol.startswith("SASL_")

    @contextlib.asynccontextmanager
    async def connected(self, **instead: Any) -> AsyncIterator[AIOKafkaConnection]:
        """An aiokafka connection with the settings, or with others instead."""
        from aiokafka.conn import AIOKafkaConnection

        names = (
            "security_protocol",
            "ssl_context",
            "sasl_mechanism",
            "sasl_plain_username",
            "sasl_plain_password",
        )
        given = {name: self.options[name] for name in names if name in self.options} | instead
        made = AIOKafkaConnection(self.host, self.port, request_timeout_ms=int(_SECONDS * 1000), **given)
        try:
            await made.connect()
            yield made
        finally:
            if closed := made.close():  # pending for ever where TLS failed
                await asyncio.wait({closed}, timeout=_CLOSING_SECONDS)


async def diagnose(host: str, port: int, options: Mapping[str, Any]) -> Diagnosis | None:
    """Use a server once, up to its list of brokers; None if that works.

    Args:
        host: Name or address.
        port: Its port.
        options: Client options, as in `BrokerConnection.client_options`.
    """
    from aiokafka.protocol.metadata import MetadataRequest

    server = _Server(host, port, options)
    try:
        async with asyncio.timeout(_SECONDS), server.connected() as connection:
            await connection.send(MetadataRequest([]))
    except Exception as error:  # aiokafka's assertions and decoding errors come through as they are
        return await _reason(server, error)
    return None


async def unusable(connection: BrokerConnection, error: Exception) -> BrokerUnreachable:
    """The error to raise when nothing could be done with a broker: what is wrong at each of its addresses.

    Args:
        connection: The broker.
        error: What aiokafka said; told if nothing is found wrong now.
    """
    servers = connection.bootstrap_servers.split(",")
    asked = (diagnose(*_host_and_port(server), connection.client_options) for server in servers)
    found = list(zip(servers, await asyncio.gather(*asked), strict=True))
    wrong = [(server.strip(), reason) for server, reason in found if reason is not None]
    if len(wrong) < len(found):
        return BrokerUnreachable(
            f"the broker answers, but not in time or not always ({str(error) or type(error).__name__})",
            where=connection.bootstrap_servers,
            fix="try again, or look at the broker's log",
        )
    # A server that answers and refuses tells more than one that is off.
    _, first = next((pair for pair in wrong if pair[1].error is not BrokerUnreachable), wrong[0])
    reasons = "; ".join(f"{server} {reason.what}" for server, reason in wrong)
    instead = "; without --eng5-bootstrap-servers an embedded broker is started"
    fix = first.fix + (instead if first.error is BrokerUnreachable else "")
    return first.error(f"no Kafka broker can be used: {reasons}", fix=fix)


def _host_and_port(address: str) -> tuple[str, int]:
    """Host, without the brackets of IPv6, and port of ``host:port``."""
    host, _, port = address.strip().rpartition(":")
    return host.strip("[]"), int(port)


async def _reason(server: _Server, error: Exception) -> Diagnosis:
    known = await _tls_reason(server, error) or await _sasl_reason(server, error)
    if known is not None:
        return known
    if (unreachable := await _tcp_reason(server)) is not None:
        return unreachable
    if (other := await _protocol_reason(server)) is not None:
        return other
    if isinstance(error, ssl.SSLError):
        return Diagnosis(
            TlsFailed,
            f"fails in the TLS handshake ({_worded(error.reason)})",
            "check host and port, and see the broker's log",
        )
    return Diagnosis(
        BrokerUnreachable,
        "accepts connections but does not answer as a Kafka broker with these TLS/SASL settings",
        "check host and port, and security_protocol in " + _FILE,
    )


async def _tls_reason(server: _Server, error: Exception) -> Diagnosis | None:
    cause = error.__cause__ if isinstance(error.__cause__, ssl.SSLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return await _certificate_reason(server, cause)
    reason = (getattr(cause, "reason", None) if isinstance(cause, ssl.SSLError) else None) or ""
    alert = reason.partition(_ALERT)[2]
    if alert == _NO_CLIENT_CERTIFICATE:
        what = "asks clients for a certificate, and none was shown"
        return Diagnosis(TlsFailed, what, f"set ssl.cert_file and ssl.key_file in {_FILE}")
    if alert in _BAD_CLIENT_CERTIFICATE:
        what = f"does not accept this client's certificate ({_worded(alert)})"
        fix = "use one of a CA that the broker trusts, with its intermediate certificates in ssl.cert_file"
        return Diagnosis(TlsFailed, what, fix)
    if alert in _NOT_AGREED:
        likely = "it wants a client certificate, or no cipher is common"
        what = f"ended the TLS handshake ({_worded(alert)}): {likely}"
        fix = f"set ssl.cert_file and ssl.key_file in {_FILE}, or see the broker's log"
        return Diagnosis(TlsFailed, what, fix)
    return None


def _worded(reason: str | None) -> str:
    """OpenSSL's name of an error, to be read by people."""
    return (reason or "no reason given").replace("_", " ").lower()


async def _certificate_reason(server: _Server, error: ssl.SSLCertVerificationError) -> Diagnosis:
    if error.verify_code in _UNKNOWN_CA:
        what = f"shows a certificate of a CA that is not trusted here ({error.verify_message})"
        fix = f"set ssl.ca_file in {_FILE} to the certificate of the CA that signed the broker's"
    elif error.verify_code == _EXPIRED:
        what = f"shows a certificate that expired{await _expiry(server)}"
        fix = "whoever runs the broker must renew it; if it is still valid, correct the clock of this machine"
    elif error.verify_code == _NOT_YET_VALID:
        what = "shows a certificate that is not valid yet"
        fix = "correct the clock of this machine or of the broker's"
    elif error.verify_code in _OTHER_NAME:
        what = f"shows a certificate for another name{await _names(server)}"
        fix = f"use a name that it is for; or set ssl.check_hostname to false in {_FILE}, which is weaker"
    else:
        what = f"shows a certificate that is not accepted ({error.verify_message})"
        fix = f"look at ssl.ca_file in {_FILE} and at: openssl s_client -connect {server.host}:{server.port}"
    return Diagnosis(TlsFailed, what, fix)


async def _expiry(server: _Server) -> str:
    shown = await _hello(server, _trusting())
    der = shown.getpeercert(binary_form=True) if shown else None
    # It may be an intermediate certificate that expired.
    ended = certificate_validity(der)[1] if der else datetime.max.replace(tzinfo=UTC)
    return f" on {ended:%Y-%m-%d %H:%M} UTC" if ended < datetime.now(UTC) else ""


async def _names(server: _Server) -> str:
    """The names in a certificate; the standard library decodes it only if the CA is trusted."""
    same = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    same.check_hostname = False
    same.load_verify_locations(cadata=b"".join(server.options["ssl_context"].get_ca_certs(binary_form=True)))
    shown = await _hello(server, same)
    certificate = (shown.getpeercert() if shown else None) or {}
    names = [str(pair[1]) for pair in certificate.get("subjectAltName", ())]
    return f" (it is for {', '.join(names)})" if names else ""


def _trusting() -> ssl.SSLContext:
    """For looking at a certificate: nothing is sent on such a connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _hello(server: _Server, context: ssl.SSLContext) -> ssl.SSLObject | None:
    """The state after a TLS handshake; None if there is none."""
    try:
        async with asyncio.timeout(_SECONDS):
            _, writer = await asyncio.open_connection(server.host, server.port, ssl=context)
    except (OSError, ValueError):
        return None
    state: ssl.SSLObject = writer.get_extra_info("ssl_object")
    await _hang_up(writer)
    return state


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    """Close at once: on TLS a polite end waits for the other side."""
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _sasl_reason(server: _Server, error: Exception) -> Diagnosis | None:
    from aiokafka.errors import IllegalSaslStateError, SaslAuthenticationFailed, UnsupportedSaslMechanismError

    mechanism, user = server.options.get("sasl_mechanism"), server.options.get("sasl_plain_username")
    if isinstance(error, SaslAuthenticationFailed):
        what = f"refuses user {user!r} with {mechanism}: {error.args[0] if error.args else 'no reason given'}"
        return Diagnosis(
            AuthenticationFailed, what, f"check sasl.username and sasl.password in {_FILE}, and the mechanism"
        )
    if isinstance(error, UnsupportedSaslMechanismError):
        offered = await _mechanisms(server)
        what = f"does not offer the SASL mechanism {mechanism}{_offer(offered)}"
        return Diagnosis(AuthenticationFailed, what, f"set sasl.mechanism in {_FILE} to one that it offers")
    if isinstance(error, IllegalSaslStateError):
        what = "does not ask for a user name on this port"
        without = server.protocol.replace("SASL_", "")
        return Diagnosis(
            AuthenticationFailed,
            what,
            f"set security_protocol in {_FILE} to {without}, or use the port meant for SASL",
        )
    if server.sasl and isinstance(error, ValueError) and "signature" in str(error):
        what = f"does not know the password of {user!r} itself: it may not be the broker that it seems to be"
        return Diagnosis(AuthenticationFailed, what, "check the address and who answers there")
    return None


async def _tcp_reason(server: _Server) -> Diagnosis | None:
    """Why not even a plain TCP connection can be made."""
    fix = "check host and port and that the broker runs"
    try:
        async with asyncio.timeout(_SECONDS):
            _, writer = await asyncio.open_connection(server.host, server.port)
    except TimeoutError:
        return Diagnosis(BrokerUnreachable, f"does not answer within {_SECONDS:g} s", fix)
    except OSError as error:
        return Diagnosis(BrokerUnreachable, f"cannot be reached: {error.strerror or error}", fix)
    await _hang_up(writer)
    return None


async def _protocol_reason(server: _Server) -> Diagnosis | None:
    """Whether the server would understand another security protocol."""
    other, offered = await asyncio.gather(_answers_otherwise(server), _mechanisms(server))
    if other and server.tls:
        return Diagnosis(
            TlsFailed,
            "is not encrypted on this port, but TLS was asked for",
            f"use the port meant for TLS, or set security_protocol in {_FILE} to "
            + ("SASL_PLAINTEXT" if server.sasl else "PLAINTEXT (SASL_PLAINTEXT with a user name)"),
        )
    if other:
        return Diagnosis(
            TlsFailed,
            "expects TLS on this port, but was spoken to without",
            f"set security_protocol in {_FILE} to "
            + ("SASL_SSL" if server.sasl else "SSL (SASL_SSL with a user name)"),
        )
    if offered and not server.sasl:
        return Diagnosis(
            AuthenticationFailed,
            f"asks for a user name and a password{_offer(offered)}",
            f"set security_protocol in {_FILE} to {'SASL_SSL' if server.tls else 'SASL_PLAINTEXT'}, "
            "and mechanism, username and password in section sasl",
        )
    return None


async def _answers_otherwise(server: _Server) -> bool:
    """Without TLS if the settings have it, with TLS if they do not."""
    if not server.tls:
        return await _hello(server, _trusting()) is not None
    with contextlib.suppress(Exception):
        async with asyncio.timeout(_SECONDS), server.connected(security_protocol="PLAINTEXT"):
            return True
    return False


async def _mechanisms(server: _Server) -> list[str]:
    """The SASL mechanisms that a server offers; none if it does not ask for a user name."""
    from aiokafka.protocol.admin import SaslHandShakeRequest

    with contextlib.suppress(Exception):
        without = "SSL" if server.tls else "PLAINTEXT"
        async with asyncio.timeout(_SECONDS), server.connected(security_protocol=without) as connection:
            answer = await connection.send(SaslHandShakeRequest(_NO_MECHANISM))
            return sorted(answer.enabled_mechanisms)
    return []


def _offer(mechanisms: list[str]) -> str:
    return f" (it offers {', '.join(mechanisms)})" if mechanisms else ""
