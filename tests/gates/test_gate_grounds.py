"""Word for word: why a metric is not measured, one thing missing at a time, and from where on it is."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from pytest_eng5.alignment import AlignmentMetrics, MetricValue
from pytest_eng5.gates import METRICS
from pytest_eng5.gates.vacuity import vacuous


@pytest.fixture
def sound(perfect: AlignmentMetrics) -> AlignmentMetrics:
    """Twelve anchors, 66 comparisons, every metric with a number."""
    population = replace(perfect.population, pairs_in_both_orders=5)
    return replace(perfect, values={name: MetricValue(0.5) for name in METRICS}, population=population)


def grounds(metrics: AlignmentMetrics, **changes: Any) -> dict[str, str]:
    """The reason per metric that has one, the population being so much changed."""
    metrics = replace(metrics, population=replace(metrics.population, **changes))
    return {name: reason for name, info in METRICS.items() if (reason := vacuous(info, metrics))}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"unknown_grade": ("a3", "a7")}, "the grade of 2 of 12 anchors (a3, a7) is unknown"),
        (
            {"unknown_grade": tuple("abcde")},
            "the grade of 5 of 12 anchors (a, b, c, d, e) is unknown",
        ),
        (
            {"unknown_grade": tuple("abcdef")},
            "the grade of 6 of 12 anchors (a, b, c, d, e, ..) is unknown",
        ),
        ({"unknown_grade": ("a",), "anchors": 1}, "the grade of 1 of 1 anchor (a) is unknown"),
        ({"graded": 0}, "there is nothing to agree with: 0 anchors"),
        ({"graded": 1}, "there is nothing to agree with: 1 anchor"),
        ({"comparisons": 0}, "no comparison between the 12 anchors succeeded"),
        ({"uncompared": ("a2",)}, "1 of 12 anchors (a2) took part in no comparison"),
        ({"uncompared": ("a2",), "anchors": 1}, "1 of 1 anchor (a2) took part in no comparison"),
        ({"connected": False}, "the 66 comparisons leave the anchors in unconnected groups"),
    ],
)
def test_nothing_can_be_measured(sound, changes: dict[str, Any], reason: str) -> None:
    assert grounds(sound, **changes) == dict.fromkeys(METRICS, reason)


def test_the_root_of_it_is_told(sound) -> None:
    """Of several reasons the one that the others follow from."""
    missing = {
        "unknown_grade": (("a1",), "the grade of 1 of 12 anchors (a1) is unknown"),
        "graded": (1, "there is nothing to agree with: 1 anchor"),
        "comparisons": (0, "no comparison between the 12 anchors succeeded"),
        "uncompared": (("a2",), "1 of 12 anchors (a2) took part in no comparison"),
        "connected": (False, "the 66 comparisons leave the anchors in unconnected groups"),
        "distinct_grades": (1, "all 12 anchors have the same grade"),
        "decidable_comparisons": (0, "no comparison was between different grades"),
        "upper_comparisons": (0, "no comparison was between a grade A or B and a lower one"),
    }
    for first, (_, reason) in enumerate(missing.values()):
        changes = {name: value for name, (value, _) in list(missing.items())[first:]}
        assert grounds(sound, **changes)["upper_grade_inversions"] == reason


@pytest.mark.parametrize(
    ("changes", "needs", "reason"),
    [
        ({"distinct_grades": 1}, {"decidable", "upper"}, "all 12 anchors have the same grade"),
        (
            {"decidable_comparisons": 0},
            {"decidable", "upper"},
            "no comparison was between different grades",
        ),
        (
            {"upper_comparisons": 0},
            {"upper"},
            "no comparison was between a grade A or B and a lower one",
        ),
        ({"pairs_in_both_orders": 0}, {"both_orders"}, "no pair was seen in both orders"),
        (
            {"graded": 2},
            {"three", "circle", "triads"},
            "it takes at least 3 anchors, and there are 2",
        ),
        ({"pairs_compared": 11}, {"circle"}, "11 pairs close no circle, so scores fit any outcome"),
    ],
)
def test_some_metrics_cannot_be_measured(
    sound, changes: dict[str, int], needs: set[str], reason: str
) -> None:
    concerned = [name for name, info in METRICS.items() if info.needs in needs]
    assert concerned
    assert grounds(sound, **changes) == dict.fromkeys(concerned, reason)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"graded": 3, "pairs_compared": 3},
        {"comparisons": 1},
        {"distinct_grades": 2},
        {"decidable_comparisons": 1},
        {"upper_comparisons": 1},
        {"pairs_in_both_orders": 1},
        {"pairs_compared": 12},
    ],
)
def test_so_much_is_enough(sound, changes: dict[str, int]) -> None:
    assert grounds(sound, **changes) == {}


_TRIADS = "no three anchors were all compared with each other, each pair with a majority"


@pytest.mark.parametrize(
    ("metric", "why"),
    [
        ("kendall_tau", "all scores equal?"),
        ("ssr", "all scores equal?"),
        ("position_effect", "no comparison that closes a circle tells the order from the essays"),
        ("circular_triads", _TRIADS),
        ("consistence", _TRIADS),
        ("misfitting_anchors", "of fewer than 6 anchors none can stand out by 2 SD"),
        ("suspect_grades", "no anchor has two comparisons with lower grades, or two with higher ones"),
        ("split_half", "the halves have no scores to correlate"),
    ],
)
@pytest.mark.parametrize(
    ("value", "shown"), [(math.nan, "undefined"), (-math.inf, "-inf"), (math.inf, "inf")]
)
def test_a_number_that_is_none(sound, metric: str, why: str, value: float, shown: str) -> None:
    metrics = replace(sound, values={**sound.values, metric: MetricValue(value)})
    assert grounds(metrics) == {metric: f"its value is {shown} ({why})"}


def test_a_metric_that_was_not_computed(sound) -> None:
    metrics = replace(sound, values={name: sound.values[name] for name in METRICS if name != "ssr"})
    assert grounds(metrics) == {"ssr": "it was not computed"}
