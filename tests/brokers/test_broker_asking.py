"""Questions to a broker: their bytes, who is asked, and what is made of the answers."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import struct
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.brokers import AccessDenied, BrokerConnection, BrokerUnreachable, check_access, ensure_topics
from pytest_eng5.brokers.acls import Lack
from pytest_eng5.brokers.client import ask_any, ask_controller, connected
from pytest_eng5.brokers.diagnosis import unusable
from pytest_eng5.brokers.questions import NOT_TOLD, TopicsRequest

NAMES = st.text("abcdefghijklmnopqrstuvwxyz._-", min_size=1, max_size=40)


def text(value: str | None) -> bytes:
    """A string as Kafka's protocol has it: two bytes of length, -1 for none."""
    return struct.pack(">h", -1) if value is None else struct.pack(">h", len(value)) + value.encode()


def array(items: list[bytes]) -> bytes:
    return struct.pack(">i", len(items)) + b"".join(items)


class TestBytes:
    """Against layouts written from Kafka's message definitions, apart from the package's."""

    @given(names=st.lists(NAMES))
    def test_since_kafka_2_3_rights_are_asked_for(self, names):
        made = TopicsRequest(names).prepare({3: (0, 13)})
        assert (made.API_KEY, made.API_VERSION) == (3, 8)
        creates, of_cluster, of_topics = b"\0", b"\0", b"\1"
        assert made.encode() == array([text(name) for name in names]) + creates + of_cluster + of_topics

    @given(names=st.lists(NAMES), newest=st.integers(4, 7))
    def test_before_they_are_not(self, names, newest):
        made = TopicsRequest(names).prepare({3: (0, newest)})
        assert (made.API_KEY, made.API_VERSION) == (3, 4)
        assert made.encode() == array([text(name) for name in names]) + b"\0"

    @pytest.mark.parametrize("newest", [0, 1, 3])
    def test_where_asking_would_create_topics_it_is_not_done(self, newest):
        with pytest.raises(NotImplementedError):
            TopicsRequest(["a"]).prepare({3: (0, newest)})

    @given(
        topics=st.lists(st.tuples(NAMES, st.integers(-1, 90), st.integers(-(2**31), 2**31 - 1))),
        leaders=st.lists(st.integers(-1, 5), max_size=4),
    )
    def test_the_answer_is_read(self, topics, leaders):
        nodes = array([struct.pack(">i", node) for node in (1, 2)])
        parts = array(
            [
                struct.pack(">hiii", 0, number, leader, 7) + nodes + nodes + array([])
                for number, leader in enumerate(leaders)
            ]
        )
        told = array(
            [
                struct.pack(">h", code) + text(name) + b"\0" + parts + struct.pack(">i", rights)
                for name, code, rights in topics
            ]
        )
        brokers = array([struct.pack(">i", 1) + text("h") + struct.pack(">i", 9092) + text(None)])
        answer = struct.pack(">i", 5) + brokers + text("cluster") + struct.pack(">i", 1) + told
        kind = TopicsRequest([]).prepare({3: (0, 8)}).RESPONSE_TYPE
        read = kind.decode(answer + struct.pack(">i", NOT_TOLD)).to_object()
        found = [(t["topic"], t["error_code"], t["authorized_operations"]) for t in read["topics"]]
        assert found == topics
        assert all([part["leader"] for part in t["partitions"]] == leaders for t in read["topics"])
        assert read["cluster_authorized_operations"] == NOT_TOLD


class Client:
    """A client whose cluster changes: what it knows after each look."""

    def __init__(self, *known: int | None, answers: tuple[list[tuple[str, int]], ...] = ()) -> None:
        self._known = list(known)
        self._answers = list(answers)
        self.asked: list[int] = []
        self.looks = 0

    @property
    def cluster(self) -> Any:
        node = self._known[0]
        return SimpleNamespace(controller=None if node is None else SimpleNamespace(nodeId=node))

    def get_random_node(self) -> int | None:
        return self._known[0]

    async def force_metadata_update(self) -> None:
        self.looks += 1
        self._known.pop(0)

    async def send(self, node: int, request: Any) -> Any:
        if isinstance(request, Exception):
            raise request
        self.asked.append(node)
        return SimpleNamespace(topic_error_codes=self._answers.pop(0)) if self._answers else request


class TestWhoIsAsked:
    def test_any_node_as_soon_as_one_is_known(self):
        client: Any = Client(None, None, 3)
        assert asyncio.run(ask_any(client, "what?")) == "what?"
        assert (client.asked, client.looks) == ([3], 2)

    def test_the_controller_as_soon_as_it_is_known(self):
        client: Any = Client(None, 4, answers=([("a", 0)],))
        asyncio.run(ask_controller(client, "do!"))
        assert (client.asked, client.looks) == ([4], 1)

    def test_the_next_controller_if_it_moved(self):
        client: Any = Client(4, 5, answers=([("a", 0), ("b", 41)], [("a", 36), ("b", 0)]))
        answer = asyncio.run(ask_controller(client, "do!"))
        assert client.asked == [4, 5]
        assert answer.topic_error_codes == [("a", 36), ("b", 0)]

    def test_a_broker_too_old_for_the_question(self):
        client: Any = Client(1)
        with pytest.raises(IncompatibleBrokerVersion, match="too old"):
            asyncio.run(ask_any(client, NotImplementedError("too old")))


class TestLack:
    CONNECTION = BrokerConnection("h:1", {"sasl_plain_username": "eng5", "sasl_plain_password": "geheim"})

    def test_words_and_commands(self):
        lack = Lack(topics=["gone"], hidden=["dark"])
        lack.right("Read", "topic", "a", "b")
        lack.right("Write", "topic", "a")
        lack.right("Read", "topic", "c")
        lack.right("Read", "group", "g")
        error = lack.error(self.CONNECTION)
        assert error.what == (
            "the account 'eng5' may not Read topics a, b, c; nor Write topic a; nor Read group g. "
            "It cannot even see dark: there may be no such topic either. Missing altogether: gone"
        )
        start = "kafka-acls.sh --bootstrap-server h:1 --add --allow-principal User:eng5 --operation"
        assert str(error.fix).splitlines()[1:] == [
            f"    {start} Read --topic a --topic b --topic c",
            f"    {start} Write --topic a",
            f"    {start} Read --group g",
        ]
        assert "geheim" not in str(error)

    def test_an_account_without_a_name_is_in_the_certificate(self):
        lack = Lack()
        lack.right("IdempotentWrite", "cluster", "")
        error = lack.error(BrokerConnection("h:1"))
        assert error.what == "this client may not use an idempotent producer (IdempotentWrite on the cluster)"
        assert "--allow-principal User:NAME_IN_THE_CERTIFICATE" in str(error.fix)
        assert str(error.fix).endswith("--operation IdempotentWrite --cluster")

    @given(user=st.text(min_size=1), name=st.text(min_size=1))
    def test_a_shell_reads_back_what_was_meant(self, user, name):
        lack = Lack()
        lack.right("Read", "group", name)
        connection = BrokerConnection("h:1", {"sasl_plain_username": user})
        command = str(lack.error(connection).fix).partition("\n")[2]
        words = shlex.split(command)
        assert words[-1] == name
        assert f"User:{user}" in words


class TestTime:
    """A broker that stops answering costs seconds, and is told as what it is."""

    @pytest.fixture
    def silent(self):
        """A server that accepts and says nothing."""
        import socket

        with socket.create_server(("127.0.0.1", 0)) as server:
            yield f"127.0.0.1:{server.getsockname()[1]}"

    def test_asked_for_access(self, silent):
        since = time.monotonic()
        with pytest.raises(BrokerUnreachable, match="does not answer as a Kafka broker"):
            asyncio.run(check_access(BrokerConnection(silent), read=["a"], write=[], group="g", timeout=0.5))
        assert time.monotonic() - since < 30

    def test_asked_for_topics(self, silent):
        since = time.monotonic()
        with pytest.raises(BrokerUnreachable, match="does not answer as a Kafka broker"):
            asyncio.run(ensure_topics(BrokerConnection(silent), ["a"], may_create=False, timeout=0.5))
        assert time.monotonic() - since < 30

    def test_one_that_answers_again_is_not_blamed(self, connection):
        error = asyncio.run(unusable(connection, KafkaError("lost it")))
        assert type(error) is BrokerUnreachable
        assert "the broker answers, but not in time or not always" in str(error)
        assert "lost it" in str(error)

    def test_a_client_is_closed_whatever_happens(self, connection):
        async def use() -> Any:
            with contextlib.suppress(AccessDenied):
                async with connected(connection) as client:
                    await ask_any(client, TopicsRequest([]))
                    raise AccessDenied("x")
            return client

        client = asyncio.run(use())
        assert not [conn for conn in client._conns.values() if conn.connected()]


def test_the_library_writes_nothing_to_the_terminal_of_a_command() -> None:
    code = (
        "import logging; from pytest_eng5.brokers.probe import load_client; load_client(); load_client();"
        "logger = logging.getLogger('aiokafka.client'); logger.warning('noise');"
        "assert len(logging.getLogger('aiokafka').handlers) == 1"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""
