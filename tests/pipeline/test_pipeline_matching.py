"""Waves: no essay twice, no pair twice, nobody left out who could be paired; against brute force."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_eng5.pipeline.cj.matching import (
    MatchingWeights,
    Pair,
    coverage_pairs,
    resampling_pairs,
    unordered,
)

WEIGHTS = MatchingWeights()


def best_by_brute_force(
    essays: list[int], counts: list[int], theta: list[float], compared: set[Pair]
) -> tuple[int, float]:
    """Largest number of pairs, and the largest weight among the matchings that have it."""
    if len(essays) < 2:
        return 0, 0.0
    first, rest = essays[0], essays[1:]
    best = best_by_brute_force(rest, counts, theta, compared)
    for other in rest:
        if unordered(first, other) in compared:
            continue
        size, weight = best_by_brute_force([e for e in rest if e != other], counts, theta, compared)
        distance = abs(theta[first] - theta[other])
        edge = 1 / (1 + counts[first]) + 1 / (1 + counts[other])
        edge += 0.5 * (math.exp(-distance) if distance < 2 else 0)
        best = max(best, (size + 1, weight + edge))
    return best


@st.composite
def situations(draw: st.DrawFn, largest: int = 7) -> tuple[list[int], list[float], set[Pair]]:
    n = draw(st.integers(2, largest))
    counts = draw(st.lists(st.integers(0, 6), min_size=n, max_size=n))
    theta = draw(st.lists(st.floats(-6, 6), min_size=n, max_size=n))
    all_pairs = list(itertools.combinations(range(n), 2))
    return counts, theta, set(draw(st.lists(st.sampled_from(all_pairs), unique=True)))


@given(situations(), st.integers(0, 100))
def test_a_wave_is_a_matching_of_uncompared_pairs(
    situation: tuple[list[int], list[float], set[Pair]], seed: int
) -> None:
    counts, theta, compared = situation
    pairs = coverage_pairs(counts, theta, compared, Random(seed), WEIGHTS)
    used = [essay for pair in pairs for essay in pair]
    assert len(used) == len(set(used))
    assert not compared & set(pairs)
    assert all(0 <= i < j < len(counts) for i, j in pairs)


@settings(deadline=None)
@given(situations(largest=6), st.integers(0, 100))
def test_a_wave_has_the_most_pairs_and_among_those_the_most_weight(
    situation: tuple[list[int], list[float], set[Pair]], seed: int
) -> None:
    counts, theta, compared = situation
    present = list(range(len(counts)))
    if len(present) % 2:
        present.remove(max(present, key=lambda essay: counts[essay]))
        if all(pair in compared for pair in itertools.combinations(present, 2)):
            present = list(range(len(counts)))  # nothing without the essay that sits out
    pairs = coverage_pairs(counts, theta, compared, Random(seed), WEIGHTS)
    size, weight = best_by_brute_force(present, counts, theta, compared)
    mine = sum(WEIGHTS.edge((counts[i], counts[j]), (theta[i], theta[j])) for i, j in pairs)
    assert len(pairs) == size
    assert mine == pytest.approx(weight, abs=0.001 * len(counts))


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 14), st.integers(0, 1000))
def test_waves_cover_every_pair_once_before_they_run_dry(n: int, seed: int) -> None:
    random = Random(seed)
    counts, compared = [0] * n, set[Pair]()
    while pairs := coverage_pairs(counts, [random.gauss(0, 2) for _ in range(n)], compared, random, WEIGHTS):
        assert len(pairs) <= n // 2
        for pair in pairs:
            assert pair not in compared
            compared.add(pair)
            for essay in pair:
                counts[essay] += 1
    assert compared == set(itertools.combinations(range(n), 2))


def test_an_even_batch_pairs_everybody_in_its_first_wave() -> None:
    pairs = coverage_pairs([0] * 24, [0.0] * 24, set(), Random(1), WEIGHTS)
    assert sorted(essay for pair in pairs for essay in pair) == list(range(24))


@pytest.mark.parametrize(("counts", "sits_out"), [([1, 3, 1, 1, 1], 1), ([2, 2, 2], 0), ([0, 0, 1, 1, 0], 2)])
def test_with_an_odd_number_the_most_compared_essay_sits_out(counts: list[int], sits_out: int) -> None:
    pairs = coverage_pairs(counts, [0.0] * len(counts), set(), Random(1), WEIGHTS)
    assert len(pairs) == len(counts) // 2
    assert sits_out not in {essay for pair in pairs for essay in pair}


def test_an_essay_that_should_sit_out_is_drawn_when_only_it_is_left() -> None:
    # Failed comparisons count too: essay 0 was drawn most often and still lacks essay 1.
    pairs = coverage_pairs([5, 1, 2], [0.0] * 3, {(0, 2), (1, 2)}, Random(1), WEIGHTS)
    assert pairs == [(0, 1)]


def test_two_light_pairs_are_better_than_one_heavy_one() -> None:
    # A path 0-1-2-3 whose middle edge outweighs the two outer ones together.
    compared = {(0, 2), (0, 3), (1, 3)}
    counts, theta = [9, 0, 0, 9], [-9.0, 0.0, 0.0, 9.0]
    middle = WEIGHTS.edge((0, 0), (0.0, 0.0))
    assert middle > 2 * WEIGHTS.edge((9, 0), (-9.0, 0.0))
    assert set(coverage_pairs(counts, theta, compared, Random(1), WEIGHTS)) == {(0, 1), (2, 3)}


def test_nothing_is_left_when_everything_is_compared() -> None:
    compared = set(itertools.combinations(range(5), 2))
    assert coverage_pairs([4] * 5, [0.0] * 5, compared, Random(1), WEIGHTS) == []


def test_close_essays_are_preferred_when_counts_are_equal() -> None:
    pairs = coverage_pairs([1] * 4, [5.0, -5.0, 5.1, -5.1], set(), Random(3), WEIGHTS)
    assert set(pairs) == {(0, 2), (1, 3)}


def test_the_best_edges_come_first_so_that_a_cut_wave_keeps_them() -> None:
    pairs = coverage_pairs([9, 9, 0, 0], [0.0, 0.0, 9.0, 9.0], {(0, 2), (0, 3)}, Random(3), WEIGHTS)
    assert pairs == [(2, 3), (0, 1)]


def test_a_seed_makes_waves_repeatable_and_another_one_changes_them() -> None:
    def wave(seed: int) -> list[Pair]:
        return coverage_pairs([0] * 12, [0.0] * 12, set(), Random(seed), WEIGHTS)

    assert wave(1) == wave(1)
    assert len({tuple(wave(seed)) for seed in range(10)}) > 5


@pytest.mark.parametrize(
    ("counts", "theta", "expected"),
    [
        ((0, 0), (0.0, 0.0), 2.5),
        ((1, 3), (0.0, 1.0), 0.75 + 0.5 * math.exp(-1)),
        ((1, 1), (0.0, 1.999), 1 + 0.5 * math.exp(-1.999)),
        ((1, 1), (0.0, 2.0), 1.0),
        ((1, 1), (3.0, -3.0), 1.0),
    ],
)
def test_edge_weight(counts: Pair, theta: tuple[float, float], expected: float) -> None:
    assert WEIGHTS.edge(counts, theta) == pytest.approx(expected)


def test_weights_are_configurable() -> None:
    assert MatchingWeights(2.0, 0.0).edge((0, 1), (0.0, 0.0)) == pytest.approx(3.0)


@given(situations(), st.integers(0, 40), st.integers(0, 100))
def test_resampling_repeats_compared_pairs_only_and_spreads_them(
    situation: tuple[list[int], list[float], set[Pair]], limit: int, seed: int
) -> None:
    counts, _, compared = situation
    pairs = resampling_pairs(compared, counts, limit, Random(seed))
    wanted = min(limit, len(compared))
    assert set(pairs) <= compared
    assert len(pairs) == len(set(pairs)) <= wanted
    cap = max(1, math.ceil(2 * wanted / len(counts)))
    times = Counter(essay for pair in pairs for essay in pair)
    assert all(value <= cap for value in times.values())
    if wanted:
        assert pairs


def test_resampling_takes_the_least_compared_essays_first() -> None:
    compared = {(0, 1), (2, 3), (4, 5)}
    assert resampling_pairs(compared, [9, 9, 1, 1, 5, 5], 2, Random(1)) == [(2, 3), (4, 5)]


def test_resampling_rounds_an_essays_share_up() -> None:
    compared = {(0, 1), (0, 2), (1, 2)}  # 3 pairs among 5 essays: at most ceil(6/5) = 2 each
    assert set(resampling_pairs(compared, [2, 2, 2, 0, 0], 3, Random(1))) == compared


def test_resampling_breaks_ties_at_random_but_repeatably() -> None:
    compared = set(itertools.combinations(range(8), 2))

    def wave(seed: int) -> list[Pair]:
        return resampling_pairs(compared, [7] * 8, 4, Random(seed))

    assert wave(2) == wave(2)
    assert len({tuple(wave(seed)) for seed in range(10)}) > 5


def test_a_full_resampling_wave_can_repeat_a_whole_round_robin() -> None:
    compared = set(itertools.combinations(range(4), 2))
    assert set(resampling_pairs(compared, [3] * 4, 100, Random(1))) == compared
