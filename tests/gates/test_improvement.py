"""From a paired comparison to a verdict: chosen numbers, real comparisons, nothing measured."""

from __future__ import annotations

import math
from itertools import combinations

import pytest

from pytest_eng5.alignment import AlignmentData, Difference, VariantComparison, compare_runs
from pytest_eng5.errors import UsageError
from pytest_eng5.gates import Status
from pytest_eng5.gates.improvement import judge_improvement

GRADES = ["A", "B", "C", "D", "E", "F"]


def compared(difference: Difference, metric: str = "kendall_tau", pairs: int = 66) -> VariantComparison:
    return VariantComparison(
        baseline="control",
        candidate="rubric_b",
        differences={metric: difference},
        anchors=12,
        pairs=pairs,
        pairs_left_out=0,
        differing_pairs=9,
        comparisons=(66, 66),
        permutations=2000,
        exact=False,
        confidence=0.95,
        seed=0,
    )


def found(gain: float, half: float, p_value: float, adjusted: float | None = None) -> Difference:
    return Difference(
        0.8, 0.8 + gain, gain, gain - half, gain + half, p_value, p_value if adjusted is None else adjusted
    )


def run(upsets: set[tuple[int, int]], times: int = 1) -> AlignmentData:
    games = [(j, i) if (i, j) in upsets else (i, j) for i, j in combinations(range(6), 2)] * times
    return AlignmentData.build(
        ids=GRADES,
        grades=GRADES,
        grade_ranks=[0, 3, 6, 9, 12, 15],
        winners=[GRADES[i] for i, _ in games],
        losers=[GRADES[j] for _, j in games],
        first=[GRADES[i] for i, _ in games],
    )


class TestVerdict:
    @pytest.mark.parametrize(
        ("gain", "half", "p_value", "minimum", "status"),
        [
            (0.10, 0.05, 0.001, 0.02, Status.PASS),
            (0.10, 0.05, 0.001, 0.05, Status.PASS),  # the end lies on the minimum
            (0.10, 0.05, 0.001, 0.06, Status.UNDECIDED),
            (0.10, 0.05, 0.001, 0.16, Status.FAIL),
            (-0.10, 0.05, 0.001, 0.0, Status.FAIL),
            (0.02, 0.05, 0.4, 0.0, Status.UNDECIDED),
            (-0.01, 0.05, 0.7, -0.10, Status.PASS),  # not worse by more than 0.10: nothing to be significant
        ],
    )
    def test_where_the_interval_lies(
        self, gain: float, half: float, p_value: float, minimum: float, status: Status
    ) -> None:
        verdict = judge_improvement(compared(found(gain, half, p_value)), minimum=minimum)
        assert verdict.status is status
        assert verdict.passed == (status is Status.PASS)
        change = "worse by " if gain < 0 else "better by "
        assert verdict.message.startswith(f"{status.value} kendall_tau of rubric_b {change}")
        assert (verdict.hint is not None) == (status is Status.UNDECIDED)

    def test_what_does_not_survive_the_correction_is_undecided(self) -> None:
        verdict = judge_improvement(compared(found(0.1, 0.09, 0.03, adjusted=0.12)))
        assert verdict.status is Status.UNDECIDED
        assert "after correction" in (verdict.hint or "")

    def test_fewer_inversions_are_an_improvement(self) -> None:
        difference = Difference(6.0, 2.0, -4.0, -6.0, -2.0, 0.01, 0.01)
        verdict = judge_improvement(compared(difference, "direct_inversions"), "direct_inversions", 1)
        assert verdict.status is Status.PASS
        assert (verdict.improvement, verdict.low, verdict.high) == (4.0, 2.0, 6.0)

    def test_the_sentence(self) -> None:
        verdict = judge_improvement(compared(found(0.1, 0.05, 0.001, 0.002)), minimum=0.02)
        assert verdict.message == (
            "PASS kendall_tau of rubric_b better by 0.100 >= 0.02 than that of control (0.900 against 0.800, "
            "95 % CI 0.05 to 0.15, p 0.001, 0.002 over all variants, 66 common pairs, 9 judged differently)"
        )

    @pytest.mark.parametrize(
        ("gain", "minimum", "words"),
        [
            (-0.1, 0.0, "worse by 0.100 than"),
            (-0.1, 0.02, "worse by 0.100, not better by 0.02, than"),
            (-0.01, -0.05, "worse by 0.010 <= 0.05 than"),
            (-0.2, -0.05, "worse by 0.200 > 0.05 than"),
            (0.01, 0.02, "better by 0.010 < 0.02 than"),
        ],
    )
    def test_a_loss_is_called_one(self, gain: float, minimum: float, words: str) -> None:
        verdict = judge_improvement(compared(found(gain, 0.05, 0.001)), minimum=minimum)
        assert f"kendall_tau of rubric_b {words} that of control (" in verdict.message

    def test_a_correction_for_nothing_is_not_mentioned(self) -> None:
        assert "over all variants" not in judge_improvement(compared(found(0.1, 0.05, 0.01))).message

    def test_agreement_is_that_of_the_pairs(self) -> None:
        verdict = judge_improvement(compared(found(0.1, 0.05, 0.01), "pair_agreement"), "agreement")
        assert verdict.message.startswith("PASS agreement of rubric_b better by 0.100")

    def test_how_many_more_would_decide(self) -> None:
        verdict = judge_improvement(compared(found(0.06, 0.08, 0.1)), minimum=0.02)
        assert verdict.hint == (
            "about 198 more comparisons of either variant would decide, if the difference stays where it is"
        )
        on_it = judge_improvement(compared(found(0.02, 0.08, 0.1)), minimum=0.02)
        assert "lies on the minimum" in (on_it.hint or "")

    @pytest.mark.parametrize(("metric", "minimum"), [("ssr", 0.0), ("kendall_tau", math.nan)])
    def test_nonsense_is_refused(self, metric: str, minimum: float) -> None:
        with pytest.raises(UsageError, match="cannot be judged"):
            judge_improvement(compared(found(0.1, 0.1, 0.1)), metric, minimum)


class TestNothing:
    def test_no_common_pair_is_a_failure(self) -> None:
        nothing = Difference(math.nan, math.nan, math.nan, None, None, math.nan, math.nan)
        verdict = judge_improvement(compared(nothing, pairs=0))
        assert verdict.status is Status.FAIL
        assert verdict.message.endswith("no pair was judged by both")

    def test_an_undefined_figure_is_a_failure(self) -> None:
        nothing = Difference(math.nan, 0.5, math.nan, None, None, math.nan, math.nan)
        assert "undefined on the common pairs" in judge_improvement(compared(nothing)).message

    def test_figures_that_mean_nothing_pass_nothing(self) -> None:
        verdict = judge_improvement(compared(found(0.5, 0.1, 0.001)), obstacle="rubric_b has no anchors")
        assert verdict.status is Status.FAIL
        assert verdict.message.endswith("not compared with control: rubric_b has no anchors")


class TestRealComparisons:
    def test_a_judge_turned_round(self) -> None:
        upside_down = run(set(combinations(range(6), 2)), times=3)
        verdict = judge_improvement(compare_runs(upside_down, run(set(), times=3)), minimum=0.5)
        assert verdict.status is Status.PASS
        back = judge_improvement(compare_runs(run(set(), times=3), upside_down))
        assert back.status is Status.FAIL

    def test_the_same_run_is_no_improvement(self) -> None:
        same = compare_runs(run(set()), run(set()))
        assert judge_improvement(same, minimum=0.5).status is Status.FAIL
        assert judge_improvement(same, minimum=0.02).status is Status.UNDECIDED
