"""Verdicts as a whole: every field of every kind of outcome, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from pytest_eng5.alignment import AlignmentMetrics, MetricValue
from pytest_eng5.errors import UsageError
from pytest_eng5.gates import Status, Verdict, judge
from pytest_eng5.gates.verdicts import unmeasured

NOTHING = "a gate never passes on what was not measured"


def half(metrics: AlignmentMetrics, metric: str, *numbers: float | None) -> AlignmentMetrics:
    """Value and ends, of which one is missing."""
    return replace(metrics, values={**metrics.values, metric: MetricValue(*numbers, "bootstrap")})


def assert_not_measured(verdict: Verdict, message: str, reason: str, comparisons: int) -> None:
    assert math.isnan(verdict.value)
    assert replace(verdict, value=0.0) == Verdict(
        metric="kendall_tau",
        status=Status.FAIL,
        message=message,
        hint=NOTHING,
        value=0.0,
        low=None,
        high=None,
        minimum=0.5,
        maximum=0.9,
        attainable=None,
        comparisons=comparisons,
        reason=reason,
    )


class TestAllFields:
    def test_decided_by_the_value(self, stated, limit) -> None:
        verdict = judge(limit("agreement", min=0.9), stated("agreement", 0.85, 0.75, 0.91))
        assert verdict == Verdict(
            metric="agreement",
            status=Status.FAIL,
            message="FAIL agreement 0.850 < 0.90 (95 % CI 0.75-0.91, 66 comparisons)",
            hint="the threshold lies inside the interval: a repeat of the same judge might pass",
            value=0.85,
            low=0.75,
            high=0.91,
            minimum=0.9,
            maximum=None,
            attainable=None,
            comparisons=66,
            reason=None,
            confidence=None,
            tolerated=False,
            needed=None,
        )

    def test_decided_by_the_interval(self, stated, limit) -> None:
        verdict = judge(limit("ssr", min=0.9, confidence=0.95), stated("ssr", 0.95, 0.91, 0.97))
        assert verdict == Verdict(
            metric="ssr",
            status=Status.PASS,
            message="PASS ssr 0.950 >= 0.90 (95 % CI 0.91-0.97, 66 comparisons)",
            hint=None,
            value=0.95,
            low=0.91,
            high=0.97,
            minimum=0.9,
            maximum=None,
            attainable=None,
            comparisons=66,
            confidence=0.95,
        )

    @pytest.mark.parametrize(
        ("undecided", "tolerated"), [(None, False), ("fail", False), ("warn", True)], ids=str
    )
    def test_undecided(self, stated, limit, undecided: str | None, tolerated: bool) -> None:
        """The side of the interval is twice the distance: four times 66 comparisons are 264, 198 more."""
        threshold = limit("position_effect", max=0.3, confidence=0.95, undecided=undecided)
        verdict = judge(threshold, stated("position_effect", 0.2, 0.0, 0.4))
        assert verdict == Verdict(
            metric="position_effect",
            status=Status.UNDECIDED,
            message=(
                "UNDECIDED position_effect 0.20, wanted <= 0.30 (95 % CI 0.00-0.40, 66 comparisons; "
                "about 200 more would decide)"
            ),
            hint=(
                "about 200 more comparisons would decide, if the value stays where it is: raise "
                "comparisons.max or repeats, to 266 in all; all 66 pairs are compared, so it repeats pairs, "
                "which is no news from a judge that repeats itself"
            ),
            value=0.2,
            low=0.0,
            high=0.4,
            minimum=None,
            maximum=0.3,
            attainable=None,
            comparisons=66,
            confidence=0.95,
            tolerated=tolerated,
            needed=266,
        )
        assert not verdict.passed

    def test_what_is_decided_is_not_tolerated(self, stated, limit) -> None:
        threshold = limit("agreement", min=0.9, confidence=0.95, undecided="warn")
        assert not judge(threshold, stated("agreement", 0.85, 0.80, 0.89)).tolerated
        assert not judge(threshold, stated("agreement", 0.95, 0.91, 0.97)).tolerated

    def test_without_an_interval_the_value_decides(self, stated, limit) -> None:
        verdict = judge(limit("coverage", min=1.0, confidence=0.8), stated("coverage", 0.5))
        assert verdict.message == "FAIL coverage 0.500 < 1.00 (66 comparisons)"
        assert verdict.hint == "coverage has no interval, so its value was judged"
        assert verdict.confidence is None

    def test_not_measured(self, measured, limit) -> None:
        threshold = limit("kendall_tau", min=0.5, max=0.9, confidence=0.95, undecided="warn")
        verdict = judge(threshold, measured(["A", "A"], [(0, 1)], bootstrap=0))
        message = "FAIL kendall_tau not measured: all 2 anchors have the same grade (1 comparison)"
        assert_not_measured(verdict, message, "all 2 anchors have the same grade", comparisons=1)

    def test_no_metrics_at_all(self, limit) -> None:
        verdict = unmeasured(limit("kendall_tau", min=0.5, max=0.9, confidence=0.95), "no run was made")
        message = "FAIL kendall_tau not measured: no run was made"
        assert_not_measured(verdict, message, "no run was made", comparisons=0)

    def test_as_a_plain_dict(self, limit) -> None:
        plain = unmeasured(limit("ssr", max=math.inf), "no run was made").to_dict()
        assert type(plain["status"]) is str
        assert plain == {
            "metric": "ssr",
            "status": "FAIL",
            "message": "FAIL ssr not measured: no run was made",
            "hint": NOTHING,
            "value": None,
            "low": None,
            "high": None,
            "minimum": None,
            "maximum": None,
            "attainable": None,
            "comparisons": 0,
            "reason": "no run was made",
            "confidence": None,
            "tolerated": False,
            "needed": None,
        }


class TestSentences:
    @pytest.mark.parametrize(
        ("numbers", "bounds", "message"),
        [
            (
                ("connected", 0.0, None, None),
                {"min": 1},
                "FAIL connected 0 < 1 (66 comparisons)",
            ),
            (
                ("connected", 1.0, None, None),
                {"max": 0},
                "FAIL connected 1 > 0 (66 comparisons)",
            ),
            (
                ("direct_inversions", 1.0, 0.3, 5.2),
                {"min": 2, "max": 5},
                "FAIL direct_inversions 1 < 2 (95 % CI 0-6, 66 comparisons)",
            ),
            (
                ("direct_inversions", 3.0, 0.6, 8.2),
                {"min": 2, "max": 5},
                "PASS direct_inversions 3 >= 2 and <= 5 (95 % CI 0-9, 66 comparisons)",
            ),
        ],
    )
    def test_whole_numbers(
        self, stated, limit, numbers: tuple[Any, ...], bounds: dict[str, float], message: str
    ) -> None:
        assert judge(limit(numbers[0], **bounds), stated(*numbers)).message == message

    @pytest.mark.parametrize(
        ("numbers", "bounds", "message"),
        [
            (
                (0.95, 0.9001, 0.97),
                {"min": 0.9},
                "PASS agreement 0.950 >= 0.90 (95 % CI 0.9001-0.97, 66 comparisons)",
            ),
            (
                (0.85, 0.8, 0.8999),
                {"min": 0.9},
                "FAIL agreement 0.850 < 0.90 (95 % CI 0.80-0.8999, 66 comparisons)",
            ),
            (
                (0.3, 0.2001, 0.3999),
                {"min": 0.2, "max": 0.4},
                "PASS agreement 0.300 >= 0.20 and <= 0.40 (95 % CI 0.2001-0.3999, 66 comparisons)",
            ),
        ],
    )
    def test_ends_that_were_judged(
        self, stated, limit, numbers: tuple[float, ...], bounds: dict[str, float], message: str
    ) -> None:
        """They show on which side of the threshold they lie."""
        verdict = judge(limit("agreement", **bounds, confidence=0.95), stated("agreement", *numbers))
        assert verdict.message == message

    def test_an_interval_on_its_threshold_is_undecided(self, stated, limit) -> None:
        """It has that one point in common with what passes, up to the rounding of numbers."""
        for end in (0.9, 0.9 - 1e-13):
            found = judge(limit("agreement", min=0.9, confidence=0.95), stated("agreement", 0.85, 0.8, end))
            assert found.status is Status.UNDECIDED
        for end in (0.2, 0.2 + 1e-13):
            found = judge(limit("agreement", max=0.2, confidence=0.95), stated("agreement", 0.3, end, 0.4))
            assert found.status is Status.UNDECIDED

    @pytest.mark.parametrize("ends", [(None, 0.99), (0.85, None)], ids=str)
    def test_half_an_interval_is_none(self, perfect, limit, ends: tuple[float | None, ...]) -> None:
        metrics = half(perfect, "agreement", 0.95, *ends)
        by_value = judge(limit("agreement", min=0.97), metrics)
        assert by_value.message == "FAIL agreement 0.950 < 0.97 (66 comparisons)"
        assert by_value.hint is None
        by_interval = judge(limit("agreement", min=0.9, confidence=0.95), metrics)
        assert by_interval.message == (
            "UNDECIDED agreement 0.950, wanted >= 0.90 (66 comparisons; there is no interval)"
        )
        assert by_interval.needed is None


class TestRefusals:
    @pytest.mark.parametrize(
        ("bounds", "what"),
        [
            ({}, "threshold of ssr has min None and max None"),
            ({"min": math.nan}, "threshold of ssr has min nan and max None"),
            ({"min": 0.5, "max": math.nan}, "threshold of ssr has min 0.5 and max nan"),
            ({"min": -math.inf, "max": math.inf}, "threshold of ssr has min -inf and max inf"),
        ],
    )
    def test_no_bound(self, perfect, limit, bounds: dict[str, float], what: str) -> None:
        with pytest.raises(UsageError) as caught:
            judge(limit("ssr", **bounds), perfect)
        assert (caught.value.what, caught.value.fix) == (what, "give it a min, a max or both")

    def test_another_confidence(self, perfect, limit) -> None:
        with pytest.raises(UsageError) as caught:
            judge(limit("ssr", min=0.5, confidence=0.9), perfect)
        assert caught.value.what == "threshold of ssr asks for confidence 0.9, intervals have 0.95"
        assert caught.value.fix == "compute the metrics with the confidence of the threshold"
