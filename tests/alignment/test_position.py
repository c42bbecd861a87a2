"""Position bias and flips, against scipy's Wilson interval and drawing by hand."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from pytest_eng5.alignment import (
    AlignmentData,
    alignment_metrics,
    flip_rate,
    pairs_in_both_orders,
    position_bias,
    wilson_interval,
)

Game = tuple[int, int, str]


def outcomes(n: int, games: list[Game]) -> np.ndarray:
    table = np.zeros((n, n, 2))
    for winner, loser, position in games:
        table[winner, loser, 0 if position == "A" else 1] += 1
    return table


@st.composite
def populations(draw: st.DrawFn) -> tuple[int, list[Game]]:
    n = draw(st.integers(2, 5))
    item = st.integers(0, n - 1)
    game = st.tuples(item, item, st.sampled_from("AB")).filter(lambda g: g[0] != g[1])
    return n, draw(st.lists(game, max_size=25))


class TestWilson:
    @given(st.integers(1, 300), st.floats(0, 1), st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99]))
    def test_equal_to_scipy(self, total: int, share: float, confidence: float) -> None:
        successes = round(share * total)
        expected = binomtest(successes, total).proportion_ci(confidence, method="wilson")
        assert wilson_interval(successes, total, confidence) == pytest.approx(
            (expected.low, expected.high), abs=1e-12
        )

    def test_without_data_anything_is_possible(self) -> None:
        assert wilson_interval(0, 0) == (0.0, 1.0)

    @given(st.integers(1, 100), st.floats(0, 1))
    def test_it_always_contains_the_share(self, total: int, share: float) -> None:
        low, high = wilson_interval(share * total, total)
        assert 0 <= low <= share * total / total <= high <= 1

    def test_no_event_in_66_still_leaves_room(self) -> None:
        low, high = wilson_interval(0, 66)
        assert low == 0
        assert high == pytest.approx(0.055, abs=5e-4)


class TestPositionBias:
    @given(populations())
    def test_share_of_a_minus_one_half(self, population: tuple[int, list[Game]]) -> None:
        n, games = population
        value, low, high = position_bias(outcomes(n, games))
        if not games:
            assert math.isnan(value)
            assert (low, high) == (-0.5, 0.5)
        else:
            won_by_a = sum(position == "A" for _, _, position in games)
            expected = binomtest(won_by_a, len(games)).proportion_ci(method="wilson")
            assert value == pytest.approx(won_by_a / len(games) - 0.5)
            assert (low, high) == pytest.approx((expected.low - 0.5, expected.high - 0.5))

    @given(populations())
    def test_swapping_the_labels_changes_the_sign(self, population: tuple[int, list[Game]]) -> None:
        n, games = population
        swapped = [(w, loser, "B" if position == "A" else "A") for w, loser, position in games]
        value, low, high = position_bias(outcomes(n, games))
        assert position_bias(outcomes(n, swapped)) == pytest.approx((-value, -high, -low), nan_ok=True)

    def test_the_ends(self) -> None:
        assert position_bias(outcomes(2, [(0, 1, "A"), (1, 0, "A")]))[0] == 0.5
        assert position_bias(outcomes(2, [(0, 1, "B"), (1, 0, "B")]))[0] == -0.5

    def test_a_simulated_bias_is_found(self) -> None:
        rng = np.random.default_rng(0)
        games: list[Game] = [(0, 1, "A" if rng.random() < 0.62 else "B") for _ in range(2000)]
        value, low, high = position_bias(outcomes(2, games))
        assert low < 0.12 < high
        assert value == pytest.approx(0.12, abs=0.03)


def flips_by_drawing(games: list[Game]) -> float:
    """All ways to draw one comparison of each order, per pair; the share with different winners."""
    by_order: dict[tuple[int, int], list[int]] = defaultdict(list)
    for winner, loser, position in games:
        by_order[(winner, loser) if position == "A" else (loser, winner)].append(winner)
    shares = []
    for (a, b), winners in by_order.items():
        if a < b and (b, a) in by_order:
            draws = list(itertools.product(winners, by_order[b, a]))
            shares.append(sum(x != y for x, y in draws) / len(draws))
    return sum(shares) / len(shares) if shares else math.nan


class TestFlips:
    @given(populations())
    def test_equal_to_drawing_one_of_each_order(self, population: tuple[int, list[Game]]) -> None:
        n, games = population
        assert flip_rate(outcomes(n, games)) == pytest.approx(flips_by_drawing(games), nan_ok=True)

    @given(populations())
    def test_pairs_in_both_orders(self, population: tuple[int, list[Game]]) -> None:
        n, games = population
        orders = {(w, x) if position == "A" else (x, w) for w, x, position in games}
        expected = sum((b, a) in orders for a, b in orders if a < b)
        assert pairs_in_both_orders(outcomes(n, games)) == expected

    def test_a_judge_that_always_says_a_always_flips(self) -> None:
        assert flip_rate(outcomes(2, [(0, 1, "A"), (1, 0, "A")])) == 1.0

    def test_a_judge_that_sticks_to_its_winner_never_flips(self) -> None:
        assert flip_rate(outcomes(2, [(0, 1, "A"), (0, 1, "B")])) == 0.0

    def test_one_order_only_says_nothing(self) -> None:
        assert math.isnan(flip_rate(outcomes(2, [(0, 1, "A"), (1, 0, "B")])))

    def test_the_metric_has_an_interval_over_pairs(self, make) -> None:
        games = [(0, 1, "A"), (1, 0, "A"), (0, 2, "A"), (0, 2, "B"), (1, 2, "A"), (1, 2, "B")]
        data: AlignmentData = make(["A", "C", "E"], games)
        metrics = alignment_metrics(data, bootstrap=10)
        found = metrics.values["flip_rate"]
        expected = binomtest(1, 3).proportion_ci(method="wilson")
        assert found.value == pytest.approx(1 / 3)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
        assert metrics.population.pairs_in_both_orders == 3
