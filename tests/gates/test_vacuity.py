"""A gate never passes on nothing (design section 9, defects R14 and R15)."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_eng5.gates import METRICS, Status, judge

GRADED = sorted(name for name, info in METRICS.items() if info.needs in ("decidable", "upper"))
ALWAYS = {"min": -1e9, "max": 1e9}


def reasons(limit, metrics, names=None) -> dict[str, str]:
    """The reason per metric, of gates whose thresholds would let any number pass."""
    found = {}
    for name in names or METRICS:
        verdict = judge(limit(name, **ALWAYS), metrics)
        assert verdict.status is Status.FAIL, verdict.message
        assert verdict.message.startswith(f"FAIL {name} not measured: {verdict.reason} (")
        assert verdict.hint == "a gate never passes on what was not measured"
        found[name] = verdict.reason or ""
    return found


def all_say(limit, metrics, *words: str) -> None:
    for name, reason in reasons(limit, metrics).items():
        for word in words:
            assert word in reason, f"{name}: {reason}"


def test_no_comparisons(limit, measured) -> None:
    all_say(limit, measured(["A", "B", "C"], []), "no comparison between the 3 anchors succeeded")


@pytest.mark.parametrize(("grades", "words"), [([], "0 anchors"), (["A"], "1 anchor")])
def test_fewer_than_two_anchors(limit, measured, grades: list[str], words: str) -> None:
    all_say(limit, measured(grades, []), words)


def test_an_unknown_grade(limit, measured, full_round) -> None:
    metrics = measured(["A", "B", None], full_round(3))
    all_say(limit, metrics, "the grade of 1 of 3 anchors (a2) is unknown")


def test_all_grades_unknown_is_the_vacuous_success_of_r14(limit, measured, full_round) -> None:
    """The old report gave tau 1.00 and no inversions here."""
    all_say(limit, measured([None] * 12, full_round(12)), "12 of 12 anchors (a0, a1, a2, a3, a4, ..)")


def test_five_names_are_shown_in_full(limit, measured) -> None:
    metrics = measured([None] * 5, [(0, 1)])
    assert (
        judge(limit("ssr", min=0), metrics).reason
        == "the grade of 5 of 5 anchors (a0, a1, a2, a3, a4) is unknown"
    )


def test_an_anchor_without_a_comparison(limit, measured) -> None:
    all_say(limit, measured(["A", "B", "C"], [(0, 1)]), "1 of 3 anchors (a2) took part in no comparison")


def test_an_anchor_compared_only_with_an_unknown_grade(limit, measured) -> None:
    all_say(limit, measured(["A", "B", "C", None], [(0, 1), (2, 3)]), "(a3) is unknown")


def test_a_disconnected_graph(limit, measured) -> None:
    all_say(limit, measured(["A", "B", "C", "D"], [(0, 1), (2, 3)]), "2 comparisons", "unconnected groups")


def test_all_the_same_grade(limit, measured, full_round) -> None:
    metrics = measured(["B"] * 4, full_round(4))
    for reason in reasons(limit, metrics, GRADED).values():
        assert reason == "all 4 anchors have the same grade"
    assert judge(limit("zero_win_anchors", max=1), metrics).passed
    assert judge(limit("coverage", min=1), metrics).passed


def test_no_comparison_between_different_grades(limit, measured) -> None:
    """Connected it cannot be then, so this reason needs a graph that says it is."""
    metrics = measured(["A", "A", "B", "B"], [(0, 1), (2, 3)])
    for reason in reasons(limit, metrics, GRADED).values():
        assert "unconnected" in reason


def test_no_upper_grade(limit, measured, full_round) -> None:
    metrics = measured(["C", "D", "E"], full_round(3))
    reason = reasons(limit, metrics, ["upper_grade_inversions"])["upper_grade_inversions"]
    assert reason == "no comparison was between a grade A or B and a lower one"
    assert judge(limit("direct_inversions", max=0), metrics).passed


def test_only_upper_grades_of_one_kind(limit, measured, full_round) -> None:
    metrics = measured(["A", "B"], full_round(2))
    assert judge(limit("upper_grade_inversions", max=0), metrics).passed


def test_no_pair_in_both_orders(limit, measured, full_round) -> None:
    metrics = measured(["A", "B", "C"], full_round(3))
    assert reasons(limit, metrics, ["flip_rate"])["flip_rate"] == "no pair was seen in both orders"
    both = measured(["A", "B", "C"], [*full_round(3), (0, 1, "B")])
    assert judge(limit("flip_rate", max=0.5), both).passed


def test_equal_scores_have_no_tau_and_no_reliability(limit, measured) -> None:
    metrics = measured(["A", "B", "C"], [(0, 1), (1, 2), (2, 0)])
    found = reasons(limit, metrics, ["kendall_tau", "ssr"])
    assert all("undefined" in reason for reason in found.values())


def test_a_sound_run_is_judged(limit, perfect) -> None:
    for name in METRICS:
        verdict = judge(limit(name, **ALWAYS), perfect)
        assert verdict.passed == (METRICS[name].needs != "both_orders"), verdict.message


GRADES = st.lists(st.sampled_from(["A", "B", "C", "E", None]), min_size=0, max_size=5)
GAMES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=10)


@given(GRADES, GAMES)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_passes_was_measured(limit, measured, grades, games) -> None:
    """Independently of the gate: what must be true of the comparisons if any gate passes."""
    n = len(grades)
    games = [(w, x) for w, x in games if w != x and max(w, x) < n]
    metrics = measured(grades, games, bootstrap=0)
    passed = [name for name in METRICS if judge(limit(name, **ALWAYS), metrics).passed]
    if not passed:
        return
    assert None not in grades
    assert n >= 2
    groups = [{k} for k in range(n)]
    for w, x in games:
        joined = next(g for g in groups if w in g) | next(g for g in groups if x in g)
        groups = [g for g in groups if not g & joined] + [joined]
    assert len(groups) == 1
    if set(passed) & set(GRADED):
        assert any(grades[w] != grades[x] for w, x in games)
    if "upper_grade_inversions" in passed:
        assert any({grades[w], grades[x]} & {"A", "B"} and grades[w] != grades[x] for w, x in games)
    if "flip_rate" in passed:
        assert any((x, w) in games for w, x in games)  # the first is essay A in all of them
