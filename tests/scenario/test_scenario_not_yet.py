"""What parses but is not supported yet, and the rules that already wait for it."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_eng5.scenario import loading, not_yet
from pytest_eng5.scenario.not_yet import NOT_YET

UUID = "0d8f7a54-64f0-4b2f-8d2e-3d6a4c6f9d01"


@pytest.fixture
def all_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The day on which every row of the table is gone."""
    monkeypatch.setattr(not_yet, "NOT_YET", ())


@pytest.mark.parametrize(
    ("line", "column", "message"),
    [
        ("thresholds: {a: {min: 1, confidence: 0.95}}", 26, "thresholds.a.confidence is not supported yet"),
        ("thresholds: {a: {min: 1, undecided: skip}}", 26, "thresholds.a.undecided is not supported yet"),
    ],
)
def test_keys_of_later_work_are_refused_where_they_stand(
    workspace: Any, minimal: str, line: str, column: int, message: str
) -> None:
    error = workspace.error(f"{line}\n{minimal}")
    assert len(error.problems) == 1
    assert (error.message, error.line, error.column) == (message, 1, column)
    assert error.hint


@pytest.mark.parametrize("more", ["confidence: 0.5", "undecided: skip"])
def test_they_are_refused_in_a_variant_too(workspace: Any, minimal: str, more: str) -> None:
    error = workspace.error(f"{minimal}    thresholds: {{a: {{min: 1, {more}}}}}\n")
    assert "not supported yet" in error.message
    assert error.line == 5


def test_they_are_reported_once_however_many_variants_inherit_them(workspace: Any, minimal: str) -> None:
    error = workspace.error(f"{minimal}  - id: b\n  - id: c\nfaults: [1]\n")
    assert len(error.problems) == 1


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


def test_they_are_listed_with_the_other_problems(workspace: Any, minimal: str) -> None:
    error = workspace.error(f"{minimal}thresholds: {{a: {{min: 1, undecided: fail}}}}\nrepeats: 0\n")
    assert [p.message.split(":")[0] for p in error.problems] == [
        "thresholds.a.undecided is not supported yet",
        "repeats",
    ]


def test_supported_keys_are_not_in_the_table() -> None:
    assert not {"expect", "fail_fast", "faults", "repeats", "budget"} & {
        row.path.split(".")[0] for row in NOT_YET
    }


@pytest.mark.usefixtures("all_supported")
def test_deleting_the_rows_is_enough(workspace: Any, minimal: str) -> None:
    text = f"{minimal}thresholds: {{kendall_tau: {{min: 0.5, confidence: 0.95, undecided: xfail}}}}\n"
    variant = workspace.load(text).variants[0]
    threshold = variant.thresholds[0]
    assert (threshold.confidence, threshold.undecided) == (0.95, "xfail")
    assert threshold.to_dict() == {"min": 0.5, "confidence": 0.95, "undecided": "xfail"}


@pytest.mark.usefixtures("all_supported")
@pytest.mark.parametrize("value", ["0", "1", "95", "high"])
def test_a_confidence_is_a_share(workspace: Any, minimal: str, value: str) -> None:
    error = workspace.error(f"{minimal}thresholds: {{a: {{min: 1, confidence: {value}}}}}\n")
    assert error.message.startswith("thresholds.a.confidence: expected a number above 0 and below 1, got ")


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


def test_the_table_is_the_only_place_that_knows() -> None:
    assert loading.unsupported is not_yet.unsupported
