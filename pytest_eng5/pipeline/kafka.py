"""Topics and the watch over the broker.

aiokafka's clients reconnect for ever and say so only in the log. The watch is what turns a broker that stays
away into an end of the process, within a bounded time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from pytest_eng5.pipeline.errors import BrokerLost, NotYet, StartupFailed
from pytest_eng5.pipeline.logs import service_logger

__all__ = ["BrokerWatch", "KafkaOptions", "TopicSpec", "ensure_topics", "record_limit"]

_TOPIC_ALREADY_EXISTS = 36
_BAD_REPLICATION = 38
_BROKERS_DEFAULT = -1
_USUAL_REPLICAS = 3
_MAY_PASS = frozenset({7, 15, _BAD_REPLICATION, 41})
"""Timeout, no coordinator, no broker registered for a replica, no controller: a cluster that just starts."""
_REQUEST_MS = 3000
# Longer than one request, which otherwise is not seen to fail: its dead connection would be used again.
_PROBE_TIMEOUT = 4.0
_LEADER_TIMEOUT = 15.0
_LIMIT_SETTING = "max.message.bytes"


@dataclass(frozen=True, slots=True)
class KafkaOptions:
    """How every Kafka client of the pipeline connects.

    Attributes:
        bootstrap_servers: ``host:port`` list.
        topic_prefix: Put before every topic and the consumer group.
        broker_timeout: Seconds without the broker after which the process gives up.
        client_options: Further arguments of every client, such as security; hidden, as they hold secrets.
    """

    bootstrap_servers: str
    topic_prefix: str = ""
    broker_timeout: float = 15.0
    client_options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def client_arguments(self, client_id: str) -> dict[str, Any]:
        """Arguments every aiokafka client gets: a short request timeout (40 s is the library's default)."""
        return {
            "request_timeout_ms": _REQUEST_MS,
            "retry_backoff_ms": 250,
            **self.client_options,
            "bootstrap_servers": self.bootstrap_servers,
            "client_id": client_id,
        }


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it is created when it is missing; ``settings`` are topic configurations of the broker."""

    name: str
    partitions: int = 3
    settings: Mapping[str, str] = field(default_factory=dict)


async def ensure_topics(
    admin: AIOKafkaAdminClient, topics: Iterable[TopicSpec], *, create: bool = True
) -> None:
    """Create the topics that are missing and wait until all of them have leaders.

    Raises:
        StartupFailed: A topic cannot be created.
        NotYet: A topic is missing and may not be created, or has no leader in time.
    """
    wanted = {topic.name: topic for topic in topics}
    missing = sorted(set(wanted) - set(await admin.list_topics()))
    if missing and not create:
        raise NotYet(
            f"the broker lacks {len(missing)} of {len(wanted)} topics: {', '.join(missing)}",
            fix="create them, or start without --no-create-topics",
        )
    if missing:
        await _create(admin, [wanted[name] for name in missing])
    deadline = time.monotonic() + _LEADER_TIMEOUT
    while waiting := await _without_leader(admin, list(wanted)):
        if time.monotonic() > deadline:
            raise NotYet(f"no partition leader after {_LEADER_TIMEOUT:g} s", where=", ".join(waiting))
        await asyncio.sleep(0.05)  # the broker offers nothing to wait on


async def _create(admin: AIOKafkaAdminClient, topics: Iterable[TopicSpec]) -> None:
    """Create topics with the broker's default replication factor.

    With one replica a topic takes no record on a cluster where ``min.insync.replicas`` is 2.
    """
    wanted = {topic.name: topic for topic in topics}
    answers = await _ask_for(admin, wanted.values(), _BROKERS_DEFAULT)
    if old := [name for name, code, *_ in answers if code == _BAD_REPLICATION]:  # before Kafka 2.4
        brokers = len((await admin.describe_cluster())["brokers"])
        answers = [answer for answer in answers if answer[0] not in old]
        answers += await _ask_for(admin, [wanted[name] for name in old], min(_USUAL_REPLICAS, brokers))
    for name, code, *message in answers:
        if code not in (0, _TOPIC_ALREADY_EXISTS):
            refused = NotYet if code in _MAY_PASS else StartupFailed
            raise refused(
                f"the broker refuses to create the topic: {message[0] if message else f'error {code}'}",
                where=name,
                fix="create the topic yourself, or allow this client to create topics",
            )


async def _ask_for(
    admin: AIOKafkaAdminClient, topics: Iterable[TopicSpec], replicas: int
) -> list[tuple[Any, ...]]:
    made = [NewTopic(t.name, t.partitions, 1, topic_configs=dict(t.settings)) for t in topics]
    for topic in made:
        topic.replication_factor = replicas  # afterwards, as its constructor refuses the broker's default
    return list((await admin.create_topics(made)).topic_errors)


async def _without_leader(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> list[str]:
    described = await admin.describe_topics(list(topics))
    return [
        topic["topic"]
        for topic in described
        if topic["error_code"] or not topic["partitions"] or any(p["leader"] < 0 for p in topic["partitions"])
    ]


async def record_limit(options: KafkaOptions, topic: str) -> int | None:
    """The largest record batch in bytes that a topic takes; ``None`` if the broker does not tell."""
    admin = AIOKafkaAdminClient(**options.client_arguments("eng5-pipeline-limits"))
    wanted = ConfigResource(ConfigResourceType.TOPIC, topic, {_LIMIT_SETTING: None})
    try:
        await admin.start()
        answers = await admin.describe_configs([wanted])
    except KafkaError:
        return None
    finally:
        await admin.close()
    settings = [entry for answer in answers for resource in answer.resources for entry in resource[4]]
    return next((int(entry[1]) for entry in settings if entry[0] == _LIMIT_SETTING), None)


class BrokerWatch:
    """Asks the broker for its cluster metadata every ``interval`` seconds, one request at a time.

    Args:
        admin: A started admin client.
        options: Address and patience.
        interval: Seconds between two questions.
    """

    def __init__(self, admin: AIOKafkaAdminClient, options: KafkaOptions, *, interval: float = 1.0) -> None:
        self._admin = admin
        self._options = options
        self._interval = interval
        self.problem: str | None = None

    async def run(self) -> None:
        """Watch until the broker has been away for ``broker_timeout`` seconds.

        Raises:
            BrokerLost: It has.
        """
        log = service_logger("broker_watch")
        last_answer = time.monotonic()
        while True:
            problem = await self._ask()
            if problem is None:
                if self.problem is not None:
                    log.warning("broker is back", away_seconds=round(time.monotonic() - last_answer, 1))
                last_answer = time.monotonic()
            elif self.problem is None:
                log.warning("broker does not answer", problem=problem)
            self.problem = problem
            away = time.monotonic() - last_answer
            if away > self._options.broker_timeout:
                raise BrokerLost(
                    f"the Kafka broker has not answered for {away:.0f} s ({problem})",
                    where=self._options.bootstrap_servers,
                    fix="look at the broker's own log; start the pipeline again once the broker is up",
                )
            await asyncio.sleep(self._interval)

    async def _ask(self) -> str | None:
        try:
            # No topic is asked for: metadata of all topics is long, and of a missing one may create it.
            await asyncio.wait_for(self._admin.describe_topics([]), _PROBE_TIMEOUT)
        except TimeoutError:
            return f"no answer within {_PROBE_TIMEOUT:g} s"
        except (KafkaError, OSError) as error:
            return type(error).__name__
        return None
