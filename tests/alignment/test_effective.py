"""How many comparisons a share is worth: against brute force over every outcome, and against simulation."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.alignment import stated_judge
from pytest_eng5.alignment.effective import (
    PairModel,
    effective_number,
    effective_number_of_values,
    repeat_effect,
)
from pytest_eng5.alignment.intervals import correlation_interval, wilson_interval, wilson_number

RANKS = np.array([0, 0, 5, 8])
THETA = np.array([1.0, 0.4, 0.2, -1.6])
WINS = np.array([[0, 1, 2, 1], [0, 0, 0, 1], [1, 1, 0, 2], [0, 0, 0, 0]], dtype=float)


def variance_of(count: np.ndarray, chance: np.ndarray) -> tuple[float, float]:
    """Mean and variance of a quantity over outcomes of these chances."""
    mean = float(chance @ count)
    return mean, float(chance @ (count - mean) ** 2)


class TestNumbers:
    @given(st.lists(st.floats(0.05, 0.95), min_size=1, max_size=8))
    def test_brute_force(self, p: list[float]) -> None:
        """Poisson's binomial distribution, every outcome written out."""
        chances, shares = [], []
        for outcome in product([0, 1], repeat=len(p)):
            chances.append(np.prod([q if won else 1 - q for q, won in zip(p, outcome, strict=True)]))
            shares.append(np.mean(outcome))
        mean, variance = variance_of(np.array(shares), np.array(chances))
        found = effective_number(np.array(p), np.ones(len(p)))
        assert mean * (1 - mean) / found == pytest.approx(variance)
        assert found >= len(p) - 1e-9

    def test_weights_are_repeats(self) -> None:
        p = np.array([0.2, 0.7])
        assert effective_number(p, np.array([3.0, 1.0])) == pytest.approx(
            effective_number(np.array([0.2, 0.2, 0.2, 0.7]), np.ones(4))
        )

    @pytest.mark.parametrize("p", [0.0, 1.0])
    def test_certainties_count_as_they_are(self, p: float) -> None:
        assert effective_number(np.full(5, p), np.ones(5)) == 5

    def test_nothing(self) -> None:
        assert effective_number(np.empty(0), np.empty(0)) == 0

    def test_values_of_a_binomial_share(self) -> None:
        values = 2 * np.random.default_rng(0).binomial(40, 0.8, 20_000) / 40 - 1
        assert effective_number_of_values(values, -1, 1) == pytest.approx(40, rel=0.05)
        assert np.isnan(effective_number_of_values(np.full(9, 0.3), -1, 1))
        assert np.isnan(effective_number_of_values(np.full(9, np.nan), -1, 1))


class TestRepeats:
    P = np.full(400, 0.7)

    @pytest.mark.parametrize("games", [2, 5])
    def test_independent_repeats_count_in_full(self, games: int) -> None:
        won = np.random.default_rng(1).binomial(games, self.P).astype(float)
        assert repeat_effect(won, np.full(400, float(games)), self.P) == pytest.approx(1, abs=0.25)

    @pytest.mark.parametrize("games", [2, 5])
    def test_identical_repeats_count_once(self, games: int) -> None:
        won = games * np.random.default_rng(1).binomial(1, self.P).astype(float)
        assert repeat_effect(won, np.full(400, float(games)), self.P) == games

    def test_half_of_them_identical(self) -> None:
        """Correlation ρ of two repeats: the variance of their mean is (1 + ρ)/2 of that of one."""
        rng = np.random.default_rng(2)
        first, second = rng.random((2, 4000)) < 0.7
        won = first + np.where(rng.random(4000) < 0.5, first, second).astype(float)
        assert repeat_effect(won, np.full(4000, 2.0), np.full(4000, 0.7)) == pytest.approx(1.5, abs=0.06)

    def test_one_comparison_per_pair_says_nothing(self) -> None:
        assert repeat_effect(np.array([1.0, 0.0]), np.ones(2), np.full(2, 0.5)) == 1


class TestPairs:
    MODEL = PairModel(WINS, THETA, RANKS, repeats_count=True)

    def test_the_better_grade_comes_first(self) -> None:
        for better, worse, decidable in zip(
            self.MODEL.better, self.MODEL.worse, self.MODEL.decidable, strict=True
        ):
            assert (RANKS[better] < RANKS[worse]) == decidable

    def test_against_simulation(self) -> None:
        """Every share of many simulated runs varies as its effective number says."""
        rng = np.random.default_rng(3)
        games, p = self.MODEL.games.astype(int), self.MODEL.p
        won = rng.binomial(games, p, (100_000, len(p)))
        kept, whole = self.MODEL.decidable, games[self.MODEL.decidable].sum()
        cases = {
            "decidable": (won[:, kept].sum(axis=1) / whole, self.MODEL.comparisons(decidable=True)),
            "all": (
                (games - won)[:, kept].sum(axis=1) / games.sum(),
                self.MODEL.comparisons(decidable=False),
            ),
            "inverted": ((won < games)[:, kept].mean(axis=1), self.MODEL.inverted_pairs()),
            "majority": ((2 * won < games)[:, kept].mean(axis=1), self.MODEL.majority_pairs()),
        }
        for name, (values, number) in cases.items():
            mean = values.mean()
            assert values.var() == pytest.approx(mean * (1 - mean) / number, rel=0.03), name

    def test_some_pairs_only(self) -> None:
        among = np.array([True, True, False, False])
        p = self.MODEL.p[self.MODEL.decidable & among[self.MODEL.better]]
        games = self.MODEL.games[self.MODEL.decidable & among[self.MODEL.better]]
        expected = effective_number(1 - p**games, np.ones(len(p)))
        assert self.MODEL.inverted_pairs(among) == pytest.approx(expected)

    def test_first_places(self) -> None:
        """Positions are drawn; the share that essay A wins varies by p(1 - p) of each comparison."""
        rng = np.random.default_rng(4)
        games, p = self.MODEL.games.astype(int), self.MODEL.p
        values = rng.binomial(games, p, (100_000, len(p))).sum(axis=1) / games.sum()
        assert values.var() == pytest.approx(0.25 / self.MODEL.first_places(), rel=0.03)


class TestCorrelations:
    def test_it_contains_its_point_and_keeps_below_what_is_attainable(self) -> None:
        repeats = np.random.default_rng(0).normal(0.9, 0.04, 500).clip(-1, 0.97)
        for point in (-1.0, 0.0, 0.9, 0.97, 0.99, 1.0):
            found = correlation_interval([(repeats, 1.0)], point, 0.95, attainable=0.97, pairs=66)
            assert found is not None
            assert -1 <= found[0] <= point <= found[1] <= max(point, 0.97)

    def test_a_perfect_run_is_no_proof(self) -> None:
        """Wilson's lower end of k of k: k / (k + z²); twice that minus one."""
        values = 2 * np.random.default_rng(0).binomial(60, 0.9, 50_000) / 60 - 1
        found = correlation_interval([(values, 1.0)], 1.0, 0.95, attainable=1.0, pairs=66)
        assert found is not None
        assert found[0] == pytest.approx(2 * 60 / (60 + 1.96**2) - 1, abs=0.004)

    def test_one_whose_repeats_never_vary_is_worth_its_pairs(self) -> None:
        """As is one of which very few repeats have one pair the other way round."""
        rarely = np.where(np.arange(100_000) < 20, 1 - 2 / 66, 1.0)
        for values in (np.ones(100), rarely):
            found = correlation_interval([(values, 1.0)], 1.0, 0.95, attainable=1.0, pairs=66)
            assert found is not None
            assert found[0] == pytest.approx(2 * 66 / (66 + 1.96**2) - 1, abs=1e-3)

    def test_repeats_that_are_no_news_widen_it(self) -> None:
        repeats = np.random.default_rng(0).normal(0.5, 0.1, 500)
        one, three = (
            correlation_interval([(repeats, effect)], 0.5, 0.95, attainable=1.0, pairs=66)
            for effect in (1.0, 3.0)
        )
        assert one is not None
        assert three is not None
        assert three[0] < one[0]
        # but not to more than what asking each pair once would leave
        ways = [(repeats, 3.0), (repeats, 1.0)]
        assert correlation_interval(ways, 0.5, 0.95, attainable=1.0, pairs=66) == one

    @pytest.mark.parametrize(("repeats", "point"), [([np.nan] * 9, 0.5), ([], 0.5), ([0.1, 0.9], np.nan)])
    def test_undefined(self, repeats: list[float], point: float) -> None:
        ways = [(np.array(repeats, dtype=float), 1.0)]
        assert correlation_interval(ways, point, 0.95, attainable=1.0, pairs=66) is None


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("total", [5, 66.5, 400])
@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 0.9, 1.0])
def test_an_interval_tells_what_number_it_was_made_for(share: float, total: float, confidence: float) -> None:
    ends = wilson_interval(share * total, total, confidence)
    assert wilson_number(share, *ends, confidence) == pytest.approx(total)
    assert wilson_number(share, share, share, confidence) == np.inf


def test_a_sharp_judge_is_worth_more_comparisons_than_it_made() -> None:
    """Most of its comparisons are certain: their share varies less than a coin's."""
    ranks = np.arange(8)
    wins = np.triu(np.ones((8, 8)), 1)
    numbers = [
        PairModel(wins, stated_judge(ranks, -ranks, d).theta, ranks, repeats_count=True).first_places()
        for d in (0.0, 0.5, 2.0)
    ]
    assert numbers == sorted(numbers)
    assert numbers[0] == pytest.approx(28)
