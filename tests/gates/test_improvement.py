"""From a paired comparison to a verdict: chosen numbers, real comparisons, nothing measured."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from pytest_eng5.alignment import AlignmentData, Difference, VariantComparison, compare_runs
from pytest_eng5.errors import UsageError
from pytest_eng5.gates import Status
from pytest_eng5.gates.improvement import ImprovementVerdict, judge_improvement

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
        assert verdict.hint == (
            "the interval decides, but not after correction for all variants: compare fewer, or more often"
        )

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

    def test_the_sentence_of_a_count(self) -> None:
        difference = Difference(6.0, 2.0, -4.0, -6.0, 0.0, 0.04, 0.04)
        verdict = judge_improvement(compared(difference, "direct_inversions"), "direct_inversions", 1.5)
        assert verdict == ImprovementVerdict(
            metric="direct_inversions",
            status=Status.UNDECIDED,
            message=(
                "UNDECIDED direct_inversions of rubric_b better by 4 >= 1.5 than that of control "
                "(2 against 6, 95 % CI 0.00 to 6.00, p 0.040, 66 common pairs, 9 judged differently)"
            ),
            hint=(
                "about 103 more comparisons of either variant would decide, "
                "if the difference stays where it is"
            ),
            improvement=4.0,
            low=0.0,
            high=6.0,
            minimum=1.5,
        )

    @pytest.mark.parametrize(
        ("change", "minimum", "words"),
        [
            (-4.0, 1, "better by 4 >= 1"),
            (-1.0, 2, "better by 1 < 2"),
            (3.0, 2, "worse by 3, not better by 2,"),
            (3.0, -2, "worse by 3 > 2"),
            (1.0, -2, "worse by 1 <= 2"),
        ],
    )
    def test_inversions_are_whole(self, change: float, minimum: float, words: str) -> None:
        difference = Difference(6.0, 6.0 + change, change, change - 1, change + 1, 0.01, 0.01)
        verdict = judge_improvement(compared(difference, "direct_inversions"), "direct_inversions", minimum)
        assert f" direct_inversions of rubric_b {words} than that of control (" in verdict.message

    @pytest.mark.parametrize(
        ("low", "high", "shown"),
        [(-0.001, 0.2, "0.00 to 0.20"), (-0.2, -0.001, "-0.20 to 0.00"), (0.0, 0.0, "0.00 to 0.00")],
    )
    def test_nothing_is_minus_zero(self, low: float, high: float, shown: str) -> None:
        difference = Difference(0.0, -0.0001, -0.0001, low, high, 0.5, 0.5)
        message = judge_improvement(compared(difference)).message
        assert f" than that of control (0.000 against 0.000, 95 % CI {shown}, p 0.500, " in message

    @pytest.mark.parametrize(("low", "high"), [(0.0, 0.1), (-0.1, 0.0), (0.0, 0.0)])
    def test_an_end_at_zero_is_an_end(self, low: float, high: float) -> None:
        difference = Difference(0.8, 0.85, 0.05, low, high, 0.01, 0.01)
        verdict = judge_improvement(compared(difference))
        assert (verdict.low, verdict.high) == (low, high)
        assert f"95 % CI {low:.2f} to {high:.2f}, p 0.010" in verdict.message

    @pytest.mark.parametrize(
        ("p_value", "shown"),
        [
            (0.0, "<0.001"),
            (0.0004999, "<0.001"),
            (0.0005, "0.001"),
            (0.0014, "0.001"),
            (0.0016, "0.002"),
            (1.0, "1.000"),
        ],
    )
    def test_no_p_value_is_zero(self, p_value: float, shown: str) -> None:
        message = judge_improvement(compared(found(0.1, 0.05, p_value, adjusted=0.9))).message
        assert f", p {shown}, 0.900 over all variants, " in message

    @pytest.mark.parametrize(
        ("gain", "half", "p_value", "status"),
        [
            (0.10, 0.08, 0.05, Status.PASS),  # exactly the level
            (0.10, 0.08, 0.0501, Status.UNDECIDED),
            (0.10, 0.08 + 1e-14, 0.01, Status.PASS),  # rounding is forgiven
            (0.10, 0.08 + 1e-9, 0.01, Status.UNDECIDED),
            (-0.06, 0.08 - 1e-14, 0.01, Status.UNDECIDED),
            (-0.06, 0.08 - 1e-9, 0.01, Status.FAIL),
        ],
    )
    def test_on_the_edge(self, gain: float, half: float, p_value: float, status: Status) -> None:
        assert judge_improvement(compared(found(gain, half, p_value)), minimum=0.02).status is status

    def test_below_zero_chance_does_not_count(self) -> None:
        """What asks for no improvement needs none to be proven; zero asks for one."""
        difference = found(0.05, 0.05, 0.2)
        assert judge_improvement(compared(difference), minimum=-0.01).status is Status.PASS
        assert judge_improvement(compared(difference), minimum=0.0).status is Status.UNDECIDED

    @pytest.mark.parametrize(
        ("gain", "minimum", "words"),
        [
            (0.0, 0.0, "better by 0.000 >= 0.00 than"),
            (0.0, 0.02, "better by 0.000 < 0.02 than"),
            (0.0, -0.02, "better by 0.000 >= -0.02 than"),
            (0.02, 0.02, "better by 0.020 >= 0.02 than"),
            (0.1 - 1e-14, 0.1, "better by 0.100 >= 0.10 than"),
            (-1e-14, 0.0, "better by 0.000 >= 0.00 than"),
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

    @pytest.mark.parametrize("name", ["agreement", "pair_agreement"])
    def test_agreement_is_that_of_the_pairs(self, name: str) -> None:
        """As a gate calls it, or as the comparison does."""
        verdict = judge_improvement(compared(found(0.1, 0.05, 0.01), "pair_agreement"), name, minimum=0.03)
        assert verdict.message.startswith(f"PASS {name} of rubric_b better by 0.100 >= 0.03 than")
        assert (verdict.metric, verdict.minimum) == (name, 0.03)

    def test_how_many_more_would_decide(self) -> None:
        verdict = judge_improvement(compared(found(0.06, 0.08, 0.1)), minimum=0.02)
        assert verdict.hint == (
            "about 198 more comparisons of either variant would decide, if the difference stays where it is"
        )
        on_it = judge_improvement(compared(found(0.02, 0.08, 0.1)), minimum=0.02)
        assert on_it.hint == "the improvement lies on the minimum: no number of comparisons will decide"

    @pytest.mark.parametrize(
        ("metric", "minimum"), [("ssr", 0.0), ("kendall_tau", math.nan), ("kendall_tau", math.inf)]
    )
    def test_nonsense_is_refused(self, metric: str, minimum: float) -> None:
        with pytest.raises(UsageError) as caught:
            judge_improvement(compared(found(0.1, 0.1, 0.1)), metric, minimum)
        assert caught.value.what == f"an improvement of {metric} by {minimum} cannot be judged"
        assert caught.value.fix == "choose one of kendall_tau, direct_inversions, agreement, and a number"


class TestNothing:
    @pytest.mark.parametrize(
        ("missing", "pairs", "obstacle", "reason"),
        [
            ({"low": None, "high": None, "difference": math.nan}, 0, None, "no pair was judged by both"),
            ({"difference": math.nan}, 66, None, "it is undefined on the common pairs"),
            ({"low": None}, 66, None, "it is undefined on the common pairs"),
            ({"high": None}, 66, None, "it is undefined on the common pairs"),
            ({}, 66, "rubric_b has no anchors", "rubric_b has no anchors"),
            ({"low": None}, 0, "rubric_b has no anchors", "rubric_b has no anchors"),
        ],
    )
    def test_what_is_not_known_is_a_failure(
        self, missing: dict[str, Any], pairs: int, obstacle: str | None, reason: str
    ) -> None:
        nothing = compared(replace(found(0.5, 0.1, 0.001), **missing), "pair_agreement", pairs)
        verdict = judge_improvement(nothing, "agreement", 0.02, obstacle=obstacle)
        assert math.isnan(verdict.improvement)
        assert not verdict.passed
        assert replace(verdict, improvement=0.0) == ImprovementVerdict(
            metric="agreement",
            status=Status.FAIL,
            message=f"FAIL agreement of rubric_b not compared with control: {reason}",
            hint="a gate never passes on what was not measured",
            improvement=0.0,
            low=None,
            high=None,
            minimum=0.02,
        )


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
