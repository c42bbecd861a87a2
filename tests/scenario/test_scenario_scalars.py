"""Unquoted scalars under the core schema of YAML 1.2."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.scenario.scalars import resolve_scalar


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # The examples of section 10.3.2 of the YAML 1.2.2 specification.
        ("null", None),
        ("Null", None),
        ("NULL", None),
        ("~", None),
        ("", None),
        ("true", True),
        ("True", True),
        ("FALSE", False),
        ("TRUE", True),
        ("false", False),
        ("False", False),
        ("0", 0),
        ("0o7", 7),
        ("0x3A", 58),
        ("-19", -19),
        ("0.", 0.0),
        ("-0.0", -0.0),
        (".5", 0.5),
        ("+12e03", 12000.0),
        ("-2E+05", -200000.0),
        (".inf", math.inf),
        ("-.Inf", -math.inf),
        ("+.INF", math.inf),
    ],
)
def test_values_of_the_core_schema(text: str, value: Any) -> None:
    found = resolve_scalar(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN"])
def test_not_a_number(text: str) -> None:
    found = resolve_scalar(text)
    assert isinstance(found, float)
    assert math.isnan(found)


@pytest.mark.parametrize(
    "text",
    [
        *("yes", "no", "on", "off", "y", "N", "No", "ON", "tRUE", "nULL", "none", "None"),
        *(
            "1_000",
            "1:30",
            "190:20:30.15",
            "2001-12-14",
            "2001-12-14t21:59:43.10-05:00",
            "0b101",
            "0o8",
            "0xg",
        ),
        *("1.2.3", ".", "-", "+", "e3", "1e", "inf", "nan", "--1", "1 2", "1,5", "٣", "１", "1\n"),
        *("=", "<<", "simulated-judge", "gpt-5.1"),
    ],
)
def test_everything_else_is_text(text: str) -> None:
    assert resolve_scalar(text) == text
    assert isinstance(resolve_scalar(text), str)


def test_leading_zeros_are_decimal() -> None:
    assert resolve_scalar("010") == 10


@pytest.mark.parametrize("text", ["9" * 41, "-" + "1" * 60, "9" * 5000, "0." + "3" * 5000, "0x" + "f" * 50])
def test_numbers_too_long_to_be_meant_are_text(text: str) -> None:
    assert resolve_scalar(text) == text


@given(st.integers(-(10**30), 10**30))
def test_integers_round_trip(number: int) -> None:
    assert resolve_scalar(str(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_round_trip(number: float) -> None:
    assert resolve_scalar(repr(number)) == number


@given(st.text(max_size=50))
def test_any_text_resolves(text: str) -> None:
    found = resolve_scalar(text)
    assert found is None or isinstance(found, str | int | float | bool)
