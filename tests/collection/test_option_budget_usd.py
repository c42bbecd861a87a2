"""--eng5-budget-usd, eng5_budget_usd."""

from __future__ import annotations

from typing import Any

import pytest


def test_no_ceiling_by_default(project: Any) -> None:
    assert project.options().budget_usd is None
    assert "budget none" in project.header()


def test_option_before_ini(project: Any) -> None:
    project.ini("eng5_budget_usd = 3")
    assert "budget $3," in project.header()
    assert "budget $0.25," in project.header("--eng5-budget-usd", "0.25")


def test_nothing_at_all_may_be_spent_under_zero(project: Any) -> None:
    assert project.options("--eng5-budget-usd", "0").budget_usd == 0.0
    assert "budget $0," in project.header("--eng5-budget-usd", "0")


@pytest.mark.parametrize("value", ["much", "-1", "nan", "inf", "1,5", "$2"])
def test_what_is_no_amount_is_a_usage_error(project: Any, value: str) -> None:
    text = project.refusal(f"--eng5-budget-usd={value}")
    assert f"--eng5-budget-usd {value}" in text
    assert "number" in text


def test_a_wrong_ini_value_is_a_usage_error(project: Any) -> None:
    project.ini("eng5_budget_usd = much")
    assert "--eng5-budget-usd much" in project.refusal()
