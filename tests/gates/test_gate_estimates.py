"""What would decide an undecided gate: estimates that come true, and when nothing would decide."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from pytest_eng5.alignment import AlignmentMetrics, MetricValue, wilson_interval, wilson_number
from pytest_eng5.gates import Needed, judge, needed_to_decide

Measured = Callable[..., AlignmentMetrics]


def needed(limit: Any, metrics: AlignmentMetrics, metric: str, **bounds: float) -> Needed:
    return needed_to_decide(limit(metric, **bounds, confidence=0.95), metrics)


def with_value(metrics: AlignmentMetrics, metric: str, *numbers: Any) -> AlignmentMetrics:
    return replace(metrics, values={**metrics.values, metric: MetricValue(*numbers)})


def populated(metrics: AlignmentMetrics, **changes: int) -> AlignmentMetrics:
    return replace(metrics, population=replace(metrics.population, **changes))


class TestPlainly:
    """An interval that is symmetric where it stands: the side shrinks with the root of the comparisons."""

    @pytest.mark.parametrize(
        ("numbers", "bounds", "total"),
        [
            ((0.2, 0.0, 0.4), {"max": 0.3}, 266),  # half the side: four times as many, 264
            ((0.2, -0.1, 0.4), {"min": 0.0}, 149),  # 66 * 2.25
            ((0.0, -0.4, 0.4), {"min": -0.3, "max": 0.2}, 266),  # the nearer bound asks for more
        ],
    )
    def test_by_hand(self, limit, perfect, numbers: Any, bounds: dict[str, float], total: int) -> None:
        metrics = with_value(perfect, "position_effect", *numbers, "wald")
        assert needed(limit, metrics, "position_effect", **bounds).comparisons == total

    def test_on_the_bound(self, limit, perfect) -> None:
        metrics = with_value(perfect, "position_effect", 0.3, 0.1, 0.5, "wald")
        found = needed(limit, metrics, "position_effect", max=0.3)
        assert found.comparisons is None
        assert found.sentence == "no number of comparisons would decide: the value lies on the threshold"
        assert found.brief == "no number would decide"

    def test_without_an_interval(self, limit, perfect) -> None:
        found = needed(limit, with_value(perfect, "kendall_tau", 0.9), "kendall_tau", min=0.8)
        assert found.comparisons is None
        assert "no interval could be computed" in found.sentence

    def test_from_simulated_repeats_nothing_is_estimated(self, limit, perfect) -> None:
        metrics = with_value(perfect, "zero_win_anchors", 1.0, 0.0, 2.0, "model")
        found = needed(limit, metrics, "zero_win_anchors", max=1)
        assert found.comparisons is None
        assert "not estimated" in found.sentence

    @pytest.mark.parametrize(("more", "shown"), [(7, 7), (99, 99), (101, 110), (2001, 2100)])
    def test_two_digits(self, limit, perfect, more: int, shown: int) -> None:
        """(side / distance)^2 is chosen so that exactly so many more are needed."""
        side = math.sqrt((66 + more) / 66)
        metrics = with_value(perfect, "position_effect", 0.0, -side, side, "wald")
        found = needed(limit, metrics, "position_effect", max=1.0)
        assert found.comparisons == 66 + shown
        assert f"about {shown} more" in found.brief


class TestTau:
    """As the share of concordant pairs, with the Wilson interval of what the run is worth."""

    @staticmethod
    def ends(value: float, worth: float) -> tuple[float, float]:
        low, high = (2 * end - 1 for end in wilson_interval((1 + value) / 2 * worth, worth))
        return low, high

    @pytest.mark.parametrize("worth", [40, 66, 90])
    @pytest.mark.parametrize(("value", "bound"), [(0.9, 0.8), (0.8, 0.9), (0.7, 0.75), (-0.5, -0.4)])
    def test_with_so_many_the_interval_is_off_the_bound(
        self, limit, perfect, value: float, bound: float, worth: int
    ) -> None:
        low, high = self.ends(value, worth)
        high = min(high, perfect.attainable_tau_b)
        if not low <= bound <= high:
            pytest.skip("it is decided already")
        metrics = with_value(perfect, "kendall_tau", value, low, high, "bootstrap")
        found = needed(limit, metrics, "kendall_tau", min=bound)
        assert found.comparisons is not None
        low, high = self.ends(value, worth * found.comparisons / 66)
        assert not low <= bound <= high
        fewer = max(0.85 * found.comparisons, 66)
        low, high = self.ends(value, worth * fewer / 66)
        assert low <= bound <= high

    def test_a_tau_of_one(self, limit, measured, full_round) -> None:
        """Repeats of a perfect run hardly vary, and still its interval has the width of so many pairs."""
        metrics = measured(["A", "B", "C", "D", "E"], full_round(5), bootstrap=200)
        tau = metrics.values["kendall_tau"]
        bound = ((tau.low or 0.0) + 1) / 2
        found = needed(limit, metrics, "kendall_tau", min=bound)
        worth = wilson_number((1 + tau.value) / 2, (1 + (tau.low or 0.0)) / 2, 1.0) / 10
        assert found.comparisons is not None
        assert self.ends(1.0, worth * found.comparisons)[0] > bound
        assert self.ends(1.0, worth * (found.comparisons - 3))[0] < bound


class TestShares:
    @pytest.mark.parametrize(("won", "bound"), [(60, 0.9), (60, 0.97), (50, 0.75)])
    def test_the_estimate_comes_true(self, limit, perfect, won: int, bound: float) -> None:
        """The agreement is of 63 comparisons between different grades of 66."""
        share = won / 63
        metrics = with_value(perfect, "agreement", share, *wilson_interval(won, 63), "wilson")
        found = needed(limit, metrics, "agreement", min=bound)
        assert found.comparisons is not None
        number = found.comparisons * 63 / 66
        low, high = wilson_interval(share * number, number)
        assert not low <= bound <= high
        low, high = wilson_interval(share * number * 0.85, number * 0.85)
        assert low <= bound <= high

    def test_position_bias_is_a_share_around_one_half(self, limit, perfect) -> None:
        low, high = wilson_interval(40, 66)
        metrics = with_value(perfect, "position_bias", 40 / 66 - 0.5, low - 0.5, high - 0.5, "wilson")
        found = needed(limit, metrics, "position_bias", max=0.05)
        number = found.comparisons or 0
        assert wilson_interval(40 / 66 * number, number)[0] - 0.5 > 0.05

    def test_flips_end_with_the_pairs(self, limit, perfect) -> None:
        metrics = populated(perfect, pairs_in_both_orders=20)
        metrics = with_value(metrics, "flip_rate", 0.1, *wilson_interval(2, 20), "wilson")
        some = needed(limit, metrics, "flip_rate", max=0.2)
        assert some.comparisons is not None
        pairs = 20 + (some.comparisons - 66) / 2
        assert wilson_interval(0.1 * pairs, pairs)[1] < 0.2
        none = needed(limit, metrics, "flip_rate", max=0.11)
        assert none.comparisons is None
        assert "pairs in both orders, and there are 66" in none.sentence


class TestCountsOfPairs:
    def test_a_full_design_is_exhausted(self, limit, perfect) -> None:
        verdict = judge(limit("direct_inversions", max=3, confidence=0.95), perfect)
        assert verdict.status.value == "UNDECIDED"
        assert verdict.needed is None
        assert verdict.hint == (
            "no number of comparisons would decide: all 63 pairs that can be inverted are compared; "
            "more anchors would help"
        )
        assert "no number would decide" in verdict.message

    def test_pairs_that_are_left_may_decide(self, limit, perfect) -> None:
        """2 of 30 pairs: with all 63 about 4, above 2.5 at some point."""
        metrics = populated(perfect, decidable_pairs_compared=30, pairs_compared=33, comparisons=33)
        low, high = wilson_interval(12, 30)
        metrics = with_value(metrics, "direct_inversions", 12.0, low * 30, high * 30, "wilson")
        found = needed(limit, metrics, "direct_inversions", max=9)
        assert found.comparisons is not None
        number = found.comparisons * 30 / 33
        assert wilson_interval(0.4 * number, number)[0] * number > 9
        assert "it repeats pairs" not in found.sentence

    def test_or_not_be_enough(self, limit, perfect) -> None:
        metrics = populated(perfect, decidable_pairs_compared=60)
        metrics = with_value(metrics, "majority_inversions", 2.0, 0.5, 6.8, "wilson")
        found = needed(limit, metrics, "majority_inversions", max=3)
        assert "not even all 63 pairs" in found.sentence

    def test_upper_grades_have_pairs_of_their_own(self, limit, perfect) -> None:
        """Two A and two B: 4 * 11 pairs minus those among themselves and between equal grades."""
        assert perfect.population.upper_pairs == perfect.population.upper_pairs_compared == 36
        assert perfect.population.decidable_pairs == perfect.population.decidable_pairs_compared == 63
        found = needed(limit, perfect, "upper_grade_inversions", max=1)
        assert "all 36 pairs" in found.sentence


class TestReliability:
    def test_it_grows_as_spearman_and_brown_say(self, limit, perfect) -> None:
        """0.77 (0.70 to 0.82) against 0.80: at the number given the whole interval is above it."""
        metrics = with_value(perfect, "ssr", 0.77, 0.70, 0.82, "bootstrap")
        found = needed(limit, metrics, "ssr", min=0.8)
        assert found.comparisons is not None
        assert "Spearman and Brown" in found.sentence
        k = found.comparisons / 66
        grown = k * 0.77 / (1 + (k - 1) * 0.77)
        spread = math.log(0.30 / 0.23) / math.sqrt(k)
        assert 1 - (1 - grown) * math.exp(spread) > 0.8

    def test_nothing_grows_from_nothing(self, limit, perfect) -> None:
        metrics = with_value(perfect, "ssr", -0.1, -0.6, 0.3, "bootstrap")
        found = needed(limit, metrics, "ssr", min=0.2)
        assert found.comparisons is None


@pytest.mark.thorough
def test_as_many_as_said_decide_in_more_cases_than_not(limit, measured) -> None:
    """Twelve anchors, one round-robin that leaves tau undecided against 0.70, then as many as asked for."""
    rng = np.random.default_rng(1)
    grades = ["A", "A-", "B+", "B", "B-", "C+", "C", "C-", "D+", "D", "E", "F"]
    pairs = list(combinations(range(12), 2))
    threshold = limit("kendall_tau", min=0.7, confidence=0.95)

    def drawn(number: int) -> list[tuple[int, int]]:
        chosen = [pairs[k] for _ in range(number // 66 + 1) for k in rng.permutation(66)][:number]
        return [(i, j) if rng.random() < 1 / (1 + math.exp(0.3 * (i - j))) else (j, i) for i, j in chosen]

    decided = []
    for _ in range(30):
        games = drawn(66)
        verdict = judge(threshold, measured(grades, games, bootstrap=200, splits=0))
        if verdict.needed is not None and verdict.needed < 1500:
            games += drawn(verdict.needed - 66)
            later = judge(threshold, measured(grades, games, bootstrap=200, splits=0))
            decided.append(later.status.value != "UNDECIDED")
    assert len(decided) > 15
    assert 0.4 < np.mean(decided) < 0.95
