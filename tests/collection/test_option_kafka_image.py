"""--eng5-kafka-image, ENG5_KAFKA_IMAGE, eng5_kafka_image."""

from __future__ import annotations

from typing import Any

import pytest


def test_unset_by_default(project: Any) -> None:
    assert project.options().kafka_image is None


def test_option_before_environment_before_ini(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    project.ini("eng5_kafka_image = apache/kafka:from-ini")
    assert project.options().kafka_image == "apache/kafka:from-ini"
    monkeypatch.setenv("ENG5_KAFKA_IMAGE", "apache/kafka:from-environment")
    assert project.options().kafka_image == "apache/kafka:from-environment"
    assert project.options("--eng5-kafka-image", "mine/kafka:1").kafka_image == "mine/kafka:1"
