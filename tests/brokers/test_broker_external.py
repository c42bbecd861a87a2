"""A broker that somebody else runs: clear words within seconds when it does not answer."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.brokers import (
    BrokerOptions,
    BrokerUnreachable,
    ExternalBroker,
    attach,
    create_broker,
    ensure_topics,
)
from pytest_eng5.brokers import embedded as embedded_module
from pytest_eng5.brokers.external import parse_bootstrap_servers
from pytest_eng5.errors import UsageError


def external(servers: str, **options: object) -> ExternalBroker:
    return ExternalBroker(BrokerOptions(kind="external", bootstrap_servers=servers, **options))  # type: ignore[arg-type]


@pytest.fixture
def serving() -> Iterator[Callable[[Callable[[socket.socket], None]], str]]:
    """A server on loopback that treats every connection with the function given; its address."""
    servers: list[socket.socket] = []

    def serve(treat: Callable[[socket.socket], None]) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def loop() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=treat, args=(client,), daemon=True).start()

        threading.Thread(target=loop, daemon=True).start()
        return f"127.0.0.1:{server.getsockname()[1]}"

    yield serve
    for server in servers:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


@pytest.fixture
def dead() -> Iterator[str]:
    """An address where nobody listens, for as long as the test runs."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{nobody.getsockname()[1]}"


class TestAddresses:
    @pytest.mark.parametrize(
        ("text", "servers"),
        [
            ("localhost:9093", ["localhost:9093"]),
            (" a:1 , b:2,", ["a:1", "b:2"]),
            ("[::1]:9092", ["[::1]:9092"]),
            ("kafka.example.org:65535", ["kafka.example.org:65535"]),
        ],
    )
    def test_lists_are_understood(self, text, servers):
        assert parse_bootstrap_servers(text) == servers

    @pytest.mark.parametrize(
        "bad",
        [
            "localhost",
            "host:",
            ":9092",
            "host:0",
            "host:65536",
            "h:９",
            "h:-1",
            "a:1;b:2",
            "h:x",
            "::1:9092",
            "http://h:1",
            "two words:1",
        ],
    )
    def test_a_bad_entry_is_named(self, bad):
        with pytest.raises(UsageError) as caught:
            parse_bootstrap_servers(f"good:1,{bad}")
        assert repr(bad) in str(caught.value)
        assert "--eng5-bootstrap-servers HOST:PORT" in str(caught.value)

    @pytest.mark.parametrize("empty", [None, "", " , "])
    def test_none_is_a_mistake_of_use(self, empty):
        with pytest.raises(UsageError, match="needs its bootstrap servers"):
            parse_bootstrap_servers(empty)

    @given(
        st.lists(
            st.tuples(st.from_regex(r"[a-z][a-z0-9.-]{0,20}", fullmatch=True), st.integers(1, 65535)),
            min_size=1,
        )
    )
    def test_what_is_written_is_read(self, pairs):
        servers = [f"{host}:{port}" for host, port in pairs]
        assert parse_bootstrap_servers(", ".join(servers)) == servers


class TestReachable:
    def test_start_gives_the_connection_and_stop_leaves_it_alone(self, connection):
        broker = external(connection.bootstrap_servers)
        assert broker.start() == connection
        assert broker.failure() is None
        broker.stop()
        assert broker.failure() is None
        assert broker.describe() == f"external broker at {connection.bootstrap_servers}"

    def test_one_answer_of_several_is_enough(self, connection, dead):
        assert external(f"{dead},{connection.bootstrap_servers}").start()

    def test_start_inside_a_running_loop(self, connection):
        async def outer() -> str:
            return external(connection.bootstrap_servers).start().bootstrap_servers

        assert asyncio.run(outer()) == connection.bootstrap_servers

    def test_nothing_may_be_created_unless_permitted(self, connection):
        assert not external("h:1").capabilities.create_topics
        assert not external("h:1").capabilities.delete_topics
        assert external("h:1", may_create_topics=True).capabilities.create_topics

    def test_record_holds_no_secret(self, connection):
        broker = external(connection.bootstrap_servers, client_options={"sasl_plain_password": "geheim"})
        record = json.loads(json.dumps(broker.record()))
        assert "geheim" not in str(record)
        assert "geheim" not in repr(broker.connection)
        options = BrokerOptions(client_options={"sasl_plain_password": "geheim"})
        twin = attach(record, options)
        assert twin.connection == broker.connection
        assert twin.capabilities == broker.capabilities
        assert attach(record).connection.client_options == {}


class TestUnreachable:
    def start(self, servers: str, **options: object) -> tuple[str, float]:
        since = time.monotonic()
        with pytest.raises(BrokerUnreachable) as caught:
            external(servers, **options).start()
        return str(caught.value), time.monotonic() - since

    def test_nobody_listens(self, dead):
        text, seconds = self.start(dead)
        assert seconds < 30
        assert f"{dead} cannot be reached" in text
        assert "--eng5-bootstrap-servers" in text

    def test_each_of_several_is_told(self, dead):
        text, _ = self.start(f"{dead},no-such-host.invalid:9092")
        assert f"{dead} cannot be reached" in text
        assert "no-such-host.invalid:9092 cannot be reached" in text

    @pytest.mark.thorough
    def test_a_listener_that_never_answers(self, serving):
        address = serving(lambda client: time.sleep(60))
        text, seconds = self.start(address)
        assert seconds < 60
        assert f"{address} accepts connections but does not answer as a Kafka broker" in text

    def test_a_web_server(self, serving):
        def answer(client: socket.socket) -> None:
            client.recv(1000)
            client.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            client.close()

        text, seconds = self.start(serving(answer))
        assert seconds < 60
        assert "TLS/SASL" in text

    def test_a_listener_that_hangs_up(self, serving):
        text, seconds = self.start(serving(lambda client: client.close()))
        assert seconds < 60
        assert "does not answer as a Kafka broker" in text

    def test_tls_asked_of_a_broker_without(self, connection):
        import ssl

        options = {"security_protocol": "SSL", "ssl_context": ssl.create_default_context()}
        text, seconds = self.start(connection.bootstrap_servers, client_options=options)
        assert seconds < 30
        assert "is not encrypted on this port, but TLS was asked for" in text

    @pytest.mark.thorough
    def test_own_timeout_is_kept(self, serving):
        _, seconds = self.start(serving(lambda client: time.sleep(60)), start_timeout=0.5)
        assert seconds < 30

    def test_failure_tells_the_same(self, dead):
        failure = external(dead).failure()
        assert failure is not None
        assert "cannot be reached" in failure

    def test_advertised_address_out_of_reach(self, own_broker, monkeypatch):
        """The classic: the broker answers, and sends its clients to an address of its own network."""
        real = embedded_module.server_properties

        def inside_a_network(*arguments: object, **named: object) -> dict[str, str]:
            advertised = {"advertised.listeners": "PLAINTEXT://kafka.invalid:9092"}
            return {**real(*arguments, **named), **advertised}  # type: ignore[arg-type]

        async def no_round_trip(*_: object) -> None:
            pass

        monkeypatch.setattr(embedded_module, "server_properties", inside_a_network)
        monkeypatch.setattr(embedded_module, "round_trip", no_round_trip)
        servers = own_broker().start().bootstrap_servers
        text = ""
        for _ in range(300):  # until the broker has registered, there are no addresses to complain about
            failure = external(servers).failure()
            if failure:
                text = failure
                break
            time.sleep(0.1)
        assert "tells clients to use kafka.invalid:9092" in text
        assert "advertised.listeners" in text


def test_created_by_the_factory(connection):
    broker = create_broker(BrokerOptions(kind="auto", bootstrap_servers=connection.bootstrap_servers))
    assert broker.kind == "external"
    names = asyncio.run(ensure_topics(broker.start(), [], may_create=False))
    assert names == {}
