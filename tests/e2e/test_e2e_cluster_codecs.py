"""A pipeline that publishes with librdkafka, in every way it can: captured, decoded, no finding."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

pytestmark = pytest.mark.slow

WAYS = ("none", "gzip", "snappy", "lz4", "zstd", "batched", "plain", "transactional")
CHECKS = {"run", "events", "metadata", "completeness", "schema", "scoring", "costs", "manifest"}
COMPARISONS = 6
PREFIX = "codecs."
CALLBACKS = f"{PREFIX}huleedu.llm_provider.comparison_result.v1"


@pytest.fixture(scope="module")
def session(make_tree: Callable[..., Any], foreign: Any) -> Any:
    """One variant per way, all at once."""
    tree = make_tree()
    tree.scenario(
        "codecs",
        "\n".join(f'  - id: "{way}"' for way in WAYS),
        timeout="{idle: 10, total: 40}",
        judge="{provider: openai, model: gpt-5-mini-2025-08-07, temperature: 0.1}",
    )
    return tree.pytest(*foreign.options, "--junitxml", "junit.xml")


@pytest.fixture(scope="module")
def on_the_broker(session: Any, kafka: str) -> dict[tuple[int, int], tuple[bytes | None, bytes]]:
    """Key and value of every callback that a reader of committed records is given, by partition, offset."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "codecs", "enable.partition.eof": True})
    consumer.assign([TopicPartition(CALLBACKS, number, OFFSET_BEGINNING) for number in range(3)])
    found: dict[tuple[int, int], tuple[bytes | None, bytes]] = {}
    ended = 0
    while ended < 3:
        message = consumer.poll(10)
        assert message is not None
        if message.error():
            ended += 1
            continue
        found[message.partition(), message.offset()] = message.key(), message.value()
    consumer.close()
    return found


@pytest.mark.parametrize("way", WAYS)
def test_it_is_captured_decoded_and_faultless(session: Any, on_the_broker: Any, way: str) -> None:
    outcomes = {
        item.partition("::")[2]: outcome
        for item, outcome in session.outcomes().items()
        if item.startswith(f"{way}::")
    }
    assert set(outcomes) > CHECKS
    assert set(outcomes.values()) == {"passed"}, session.output
    assert session.findings("codecs", way) == []
    log = session.run("codecs", way) / "events" / "comparisons.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) == COMPARISONS
    for line in lines:
        key, value = on_the_broker[line["partition"], line["offset"]]
        assert (line["key"], line["value"]) == (key, value.decode())
        assert key is None


def test_what_was_aborted_stands_on_the_topic_and_is_no_evidence(
    session: Any, on_the_broker: Any, kafka: str
) -> None:
    captured = {
        (line["partition"], line["offset"])
        for way in WAYS
        for line in map(
            json.loads,
            (session.run("codecs", way) / "events" / "comparisons.jsonl").read_text().splitlines(),
        )
    }
    assert captured == set(on_the_broker)
    assert len(captured) == COMPARISONS * len(WAYS)
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "codecs"})
    ends = [consumer.get_watermark_offsets(TopicPartition(CALLBACKS, n), timeout=60)[1] for n in range(3)]
    consumer.close()
    assert sum(ends) >= len(captured) + COMPARISONS + 2, "no aborted callbacks, or no marks of both ends"
    assert "stray" not in session.output
