"""Kendall's tau and what grade ties allow: scipy, counting by hand, all orders, published runs."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from pytest_eng5.alignment import (
    attainable_tau_a,
    attainable_tau_b,
    forced_tau,
    kendall_tau_a,
    kendall_tau_b,
)

RANKS = st.integers(0, 5)
# Scores on a grid: either exactly equal or far apart, so that "tied" means the same to every oracle.
SCORES = st.integers(-6, 6).map(lambda k: k / 4)
POPULATIONS = st.lists(st.tuples(RANKS, SCORES), min_size=2, max_size=12)


def split(population: list[tuple[int, float]]) -> tuple[list[int], np.ndarray]:
    return [rank for rank, _ in population], np.array([score for _, score in population])


def count(ranks: list[int], theta: np.ndarray) -> tuple[int, int, int]:
    """Concordant, discordant and all pairs, counted one by one."""
    concordant = discordant = pairs = 0
    for i, j in itertools.combinations(range(len(ranks)), 2):
        product = (ranks[j] - ranks[i]) * (theta[i] - theta[j])
        concordant += product > 0
        discordant += product < 0
        pairs += 1
    return concordant, discordant, pairs


class TestTauB:
    @given(POPULATIONS)
    def test_equal_to_scipy(self, population: list[tuple[int, float]]) -> None:
        ranks, theta = split(population)
        expected = kendalltau([-rank for rank in ranks], theta, variant="b").statistic
        assert float(kendall_tau_b(ranks, theta)) == pytest.approx(expected, nan_ok=True, abs=1e-12)

    def test_by_hand(self) -> None:
        """A A B C with scores 3 1 2 0: C = 4, D = 1, one tie of six: 3 / sqrt(5 * 6)."""
        assert float(kendall_tau_b([0, 0, 3, 6], np.array([3.0, 1.0, 2.0, 0.0]))) == pytest.approx(
            3 / math.sqrt(30)
        )

    def test_all_grades_equal_is_undefined(self) -> None:
        assert np.isnan(kendall_tau_b([3, 3, 3], np.array([1.0, 0.0, -1.0])))

    def test_all_scores_equal_is_undefined(self) -> None:
        assert np.isnan(kendall_tau_b([0, 1, 2], np.zeros(3)))

    @pytest.mark.parametrize("n", [0, 1])
    def test_without_a_pair_it_is_undefined(self, n: int) -> None:
        assert np.isnan(kendall_tau_b(list(range(n)), np.zeros(n)))

    def test_rounding_noise_is_a_tie(self) -> None:
        theta = np.array([1.0, 1.0 + 1e-13, 0.0])
        assert float(kendall_tau_b([1, 0, 2], theta)) == float(kendall_tau_b([1, 0, 2], np.round(theta, 9)))

    def test_a_difference_of_a_millionth_is_none(self) -> None:
        assert float(kendall_tau_b([0, 1], np.array([1e-6, 0.0]))) == 1.0

    @given(POPULATIONS, st.integers(-3, 3), st.sampled_from([0.5, 1.0, 2.0, 8.0]))
    def test_shifting_and_stretching_scores_changes_nothing(
        self, population: list[tuple[int, float]], shift: int, stretch: float
    ) -> None:
        ranks, theta = split(population)
        assert kendall_tau_b(ranks, theta * stretch + shift) == pytest.approx(
            kendall_tau_b(ranks, theta), nan_ok=True
        )

    @given(POPULATIONS)
    def test_turning_the_scores_round_changes_the_sign(self, population: list[tuple[int, float]]) -> None:
        ranks, theta = split(population)
        assert kendall_tau_b(ranks, -theta) == pytest.approx(-kendall_tau_b(ranks, theta), nan_ok=True)

    @given(POPULATIONS, st.randoms(use_true_random=False))
    def test_order_of_anchors_changes_nothing(self, population, random) -> None:
        ranks, theta = split(population)
        random.shuffle(population)
        other_ranks, other_theta = split(population)
        assert kendall_tau_b(other_ranks, other_theta) == pytest.approx(
            kendall_tau_b(ranks, theta), nan_ok=True
        )

    @given(POPULATIONS)
    def test_only_the_order_of_ranks_matters(self, population: list[tuple[int, float]]) -> None:
        ranks, theta = split(population)
        stretched = [rank**2 + 7 for rank in ranks]
        assert kendall_tau_b(stretched, theta) == pytest.approx(kendall_tau_b(ranks, theta), nan_ok=True)


class TestTauA:
    @given(POPULATIONS)
    def test_equal_to_counting(self, population: list[tuple[int, float]]) -> None:
        ranks, theta = split(population)
        concordant, discordant, pairs = count(ranks, theta)
        assert float(kendall_tau_a(ranks, theta)) == pytest.approx((concordant - discordant) / pairs)

    @given(st.permutations(list(range(7))))
    def test_without_ties_all_three_are_the_same(self, order: list[int]) -> None:
        theta = -np.array(order, dtype=float)
        ranks = list(range(7))
        a, b, forced = (float(tau(ranks, theta)) for tau in (kendall_tau_a, kendall_tau_b, forced_tau))
        assert a == pytest.approx(b)
        assert a == pytest.approx(forced)

    def test_ties_count_as_neither(self) -> None:
        assert float(kendall_tau_a([0, 0, 1], np.array([2.0, 1.0, 0.0]))) == pytest.approx(2 / 3)

    @pytest.mark.parametrize("n", [0, 1])
    def test_without_a_pair_it_is_undefined(self, n: int) -> None:
        assert np.isnan(kendall_tau_a([0] * n, np.zeros(n)))


class TestBatches:
    def test_one_value_per_row(self) -> None:
        theta = np.random.default_rng(0).normal(size=(40, 3, 9))
        ranks = [0, 0, 1, 3, 3, 3, 5, 8, 9]
        for tau in (kendall_tau_a, kendall_tau_b, forced_tau):
            together = tau(ranks, theta)
            assert together.shape == (40, 3)
            alone = [[float(tau(ranks, row)) for row in rows] for rows in theta]
            assert together == pytest.approx(np.array(alone))


class TestAttainable:
    @given(st.lists(st.integers(0, 3), min_size=2, max_size=6))
    def test_the_best_of_all_orders(self, ranks: list[int]) -> None:
        orders = [np.array(order, dtype=float) for order in itertools.permutations(range(len(ranks)))]
        assert attainable_tau_a(ranks) == pytest.approx(max(float(kendall_tau_a(ranks, o)) for o in orders))
        assume(len(set(ranks)) > 1)
        assert attainable_tau_b(ranks) == pytest.approx(max(float(kendall_tau_b(ranks, o)) for o in orders))

    @pytest.mark.parametrize(
        ("sizes", "tau_a", "tau_b"),
        [
            ((3, 3, 3, 3), 0.818, 0.905),
            ((2, 2, 2, 2, 2, 2), 0.909, 0.953),
            ((2, 2, 2, 2, 1, 1, 1, 1), 0.939, 0.969),
            ((2, 2, 2, 1, 1, 1, 1, 1, 1), 0.955, 0.977),
            ((1,) * 12, 1.0, 1.0),
        ],
    )
    def test_twelve_anchors(self, sizes: tuple[int, ...], tau_a: float, tau_b: float) -> None:
        ranks = [grade for grade, size in enumerate(sizes) for _ in range(size)]
        assert len(ranks) == 12
        assert attainable_tau_a(ranks) == pytest.approx(tau_a, abs=5e-4)
        assert attainable_tau_b(ranks) == pytest.approx(tau_b, abs=5e-4)

    def test_equal_grades_allow_nothing(self) -> None:
        assert attainable_tau_a([4, 4, 4]) == 0.0
        assert math.isnan(attainable_tau_b([4, 4, 4]))

    @pytest.mark.parametrize("ranks", [[], [0]])
    def test_without_a_pair_it_is_undefined(self, ranks: list[int]) -> None:
        assert math.isnan(attainable_tau_a(ranks))
        assert math.isnan(attainable_tau_b(ranks))

    def test_equal_scores_can_exceed_it(self) -> None:
        """The one exception that the docstring names."""
        assert float(kendall_tau_b([0, 0, 1, 1], np.array([1.0, 1.0, 0.0, 0.0]))) == pytest.approx(1.0)
        assert attainable_tau_b([0, 0, 1, 1]) == pytest.approx(math.sqrt(4 / 6))


class TestPublished:
    def test_batch_108(self, batch108) -> None:
        """Contract 14.1: tau-b .791; the .818 that it calls tau-a counts the 3 tied pairs as concordant."""
        theta = np.array(batch108.theta)
        assert float(kendall_tau_b(batch108.ranks, theta)) == pytest.approx(0.791, abs=5e-4)
        assert float(forced_tau(batch108.ranks, theta)) == pytest.approx(0.818, abs=5e-4)
        assert float(kendall_tau_a(batch108.ranks, theta)) == pytest.approx((57 - 6) / 66)
        assert count(list(batch108.ranks), theta) == (57, 6, 66)

    def test_the_attainable_maximum_of_its_grades(self, batch108) -> None:
        assert attainable_tau_b(batch108.ranks) == pytest.approx(0.977, abs=5e-4)

    def test_run_a259881c_attains_the_maximum(self, run_a259) -> None:
        """Contract 14.3 publishes tau 1.000, with ties counted as concordant."""
        theta = np.array(run_a259.theta)
        assert float(forced_tau(run_a259.ranks, theta)) == 1.0
        assert float(kendall_tau_b(run_a259.ranks, theta)) == pytest.approx(math.sqrt(63 / 66))
        assert float(kendall_tau_a(run_a259.ranks, theta)) == pytest.approx(63 / 66)

    @pytest.mark.parametrize(
        ("order", "published"),
        [
            # D-, E+, E-, F+ (D298E687), F+ (363940D5) by score, contract 14.4
            ([0, 1, 2, 3, 4], 1.0),
            ([0, 1, 4, 2, 3], 0.8),
            ([0, 1, 3, 2, 4], 0.8),
        ],
    )
    def test_the_lower_five(self, order: list[int], published: float) -> None:
        theta = np.zeros(5)
        theta[order] = [4, 3, 2, 1, 0]
        assert float(forced_tau([10, 11, 13, 14, 14], theta)) == pytest.approx(published)

    @given(st.permutations(list(range(12))))
    def test_forced_concordance_always_flatters(self, run_a259, order: list[int]) -> None:
        theta = np.array(order, dtype=float)
        tied = 3 / 66
        assert float(forced_tau(run_a259.ranks, theta)) == pytest.approx(
            float(kendall_tau_a(run_a259.ranks, theta)) + tied
        )
