"""What real clusters do to a session: a restart, a partition of the network, a broker that never comes back.

A session performs two runs, one after the other, through a proxy in front of a broker that somebody else
runs; the reference pipeline goes through the same proxy. Each run meets its fault after its first callback:
the first a restart or a partition, the second the end of the broker.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from kafka_proxy import KafkaProxy

from pytest_eng5.brokers import EmbeddedBroker

pytestmark = pytest.mark.slow

ESSAYS, COMPARISONS = 6, 15  # five waves of three, each as slow as the judge
JUDGE = "{provider: mock, model: simulated-judge, mock: {discrimination: 12, seed: 7, latency_ms: 600}}"
CHECKS = {"run", "events", "metadata", "completeness", "schema", "scoring", "costs", "manifest"}
OUTAGE = 5.0


@dataclass
class Story:
    """What was done to the session and what was counted meanwhile; its first run is named after its fault."""

    name: str
    prefix: str
    session: Any = None
    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def callbacks(self) -> str:
        """The topic of callbacks."""
        return f"{self.prefix}huleedu.llm_provider.comparison_result.v1"


@pytest.fixture(scope="module")
def broker(module_broker: EmbeddedBroker) -> EmbeddedBroker:
    return module_broker


@pytest.fixture(scope="module", params=["restarted", pytest.param("partitioned", marks=pytest.mark.thorough)])
def story(
    request: pytest.FixtureRequest, make_tree: Callable[..., Any], broker: EmbeddedBroker
) -> Iterator[Story]:
    name = request.param
    prefix = f"{name}."
    tree, told = make_tree(), Story(name, prefix)
    proxy = KafkaProxy(int(broker.connection.bootstrap_servers.rpartition(":")[2]))
    variants = "\n".join(f"  - id: {name}" for name in (name, "abandoned"))
    # The idle deadline is shorter than the last outage: it must not be what ends that run.
    tree.scenario("cluster", variants, essays=ESSAYS, judge=JUDGE, timeout="{idle: 8, total: 90}")
    live = tree.start(
        *("--eng5-broker", "external", "--eng5-bootstrap-servers", proxy.address, "--eng5-create-topics"),
        *("--eng5-pipeline", "embedded", "--eng5-topic-prefix", prefix, "--eng5-concurrency", "1"),
        *("-p", "no:randomly", "--junitxml", "junit.xml"),
    )

    def meet(name: str, fault: Callable[[], None]) -> None:
        run = live.captured("cluster", name, seconds=120)
        told.before[name] = count(broker)[told.callbacks]
        began = time.monotonic()
        fault()
        told.seconds[name] = time.monotonic() - began
        if name != "abandoned":
            live.captured("cluster", name, lines=COMPARISONS, seconds=120)
            told.seconds[f"{name}, rest of the run"] = time.monotonic() - began - told.seconds[name]
            told.after[name] = count(broker)[told.callbacks]
        assert run.is_dir()

    def partition() -> None:
        proxy.lose()
        time.sleep(OUTAGE)
        proxy.heal()

    try:
        meet(name, partition if name == "partitioned" else lambda: broker.restart() and None)
        meet("abandoned", proxy.lose)
        abandoned = time.monotonic()
        told.session = live.finish(120)
        told.seconds["end"] = time.monotonic() - abandoned
        print(told.before, told.after, told.seconds)
        yield told
    finally:
        proxy.close()


def count(broker: EmbeddedBroker) -> Counter[str]:
    """Records by topic, as the broker itself counts them, past the proxy."""
    consumer = Consumer({"bootstrap.servers": broker.connection.bootstrap_servers, "group.id": "count"})
    found: Counter[str] = Counter()
    for topic in consumer.list_topics(timeout=60).topics.values():
        for number in () if topic.topic.startswith("__") else topic.partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic.topic, number), timeout=60)
            found[topic.topic] += high - low
    consumer.close()
    return found


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for log in run.glob("events/*.jsonl") for line in log.read_text().splitlines()]


def test_the_run_ends_green_and_nothing_is_lost_or_captured_twice(story: Story) -> None:
    outcomes = {
        item.partition("::")[2]: outcome
        for item, outcome in story.session.outcomes().items()
        if item.startswith(f"{story.name}::")
    }
    assert set(outcomes) > CHECKS
    assert set(outcomes.values()) == {"passed"}, story.session.output
    assert story.session.findings("cluster", story.name) == []
    captured = lines(story.session.run("cluster", story.name))
    positions = [(line["topic"], line["partition"], line["offset"]) for line in captured]
    assert len(positions) == len(set(positions)) == COMPARISONS + 2
    requests = [json.loads(line["value"])["data"].get("request_id") for line in captured]
    assert len({request for request in requests if request}) == COMPARISONS


def test_the_broker_has_exactly_what_was_captured(story: Story, broker: EmbeddedBroker) -> None:
    """Also what was published while nobody could be reached is there once, and so is each request."""
    assert 0 < story.before[story.name] < story.after[story.name] == COMPARISONS
    assert count(broker)[f"{story.prefix}huleedu.els.cj_assessment.requested.v1"] == 2


def test_an_outage_costs_little_more_than_itself(story: Story) -> None:
    judging = 5 * 1.0
    assert story.seconds[story.name] < 15, "the machine is too slow for this test"
    assert story.seconds[f"{story.name}, rest of the run"] < judging + 40


def test_a_broker_that_never_comes_back_ends_the_run_as_infrastructure(story: Story) -> None:
    session = story.session
    assert session.code == 1
    outcome, text = session.cases()["abandoned::run"]
    assert outcome == "error"
    assert "infrastructure" in text
    assert "has not answered for" in text or "BrokerLost" in text or "broker" in text
    assert "idle deadline" not in text
    assert story.seconds["end"] < 90
    run = session.run("cluster", "abandoned")
    assert 0 < len(lines(run)) < COMPARISONS
    document = json.loads((run / "assessment_run.anchor-align-test.json").read_text())
    assert document["validation"]["runner_status"]["ending"]["reason"] == "infrastructure"
    assert len(document["llm_comparisons"]) == len(lines(run))
    session.tree.assert_nothing_left()
