"""Repeats as one measurement: each run by itself, their spread, what is left out, how far off the gate is."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2

from pytest_eng5.alignment import alignment_metrics
from pytest_eng5.evidence import EndReason
from pytest_eng5.reports import evaluate_variant, finalise_run, population
from pytest_eng5.reports.repeats import CUMULATIVE

WEAK = 0.15
"""Discrimination at which the synthetic judge errs now and then."""


@pytest.fixture
def several(record: Any) -> Any:
    """So many runs of one variant, each with draws of its own."""

    def make(count: int, strength: float = WEAK, **more: Any) -> list[Any]:
        return [
            record(repeat=k, **more).complete(seed=k, discrimination=strength) for k in range(1, count + 1)
        ]

    return make


def test_values_are_those_of_each_run_and_their_spread_is_numpys(
    several: Any, checks: Any, judged: Any
) -> None:
    runs = several(5)
    outcome = judged(*runs, bootstrap=100)
    each = [alignment_metrics(population(run.load()), bootstrap=0).values for run in runs]
    assert set(outcome.repeats.figures) == set(outcome.metrics) == set(each[0])
    for name, found in outcome.repeats.figures.items():
        values = np.array([metrics[name].value for metrics in each])
        assert found.values == pytest.approx(values, nan_ok=True), name
        assert found.pooled == pytest.approx(outcome.metrics[name].value, nan_ok=True)
        if not np.isnan(values).any():
            assert (found.mean, found.spread) == pytest.approx((values.mean(), values.std(ddof=1)))
    tau = outcome.repeats.figures["kendall_tau"]
    assert tau.measured
    low, high = np.sqrt(4 / np.array(chi2.interval(0.95, 4)))[::-1] * tau.spread
    assert tau.spread_interval() == pytest.approx((low, high))
    assert outcome.repeats.counted == 5


def test_the_gate_judges_all_comparisons_together(several: Any, checks: Any, judged: Any, limit: Any) -> None:
    runs = several(3)
    outcome = judged(*runs, limits=[limit("kendall_tau", min=0.5), limit("direct_inversions", max=1)])
    together = alignment_metrics(population([run.load() for run in runs]), bootstrap=0).values
    tau, inversions = outcome.verdicts
    assert (tau.value, tau.comparisons) == (pytest.approx(together["kendall_tau"].value), 198)
    assert inversions.value == together["direct_inversions"].value
    assert inversions.value > max(outcome.repeats.figures["direct_inversions"].values)


@pytest.mark.parametrize(
    ("bounds", "sign"), [({"min": 0.5}, 1), ({"max": 0.5}, -1), ({"min": 0.1, "max": 1.0}, 1)]
)
def test_distance_of_a_gate_in_noise_floors(
    several: Any, checks: Any, judged: Any, limit: Any, bounds: dict[str, float], sign: int
) -> None:
    outcome = judged(*several(4), limits=[limit("kendall_tau", **bounds)])
    tau, [verdict] = outcome.repeats.figures["kendall_tau"], outcome.verdicts
    nearest = min(abs(verdict.value - bound) for bound in bounds.values())
    assert outcome.repeats.distance(verdict) == pytest.approx(sign * nearest / tau.spread)
    assert verdict.passed == (sign > 0)


@pytest.mark.parametrize("metric", sorted(CUMULATIVE))
def test_counts_over_all_runs_are_set_against_single_runs(
    several: Any, checks: Any, judged: Any, limit: Any, metric: str
) -> None:
    outcome = judged(*several(5, 0.5), limits=[limit(metric, max=2)])
    found, [verdict] = outcome.repeats.figures[metric], outcome.verdicts
    assert found.mean != verdict.value
    assert outcome.repeats.distance(verdict) == pytest.approx((2 - found.mean) / found.noise_floor)


def test_a_single_count_is_its_own_measure(several: Any, checks: Any, judged: Any, limit: Any) -> None:
    outcome = judged(*several(1), limits=[limit("direct_inversions", max=2)], bootstrap=100)
    found, [verdict] = outcome.repeats.figures["direct_inversions"], outcome.verdicts
    assert outcome.repeats.distance(verdict) == pytest.approx((2 - verdict.value) / found.simulated_spread)


def test_what_was_not_measured_has_no_distance(record: Any, checks: Any, judged: Any, limit: Any) -> None:
    outcome = judged(record(("A", "A")).complete(), limits=[limit("kendall_tau", min=0.5)], bootstrap=50)
    assert math.isnan(outcome.repeats.distance(outcome.verdicts[0]))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_runs_borrow_the_simulated_spread(several: Any, checks: Any, judged: Any, count: int) -> None:
    tau = judged(*several(count), limits=[], bootstrap=100 if count > 1 else 0).repeats.figures["kendall_tau"]
    assert not tau.measured
    assert math.isnan(tau.spread) == (count == 1)
    assert math.isnan(tau.noise_floor) == (count == 1)  # one run without a gate is not worth a simulation


def test_the_simulation_is_the_same_each_time(several: Any, checks: Any, judged: Any) -> None:
    runs = several(2)
    first, again, other = (
        judged(*runs, bootstrap=50, seed=seed).repeats.figures["kendall_tau"].simulated_spread
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_a_judge_that_repeats_itself_shows_no_spread(record: Any, checks: Any, judged: Any) -> None:
    runs = [record(repeat=k).complete(seed=1, discrimination=WEAK) for k in (1, 2, 3, 4)]
    tau = judged(*runs, bootstrap=100).repeats.figures["kendall_tau"]
    assert len(set(tau.values)) == 1
    assert (tau.measured, tau.noise_floor) == (False, tau.simulated_spread)


def test_a_run_that_ended_badly_is_left_out_of_the_spread(several: Any, checks: Any, judged: Any) -> None:
    runs = several(3)
    finalise_run(runs[1].root, runs[1].end(EndReason.IDLE_DEADLINE, "no event for 30 s"))
    outcome = judged(*runs)
    repeats = outcome.repeats
    assert outcome.verdict == "ERROR"
    assert (repeats.runs, repeats.counted) == (3, 2)
    assert repeats.left_out == {2: "run-2 ended with idle_deadline: no event for 30 s"}
    tau = repeats.figures["kendall_tau"]
    assert math.isnan(tau.values[1])
    assert tau.spread == pytest.approx(np.std([tau.values[0], tau.values[2]], ddof=1))


def test_runs_that_are_no_measurement_say_why(record: Any, checks: Any, judged: Any) -> None:
    whole = record().complete()
    failed = record(repeat=2)
    failed.publish()
    failed.failed()
    finalise_run(failed.root, failed.end(EndReason.PIPELINE_FAILED, "it failed"))
    scattered = record(repeat=3)
    scattered.publish()
    scattered.judge(pairs=[(0, 1), (2, 3)])
    scattered.result()
    scattered.completed()
    outcome = judged(whole, failed, scattered, repeats=4)
    said = outcome.repeats.left_out
    assert said[2] == "run-2 ended with pipeline_failed"
    assert said[3].startswith("run-3: ")
    assert "took part in no comparison" in said[3]
    assert said[4] == "run-4 was not made: there is no folder run-4"
    assert outcome.repeats.counted == 1


def test_runs_of_different_anchors_have_values_and_no_simulation(
    record: Any, checks: Any, judged: Any
) -> None:
    runs = [record(("A", "B", "C", "D")).complete(), record(("A", "B", "C"), repeat=2).complete()]
    tau = judged(*runs, bootstrap=50).repeats.figures["kendall_tau"]
    assert not any(math.isnan(value) for value in tau.values)
    assert math.isnan(tau.simulated_spread)


def test_without_figures_there_are_no_repeats(record: Any, checks: Any, judged: Any) -> None:
    runs = [record(("A", "B")).complete(), record(("A", "C"), repeat=2).complete()]
    assert judged(*runs).repeats is None


def test_one_run_that_is_judged_by_itself(several: Any, checks: Any, judged: Any, limit: Any) -> None:
    runs = several(3)
    judged(*runs)
    limits = [limit("kendall_tau", min=0.5)]
    alone = evaluate_variant(runs[0].root.parent, limits, repeats=3, only=2, bootstrap=50)
    assert (alone.repeats.runs, alone.repeats.counted) == (1, 1)
    assert alone.repeats.figures["kendall_tau"].values[0] == alone.metrics["kendall_tau"].value


def test_plain_values(several: Any, checks: Any, judged: Any, limit: Any) -> None:
    outcome = judged(*several(2), limits=[limit("kendall_tau", min=0.5)], bootstrap=50)
    plain = outcome.to_dict()["repeats"]
    json.dumps(plain, allow_nan=False)
    assert (plain["runs"], plain["counted"], plain["left_out"], plain["confidence"]) == (2, 2, [], 0.95)
    tau = outcome.repeats.figures["kendall_tau"]
    assert plain["figures"]["kendall_tau"]["spread"] == tau.spread
    assert (
        plain["figures"]["kendall_tau"]["spread_low"],
        plain["figures"]["kendall_tau"]["spread_high"],
    ) == tau.spread_interval()
    assert plain["figures"]["flip_rate"]["values"] == [None, None]
    assert plain["distances"] == {"kendall_tau": outcome.repeats.distance(outcome.verdicts[0])}
