"""May this account do what a run needs? Asked before anything is published, without writing anything.

Topics: the broker tells which operations are allowed (Metadata version 8, KIP-430). The group: a heartbeat of
a member that does not exist is refused for want of rights before it is refused for being unknown. The
idempotent producer: asking for a producer id is what such a producer does first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_eng5.brokers.acls import Lack
from pytest_eng5.brokers.client import ask_any, connected
from pytest_eng5.brokers.diagnosis import unusable
from pytest_eng5.brokers.errors import BrokerError
from pytest_eng5.brokers.model import BrokerConnection
from pytest_eng5.brokers.topics import topics_missing

if TYPE_CHECKING:
    from aiokafka.client import AIOKafkaClient

__all__ = ["check_access"]

_RETRY_SECONDS = 0.1
_UNKNOWN_TOPIC = 3
_NO_LEADER_YET = 5
_COORDINATOR_STARTS = frozenset({14, 15, 16})  # loading, not available, moved
_TOPIC_DENIED = 29
_GROUP_DENIED = 30
_CLUSTER_DENIED = 31
# Bits of a set of authorized operations: the codes of Kafka's `AclOperation`.
_READ = 3
_WRITE = 4
_READABLE, _WRITABLE = 1 << _READ, 1 << _WRITE
_BEYOND = 2**62


async def check_access(
    connection: BrokerConnection,
    *,
    read: Sequence[str],
    write: Sequence[str],
    group: str,
    group_prefix: str | None = None,
    idempotent: bool = False,
    timeout: float = 10,  # noqa: ASYNC109
) -> None:
    """Make sure that topics exist and that the account may read and write them; changes nothing.

    A broker older than Kafka 2.3, or one that does not tell, is asked for a record beyond the end of each
    topic that is to be read. That writing is forbidden shows there only when it is tried.

    Args:
        connection: The broker, with the account.
        read: Topics that must exist and be readable.
        write: Topics that must exist and be writable.
        group: Consumer group under which offsets are committed.
        group_prefix: What the names of such groups begin with, if they differ from session to session; the
            advice then is for all of them.
        idempotent: Whether the producer must be idempotent, for which older brokers want a right of its own;
            one that makes do without needs none.
        timeout: Seconds for all of it.

    Raises:
        TopicsMissing: Topics do not exist.
        AccessDenied: The account lacks rights; names each with the command that grants it.
        BrokerUnreachable: The broker does not answer in time.
    """
    from aiokafka.errors import KafkaError

    lack = Lack()
    try:
        async with asyncio.timeout(timeout), connected(connection) as client:
            await _check_topics(client, read, write, lack)
            await _check_group(client, group, lack)
            if idempotent and write and not lack.topics and not lack.rights:
                await _check_producer(client, lack)
    except (KafkaError, OSError) as error:  # TimeoutError is an OSError
        raise await unusable(connection, error) from error
    if lack.rights:
        raise lack.error(connection, group_prefix)
    if lack.topics:
        raise topics_missing(connection, lack.topics)


async def _check_topics(
    client: AIOKafkaClient, read: Sequence[str], write: Sequence[str], lack: Lack
) -> None:
    from aiokafka.errors import for_code

    from pytest_eng5.brokers.questions import NOT_TOLD, TopicsRequest

    wanted = list(dict.fromkeys([*read, *write]))
    answer = await ask_any(client, TopicsRequest(wanted))
    found = {topic["topic"]: topic for topic in answer.to_object()["topics"]}
    for name in wanted:
        code, allowed = found[name]["error_code"], found[name].get("authorized_operations", NOT_TOLD)
        if code == _UNKNOWN_TOPIC:
            lack.topics.append(name)
            continue
        if code == _TOPIC_DENIED:
            lack.hidden.append(name)
            allowed = 0
        elif code not in (0, _NO_LEADER_YET):
            raise BrokerError(
                f"the broker says {for_code(code).__name__}",
                where=f"topic {name}",
                fix="check --eng5-topic-prefix (letters, digits, dots, - and _), and the broker's log",
            )
        if allowed == NOT_TOLD:
            allowed = _WRITABLE | (_READABLE if await _readable(client, found[name], name in read) else 0)
        for operation in _lacking(allowed, name in read, name in write):
            lack.right(operation, "topic", name)


async def _readable(client: AIOKafkaClient, topic: Mapping[str, Any], wanted: bool) -> bool:
    """Whether a record may be asked for, far beyond the last one; for brokers that do not tell rights."""
    from aiokafka.protocol.fetch import FetchRequest

    led = [part for part in topic["partitions"] if part["leader"] >= 0]
    if not wanted or not led:
        return True
    asked = [(topic["topic"], [(led[0]["partition"], _BEYOND, 1)])]
    answer = await client.send(led[0]["leader"], FetchRequest(0, 0, 1, 0, asked))
    return all(part[1] != _TOPIC_DENIED for _, parts in answer.topics for part in parts)


def _lacking(allowed: int, read: bool, write: bool) -> list[str]:
    """The operations that are needed and not in a set of authorized ones; either includes Describe."""
    needed = {"Read": (_READ, read), "Write": (_WRITE, write)}
    return [name for name, (bit, wanted) in needed.items() if wanted and not allowed >> bit & 1]


async def _check_group(client: AIOKafkaClient, group: str, lack: Lack) -> None:
    from aiokafka.protocol.coordination import FindCoordinatorRequest
    from aiokafka.protocol.group import HeartbeatRequest

    while True:
        found = await ask_any(client, FindCoordinatorRequest(group, 0))
        code = found.error_code
        if not code:
            code = (await client.send(found.coordinator_id, HeartbeatRequest(group, -1, ""))).error_code
        if code not in _COORDINATOR_STARTS:
            break
        await asyncio.sleep(_RETRY_SECONDS)  # the broker makes its topic of offsets on the first question
    if code == _GROUP_DENIED:
        lack.right("Read", "group", group)


async def _check_producer(client: AIOKafkaClient, lack: Lack) -> None:
    """Ask for a producer id, which costs the broker a number and leaves no record in a topic."""
    from aiokafka.protocol.transaction import InitProducerIdRequest

    answer = await ask_any(client, InitProducerIdRequest(None, 0))
    if answer.error_code == _CLUSTER_DENIED:
        lack.right("IdempotentWrite", "cluster", "")
