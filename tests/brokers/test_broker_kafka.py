"""The embedded broker is a real Kafka: what production clients rely on works, and topics are explicit."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import time
import uuid
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, ConfigResource

from pytest_eng5.brokers import (
    BrokerConnection,
    BrokerNotReady,
    BrokerUnreachable,
    EmbeddedBroker,
    TopicsMissing,
    attach,
    ensure_topics,
    probe,
    round_trip,
)
from pytest_eng5.brokers.probe import run_blocking

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


@pytest.fixture
def topic(connection: BrokerConnection) -> str:
    """A fresh topic with one partition."""
    name = f"test.{uuid.uuid4().hex}"
    run(ensure_topics(connection, [name], partitions=1, may_create=True))
    return name


def topic_names(connection: BrokerConnection) -> set[str]:
    """By another client library than the one under test."""
    return set(
        AdminClient({"bootstrap.servers": connection.bootstrap_servers}).list_topics(timeout=60).topics
    )


async def consume(connection: BrokerConnection, topic: str, count: int, **options: Any) -> list[Any]:
    async with AIOKafkaConsumer(**connection.client_arguments(**options)) as consumer:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        async with asyncio.timeout(60):
            return [await consumer.getone() for _ in range(count)]


class TestRecords:
    def test_come_back_whole(self, connection, topic):
        async def scenario() -> Any:
            async with AIOKafkaProducer(**connection.client_arguments()) as producer:
                await producer.send_and_wait(
                    topic,
                    "värde".encode(),
                    key=b"k",
                    headers=[("h", b"\x00\xff")],
                    timestamp_ms=1_700_000_000_000,
                )
            return (await consume(connection, topic, 1))[0]

        record = run(scenario())
        assert (record.value.decode(), record.key, record.headers) == ("värde", b"k", (("h", b"\x00\xff"),))
        assert (record.offset, record.timestamp) == (0, 1_700_000_000_000)

    @pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
    def test_every_compression_passes(self, connection, topic, compression):
        async def scenario() -> list[bytes]:
            arguments = connection.client_arguments(compression_type=compression)
            async with AIOKafkaProducer(**arguments) as producer:
                await asyncio.gather(*[producer.send_and_wait(topic, b"x" * 5000) for _ in range(20)])
            return [record.value for record in await consume(connection, topic, 20)]

        assert run(scenario()) == [b"x" * 5000] * 20

    def test_broker_recompresses_which_needs_its_native_libraries(self, connection):
        name = f"test.{uuid.uuid4().hex}"
        admin = AdminClient({"bootstrap.servers": connection.bootstrap_servers})
        from confluent_kafka.admin import NewTopic

        config = {"compression.type": "zstd"}
        admin.create_topics([NewTopic(name, 1, 1, config=config)])[name].result(60)

        async def scenario() -> list[bytes]:
            async with AIOKafkaProducer(**connection.client_arguments(compression_type="snappy")) as producer:
                await producer.send_and_wait(name, b"y" * 5000)
            return [record.value for record in await consume(connection, name, 1)]

        assert run(scenario()) == [b"y" * 5000]

    def test_idempotent_and_transactional_producers_work(self, connection, topic):
        async def scenario() -> list[bytes]:
            arguments = connection.client_arguments(transactional_id=f"t-{uuid.uuid4().hex}")
            async with AIOKafkaProducer(**arguments) as producer:
                async with producer.transaction():
                    await producer.send_and_wait(topic, b"committed")
                await producer.begin_transaction()
                await producer.send_and_wait(topic, b"aborted")
                await producer.abort_transaction()
                async with producer.transaction():
                    await producer.send_and_wait(topic, b"committed too")
            found = await consume(connection, topic, 2, isolation_level="read_committed")
            return [record.value for record in found]

        assert run(scenario()) == [b"committed", b"committed too"]

    def test_a_consumer_group_joins_at_once_and_remembers(self, connection, topic):
        producer = Producer({"bootstrap.servers": connection.bootstrap_servers})
        for number in range(3):
            producer.produce(topic, str(number))
        assert producer.flush(60) == 0
        settings = {
            "bootstrap.servers": connection.bootstrap_servers,
            "group.id": f"g-{uuid.uuid4().hex}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }

        def read(count: int) -> tuple[list[bytes | None], float]:
            consumer = Consumer(settings)
            consumer.subscribe([topic])
            since = time.monotonic()
            values = []
            for _ in range(count):
                message = consumer.poll(15)
                assert message is not None
                assert message.error() is None
                values.append(message.value())
            consumer.commit(asynchronous=False)
            consumer.close()
            return values, time.monotonic() - since

        first, seconds = read(2)
        assert first == [b"0", b"1"]
        assert seconds < 10  # the default rebalance delay alone would be 3 s
        assert read(1)[0] == [b"2"]

    def test_offsets_of_latest_are_right(self, connection, topic):
        """The answer that a well-known substitute for Kafka gets wrong."""

        async def scenario() -> tuple[int, int]:
            async with AIOKafkaProducer(**connection.client_arguments()) as producer:
                for _ in range(7):
                    await producer.send_and_wait(topic, b"x")
            partition = TopicPartition(topic, 0)
            async with AIOKafkaConsumer(**connection.client_arguments()) as consumer:
                begin = (await consumer.beginning_offsets([partition]))[partition]
                return begin, (await consumer.end_offsets([partition]))[partition]

        assert run(scenario()) == (0, 7)

    def test_old_records_do_not_expire(self, connection, topic):
        admin = AdminClient({"bootstrap.servers": connection.bootstrap_servers})
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        config = admin.describe_configs([resource])[resource].result(60)
        assert config["retention.ms"].value == "-1"
        assert config["retention.bytes"].value == "-1"


class TestBroker:
    def test_is_healthy_and_describes_itself(self, broker):
        assert broker.failure() is None
        assert broker.describe() == f"embedded Apache Kafka 4.3.0 at {broker.connection.bootstrap_servers}"
        assert broker.connection.bootstrap_servers.startswith("127.0.0.1:")
        assert broker.connection.client_options == {}

    def test_says_what_it_can(self, broker):
        can = broker.capabilities
        assert can.create_topics
        assert can.delete_topics
        assert not can.durable_restart
        assert can.tls
        assert can.sasl

    def test_listens_on_loopback_only(self, broker):
        port = int(broker.connection.bootstrap_servers.rpartition(":")[2])
        own = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
        for address in own - {"127.0.0.1"}:
            with socket.socket() as client:
                client.settimeout(2)
                assert client.connect_ex((address, port)) != 0

    def test_starting_again_while_it_runs_is_harmless(self, broker):
        assert broker.start() is broker.connection

    def test_log_goes_where_asked_and_holds_no_error(self, broker):
        assert broker.log_path is not None
        log = broker.log_path.read_text()
        assert "ERROR" not in log
        assert "Performing controller activation" in log

    def test_everything_of_it_lies_in_its_own_folder(self, broker):
        assert broker.home is not None
        names = {path.name for path in broker.home.iterdir()}
        assert {"data", "server.properties"} <= names
        assert (broker.home / "data" / "__cluster_metadata-0").is_dir()

    def test_another_process_reaches_it_by_its_record(self, broker, topic, script):
        code = """
            import asyncio, json, sys
            from aiokafka import AIOKafkaProducer
            from pytest_eng5.brokers import attach
            broker = attach(json.loads(sys.argv[1]))
            async def send():
                async with AIOKafkaProducer(**broker.connection.client_arguments()) as producer:
                    await producer.send_and_wait(sys.argv[2], b"from elsewhere")
            asyncio.run(send())
            print(json.dumps([broker.kind, broker.failure(), broker.describe()]))
        """
        other = script(code, json.dumps(broker.record()), topic)
        assert other.first == ["embedded", None, broker.describe()]
        found = run(consume(broker.connection, topic, 1))
        assert found[0].value == b"from elsewhere"

    def test_attaching_here_gives_an_equal_broker(self, broker):
        twin = attach(json.loads(json.dumps(broker.record())))
        assert isinstance(twin, EmbeddedBroker)
        assert twin.record() == broker.record()
        assert twin.connection == broker.connection
        assert (twin.home, twin.log_path) == (broker.home, broker.log_path)


class TestTopics:
    def test_are_created_with_three_partitions_and_a_leader_each(self, connection):
        names = [f"test.{uuid.uuid4().hex}" for _ in range(4)]
        assert run(ensure_topics(connection, names, may_create=True)) == dict.fromkeys(names, 3)
        assert set(names) <= topic_names(connection)

    def test_creating_again_changes_nothing(self, connection, topic):
        assert run(ensure_topics(connection, [topic], partitions=9, may_create=True)) == {topic: 1}

    def test_are_usable_the_moment_they_are_ensured(self, connection):
        async def scenario() -> int:
            for _ in range(5):
                name = f"test.{uuid.uuid4().hex}"
                await ensure_topics(connection, [name], may_create=True)
                async with AIOKafkaProducer(
                    **connection.client_arguments(request_timeout_ms=2000)
                ) as producer:
                    for partition in range(3):
                        await producer.send_and_wait(name, b"x", partition=partition)
            return 5

        assert run(scenario()) == 5

    def test_many_at_once(self, connection):
        names = [f"test.many.{uuid.uuid4().hex}" for _ in range(14)]
        assert len(run(ensure_topics(connection, names, may_create=True))) == 14

    def test_two_who_create_the_same_do_not_disturb_each_other(self, connection):
        name = f"test.{uuid.uuid4().hex}"

        async def both() -> list[Any]:
            return await asyncio.gather(
                *[ensure_topics(connection, [name], may_create=True) for _ in range(4)]
            )

        assert run(both()) == [{name: 3}] * 4

    def test_a_name_given_twice_counts_once(self, connection):
        name = f"test.{uuid.uuid4().hex}"
        assert run(ensure_topics(connection, [name, name], may_create=True)) == {name: 3}

    def test_none_is_none(self, connection):
        assert run(ensure_topics(connection, [], may_create=True)) == {}

    def test_missing_ones_are_named_and_not_created(self, connection, topic):
        absent = [f"absent.{uuid.uuid4().hex}" for _ in range(2)]
        before = topic_names(connection)
        with pytest.raises(TopicsMissing) as caught:
            run(ensure_topics(connection, [absent[0], topic, absent[1]], may_create=False))
        text = str(caught.value)
        assert "2 topics are missing" in text
        assert all(name in text for name in absent)
        assert topic not in text
        assert topic_names(connection) == before

    def test_existing_ones_are_found_without_permission_to_create(self, connection, topic):
        assert run(ensure_topics(connection, [topic], may_create=False)) == {topic: 1}

    def test_a_name_kafka_refuses_is_named(self, connection):
        with pytest.raises(TopicsMissing, match=r"topic bad name! cannot be created: .*invalid"):
            run(ensure_topics(connection, ["bad name!"], may_create=True))

    def test_no_topic_appears_because_somebody_asks_for_it(self, connection):
        name = f"ghost.{uuid.uuid4().hex}"

        async def ask() -> None:
            admin = AIOKafkaAdminClient(**connection.client_arguments())
            await admin.start()
            try:
                await admin.describe_topics([name])
            finally:
                await admin.close()

        run(ask())
        time.sleep(0.2)
        assert name not in topic_names(connection)

    def test_probing_leaves_no_topic(self, connection):
        run(round_trip(connection))
        assert run(probe(connection)) == 1
        time.sleep(0.2)
        assert not [name for name in topic_names(connection) if name.startswith("eng5.probe")]

    def test_broker_that_is_not_there(self):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{nobody.getsockname()[1]}"
            with pytest.raises(BrokerUnreachable, match=r"cannot be reached"):
                run(ensure_topics(BrokerConnection(address), ["x"], may_create=True))
            with pytest.raises(BrokerNotReady):
                run(round_trip(BrokerConnection(address), 5))


class TestRunBlocking:
    def test_works_inside_a_running_loop(self, connection):
        async def outer() -> int:
            return run_blocking(probe(connection))

        assert run(outer()) == 1

    def test_passes_errors_on(self):
        async def fail() -> None:
            raise KeyError("x")

        with pytest.raises(KeyError):
            run_blocking(fail())

    def test_leaves_no_loop_behind(self):
        async def nothing() -> int:
            return os.getpid()

        before = logging.getLogger("asyncio").level
        assert run_blocking(nothing()) == os.getpid()
        assert logging.getLogger("asyncio").level == before
