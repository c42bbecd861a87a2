"""--eng5-pipeline, ENG5_PIPELINE, eng5_pipeline."""

from __future__ import annotations

from typing import Any

import pytest


def test_default_follows_the_broker(project: Any) -> None:
    assert project.options().pipeline == "auto"
    assert "pipeline embedded" in project.header()
    assert "pipeline external" in project.header("--eng5-bootstrap-servers", "kafka.example:9092")


def test_option_before_environment_before_ini(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    project.ini("eng5_pipeline = external")
    assert "pipeline external" in project.header()
    monkeypatch.setenv("ENG5_PIPELINE", "embedded")
    assert "pipeline embedded" in project.header()
    assert "pipeline external" in project.header("--eng5-pipeline", "external")


@pytest.mark.parametrize("source", ["option", "environment", "ini"])
def test_a_wrong_kind_is_a_usage_error(project: Any, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    arguments: list[str] = []
    if source == "option":
        arguments = ["--eng5-pipeline", "staging"]
    elif source == "environment":
        monkeypatch.setenv("ENG5_PIPELINE", "staging")
    else:
        project.ini("eng5_pipeline = staging")
    text = project.refusal(*arguments)
    assert "--eng5-pipeline staging" in text
    assert "embedded, external" in text
