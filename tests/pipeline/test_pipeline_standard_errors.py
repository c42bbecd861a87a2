"""Standard errors of the reference pipeline: golden vectors of contract 8.1, batch 108, the harness's own."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.alignment.reference_errors import reference_standard_errors
from pytest_eng5.pipeline.cj.scoring import bradley_terry
from pytest_eng5.pipeline.cj.standard_errors import (
    quality_flags,
    reference_item,
    standard_errors,
    summarise_errors,
)
from pytest_eng5.pipeline.errors import ServiceError

ROUND_ROBIN = list(itertools.combinations(range(12), 2))
FOUR = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3), (1, 0), (3, 2)]

# Contract 14.1 and 14.2: the errors of all 24 items of batch 108.
BATCH_108 = [
    *(1.0035, 0.9488, 0.9532, 0.9343, 1.0460, 1.2828, 1.2563, 1.4857, 1.6680, 1.9033, 2.0, 2.0),
    *(1.2350, 1.1928, 1.0689, 0.0, 0.9277, 0.9416, 0.9533, 1.0131, 1.0269, 1.0734, 1.1344, 1.2049),
]

Pairs = list[tuple[int, int]]


def errors_of(n: int, outcomes: Pairs, reference: int) -> list[float]:
    return standard_errors(bradley_terry(n, outcomes).tolist(), outcomes, reference).tolist()


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (11, [2.0] * 11 + [0.0]),
        (0, [0.0, 1.5903, 1.6496, 1.7566, 1.8861] + [2.0] * 7),
    ],
)
def test_golden_round_robin(reference: int, expected: list[float]) -> None:
    assert errors_of(12, ROUND_ROBIN, reference) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(
    ("reference", "expected"), [(3, [2.0, 2.0, 1.388272, 0.0]), (1, [1.388272, 0.0, 2.0, 2.0])]
)
def test_golden_four_items(reference: int, expected: list[float]) -> None:
    assert errors_of(4, FOUR, reference) == pytest.approx(expected, abs=5e-7)


def test_two_items_have_the_textbook_error() -> None:
    """One pair compared m times: the variance of the difference is 1 / (m p (1 - p))."""
    outcomes = [(0, 1)] * 3 + [(1, 0)] * 2
    p = 1 / (1 + math.exp(-0.4))
    assert standard_errors([0.2, -0.2], outcomes, 1).tolist() == pytest.approx(
        [1 / math.sqrt(5 * p * (1 - p)), 0]
    )


def test_the_reference_decides_the_errors_and_its_own_is_no_quality() -> None:
    by_reference = [errors_of(4, FOUR, reference) for reference in range(4)]
    assert all(errors[reference] == 0 for reference, errors in enumerate(by_reference))
    assert len({tuple(np.round(errors, 6)) for errors in by_reference}) > 1


def test_errors_shrink_with_the_square_root_of_the_comparisons() -> None:
    theta, pairs = [0.5, 0.0, -0.5], [(0, 1), (1, 2), (0, 2), (2, 0)]
    few, many = standard_errors(theta, pairs * 2, 2), standard_errors(theta, pairs * 8, 2)
    assert (few / 2).tolist() == pytest.approx(many.tolist())


@pytest.mark.parametrize(
    ("theta", "pairs", "expected"),
    [
        ([], [], []),
        ([1.0], [], [0.0]),
        ([0.0, 0.0, 0.0], [], [0.5, 0.5, 0.5]),
        ([0.0, 0.0, 0.0], [(0, 1)] * 4, [0.0, 1.0, 0.0]),
    ],
    ids=["no items", "one item", "no pairs", "an isolated item"],
)
def test_without_information_errors_have_fixed_values(
    theta: list[float], pairs: Pairs, expected: list[float]
) -> None:
    assert standard_errors(theta, pairs, 0).tolist() == pytest.approx(expected)


def test_a_difference_beyond_ten_logits_is_taken_for_certain() -> None:
    """Such a comparison adds nothing; at ten exactly it still counts (and the cap hides the rest)."""
    theta = [5.5, 0.0, -0.3, -5.5]
    close = [(1, 2), (2, 1)] * 4
    certain = standard_errors(theta, [*close, (0, 3)], 1)
    assert certain.tolist() == pytest.approx([0, 0, standard_errors(theta, close, 1)[2], 0])
    assert standard_errors([5.0, -5.0], [(0, 1)], 1).tolist() == [2.0, 0.0]
    assert standard_errors([5.0, -5.01], [(0, 1)], 1).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("reference", [-1, 2, 99])
def test_a_reference_that_is_no_item_is_refused(reference: int) -> None:
    with pytest.raises(ServiceError, match="none of the 2 items"):
        standard_errors([0.0, 1.0], [(0, 1)], reference)


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[float], Pairs, int]:
    n = draw(st.integers(2, 8))
    theta = draw(st.lists(st.floats(-9, 9).map(lambda x: round(x, 3)), min_size=n, max_size=n))
    pair = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda p: p[0] != p[1])
    return theta, draw(st.lists(pair, max_size=30)), draw(st.integers(0, n - 1))


@given(situations())
def test_the_harness_derives_the_same_errors(situation: tuple[list[float], Pairs, int]) -> None:
    theta, pairs, reference = situation
    wins = np.zeros((len(theta), len(theta)))
    for winner, loser in pairs:
        wins[winner, loser] += 1
    expected = reference_standard_errors(wins, theta, reference)
    assert standard_errors(theta, pairs, reference).tolist() == pytest.approx(expected.tolist(), abs=1e-6)


@given(situations(), st.randoms(use_true_random=False))
def test_errors_are_bounded_and_follow_the_items(
    situation: tuple[list[float], Pairs, int], random: object
) -> None:
    theta, pairs, reference = situation
    errors = standard_errors(theta, pairs, reference)
    assert ((errors >= 0) & (errors <= 2)).all()
    place = list(range(len(theta)))
    random.shuffle(place)  # type: ignore[attr-defined]
    moved = [0.0] * len(theta)
    for item, new in enumerate(place):
        moved[new] = theta[item]
    again = standard_errors(moved, [(place[w], place[x]) for w, x in pairs], place[reference])
    assert again[place].tolist() == pytest.approx(errors.tolist(), abs=1e-6)


@pytest.mark.parametrize(
    ("ids", "anchors", "expected"),
    [
        (["b", "c", "a"], [False, False, False], 1),
        (["ANCHOR_1", "z", "ANCHOR_2", "y"], [True, False, True, False], 2),
        (["ANCHOR_9", "ANCHOR_1", "z"], [True, True, False], 1),
        (["only"], [False], 0),
    ],
    ids=["guest: last alphabetically", "last anchor", "in the order of the batch", "one"],
)
def test_reference_is_the_last_anchor_else_the_last_id(
    ids: list[str], anchors: list[bool], expected: int
) -> None:
    assert reference_item(ids, anchors) == expected


# --- the summary and its flags ---------------------------------------------------------------------------


def test_summary_of_batch_108() -> None:
    """200 comparisons of 24 items: the published mean, extremes and counts."""
    pairs = [(i % 24, (i + 1 + i // 24) % 24) for i in range(200)]
    found = summarise_errors(BATCH_108, pairs).as_dict()
    assert found["mean_se"] == pytest.approx(1.1772451183974801, abs=5e-5)
    assert (found["max_se"], found["min_se"]) == (2.0, 0.0)
    assert (found["item_count"], found["comparison_count"]) == (24, 200)
    assert (found["items_at_cap"], found["isolated_items"]) == (2, 0)
    assert found["mean_comparisons_per_item"] == pytest.approx(16.667, abs=5e-4)
    assert (found["min_comparisons_per_item"], found["max_comparisons_per_item"]) == (16, 17)


def test_summary_has_the_keys_of_the_contract() -> None:
    assert list(summarise_errors([0.1, 0.0], [(0, 1)]).as_dict()) == [
        *("mean_se", "max_se", "min_se", "item_count", "comparison_count", "items_at_cap", "isolated_items"),
        *("mean_comparisons_per_item", "min_comparisons_per_item", "max_comparisons_per_item"),
    ]


def test_summary_counts_items_that_nobody_compared() -> None:
    found = summarise_errors([0.3, 0.0, 0.0], [(0, 1)])
    assert (found.isolated_items, found.min_comparisons_per_item, found.max_comparisons_per_item) == (1, 0, 1)
    assert found.mean_comparisons_per_item == pytest.approx(2 / 3)


def test_summary_of_nothing_is_all_zero() -> None:
    assert set(summarise_errors([], []).as_dict().values()) == {0}


@pytest.mark.parametrize(
    ("errors", "pairs", "raised"),
    [
        ([0.4, 0.4], [(0, 1)], set()),
        ([0.41, 0.41], [(0, 1)], {"bt_se_inflated"}),
        ([0.8, 0.0], [(0, 1)], set()),
        ([0.81, 0.0, 0.0], [(0, 1), (1, 2)], {"bt_se_inflated"}),
        ([0.1, 0.1, 0.1], [(0, 1), (0, 1)], {"has_isolated_items"}),
        ([0.1, 0.1, 0.1], [(0, 1)], {"has_isolated_items", "comparison_coverage_sparse"}),
    ],
)
def test_flags_are_raised_above_their_limits_only(
    errors: list[float], pairs: Pairs, raised: set[str]
) -> None:
    flags = quality_flags(summarise_errors(errors, pairs))
    assert {name for name, value in flags.items() if value} == raised
    assert set(flags) == {"bt_se_inflated", "comparison_coverage_sparse", "has_isolated_items"}
