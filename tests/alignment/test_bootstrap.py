"""Resampling: what is drawn, that it can be repeated, and that its intervals are honest."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_eng5.alignment import (
    AlignmentDataError,
    fisher_interval,
    fit_wins,
    percentile_interval,
    reliability_interval,
    resamples,
    scale_separation_reliability,
    simulated_wins,
    standard_errors,
)
from pytest_eng5.alignment import bootstrap as bootstrap_module

MIXED = np.array([[0, 3, 1, 0], [2, 0, 0, 1], [0, 0, 0, 4], [0, 0, 1, 0]], dtype=float)
PAIRS = [(0, 1), (0, 2), (1, 3), (2, 3)]


def drawn(wins: np.ndarray, count: int, seed: int = 0, unit: str = "pairs") -> np.ndarray:
    parts = list(resamples(wins, count, seed, unit))  # type: ignore[arg-type]
    return np.concatenate(parts) if parts else np.empty((0, *wins.shape))


class TestPairs:
    def test_a_pair_is_drawn_with_all_its_comparisons(self) -> None:
        for table in drawn(MIXED, 300):
            times = 0
            for i, j in PAIRS:
                own = np.array([MIXED[i, j], MIXED[j, i]])
                found = np.array([table[i, j], table[j, i]])
                factor = found.sum() / own.sum()
                assert factor == int(factor)
                assert found == pytest.approx(own * factor)
                times += int(factor)
            assert times == len(PAIRS)  # as many pairs as were compared

    def test_each_pair_is_drawn_equally_often(self) -> None:
        tables = drawn(MIXED, 20_000)
        for i, j in PAIRS:
            factors = (tables[:, i, j] + tables[:, j, i]) / (MIXED[i, j] + MIXED[j, i])
            assert factors.mean() == pytest.approx(1.0, abs=0.02)
            assert factors.var() == pytest.approx(1 - 1 / len(PAIRS), abs=0.04)

    def test_asking_everything_ten_times_does_not_sharpen_the_interval(self) -> None:
        """Repeats of one pair are not independent comparisons."""
        once, often = drawn(MIXED, 500), drawn(MIXED * 10, 500)
        assert (often == 10 * once).all()


class TestComparisons:
    def test_as_many_comparisons_as_there_were(self) -> None:
        assert (drawn(MIXED, 200, unit="comparisons").sum(axis=(1, 2)) == MIXED.sum()).all()

    def test_in_proportion_to_the_outcomes(self) -> None:
        tables = drawn(MIXED, 20_000, unit="comparisons")
        assert tables.mean(axis=0) == pytest.approx(MIXED, abs=0.05)

    def test_with_one_comparison_per_pair_both_are_the_same_distribution(self) -> None:
        single = np.triu(np.ones((5, 5)), 1)
        pairs, comparisons = drawn(single, 20_000), drawn(single, 20_000, unit="comparisons")
        assert pairs.mean(axis=0) == pytest.approx(comparisons.mean(axis=0), abs=0.04)
        assert pairs.var(axis=0) == pytest.approx(comparisons.var(axis=0), abs=0.06)

    def test_unknown_unit(self) -> None:
        with pytest.raises(AlignmentDataError, match="essays"):
            drawn(MIXED, 1, unit="essays")


class TestRepeatability:
    @pytest.mark.parametrize("unit", ["pairs", "comparisons"])
    def test_equal_seeds_give_equal_resamples(self, unit: str) -> None:
        assert (drawn(MIXED, 50, 7, unit) == drawn(MIXED, 50, 7, unit)).all()
        assert (drawn(MIXED, 50, 7, unit) != drawn(MIXED, 50, 8, unit)).any()

    @pytest.mark.parametrize("unit", ["pairs", "comparisons"])
    def test_slices_do_not_change_what_is_drawn(self, unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = drawn(MIXED, 100, 3, unit)
        monkeypatch.setattr(bootstrap_module, "_CELLS", 16 * 7)
        parts = list(resamples(MIXED, 100, 3, unit))  # type: ignore[arg-type]
        assert [len(part) for part in parts] == [7] * 14 + [2]
        assert (np.concatenate(parts) == whole).all()

    def test_nothing_to_draw_from(self) -> None:
        assert drawn(np.zeros((3, 3)), 100).shape == (0, 3, 3)
        assert drawn(MIXED, 0).shape == (0, 4, 4)


class TestSimulation:
    def test_the_same_comparisons_with_the_models_odds(self) -> None:
        theta = fit_wins(MIXED)
        tables = np.concatenate(list(simulated_wins(MIXED, theta, 20_000, 0)))
        games = MIXED + MIXED.T
        assert (tables + tables.swapaxes(1, 2) == games).all()
        p = 1 / (1 + np.exp(theta[None, :] - theta[:, None]))
        assert tables.mean(axis=0) == pytest.approx(games * p, abs=0.06)

    def test_repeatable(self) -> None:
        theta = fit_wins(MIXED)
        first, second = (np.concatenate(list(simulated_wins(MIXED, theta, 20, 5))) for _ in range(2))
        assert (first == second).all()


class TestPercentile:
    def test_ends_are_values_that_occurred(self) -> None:
        values = np.repeat([0.0, 1.0, 2.0, 7.0], 250)
        assert percentile_interval(values, 0.95) == (0.0, 7.0)
        assert percentile_interval(values, 0.4) == (1.0, 2.0)

    def test_of_a_known_distribution(self) -> None:
        values = np.random.default_rng(0).normal(size=100_000)
        assert percentile_interval(values, 0.95) == pytest.approx((-1.96, 1.96), abs=0.03)

    def test_undefined_resamples_are_left_out_until_they_are_half(self) -> None:
        values = np.array([1.0, 2.0, 3.0, np.nan])
        assert percentile_interval(values, 0.95) == (1.0, 3.0)
        assert percentile_interval(np.array([1.0, np.nan]), 0.95) is None
        assert percentile_interval(np.empty(0), 0.95) is None


class TestFisher:
    @given(
        st.lists(st.floats(-1, 1), min_size=2, max_size=30),
        st.floats(-1, 1),
        st.sampled_from([0.5, 0.9, 0.95]),
    )
    def test_contains_its_point_and_stays_in_range(
        self, values: list[float], point: float, confidence: float
    ) -> None:
        interval = fisher_interval([np.array(values)], point, confidence, pairs=66, attainable=1.0)
        assert interval is not None
        assert -1 <= interval[0] <= point <= interval[1] <= 1

    def test_by_hand(self) -> None:
        """artanh 0.5 = 0.5493; the two resampled values lie 0.2 from their mean on that scale."""
        values = np.tanh(np.array([0.3, 0.7]))
        expected = math.tanh(0.549306 - 1.959964 * 0.2), math.tanh(0.549306 + 1.959964 * 0.2)
        assert fisher_interval([values], 0.5, 0.95, pairs=1000, attainable=1.0) == pytest.approx(
            expected, abs=1e-6
        )

    def test_the_example_of_the_design_has_its_shape(self) -> None:
        """0.791 with 0.61 to 0.90 is as far to either side on Fisher's scale, to 0.04."""
        low, point, high = (math.atanh(value) for value in (0.61, 0.791, 0.90))
        assert point - low == pytest.approx(high - point, abs=0.04)

    def test_never_above_what_is_attainable(self) -> None:
        values = np.array([0.5, 0.97] * 20)
        interval = fisher_interval([values], 0.97, 0.95, pairs=66, attainable=0.977)
        assert interval is not None
        assert interval[1] == 0.977

    def test_unless_the_point_is(self) -> None:
        interval = fisher_interval([np.array([0.9, 1.0])], 1.0, 0.95, pairs=6, attainable=0.816)
        assert interval is not None
        assert interval[1] == 1.0

    @pytest.mark.parametrize("end", [1.0, -1.0])
    def test_the_ends_of_the_scale_have_an_interval(self, end: float) -> None:
        interval = fisher_interval([np.array([end, end * 0.8] * 5)], end, 0.95, pairs=66, attainable=1.0)
        assert interval is not None
        assert end in interval
        assert interval[0] < interval[1]

    def test_undefined(self) -> None:
        assert fisher_interval([np.full(9, np.nan)], 0.5, 0.95, pairs=6, attainable=1) is None
        assert fisher_interval([np.array([0.5])], float("nan"), 0.95, pairs=6, attainable=1) is None

    def test_a_single_pair(self) -> None:
        assert fisher_interval([np.array([1.0, -1.0])], 1.0, 0.95, pairs=1, attainable=1.0) == (0.0, 1.0)


class TestReliability:
    @given(st.lists(st.floats(-3, 0.99), min_size=2, max_size=30), st.floats(-3, 0.99))
    def test_contains_its_point_and_stays_below_one(self, values: list[float], point: float) -> None:
        interval = reliability_interval(np.array(values), point, 0.95)
        assert interval is not None
        assert interval[0] <= point + 1e-12
        assert point - 1e-12 <= interval[1] <= 1

    def test_by_hand(self) -> None:
        """1 - SSR of 0.2 with resampled logs 0.1 to either side of their mean."""
        values = 1 - np.exp(np.array([-1.6, -1.4]))
        factor = math.exp(1.959964 * 0.1)
        assert reliability_interval(values, 0.8, 0.95) == pytest.approx(
            (1 - 0.2 * factor, 1 - 0.2 / factor), abs=1e-6
        )

    def test_repeats_that_are_no_news_widen_it(self) -> None:
        values = 1 - np.exp(np.array([-1.6, -1.4]))
        plain, wide = (reliability_interval(values, 0.8, 0.95, repeat_effect=e) for e in (1.0, 4.0))
        assert plain is not None
        assert wide is not None
        assert np.log((1 - wide[0]) / 0.2) == pytest.approx(2 * np.log((1 - plain[0]) / 0.2))

    def test_undefined(self) -> None:
        assert reliability_interval(np.full(9, np.nan), 0.5, 0.95) is None
        assert reliability_interval(np.array([0.5]), float("nan"), 0.95) is None


class TestScaleSeparationReliability:
    def test_by_hand(self) -> None:
        """Errors 0.5, scores -1, 0, 1: 1 - 0.25 / 1 with the sample variance."""
        found = scale_separation_reliability(np.array([-1.0, 0.0, 1.0]), np.full(3, 0.5))
        assert float(found) == pytest.approx(0.75)

    def test_it_is_not_capped_below(self) -> None:
        found = scale_separation_reliability(np.array([-0.1, 0.1]), np.array([1.0, 1.0]))
        assert float(found) == pytest.approx(1 - 1 / 0.02)

    @pytest.mark.parametrize("theta", [[], [0.0], [0.0, 0.0, 0.0], [1e-13, -1e-13]])
    def test_without_spread_it_is_undefined(self, theta: list[float]) -> None:
        assert np.isnan(scale_separation_reliability(np.array(theta), np.ones(len(theta))))

    def test_an_item_without_an_error_makes_it_undefined(self) -> None:
        assert np.isnan(scale_separation_reliability(np.array([1.0, -1.0]), np.array([1.0, np.nan])))

    def test_one_value_per_row(self) -> None:
        rng = np.random.default_rng(0)
        theta, errors = rng.normal(size=(20, 5)), rng.random((20, 5))
        together = scale_separation_reliability(theta, errors)
        alone = [float(scale_separation_reliability(t, e)) for t, e in zip(theta, errors, strict=True)]
        assert together == pytest.approx(alone)

    def test_data_without_signal_give_about_zero(self) -> None:
        """The other formula of that name, var / (var + mean SE^2), would give about 0.5."""
        rng = np.random.default_rng(1)
        upper = np.triu_indices(10, 1)
        won = rng.binomial(4, 0.5, size=(400, 45))
        wins = np.zeros((400, 10, 10))
        wins[:, upper[0], upper[1]] = won
        wins[:, upper[1], upper[0]] = 4 - won
        theta = fit_wins(wins)
        found = scale_separation_reliability(theta, standard_errors(wins, theta))
        assert np.median(found) == pytest.approx(0.0, abs=0.15)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_any_seed_is_a_seed(seed: int) -> None:
    assert drawn(MIXED, 3, seed).shape == (3, 4, 4)
