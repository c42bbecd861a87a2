"""--eng5-judge, eng5_judge."""

from __future__ import annotations

from typing import Any

import pytest

CHOICES = ("scenario", "mock", "replay", "record")
ANTHROPIC = "{provider: anthropic, model: some-model}"


def test_default_is_what_the_scenario_says(project: Any) -> None:
    assert project.options().judge == "scenario"
    assert project.options().overrides == ()
    assert "judge scenario" in project.header()


def test_option_before_ini(project: Any) -> None:
    project.ini("eng5_judge = mock")
    assert "judge mock" in project.header()
    assert "judge scenario" in project.header("--eng5-judge", "scenario")


def test_mock_overrides_the_provider_and_an_explicit_override_wins(project: Any) -> None:
    chosen = project.options("--eng5-judge", "mock", "--eng5-set", "judge.provider=openai")
    assert chosen.overrides == ("judge.provider=mock", "judge.provider=openai")


@pytest.mark.parametrize("mode", ["replay", "record"])
def test_modes_to_come_are_refused_by_name(project: Any, mode: str) -> None:
    text = project.refusal("--eng5-judge", mode)
    assert f"--eng5-judge {mode} is not supported yet" in text
    assert "mock" in text


def test_a_wrong_mode_is_a_usage_error_with_the_choices(project: Any) -> None:
    text = project.refusal("--eng5-judge", "oracle")
    assert "--eng5-judge oracle" in text
    assert all(choice in text for choice in CHOICES)
