"""Who is shown first: balance for each essay, both orders for each pair."""

from __future__ import annotations

import itertools
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.pipeline.cj.matching import MatchingWeights, coverage_pairs
from pytest_eng5.pipeline.cj.orientation import Orientation


def with_skews(*skews: int, seed: int = 0) -> Orientation:
    """An orientation in which essay i stood as often more often first as ``skews[i]`` says."""
    orientation = Orientation(len(skews), Random(seed))
    orientation._skew[:] = skews
    return orientation


@pytest.mark.parametrize(
    ("skews", "expected"),
    [
        ((-1, 1), (0, 1)),  # opposite signs: the one that stood second too often comes first
        ((1, -1), (1, 0)),
        ((-3, 1), (0, 1)),
        ((0, 2), (0, 1)),  # |0+1| + |2-1| = 2 against |0-1| + |2+1| = 4
        ((2, 0), (1, 0)),
        ((-2, 0), (0, 1)),
        ((3, 1), (1, 0)),  # |3-1| + |1+1| = 4 = |3+1| + |1-1|: see the tie below
    ],
)
def test_the_order_that_balances_wins(skews: tuple[int, int], expected: tuple[int, int]) -> None:
    first = {with_skews(*skews, seed=seed).coverage((0, 1)) for seed in range(20)}
    tie = abs(skews[0] + 1) + abs(skews[1] - 1) == abs(skews[0] - 1) + abs(skews[1] + 1)
    assert first == ({(0, 1), (1, 0)} if tie else {expected})


@pytest.mark.parametrize("skews", [(0, 0), (2, 2), (-1, -1), (3, 1)])
def test_ties_are_a_fair_coin(skews: tuple[int, int]) -> None:
    first = sum(with_skews(*skews, seed=seed).coverage((0, 1)) == (0, 1) for seed in range(400))
    assert 150 < first < 250  # 5 standard deviations


@given(st.integers(2, 16), st.integers(0, 1000))
def test_over_a_round_robin_no_essay_is_shown_first_much_more_often(n: int, seed: int) -> None:
    random = Random(seed)
    orientation = Orientation(n, random)
    pairs = list(itertools.combinations(range(n), 2))
    random.shuffle(pairs)
    firsts = [0] * n
    for pair in pairs:
        ordered = orientation.coverage(pair)
        assert sorted(ordered) == sorted(pair)
        firsts[ordered[0]] += 1
    skews = [2 * count - (n - 1) for count in firsts]
    assert [orientation.skew(essay) for essay in range(n)] == skews
    assert sum(skews) == 0
    assert max(map(abs, skews)) <= 4


def test_waves_of_the_real_matching_stay_balanced() -> None:
    worst = 0
    for seed in range(20):
        random = Random(seed)
        orientation, counts, compared = Orientation(12, random), [0] * 12, set[tuple[int, int]]()
        while pairs := coverage_pairs(counts, [0.0] * 12, compared, random, MatchingWeights()):
            for pair in pairs:
                compared.add(pair)
                for essay in orientation.coverage(pair):
                    counts[essay] += 1
        worst = max(worst, *(abs(orientation.skew(essay)) for essay in range(12)))
    assert worst <= 3  # 11 games each: 1 is the least possible


def test_resampling_shows_the_other_order() -> None:
    for seed in range(20):
        orientation = Orientation(2, Random(seed))
        shown = orientation.coverage((0, 1))
        assert orientation.resampling((0, 1)) == shown[::-1]


def test_a_pair_seen_in_both_orders_follows_the_balance() -> None:
    orientation = Orientation(3, Random(4))
    for pair in ((0, 1), (0, 1)):
        orientation.resampling(pair)
    assert {orientation.skew(0), orientation.skew(1)} == {0}
    orientation._skew[:] = [2, 0, 0]
    assert orientation.resampling((0, 1)) == (1, 0)
    orientation._skew[:] = [0, 2, 0]
    assert orientation.resampling((0, 1)) == (0, 1)


def test_a_full_second_round_makes_every_essay_even() -> None:
    orientation = Orientation(6, Random(9))
    pairs = list(itertools.combinations(range(6), 2))
    for pair in pairs:
        orientation.coverage(pair)
    for pair in pairs:
        orientation.resampling(pair)
    assert [orientation.skew(essay) for essay in range(6)] == [0] * 6
