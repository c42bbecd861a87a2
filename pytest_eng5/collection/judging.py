"""What each kind of item asserts."""

from __future__ import annotations

import pytest

from pytest_eng5.collection.items import CheckFailed, ScenarioItem
from pytest_eng5.collection.stash import SHOWN
from pytest_eng5.reports import VariantOutcome
from pytest_eng5.reports.judgement import judge_named

__all__ = ["UndecidedGate", "judge_item"]


class UndecidedGate(pytest.PytestWarning):
    """A gate could not decide, and its threshold says ``undecided: warn``."""


def judge_item(item: ScenarioItem, outcome: VariantOutcome, pipeline_failure: str | None) -> None:
    """Pass, fail or skip an item by the outcome of its variant.

    Raises:
        CheckFailed: The item's verdict is not a pass.
    """
    found = judge_named(item.kind, outcome, pipeline_failure)
    if found.section and _show(item, found.heading, found.section):
        item.user_properties.extend(found.properties)
    if found.warning is not None:
        try:
            item.warn(UndecidedGate(found.warning))
        except UndecidedGate as error:  # warnings are errors in this session
            raise CheckFailed(str(error)) from None
    if found.wrong is not None:
        raise CheckFailed(found.wrong)


def _show(item: ScenarioItem, title: str, text: str) -> bool:
    """Add a report section once, however often the item is rerun; whether it was added now."""
    if item.stash.get(SHOWN, False):
        return False
    item.stash[SHOWN] = True
    item.add_report_section("call", title, text)
    return True
