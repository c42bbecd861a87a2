"""Secured brokers on loopback, their certificates by trustme, and users who lack one right each.

The tree of the end-to-end tests is used here too: pytest in a child process, as users run it.
"""

from __future__ import annotations

import asyncio
import datetime
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import trustme

from pytest_eng5.brokers import BrokerConnection, BrokerOptions, EmbeddedBroker, ensure_topics
from pytest_eng5.brokers.model import AclRule, ServerSecurity
from pytest_eng5.contracts import CAPTURED_EVENTS, PIPELINE_EVENTS, ProcessingEvent, topic_names


def _end_to_end() -> ModuleType:
    path = Path(__file__).parents[1] / "e2e" / "conftest.py"
    spec = importlib.util.spec_from_file_location("eng5_secured_trees", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


_trees = _end_to_end()
make_tree = _trees.make_tree
tree = _trees.tree

PASSWORD = "pä$$-w0rd,=§ of {0}"
GIVEN = "given."
OWN = "own."
DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Authority:
    """A CA and what it signs, as files of one folder."""

    folder: Path
    ca: trustme.CA

    @property
    def certificate(self) -> Path:
        """The CA's own."""
        return self.folder / "ca.pem"

    def issue(self, name: str, *identities: str, **more: Any) -> tuple[Path, Path]:
        """Certificate chain and key."""
        issued = self.ca.issue_cert(*identities, **more)
        chain, key = self.folder / f"{name}.pem", self.folder / f"{name}.key.pem"
        chain.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        key.write_bytes(issued.private_key_pem.bytes())
        return chain, key


@pytest.fixture(scope="session")
def new_authority(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Authority]:
    """Makes CAs."""

    def make() -> Authority:
        made = Authority(tmp_path_factory.mktemp("certificates"), trustme.CA())
        made.ca.cert_pem.write_to_path(str(made.certificate))
        return made

    return make


@pytest.fixture(scope="session")
def authority(new_authority: Callable[[], Authority]) -> Authority:
    """The CA that the tests' clients trust."""
    return new_authority()


def _running(folder: Path, security: ServerSecurity) -> EmbeddedBroker:
    broker = EmbeddedBroker(
        BrokerOptions(
            kind="embedded",
            work_dir=folder,
            log_path=folder / "kafka.log",
            watch_pid=os.getpid(),
            security=security,
        )
    )
    broker.start()
    return broker


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[ServerSecurity], EmbeddedBroker]]:
    """Starts secured brokers that live as long as the module's tests."""
    started: list[EmbeddedBroker] = []

    def run(security: ServerSecurity) -> EmbeddedBroker:
        started.append(_running(tmp_path_factory.mktemp("kafka"), security))
        return started[-1]

    yield run
    for broker in started:
        broker.stop()


def password(user: str) -> str:
    """Every user has one of their own."""
    return PASSWORD.format(user)


LACKING: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    # user: operations on the captured topics, on the request topic, on the group
    "no-read": (("describe",), ("write",), ("read",)),
    "no-write": (("read",), ("describe",), ("read",)),
    "no-describe": ((), ("write",), ("read",)),
    "no-group": (("read",), ("write",), ()),
    "half-group": (("read",), ("write",), ("describe",)),
    "nothing": ((), (), ()),
}
"""Users of the given topics who may do too little."""


def _rules() -> tuple[AclRule, ...]:
    rules = [
        AclRule("eng5", ("create", "read", "write"), "topic", OWN, prefixed=True),
        AclRule("eng5", ("read",), "group", OWN, prefixed=True),
        AclRule("limited", ("read", "write"), "topic", GIVEN, prefixed=True),
        AclRule("limited", ("read",), "group", GIVEN, prefixed=True),
    ]
    requests = topic_names([ProcessingEvent.ELS_CJ_ASSESSMENT_REQUESTED], GIVEN)
    for user, (captured, requested, group) in LACKING.items():
        named = [(topic, captured) for topic in topic_names(CAPTURED_EVENTS, GIVEN)]
        named += [(topic, requested) for topic in requests]
        rules += [AclRule(user, operations, "topic", topic) for topic, operations in named if operations]
        rules += [AclRule(user, group, "group", GIVEN, prefixed=True)] if group else []
    return tuple(rules)


@dataclass(frozen=True)
class Secured:
    """The SASL_SSL SCRAM-SHA-512 broker with access control."""

    broker: EmbeddedBroker
    security: ServerSecurity
    authority: Authority

    @property
    def servers(self) -> str:
        """Its address."""
        return self.broker.connection.bootstrap_servers

    def connection(self, user: str) -> BrokerConnection:
        """As that user."""
        return BrokerConnection(self.servers, self.security.client_options(user))

    def librdkafka(self, user: str) -> dict[str, str]:
        """The same for the other client."""
        return {
            "bootstrap.servers": self.servers,
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self.authority.certificate),
            "sasl.mechanisms": "SCRAM-SHA-512",
            "sasl.username": user,
            "sasl.password": password(user),
            "log_level": "0",  # it would complain until it is collected
        }


@pytest.fixture(scope="session")
def secured(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """With the topics of a pipeline under the prefix of those who may not create any."""
    certificate, key = authority.issue("server", "127.0.0.1", "localhost")
    security = ServerSecurity(
        "SASL_SSL",
        "SCRAM-SHA-512",
        users={name: password(name) for name in ("admin", "eng5", "limited", *LACKING)},
        certificate=certificate,
        private_key=key,
        ca=authority.certificate,
        super_users=("admin",),
        acls=_rules(),
    )
    broker = _running(tmp_path_factory.mktemp("kafka"), security)
    made = Secured(broker, security, authority)
    topics = topic_names(PIPELINE_EVENTS, GIVEN)
    asyncio.run(ensure_topics(made.connection("admin"), topics, may_create=True))
    yield made
    broker.stop()


def settings(protocol: str, **keys: object) -> str:
    """A file of Kafka settings as TOML; ``ssl_ca_file`` is ``ca_file`` in section ssl."""
    sections: dict[str, list[str]] = {"ssl": [], "sasl": []}
    for key, value in keys.items():
        section, _, name = key.partition("_")
        sections[section].append(f"{name} = {json.dumps(value, default=str, ensure_ascii=False)}")
    lines = [f'security_protocol = "{protocol}"']
    for section, given in sections.items():
        lines += [f"[{section}]", *given] if given else []
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def write_settings(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes `settings` to a file of their own."""

    def write(protocol: str, **keys: object) -> Path:
        path = tmp_path_factory.mktemp("settings") / "kafka.toml"
        path.write_text(settings(protocol, **keys), "utf-8")
        return path

    return write
