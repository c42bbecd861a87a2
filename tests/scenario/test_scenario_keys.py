"""Rules about keys of a scenario that need more than the type of a value."""

from __future__ import annotations

from typing import Any

import pytest

UUID = "0d8f7a54-64f0-4b2f-8d2e-3d6a4c6f9d01"


def test_a_null_is_not_a_use(workspace: Any, minimal: str) -> None:
    text = f"{minimal}faults: null\ncompare: ~\nmode:\nthresholds: {{a: {{min: 1, confidence: null}}}}\n"
    assert workspace.load(text).variants[0].mode == "anchor-align-test"


def test_what_an_override_takes_back_is_not_a_use(workspace: Any, minimal: str) -> None:
    scenario = workspace.load(
        f"{minimal}mode: plan\nthresholds: {{a: {{min: 1, confidence: 0.9}}}}\n",
        "mode=anchor-align-test",
        "thresholds=null",
    )
    assert scenario.mode == scenario.variants[0].mode == "anchor-align-test"


@pytest.mark.parametrize(
    ("key", "value"),
    [("assignment_id", UUID), ("course_id", UUID), ("expected_grade_scale", "swedish_8_anchor")],
)
def test_keys_of_execute_are_refused_in_other_modes(
    workspace: Any, minimal: str, key: str, value: str
) -> None:
    error = workspace.error(f"{minimal}{key}: {value}\n")
    assert error.message == f"'{key}' belongs to mode execute, but the mode is anchor-align-test"
    assert (error.line, error.column) == (5, 1)


def test_a_threshold_needs_a_bound(workspace: Any, minimal: str) -> None:
    error = workspace.error(f"{minimal}thresholds: {{kendall_tau: {{}}}}\n")
    assert error.message == "the threshold 'kendall_tau' has neither min nor max"
    assert error.hint == "write kendall_tau: {min: ...}, or kendall_tau: null to remove it"
    assert (error.line, error.column) == (5, 14)


def test_the_only_bound_cannot_be_taken_back(workspace: Any, minimal: str) -> None:
    text = f"thresholds: {{a: {{min: 1}}}}\n{minimal}    thresholds: {{a: {{min: null}}}}\n"
    error = workspace.error(text)
    assert "neither min nor max" in error.message
    assert error.line == 6


def test_bounds_that_nothing_satisfies_are_refused(workspace: Any, minimal: str) -> None:
    error = workspace.error(f"thresholds: {{a: {{min: 1}}}}\n{minimal}    thresholds: {{a: {{max: 0.5}}}}\n")
    assert error.message == "no value passes the threshold 'a': min is above max"
    assert error.line == 6


def test_equal_bounds_are_a_value_to_hit(workspace: Any, minimal: str) -> None:
    threshold = (
        workspace.load(f"{minimal}thresholds: {{a: {{min: 1, max: 1.0}}}}\n").variants[0].thresholds[0]
    )
    assert (threshold.min, threshold.max) == (1.0, 1.0)
