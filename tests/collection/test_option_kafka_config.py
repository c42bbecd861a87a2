"""--eng5-kafka-config, eng5_kafka_config: not supported yet, and said so at once."""

from __future__ import annotations

from typing import Any


def test_the_option_is_refused(project: Any) -> None:
    text = project.refusal("--eng5-kafka-config", "client.properties")
    assert "--eng5-kafka-config is not supported yet" in text
    assert "--eng5-bootstrap-servers" in text


def test_the_ini_key_is_refused_and_not_ignored(project: Any) -> None:
    project.ini("eng5_kafka_config = client.properties")
    assert "--eng5-kafka-config is not supported yet" in project.refusal()


def test_an_empty_ini_key_counts_as_unset(project: Any) -> None:
    project.ini("eng5_kafka_config =")
    assert project.header().startswith("eng5: broker embedded")
