"""Comparing outcomes: figures, pairs by name, what changed, and the correction over all candidates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import pytest

from pytest_eng5.alignment import holm
from pytest_eng5.evidence import EndReason, RunFolder
from pytest_eng5.reports import VariantOutcome, finalise_run
from pytest_eng5.reports.comparison import Pair, WantedMetric, compare_outcomes, compare_pairs
from pytest_eng5.reports.comparison_changes import LOOKED_AT, changes_between
from pytest_eng5.reports.comparison_model import ComparedCandidate, Comparison

GRADES = ("A", "A", "B", "C+", "D+", "E+")
PAIRS = tuple(combinations(range(len(GRADES)), 2))


@dataclass(frozen=True)
class Asked:
    """A block ``compare``."""

    baseline: str = "control"
    candidates: tuple[str, ...] = ("rubric_b",)
    metrics: tuple[WantedMetric, ...] = (WantedMetric("kendall_tau", 0.0),)
    confidence: float = 0.95
    undecided: Literal["fail", "warn"] = "fail"


Make = Callable[..., VariantOutcome]


def compare(*outcomes: VariantOutcome | str, **asked: Any) -> ComparedCandidate:
    """The only candidate, the second outcome, against the first."""
    names = ("control", "rubric_b")
    found = compare_outcomes("small", Asked(**asked), dict(zip(names, outcomes, strict=True)))
    return found.candidates[0]


class TestFigures:
    def test_one_turned_pair(self, made: Make) -> None:
        found = compare(made("control", [(0, 2)]), made("rubric_b"))
        assert (found.pairs, found.pairs_left_out, found.anchors) == (15, 0, 6)
        assert (found.baseline_comparisons, found.candidate_comparisons) == (15, 15)
        inversions = found.figures["direct_inversions"]
        assert (inversions.baseline, inversions.candidate, inversions.difference) == (1, 0, -1)
        agreement = found.figures["pair_agreement"]
        assert agreement.baseline == pytest.approx(13 / 14)  # the two A are no pair of different grades
        assert agreement.candidate == 1
        assert found.exact
        assert found.permutations == 2
        assert min(figure.p_value or 0 for figure in found.figures.values()) >= 0.5  # one pair proves nothing

    def test_figures_equal_those_of_the_variants(self, made: Make) -> None:
        control, other = made("control", [(0, 2), (1, 4), (3, 5)]), made("rubric_b", [(2, 3)])
        tau = compare(control, other).figures["kendall_tau"]
        assert tau.baseline == pytest.approx(control.metrics["kendall_tau"].value)
        assert tau.candidate == pytest.approx(other.metrics["kendall_tau"].value)
        assert tau.low is not None
        assert tau.high is not None
        assert tau.low < tau.difference < tau.high  # type: ignore[operator]

    def test_repeats_are_pooled(self, made: Make) -> None:
        found = compare(made("control", [(0, 2)], runs=2), made("rubric_b", runs=3))
        assert (found.baseline_comparisons, found.candidate_comparisons) == (30, 45)
        assert found.pairs == 15
        [pair] = found.differing_pairs
        assert (pair.baseline_won, pair.baseline_comparisons) == (0, 2)
        assert (pair.candidate_won, pair.candidate_comparisons) == (3, 3)

    def test_only_common_pairs_count(self, made: Make) -> None:
        found = compare(made("control", pairs=PAIRS[:-1]), made("rubric_b", pairs=PAIRS[1:]))
        assert (found.pairs, found.pairs_left_out) == (13, 2)

    def test_the_same_again_gives_the_same(self, made: Make) -> None:
        control, other = made("control", [(0, 2), (1, 4)]), made("rubric_b", [(2, 3)])
        assert compare(control, other) == compare(control, other)


class TestPairs:
    def test_they_are_named_with_grades_and_direction(self, made: Make) -> None:
        found = compare(made("control", [(0, 2)]), made("rubric_b", [(3, 5), (0, 1)]))
        told = {
            (p.better, p.worse): (p.better_grade, p.worse_grade, p.gained, p.lost)
            for p in found.differing_pairs
        }
        assert told == {
            ("anchor_01", "anchor_03"): ("A", "B", True, False),
            ("anchor_04", "anchor_06"): ("C+", "E+", False, True),
            ("anchor_01", "anchor_02"): ("A", "A", False, False),
        }

    def test_what_changed_most_comes_first_and_equal_grades_last(
        self, record: Any, judged: Any, made: Make
    ) -> None:
        half = [record(GRADES, variant="rubric_b", repeat=k) for k in (1, 2)]
        half[0].complete(discrimination=99.0, upsets=[(2, 0), (1, 0), (5, 3)])
        half[1].complete(discrimination=99.0, upsets=[(2, 0), (1, 0)])
        found = compare(made("control", runs=2), judged(*half))
        shown = [(p.better[-1], p.worse[-1], p.candidate_won) for p in found.differing_pairs]
        assert shown == [("1", "3", 0), ("4", "6", 1), ("1", "2", 0)]

    def test_more_of_the_same_is_no_difference(self, made: Make) -> None:
        found = compare(made("control", [(0, 2)]), made("rubric_b", [(0, 2)], runs=3))
        assert found.differing_pairs == ()
        assert "0 judged differently" in found.verdicts[0].message


class TestVerdicts:
    def test_each_metric_has_its_own(self, made: Make) -> None:
        metrics = (
            WantedMetric("kendall_tau", -2),
            WantedMetric("direct_inversions", 9),
            WantedMetric("agreement", 0),
        )
        found = compare(made("control", [(0, 2)]), made("rubric_b"), metrics=metrics)
        verdicts = [(v.metric, v.status, v.min_improvement) for v in found.verdicts]
        assert verdicts == [
            ("kendall_tau", "PASS", -2),
            ("direct_inversions", "FAIL", 9),
            ("agreement", "UNDECIDED", 0),
        ]
        assert found.verdicts[1].improvement == 1  # fewer is better
        assert found.verdicts[2].hint

    def test_a_clear_improvement_passes(self, made: Make) -> None:
        reversed_pairs = [pair for pair in PAIRS if pair != (0, 1)]
        found = compare(
            made("control", reversed_pairs), made("rubric_b"), metrics=(WantedMetric("kendall_tau", 0.5),)
        )
        assert found.verdicts[0].status == "PASS"
        assert found.verdicts[0].message.startswith("PASS kendall_tau of rubric_b better by ")
        back = compare(made("rubric_b2"), made("control2", reversed_pairs))
        assert back.verdicts[0].status == "FAIL"

    def test_unconnected_pairs_pass_nothing(self, made: Make) -> None:
        apart = [pair for pair in PAIRS if (pair[0] < 3) == (pair[1] < 3)]
        lowest = (WantedMetric("kendall_tau", -2),)
        found = compare(made("control", pairs=apart), made("rubric_b", pairs=apart), metrics=lowest)
        assert found.verdicts[0].status == "FAIL"
        assert (
            "control: the 6 comparisons leave the anchors in unconnected groups" in found.verdicts[0].message
        )

    def test_common_pairs_may_be_unconnected_where_none_of_both_is(self, made: Make) -> None:
        apart = [pair for pair in PAIRS if (pair[0] < 3) == (pair[1] < 3)]
        one, other = [*apart, (0, 3)], [*apart, (1, 4)]
        lowest = (WantedMetric("kendall_tau", -2),)
        found = compare(made("control", pairs=one), made("rubric_b", pairs=other), metrics=lowest)
        assert found.verdicts[0].status == "FAIL"
        assert "the 6 pairs that both judged leave the anchors in unconnected" in found.verdicts[0].message

    def test_no_common_pair_passes_nothing(self, made: Make) -> None:
        lowest = (WantedMetric("kendall_tau", -2),)
        one, other = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)], [(0, 2), (2, 4), (4, 1), (1, 3), (3, 5)]
        other = [(min(pair), max(pair)) for pair in other]
        found = compare(made("control", pairs=one), made("rubric_b", pairs=other), metrics=lowest)
        assert (found.pairs, found.problem) == (0, None)
        assert found.verdicts[0].status == "FAIL"
        assert "no pair was judged by both" in found.verdicts[0].message


class TestHolm:
    @pytest.fixture
    def four(self, made: Make) -> dict[str, VariantOutcome | str]:
        upsets = [(0, 2), (1, 4), (3, 5), (0, 4), (2, 3)]
        candidates = {name: made(name, upsets[:k]) for k, name in enumerate(("b", "c", "d"))}
        return {"control": made("control", upsets), **candidates}

    def test_p_values_are_corrected_over_all_candidates(self, four: dict[str, Any]) -> None:
        found = compare_outcomes("small", Asked(candidates=("b", "c", "d")), four)
        for figure in ("kendall_tau", "direct_inversions", "pair_agreement"):
            rows = [candidate.figures[figure] for candidate in found.candidates]
            assert [row.adjusted_p_value for row in rows] == holm([row.p_value for row in rows])  # type: ignore[misc]

    def test_one_that_failed_counts_as_the_worst_case(self, four: dict[str, Any]) -> None:
        asked = Asked(candidates=("b", "c", "d"))
        whole = compare_outcomes("small", asked, four)
        found = compare_outcomes("small", asked, {**four, "d": "run-1 ended with budget"})
        assert found.of("d").problem == "d: run-1 ended with budget"
        for name in ("b", "c"):
            now, before = (one.of(name).figures["kendall_tau"] for one in (found, whole))
            assert now.p_value == before.p_value
            assert now.adjusted_p_value >= before.adjusted_p_value  # type: ignore[operator]
        alone = compare_outcomes("small", Asked(candidates=("b",)), four)
        assert alone.of("b").figures["kendall_tau"].adjusted_p_value < (  # type: ignore[operator]
            found.of("b").figures["kendall_tau"].adjusted_p_value
        )

    def test_pairs_with_baselines_of_their_own(self, four: dict[str, Any]) -> None:
        pairs = [Pair("old", four["control"], "new", four["b"]), Pair("old", four["d"], "new", four["c"])]
        found = compare_pairs(pairs, (), 0.95)
        p_values = [one.figures["direct_inversions"].p_value for one in found]
        assert [one.figures["direct_inversions"].adjusted_p_value for one in found] == holm(p_values)  # type: ignore[arg-type]


class TestNotCompared:
    def test_a_baseline_without_runs(self, made: Make) -> None:
        found = compare("no broker", made("rubric_b"))
        assert (found.problem, found.verdicts, found.pairs) == ("control: no broker", (), 0)

    @pytest.mark.parametrize(
        ("reason", "told"),
        [
            (EndReason.IDLE_DEADLINE, "rubric_b: run-1 ended with idle_deadline: all events are in"),
            (EndReason.PIPELINE_FAILED, "rubric_b: run-1: the pipeline failed: all events are in"),
        ],
    )
    def test_a_run_that_failed(
        self, record: Any, judged: Any, made: Make, reason: EndReason, told: str
    ) -> None:
        recording = record(GRADES, variant="rubric_b")
        recording.complete(discrimination=99.0)
        finalise_run(recording.root, recording.end(reason))
        found = compare(made("control"), judged(recording))
        assert (found.problem, found.run_failed) == (told, True)

    def test_a_repeat_that_is_missing(self, record: Any, judged: Any, made: Make) -> None:
        recording = record(GRADES, variant="rubric_b")
        recording.complete(discrimination=99.0)
        found = compare(made("control"), judged(recording, repeats=2))
        assert found.problem is not None
        assert found.problem.startswith("rubric_b: run-2 was not made")

    def test_other_grades(self, record: Any, judged: Any, made: Make) -> None:
        other = record(("A", "A", "C+", "B", "D+", "E+"), variant="rubric_b").complete(discrimination=99.0)
        found = compare(made("control"), judged(other))
        assert found.problem == "anchor anchor_03 has different grades in the two runs"
        assert not found.run_failed
        assert [change.what for change in found.changes] == ["anchors with other grades"]


class TestChanges:
    def test_nothing_changed(self, made: Make) -> None:
        assert changes_between(made("control"), made("rubric_b", [(0, 2)])) == ()

    def test_everything_that_is_looked_at(self, made: Make) -> None:
        judge = {"reasoning_effort": "low", "max_tokens": 100}
        one = made("control", system_prompt="Judge.", resolved_scenario={"judge": judge})
        other = made(
            "b", rubric="Content.", language="sv", model="gpt-5.1", provider="openai", temperature=None
        )
        found = {change.what: (change.baseline, change.candidate) for change in changes_between(one, other)}
        assert found.pop("system prompt")[1] == "the service's own"
        assert found.pop("rubric")[0] == "none"
        assert found == {
            "judge provider": ("anthropic", "openai"),
            "judge model": ("claude-haiku-4-5-20251001", "gpt-5.1"),
            "judge temperature": ("0.1", "default"),
            "judge max_tokens": ("100", "default"),
            "judge reasoning_effort": ("low", "default"),
            "task language": ("en", "sv"),
        }

    def test_the_simulated_judge_is_looked_at_only_where_it_judges(self, made: Make) -> None:
        judges = [{"judge": {"mock": {"discrimination": value}}} for value in (1.0, 4.0)]
        one, other = (made(f"v{k}", resolved_scenario=judge) for k, judge in enumerate(judges))
        assert changes_between(one, other) == ()
        mocks = [made(f"m{k}", resolved_scenario=judge, provider="mock") for k, judge in enumerate(judges)]
        [change] = changes_between(*mocks)
        assert (change.what, change.baseline, change.candidate) == ("judge mock.discrimination", "1", "4")

    def test_who_really_judged(self, record: Any, judged: Any, made: Make) -> None:
        other = record(GRADES, variant="b")
        other.complete(discrimination=99.0, model="another-model")
        [change] = changes_between(made("control"), judged(other))
        assert change.what == "judge seen in callbacks"
        assert change.candidate == "anthropic another-model"

    def test_anchors_in_one_only(self, record: Any, judged: Any, made: Make) -> None:
        more = record((*GRADES, "F+"), variant="b").complete(discrimination=99.0)
        [change] = changes_between(made("control"), judged(more))
        assert (change.what, change.baseline, change.candidate) == (
            "anchors in one only",
            "none",
            "anchor_07",
        )

    def test_every_change_is_about_something_that_is_looked_at(self, made: Make) -> None:
        one = made("control", system_prompt="Judge.", rubric="Content.")
        other = made("b", language="sv", model="x")
        for change in changes_between(one, other):
            assert sum(change.what.startswith(name) for name in LOOKED_AT) == 1, change


def test_the_document_is_read_back_as_it_was(made: Make) -> None:
    control, other = made("control", [(0, 2)]), made("rubric_b")
    found = compare_outcomes("small", Asked(), {"control": control, "rubric_b": other})
    assert Comparison.model_validate_json(found.model_dump_json()) == found
    assert RunFolder(control.runs[0].root).manifest.exists()
