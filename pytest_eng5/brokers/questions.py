"""Questions that aiokafka's clients do not put: what the account may do, with nothing created or written.

Imported only while a broker is asked, since aiokafka takes a third of a second to load. Layouts are those
of Kafka's message definitions (``MetadataRequest.json``, ``MetadataResponse.json``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.metadata import MetadataRequest_v4, MetadataResponse_v4
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

__all__ = ["NOT_TOLD", "TopicsRequest"]

NOT_TOLD = -(2**31)
"""In place of a set of operations: the broker does not say (KIP-430)."""


class _TopicsResponseWithRights(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            Array(("node_id", Int32), ("host", String("utf-8")), ("port", Int32), ("rack", String("utf-8"))),
        ),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("cluster_authorized_operations", Int32),
    )


class _TopicsRequestWithRights(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _TopicsResponseWithRights
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _TopicsRequestPlain(MetadataRequest_v4):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 4
    RESPONSE_TYPE = MetadataResponse_v4
    SCHEMA = MetadataRequest_v4.SCHEMA


_Structs: TypeAlias = _TopicsRequestPlain | _TopicsRequestWithRights


class TopicsRequest(Request[_Structs]):  # type: ignore[misc]
    """Ask for topics by name; the broker creates none of them, also if it creates topics for others.

    Since Kafka 2.3 (version 8) the answer says what the account may do with each; before Kafka 0.11
    (version 4) the question cannot be put without creating topics, and is refused.
    """

    API_KEY = 3

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = list(topics)

    def build(self, request_struct_class: type[_Structs]) -> _Structs:
        """The struct of the version that the broker understands."""
        if request_struct_class.API_VERSION == _TopicsRequestWithRights.API_VERSION:
            return request_struct_class(self._topics, False, False, True)
        return request_struct_class(self._topics, False)
