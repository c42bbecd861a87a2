"""--eng5-create-topics: nothing is created on an external broker without it."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka.admin import AdminClient


def test_off_by_default(project: Any) -> None:
    assert project.options().create_topics is False
    assert project.options("--eng5-create-topics").create_topics is True


def test_there_is_no_ini_key(project: Any) -> None:
    project.ini("eng5_create_topics = true")
    result = project.inprocess("--collect-only", "--strict-config")
    assert result.ret != 0


def _topics(servers: str) -> set[str]:
    topics = AdminClient({"bootstrap.servers": servers}).list_topics(timeout=60).topics
    return {topic for topic in topics if not topic.startswith("__")}  # the broker's own


@pytest.mark.slow
def test_missing_topics_are_named_and_not_created(project: Any, kafka: str) -> None:
    project.scenario()
    before = _topics(kafka)
    own = ("--eng5-pipeline", "embedded", "--eng5-topic-prefix", "absent.")
    result = project.subprocess("--eng5-bootstrap-servers", kafka, *own)
    result.assert_outcomes(errors=1, skipped=9)
    text = result.stdout.str()
    assert "absent.huleedu.llm_provider.comparison_result.v1" in text
    assert "absent.huleedu.resource.consumption.v1" in text
    assert "--eng5-create-topics" in text
    assert _topics(kafka) == before


@pytest.mark.slow
def test_with_leave_they_are_created_and_kept(project: Any, kafka: str) -> None:
    project.scenario()
    own = ("--eng5-pipeline", "embedded", "--eng5-topic-prefix", "made.", "--eng5-partitions", "2")
    project.subprocess("--eng5-bootstrap-servers", kafka, *own, "--eng5-create-topics").assert_outcomes(
        passed=10
    )
    made = {topic for topic in _topics(kafka) if topic.startswith("made.")}
    assert "made.huleedu.els.cj_assessment.requested.v1" in made
    again = project.subprocess("--eng5-bootstrap-servers", kafka, *own)
    again.assert_outcomes(passed=10)
