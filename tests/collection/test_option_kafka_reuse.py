"""--eng5-kafka-reuse: leave the container of the broker running."""

from __future__ import annotations

from typing import Any


def test_off_by_default(project: Any) -> None:
    assert project.options().kafka_reuse is False
    assert project.options("--eng5-kafka-reuse").kafka_reuse is True


def test_there_is_no_ini_key(project: Any) -> None:
    project.ini("eng5_kafka_reuse = true")
    result = project.inprocess("--collect-only", "--strict-config")
    assert result.ret != 0
