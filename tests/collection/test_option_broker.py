"""--eng5-broker, ENG5_BROKER, eng5_broker."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

CHOICES = ("auto", "embedded", "container", "external")


def test_default_is_auto_shown_as_embedded(project: Any) -> None:
    assert project.options().broker == "auto"
    assert "broker embedded, pipeline embedded" in project.header()


@pytest.mark.parametrize("kind", CHOICES)
def test_every_choice_is_taken_from_the_option(project: Any, kind: str) -> None:
    assert project.options("--eng5-broker", kind).broker == kind


def test_auto_is_external_when_servers_are_given(project: Any) -> None:
    header = project.header("--eng5-bootstrap-servers", "kafka.example:9092")
    assert "broker external kafka.example:9092, pipeline external" in header


def test_a_named_kind_wins_over_given_servers(project: Any) -> None:
    header = project.header("--eng5-broker", "embedded", "--eng5-bootstrap-servers", "kafka.example:9092")
    assert "broker embedded, pipeline embedded" in header


def test_option_before_environment_before_ini(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    project.ini("eng5_broker = container")
    assert project.options().broker == "container"
    monkeypatch.setenv("ENG5_BROKER", "external")
    assert project.options().broker == "external"
    assert project.options("--eng5-broker", "embedded").broker == "embedded"


def test_an_empty_variable_counts_as_unset(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    project.ini("eng5_broker = container")
    monkeypatch.setenv("ENG5_BROKER", "")
    assert project.options().broker == "container"


@pytest.mark.parametrize("source", ["option", "environment", "ini"])
def test_a_wrong_kind_is_a_usage_error_wherever_it_comes_from(
    project: Any, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    arguments: list[str] = []
    if source == "option":
        arguments = ["--eng5-broker", "rabbit"]
    elif source == "environment":
        monkeypatch.setenv("ENG5_BROKER", "rabbit")
    else:
        project.ini("eng5_broker = rabbit")
    text = project.refusal(*arguments)
    assert "--eng5-broker rabbit" in text
    assert all(choice in text for choice in CHOICES)


def test_without_a_container_engine_the_error_says_so_at_once(
    project: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'nobody-listens.sock'}")
    project.scenario()
    since = time.monotonic()
    result = project.subprocess("--eng5-broker", "container")
    result.assert_outcomes(errors=1, skipped=9)
    assert time.monotonic() - since < 60
    text = result.stdout.str()
    assert "nobody-listens.sock" in text
    assert "fix:" in text
    assert "--eng5-broker embedded" in text or "--eng5-broker external" in text
