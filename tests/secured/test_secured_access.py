"""What an account may do is known before anything is published."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shlex
import time
from collections.abc import Callable, Iterator

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from pytest_eng5.brokers import (
    AccessDenied,
    BrokerConnection,
    BrokerError,
    TopicsMissing,
    check_access,
    ensure_topics,
)
from pytest_eng5.contracts import CAPTURED_EVENTS, ProcessingEvent, topic_names

GIVEN = "given."
GROUP = f"{GIVEN}pytest-eng5-20260301T090000Z-1f3a-master"
CAPTURED = topic_names(CAPTURED_EVENTS, GIVEN)
(REQUESTS,) = topic_names([ProcessingEvent.ELS_CJ_ASSESSMENT_REQUESTED], GIVEN)


def check(connection: BrokerConnection, **more: object) -> None:
    wanted: dict[str, object] = {"read": CAPTURED, "write": [REQUESTS], "group": GROUP} | more
    asyncio.run(check_access(connection, **wanted))  # type: ignore[arg-type]


def denied(connection: BrokerConnection, **more: object) -> AccessDenied:
    since = time.monotonic()
    with pytest.raises(AccessDenied) as caught:
        check(connection, **more)
    assert time.monotonic() - since < 30
    assert caught.value.where == connection.bootstrap_servers
    return caught.value


def commands(error: AccessDenied) -> list[list[str]]:
    """The commands of the advice, as a shell would split them."""
    assert error.fix is not None
    return [shlex.split(line) for line in error.fix.splitlines() if "kafka-acls.sh" in line]


def values(words: list[str], option: str) -> list[str]:
    return [word for before, word in itertools.pairwise(words) if before == option]


def bindings(words: list[str]) -> list[AclBinding]:
    """What ``kafka-acls.sh`` would make of a command, by its documentation."""
    kind = ResourceType.GROUP if "--group" in words else ResourceType.TOPIC
    pattern = (values(words, "--resource-pattern-type") or ["literal"])[0]
    (principal,) = values(words, "--allow-principal")
    (operation,) = values(words, "--operation")
    return [
        AclBinding(
            kind,
            name,
            ResourcePatternType[pattern.upper()],
            principal,
            "*",
            AclOperation[operation.upper()],
            AclPermissionType.ALLOW,
        )
        for name in values(words, "--group") + values(words, "--topic")
    ]


@contextlib.contextmanager
def followed(secured, error: AccessDenied) -> Iterator[None]:
    """Rules as advised, made by librdkafka and taken back."""
    admin = AdminClient(secured.librdkafka("admin"))
    rules = [rule for words in commands(error) for rule in bindings(words)]
    for made in admin.create_acls(rules).values():
        made.result(60)
    exact = [
        AclBindingFilter(
            rule.restype,
            rule.name,
            rule.resource_pattern_type,
            rule.principal,
            rule.host,
            rule.operation,
            rule.permission_type,
        )
        for rule in rules
    ]
    until(lambda: all(admin.describe_acls(each).result(60) for each in exact))
    yield
    for removed in admin.delete_acls(exact).values():
        removed.result(60)
    until(lambda: not any(admin.describe_acls(each).result(60) for each in exact))


def until(true: Callable[[], bool]) -> None:
    """Rules are valid once the broker lists them; nobody is told when."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def state(secured) -> tuple[dict[TopicPartition, int], set[str]]:
    """What stands on the broker: end offsets of all partitions, and groups.

    Kafka makes its own topic of offsets when somebody first asks for a group.
    """

    async def look() -> tuple[dict[TopicPartition, int], set[str]]:
        arguments = secured.connection("admin").client_arguments()
        admin = AIOKafkaAdminClient(**arguments)
        await admin.start()
        described = await admin.describe_topics()
        groups = await admin.list_consumer_groups()
        await admin.close()
        topics = [each for each in described if not each["is_internal"]]
        parts = [TopicPartition(t["topic"], part["partition"]) for t in topics for part in t["partitions"]]
        async with AIOKafkaConsumer(**arguments) as consumer:
            ends = await consumer.end_offsets(parts)
        return ends, {group[0] for group in groups}

    return asyncio.run(look())


@pytest.mark.parametrize("user", ["admin", "limited"])
def test_who_may_do_all_of_it_passes_and_leaves_nothing(secured, user):
    before = state(secured)
    check(secured.connection(user))
    assert state(secured) == before


@pytest.mark.thorough
def test_a_broker_without_access_control_allows_all(authority, start):
    from pytest_eng5.brokers.model import ServerSecurity

    certificate, key = authority.issue("open", "127.0.0.1")
    security = ServerSecurity("SSL", certificate=certificate, private_key=key, ca=authority.certificate)
    connection = start(security).connection
    asyncio.run(ensure_topics(connection, ["a", "b"], may_create=True))
    check(connection, read=["a"], write=["b"])


class TestMissingRights:
    @pytest.mark.parametrize(
        ("user", "missing"),
        [
            ("no-read", {("Read", "topic"): CAPTURED}),
            ("no-write", {("Write", "topic"): [REQUESTS]}),
            ("no-describe", {("Read", "topic"): CAPTURED}),
            ("no-group", {("Read", "group"): [GROUP]}),
            ("half-group", {("Read", "group"): [GROUP]}),
            (
                "nothing",
                {("Read", "topic"): CAPTURED, ("Write", "topic"): [REQUESTS], ("Read", "group"): [GROUP]},
            ),
        ],
    )
    def test_each_is_named_with_the_command_that_grants_it(self, secured, user, missing):
        error = denied(secured.connection(user))
        assert f"the account {user!r} may not" in error.what
        advised = {}
        for words in commands(error):
            assert words[:4] == ["kafka-acls.sh", "--bootstrap-server", secured.servers, "--add"]
            assert values(words, "--allow-principal") == [f"User:{user}"]
            (operation,) = values(words, "--operation")
            kind = "group" if "--group" in words else "topic"
            advised[(operation, kind)] = values(words, f"--{kind}")
        assert advised == missing
        for names in missing.values():
            assert all(name in error.what for name in names)

    def test_what_cannot_be_described_may_also_be_missing(self, secured):
        assert "may be no such topic" not in denied(secured.connection("no-read")).what
        hidden = denied(secured.connection("no-describe")).what
        assert f"cannot even see {', '.join(CAPTURED)}: there may be no such topic either" in hidden

    def test_a_rule_for_all_sessions_is_advised_if_their_groups_begin_alike(self, secured):
        error = denied(secured.connection("no-group"), group_prefix=f"{GIVEN}pytest-eng5-")
        (words,) = commands(error)
        assert values(words, "--group") == [f"{GIVEN}pytest-eng5-"]
        assert values(words, "--resource-pattern-type") == ["prefixed"]
        with followed(secured, error):
            check(secured.connection("no-group"))
            check(secured.connection("no-group"), group=f"{GIVEN}pytest-eng5-of-tomorrow")

    def test_names_are_quoted_for_a_shell(self, secured):
        error = denied(secured.connection("no-group"), group="given.x'; rm -rf *")
        assert values(commands(error)[0], "--group") == ["given.x'; rm -rf *"]

    def test_following_the_advice_is_enough(self, secured):
        connection = secured.connection("nothing")
        error = denied(connection)
        with followed(secured, error):
            check(connection)
        denied(connection)

    def test_each_command_alone_grants_no_more_than_it_says(self, secured):
        connection = secured.connection("nothing")
        error = denied(connection)
        for words in commands(error):
            alone = AccessDenied("one of them", fix=shlex.join(words))
            with followed(secured, alone):
                left = commands(denied(connection))
            assert words not in left
            assert len(left) == len(commands(error)) - 1

    def test_a_producer_without_ids_needs_no_right_for_them(self, secured):
        """Since Kafka 2.8 the right to write one topic includes that to an idempotent producer."""
        check(secured.connection("limited"), idempotent=False)
        check(secured.connection("limited"), idempotent=True)


class TestTopics:
    def test_missing_ones_are_named(self, secured):
        since = time.monotonic()
        with pytest.raises(TopicsMissing) as caught:
            check(secured.connection("limited"), read=[*CAPTURED, "given.absent", "given.gone"])
        assert time.monotonic() - since < 30
        assert "2 topics are missing: given.absent, given.gone" in str(caught.value)
        assert "--eng5-create-topics" in str(caught.value)
        assert "given.absent" not in {part.topic for part in state(secured)[0]}

    def test_rights_and_topics_are_told_together(self, secured):
        error = denied(secured.connection("limited"), write=["given.absent", "elsewhere"])
        assert "may not Write topic elsewhere" in error.what
        assert "Missing altogether: given.absent" in error.what

    def test_a_name_that_cannot_be_one(self, secured):
        with pytest.raises(BrokerError, match=r"topic given\.bad name: the broker says InvalidTopic"):
            check(secured.connection("admin"), read=["given.bad name"])


class TestEnsureTopics:
    def ensure(self, connection: BrokerConnection, *names: str, may_create: bool) -> dict[str, int]:
        return dict(asyncio.run(ensure_topics(connection, names, partitions=2, may_create=may_create)))

    def test_who_may_create_does_and_finds_them_again(self, secured):
        names = ["own.made", "own.made.too"]
        assert self.ensure(secured.connection("eng5"), *names, may_create=True) == dict.fromkeys(names, 2)
        assert self.ensure(secured.connection("eng5"), *names, may_create=False) == dict.fromkeys(names, 2)

    def test_who_may_not_is_told_what_is_missing(self, secured):
        with pytest.raises(AccessDenied) as caught:
            self.ensure(secured.connection("limited"), "given.new", may_create=True)
        assert "the account 'limited' may not Create topic given.new" in caught.value.what
        (words,) = commands(caught.value)
        assert values(words, "--operation") == ["Create"]
        with followed(secured, caught.value):
            assert self.ensure(secured.connection("limited"), "given.new", may_create=True) == {
                "given.new": 2
            }

    def test_who_may_not_create_may_use_what_is_there(self, secured):
        assert set(self.ensure(secured.connection("limited"), *CAPTURED, may_create=True)) == set(CAPTURED)

    @pytest.mark.parametrize("may_create", [True, False])
    def test_who_may_not_even_look(self, secured, may_create):
        with pytest.raises(AccessDenied) as caught:
            self.ensure(secured.connection("nothing"), "given.x", may_create=may_create)
        assert "may not Describe topic given.x" in caught.value.what
        assert "there may be no such topic either" in caught.value.what


class TestOtherBrokers:
    """Brokers that tell less, in the guise of the one that is there."""

    @pytest.fixture(params=["before Kafka 2.3", "does not tell"])
    def silent(self, request, monkeypatch):
        """The broker does not say what is allowed."""
        from aiokafka.conn import AIOKafkaConnection

        from pytest_eng5.brokers.questions import TopicsRequest

        look_up, build = AIOKafkaConnection._do_version_lookup, TopicsRequest.build

        async def older(self: AIOKafkaConnection) -> None:
            await look_up(self)
            self._versions[3] = (0, 7)

        def asks_for_less(self: TopicsRequest, kind: type) -> object:
            struct = build(self, kind)
            struct.include_topic_authorized_operations = False
            return struct

        if request.param == "does not tell":
            monkeypatch.setattr(TopicsRequest, "build", asks_for_less)
        else:
            monkeypatch.setattr(AIOKafkaConnection, "_do_version_lookup", older)

    def test_who_may_do_all_of_it_passes(self, secured, silent):
        check(secured.connection("limited"))

    def test_reading_is_tried(self, secured, silent):
        error = denied(secured.connection("no-read"))
        assert f"may not Read topics {', '.join(CAPTURED)}" in error.what
        assert "cannot even see" not in error.what

    def test_topics_that_cannot_be_seen_and_groups_are_found_all_the_same(self, secured, silent):
        error = denied(secured.connection("nothing"))
        assert "cannot even see" in error.what
        assert f"Read group {GROUP}" in error.what

    def test_missing_topics_are_found_and_not_created(self, secured, silent):
        with pytest.raises(TopicsMissing, match=r"a topic is missing: given\.absent"):
            check(secured.connection("limited"), read=["given.absent"])
        assert "given.absent" not in {part.topic for part in state(secured)[0]}

    def test_writing_shows_when_it_is_tried(self, secured, silent):
        check(secured.connection("no-write"))

    def test_but_who_may_write_nowhere_gets_no_producer_id(self, secured, silent):
        error = denied(secured.connection("no-write"), idempotent=True)
        assert "use an idempotent producer (IdempotentWrite on the cluster)" in error.what
        (words,) = commands(error)
        assert words[-1] == "--cluster"
        assert values(words, "--operation") == ["IdempotentWrite"]

    def test_a_broker_without_default_replication_gets_a_number(self, secured, monkeypatch):
        """What Kafka before 2.4 says to -1, this one says to more replicas than there are nodes."""
        from pytest_eng5.brokers import topics

        monkeypatch.setattr(topics, "_BROKERS_DEFAULT", 7)
        made = asyncio.run(ensure_topics(secured.connection("eng5"), ["own.old"], may_create=True))
        assert made == {"own.old": 3}
