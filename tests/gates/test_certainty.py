"""Confidence that no outcome could give is refused before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import pytest

from pytest_eng5.alignment import wilson_interval, wilson_number
from pytest_eng5.gates import METRICS, never_certain


@pytest.mark.parametrize("name", sorted(name for name, info in METRICS.items() if not info.interval))
def test_no_confidence_without_an_interval(limit, name: str) -> None:
    reason = never_certain(limit(name, min=0.5, confidence=0.95), [0, 3, 6]) or ""
    assert reason.startswith(name)
    assert reason.endswith("so no confidence can be asked of it: remove it")
    assert never_certain(limit(name, min=0.5), [0, 3, 6]) is None


def test_every_metric_with_an_interval_has_one(measured, full_round) -> None:
    """And none of the others: the table says what the numbers do."""
    games = [*full_round(6), *((i, j, "B") for i, j in full_round(6)), (3, 0)]
    metrics = measured(["A", "B", "C", "D", "E", "F"], games, bootstrap=100)
    with_interval = {name for name, value in metrics.values.items() if value.low is not None}
    assert with_interval == {name for name, info in METRICS.items() if info.interval}


def satisfied(low: float, high: float, number: int, confidence: float, shift: float = 0.0) -> bool:
    """Whether any whole number of successes gives an interval within the bounds."""
    for successes in range(number + 1):
        ends = [end - shift for end in wilson_interval(successes, number, confidence)]
        if low - 1e-12 <= ends[0] and ends[1] <= high + 1e-12:
            return True
    return False


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("number", [10, 66, 132])
@pytest.mark.parametrize(
    ("metric", "bounds"),
    [
        ("inversion_rate", {"max": 0.03}),
        ("inversion_rate", {"max": 0.2}),
        ("agreement", {"min": 0.9}),
        ("agreement", {"min": 0.98}),
        ("agreement", {"min": 0.4, "max": 0.6}),
        ("position_bias", {"min": -0.1, "max": 0.1}),
        ("position_bias", {"min": -0.2, "max": 0.2}),
        ("position_bias", {"max": 0.1}),
    ],
)
def test_refused_exactly_where_no_outcome_would_pass(
    limit, role_model_ranks, metric: str, bounds: dict[str, float], number: int, confidence: float
) -> None:
    threshold = limit(metric, **bounds, confidence=confidence)
    refused = never_certain(threshold, role_model_ranks, number) is not None
    shift = 0.5 if metric == "position_bias" else 0.0
    low, high = bounds.get("min", -9.0), bounds.get("max", 9.0)
    possible = satisfied(low, high, 2 * number, confidence, shift)  # each may be worth two
    assert not (refused and possible)
    if len(bounds) == 1:
        assert refused != possible


def test_it_says_how_many_would_do(limit, role_model_ranks) -> None:
    threshold = limit("inversion_rate", max=0.02, confidence=0.95)
    assert never_certain(threshold, role_model_ranks) == (
        "inversion_rate <= 0.02 cannot be shown with 95 % confidence by 66 comparisons, however good the "
        "judge: it takes at least 95"
    )
    assert never_certain(threshold, role_model_ranks, 94) is not None
    assert never_certain(threshold, role_model_ranks, 95) is None


@pytest.mark.parametrize("bounds", [{"max": 0.0}, {"min": 0.3, "max": 0.3}])
def test_or_that_none_would(limit, role_model_ranks, bounds: dict[str, float]) -> None:
    reason = never_certain(limit("inversion_rate", **bounds, confidence=0.95), role_model_ranks)
    assert (reason or "").endswith("no number of them would be enough")


def test_no_inversion_among_so_few_pairs_is_not_proven(limit, role_model_ranks) -> None:
    for metric in ("direct_inversions", "majority_inversions", "upper_grade_inversions"):
        assert "cannot be shown" in (
            never_certain(limit(metric, max=0, confidence=0.95), role_model_ranks) or ""
        )
        assert never_certain(limit(metric, max=4, confidence=0.95), role_model_ranks) is None
        assert never_certain(limit(metric, min=1, confidence=0.95), role_model_ranks) is None


@pytest.mark.parametrize("grades", ["A B C D E", "A B C D E F", "A A- B+ B B- C+ C D E F"])
@pytest.mark.parametrize("rounds", [1, 2, 4])
def test_no_run_without_inversion_is_worth_more(measured, full_round, grades: str, rounds: int) -> None:
    """What a comparison is taken to be worth at most, against intervals of runs that could not be better."""
    games = full_round(len(grades.split())) * rounds
    values = measured(grades.split(), games, bootstrap=0).values
    for name in ("agreement", "inversion_rate"):
        found = values[name]
        worth = wilson_number(found.value, found.low, found.high)
        assert worth <= 1.4 * len(games)


def test_what_cannot_be_known_beforehand_is_left_to_the_run(limit, role_model_ranks) -> None:
    for metric in ("kendall_tau", "ssr", "zero_win_anchors", "position_effect"):
        assert never_certain(limit(metric, min=0.9, confidence=0.99), role_model_ranks) is None
    for ranks in ([], [0], [0, None]):
        assert never_certain(limit("agreement", min=0.99, confidence=0.95), ranks, 5) is None
    assert never_certain(limit("no_such_metric", min=0.99, confidence=0.95), role_model_ranks) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("coverage", "coverage is a property of the comparisons made, without an interval"),
        ("connected", "connected is a property of the comparisons made, without an interval"),
        ("consistence", "consistence has no interval"),
        ("worst_infit", "worst_infit has no interval"),
    ],
)
def test_why_there_is_no_interval(limit, name: str, reason: str) -> None:
    assert never_certain(limit(name, min=0.5, confidence=0.95), [0, 3]) == (
        f"{reason}, so no confidence can be asked of it: remove it"
    )


class TestCounts:
    """Without any inversion, each pair being worth two: from one pair per step between the grades."""

    @pytest.mark.parametrize(
        ("metric", "ranks", "pairs", "confidence", "bound"),
        [
            ("direct_inversions", [0, 0, 3, 3, 5, 7, 8, 10, 11, 13, 14, 14], 8, 0.95, 1),
            ("majority_inversions", [0, 3, 6], 2, 0.95, 0),
            ("majority_inversions", [3, 0, 3], 1, 0.95, 0.5),
            ("direct_inversions", [0, 3, 6, 9], 3, 0.5, 0),
            ("upper_grade_inversions", [0, 0, 3, 3, 5, 7, 8, 10, 11, 13, 14, 14], 1, 0.95, 0),
            ("upper_grade_inversions", [0, 3, 6], 1, 0.99, 0.5),
        ],
    )
    def test_the_least_that_can_be_shown(
        self, limit, metric: str, ranks: list[int], pairs: int, confidence: float, bound: float
    ) -> None:
        best = pairs * wilson_interval(0, 2 * pairs, confidence)[1]

        def asked(high: float) -> str | None:
            return never_certain(limit(metric, max=high, confidence=confidence), ranks)

        assert asked(bound) == (
            f"{metric} <= {bound} cannot be shown with {confidence * 100:g} % confidence: even without any "
            f"inversion the interval reaches at least {best:.1f}; remove confidence, or raise max"
        )
        assert asked(best - 1e-6) is not None
        assert asked(best + 1e-6) is None

    def test_without_different_grades_there_is_nothing_to_invert(self, limit) -> None:
        assert never_certain(limit("direct_inversions", max=0, confidence=0.95), [3, 3, 3]) is None


def least(enough: Callable[[int], Any]) -> int:
    return next(number for number in count(1) if enough(number))


def narrow(low: float, high: float, shift: float = 0.0) -> Callable[[int], bool]:
    """Whether the interval of a share between the bounds can be no wider than they are apart."""
    shares = np.linspace(low, high, 21) + shift

    def enough(number: int) -> bool:
        ends = [wilson_interval(share * 2 * number, 2 * number) for share in shares]
        return min(end[1] - end[0] for end in ends) <= high - low

    return enough


class TestShares:
    @pytest.mark.parametrize(
        ("metric", "bounds", "made", "demand", "number"),
        [
            (
                *("inversion_rate", {"max": 0.02}, 40, "<= 0.02"),
                least(lambda n: wilson_interval(0, 2 * n)[1] <= 0.02),
            ),
            (
                *("inversion_rate", {"min": 0, "max": 0.02}, 40, ">= 0.00 and <= 0.02"),
                least(lambda n: wilson_interval(0, 2 * n)[1] <= 0.02),
            ),
            (
                *("agreement", {"min": 0.99}, 150, ">= 0.99"),
                least(lambda n: wilson_interval(2 * n, 2 * n)[0] >= 0.99),
            ),
            (
                *("agreement", {"min": 0.99, "max": 1.5}, 20, ">= 0.99 and <= 1.50"),
                least(lambda n: wilson_interval(2 * n, 2 * n)[0] >= 0.99),
            ),
            (
                *("position_bias", {"min": 0.45}, 20, ">= 0.45"),
                least(lambda n: wilson_interval(2 * n, 2 * n)[0] >= 0.95),
            ),
            (
                *("position_bias", {"max": -0.48}, 40, "<= -0.48"),
                least(lambda n: wilson_interval(0, 2 * n)[1] <= 0.02),
            ),
            (
                *("position_bias", {"min": -0.1, "max": 0.1}, 20, ">= -0.10 and <= 0.10"),
                least(narrow(-0.1, 0.1, 0.5)),
            ),
            (
                *("agreement", {"min": 0.7, "max": 0.8}, 90, ">= 0.70 and <= 0.80"),
                least(narrow(0.7, 0.8)),
            ),
            (*("agreement", {"min": 0.2, "max": 0.5}, 7, ">= 0.20 and <= 0.50"), least(narrow(0.2, 0.5))),
            (
                *("inversion_rate", {"min": 0.02, "max": 0.1}, 20, ">= 0.02 and <= 0.10"),
                least(narrow(0.02, 0.1)),
            ),
        ],
    )
    def test_how_many_it_takes(
        self, limit, metric: str, bounds: dict[str, float], made: int, demand: str, number: int
    ) -> None:
        threshold = limit(metric, **bounds, confidence=0.95)
        assert never_certain(threshold, [0, 3, 6], made) == (
            f"{metric} {demand} cannot be shown with 95 % confidence by {made} comparisons, however good "
            f"the judge: it takes at least {number}"
        )
        assert never_certain(threshold, [0, 3, 6], number - 1) is not None
        assert never_certain(threshold, [0, 3, 6], number) is None

    def test_an_interval_that_ends_on_the_bound_is_within_it(self, limit) -> None:
        low, high = wilson_interval(100, 100)[0], wilson_interval(0, 100)[1]
        for threshold in (
            limit("agreement", min=low, confidence=0.95),
            limit("inversion_rate", max=high, confidence=0.95),
        ):
            assert never_certain(threshold, [0, 3, 6], 50) is None
            assert never_certain(threshold, [0, 3, 6], 49) is not None

    def test_two_anchors_can_be_asked_about(self, limit) -> None:
        assert never_certain(limit("agreement", min=0.6, confidence=0.95), [0, 3]) == (
            "agreement >= 0.60 cannot be shown with 95 % confidence by 1 comparison, however good the "
            "judge: it takes at least 3"
        )

    @pytest.mark.parametrize(("made", "pairs"), [(20, 20), (200, 66)])
    def test_flips_end_with_the_pairs(self, limit, role_model_ranks, made: int, pairs: int) -> None:
        threshold = limit("flip_rate", max=0.02, confidence=0.95)
        assert never_certain(threshold, role_model_ranks, made) == (
            f"flip_rate <= 0.02 cannot be shown with 95 % confidence by {pairs} pairs, however good the "
            "judge: it takes at least 95"
        )

    def test_other_shares_do_not(self, limit, role_model_ranks) -> None:
        threshold = limit("inversion_rate", max=0.005, confidence=0.95)
        assert "by 200 comparisons" in (never_certain(threshold, role_model_ranks, 200) or "")

    def test_a_million_is_the_most_that_is_told(self, limit) -> None:
        def asked(million: float) -> str:
            bound = wilson_interval(0, 2e6 * million)[1]
            return never_certain(limit("inversion_rate", max=bound, confidence=0.95), [0, 3]) or ""

        assert asked(0.999999).endswith("it takes at least 999999")
        assert asked(1).endswith("it takes at least 1000000")
        assert asked(1.000001).endswith("no number of them would be enough")
