"""All figures of a population together: names, values, intervals, rows, and what must not matter."""

from __future__ import annotations

import ast
import json
import math
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pytest_eng5.alignment
from pytest_eng5.alignment import (
    AlignmentData,
    AlignmentDataError,
    AlignmentMetrics,
    AnchorRow,
    alignment_metrics,
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
]
ROLE_MODELS = ["A", "A", "B", "B", "C+", "C-", "D+", "D-", "E+", "E-", "F+", "F+"]


def points(metrics: AlignmentMetrics) -> dict[str, float]:
    return {name: value.value for name, value in metrics.values.items()}


def upsets(n: int, seed: int, share: float) -> list[tuple[int, int, str]]:
    """A round-robin in which the earlier anchor usually wins, in random positions."""
    rng = random.Random(seed)
    return [
        (*((j, i) if rng.random() < share else (i, j)), rng.choice("AB"))
        for i in range(n)
        for j in range(i + 1, n)
    ]


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


class TestIntervals:
    @pytest.mark.parametrize("seed", range(8))
    def test_they_contain_their_point(self, make, seed: int) -> None:
        metrics = alignment_metrics(make(ROLE_MODELS, upsets(12, seed, 0.1)), bootstrap=300)
        for name, found in metrics.values.items():
            if found.low is not None and found.high is not None:
                assert found.low - 1e-12 <= found.value <= found.high + 1e-12, name

    def test_which_method_each_has(self, make) -> None:
        games = [*upsets(12, 1, 0.1), (0, 1, "A"), (0, 1, "B")]
        values = alignment_metrics(make(ROLE_MODELS, games), bootstrap=100).values
        methods = {name: value.method for name, value in values.items()}
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
        assert points(other) == pytest.approx(points(first), nan_ok=True)

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


POPULATION = st.tuples(
    st.lists(st.sampled_from(["A", "B", "C+", "D", "F+", None]), min_size=2, max_size=6),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.sampled_from("AB")), max_size=20),
).map(
    lambda p: (
        p[0],
        [(w % len(p[0]), x % len(p[0]), s) for w, x, s in p[1] if w % len(p[0]) != x % len(p[0])],
    )
)
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class TestWhatMustNotMatter:
    @given(POPULATION)
    @QUICK
    def test_any_population_can_be_measured_and_written(self, make, population) -> None:
        metrics = alignment_metrics(make(*population), bootstrap=20)
        plain = json.loads(json.dumps(metrics.to_dict(), allow_nan=False))
        assert list(plain["values"]) == NAMES
        assert len(plain["anchors"]) == len(population[0])

    @given(POPULATION, st.randoms(use_true_random=False))
    @QUICK
    def test_order_of_events(self, make, population, shuffler) -> None:
        grades, games = population
        shuffled = list(games)
        shuffler.shuffle(shuffled)
        before = alignment_metrics(make(grades, games), bootstrap=20).to_dict()
        after = alignment_metrics(make(grades, shuffled), bootstrap=20).to_dict()
        for rows in (before["inversions"], after["inversions"]):
            for row in rows:  # request ids follow the events, and order rows that are equal otherwise
                row["request_id"] = None
            rows.sort(key=str)
        assert before == after

    @given(POPULATION, st.randoms(use_true_random=False))
    @QUICK
    def test_order_of_anchors(self, make, population, shuffler) -> None:
        grades, games = population
        names = [f"a{k}" for k in range(len(grades))]
        new = list(range(len(grades)))
        shuffler.shuffle(new)
        before = alignment_metrics(make(grades, games, names), bootstrap=0)
        moved = [None] * len(grades)
        renamed = [""] * len(grades)
        for old, position in enumerate(new):
            moved[position], renamed[position] = grades[old], names[old]
        after = alignment_metrics(
            make(moved, [(new[w], new[x], s) for w, x, s in games], renamed), bootstrap=0
        )
        assert points(after) == pytest.approx(points(before), nan_ok=True)
        by_id = {row.id: row for row in after.anchors}
        for row in before.anchors:
            other = by_id[row.id]
            assert other.theta == pytest.approx(row.theta, abs=1e-9)
            assert replace(other, theta=row.theta, standard_error=row.standard_error) == row

    @given(POPULATION)
    @QUICK
    def test_swapping_the_positions(self, make, population) -> None:
        """Only position bias may notice, and only by its sign."""
        grades, games = population
        swapped = [(w, x, "B" if s == "A" else "A") for w, x, s in games]
        before = alignment_metrics(make(grades, games), bootstrap=20).values
        after = alignment_metrics(make(grades, swapped), bootstrap=20).values
        for name in NAMES:
            if name == "position_bias":
                assert after[name].value == pytest.approx(-before[name].value, nan_ok=True)
                assert after[name].low == (
                    None if before[name].high is None else pytest.approx(-before[name].high)
                )
            else:
                assert after[name].value == pytest.approx(before[name].value, nan_ok=True)
                assert after[name].low == pytest.approx(before[name].low)
                assert after[name].high == pytest.approx(before[name].high)

    @given(POPULATION)
    @QUICK
    def test_names_of_anchors(self, make, population) -> None:
        grades, games = population
        before = alignment_metrics(make(grades, games), bootstrap=20).to_dict()["values"]
        names = [f"other {k}" for k in range(len(grades))]
        assert alignment_metrics(make(grades, games, names), bootstrap=20).to_dict()["values"] == before

    @given(POPULATION)
    @QUICK
    def test_ranges(self, make, population) -> None:
        metrics = alignment_metrics(make(*population), bootstrap=0)
        found = {name: value for name, value in points(metrics).items() if not math.isnan(value)}
        for name in ("kendall_tau", "kendall_tau_a"):
            assert -1 - 1e-12 <= found.get(name, 0) <= 1 + 1e-12
        for name in ("inversion_rate", "agreement", "flip_rate", "coverage", "connected"):
            assert 0 <= found.get(name, 0) <= 1
        assert found.get("majority_inversions", 0) <= found.get("direct_inversions", 0)
        assert found.get("upper_grade_inversions", 0) <= found.get("direct_inversions", 0)
        assert abs(found.get("position_bias", 0)) <= 0.5
        assert found.get("ssr", 0) < 1
        assert len(metrics.inversions) == round(
            found.get("inversion_rate", 0) * metrics.population.comparisons
        )


class TestAnchorRows:
    def test_same_grades_share_their_expected_ranks(self, make, full_round) -> None:
        """Nothing among equals is right or wrong (defect R15)."""
        rows = alignment_metrics(make(["A", "B", "B", "C"], full_round(4)), bootstrap=0).anchors
        assert [(row.expected_low, row.expected_high) for row in rows] == [(1, 1), (2, 3), (2, 3), (4, 4)]
        assert [row.expected_rank for row in rows] == [1.0, 2.5, 2.5, 4.0]
        assert [row.misplaced_by for row in rows] == [0, 0, 0, 0]

    def test_misplaced(self, make) -> None:
        """The order of scores is E, A, C: E is two places too high, A and C one too low."""
        rows = alignment_metrics(make(["A", "C", "E"], [(2, 0), (2, 1), (0, 1)]), bootstrap=0).anchors
        assert [(row.grade, row.rank, row.misplaced_by) for row in rows] == [
            ("E", 1, -2),
            ("A", 2, 1),
            ("C", 3, 1),
        ]

    def test_equal_scores_share_a_rank(self, make) -> None:
        rows = alignment_metrics(make(["A", "B", "C"], [(0, 1), (1, 2), (2, 0)]), bootstrap=0).anchors
        assert [row.rank for row in rows] == [1, 1, 1]
        rows = alignment_metrics(make(["A", "B", "C"], [(0, 1), (0, 2), (1, 2), (2, 1)]), bootstrap=0).anchors
        assert [row.rank for row in rows] == [1, 2, 2]

    def test_counts_and_errors(self, make) -> None:
        data = make(["A", "B", None], [(0, 1), (0, 1), (1, 0), (2, 0)])
        first, second, unknown = alignment_metrics(data, bootstrap=0).anchors
        assert (first.wins, first.losses, first.comparisons) == (2, 1, 3)  # not the one against None
        assert first.win_rate == pytest.approx(2 / 3)
        assert first.standard_error == pytest.approx(second.standard_error)
        assert unknown.grade_rank is None
        assert unknown.comparisons == 0

    def test_best_first_and_those_without_a_score_last(self, make) -> None:
        data = make([None, "C", "F+", "A", "B"], [(4, 3)])
        rows = alignment_metrics(data, bootstrap=0).anchors
        assert [row.grade for row in rows] == ["B", "A", "C", "F+", None]

    def test_a_row_without_rank_is_not_misplaced(self) -> None:
        row = AnchorRow("x", None, None, None, None, None, None, None, None, 0, 0, 0, None)
        assert row.misplaced_by == 0


class TestInversionRows:
    def test_every_occurrence_has_a_row(self, make) -> None:
        data = make(["A", "C"], [(1, 0, "A"), (0, 1, "B"), (1, 0, "B")])
        rows = alignment_metrics(data, bootstrap=0).inversions
        assert [(row.request_id, row.winner_position) for row in rows] == [
            ("request-0", "A"),
            ("request-2", "B"),
        ]
        assert {(row.lower_won, row.pair_comparisons) for row in rows} == {(2, 3)}

    def test_what_the_judge_said_is_kept(self) -> None:
        data = AlignmentData.build(
            ids=["good", "poor"],
            grades=["A", "E"],
            grade_ranks=[0, 12],
            winners=["poor", "poor"],
            losers=["good", "good"],
            first=["poor", "good"],
            confidence=[3.5, None],
            justification=["longer", None],
            request_id=["r1", None],
        )
        without, told = alignment_metrics(data, bootstrap=0).inversions
        assert (told.confidence, told.justification, told.request_id) == (3.5, "longer", "r1")
        assert (without.confidence, without.justification, without.request_id) == (None, None, None)
        assert (told.higher_id, told.higher_grade, told.lower_id, told.lower_grade) == (
            "good",
            "A",
            "poor",
            "E",
        )

    def test_best_grade_first(self, make) -> None:
        data = make(["C", "A", "E"], [(2, 0), (0, 1), (2, 1)])
        rows = alignment_metrics(data, bootstrap=0).inversions
        assert [(row.higher_grade, row.lower_grade) for row in rows] == [("A", "C"), ("A", "E"), ("C", "E")]


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
        standard = {"__future__", "collections", "dataclasses", "math", "typing"}
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
    @pytest.mark.parametrize(("resamples", "limit"), [(1000, 1.0), (10_000, 8.0)])
    def test_twelve_anchors(self, make, resamples: int, limit: float) -> None:
        data = make(ROLE_MODELS, upsets(12, 0, 0.1))
        begin = time.perf_counter()
        alignment_metrics(data, bootstrap=resamples)
        took = time.perf_counter() - begin
        print(f"12 anchors, 66 comparisons, {resamples} resamples: {took:.2f} s")
        assert took < limit

    def test_a_large_population(self, make) -> None:
        """60 anchors, 1770 comparisons, 200 resamples."""
        grades = sorted(np.random.default_rng(0).choice(["A", "B", "C", "D", "E", "F"], 60).tolist())
        data = make(grades, upsets(60, 0, 0.2))
        begin = time.perf_counter()
        metrics = alignment_metrics(data, bootstrap=200)
        took = time.perf_counter() - begin
        print(f"60 anchors, 1770 comparisons, 200 resamples: {took:.2f} s")
        assert metrics.values["kendall_tau"].value > 0.5
        assert took < 5
