"""Several sessions at once on one broker: on topics of their own, and on the same ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

pytestmark = pytest.mark.slow

PREFIX, OWN = "together.", "own."
VARIANTS = ("slow", "v1", "v2")
SESSIONS = ("first", "second", "apart")
COMPARISONS = 6


@pytest.fixture(scope="module")
def sessions(make_tree: Callable[..., Any], kafka: str, foreign: Any) -> dict[str, Any]:
    """Three at once: two whose topics are the same, one with a prefix and a pipeline of its own."""
    started = {}
    broker = ("--eng5-broker", "external", "--eng5-bootstrap-servers", kafka)
    apart = ("--eng5-pipeline", "embedded", "--eng5-topic-prefix", OWN, "--eng5-create-topics")
    for name in SESSIONS:
        tree = make_tree()
        own = name == "apart"
        judge = {} if own else {"judge": "{provider: openai, model: gpt-5-mini-2025-08-07, temperature: 0.1}"}
        variants = "\n".join(f"  - id: {variant}" for variant in VARIANTS)
        tree.scenario("crowd", variants, timeout="{idle: 15, total: 60}", **judge)
        options = (*broker, *apart) if own else foreign.options
        started[name] = tree.start(*options, "--junitxml", "junit.xml")
    return {name: live.finish(120) for name, live in started.items()}


def lines(session: Any) -> list[dict[str, Any]]:
    logs = session.folder.glob("crowd/*/run-1/events/*.jsonl")
    return [json.loads(line) for log in logs for line in log.read_text().splitlines()]


@pytest.mark.parametrize("name", SESSIONS)
def test_each_has_its_own_events_and_no_finding(sessions: dict[str, Any], name: str) -> None:
    session = sessions[name]
    assert session.code == 0, session.output
    assert set(session.outcomes().values()) == {"passed"}
    for variant in VARIANTS:
        assert session.findings("crowd", variant) == []
        run = session.run("crowd", variant)
        batch = json.loads((run / "requests" / "els_cj_assessment_request.json").read_text())["data"][
            "entity_id"
        ]
        log = (run / "events" / "comparisons.jsonl").read_text().splitlines()
        metadata = [json.loads(json.loads(line)["value"])["data"]["request_metadata"] for line in log]
        assert [item["bos_batch_id"] for item in metadata] == [batch] * COMPARISONS


def test_what_belongs_to_another_session_is_nobody_s_evidence(sessions: dict[str, Any]) -> None:
    """On the shared topics each reads the other's events too: passed over as foreign, not as stray."""
    positions = {
        name: {(line["topic"], line["partition"], line["offset"]) for line in lines(session)}
        for name, session in sessions.items()
    }
    assert all(len(found) == len(VARIANTS) * (COMPARISONS + 2) for found in positions.values())
    assert not positions["first"] & positions["second"]
    prefixes = {
        name: {topic.partition("huleedu")[0] for topic, _, _ in found} for name, found in positions.items()
    }
    assert prefixes == {"first": {PREFIX}, "second": {PREFIX}, "apart": {OWN}}
    for session in sessions.values():
        assert not (session.folder / "stray.jsonl").exists()


def test_they_ran_at_the_same_time(sessions: dict[str, Any]) -> None:
    """Otherwise the tests above show nothing."""
    times = {name: [line["received_at"] for line in lines(session)] for name, session in sessions.items()}
    assert max(min(times["first"]), min(times["second"])) < min(max(times["first"]), max(times["second"])), (
        times
    )


def test_topics_have_three_partitions_by_default(sessions: dict[str, Any], kafka: str) -> None:
    assert sessions["apart"].code == 0
    topics = AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=60).topics.values()
    made = {topic.topic: len(topic.partitions) for topic in topics if topic.topic.startswith(f"{OWN}huleedu")}
    assert len(made) >= 5
    assert set(made.values()) == {3}
