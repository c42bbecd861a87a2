"""Repeated runs of one variant: pooled, their spread, and the noise floor."""

from __future__ import annotations

import json
import math
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import chi2

from pytest_eng5.alignment import (
    AlignmentData,
    AlignmentDataError,
    SimulatedJudge,
    alignment_metrics,
    distance_to_gate,
    judge_of_run,
    kendall_tau_b,
    pool,
    repeat_summary,
    repeated_figure,
    simulated_outcomes,
    simulated_runs,
    simulated_spreads,
    spread_interval,
    stated_judge,
)
from pytest_eng5.alignment.bradley_terry import fit_wins

GRADES = ["A", "A", "B", "B", "C+", "C-", "D+", "D-", "E+", "E-", "F+", "F+"]
RANKS = [0, 0, 3, 3, 5, 7, 8, 10, 11, 13, 14, 14]
QUALITY = np.linspace(2, -2, 12)


def judged(make, discrimination: float, seed: int, eta: float = 0.0, rounds: int = 1) -> AlignmentData:
    rng = np.random.default_rng(seed)
    games = []
    for i, j in [*combinations(range(12), 2)] * rounds:
        first, second = (i, j) if rng.random() < 0.5 else (j, i)
        p = 1 / (1 + math.exp(discrimination * (QUALITY[second] - QUALITY[first]) - eta))
        games.append((first, second, "A") if rng.random() < p else (second, first, "B"))
    return make(GRADES, games)


class TestPool:
    def test_all_comparisons_of_all_runs(self, make) -> None:
        runs = [judged(make, 1.0, seed) for seed in range(3)]
        together = pool(runs)
        assert together.n_comparisons == 198
        assert (together.outcomes() == sum(run.outcomes() for run in runs)).all()
        assert together.request_id[66:132] == runs[1].request_id

    def test_anchors_in_another_order(self, make) -> None:
        run, other = judged(make, 1.0, 0), judged(make, 1.0, 1)
        moved = other.ordered_as(other.ids[::-1])
        assert (pool([run, moved]).outcomes() == pool([run, other]).outcomes()).all()

    def test_one(self, make) -> None:
        run = judged(make, 1.0, 0)
        assert (pool([run]).wins() == run.wins()).all()

    def test_none(self) -> None:
        with pytest.raises(AlignmentDataError, match="no run"):
            pool([])

    def test_other_grades(self, make) -> None:
        with pytest.raises(AlignmentDataError, match="run 1 and run 2"):
            pool([make(["A", "B"], [(0, 1)]), make(["A", "C"], [(0, 1)])])


class TestSummary:
    def test_values_are_those_of_each_run_alone(self, make) -> None:
        runs = [judged(make, 0.7, seed) for seed in range(3)]
        found = repeat_summary(runs, simulations=50)
        assert found.runs == 3
        single = [alignment_metrics(run, bootstrap=0).values for run in runs]
        for name, figure in found.figures.items():
            expected = [values[name].value for values in single]
            assert figure.values == pytest.approx(expected, nan_ok=True), name
            assert figure.mean == pytest.approx(np.mean(expected), nan_ok=True)
            assert figure.spread == pytest.approx(np.std(expected, ddof=1), nan_ok=True)
        together = alignment_metrics(pool(runs), bootstrap=0).values
        assert found.figures["kendall_tau"].pooled == pytest.approx(together["kendall_tau"].value)

    @pytest.mark.thorough
    def test_the_simulated_noise_floor_is_about_that_of_many_runs(self, make) -> None:
        many = [
            alignment_metrics(judged(make, 0.7, s), bootstrap=0).values["kendall_tau"].value
            for s in range(100)
        ]
        few = [
            repeat_summary([judged(make, 0.7, s)], simulations=150).figures["kendall_tau"] for s in range(5)
        ]
        assert all(math.isnan(figure.spread) for figure in few)
        assert np.mean([figure.noise_floor for figure in few]) == pytest.approx(np.std(many), rel=0.3)

    def test_from_four_runs_on_it_is_their_own(self, make) -> None:
        runs = [judged(make, 0.7, seed) for seed in range(4)]
        of_four = repeat_summary(runs, simulations=50).figures["kendall_tau"]
        assert of_four.noise_floor == of_four.spread
        of_three = repeat_summary(runs[:3], simulations=50).figures["kendall_tau"]
        assert of_three.noise_floor == of_three.simulated_spread

    def test_without_simulations(self, make) -> None:
        found = repeat_summary([judged(make, 1, 0)], simulations=0).figures["kendall_tau"]
        assert math.isnan(found.noise_floor)

    def test_seeds_and_json(self, make) -> None:
        runs = [judged(make, 1, 0), judged(make, 1, 1)]
        plain = repeat_summary(runs, simulations=30, seed=3).to_dict()
        assert plain == repeat_summary(runs, simulations=30, seed=3).to_dict()
        assert plain != repeat_summary(runs, simulations=30, seed=4).to_dict()
        json.dumps(plain, allow_nan=False)

    def test_nothing_measured(self, make) -> None:
        found = repeat_summary([make(GRADES, []), make(GRADES, [])])
        assert all(math.isnan(figure.pooled) for figure in found.figures.values())

    def test_a_negative_number_of_simulations(self, make) -> None:
        with pytest.raises(AlignmentDataError):
            repeat_summary([judged(make, 1, 0)], simulations=-1)


@pytest.mark.parametrize(
    ("value", "bound", "noise", "expected"), [(0.94, 0.90, 0.07, 4 / 7), (0.8, 0.9, 0.1, -1.0)]
)
def test_distance(value: float, bound: float, noise: float, expected: float) -> None:
    assert distance_to_gate(value, bound, noise) == pytest.approx(expected)


@pytest.mark.parametrize("noise", [0.0, math.nan])
def test_no_noise_floor_no_distance(noise: float) -> None:
    assert math.isnan(distance_to_gate(0.9, 0.8, noise))


class TestJudges:
    def test_behind_a_run(self, make) -> None:
        found = judge_of_run(judged(make, 1.0, 0, eta=0.5, rounds=30))
        assert found.theta == pytest.approx(QUALITY, abs=0.5)
        assert found.eta == pytest.approx(0.5, abs=0.15)
        assert found.ranks.tolist() == RANKS

    def test_without_comparisons(self, make) -> None:
        with pytest.raises(AlignmentDataError, match="state assumptions"):
            judge_of_run(make(GRADES, []))

    def test_stated(self) -> None:
        judge = stated_judge([0, 3, 5], [2.0, 1.0, 0.0], 1.5, eta=0.2)
        assert judge.theta.tolist() == [3.0, 1.5, 0.0]
        assert judge.eta == 0.2
        noisy = stated_judge([0] * 4000, [0.0] * 4000, 2.0, noise=0.5, seed=1)
        assert noisy.theta.std() == pytest.approx(1.0, rel=0.05)
        with pytest.raises(AlignmentDataError, match="2 grade ranks but 1 qualities"):
            stated_judge([0, 1], [1.0], 1.0)

    def test_towards_the_grades(self) -> None:
        judge = SimulatedJudge(np.zeros(3), np.array([0, 5, 10]))
        moved = judge.towards_grades(1.0).theta
        assert moved[0] > moved[1] > moved[2]
        assert moved.std() == pytest.approx(1.0)
        with pytest.raises(AlignmentDataError, match="one grade"):
            SimulatedJudge(np.zeros(2), np.array([1, 1])).towards_grades(1.0)


class TestSimulatedRuns:
    @pytest.mark.parametrize("comparisons", [1, 30, 66, 100, 132])
    def test_as_many_comparisons_as_asked_for_evenly_spread(self, comparisons: int) -> None:
        judge = SimulatedJudge(QUALITY, np.array(RANKS))
        tables = np.concatenate(list(simulated_runs(judge, comparisons, 50, 0)))
        games = (tables + tables.swapaxes(1, 2))[:, *np.triu_indices(12, 1)]
        assert (games.sum(axis=1) == comparisons).all()
        assert (games.max(axis=1) - games.min(axis=1) <= 1).all()

    def test_the_models_odds_with_either_order_alike(self) -> None:
        judge = SimulatedJudge(np.array([1.0, 0.0]), np.array([0, 1]), eta=2.0)
        tables = np.concatenate(list(simulated_runs(judge, 1, 20_000, 0)))
        expected = (1 / (1 + math.exp(-3)) + 1 / (1 + math.exp(1))) / 2
        assert tables[:, 0, 1].mean() == pytest.approx(expected, abs=0.01)

    def test_nothing(self) -> None:
        judge = SimulatedJudge(QUALITY, np.array(RANKS))
        assert list(simulated_runs(judge, 0, 10, 0)) == []
        assert list(simulated_runs(SimulatedJudge(np.zeros(1), np.zeros(1, dtype=int)), 5, 10, 0)) == []

    def test_repeats_keep_who_was_shown_first(self, make) -> None:
        outcomes = judged(make, 1.0, 0, rounds=2).outcomes()
        judge = SimulatedJudge(QUALITY, np.array(RANKS), eta=1.0)
        repeats = np.concatenate(list(simulated_outcomes(outcomes, judge, 40, 0)))

        def shown(table: np.ndarray) -> np.ndarray:
            return table[..., 0] + table[..., 1].swapaxes(-1, -2)

        assert (shown(repeats) == shown(outcomes)).all()
        first = repeats[..., 0].sum(axis=(1, 2)) / 132
        assert first.mean() > 0.55


class TestSpread:
    """The standard deviation between runs against scipy, and against judges whose noise is known."""

    @pytest.mark.parametrize("count", [2, 3, 5, 30])
    @pytest.mark.parametrize("confidence", [0.9, 0.95])
    def test_interval_has_the_quantiles_of_scipy(self, count: int, confidence: float) -> None:
        low, high = spread_interval(0.07, count, confidence)
        of_squares = chi2.interval(confidence, count - 1)
        assert (low, high) == pytest.approx(0.07 * np.sqrt((count - 1) / np.array(of_squares)[::-1]))
        assert low < 0.07 < high

    @pytest.mark.parametrize(("spread", "count"), [(0.0, 5), (math.nan, 1), (0.1, 1), (math.nan, 5)])
    def test_no_interval_where_nothing_is_known(self, spread: float, count: int) -> None:
        assert spread_interval(spread, count) is None

    def test_a_figure_is_what_numpy_says(self) -> None:
        values = [0.9, math.nan, 0.95, 0.91, 0.84]
        found = repeated_figure(values, 0.93, 0.05)
        known = np.array(values)[[0, 2, 3, 4]]
        assert found.mean == pytest.approx(known.mean())
        assert found.spread == pytest.approx(known.std(ddof=1))
        assert (found.counted, found.pooled) == (4, 0.93)
        assert found.spread_interval() == spread_interval(found.spread, 4)
        assert (found.measured, found.noise_floor) == (True, found.spread)

    def test_runs_that_do_not_differ_have_the_simulated_noise_floor(self) -> None:
        found = repeated_figure([0.9] * 6, 0.9, 0.02)
        assert (found.measured, found.noise_floor, found.spread_interval()) == (False, 0.02, None)

    @pytest.mark.parametrize("repeats", [2, 3, 5])
    def test_of_a_judge_of_known_noise(self, repeats: int) -> None:
        """Over many scenarios with so many repeats the variance is right on average, and its interval holds
        the true deviation about as often as it says."""
        judge = SimulatedJudge(0.5 * QUALITY, np.array(RANKS))
        tables = np.concatenate(list(simulated_runs(judge, 66, 6000, 1)))
        taus = kendall_tau_b(judge.ranks, fit_wins(tables))
        truth = taus.std()
        sets = taus[: 1000 * repeats].reshape(1000, repeats)
        spreads = sets.std(axis=1, ddof=1)
        assert (spreads**2).mean() == pytest.approx(truth**2, rel=0.12)
        intervals = [spread_interval(spread, repeats) or (0.0, 0.0) for spread in spreads]
        held = np.mean([low <= truth <= high for low, high in intervals])
        assert 0.92 < held < 0.98

    @pytest.mark.parametrize("repeats", [1, 3])
    def test_simulated_runs_spread_as_those_of_the_judge(self, make, repeats: int) -> None:
        """The agreement of one round-robin is a sum of independent answers, so that its variance is known."""
        odds = [
            1 / (1 + math.exp(-0.7 * (QUALITY[i] - QUALITY[j])))
            for i, j in combinations(range(12), 2)
            if RANKS[i] != RANKS[j]
        ]
        truth = math.sqrt(sum(p * (1 - p) for p in odds)) / len(odds)
        sets = [[judged(make, 0.7, 10 * t + s) for s in range(repeats)] for t in range(10)]
        found = [simulated_spreads(runs, simulations=200)["agreement"] for runs in sets]
        assert np.mean(found) == pytest.approx(truth, rel=0.12)

    def test_copies_of_one_run_are_no_more_evidence_for_tau(self, make) -> None:
        """Pairs are resampled with all their comparisons, so a judge that repeats itself gains nothing."""
        run = judged(make, 0.7, 1)
        once = alignment_metrics(run, bootstrap=400).values["kendall_tau"]
        often = alignment_metrics(pool([run] * 9), bootstrap=400).values["kendall_tau"]
        assert often.high - often.low > 0.6 * (once.high - once.low)
        free = alignment_metrics(pool([run] * 9), bootstrap=400, unit="comparisons", intervals="percentile")
        low, high = free.values["kendall_tau"].low, free.values["kendall_tau"].high
        assert high - low < 0.5 * (once.high - once.low)
