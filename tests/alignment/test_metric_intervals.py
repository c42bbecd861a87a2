"""Intervals of the figures of a population: where they lie and how they were made."""

from __future__ import annotations

import json

import pytest
from populations import points, upsets

from pytest_eng5.alignment import (
    AlignmentData,
    alignment_metrics,
)

ROLE_MODELS = ["A", "A", "B", "B", "C+", "C-", "D+", "D-", "E+", "E-", "F+", "F+"]


class TestIntervals:
    @pytest.mark.parametrize("seed", range(8))
    def test_they_contain_their_point(self, make, seed: int) -> None:
        metrics = alignment_metrics(make(ROLE_MODELS, upsets(12, seed, 0.1)), bootstrap=300)
        for name, found in metrics.values.items():
            if found.low is not None and found.high is not None:
                assert found.low - 1e-12 <= found.value <= found.high + 1e-12, name

    def test_which_method_each_has(self, make) -> None:
        games = [*upsets(12, 1, 0.1), (0, 1, "A"), (0, 1, "B")]
        metrics = alignment_metrics(make(ROLE_MODELS, games), bootstrap=100)
        values, of_judge = metrics.values, metrics.quality.values.keys()
        methods = {name: value.method for name, value in values.items() if name not in of_judge}
        assert {n for n, m in methods.items() if m == "bootstrap"} == {"kendall_tau", "kendall_tau_a", "ssr"}
        assert {n for n, m in methods.items() if m == "model"} == {"zero_win_anchors"}
        assert {n for n, m in methods.items() if m == "exact"} == {
            "expected_zero_win",
            "coverage",
            "connected",
        }
        for name in ("expected_zero_win", "coverage", "connected"):
            assert values[name].low is None

    def test_without_resamples_only_closed_forms_remain(self, make) -> None:
        values = alignment_metrics(make(ROLE_MODELS, upsets(12, 1, 0.1)), bootstrap=0).values
        assert values["kendall_tau"].low is None
        assert values["inversion_rate"].low is not None

    def test_equal_seeds_give_equal_intervals(self, make) -> None:
        data = make(ROLE_MODELS, upsets(12, 2, 0.1))
        first, second = (alignment_metrics(data, bootstrap=100, seed=4) for _ in range(2))
        assert json.dumps(first.to_dict()) == json.dumps(second.to_dict())
        other = alignment_metrics(data, bootstrap=100, seed=5)
        assert other.values["kendall_tau"].low != first.values["kendall_tau"].low
        ones, others = points(first), points(other)
        halves = [found.pop("split_half") for found in (ones, others)]
        assert others == pytest.approx(ones, nan_ok=True)
        assert halves[0] == pytest.approx(halves[1], abs=0.1)

    def test_more_confidence_is_wider(self, make) -> None:
        data = make(ROLE_MODELS, upsets(12, 2, 0.1))
        narrow, wide = (alignment_metrics(data, bootstrap=300, confidence=c).values for c in (0.8, 0.99))
        for name in ("kendall_tau", "ssr", "direct_inversions", "position_bias"):
            assert wide[name].low < narrow[name].low
            assert wide[name].high >= narrow[name].high

    def test_no_inversion_observed_is_not_no_inversion_possible(self, run_a259_data: AlignmentData) -> None:
        found = alignment_metrics(run_a259_data, bootstrap=0).values["direct_inversions"]
        assert found.low == 0
        assert 3 < (found.high or 0) < 4

    def test_repeating_every_comparison_does_not_sharpen_tau(self, make) -> None:
        games = upsets(12, 3, 0.1)
        once = alignment_metrics(make(ROLE_MODELS, games), bootstrap=400).values["kendall_tau"]
        often = alignment_metrics(make(ROLE_MODELS, games * 5), bootstrap=400).values["kendall_tau"]
        naive = alignment_metrics(make(ROLE_MODELS, games * 5), bootstrap=400, unit="comparisons")
        widths = [v.high - v.low for v in (once, often, naive.values["kendall_tau"])]
        assert widths[1] > 0.7 * widths[0]
        assert widths[2] < 0.7 * widths[0]
