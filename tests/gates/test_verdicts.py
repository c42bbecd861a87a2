"""What a gate decides and how it says so."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pytest_eng5.alignment import AlignmentMetrics, BootstrapInfo
from pytest_eng5.errors import UsageError
from pytest_eng5.gates import METRICS, Status, UnknownMetricError, judge

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class TestSentence:
    """The form of design section 5, to the letter."""

    @pytest.mark.parametrize(
        ("numbers", "bounds", "expected"),
        [
            (
                ("kendall_tau", 0.791, 0.61, 0.90),
                {"min": 0.9},
                "FAIL kendall_tau 0.791 < 0.90 (95 % CI 0.61-0.90, attainable 0.977, 66 comparisons)",
            ),
            (
                ("kendall_tau", 0.955, 0.871, 0.977),
                {"min": 0.9},
                "PASS kendall_tau 0.955 >= 0.90 (95 % CI 0.87-0.98, attainable 0.977, 66 comparisons)",
            ),
            (
                ("kendall_tau_a", 0.5, 0.31, 0.66),
                {"min": 0.625},
                "FAIL kendall_tau_a 0.500 < 0.625 (95 % CI 0.31-0.66, attainable 0.955, 66 comparisons)",
            ),
            (
                ("direct_inversions", 1.0, 0.3, 5.2),
                {"max": 1},
                "PASS direct_inversions 1 <= 1 (95 % CI 0-6, 66 comparisons)",
            ),
            (
                ("direct_inversions", 5.0, 2.2, 11.1),
                {"max": 1.0},
                "FAIL direct_inversions 5 > 1 (95 % CI 2-12, 66 comparisons)",
            ),
            (
                ("zero_win_anchors", 1.0, 1.0, 2.0),
                {"max": 0},
                "FAIL zero_win_anchors 1 > 0 (95 % CI 1-2, 66 comparisons)",
            ),
            (
                ("position_bias", 0.121, -0.0001, 0.23),
                {"max": 0.1},
                "FAIL position_bias 0.121 > 0.10 (95 % CI 0.00-0.23, 66 comparisons)",
            ),
            (
                ("position_bias", 0.02, -0.1, 0.14),
                {"min": -0.1, "max": 0.1},
                "PASS position_bias 0.020 >= -0.10 and <= 0.10 (95 % CI -0.10 to 0.14, 66 comparisons)",
            ),
            (
                ("position_bias", -0.2, -0.3, -0.1),
                {"min": -0.1, "max": 0.1},
                "FAIL position_bias -0.200 < -0.10 (95 % CI -0.30 to -0.10, 66 comparisons)",
            ),
            (("ssr", 0.81, None, None), {"min": 0.8}, "PASS ssr 0.810 >= 0.80 (66 comparisons)"),
            (("coverage", 1.0, None, None), {"min": 1}, "PASS coverage 1.000 >= 1.00 (66 comparisons)"),
            (("connected", 1.0, None, None), {"min": 1}, "PASS connected 1 >= 1 (66 comparisons)"),
            (
                ("expected_zero_win", 0.75, None, None),
                {"max": 0.5},
                "FAIL expected_zero_win 0.75 > 0.50 (66 comparisons)",
            ),
            (("ssr", -0.0004, None, None), {"max": 0.1}, "PASS ssr 0.000 <= 0.10 (66 comparisons)"),
            (
                ("inversion_rate", 0.08, 0.03, 0.18),
                {"max": 0.1},
                "PASS inversion_rate 0.080 <= 0.10 (95 % CI 0.03-0.18, 66 comparisons)",
            ),
        ],
    )  # fmt: skip
    def test_exactly(
        self, stated, limit, numbers: tuple[Any, ...], bounds: dict[str, float], expected: str
    ) -> None:
        verdict = judge(limit(numbers[0], **bounds), stated(*numbers))
        assert verdict.message == expected
        assert verdict.status.value == expected[:4]

    def test_other_confidence(self, perfect: AlignmentMetrics, limit) -> None:
        metrics = replace(perfect, bootstrap=BootstrapInfo(100, 0, 0.9, "pairs"))
        assert "(90 % CI" in judge(limit("kendall_tau", min=0.5), metrics).message
        metrics = replace(perfect, bootstrap=BootstrapInfo(100, 0, 0.995, "pairs"))
        assert "(99.5 % CI" in judge(limit("kendall_tau", min=0.5), metrics).message

    def test_one_comparison(self, measured, limit) -> None:
        message = judge(limit("direct_inversions", max=0), measured(["A", "C"], [(0, 1)])).message
        assert message.endswith("1 comparison)")

    @given(st.floats(-1, 1), st.floats(-1, 1), st.booleans())
    @QUICK
    def test_the_numbers_shown_never_contradict_the_verdict(
        self, stated, limit, value: float, bound: float, lower: bool
    ) -> None:
        bound = round(bound, 6)
        threshold = limit("kendall_tau", **{"min" if lower else "max": bound})
        verdict = judge(threshold, stated("kendall_tau", value))
        match = re.match(r"(PASS|FAIL) kendall_tau (\S+) (<|>|<=|>=) (\S+) ", verdict.message)
        assert match
        shown, sign, limit_shown = float(match[2]), match[3], float(match[4])
        assert limit_shown == bound
        holds = {"<": shown < bound, ">": shown > bound, "<=": shown <= bound, ">=": shown >= bound}[sign]
        assert holds or abs(value - bound) < 1e-11

    @pytest.mark.parametrize(
        ("value", "shown"), [(0.8999, "0.8999"), (0.89999, "0.89999"), (0.8994, "0.899"), (0.9, "0.900")]
    )
    def test_as_many_decimals_as_it_takes(self, stated, limit, value: float, shown: str) -> None:
        assert f" {shown} " in judge(limit("ssr", min=0.9), stated("ssr", value)).message

    @pytest.mark.parametrize(
        ("bound", "shown"),
        [(0.9, "0.90"), (1, "1.00"), (0.875, "0.875"), (0.1 + 0.2, "0.30"), (1e-4, "0.0001")],
    )
    def test_thresholds_as_a_user_writes_them(self, stated, limit, bound: float, shown: str) -> None:
        assert f" {shown} " in judge(limit("ssr", min=bound), stated("ssr", 0.0)).message

    def test_every_message_is_one_line(self, perfect: AlignmentMetrics, limit) -> None:
        for name in METRICS:
            assert "\n" not in judge(limit(name, min=0, max=0.5), perfect).message


class TestDecision:
    @given(st.sampled_from(sorted(METRICS)), st.floats(-20, 20), st.floats(-20, 20), st.floats(-20, 20))
    @QUICK
    def test_pass_exactly_within_the_bounds(
        self, stated, limit, metric: str, value: float, low: float, high: float
    ) -> None:
        assume(METRICS[metric].needs != "both_orders")
        assume(min(abs(value - low), abs(value - high)) > 1e-9)
        metrics = stated(metric, value)
        assert judge(limit(metric, min=low), metrics).passed == (value >= low)
        assert judge(limit(metric, max=high), metrics).passed == (value <= high)
        assert judge(limit(metric, min=low, max=high), metrics).passed == (low <= value <= high)

    def test_the_bound_itself_passes(self, stated, limit) -> None:
        assert judge(limit("kendall_tau", min=0.9), stated("kendall_tau", 0.9)).passed
        assert judge(limit("direct_inversions", max=1), stated("direct_inversions", 1.0)).passed

    def test_rounding_of_floats_does_not_fail_what_attains_the_bound(self, perfect, limit) -> None:
        assert judge(limit("kendall_tau", min=math.sqrt(63 / 66)), perfect).passed
        assert judge(limit("kendall_tau_a", min=63 / 66), perfect).passed

    @pytest.mark.parametrize("name", sorted(METRICS))
    @pytest.mark.parametrize("bounds", [{"min": -1e9}, {"max": 1e9}, {"min": -1e9, "max": 1e9}])
    def test_not_a_number_never_passes(self, stated, limit, name: str, bounds: dict[str, float]) -> None:
        for value in (math.nan, math.inf, -math.inf):
            verdict = judge(limit(name, **bounds), stated(name, value))
            assert verdict.status is Status.FAIL
            assert "not measured" in verdict.message

    def test_a_metric_missing_from_the_result_fails(self, perfect: AlignmentMetrics, limit) -> None:
        without = {name: value for name, value in perfect.values.items() if name != "ssr"}
        verdict = judge(limit("ssr", min=0), replace(perfect, values=without))
        assert verdict.status is Status.FAIL
        assert "not computed" in verdict.message

    def test_unknown_metric(self, perfect: AlignmentMetrics, limit) -> None:
        with pytest.raises(UnknownMetricError, match="did you mean 'kendall_tau'"):
            judge(limit("kendal_tau", min=0.9), perfect)

    @pytest.mark.parametrize(
        "bounds", [{}, {"min": math.nan}, {"max": math.nan}, {"min": -math.inf, "max": math.inf}]
    )
    def test_a_threshold_without_a_bound_is_refused(self, perfect, limit, bounds: dict[str, float]) -> None:
        with pytest.raises(UsageError, match="kendall_tau"):
            judge(limit("kendall_tau", **bounds), perfect)


class TestFields:
    def test_all_of_them(self, stated, limit) -> None:
        verdict = judge(limit("kendall_tau", min=0.9, max=0.95), stated("kendall_tau", 0.791, 0.61, 0.9))
        assert verdict.metric == "kendall_tau"
        assert verdict.status is Status.FAIL
        assert not verdict.passed
        assert (verdict.value, verdict.low, verdict.high) == (0.791, 0.61, 0.9)
        assert (verdict.minimum, verdict.maximum) == (0.9, 0.95)
        assert verdict.attainable == pytest.approx(0.977, abs=5e-4)
        assert verdict.comparisons == 66
        assert verdict.reason is None

    def test_attainable_is_for_tau_only(self, perfect: AlignmentMetrics, limit) -> None:
        assert judge(limit("ssr", min=0), perfect).attainable is None
        assert judge(limit("kendall_tau_a", min=0), perfect).attainable == pytest.approx(63 / 66)

    def test_as_json(self, perfect: AlignmentMetrics, limit) -> None:
        for threshold in (limit("kendall_tau", min=0.9), limit("flip_rate", max=0.1)):
            plain = json.loads(json.dumps(judge(threshold, perfect).to_dict(), allow_nan=False))
            assert plain["status"] in ("PASS", "FAIL")
            assert plain["message"].startswith(plain["status"])
        assert plain["value"] is None


class TestHints:
    def test_a_threshold_inside_the_interval(self, stated, limit) -> None:
        inside = judge(limit("kendall_tau", min=0.85), stated("kendall_tau", 0.791, 0.61, 0.9))
        outside = judge(limit("kendall_tau", min=0.95), stated("kendall_tau", 0.791, 0.61, 0.9))
        assert "repeat of the same judge" in (inside.hint or "")
        assert outside.hint is None

    def test_the_zero_win_trap_is_explained(self, perfect: AlignmentMetrics, limit) -> None:
        verdict = judge(limit("zero_win_anchors", max=0), perfect)
        assert verdict.status is Status.FAIL
        assert "without any inversion would leave 1.00" in (verdict.hint or "")
        assert judge(limit("zero_win_anchors", max=1), perfect).hint is None

    def test_a_one_sided_bias_threshold_is_pointed_out(self, stated, limit) -> None:
        metrics = stated("position_bias", -0.3, -0.4, -0.2)
        verdict = judge(limit("position_bias", max=0.1), metrics)
        assert verdict.status is Status.PASS
        assert "add min: -0.10" in (verdict.hint or "")
        assert "add max: 0.05" in (
            judge(limit("position_bias", min=-0.05), stated("position_bias", 0.3)).hint or ""
        )
        assert judge(limit("position_bias", min=-0.1, max=0.1), stated("position_bias", 0.0)).hint is None

    def test_scores_tied_within_grades_are_pointed_out(self, measured, limit) -> None:
        games = [(0, 2), (0, 3), (1, 2), (1, 3)]
        verdict = judge(limit("kendall_tau", min=0.9), measured(["A", "A", "C", "C"], games))
        assert verdict.passed
        assert verdict.value == pytest.approx(1.0)
        assert "equal scores" in (verdict.hint or "")


class TestConfidence:
    """The optional second way: judge the whole interval."""

    @pytest.mark.parametrize(
        ("interval", "bounds", "status"),
        [
            ((0.95, 0.91, 0.97), {"min": 0.9}, "PASS"),
            ((0.85, 0.80, 0.89), {"min": 0.9}, "FAIL"),
            ((0.92, 0.85, 0.97), {"min": 0.9}, "UNDECIDED"),
            ((0.88, 0.80, 0.93), {"min": 0.9}, "UNDECIDED"),
            ((0.10, 0.02, 0.19), {"max": 0.2}, "PASS"),
            ((0.10, 0.02, 0.21), {"max": 0.2}, "UNDECIDED"),
            ((0.30, 0.21, 0.40), {"max": 0.2}, "FAIL"),
            ((0.30, 0.10, 0.50), {"min": 0.2, "max": 0.4}, "UNDECIDED"),
            ((0.30, 0.25, 0.35), {"min": 0.2, "max": 0.4}, "PASS"),
            ((0.50, 0.45, 0.55), {"min": 0.2, "max": 0.4}, "FAIL"),
            ((0.90, 0.90, 0.95), {"min": 0.9}, "PASS"),
        ],
    )
    def test_three_outcomes(self, stated, limit, interval, bounds: dict[str, float], status: str) -> None:
        verdict = judge(limit("agreement", **bounds, confidence=0.95), stated("agreement", *interval))
        assert verdict.status.value == status
        assert verdict.message.startswith(f"{status} agreement ")
        assert verdict.passed == (status == "PASS")

    def test_an_estimate_of_what_would_decide(self, stated, limit) -> None:
        """0.95 with an end at 0.85: half the distance is allowed, so four times the comparisons."""
        verdict = judge(limit("agreement", min=0.9, confidence=0.95), stated("agreement", 0.95, 0.85, 0.99))
        assert verdict.status is Status.UNDECIDED
        assert verdict.needed == 266  # 198 more, to two digits
        assert verdict.message == (
            "UNDECIDED agreement 0.950, wanted >= 0.90 (95 % CI 0.85-0.99, 66 comparisons; "
            "about 200 more would decide)"
        )
        assert verdict.hint == (
            "about 200 more comparisons would decide, if the value stays where it is: raise comparisons.max "
            "or repeats, to 266 in all; all 66 pairs are compared, so it repeats pairs, which is no news "
            "from a judge that repeats itself"
        )

    def test_on_the_bound_nothing_decides(self, stated, limit) -> None:
        verdict = judge(limit("agreement", min=0.9, confidence=0.95), stated("agreement", 0.9, 0.85, 0.95))
        assert "no number of comparisons" in (verdict.hint or "")

    def test_without_an_interval_it_cannot_decide(self, perfect, limit, measured, full_round) -> None:
        metrics = measured(["A", "B", "C"], full_round(3), bootstrap=0)
        bare = replace(metrics.values["kendall_tau"], method="bootstrap")
        metrics = replace(metrics, values={**metrics.values, "kendall_tau": bare})
        verdict = judge(limit("kendall_tau", min=0.5, confidence=0.95), metrics)
        assert verdict.status is Status.UNDECIDED
        assert "resamples" in (verdict.hint or "")

    def test_what_has_no_sampling_error_is_decided_by_its_value(self, perfect, limit) -> None:
        assert judge(limit("coverage", min=1.0, confidence=0.95), perfect).status is Status.PASS
        assert judge(limit("expected_zero_win", max=0.5, confidence=0.95), perfect).status is Status.FAIL

    def test_vacuity_comes_first(self, measured, limit) -> None:
        verdict = judge(limit("kendall_tau", min=0.9, confidence=0.95), measured(["A", "B"], []))
        assert verdict.status is Status.FAIL

    def test_another_confidence_than_the_intervals_have_is_refused(self, perfect, limit) -> None:
        with pytest.raises(UsageError, match=r"0\.9.*0\.95"):
            judge(limit("kendall_tau", min=0.5, confidence=0.9), perfect)

    def test_no_inversion_observed_does_not_prove_at_most_one(self, perfect, limit) -> None:
        """66 comparisons without an inversion leave room for three."""
        assert judge(limit("direct_inversions", max=1), perfect).status is Status.PASS
        assert judge(limit("direct_inversions", max=1, confidence=0.95), perfect).status is Status.UNDECIDED
