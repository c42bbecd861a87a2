"""--eng5-concurrency, eng5_concurrency."""

from __future__ import annotations

from typing import Any

import pytest


def test_default(project: Any) -> None:
    assert project.options().concurrency == 8


def test_option_before_ini(project: Any) -> None:
    project.ini("eng5_concurrency = 3")
    assert project.options().concurrency == 3
    assert project.options("--eng5-concurrency", "1").concurrency == 1


@pytest.mark.parametrize("value", ["0", "-2", "1.5", "many", ""])
def test_what_is_no_number_of_runs_is_a_usage_error(project: Any, value: str) -> None:
    text = project.refusal(f"--eng5-concurrency={value}")
    assert f"--eng5-concurrency {value}" in text
    assert "at least 1" in text


def test_a_wrong_ini_value_is_a_usage_error(project: Any) -> None:
    project.ini("eng5_concurrency = 0")
    assert "--eng5-concurrency 0" in project.refusal()
