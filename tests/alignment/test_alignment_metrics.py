"""All figures of a population together: names, values, what nothing measured gives, JSON, the room."""

from __future__ import annotations

import ast
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from populations import points, upsets

import pytest_eng5.alignment
from pytest_eng5.alignment import (
    AlignmentData,
    AlignmentDataError,
    AlignmentMetrics,
    alignment_metrics,
    judge_quality,
)
from pytest_eng5.errors import Eng5Error

NAMES = [
    "kendall_tau",
    "kendall_tau_a",
    "direct_inversions",
    "majority_inversions",
    "inversion_rate",
    "agreement",
    "zero_win_anchors",
    "expected_zero_win",
    "upper_grade_inversions",
    "position_bias",
    "flip_rate",
    "ssr",
    "coverage",
    "connected",
    "first_rate",
    "position_effect",
    "circular_triads",
    "consistence",
    "judge_infit",
    "judge_outfit",
    "worst_infit",
    "worst_outfit",
    "misfitting_anchors",
    "suspect_grades",
    "split_half",
]
ROLE_MODELS = ["A", "A", "B", "B", "C+", "C-", "D+", "D-", "E+", "E-", "F+", "F+"]


class TestValues:
    def test_names_and_their_order(self, run_a259_data: AlignmentData) -> None:
        assert list(alignment_metrics(run_a259_data, bootstrap=0).values) == NAMES

    def test_run_a259881c(self, run_a259_data: AlignmentData) -> None:
        metrics = alignment_metrics(run_a259_data, bootstrap=200)
        found = points(metrics)
        assert found["kendall_tau"] == pytest.approx(math.sqrt(63 / 66))
        assert found["kendall_tau"] == pytest.approx(metrics.attainable_tau_b)
        assert found["kendall_tau_a"] == pytest.approx(63 / 66)
        assert found["direct_inversions"] == 0
        assert found["majority_inversions"] == 0
        assert found["inversion_rate"] == 0
        assert found["agreement"] == 1
        assert found["zero_win_anchors"] == 1
        assert found["expected_zero_win"] == 1
        assert found["upper_grade_inversions"] == 0
        assert found["coverage"] == 1
        assert found["connected"] == 1
        assert math.isnan(found["flip_rate"])
        assert found["ssr"] > 0.8

    def test_the_judge_is_in_it_once(self, run_a259_data: AlignmentData) -> None:
        metrics = alignment_metrics(run_a259_data, bootstrap=0)
        alone = judge_quality(run_a259_data)
        assert metrics.quality.to_dict() == alone.to_dict()
        assert set(alone.values) < set(metrics.values)
        assert metrics.values["judge_infit"] is metrics.quality.values["judge_infit"]
        assert "values" not in metrics.to_dict()["quality"]
        halves = alignment_metrics(run_a259_data, bootstrap=0, splits=0).values["split_half"]
        assert math.isnan(halves.value)

    def test_pairs_that_can_be_inverted(self, run_a259_data: AlignmentData) -> None:
        """66 pairs, 3 of them in one grade (A, B, F+); 4 * 8 + 2 * 2 with an A or a B above."""
        population = alignment_metrics(run_a259_data, bootstrap=0).population
        assert (population.decidable_pairs, population.decidable_pairs_compared) == (63, 63)
        assert (population.upper_pairs, population.upper_pairs_compared) == (36, 36)

    def test_its_scores_and_ranks(self, run_a259_data: AlignmentData, run_a259) -> None:
        rows = alignment_metrics(run_a259_data, bootstrap=0).anchors
        assert [row.id for row in rows] == list(run_a259.ids)
        assert [row.theta for row in rows] == pytest.approx(run_a259.theta, abs=5e-4)
        assert [(row.wins, row.losses) for row in rows] == [(11 - k, k) for k in range(12)]

    def test_batch_108(self, batch108_games: AlignmentData) -> None:
        found = points(alignment_metrics(batch108_games, bootstrap=0))
        assert found["direct_inversions"] == 5
        assert found["upper_grade_inversions"] == 2
        assert found["inversion_rate"] == pytest.approx(5 / batch108_games.n_comparisons)

    def test_a_small_one_by_hand(self, make) -> None:
        """A beats B and C, C beats B twice of three times; all with A in front but one."""
        data = make(["A", "B", "C"], [(0, 1), (0, 2, "B"), (2, 1), (2, 1), (1, 2)])
        found = points(alignment_metrics(data, bootstrap=0))
        assert found["kendall_tau"] == pytest.approx(1 / 3)
        assert found["direct_inversions"] == 1
        assert found["majority_inversions"] == 1
        assert found["inversion_rate"] == pytest.approx(2 / 5)
        assert found["agreement"] == pytest.approx(3 / 5)
        assert found["zero_win_anchors"] == 0
        assert found["expected_zero_win"] == 1
        assert found["upper_grade_inversions"] == 1
        assert found["position_bias"] == pytest.approx(0.3)
        assert found["coverage"] == 1

    def test_agreement_and_inversion_rate_differ_by_the_tied_comparisons(self, make) -> None:
        data = make(["A", "B", "B"], [(0, 1), (2, 0), (1, 2)])
        found = points(alignment_metrics(data, bootstrap=0))
        assert found["inversion_rate"] == pytest.approx(1 / 3)
        assert found["agreement"] == pytest.approx(1 / 2)

    @pytest.mark.parametrize(
        ("grades", "expected"),
        [
            (["A", "C"], 1),
            (["B-", "C+"], 1),
            (["C+", "E"], 0),
            (["9", "7"], 1),
            (["8", "5"], 1),
            (["7", "5"], 0),
        ],
    )
    def test_which_grades_are_upper(self, make, grades: list[str], expected: int) -> None:
        found = alignment_metrics(make(grades, [(1, 0)]), bootstrap=0).values["upper_grade_inversions"].value
        assert (0 if math.isnan(found) else found) == expected

    def test_upper_grades_can_be_chosen(self, make) -> None:
        data = make(["A", "C", "E"], [(1, 0), (2, 1)])
        chosen = alignment_metrics(data, bootstrap=0, upper_grades={"C"})
        assert chosen.values["upper_grade_inversions"].value == 1
        assert chosen.population.upper_comparisons == 1


class TestNothing:
    """Nothing measured is NaN, never a flattering number (defect R14)."""

    @pytest.mark.parametrize("n", [0, 1, 2, 12])
    def test_without_comparisons_nothing_is_defined(self, make, n: int) -> None:
        metrics = alignment_metrics(make(ROLE_MODELS[:n], []), bootstrap=50)
        found = points(metrics)
        for name in NAMES[:12]:
            assert math.isnan(found[name]), name
            assert metrics.values[name].low is None
        assert found["connected"] == (1 if n == 1 else 0)
        assert metrics.population.comparisons == 0
        assert metrics.inversions == ()

    def test_without_known_grades_nothing_is_defined(self, make, full_round) -> None:
        metrics = alignment_metrics(make(["UNKNOWN"] * 12, full_round(12)), bootstrap=50)
        assert math.isnan(metrics.values["kendall_tau"].value)
        assert math.isnan(metrics.values["direct_inversions"].value)
        assert len(metrics.population.unknown_grade) == 12
        assert metrics.population.excluded_comparisons == 66
        assert metrics.population.comparisons == 0

    def test_unknown_grades_are_left_out_not_ranked_last(self, make, full_round) -> None:
        """Contract 11 gives them rank 99, so that beating one was never an inversion but losing was."""
        known = alignment_metrics(make(["A", "B", "C"], full_round(3)), bootstrap=0)
        data = make(["A", "B", "C", None], [*full_round(3), (3, 0), (3, 1), (2, 3)])
        metrics = alignment_metrics(data, bootstrap=0)
        assert points(metrics) == pytest.approx(points(known), nan_ok=True)
        assert metrics.population.unknown_grade == ("anchor-3",)
        assert metrics.population.excluded_comparisons == 3

    def test_equal_grades_leave_tau_and_inversions_undefined(self, make, full_round) -> None:
        found = points(alignment_metrics(make(["B"] * 4, full_round(4)), bootstrap=20))
        for name in ("kendall_tau", "direct_inversions", "majority_inversions", "agreement"):
            assert math.isnan(found[name])
        assert found["kendall_tau_a"] == 0
        assert found["zero_win_anchors"] == 1

    def test_an_uncompared_anchor_is_named_and_has_no_score(self, make) -> None:
        metrics = alignment_metrics(make(["A", "B", "C"], [(0, 1)]), bootstrap=20)
        assert metrics.population.uncompared == ("anchor-2",)
        assert not metrics.population.connected
        last = metrics.anchors[-1]
        assert last.id == "anchor-2"
        assert (last.theta, last.rank, last.expected_rank, last.win_rate) == (None, None, None, None)
        assert metrics.values["kendall_tau"].value == 1.0  # of the two that were compared
        assert metrics.values["coverage"].value == pytest.approx(1 / 3)

    def test_a_disconnected_graph_has_no_reliability(self, make) -> None:
        metrics = alignment_metrics(
            make(["A", "B", "C", "D"], [(0, 1), (1, 0), (2, 3), (3, 2)]), bootstrap=20
        )
        assert math.isnan(metrics.values["ssr"].value)
        assert metrics.values["connected"].value == 0.0


class TestPopulation:
    def test_counts(self, make) -> None:
        data = make(["A", "A", "C", "E", None], [(0, 1), (1, 0, "A"), (0, 2), (2, 3), (3, 2, "A"), (4, 0)])
        found = alignment_metrics(data, bootstrap=0).population
        assert found.anchors == 5
        assert found.graded == 4
        assert found.distinct_grades == 3
        assert found.comparisons == 5
        assert found.excluded_comparisons == 1
        assert found.decidable_comparisons == 3
        assert found.upper_comparisons == 1
        assert found.pairs == 6
        assert found.pairs_compared == 3
        assert found.pairs_in_both_orders == 2
        assert found.connected

    def test_how_the_intervals_were_made_is_recorded(self, run_a259_data: AlignmentData) -> None:
        info = alignment_metrics(
            run_a259_data, bootstrap=30, seed=9, confidence=0.9, unit="comparisons"
        ).bootstrap
        assert (info.resamples, info.seed, info.confidence, info.unit) == (30, 9, 0.9, "comparisons")

    @pytest.mark.parametrize(
        "bad", [{"bootstrap": -1}, {"confidence": 0.0}, {"confidence": 1.0}, {"confidence": 95}]
    )
    def test_nonsense_is_refused(self, run_a259_data: AlignmentData, bad: dict[str, Any]) -> None:
        with pytest.raises(AlignmentDataError):
            alignment_metrics(run_a259_data, **bad)


class TestJson:
    def test_undefined_numbers_are_null(self, make) -> None:
        plain = alignment_metrics(make(ROLE_MODELS, []), bootstrap=0).to_dict()
        assert plain["values"]["kendall_tau"] == {"value": None, "low": None, "high": None, "method": "exact"}
        json.dumps(plain, allow_nan=False)

    def test_infinite_errors_of_rows_too(self, make) -> None:
        plain = alignment_metrics(make(["B", "B"], [(0, 1)]), bootstrap=10).to_dict()
        assert plain["attainable_tau_b"] is None
        json.dumps(plain, allow_nan=False)

    def test_it_is_complete(self, run_a259_data: AlignmentData) -> None:
        plain = alignment_metrics(run_a259_data, bootstrap=10).to_dict()
        assert set(plain) == set(AlignmentMetrics.__dataclass_fields__)
        assert type(plain["anchors"][0]["wins"]) is int
        assert type(plain["anchors"][0]["theta"]) is float


class TestTheRoom:
    def test_it_imports_only_numpy_scipy_and_the_errors(self) -> None:
        """The verifier shares no code with the pipeline, choix least of all."""
        folder = Path(pytest_eng5.alignment.__file__).parent
        allowed = ("numpy", "scipy", "pytest_eng5.alignment", "pytest_eng5.errors")
        standard = {"__future__", "collections", "dataclasses", "functools", "math", "typing"}
        for module in folder.glob("*.py"):
            for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                for name in names:
                    assert name.startswith(allowed) or name.split(".")[0] in standard, (
                        f"{module.name}: {name}"
                    )

    def test_public_names_exist_and_are_sorted_by_kind(self) -> None:
        names = pytest_eng5.alignment.__all__
        assert len(names) == len(set(names))
        for name in names:
            assert getattr(pytest_eng5.alignment, name).__doc__ is not None

    def test_errors_belong_to_the_family(self) -> None:
        assert issubclass(pytest_eng5.alignment.ConvergenceError, Eng5Error)


class TestSpeed:
    """In processor time, which other work on the machine does not change."""

    @pytest.mark.parametrize(("resamples", "limit"), [(1000, 3.0), (10_000, 20.0)])
    def test_twelve_anchors(self, make, resamples: int, limit: float) -> None:
        data = make(ROLE_MODELS, upsets(12, 0, 0.1))
        begin = time.process_time()
        alignment_metrics(data, bootstrap=resamples)
        took = time.process_time() - begin
        print(f"12 anchors, 66 comparisons, {resamples} resamples: {took:.2f} s")
        assert took < limit

    def test_a_large_population(self, make) -> None:
        """60 anchors, 1770 comparisons, 200 resamples."""
        grades = sorted(np.random.default_rng(0).choice(["A", "B", "C", "D", "E", "F"], 60).tolist())
        data = make(grades, upsets(60, 0, 0.2))
        begin = time.process_time()
        metrics = alignment_metrics(data, bootstrap=200)
        took = time.process_time() - begin
        print(f"60 anchors, 1770 comparisons, 200 resamples: {took:.2f} s")
        assert metrics.values["kendall_tau"].value > 0.5
        assert took < 15
