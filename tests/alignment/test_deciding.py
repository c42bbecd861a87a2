"""Comparisons still needed: by hand, by brute force, and whether they do decide."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pytest_eng5.alignment import (
    comparisons_to_decide,
    comparisons_to_decide_reliability,
    comparisons_to_decide_share,
    wilson_interval,
)


class TestByHand:
    def test_half_the_distance_needs_four_times_as_many(self) -> None:
        assert comparisons_to_decide(0.5, 0.3, 0.7, 0.4, 100) == 400
        assert comparisons_to_decide(0.5, 0.3, 0.7, 0.6, 100) == 400

    def test_of_an_uneven_interval_the_side_of_the_bound_counts(self) -> None:
        assert comparisons_to_decide(0.5, 0.1, 0.6, 0.4, 100) == 1600
        assert comparisons_to_decide(0.5, 0.1, 0.6, 0.55, 100) == 400

    def test_tau_on_fishers_scale(self) -> None:
        value, low, high, bound = (math.tanh(x) for x in (1.0, 0.6, 1.4, 1.2))
        assert comparisons_to_decide(value, low, high, bound, 66, "fisher") == 264

    def test_reliability_on_its_scale(self) -> None:
        value, low, high, bound = (1 - math.exp(-x) for x in (2.0, 1.4, 2.6, 1.7))
        assert comparisons_to_decide(value, low, high, bound, 50, "reliability") == 200

    def test_on_the_bound_nothing_decides(self) -> None:
        assert comparisons_to_decide(0.5, 0.3, 0.7, 0.5, 100) is None
        assert comparisons_to_decide_share(0.5, 0.5, 100) is None

    def test_decided_already(self) -> None:
        assert comparisons_to_decide(0.5, 0.3, 0.7, 0.9, 100) == 100
        assert comparisons_to_decide_share(0.1, 0.9, 100) == 100

    @pytest.mark.parametrize("end", [1.0, -1.0])
    def test_the_ends_of_the_scale(self, end: float) -> None:
        low, high = sorted((end, end * 0.8))
        found = comparisons_to_decide(end, low, high, end * 0.9, 66, "fisher")
        assert found is not None
        assert found > 66


class TestShares:
    @given(st.integers(0, 60), st.integers(1, 60), st.floats(0.02, 0.98))
    def test_the_first_number_that_decides(self, successes: int, comparisons: int, bound: float) -> None:
        value = min(successes, comparisons) / comparisons
        assume(abs(value - bound) > 0.03)
        found = comparisons_to_decide_share(value, bound, comparisons)
        assert found is not None
        assert found >= comparisons

        def holds(number: int) -> bool:
            low, high = wilson_interval(value * number, number)
            return low <= bound <= high

        assert not holds(found)
        assert found == comparisons or holds(found - 1)

    def test_a_hair_from_the_bound(self) -> None:
        assert comparisons_to_decide_share(0.5, 0.5 + 1e-5, 10) is None


class TestReliabilities:
    """They grow: k times the comparisons make kr / (1 + (k - 1)r) of r (Spearman, Brown)."""

    @given(
        st.floats(0.05, 0.95),
        st.floats(0.05, 0.9),
        st.floats(0.05, 0.9),
        st.floats(0.05, 0.99),
        st.integers(1, 300),
    )
    def test_the_first_number_that_decides(
        self, value: float, below: float, above: float, bound: float, comparisons: int
    ) -> None:
        low, high = value - below, value + (1 - value) * above
        found = comparisons_to_decide_reliability(value, low, high, bound, comparisons)
        if not low <= bound <= high:
            assert found == comparisons
            return

        def low_end(number: int) -> float:
            k = number / comparisons
            grown = k * value / (1 + (k - 1) * value)
            return 1 - (1 - grown) * ((1 - low) / (1 - value)) ** (1 / math.sqrt(k))

        assert found is not None
        assert low_end(found) > bound - 1e-9
        assert found == comparisons or low_end(found - 1) <= bound + 1e-9

    def test_a_value_below_the_bound_grows_over_it(self) -> None:
        """Without growth 0.77 would be taken to stay below 0.80 for good."""
        found = comparisons_to_decide_reliability(0.77, 0.70, 0.82, 0.80, 66)
        assert found is not None
        assert 66 < found < 132

    def test_what_never_gets_there(self) -> None:
        assert comparisons_to_decide_reliability(0.0, -0.4, 0.4, 0.2, 66) is None
        assert comparisons_to_decide_reliability(-0.2, -0.7, 0.4, 0.2, 66) is None
        assert comparisons_to_decide_reliability(1e-9, -0.4, 0.4, 0.3, 66) is None


def test_as_many_as_said_decide_in_about_half_of_all_cases() -> None:
    """A share of 0.8 against a bound of 0.7, after 50 comparisons that left it undecided."""
    rng = np.random.default_rng(0)
    decided = []
    for won in rng.binomial(50, 0.8, 600):
        low, high = wilson_interval(float(won), 50)
        needed = comparisons_to_decide_share(won / 50, 0.7, 50)
        if low <= 0.7 <= high and needed is not None and needed < 3000:
            more = won + rng.binomial(needed - 50, 0.8)
            low, high = wilson_interval(float(more), needed)
            decided.append(not low <= 0.7 <= high)
    assert len(decided) > 200
    assert np.mean(decided) > 0.4
