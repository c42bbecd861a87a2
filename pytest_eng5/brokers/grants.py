"""Users of SCRAM and rules of access control, created on a broker of ours by its insider.

Imported only while a secured broker starts, since aiokafka takes a third of a second to load. It has no call
for either; the layouts are those of Kafka's message definitions (``AlterUserScramCredentialsRequest.json``,
``CreateAclsRequest.json``).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.admin import CreateAclsRequest_v1
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    CompactArray,
    CompactBytes,
    CompactString,
    Int8,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from pytest_eng5.brokers.client import connected
from pytest_eng5.brokers.errors import BrokerError, BrokerNotReady
from pytest_eng5.brokers.model import AclRule, BrokerConnection, ServerSecurity

__all__ = ["grant"]

_ITERATIONS = 4096  # the least that Kafka takes: these passwords guard a test
_SCRAM = {"SCRAM-SHA-256": (1, "sha256"), "SCRAM-SHA-512": (2, "sha512")}
_RESOURCES = {"topic": 2, "group": 3, "cluster": 4, "transactional_id": 5}
_LITERAL, _PREFIXED = 3, 4
_DENY, _ALLOW = 2, 3
_OPERATIONS = {
    **{"all": 2, "read": 3, "write": 4, "create": 5, "delete": 6, "alter": 7, "describe": 8},
    **{"cluster_action": 9, "describe_configs": 10, "alter_configs": 11, "idempotent_write": 12},
}


async def grant(insider: BrokerConnection, security: ServerSecurity, timeout: float) -> None:  # noqa: ASYNC109
    """Create or replace the SCRAM users, and add the rules; both stay in a broker's data.

    Raises:
        BrokerError: Kafka refuses one of them.
        BrokerNotReady: It does not answer within ``timeout`` seconds.
    """
    scram = security.mechanism in _SCRAM
    if not scram and not security.acls:
        return
    try:
        async with asyncio.timeout(timeout), connected(insider) as client:
            if scram:
                await _create_users(client, security)
            if security.acls:
                await _create_rules(client, security.acls)
    except (KafkaError, OSError) as error:
        raise BrokerNotReady(
            f"the broker did not take its users and rules within {timeout:g} s: {str(error) or 'no answer'}",
            where=insider.bootstrap_servers,
            fix="see the broker's log; on a busy machine try again",
        ) from error


async def _create_users(client: AIOKafkaClient, security: ServerSecurity) -> None:
    number, digest = _SCRAM[str(security.mechanism)]
    users: list[tuple[Any, ...]] = []
    for name, password in security.users.items():
        salt = os.urandom(24)
        salted = hashlib.pbkdf2_hmac(digest, password.encode(), salt, _ITERATIONS)
        users.append((name, number, _ITERATIONS, salt, salted, {}))
    answer = await client.send(client.get_random_node(), _Users(users))
    for name, code, why, _ in answer.results:
        _require(code, why, f"user {name!r}")


async def _create_rules(client: AIOKafkaClient, rules: Sequence[AclRule]) -> None:
    answer = await client.send(client.get_random_node(), _Rules(rules))
    described = [f"{operation} of {rule}" for rule in rules for operation in rule.operations]
    for what, (code, why) in zip(described, answer.creation_responses, strict=True):
        _require(code, why, what)


def _require(code: int, why: str | None, what: str) -> None:
    if code:
        raise BrokerError(f"Kafka refuses {what}: {why or for_code(code).__name__}")


# ---- the messages ----------------------------------------------------------------------------------------


class _UsersResponse(Response):  # type: ignore[misc]
    API_KEY = 51
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            CompactArray(
                ("user", CompactString("utf-8")),
                ("error_code", Int16),
                ("error_message", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _UsersRequest(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = 51
    API_VERSION = 0
    RESPONSE_TYPE = _UsersResponse
    SCHEMA = Schema(
        (
            "deletions",
            CompactArray(("name", CompactString("utf-8")), ("mechanism", Int8), ("tags", TaggedFields)),
        ),
        (
            "upsertions",
            CompactArray(
                ("name", CompactString("utf-8")),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted_password", CompactBytes),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _Users(Request[_UsersRequest]):  # type: ignore[misc]
    API_KEY = 51

    def __init__(self, users: Sequence[tuple[Any, ...]]) -> None:
        self._users = list(users)

    def build(self, request_struct_class: type[_UsersRequest]) -> _UsersRequest:
        return request_struct_class([], self._users, {})


class _Rules(Request[CreateAclsRequest_v1]):  # type: ignore[misc]
    API_KEY = 30

    def __init__(self, rules: Sequence[AclRule]) -> None:
        self._rules = rules

    def build(self, request_struct_class: type[CreateAclsRequest_v1]) -> CreateAclsRequest_v1:
        return request_struct_class([row for rule in self._rules for row in _rows(rule)])


def _rows(rule: AclRule) -> Iterator[tuple[int, str, int, str, str, int, int]]:
    """One row of the request for each operation."""
    name = "kafka-cluster" if rule.resource == "cluster" else rule.name
    pattern = _PREFIXED if rule.prefixed else _LITERAL
    permission = _DENY if rule.deny else _ALLOW
    for operation in rule.operations:
        row = (_RESOURCES[rule.resource], name, pattern, f"User:{rule.user}", "*")
        yield (*row, _OPERATIONS[operation], permission)
