"""The small words of a verdict: bounds, values, intervals, plurals."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.gates.threshold import satisfies
from pytest_eng5.gates.wording import bound_text, ends_text, interval_text, plural, value_text

INF = math.inf


class TestBounds:
    @pytest.mark.parametrize(
        ("bound", "count", "text"),
        [
            (0.9, False, "0.90"),
            (0.95, False, "0.95"),
            (0.905, False, "0.905"),
            (1, False, "1.00"),
            (0, False, "0.00"),
            (-0.1, False, "-0.10"),
            (1 / 3, False, "0.333333333333"),
            (12, False, "12.00"),
            (1, True, "1"),
            (1.0, True, "1"),
            (10, True, "10"),
            (100, True, "100"),
            (0, True, "0"),
            (1.5, True, "1.5"),
            (-0.0, False, "0.00"),
            (-0.0, True, "0"),
            (-1e-13, False, "0.00"),
            (-1e-12, False, "-0.000000000001"),
            (INF, False, "inf"),
            (-INF, True, "-inf"),
        ],
    )
    def test_text(self, bound: float, count: bool, text: str) -> None:
        assert bound_text(bound, count=count) == text

    @given(st.decimals(-100, 100, places=6))
    def test_it_reads_back_as_the_same_number(self, bound) -> None:
        assert float(bound_text(float(bound))) == float(bound)
        assert float(bound_text(float(bound), count=True)) == float(bound)

    @given(st.floats(-1000, 1000))
    def test_at_least_two_decimals(self, bound: float) -> None:
        assert len(bound_text(bound).partition(".")[2]) >= 2


class TestValues:
    @pytest.mark.parametrize(
        ("value", "kind", "text"),
        [
            (0.791, "tau", "0.791"),
            (0.7914, "tau", "0.791"),
            (1.0, "ratio", "1.000"),
            (-0.25, "ratio", "-0.250"),
            (-0.0001, "ratio", "0.000"),
            (0.75, "number", "0.75"),
            (5.0, "count", "5"),
            (1.0, "flag", "1"),
            (math.nan, "tau", "undefined"),
        ],
    )
    def test_usual_decimals(self, value: float, kind, text: str) -> None:
        assert value_text(value, kind, -INF, INF) == text

    @given(st.floats(-5, 5), st.floats(-5, 5), st.sampled_from(["tau", "ratio", "number", "count", "flag"]))
    def test_what_is_shown_lies_on_the_side_of_what_is_meant(self, value: float, bound: float, kind) -> None:
        for low, high in ((bound, INF), (-INF, bound)):
            shown = value_text(value, kind, low, high)
            assert satisfies(float(shown), low, high) == satisfies(value, low, high)

    def test_more_decimals_only_if_needed(self) -> None:
        assert value_text(0.89996, "tau", 0.5, INF) == "0.900"
        assert value_text(0.89996, "tau", 0.9, INF) == "0.89996"

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (0.899999999997, "0.899999999997"),  # the twelfth decimal tells it from the bound
            (0.899999999998766, "0.899999999998766"),  # twelve would read as within the slack of the bound
        ],
    )
    def test_all_of_them_at_last(self, value: float, text: str) -> None:
        assert value_text(value, "tau", 0.9, INF) == text


class TestIntervals:
    @pytest.mark.parametrize(
        ("low", "high", "kind", "text"),
        [
            (0.61, 0.9, "tau", "0.61-0.90"),
            (0.0, 1.0, "ratio", "0.00-1.00"),
            (-0.13, 0.1, "ratio", "-0.13 to 0.10"),
            (-0.3, -0.1, "ratio", "-0.30 to -0.10"),
            (-0.001, 0.2, "ratio", "0.00-0.20"),
            (0.0, 3.6, "count", "0-4"),
            (4.2, 14.5, "count", "4-15"),
            (1.0, 2.0, "count", "1-2"),
            (2.9999999999, 3.0000000001, "count", "3-3"),
            (-2.5, -0.5, "count", "-3 to 0"),
            (0.0, 1.0, "flag", "0-1"),
            (0.25, 1.75, "number", "0.25-1.75"),
        ],
    )
    def test_text(self, low: float, high: float, kind, text: str) -> None:
        assert interval_text(low, high, kind) == text

    @given(st.floats(0, 100), st.floats(0, 100))
    def test_counts_are_rounded_outwards(self, one: float, other: float) -> None:
        low, high = sorted((one, other))
        shown = [int(end) for end in interval_text(low, high, "count").split("-")]
        assert shown[0] <= low + 1e-8
        assert shown[1] >= high - 1e-8


class TestJudgedIntervals:
    """Each end reads as it was judged: above, below or on each bound."""

    @pytest.mark.parametrize(
        ("low", "high", "bounds", "text"),
        [
            (0.61, 0.9, (), "0.61-0.90"),
            (0.614, 0.976, (0.5, INF), "0.61-0.98"),
            (0.8999, 0.9701, (0.9, INF), "0.8999-0.97"),
            (0.9001, 0.9701, (0.9, INF), "0.9001-0.97"),
            (0.9, 0.9701, (0.9, INF), "0.90-0.97"),
            (0.004, 0.1996, (-INF, 0.2), "0.00-0.1996"),
            (0.004, 0.2004, (-INF, 0.2), "0.00-0.2004"),
            (-0.1004, 0.0996, (-0.1, 0.1), "-0.1004 to 0.0996"),
            (-0.3, -0.1, (-0.2, INF), "-0.30 to -0.10"),
            (-0.004, 0.3, (0.1, INF), "0.00-0.30"),
            (-0.004, 0.3, (0.0, INF), "-0.004 to 0.30"),
            (0.2, 0.900000000004, (0.9, INF), "0.20-0.900000000004"),
            (0.2, 0.90000000000012, (0.9, INF), "0.20-0.90000000000012"),
        ],
    )
    def test_text(self, low: float, high: float, bounds: tuple[float, ...], text: str) -> None:
        assert ends_text(low, high, *bounds) == text

    @given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
    def test_ends_are_shown_on_their_side(self, one: float, other: float, bound: float) -> None:
        low, high = sorted((one, other))
        shown = ends_text(low, high, bound, INF)
        left, right = (float(end) for end in re.split(r"(?<!e)-", shown))
        assert (left < bound, left > bound) == (low < bound, low > bound)
        assert (right < bound, right > bound) == (high < bound, high > bound)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 comparisons"), (1, "1 comparison"), (2, "2 comparisons"), (66, "66 comparisons")],
)
def test_plural(count: int, text: str) -> None:
    assert plural(count, "comparison") == text


class TestSatisfies:
    @pytest.mark.parametrize(
        ("value", "low", "high", "holds"),
        [
            (0.5, 0.5, INF, True),
            (0.5, -INF, 0.5, True),
            (0.5 - 1e-13, 0.5, INF, True),
            (0.5 - 1e-9, 0.5, INF, False),
            (0.5 + 1e-9, -INF, 0.5, False),
            (math.nan, -INF, INF, False),
            (math.nan, 0, 1, False),
        ],
    )
    def test_bounds_are_inclusive_and_nan_is_outside(
        self, value: float, low: float, high: float, holds: bool
    ) -> None:
        assert satisfies(value, low, high) is holds
