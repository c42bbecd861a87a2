"""--eng5-kafka-reuse: leave the container of the broker running."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_eng5.runner.connections import topic_prefix
from pytest_eng5.sessions import SessionIdentity


def test_off_by_default(project: Any) -> None:
    assert project.options().kafka_reuse is False
    assert project.options("--eng5-kafka-reuse").kafka_reuse is True


def test_there_is_no_ini_key(project: Any) -> None:
    project.ini("eng5_kafka_reuse = true")
    result = project.inprocess("--collect-only", "--strict-config")
    assert result.ret != 0


@pytest.mark.parametrize(
    ("arguments", "prefix"),
    [
        (("--eng5-kafka-reuse",), "20260301T090000Z-1f3a."),
        (("--eng5-kafka-reuse", "--eng5-topic-prefix", "mine."), "mine."),
        (("--eng5-kafka-reuse", "--eng5-pipeline", "external"), ""),
        ((), ""),
    ],
)
def test_sessions_that_share_a_container_have_topics_of_their_own(
    project: Any, arguments: tuple[str, ...], prefix: str
) -> None:
    options = project.options("--eng5-broker", "container", *arguments)
    identity = SessionIdentity("20260301T090000Z-1f3a", Path("unused"), 1)
    assert topic_prefix(options, identity) == prefix
