"""What the broker says about the topics that are captured or published to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_eng5.capture.errors import CaptureError
from pytest_eng5.capture.patience import BACKOFF_MS, REQUEST_MS

__all__ = ["TopicFacts", "describe_topics"]

_LIMIT_SETTING = "max.message.bytes"


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """Facts about some topics.

    Attributes:
        partitions: Partition numbers by topic.
        record_limit: The largest record batch in bytes that any of them takes; ``None`` if the broker does
            not tell, for one because this client may not ask (DESCRIBE_CONFIGS).
    """

    partitions: Mapping[str, Sequence[int]]
    record_limit: int | None


async def describe_topics(arguments: Mapping[str, Any], topics: Sequence[str]) -> TopicFacts:
    """Ask for partitions and limits of topics, which must exist.

    Args:
        arguments: Keyword arguments for the Kafka client.
        topics: Their names.

    Raises:
        CaptureError: The broker lacks a topic.
        KafkaError, OSError: The broker does not answer.
    """
    from aiokafka.admin import AIOKafkaAdminClient

    settings = {"request_timeout_ms": REQUEST_MS, "retry_backoff_ms": BACKOFF_MS, **arguments}
    admin = AIOKafkaAdminClient(**settings)
    try:
        await admin.start()
        described = await admin.describe_topics(list(topics))
        limit = await _record_limit(admin, topics)
    finally:
        await admin.close()
    numbers = {
        topic["topic"]: sorted(part["partition"] for part in topic["partitions"]) for topic in described
    }
    absent = sorted(topic for topic in topics if not numbers.get(topic))
    if absent:
        raise CaptureError(
            f"the broker has no topic {', '.join(absent)}",
            where=str(arguments.get("bootstrap_servers")),
            fix="start the pipeline that owns the topics, or create them",
        )
    return TopicFacts({topic: numbers[topic] for topic in topics}, limit)


async def _record_limit(admin: Any, topics: Sequence[str]) -> int | None:
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
    from aiokafka.errors import KafkaError

    wanted = [ConfigResource(ConfigResourceType.TOPIC, topic, {_LIMIT_SETTING: None}) for topic in topics]
    try:
        answers = await admin.describe_configs(wanted)
    except KafkaError:
        return None
    limits = []
    for code, _, _, _, settings in (resource for answer in answers for resource in answer.resources):
        values = [entry[1] for entry in settings if entry[0] == _LIMIT_SETTING]
        if code or not values:
            return None
        limits.append(int(values[0]))
    return max(limits, default=None)
