"""Plans with their Monte-Carlo error, and intervals of simulated runs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_eng5.alignment import (
    GATED,
    AlignmentData,
    AlignmentDataError,
    Batches,
    alignment_metrics,
    attainable_tau_b,
    comparisons_to_detect,
    decidable_bounds,
    gate_odds,
    interval_ends,
    plan_detection,
    plan_gate,
    plan_width,
    precision_of,
    room_for_difference,
    simulated_runs,
    smallest_difference,
    stated_judge,
    tau_at,
)
from pytest_eng5.alignment.power import _planned

GRADES = ("A", "A", "B", "B", "C+", "C-", "D+", "D-")
RANKS = (0, 0, 3, 3, 5, 7, 8, 10)
STUBBORN = stated_judge(RANKS, np.linspace(2, -2, 8).tolist(), 1.5, noise=1.5, seed=2)
QUICK = Batches(number=3, runs=60, limit=600)


def population(table: np.ndarray) -> AlignmentData:
    ids = [f"anchor {k}" for k in range(8)]
    games = [(ids[i], ids[j]) for i, j in np.argwhere(table > 0) for _ in range(int(table[i, j]))]
    return AlignmentData.build(
        ids=ids,
        grades=GRADES,
        grade_ranks=RANKS,
        winners=[w for w, _ in games],
        losers=[x for _, x in games],
        first=[w for w, _ in games],
    )


class TestIntervals:
    @pytest.mark.parametrize("metric", GATED)
    def test_they_are_about_those_of_reports(self, metric: str) -> None:
        """On average over the same runs; the simulated ones know the judge."""
        tables = next(simulated_runs(STUBBORN, 56, 25, 4))
        planned = interval_ends(STUBBORN, metric, 56, runs=25, seed=4)
        made = [alignment_metrics(population(table), bootstrap=60).values[metric] for table in tables]
        reported = np.array([(one.low, one.high) for one in made])
        scale = np.nanmean(reported[:, 1] - reported[:, 0])
        assert np.nanmean(planned, axis=0) == pytest.approx(reported.mean(axis=0), abs=0.3 * scale)

    def test_runs_that_join_nothing_pass_nothing(self) -> None:
        """Seven comparisons join eight anchors only now and then."""
        ends = interval_ends(STUBBORN, "kendall_tau", 7, runs=50)
        assert np.isnan(ends).any()
        odds = gate_odds(STUBBORN, "kendall_tau", -1.0, math.inf, 7, runs=50)
        assert odds.undecided == pytest.approx(np.isnan(ends[:, 0]).mean())

    @pytest.mark.parametrize(
        "bad", [{"metric": "coverage"}, {"confidence": 1.0}, {"comparisons": 0}, {"runs": 1}]
    )
    def test_nonsense_is_refused(self, bad: dict[str, object]) -> None:
        with pytest.raises(AlignmentDataError):
            interval_ends(STUBBORN, **{"metric": "agreement", "comparisons": 28, **bad})  # type: ignore[arg-type]


class TestGates:
    def test_shares_add_up_and_errors_are_those_of_shares(self) -> None:
        odds = gate_odds(STUBBORN, "agreement", 0.7, math.inf, 56, runs=100)
        assert odds.passed + odds.failed + odds.undecided == pytest.approx(1)
        assert odds.error == pytest.approx(math.sqrt(odds.undecided * (1 - odds.undecided) / 100), abs=0.01)
        assert gate_odds(STUBBORN, "agreement", -1.0, 2.0, 56, runs=100).error > 0

    def test_undecided_falls_with_data(self) -> None:
        shares = [
            gate_odds(STUBBORN, "agreement", 0.6, math.inf, m, runs=200).undecided for m in (28, 112, 560)
        ]
        assert shares == sorted(shares, reverse=True)
        assert shares[-1] < 0.2

    def test_bounds_that_can_be_decided(self) -> None:
        found = decidable_bounds(STUBBORN, "kendall_tau", 112, runs=300, power=0.9)
        passed = gate_odds(STUBBORN, "kendall_tau", found.passes_up_to, math.inf, 112, runs=300)
        failed = gate_odds(STUBBORN, "kendall_tau", found.fails_from + 1e-9, math.inf, 112, runs=300)
        assert passed.passed >= 0.88  # more, where many runs share the tau at the bound
        assert failed.failed >= 0.88

    def test_as_many_as_planned_decide(self) -> None:
        plan = plan_gate(STUBBORN, "agreement", 0.6, math.inf, QUICK)
        assert plan.value is not None
        odds = gate_odds(STUBBORN, "agreement", 0.6, math.inf, round(plan.value), runs=400, seed=9)
        assert odds.passed + odds.failed == pytest.approx(0.8, abs=0.12)

    def test_never_fewer_than_join_the_anchors(self) -> None:
        plan = plan_gate(STUBBORN, "agreement", -1.0, 2.0, QUICK)
        assert plan.value is not None
        assert plan.value >= 7


class TestPlans:
    def test_a_detection_is_the_mean_of_its_searches(self) -> None:
        plan = plan_detection(STUBBORN, 0.4, 28, QUICK)
        singles = [
            comparisons_to_detect(STUBBORN, 0.4, reference=28, runs=60, limit=600, seed=seed).comparisons
            for seed in QUICK.seeds()
        ]
        known = [one for one in singles if one is not None]
        assert plan.comparisons.value == pytest.approx(np.mean(known))
        assert plan.comparisons.error == pytest.approx(np.std(known, ddof=1) / math.sqrt(len(known)))
        assert plan.power == pytest.approx(0.8, abs=0.15)

    def test_searches_without_a_number(self) -> None:
        plan = plan_detection(STUBBORN, 0.01, 28, Batches(number=2, runs=40, limit=40))
        assert (plan.comparisons.value, plan.comparisons.found) == (None, 0)
        assert plan.power < 0.8

    def test_most_searches_decide(self) -> None:
        assert _planned([10, 20, None]).value == 15
        assert _planned([10, None]).value is None
        assert math.isnan(_planned([10, None]).error)

    def test_worse_is_the_other_way(self) -> None:
        better = smallest_difference(STUBBORN, 112, QUICK)
        worse = smallest_difference(STUBBORN, 112, QUICK, worse=True)
        assert better.value is not None
        assert better.value > 0
        assert worse.value is None or worse.value < 0

    def test_room(self) -> None:
        room = room_for_difference(STUBBORN, 28, QUICK)
        assert room.tau + room.better == pytest.approx(attainable_tau_b(RANKS), abs=0.05)
        assert room.tau + room.worse < -0.8

    def test_width_and_precision_agree(self) -> None:
        plan = plan_width(STUBBORN, 0.5, QUICK)
        assert plan.value is not None
        assert precision_of(STUBBORN, round(plan.value), QUICK).width == pytest.approx(0.5, abs=0.06)

    def test_progress_is_one_bar_over_all_searches(self) -> None:
        steps: list[float] = []
        batches = Batches(number=2, runs=40, limit=200, progress=lambda done, of: steps.append(done / of))
        plan_width(STUBBORN, 0.6, batches)
        assert steps == sorted(steps)
        assert steps[-1] == 1

    def test_seeds_differ_and_are_repeatable(self) -> None:
        assert len(set(QUICK.seeds())) == 3
        assert tau_at(STUBBORN, 28, QUICK) == tau_at(STUBBORN, 28, QUICK)
