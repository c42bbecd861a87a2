"""Why a secured broker cannot be used: each cause has its own words, within seconds.

All of it through a file of settings, as users give them, against real brokers.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_eng5.brokers import (
    AuthenticationFailed,
    BrokerOptions,
    BrokerUnreachable,
    EmbeddedBroker,
    ExternalBroker,
    TlsFailed,
    attach,
    check_access,
    ensure_topics,
)
from pytest_eng5.brokers.model import ServerSecurity
from pytest_eng5.errors import InfrastructureError
from pytest_eng5.kafka_config import load_kafka_config

SECRET = 'gehe$$im "§" ={,}'
DAY = datetime.timedelta(days=1)


def external(address: str, settings: Path, **more: Any) -> ExternalBroker:
    config = load_kafka_config(settings, {"SECRET": SECRET})
    options = BrokerOptions(
        kind="external", bootstrap_servers=address, client_options=config.client_options(), **more
    )
    return ExternalBroker(options)


def refused(
    kind: type[BrokerUnreachable], address: str, settings: Path, seconds: float = 30.0
) -> tuple[str, str]:
    """What is wrong and how to fix it, as `start` says."""
    broker = external(address, settings)
    since = time.monotonic()
    with pytest.raises(kind) as caught:
        broker.start()
    assert time.monotonic() - since < seconds
    assert type(caught.value) is kind
    assert isinstance(caught.value, InfrastructureError)
    assert SECRET not in f"{caught.value}{caught.value!r}"
    assert caught.value.fix
    assert f"no Kafka broker can be used: {address} " in caught.value.what
    return caught.value.what, caught.value.fix


def address_of(broker: EmbeddedBroker) -> str:
    return broker.connection.bootstrap_servers


@pytest.fixture(scope="module")
def plain(authority, start):
    """SASL_PLAINTEXT with PLAIN."""
    return address_of(start(ServerSecurity("SASL_PLAINTEXT", "PLAIN", users={"eng5": SECRET})))


@pytest.fixture(scope="module")
def scram(authority, start):
    """SASL_SSL with SCRAM-SHA-256."""
    certificate, key = authority.issue("scram", "127.0.0.1", "localhost")
    security = ServerSecurity(
        "SASL_SSL",
        "SCRAM-SHA-256",
        users={"eng5": SECRET},
        certificate=certificate,
        private_key=key,
        ca=authority.certificate,
    )
    return address_of(start(security))


@pytest.fixture(scope="module")
def client_certificate(authority):
    """Chain and key of the user ``eng5``."""
    return authority.issue("client", "eng5.example.org", common_name="eng5")


@pytest.fixture(scope="module")
def mutual(authority, start, client_certificate):
    """SSL where clients show a certificate."""
    certificate, key = authority.issue("mutual", "127.0.0.1", "localhost")
    security = ServerSecurity(
        "SSL",
        certificate=certificate,
        private_key=key,
        ca=authority.certificate,
        client_auth="required",
        client_certificates={"eng5": client_certificate},
    )
    return address_of(start(security))


@pytest.fixture(scope="module")
def expired(authority, start):
    """SSL with a certificate that ended two days ago; address and end."""
    end = datetime.datetime.now(datetime.UTC) - 2 * DAY
    certificate, key = authority.issue("old", "127.0.0.1", not_before=end - 9 * DAY, not_after=end)
    security = ServerSecurity("SSL", certificate=certificate, private_key=key, ca=authority.certificate)
    return address_of(start(security)), end


@pytest.fixture(scope="module")
def renamed(authority, start):
    """SSL with a certificate for other names."""
    certificate, key = authority.issue("renamed", "kafka.example.org", "10.0.0.7")
    security = ServerSecurity("SSL", certificate=certificate, private_key=key, ca=authority.certificate)
    return address_of(start(security))


@pytest.fixture
def with_sasl(authority, write_settings) -> Callable[..., Path]:
    """Settings with the right user."""

    def write(protocol: str, mechanism: str, user: str = "eng5", password: str = "${SECRET}") -> Path:
        keys = {"sasl_mechanism": mechanism, "sasl_username": user, "sasl_password": password}
        tls = {"ssl_ca_file": authority.certificate} if protocol == "SASL_SSL" else {}
        return write_settings(protocol, **keys, **tls)

    return write


@pytest.fixture
def with_tls(authority, write_settings) -> Callable[..., Path]:
    """Settings with the right CA."""

    def write(**more: object) -> Path:
        return write_settings("SSL", **{"ssl_ca_file": authority.certificate} | more)

    return write


class TestUsable:
    """Each kind of security, with a check of access and topics made."""

    def use(self, broker: ExternalBroker) -> None:
        connection = broker.start()
        assert broker.failure() is None
        asyncio.run(ensure_topics(connection, ["used"], may_create=True))
        asyncio.run(check_access(connection, read=["used"], write=["used"], group="used"))

    @pytest.mark.thorough
    def test_plain(self, plain, with_sasl):
        broker = external(plain, with_sasl("SASL_PLAINTEXT", "PLAIN"), may_create_topics=True)
        self.use(broker)
        assert broker.describe() == f"external broker at {plain} (SASL_PLAINTEXT PLAIN as eng5)"

    @pytest.mark.thorough
    def test_scram_256(self, scram, with_sasl):
        self.use(external(scram, with_sasl("SASL_SSL", "SCRAM-SHA-256")))

    @pytest.mark.thorough
    def test_scram_512(self, secured, write_settings):
        from_conftest = secured.security.users["admin"]
        settings = write_settings(
            "SASL_SSL",
            ssl_ca_file=secured.authority.certificate,
            sasl_mechanism="SCRAM-SHA-512",
            sasl_username="admin",
            sasl_password=from_conftest.replace("$", "$$"),
        )
        self.use(external(secured.servers, settings))

    def test_mutual_tls(self, mutual, with_tls, client_certificate):
        chain, key = client_certificate
        self.use(external(mutual, with_tls(ssl_cert_file=chain, ssl_key_file=key)))

    @pytest.mark.thorough
    def test_another_name_if_names_are_not_checked(self, renamed, with_tls):
        self.use(external(renamed, with_tls(ssl_check_hostname=False)))

    @pytest.mark.thorough
    def test_one_living_server_of_several_is_enough(self, scram, with_sasl):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            servers = f"127.0.0.1:{nobody.getsockname()[1]},{scram}"
            self.use(external(servers, with_sasl("SASL_SSL", "SCRAM-SHA-256")))

    def test_attached_by_another_process(self, scram, with_sasl):
        broker = external(scram, with_sasl("SASL_SSL", "SCRAM-SHA-256"))
        record = broker.record()
        assert SECRET not in str(record)
        twin = attach(record, BrokerOptions(client_options=broker.connection.client_options))
        twin.start()


class TestPasswords:
    @pytest.mark.parametrize(("user", "password"), [("eng5", "falsch"), ("nobody", "${SECRET}")])
    def test_plain(self, plain, with_sasl, caplog, user, password):
        with caplog.at_level(logging.DEBUG):
            settings = with_sasl("SASL_PLAINTEXT", "PLAIN", user, password)
            what, fix = refused(AuthenticationFailed, plain, settings)
        assert "SaslAuthenticateRequest" in caplog.text
        assert "falsch" not in caplog.text
        assert SECRET not in caplog.text
        assert f"refuses user {user!r} with PLAIN: Authentication failed" in what
        assert "falsch" not in what + fix
        assert "sasl.username and sasl.password" in fix

    @pytest.mark.parametrize(("user", "password"), [("eng5", "falsch"), ("nobody", "${SECRET}")])
    def test_scram(self, scram, with_sasl, user, password):
        what, _ = refused(AuthenticationFailed, scram, with_sasl("SASL_SSL", "SCRAM-SHA-256", user, password))
        assert f"refuses user {user!r} with SCRAM-SHA-256: Authentication failed" in what

    @pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
    def test_a_mechanism_that_is_not_offered(self, scram, with_sasl, mechanism):
        what, fix = refused(AuthenticationFailed, scram, with_sasl("SASL_SSL", mechanism))
        assert f"does not offer the SASL mechanism {mechanism} (it offers SCRAM-SHA-256)" in what
        assert "sasl.mechanism" in fix


class TestCertificates:
    def test_of_an_unknown_authority(self, scram, new_authority, write_settings):
        settings = write_settings(
            "SASL_SSL",
            ssl_ca_file=new_authority().certificate,
            sasl_mechanism="SCRAM-SHA-256",
            sasl_username="eng5",
            sasl_password="${SECRET}",
        )
        what, fix = refused(TlsFailed, scram, settings)
        assert "shows a certificate of a CA that is not trusted here" in what
        assert "ssl.ca_file" in fix

    def test_of_an_authority_that_the_system_does_not_know(self, mutual, write_settings):
        what, _ = refused(TlsFailed, mutual, write_settings("SSL"))
        assert "shows a certificate of a CA that is not trusted here" in what

    def test_expired(self, expired, with_tls):
        address, end = expired
        what, fix = refused(TlsFailed, address, with_tls())
        assert f"shows a certificate that expired on {end:%Y-%m-%d %H:%M} UTC" in what
        assert "renew" in fix

    @pytest.mark.thorough
    def test_for_another_name(self, renamed, with_tls):
        what, fix = refused(TlsFailed, renamed, with_tls())
        assert "shows a certificate for another name (it is for kafka.example.org, 10.0.0.7)" in what
        assert "ssl.check_hostname" in fix

    def test_none_shown_where_one_is_wanted(self, mutual, with_tls):
        what, fix = refused(TlsFailed, mutual, with_tls())
        assert "asks clients for a certificate, and none was shown" in what
        assert "ssl.cert_file and ssl.key_file" in fix

    def test_one_shown_that_the_broker_does_not_trust(self, mutual, with_tls, new_authority):
        chain, key = new_authority().issue("stranger", "eng5.example.org", common_name="eng5")
        what, fix = refused(TlsFailed, mutual, with_tls(ssl_cert_file=chain, ssl_key_file=key))
        assert "does not accept this client's certificate" in what
        assert "a CA that the broker trusts" in fix


class TestAdvertisedAddresses:
    @pytest.mark.thorough
    def test_of_a_name_that_the_certificate_does_not_hold(self, authority, start, with_tls):
        """The classic: the bootstrap address is in the certificate, that of the node is not."""
        certificate, key = authority.issue("localhost", "localhost")
        security = ServerSecurity("SSL", certificate=certificate, private_key=key, ca=authority.certificate)
        node = address_of(start(security))
        broker = external(f"localhost:{node.rpartition(':')[2]}", with_tls())
        with pytest.raises(TlsFailed) as caught:
            broker.start()
        assert f"the broker answers but tells clients to use {node}, which shows a certificate for" in str(
            caught.value
        )
        assert "(it is for localhost)" in str(caught.value)
        assert "ssl.check_hostname" in str(caught.value.fix)


class TestProtocols:
    def test_tls_on_a_port_without(self, plain, with_tls):
        what, fix = refused(TlsFailed, plain, with_tls())
        assert "is not encrypted on this port, but TLS was asked for" in what
        assert "to PLAINTEXT (SASL_PLAINTEXT with a user name)" in fix

    def test_tls_with_a_user_on_a_port_without(self, plain, with_sasl):
        _, fix = refused(TlsFailed, plain, with_sasl("SASL_SSL", "PLAIN"))
        assert "to SASL_PLAINTEXT" in fix

    @pytest.mark.parametrize("port", ["scram", "mutual"])
    def test_no_tls_on_a_port_with(self, request, port, write_settings):
        what, fix = refused(TlsFailed, request.getfixturevalue(port), write_settings("PLAINTEXT"))
        assert "expects TLS on this port, but was spoken to without" in what
        assert "to SSL (SASL_SSL with a user name)" in fix

    def test_a_password_is_not_sent_in_clear_to_find_that_out(self, scram, with_sasl):
        what, fix = refused(TlsFailed, scram, with_sasl("SASL_PLAINTEXT", "SCRAM-SHA-256"))
        assert "expects TLS on this port" in what
        assert "security_protocol in the file of --eng5-kafka-config to SASL_SSL" in fix

    def test_no_user_where_one_is_wanted(self, plain, scram, write_settings, with_tls):
        what, fix = refused(AuthenticationFailed, plain, write_settings("PLAINTEXT"))
        assert "asks for a user name and a password (it offers PLAIN)" in what
        assert "to SASL_PLAINTEXT" in fix
        what, fix = refused(AuthenticationFailed, scram, with_tls())
        assert "asks for a user name and a password (it offers SCRAM-SHA-256)" in what
        assert "to SASL_SSL" in fix

    def test_a_user_where_none_is_wanted(self, renamed, write_settings, authority):
        settings = write_settings(
            "SASL_SSL",
            ssl_ca_file=authority.certificate,
            ssl_check_hostname=False,
            sasl_mechanism="PLAIN",
            sasl_username="eng5",
            sasl_password="${SECRET}",
        )
        what, fix = refused(AuthenticationFailed, renamed, settings)
        assert "does not ask for a user name on this port" in what
        assert "to SSL" in fix

    def test_no_certificate_shown_with_an_older_tls(self, mutual, with_tls):
        """TLS 1.2 has no alert of its own for this."""
        broker = external(mutual, with_tls())
        broker.connection.client_options["ssl_context"].maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(TlsFailed) as caught:
            broker.start()
        assert "ended the TLS handshake (handshake failure): it wants a client certificate" in str(
            caught.value
        )

    def test_a_web_server_with_tls(self, authority, with_tls):
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(*authority.issue("webserver", "127.0.0.1"))
        with listening(server) as address:
            what, _ = refused(BrokerUnreachable, address, with_tls(), 12)
        assert "accepts connections but does not answer as a Kafka broker" in what

    def test_a_web_server_without_tls(self, with_tls):
        with listening(None) as address:
            what, _ = refused(TlsFailed, address, with_tls(), 12)
        assert "fails in the TLS handshake (" in what


class TestNobodyListensIn:
    """Looking for the reason never says the password to somebody who should not hear it."""

    @pytest.mark.parametrize("protocol", ["SASL_SSL", "SASL_PLAINTEXT"])
    def test_not_in_clear_if_tls_was_asked_for(self, plain, with_sasl, protocol):
        with recording(plain) as (address, heard):
            broker = external(address, with_sasl(protocol, "PLAIN"))
            with pytest.raises(TlsFailed) if protocol == "SASL_SSL" else contextlib.nullcontext():
                broker.start()
        # The proxy would hear it: without TLS it does.
        assert (SECRET.encode() in heard) == (protocol == "SASL_PLAINTEXT")

    def test_not_to_a_server_that_is_not_trusted(self, authority, new_authority, with_sasl):
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(*new_authority().issue("stranger", "127.0.0.1"))
        heard = bytearray()
        with listening(server, heard) as address:
            refused(TlsFailed, address, with_sasl("SASL_SSL", "PLAIN"))
        assert not heard


@contextlib.contextmanager
def recording(target: str) -> Iterator[tuple[str, bytearray]]:
    """A proxy before a broker; its address, and what clients said."""
    heard = bytearray()
    host, _, port = target.rpartition(":")

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, note: bytearray) -> None:
        with contextlib.suppress(OSError):
            while some := await reader.read(65536):
                note += some
                writer.write(some)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to, back = await asyncio.open_connection(host, int(port))
        await asyncio.gather(pass_on(reader, back, heard), pass_on(to, writer, bytearray()))

    with serving(serve, None) as address:
        yield address, heard


@contextlib.contextmanager
def listening(context: ssl.SSLContext | None, heard: bytearray | None = None) -> Iterator[str]:
    """A server that answers everything as a web server does; its address."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            said = await reader.read(1000)
            if heard is not None:
                heard.extend(said)
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            writer.close()

    with serving(answer, context) as address:
        yield address


@contextlib.contextmanager
def serving(treat: Callable[..., Any], context: ssl.SSLContext | None) -> Iterator[str]:
    """A server in a thread of its own; its address."""
    loop = asyncio.new_event_loop()
    made = loop.run_until_complete(asyncio.start_server(treat, "127.0.0.1", 0, ssl=context))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    host, port = made.sockets[0].getsockname()
    yield f"{host}:{port}"
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    made.close()
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


class TestSeveralServers:
    def test_each_is_told_and_the_one_that_says_most_leads(self, plain, scram, with_sasl):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            dead = f"127.0.0.1:{nobody.getsockname()[1]}"
            broker = external(f"{dead},{scram}", with_sasl("SASL_SSL", "SCRAM-SHA-256", password="falsch"))
            with pytest.raises(AuthenticationFailed) as caught:
                broker.start()
        assert f"{dead} cannot be reached" in caught.value.what
        assert f"{scram} refuses user 'eng5'" in caught.value.what

    def test_failure_tells_the_same(self, scram, with_sasl):
        broker = external(scram, with_sasl("SASL_SSL", "SCRAM-SHA-256", password="falsch"))
        assert "refuses user 'eng5'" in str(broker.failure())


class TestLater:
    """Not only `start` finds the reason."""

    def test_topics_and_access_with_a_wrong_password(self, scram, with_sasl):
        connection = external(scram, with_sasl("SASL_SSL", "SCRAM-SHA-256", password="falsch")).connection
        with pytest.raises(AuthenticationFailed, match="refuses user"):
            asyncio.run(ensure_topics(connection, ["x"], may_create=False))
        with pytest.raises(AuthenticationFailed, match="refuses user"):
            asyncio.run(check_access(connection, read=["x"], write=[], group="g"))
