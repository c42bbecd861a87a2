"""Inversions and zero wins, against counting in plain Python and against the published batch."""

from __future__ import annotations

import itertools
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_eng5.alignment import (
    AlignmentData,
    alignment_metrics,
    decidable_comparisons,
    decidable_pairs,
    direct_inversions,
    expected_zero_wins,
    inverted_comparisons,
    majority_inversions,
    zero_wins,
)

Games = list[tuple[int, int]]


def table(n: int, games: Games) -> np.ndarray:
    wins = np.zeros((n, n))
    for winner, loser in games:
        wins[winner, loser] += 1
    return wins


@st.composite
def populations(draw: st.DrawFn) -> tuple[list[int], Games]:
    ranks = draw(st.lists(st.integers(0, 4), min_size=2, max_size=7))
    n = len(ranks)
    pair = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda p: p[0] != p[1])
    return ranks, draw(st.lists(pair, max_size=30))


class TestCounting:
    @given(populations())
    def test_direct_inversions(self, population: tuple[list[int], Games]) -> None:
        ranks, games = population
        pairs = {frozenset(game) for game in games if ranks[game[0]] > ranks[game[1]]}
        assert float(direct_inversions(table(len(ranks), games), ranks)) == len(pairs)

    @given(populations())
    def test_majority_inversions(self, population: tuple[list[int], Games]) -> None:
        ranks, games = population
        balance: Counter[frozenset[int]] = Counter()
        for winner, loser in games:
            balance[frozenset((winner, loser))] += int(np.sign(ranks[winner] - ranks[loser]))
        expected = sum(value > 0 for value in balance.values())
        assert float(majority_inversions(table(len(ranks), games), ranks)) == expected

    @given(populations())
    def test_inverted_and_decidable_comparisons(self, population: tuple[list[int], Games]) -> None:
        ranks, games = population
        wins = table(len(ranks), games)
        assert float(inverted_comparisons(wins, ranks)) == sum(ranks[w] > ranks[x] for w, x in games)
        assert float(decidable_comparisons(wins, ranks)) == sum(ranks[w] != ranks[x] for w, x in games)
        different = {frozenset(game) for game in games if ranks[game[0]] != ranks[game[1]]}
        assert float(decidable_pairs(wins, ranks)) == len(different)

    @given(populations(), st.sets(st.integers(0, 4)))
    def test_only_some_better_grades(self, population: tuple[list[int], Games], upper: set[int]) -> None:
        ranks, games = population
        mask = [rank in upper for rank in ranks]
        wins = table(len(ranks), games)
        inverted = {frozenset(g) for g in games if ranks[g[0]] > ranks[g[1]] and mask[g[1]]}
        decidable = [g for g in games if ranks[g[0]] != ranks[g[1]]]
        between = [g for g in decidable if mask[min(g, key=lambda k: ranks[k])]]
        assert float(direct_inversions(wins, ranks, mask)) == len(inverted)
        assert float(decidable_comparisons(wins, ranks, mask)) == len(between)
        assert float(decidable_pairs(wins, ranks, mask)) == len({frozenset(g) for g in between})

    @given(populations())
    def test_zero_wins(self, population: tuple[list[int], Games]) -> None:
        ranks, games = population
        played = {k for game in games for k in game}
        won = {winner for winner, _ in games}
        assert float(zero_wins(table(len(ranks), games))) == len(played - won)

    @given(populations())
    def test_what_bounds_what(self, population: tuple[list[int], Games]) -> None:
        ranks, games = population
        wins = table(len(ranks), games)
        direct = float(direct_inversions(wins, ranks))
        assert float(majority_inversions(wins, ranks)) <= direct
        assert direct <= float(inverted_comparisons(wins, ranks))
        assert direct <= float(decidable_pairs(wins, ranks)) <= float(decidable_comparisons(wins, ranks))

    def test_batches_give_one_value_per_row(self) -> None:
        rng = np.random.default_rng(0)
        wins = rng.poisson(0.5, (30, 6, 6)) * (1 - np.eye(6))
        ranks = [0, 0, 1, 2, 2, 3]
        for function in (direct_inversions, majority_inversions, inverted_comparisons, decidable_comparisons):
            assert function(wins, ranks).tolist() == [float(function(one, ranks)) for one in wins]
        assert zero_wins(wins).tolist() == [float(zero_wins(one)) for one in wins]


class TestExamples:
    def test_a_pair_that_went_both_ways_is_one_direct_and_no_majority_inversion(self) -> None:
        wins = table(2, [(0, 1), (1, 0)])
        assert float(direct_inversions(wins, [0, 5])) == 1
        assert float(majority_inversions(wins, [0, 5])) == 0
        assert float(inverted_comparisons(wins, [0, 5])) == 1

    def test_repeats_count_once_per_pair(self) -> None:
        wins = table(2, [(1, 0)] * 4)
        assert float(direct_inversions(wins, [0, 5])) == 1
        assert float(majority_inversions(wins, [0, 5])) == 1
        assert float(inverted_comparisons(wins, [0, 5])) == 4

    def test_equal_grades_are_never_inverted(self) -> None:
        wins = table(3, [(0, 1), (1, 2), (2, 0)])
        assert float(direct_inversions(wins, [3, 3, 3])) == 0

    def test_never_compared_is_not_a_zero_win(self) -> None:
        assert float(zero_wins(table(3, [(0, 1)]))) == 1

    def test_empty(self) -> None:
        empty = np.zeros((0, 0))
        assert float(direct_inversions(empty, [])) == 0
        assert float(zero_wins(empty)) == 0
        assert expected_zero_wins(empty, []) == 0


class TestPublishedBatch108:
    def test_the_five_direct_inversions(self, batch108_games: AlignmentData) -> None:
        wins, ranks = batch108_games.wins(), batch108_games.ranks()
        assert float(direct_inversions(wins, ranks)) == 5

    def test_who_inverted_whom(self, batch108_games: AlignmentData) -> None:
        rows = alignment_metrics(batch108_games, bootstrap=0).inversions
        assert [(row.higher_id, row.higher_grade, row.lower_id, row.lower_grade) for row in rows] == [
            ("ANCHOR_10", "A", "ANCHOR_2", "B"),
            ("ANCHOR_10", "A", "ANCHOR_5", "B"),
            ("ANCHOR_8", "D-", "ANCHOR_11", "E+"),
            ("ANCHOR_7", "E-", "ANCHOR_1", "F+"),
            ("ANCHOR_7", "E-", "ANCHOR_4", "F+"),
        ]
        assert [row.winner_position for row in rows[2:]] == ["A", "B", "A"]

    def test_the_upper_region_was_not_correct(self, batch108_games: AlignmentData) -> None:
        """The source claims it was; its own two first rows contradict it."""
        upper = [grade in ("A", "B") for grade in batch108_games.grades]
        assert float(direct_inversions(batch108_games.wins(), batch108_games.ranks(), upper)) == 2

    def test_its_one_zero_win_anchor(self, batch108_games: AlignmentData) -> None:
        wins = batch108_games.wins()
        never = [batch108_games.ids[k] for k in range(12) if wins[k].sum() == 0 and wins[:, k].sum() > 0]
        assert "ANCHOR_7" in never

    def test_inverted_in_rank_is_not_inverted_in_a_comparison(self, batch108_games: AlignmentData) -> None:
        """C- (ANCHOR_3) ranks below D+ (ANCHOR_9) but beat it."""
        rows = alignment_metrics(batch108_games, bootstrap=0).inversions
        assert not any({row.higher_id, row.lower_id} == {"ANCHOR_3", "ANCHOR_9"} for row in rows)


def outcomes_without_inversion(
    ranks: list[int], pairs: list[tuple[int, int]]
) -> list[tuple[Fraction, Games]]:
    """Every outcome that a judge without inversions can give, with its probability."""
    choices = []
    for i, j in pairs:
        if ranks[i] == ranks[j]:
            choices.append([(Fraction(1, 2), (i, j)), (Fraction(1, 2), (j, i))])
        else:
            choices.append([(Fraction(1), (i, j) if ranks[i] < ranks[j] else (j, i))])
    found = []
    for combination in itertools.product(*choices):
        probability = Fraction(1)
        for share, _ in combination:
            probability *= share
        found.append((probability, [game for _, game in combination]))
    return found


class TestExpectedZeroWins:
    @given(st.data())
    @settings(max_examples=60, deadline=None)
    def test_equal_to_enumerating_all_outcomes(self, data: st.DataObject) -> None:
        ranks = data.draw(st.lists(st.integers(0, 2), min_size=2, max_size=5))
        possible = list(itertools.combinations(range(len(ranks)), 2))
        pairs = data.draw(st.lists(st.sampled_from(possible), max_size=7))
        outcomes = outcomes_without_inversion(ranks, pairs)
        expected = sum(share * int(zero_wins(table(len(ranks), games))) for share, games in outcomes)
        # The winners of the comparisons actually made must not matter, only who met whom.
        wins = table(len(ranks), [data.draw(st.sampled_from([p, p[::-1]])) for p in pairs])
        assert expected_zero_wins(wins, ranks) == pytest.approx(float(expected))

    @pytest.mark.parametrize(
        ("ranks", "expected"),
        [
            ([0, 1, 2, 3], 1.0),  # one anchor at the bottom
            ([0, 1, 2, 2], 1.0),  # two at the bottom: exactly one loses
            ([0, 2, 2, 2], 0.75),  # three can beat one another in a circle
            ([0, 2, 2, 2, 2], 4 / 8),
            ([5, 5], 1.0),
        ],
    )
    def test_single_round_robin(self, ranks: list[int], expected: float) -> None:
        n = len(ranks)
        games = [(i, j) for i in range(n) for j in range(i + 1, n)]
        assert expected_zero_wins(table(n, games), ranks) == pytest.approx(expected)

    def test_the_logic_trap_of_run_a259881c(self, run_a259_data: AlignmentData) -> None:
        """Contract 14.3: no inversions force one zero-win anchor, the loser between the two F+."""
        wins, ranks = run_a259_data.wins(), run_a259_data.ranks()
        assert float(direct_inversions(wins, ranks)) == 0
        assert float(zero_wins(wins)) == 1
        assert expected_zero_wins(wins, ranks) == 1.0

    def test_repeats_of_the_bottom_pair_help(self) -> None:
        """Two equal anchors that meet three times: each stays without a win with probability 1/8."""
        assert expected_zero_wins(table(2, [(0, 1)] * 3), [4, 4]) == pytest.approx(2 / 8)

    def test_repeats_do_not_help_a_single_lowest_anchor(self) -> None:
        assert expected_zero_wins(table(2, [(0, 1)] * 9), [0, 4]) == 1.0

    def test_an_uncompared_anchor_is_not_counted(self) -> None:
        assert expected_zero_wins(table(3, [(0, 1)]), [0, 1, 2]) == 1.0
