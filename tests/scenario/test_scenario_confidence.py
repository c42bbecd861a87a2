"""``confidence`` and ``undecided`` of thresholds: what they give, and where nonsense is refused."""

from __future__ import annotations

from typing import Any

import pytest


def threshold_of(workspace: Any, minimal: str, keys: str, *overrides: str) -> Any:
    return workspace.load(f"{minimal}thresholds: {{a: {{{keys}}}}}\n", *overrides).variants[0].thresholds[0]


@pytest.mark.parametrize("undecided", ["fail", "warn"])
def test_both_keys(workspace: Any, minimal: str, undecided: str) -> None:
    found = threshold_of(workspace, minimal, f"min: 0.5, confidence: 0.95, undecided: {undecided}")
    assert (found.confidence, found.undecided) == (0.95, undecided)
    assert found.to_dict() == {"min": 0.5, "confidence": 0.95, "undecided": undecided}
    assert (found.confidence_location.line, found.confidence_location.column) == (5, 40)


def test_without_them_the_value_is_judged(workspace: Any, minimal: str) -> None:
    found = threshold_of(workspace, minimal, "min: 0.5")
    assert (found.confidence, found.undecided, found.confidence_location) == (None, None, None)
    assert found.to_dict() == {"min": 0.5}


def test_a_null_is_as_if_it_were_not_written(workspace: Any, minimal: str) -> None:
    found = threshold_of(workspace, minimal, "min: 0.5, confidence: null, undecided: null")
    assert found.to_dict() == {"min": 0.5}


def test_an_option_adds_them(workspace: Any, minimal: str) -> None:
    options = ("thresholds.a.confidence=0.9", "thresholds.a.undecided=warn")
    found = threshold_of(workspace, minimal, "min: 0.5", *options)
    assert (found.confidence, found.undecided) == (0.9, "warn")


def test_a_variant_takes_them_back(workspace: Any, minimal: str) -> None:
    text = (
        "thresholds: {a: {min: 1, confidence: 0.9, undecided: warn}}\n"
        f"{minimal}    thresholds: {{a: {{confidence: null, undecided: null}}}}\n"
    )
    assert workspace.load(text).variants[0].thresholds[0].to_dict() == {"min": 1.0}


@pytest.mark.parametrize(
    ("value", "got", "hint"),
    [
        ("95", "95", "did you mean 0.95?"),
        ("99.5", "99.5", "did you mean 0.995?"),
        ("95%", "'95%'", "write 0.95"),
        ('"95 %"', "'95 %'", "write 0.95"),
        ("0", "0", None),
        ("1", "1", None),
        ("1000", "1000", None),
        ("-0.95", "-0.95", None),
        ("high", "'high'", None),
        ("true", "true", None),
    ],
)
def test_a_confidence_is_a_share(
    workspace: Any, minimal: str, value: str, got: str, hint: str | None
) -> None:
    error = workspace.error(f"{minimal}thresholds: {{a: {{min: 1, confidence: {value}}}}}\n")
    assert error.message == f"thresholds.a.confidence: expected a number above 0 and below 1, got {got}"
    assert error.hint == hint
    assert (error.line, error.column) == (5, 38)


@pytest.mark.parametrize("value", ["skip", "xfail", "error"])
def test_undecided_is_fail_or_warn(workspace: Any, minimal: str, value: str) -> None:
    error = workspace.error(f"{minimal}thresholds: {{a: {{min: 1, confidence: 0.9, undecided: {value}}}}}\n")
    assert error.message == f"thresholds.a.undecided: expected one of fail, warn, got {value!r}"


def test_a_misspelt_value_is_guessed(workspace: Any, minimal: str) -> None:
    error = workspace.error(f"{minimal}thresholds: {{a: {{min: 1, confidence: 0.9, undecided: warning}}}}\n")
    assert error.hint == "did you mean 'warn'?"


def test_nothing_is_undecided_without_a_confidence(workspace: Any, minimal: str) -> None:
    error = workspace.error(f"{minimal}thresholds: {{a: {{min: 1, undecided: warn}}}}\n")
    assert error.message == "'a' can never be undecided: without confidence its value is judged"
    assert error.hint == "add confidence: 0.95, or remove undecided"
    assert (error.line, error.column) == (5, 37)


def test_also_where_a_variant_takes_the_confidence_back(workspace: Any, minimal: str) -> None:
    text = (
        "thresholds: {a: {min: 1, confidence: 0.9, undecided: warn}}\n"
        f"{minimal}    thresholds: {{a: {{confidence: null}}}}\n"
    )
    assert "can never be undecided" in workspace.error(text).message
