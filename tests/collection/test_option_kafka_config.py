"""--eng5-kafka-config, eng5_kafka_config: TLS and SASL settings of an external broker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def test_unset_by_default(project: Any) -> None:
    assert project.options().kafka_config is None


def test_option_before_ini_relative_to_where_pytest_was_called(project: Any, tmp_path: Path) -> None:
    project.ini(f"eng5_kafka_config = {tmp_path / 'ini.toml'}")
    assert project.options().kafka_config == tmp_path / "ini.toml"
    assert project.options("--eng5-kafka-config", "mine.toml").kafka_config == project.root / "mine.toml"


def test_an_empty_ini_key_counts_as_unset(project: Any) -> None:
    project.ini("eng5_kafka_config =")
    assert project.header().startswith("eng5: broker embedded")


def test_a_file_of_settings_means_an_external_broker(project: Any) -> None:
    project.write("kafka.toml", 'bootstrap_servers = "kafka.example:9093"')
    header = project.header("--eng5-kafka-config", "kafka.toml")
    assert "broker external of kafka.toml, pipeline external" in header


def test_given_servers_are_shown_instead_of_the_file(project: Any) -> None:
    servers = ("--eng5-bootstrap-servers", "kafka.example:9093")
    assert "broker external kafka.example:9093," in project.header("--eng5-kafka-config", "k.toml", *servers)


@pytest.mark.parametrize("kind", ["embedded", "container"])
def test_on_the_command_line_it_is_refused_for_a_broker_that_cannot_use_it(project: Any, kind: str) -> None:
    text = project.refusal("--eng5-kafka-config", "kafka.toml", "--eng5-broker", kind)
    assert f"--eng5-kafka-config is for an external broker, not for --eng5-broker {kind}" in text


def test_as_a_default_it_does_not_make_the_broker_external(project: Any) -> None:
    project.ini("eng5_kafka_config = staging.toml")
    assert "broker embedded, pipeline embedded" in project.header()
    assert "broker external of staging.toml" in project.header("--eng5-broker", "external")


def test_as_a_default_it_does_not_disturb_the_embedded_broker(project: Any) -> None:
    project.ini("eng5_kafka_config = staging.toml")
    assert "broker embedded, pipeline embedded" in project.header("--eng5-broker", "embedded")


def test_a_file_that_is_not_there_is_an_error_of_the_run_that_names_it(project: Any) -> None:
    project.scenario()
    url = "http://127.0.0.1:9/v1/content"
    result = project.subprocess("--eng5-kafka-config", "absent.toml", "--eng5-content-url", url)
    result.assert_outcomes(errors=1, skipped=9)
    text = result.stdout.str()
    assert str(project.root / "absent.toml") in text
    assert "fix:" in text


def test_a_missing_secret_is_named_and_no_run_starts(project: Any) -> None:
    project.scenario()
    project.write(
        "kafka.toml",
        """
        security_protocol = "SASL_PLAINTEXT"
        bootstrap_servers = "127.0.0.1:9"
        [sasl]
        mechanism = "PLAIN"
        username = "eng5"
        password = "${A_VARIABLE_THAT_NOBODY_SET}"
        """,
    )
    url = "http://127.0.0.1:9/v1/content"
    result = project.subprocess("--eng5-kafka-config", "kafka.toml", "--eng5-content-url", url)
    result.assert_outcomes(errors=1, skipped=9)
    text = result.stdout.str()
    assert "A_VARIABLE_THAT_NOBODY_SET" in text
    assert "sasl.password" in text


def test_collecting_needs_no_secret(project: Any) -> None:
    project.scenario()
    project.write("kafka.toml", 'bootstrap_servers = "${NOT_SET_EITHER}"')
    assert len(project.collect("--eng5-kafka-config", "kafka.toml")) == 10
