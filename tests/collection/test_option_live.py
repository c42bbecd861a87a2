"""--eng5-live, ENG5_LIVE."""

from __future__ import annotations

from typing import Any

import pytest


def test_off_by_default(project: Any) -> None:
    assert project.options().live is False
    assert "live" not in project.header()


def test_the_option_turns_it_on_and_the_header_says_so(project: Any) -> None:
    assert project.options("--eng5-live").live is True
    assert "judge scenario, live, budget" in project.header("--eng5-live")


@pytest.mark.parametrize("value", ["1", "true", "Yes", "ON"])
def test_the_variable_turns_it_on(project: Any, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ENG5_LIVE", value)
    assert project.options().live is True


@pytest.mark.parametrize("value", ["", "0", "false", "no", "2", "live?"])
def test_anything_else_leaves_it_off(project: Any, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ENG5_LIVE", value)
    assert project.options().live is False


def test_no_ini_key_can_turn_it_on_unseen(project: Any) -> None:
    project.ini("eng5_live = true")
    result = project.inprocess("--collect-only", "--strict-config")
    assert result.ret != 0
    assert "eng5_live" in result.stdout.str() + result.stderr.str()
