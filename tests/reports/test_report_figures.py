"""How numbers are printed, and that the room stays light and in its place."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.alignment import MetricValue
from pytest_eng5.gates import METRICS
from pytest_eng5.reports.figures import LABELS, figure, interval, number


@pytest.mark.parametrize(
    ("value", "decimals", "expected"),
    [
        (0.7915, 3, "0.791"),
        (-0.0001, 3, "0.000"),
        (-0.5, 1, "-0.5"),
        (2.0, 0, "2"),
        (None, 3, None),
        (math.nan, 3, None),
        (math.inf, 3, None),
        (-math.inf, 1, None),
    ],
)
def test_numbers(value: float | None, decimals: int, expected: str | None) -> None:
    assert number(value, decimals) == expected


@given(st.floats(-1e6, 1e6), st.integers(0, 6))
def test_a_number_is_its_value_rounded(value: float, decimals: int) -> None:
    text = number(value, decimals)
    assert text is not None
    assert float(text) == pytest.approx(value, abs=0.5 * 10**-decimals + 1e-9)
    assert not text.startswith("-") or float(text) < 0


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("kendall_tau", 0.5, "0.500"),
        ("direct_inversions", 3.0, "3"),
        ("expected_zero_win", 1.0, "1.00"),
        ("connected", 1.0, "yes"),
        ("connected", 0.0, "no"),
        ("connected", math.nan, None),
        ("flip_rate", math.nan, None),
    ],
)
def test_figures(name: str, value: float, expected: str | None) -> None:
    assert figure(name, MetricValue(value)) == expected


def test_intervals() -> None:
    assert interval("kendall_tau", MetricValue(0.5, 0.25, 0.75)) == "0.250 to 0.750"
    assert interval("direct_inversions", MetricValue(2, 0.55, 6.84)) == "0.6 to 6.8"
    assert interval("position_bias", MetricValue(0, -0.1, 0.1)) == "-0.100 to 0.100"
    assert interval("kendall_tau", MetricValue(0.5)) is None
    assert interval("ssr", MetricValue(0.5, -math.inf, 0.75)) is None


def test_every_metric_has_a_label_of_its_own() -> None:
    assert set(LABELS) == set(METRICS)
    assert len(set(LABELS.values())) == len(LABELS)


def test_the_room_needs_neither_kafka_nor_http_nor_pytest() -> None:
    foreign = ("aiokafka", "confluent_kafka", "httpx", "starlette", "uvicorn", "pytest", "choix")
    program = f"import sys, pytest_eng5.reports; print([m for m in {foreign!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
