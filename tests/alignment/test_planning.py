"""The planner: what it promises must happen when runs are made as planned."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau

from pytest_eng5.alignment import (
    AlignmentDataError,
    SimulatedJudge,
    alignment_metrics,
    attainable_tau_b,
    compare_runs,
    comparisons_for_width,
    comparisons_to_detect,
    detectable_difference,
    discordance_seen,
    fit_wins,
    improved_judge,
    judge_of_run,
    kendall_tau_b,
    power_of,
    precision_at,
    simulated_runs,
    stated_judge,
)

GRADES = ["A", "A", "B", "B", "C+", "C-", "D+", "D-", "E+", "E-", "F+", "F+"]
RANKS = np.array([0, 0, 3, 3, 5, 7, 8, 10, 11, 13, 14, 14])
QUALITY = np.linspace(2, -2, 12)
FAIR = SimulatedJudge(QUALITY, RANKS)
NOISY = SimulatedJudge(QUALITY * 0.3, RANKS)
STUBBORN = stated_judge(RANKS, QUALITY, 1.5, noise=1.5, seed=2)
"""Of an opinion of its own, which no number of comparisons removes."""


def games_of(table: np.ndarray) -> list[tuple[int, int]]:
    return [(int(i), int(j)) for i, j in np.argwhere(table > 0) for _ in range(int(table[i, j]))]


def taus(judge: SimulatedJudge, comparisons: int, count: int, seed: int) -> np.ndarray:
    tables = np.concatenate(list(simulated_runs(judge, comparisons, count, seed)))
    return kendall_tau_b(judge.ranks, fit_wins(tables))


class TestPrecision:
    def test_mean_and_spread_are_those_of_runs(self) -> None:
        found = precision_at(FAIR, 66, runs=800)
        runs = taus(FAIR, 66, 800, seed=99)
        assert found.tau == pytest.approx(runs.mean(), abs=0.012)
        assert found.spread == pytest.approx(runs.std(), rel=0.12)

    def test_more_comparisons_are_more_precise(self) -> None:
        found = [precision_at(FAIR, m, runs=300) for m in (33, 66, 132, 264)]
        assert [one.width for one in found] == sorted((one.width for one in found), reverse=True)
        assert [one.tau for one in found] == sorted(one.tau for one in found)

    def test_the_width_is_about_that_of_the_intervals_we_report(self, make) -> None:
        widths = []
        for table in next(simulated_runs(FAIR, 66, 15, 3)):
            data = make(GRADES, games_of(table))
            found = alignment_metrics(data, bootstrap=200).values["kendall_tau"]
            widths.append((found.high or 0) - (found.low or 0))
        assert np.mean(widths) == pytest.approx(precision_at(FAIR, 66).width, rel=0.3)

    def test_comparisons_for_a_width(self) -> None:
        steps: list[tuple[int, int]] = []
        found = comparisons_for_width(FAIR, 0.2, runs=200, progress=lambda *step: steps.append(step))
        assert found is not None
        assert found.width <= 0.2
        assert precision_at(FAIR, int(found.comparisons * 0.85), runs=200).width > 0.19
        assert all(done <= whole for done, whole in steps)
        assert steps[-1][0] == steps[-1][1]
        assert [done for done, _ in steps] == sorted(done for done, _ in steps)

    def test_beyond_the_limit(self) -> None:
        assert comparisons_for_width(FAIR, 0.01, runs=50, limit=100) is None

    def test_everything_is_enough_for_a_width_of_two(self) -> None:
        found = comparisons_for_width(FAIR, 2.0, runs=50)
        assert found is not None
        assert found.comparisons <= 6


class TestJudges:
    @pytest.mark.parametrize("difference", [0.1, -0.1])
    def test_as_much_better_as_wanted(self, difference: float) -> None:
        other = improved_judge(FAIR, difference, 66, runs=400)
        found = taus(other, 66, 2000, 5).mean() - taus(FAIR, 66, 2000, 6).mean()
        assert found == pytest.approx(difference, abs=0.02)

    def test_better_than_can_be_is_refused(self) -> None:
        room = attainable_tau_b(RANKS) - taus(FAIR, 66, 500, 0).mean()
        with pytest.raises(AlignmentDataError, match=r"at 66 comparisons no judge differs by \+0\.\d+"):
            improved_judge(FAIR, room + 0.1, 66, runs=100)

    def test_a_recorded_run_is_matched(self, make) -> None:
        table = next(simulated_runs(FAIR, 66, 1, 8))[0]
        data = make(GRADES, games_of(table))
        observed = alignment_metrics(data, bootstrap=0).values["kendall_tau"].value
        assert taus(judge_of_run(data), 66, 600, 1).mean() == pytest.approx(observed, abs=0.03)

    def test_a_run_without_a_discordant_pair_is_no_perfect_judge(self, make, full_round) -> None:
        """Half a discordant pair: the planned width is about that of the interval of the run itself."""
        games = [(won, lost, "AB"[(won + lost) % 2]) for won, lost in full_round(len(GRADES))]
        data = make(GRADES, games)
        assert not discordance_seen(data)
        judge = judge_of_run(data)
        order = np.arange(len(RANKS))
        one_swap = order[[0, 2, 1, *range(3, len(RANKS))]]
        half = np.mean([kendalltau(RANKS, some).statistic for some in (order, one_swap)])
        assert taus(judge, 66, 2000, 1).mean() == pytest.approx(half, abs=0.006)
        found = alignment_metrics(data, bootstrap=500).values["kendall_tau"]
        width = (found.high or 0) - (found.low or 0)
        assert precision_at(judge, 66).width == pytest.approx(width, rel=0.4)

    def test_one_pair_in_the_wrong_order_is_seen(self, make, full_round) -> None:
        assert discordance_seen(make(GRADES, full_round(len(GRADES), [(2, 1)])))
        assert not discordance_seen(make(GRADES, full_round(len(GRADES), [(1, 0)])))  # both have grade A

    def test_one_grade_has_no_tau_to_match(self, make, full_round) -> None:
        judge = judge_of_run(make(["B"] * 5, full_round(5)))
        assert np.isfinite(judge.theta).all()
        with pytest.raises(AlignmentDataError, match="one grade"):
            precision_at(judge, 10)


class TestPower:
    def test_of_two_equal_judges_it_is_the_level(self) -> None:
        found, difference = power_of(STUBBORN, STUBBORN, 66, level=0.2, runs=3000)
        assert found == pytest.approx(0.1, abs=0.03)  # one side of a two-sided test
        assert difference == pytest.approx(0, abs=0.02)

    def test_of_very_different_judges_it_is_one(self) -> None:
        assert power_of(STUBBORN, SimulatedJudge(QUALITY * 4, RANKS), 132, runs=300)[0] > 0.97

    @pytest.mark.slow
    def test_as_many_comparisons_as_planned_find_the_difference(self) -> None:
        """The plan is kept by fresh runs under the same critical value, made independently."""
        plan = comparisons_to_detect(STUBBORN, 0.25, runs=300, usd_per_comparison=0.01)
        assert plan.comparisons is not None
        assert plan.power >= 0.8
        assert plan.cost_usd == pytest.approx(0.02 * plan.comparisons)
        better = improved_judge(STUBBORN, 0.25, 66, runs=300)
        again, _ = power_of(STUBBORN, better, plan.comparisons, runs=1500, seed=77)
        assert again == pytest.approx(0.8, abs=0.08)
        fewer, _ = power_of(STUBBORN, better, plan.comparisons // 2, runs=500, seed=77)
        assert fewer < again

    @pytest.mark.thorough
    def test_the_permutation_test_finds_it_as_often(self, make) -> None:
        better = improved_judge(STUBBORN, 0.25, 66, runs=300)
        expected, _ = power_of(STUBBORN, better, 132, runs=800)
        runs = [
            [make(GRADES, games_of(table)) for table in next(simulated_runs(judge, 132, 60, seed))]
            for judge, seed in ((STUBBORN, 1), (better, 2))
        ]
        found = [
            compare_runs(one, other, permutations=120, resamples=0) for one, other in zip(*runs, strict=True)
        ]
        rejected = [one.differences["kendall_tau"].p_value <= 0.05 for one in found]
        assert np.mean(rejected) == pytest.approx(expected, abs=0.15)

    @pytest.mark.thorough
    def test_the_reverse_agrees(self) -> None:
        plan = detectable_difference(STUBBORN, 132, runs=300)
        assert plan is not None
        assert plan.power >= 0.8
        forth = comparisons_to_detect(STUBBORN, plan.difference, reference=132, runs=300)
        assert forth.comparisons == pytest.approx(132, rel=0.3)

    def test_judges_that_differ_only_in_noise_become_alike(self) -> None:
        """Both orders are right in the end, so thousands of comparisons show less than some do."""
        better = SimulatedJudge(QUALITY * 1.0, RANKS)
        some, many = (power_of(NOISY, better, m, runs=300)[0] for m in (66, 5000))
        assert many < some

    def test_a_difference_that_none_can_find(self) -> None:
        plan = comparisons_to_detect(FAIR, 0.01, runs=60, limit=100)
        assert plan.comparisons is None
        assert plan.cost_usd is None
        assert plan.power < 0.8

    def test_two_anchors_tell_nothing_apart(self) -> None:
        judge = SimulatedJudge(np.array([3.0, -3.0]), np.array([0, 5]))
        assert detectable_difference(judge, 1, runs=100) is None

    def test_seeds_and_progress(self) -> None:
        steps: list[int] = []
        first = comparisons_to_detect(
            STUBBORN, 0.3, runs=60, seed=1, progress=lambda done, _: steps.append(done)
        )
        assert first == comparisons_to_detect(STUBBORN, 0.3, runs=60, seed=1)
        assert len(steps) > 2

    @pytest.mark.parametrize(
        "bad", [{"power": 1.0}, {"level": 0.0}, {"difference": 0.0}, {"runs": 1}, {"reference": -1}]
    )
    def test_nonsense_is_refused(self, bad: dict[str, float]) -> None:
        arguments: dict[str, float] = {"difference": 0.1, "runs": 10} | bad
        with pytest.raises(AlignmentDataError):
            comparisons_to_detect(STUBBORN, **arguments)  # type: ignore[arg-type]

    @pytest.mark.parametrize("width", [0.0, -1.0, float("nan")])
    def test_no_width(self, width: float) -> None:
        with pytest.raises(AlignmentDataError):
            comparisons_for_width(FAIR, width)
