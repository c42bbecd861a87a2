"""Circular triads, ζ and split halves against brute force and judges of known consistency."""

from __future__ import annotations

from itertools import combinations, permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_eng5.alignment import (
    AlignmentDataError,
    circular_triads,
    consistence,
    decided_triads,
    fit_wins,
    greatest_circular_triads,
    split_half,
)

QUICK = settings(deadline=None, max_examples=60)


def tournament(n: int, winners: list[bool]) -> np.ndarray:
    wins = np.zeros((n, n))
    for (i, j), upper in zip(combinations(range(n), 2), winners, strict=True):
        wins[(i, j) if upper else (j, i)] = 1
    return wins


def every_tournament(n: int) -> list[np.ndarray]:
    return [tournament(n, list(bits)) for bits in product([True, False], repeat=n * (n - 1) // 2)]


def brute(wins: np.ndarray) -> tuple[int, int]:
    """Circular and decided triads by looking at each."""
    circular = decided = 0
    for triad in combinations(range(len(wins)), 3):
        if all(wins[i, j] != wins[j, i] for i, j in combinations(triad, 2)):
            decided += 1
            circular += any(
                wins[i, j] > wins[j, i] and wins[j, k] > wins[k, j] and wins[k, i] > wins[i, k]
                for i, j, k in permutations(triad)
            )
    return circular, decided


tables = st.integers(2, 7).flatmap(
    lambda n: st.lists(st.integers(0, 3), min_size=n * n, max_size=n * n).map(
        lambda cells: np.array(cells, dtype=float).reshape(n, n) * (1 - np.eye(n))
    )
)


class TestTriads:
    @given(tables)
    @QUICK
    def test_brute_force(self, wins: np.ndarray) -> None:
        assert (circular_triads(wins), decided_triads(wins)) == brute(wins)

    @pytest.mark.parametrize("n", [3, 4, 5])
    def test_the_formula_from_scores(self, n: int) -> None:
        """d = n(n-1)(2n-1)/12 - ½ Σ s², for every complete tournament (Kendall and Babington Smith 1940)."""
        for wins in every_tournament(n):
            scores = wins.sum(axis=1)
            assert circular_triads(wins) == n * (n - 1) * (2 * n - 1) / 12 - (scores**2).sum() / 2

    @pytest.mark.parametrize("n", [3, 4, 5])
    def test_the_greatest_number_is_reached_and_not_exceeded(self, n: int) -> None:
        assert max(circular_triads(wins) for wins in every_tournament(n)) == greatest_circular_triads(n)

    @pytest.mark.parametrize(
        ("n", "greatest"), [(1, 0), (2, 0), (3, 1), (4, 2), (5, 5), (6, 8), (7, 14), (12, 70)]
    )
    def test_the_published_maxima(self, n: int, greatest: int) -> None:
        assert greatest_circular_triads(n) == greatest

    def test_many_at_once(self) -> None:
        many = np.stack(every_tournament(4))
        assert circular_triads(many).tolist() == [brute(wins)[0] for wins in many]


class TestConsistence:
    def test_a_transitive_judge(self) -> None:
        assert consistence(np.triu(np.ones((12, 12)), 1)) == 1

    def test_the_most_circular_judge(self) -> None:
        cyclic = np.array(
            [[0, 1, 1, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1, 1], [1, 0, 0, 0, 1], [1, 1, 0, 0, 0]]
        )
        assert consistence(cyclic.astype(float)) == 0

    def test_a_coin_as_documented(self) -> None:
        rng = np.random.default_rng(0)
        wins = np.triu(rng.random((4000, 12, 12)) < 0.5, 1)
        wins = wins | np.triu(~wins, 1).swapaxes(1, 2)
        assert consistence(wins.astype(float)).mean() == pytest.approx(0.214, abs=0.01)

    @given(tables, st.randoms(use_true_random=False))
    @QUICK
    def test_relabelling(self, wins: np.ndarray, random) -> None:
        order = list(range(len(wins)))
        random.shuffle(order)
        assert consistence(wins[np.ix_(order, order)]) == pytest.approx(consistence(wins), nan_ok=True)

    @given(tables)
    @QUICK
    def test_turning_every_result_round(self, wins: np.ndarray) -> None:
        assert consistence(wins.T) == pytest.approx(consistence(wins), nan_ok=True)

    def test_undecided_pairs_do_not_count(self) -> None:
        even = np.array([[0, 1, 1], [1, 0, 1], [0, 0, 0]], dtype=float)
        assert np.isnan(consistence(even))
        majority = np.array([[0, 2, 1], [1, 0, 1], [0, 0, 0]], dtype=float)
        assert consistence(majority) == 1

    @pytest.mark.parametrize("n", [0, 1, 2])
    def test_too_few(self, n: int) -> None:
        assert np.isnan(consistence(np.triu(np.ones((n, n)), 1)))


def round_robins(rng: np.random.Generator, discrimination: float, times: int) -> np.ndarray:
    quality = np.linspace(2, -2, 12) * discrimination
    upper = np.triu_indices(12, 1)
    won = rng.binomial(times, 1 / (1 + np.exp(quality[upper[1]] - quality[upper[0]])))
    wins = np.zeros((12, 12))
    wins[upper], wins[upper[::-1]] = won, times - won
    return wins


class TestSplitHalf:
    def test_a_sharp_judge_agrees_with_itself(self) -> None:
        found = split_half(round_robins(np.random.default_rng(0), 1.0, 20))
        assert found.correlation > 0.97
        assert found.reliability == pytest.approx(2 * found.correlation / (1 + found.correlation))

    def test_a_coin_does_not(self) -> None:
        found = [split_half(round_robins(np.random.default_rng(s), 0.0, 2)).correlation for s in range(10)]
        assert abs(np.mean(found)) < 0.25

    def test_it_foretells_the_agreement_of_two_runs(self) -> None:
        """Spearman-Brown from halves of one run is about the correlation between two whole runs."""
        rng = np.random.default_rng(3)
        foretold, seen = [], []
        for _ in range(30):
            one, other = round_robins(rng, 0.4, 4), round_robins(rng, 0.4, 4)
            foretold.append(split_half(one).reliability)
            seen.append(np.corrcoef(fit_wins(one), fit_wins(other))[0, 1])
        assert np.mean(foretold) == pytest.approx(np.mean(seen), abs=0.04)

    def test_seeds(self) -> None:
        wins = round_robins(np.random.default_rng(0), 0.5, 1)
        assert split_half(wins, seed=1) == split_half(wins, seed=1)
        assert split_half(wins, seed=1) != split_half(wins, seed=2)

    def test_brute_force_of_the_smallest(self) -> None:
        """Two comparisons, one in each half, of different pairs: both orders of them give the same r."""
        wins = np.zeros((3, 3))
        wins[0, 1] = wins[1, 2] = 1
        halves = [np.zeros((3, 3)), np.zeros((3, 3))]
        halves[0][0, 1] = halves[1][1, 2] = 1
        r = np.corrcoef(fit_wins(halves[0]), fit_wins(halves[1]))[0, 1]
        assert split_half(wins, splits=9).correlation == pytest.approx(r)

    @pytest.mark.parametrize("amount", [0, 1])
    def test_too_little(self, amount: int) -> None:
        wins = np.zeros((3, 3))
        wins[0, 1] = amount
        assert np.isnan(split_half(wins).reliability)

    def test_nonsense_is_refused(self) -> None:
        with pytest.raises(AlignmentDataError):
            split_half(np.zeros((3, 3)), splits=-1)
