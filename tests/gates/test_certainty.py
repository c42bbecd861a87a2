"""Confidence that no outcome could give is refused before anything runs."""

from __future__ import annotations

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
