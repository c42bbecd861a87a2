"""Secured listeners: each thing asked of a client really is enforced; librdkafka is the client."""

from __future__ import annotations

import asyncio
import datetime
import json
import re
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiokafka import AIOKafkaProducer
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaConnectionError, SaslAuthenticationFailed, TopicAuthorizationFailedError
from aiokafka.protocol.admin import CreateAclsRequest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from pytest_eng5.brokers import (
    AclRule,
    BrokerConnection,
    BrokerError,
    BrokerOptions,
    EmbeddedBroker,
    ServerSecurity,
    ensure_topics,
    probe,
    round_trip,
)

USERS = {"admin": "admin-geheim", "alice": "alice-geheim", "bob": "bob-geheim"}
RULES = (
    AclRule("alice", ("read", "write"), name="open", prefixed=True),
    AclRule("alice", ("read",), "group", "alices"),
    AclRule("alice", ("write",), name="open.not", deny=True),
    AclRule("bob", ("describe",), name="*"),
)
TOPICS = ["open.one", "open.not", "closed"]


@dataclass(frozen=True)
class Pki:
    """A CA of ours, a foreign one, and what they have signed; every file is PEM."""

    folder: Path

    def __post_init__(self) -> None:
        for name in ("ours", "foreign"):
            ca = trustme.CA()
            ca.cert_pem.write_to_path(self.folder / f"{name}.pem")
            self._issue(ca, f"{name}-server", "server", "127.0.0.1", "localhost")
            for user in USERS:
                # Java refuses a certificate without any alternative name.
                self._issue(ca, f"{name}-{user}", user, f"{user}@example.org")

    def _issue(self, ca: trustme.CA, file: str, common_name: str, *names: str) -> None:
        issued = ca.issue_cert(*names, common_name=common_name)
        issued.private_key_pem.write_to_path(self.folder / f"{file}.key")
        chain = b"".join(each.bytes() for each in issued.cert_chain_pems)
        (self.folder / f"{file}.crt").write_bytes(chain)

    def server(self, **more: Any) -> dict[str, Any]:
        """Settings of `ServerSecurity`."""
        return {
            "certificate": self.folder / "ours-server.crt",
            "private_key": self.folder / "ours-server.key",
            "ca": self.folder / "ours.pem",
            **more,
        }

    def client(self, user: str, ca: str = "ours") -> tuple[Path, Path]:
        return self.folder / f"{ca}-{user}.crt", self.folder / f"{ca}-{user}.key"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


def securities(pki: Pki) -> dict[str, ServerSecurity]:
    access: dict[str, Any] = {"super_users": ("admin",), "acls": RULES}
    certificates = {user: pki.client(user) for user in USERS}
    mutual: dict[str, Any] = {"client_auth": "required", "client_certificates": certificates}
    return {
        "plain": ServerSecurity("SASL_PLAINTEXT", "PLAIN", USERS, **access),
        "scram-256": ServerSecurity("SASL_PLAINTEXT", "SCRAM-SHA-256", USERS, **access),
        "tls-scram-512": ServerSecurity("SASL_SSL", "SCRAM-SHA-512", USERS, **pki.server(**access)),
        "tls-plain-mutual": ServerSecurity("SASL_SSL", "PLAIN", USERS, **pki.server(**access, **mutual)),
        "mutual-tls": ServerSecurity("SSL", **pki.server(**access, **mutual)),
        "tls": ServerSecurity("SSL", **pki.server()),
    }


SASL = ["plain", "scram-256", "tls-scram-512", "tls-plain-mutual"]
BOTH = ["tls-scram-512", "tls-plain-mutual"]
MUTUAL = ["tls-plain-mutual", "mutual-tls"]
TLS = ["tls-scram-512", "tls-plain-mutual", "mutual-tls", "tls"]
CONTROLLED = ["plain", "scram-256", "tls-scram-512", "tls-plain-mutual", "mutual-tls"]
EVERY = [*CONTROLLED, "tls"]
_ALWAYS = ("tls-scram-512", "mutual-tls")


def on(kinds: list[str]) -> pytest.MarkDecorator:
    """Run a test on these of the brokers, one of each for the whole module."""
    marked = [kind if kind in _ALWAYS else pytest.param(kind, marks=pytest.mark.thorough) for kind in kinds]
    return pytest.mark.parametrize("secured", marked, indirect=True, scope="module")


@dataclass
class Secured:
    """A running broker, and how librdkafka reaches it."""

    broker: EmbeddedBroker
    security: ServerSecurity
    pki: Pki

    def settings(self, user: str | None, **overrides: Any) -> dict[str, Any]:
        """Of librdkafka, for that user with all that is asked of it."""
        found: dict[str, Any] = {
            "bootstrap.servers": self.broker.connection.bootstrap_servers,
            "security.protocol": self.security.protocol,
            "log_level": 0,
        }
        if self.security.sasl:
            found["sasl.mechanism"] = self.security.mechanism
            found["sasl.username"] = user or ""
            found["sasl.password"] = USERS.get(user or "", "x")
        if self.security.tls:
            found["ssl.ca.location"] = str(self.security.ca)
        if self.security.client_auth == "required" and user is not None:
            found |= self.certificate(user)
        return {key: value for key, value in (found | overrides).items() if value is not None}

    def certificate(self, user: str, ca: str = "ours") -> dict[str, str]:
        chain, key = self.pki.client(user, ca)
        return {"ssl.certificate.location": str(chain), "ssl.key.location": str(key)}


@pytest.fixture(scope="module")
def secured(
    request: pytest.FixtureRequest, prepared: None, pki: Pki, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp(request.param)
    security = securities(pki)[request.param]
    options = BrokerOptions(
        kind="embedded", work_dir=folder, log_path=folder / "kafka.log", security=security
    )
    broker = EmbeddedBroker(options)
    connection = broker.start()
    try:
        asyncio.run(ensure_topics(connection, TOPICS, partitions=1, may_create=True))
        yield Secured(broker, security, pki)
    finally:
        broker.stop()


def refusal(settings: Mapping[str, Any]) -> int:
    """The error that librdkafka tells; fails where the broker answers all the same.

    A connection that is lost counts only if nothing better is told soon: on a busy machine it may come first.
    """
    told: list[KafkaError] = []
    client = AdminClient({**settings, "error_cb": told.append, "reconnect.backoff.max.ms": 100})
    deadline = time.monotonic() + 60
    while not told and time.monotonic() < deadline:
        client.poll(0.05)
    deadline = time.monotonic() + 3
    vague = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN)
    while all(error.code() in vague for error in told) and time.monotonic() < deadline:
        client.poll(0.05)
    errors = [error for error in told if error.code() not in vague] or told
    with pytest.raises(KafkaException):
        client.list_topics(timeout=0.2)
    assert errors
    return int(errors[0].code())


def produce(settings: Mapping[str, Any], topic: str, value: bytes = b"x") -> KafkaError | None:
    """None when the record is acknowledged, else why not."""
    told: list[KafkaError | None] = []
    producer = Producer({**settings, "message.timeout.ms": 5000})
    producer.produce(topic, value, on_delivery=lambda error, _: told.append(error))
    assert producer.flush(60) == 0
    return told[0]


def consume(settings: Mapping[str, Any], topic: str, group: str) -> bytes | KafkaError:
    """The first record of the topic as a member of a group, or the first error."""
    consumer = Consumer({**settings, "group.id": group, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    try:
        message = consumer.poll(15)
        assert message is not None
        return message.error() or message.value() or b""
    finally:
        consumer.close()


class TestEveryListener:
    @on(EVERY)
    def test_lets_its_users_in(self, secured):
        assert produce(secured.settings("admin"), "open.one", b"in") is None
        assert consume(secured.settings("admin"), "open.one", f"g{time.monotonic()}") == b"in"

    @on(EVERY)
    def test_gives_a_connection_that_works(self, secured):
        assert asyncio.run(probe(secured.broker.connection)) == 1
        asyncio.run(round_trip(secured.broker.connection))

    @on(EVERY)
    def test_refuses_a_client_without_encryption_or_name(self, secured):
        servers = secured.broker.connection.bootstrap_servers
        assert refusal({"bootstrap.servers": servers, "log_level": 0}) in (
            KafkaError._TRANSPORT,
            KafkaError._ALL_BROKERS_DOWN,
        )

    @on(SASL)
    def test_refuses_the_wrong_password(self, secured):
        wrong = secured.settings("admin", **{"sasl.password": "admin-geheim "})
        assert refusal(wrong) == KafkaError._AUTHENTICATION

    @on(SASL)
    def test_refuses_an_unknown_user(self, secured):
        wrong = secured.settings("admin", **{"sasl.username": "carol"})
        assert refusal(wrong) == KafkaError._AUTHENTICATION

    @on(SASL)
    def test_refuses_the_password_of_another_user(self, secured):
        wrong = secured.settings("admin", **{"sasl.password": USERS["bob"]})
        assert refusal(wrong) == KafkaError._AUTHENTICATION

    @on(SASL)
    @pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
    def test_refuses_every_other_mechanism(self, secured, mechanism):
        if mechanism == secured.security.mechanism:
            return
        wrong = secured.settings("admin", **{"sasl.mechanism": mechanism})
        assert refusal(wrong) in (KafkaError._AUTHENTICATION, KafkaError.UNSUPPORTED_SASL_MECHANISM)

    @on(BOTH)
    def test_refuses_a_client_with_password_but_without_encryption(self, secured):
        assert refusal(secured.settings("admin", **{"security.protocol": "SASL_PLAINTEXT"}))

    @on(BOTH)
    def test_refuses_a_client_with_encryption_but_without_password(self, secured):
        assert refusal(secured.settings("admin", **{"security.protocol": "SSL"}))

    @on(MUTUAL)
    def test_refuses_a_client_without_certificate(self, secured):
        without = {"ssl.certificate.location": None, "ssl.key.location": None}
        assert refusal(secured.settings("admin", **without)) in (KafkaError._SSL, KafkaError._TRANSPORT)

    @on(MUTUAL)
    def test_refuses_a_certificate_of_somebody_else(self, secured):
        foreign = secured.certificate("admin", "foreign")
        assert refusal(secured.settings("admin", **foreign)) in (KafkaError._SSL, KafkaError._TRANSPORT)

    @on(TLS)
    def test_shows_a_certificate_that_only_its_own_ca_vouches_for(self, secured):
        foreign = {"ssl.ca.location": str(secured.pki.folder / "foreign.pem")}
        assert refusal(secured.settings("admin", **foreign)) == KafkaError._SSL

    @on(EVERY)
    def test_says_what_it_is_and_no_secret(self, secured):
        told = secured.broker.describe()
        assert secured.security.protocol in told
        everything = [
            told,
            repr(secured.broker.connection),
            repr(secured.broker.connection_of("alice")),
            repr(secured.security),
            repr(BrokerOptions(security=secured.security)),
            json.dumps(secured.broker.record()),
            secured.broker.log_path.read_text(),
            subprocess.run(["ps", "-ww", "-eo", "args="], capture_output=True, text=True, check=True).stdout,
        ]
        assert not [text for text in everything for password in USERS.values() if password in text]

    @on(EVERY)
    def test_keeps_its_own_properties_to_itself(self, secured):
        path = secured.broker.home / "server.properties"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@on(CONTROLLED)
class TestAccess:
    def test_a_user_may_do_what_a_rule_allows(self, secured):
        assert produce(secured.settings("alice"), "open.one", b"hers") is None
        assert consume(secured.settings("alice"), "open.one", "alices")

    def test_and_nothing_else(self, secured):
        error = produce(secured.settings("alice"), "closed")
        assert error is not None
        assert error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
        refused = consume(secured.settings("alice"), "open.one", "bobs")
        assert isinstance(refused, KafkaError)
        assert refused.code() == KafkaError.GROUP_AUTHORIZATION_FAILED

    def test_a_rule_that_forbids_wins(self, secured):
        error = produce(secured.settings("alice"), "open.not")
        assert error is not None
        assert error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED

    def test_a_user_sees_only_what_a_rule_shows(self, secured):
        seen = set(AdminClient(secured.settings("alice")).list_topics(timeout=60).topics)
        assert seen & set(TOPICS) == {"open.one", "open.not"}
        assert set(TOPICS) <= set(AdminClient(secured.settings("bob")).list_topics(timeout=60).topics)

    def test_a_user_cannot_give_itself_rights(self, secured):
        rule = AclBinding(
            *(ResourceType.TOPIC, "closed", ResourcePatternType.LITERAL, "User:bob", "*"),
            *(AclOperation.ALL, AclPermissionType.ALLOW),
        )
        admin = AdminClient(secured.settings("bob"))
        with pytest.raises(KafkaException, match="CLUSTER_AUTHORIZATION_FAILED"):
            admin.create_acls([rule])[rule].result(60)

    def test_the_super_user_may_do_everything(self, secured):
        assert produce(secured.settings("admin"), "closed") is None
        assert consume(secured.settings("admin"), "closed", "any") == b"x"

    def test_connections_of_named_users_have_their_rights(self, secured):
        async def send(connection: BrokerConnection) -> None:
            async with AIOKafkaProducer(**connection.client_arguments(), acks="all") as producer:
                await producer.send_and_wait("open.one", b"y")

        asyncio.run(send(secured.broker.connection_of("alice")))
        with pytest.raises(TopicAuthorizationFailedError):
            asyncio.run(send(secured.broker.connection_of("bob")))


async def make_rule(server: str, **options: Any) -> None:
    """Let Kafka make a rule about a topic that does not exist; over any listener."""
    host, _, port = server.partition(":")
    connection = await create_conn(host, int(port), request_timeout_ms=5000, **options)
    try:
        answer = await connection.send(CreateAclsRequest(2, "none", 3, "User:none", "*", 3, 3))
        assert [code for code, _ in answer.creation_responses] == [0]
    finally:
        connection.close()


@on(["tls-scram-512", "mutual-tls"])
class TestTheBackDoors:
    """Kafka's own listeners on loopback: nobody gets round the rules there."""

    @pytest.fixture
    def doors(self, secured: Secured) -> list[str]:
        lines = (secured.broker.home / "server.properties").read_text().splitlines()
        [listed] = [line.partition("=")[2] for line in lines if line.startswith("listeners=")]
        doors = [each.partition("://")[2] for each in listed.split(",") if not each.startswith("CLIENTS")]
        assert len(doors) == 2
        return doors

    def test_ask_for_a_password(self, secured, doors):
        """Nobody can have a rule made there without it; with it, as Kafka itself, one can."""
        written = (secured.broker.home / "server.properties").read_text()
        insider = re.search(r'"username"="(\w\S+)" "password"="(\w+)"', written)
        assert insider is not None
        name, password = insider.groups()
        for door in doors:
            with pytest.raises(KafkaConnectionError):
                asyncio.run(make_rule(door, security_protocol="PLAINTEXT"))
            wrong = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN"}
            with pytest.raises(SaslAuthenticationFailed):
                asyncio.run(make_rule(door, **wrong, sasl_plain_username=name, sasl_plain_password="guess"))
            asyncio.run(make_rule(door, **wrong, sasl_plain_username=name, sasl_plain_password=password))

    @pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
    def test_know_none_of_the_users(self, secured, doors, mechanism):
        for door in doors:
            settings = {
                "bootstrap.servers": door,
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": mechanism,
                "sasl.username": "admin",
                "sasl.password": USERS["admin"],
                "log_level": 0,
            }
            assert refusal(settings) in (
                KafkaError._AUTHENTICATION,
                KafkaError.UNSUPPORTED_SASL_MECHANISM,
            )

    def test_are_not_told_to_clients(self, secured, doors):
        admin = AdminClient(secured.settings("admin"))
        told = {f"{each.host}:{each.port}" for each in admin.list_topics(timeout=60).brokers.values()}
        assert told == {secured.broker.connection.bootstrap_servers}


class TestLife:
    """What stays over restart, stop and start, and attachment."""

    @pytest.mark.thorough
    def test_users_and_rules_stay_over_a_restart(self, own_broker, pki):
        security = securities(pki)["tls-scram-512"]
        broker = own_broker(security=security)
        asyncio.run(ensure_topics(broker.start(), TOPICS, partitions=1, may_create=True))
        broker.restart()
        there = Secured(broker, security, pki)
        assert produce(there.settings("alice"), "open.one") is None
        assert produce(there.settings("bob"), "open.one") is not None
        assert refusal(there.settings("alice", **{"sasl.password": "x"})) == KafkaError._AUTHENTICATION

    @pytest.mark.thorough
    def test_a_kept_folder_takes_new_users_and_passwords(self, own_broker, pki, tmp_path):
        first = replace(securities(pki)["scram-256"], acls=None)
        broker = own_broker(security=first, data_dir=tmp_path / "data")
        asyncio.run(ensure_topics(broker.start(), TOPICS, partitions=1, may_create=True))
        broker.stop()
        second = replace(first, users={"admin": "new", "carol": "hers"})
        broker = own_broker(security=second, data_dir=tmp_path / "data")
        assert asyncio.run(probe(broker.start())) == 1
        there = Secured(broker, second, pki)
        assert (
            produce(there.settings("x", **{"sasl.username": "carol", "sasl.password": "hers"}), "closed")
            is None
        )
        assert refusal(there.settings("admin")) == KafkaError._AUTHENTICATION

    @on(["tls-scram-512"])
    def test_attached_with_its_options_it_can_be_reached(self, secured):
        record = json.loads(json.dumps(secured.broker.record()))
        attached = EmbeddedBroker.attach(record, BrokerOptions(security=secured.security))
        assert asyncio.run(probe(attached.connection)) == 1
        with pytest.raises(BrokerError, match="attach it with the options"):
            EmbeddedBroker.attach(record)

    @pytest.mark.thorough
    def test_an_expired_certificate_is_the_clients_business(self, own_broker, pki, tmp_path):
        past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
        ca = trustme.CA()
        ca.cert_pem.write_to_path(tmp_path / "ca.pem")
        issued = ca.issue_cert("127.0.0.1", not_after=past)
        issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
        both = tmp_path / "both.pem"
        security = ServerSecurity("SSL", certificate=both, private_key=both, ca=tmp_path / "ca.pem")
        broker = own_broker(security=security)
        broker.start()
        assert refusal(Secured(broker, security, pki).settings(None)) == KafkaError._SSL

    def test_names_and_passwords_may_hold_any_character(self, own_broker, pki):
        users = {"adm in": "ä\"\\n='", "b=o,b:*/{}$1": "x y;z\t//"}
        security = ServerSecurity("SASL_PLAINTEXT", "PLAIN", users, super_users=("adm in",), acls=())
        broker = own_broker(security=security)
        broker.start()
        for user in users:
            assert asyncio.run(probe(broker.connection_of(user))) == 1

    def test_without_security_there_are_no_users(self, broker):
        with pytest.raises(BrokerError, match="not secured"):
            broker.connection_of("alice")
