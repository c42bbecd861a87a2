"""Gates fed as the plugin feeds them: the scenario's thresholds, the contract's grade ranks."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path
from textwrap import dedent

import pytest

from pytest_eng5.alignment import (
    AlignmentData,
    AlignmentMetrics,
    alignment_metrics,
)
from pytest_eng5.contracts import grade_rank
from pytest_eng5.gates import (
    METRICS,
    Contradiction,
    contradictions,
    judge,
    unreachable,
)
from pytest_eng5.scenario import Variant, load_scenario

LETTERS = ["A", "A", "B", "B", "C+", "C-", "D+", "D-", "E+", "E-", "F+", "F+"]
DIGITS = ["9", "9", "8", "8", "7", "6", "5", "4", "3", "2", "1", "1"]


def variant_with(folder: Path, thresholds: str) -> Variant:
    """A scenario file with these thresholds, loaded as collection loads it."""
    anchors = folder / "inputs" / "anchors"
    anchors.mkdir(parents=True, exist_ok=True)
    for name in ("essay_01_A", "essay_02_F+"):
        (anchors / f"{name}.txt").write_text("An essay.", encoding="utf-8")
    (folder / "inputs" / "instructions.md").write_text("Compare.", encoding="utf-8")
    head = dedent(
        """\
        scenario: gated
        mode: anchor-align-test
        inputs: inputs
        course_code: ENG5
        language: en
        judge: {provider: mock, model: simulated-judge}
        variants: [{id: only}]
        thresholds:
        """
    )
    path = folder / "gated.eng5.yaml"
    path.write_text(head + "".join(f"  {line}\n" for line in thresholds.splitlines()), encoding="utf-8")
    return load_scenario(path).variants[0]


def measured(grades: list[str], games: list[tuple[int, int]]) -> AlignmentMetrics:
    names = [f"student::{k:08x}" for k in range(len(grades))]
    data = AlignmentData.build(
        ids=names,
        grades=grades,
        grade_ranks=[grade_rank(grade) for grade in grades],
        winners=[names[w] for w, _ in games],
        losers=[names[x] for _, x in games],
        first=[names[min(game)] for game in games],
    )
    return alignment_metrics(data, bootstrap=100)


def transitive(n: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(n) for j in range(i + 1, n)]


DESIGN = """\
kendall_tau: {min: 0.90}
direct_inversions: {max: 1}
zero_win_anchors: {max: 1}
upper_grade_inversions: {max: 0}"""


@pytest.mark.parametrize("grades", [LETTERS, DIGITS], ids=["letters", "digits"])
def test_the_thresholds_of_the_design_pass_on_the_best_run(tmp_path: Path, grades: list[str]) -> None:
    variant = variant_with(tmp_path, DESIGN)
    metrics = measured(grades, transitive(12))
    ranks = [grade_rank(grade) for grade in grades]
    assert len(variant.thresholds) == 4
    for threshold in variant.thresholds:
        assert unreachable(threshold, ranks) is None
        assert judge(threshold, metrics).passed
    assert contradictions(variant.thresholds, ranks, variant.comparisons_max) == []


@pytest.mark.parametrize("grades", [LETTERS, DIGITS], ids=["letters", "digits"])
def test_they_fail_on_a_judge_that_turns_everything_round(tmp_path: Path, grades: list[str]) -> None:
    variant = variant_with(tmp_path, DESIGN)
    metrics = measured(grades, [(j, i) for i, j in transitive(12)])
    status = {t.metric: judge(t, metrics).status.value for t in variant.thresholds}
    # The loser of the round-robin is an A now; there is still exactly one.
    assert status == {
        "kendall_tau": "FAIL",
        "direct_inversions": "FAIL",
        "zero_win_anchors": "PASS",
        "upper_grade_inversions": "FAIL",
    }


def test_every_metric_can_be_written_as_a_threshold(tmp_path: Path) -> None:
    variant = variant_with(tmp_path, "\n".join(f"{name}: {{min: 0, max: 0.5}}" for name in METRICS))
    metrics = measured(LETTERS, transitive(12))
    assert [judge(t, metrics).metric for t in variant.thresholds] == list(METRICS)


def test_a_misspelt_metric_is_refused_before_anything_runs(tmp_path: Path) -> None:
    variant = variant_with(tmp_path, "kendall_taus: {min: 0.9}")
    assert "did you mean 'kendall_tau'" in (unreachable(variant.thresholds[0], [0, 3]) or "")


@pytest.mark.parametrize(
    ("threshold", "possible"),
    [
        ("inversion_rate: {max: 0.5}", True),
        ("inversion_rate: {max: 0}", False),
        ("direct_inversions: {max: 0.5}", False),
        ("direct_inversions: {max: 1}", True),
        ("agreement: {min: 0.99}", True),
        ("agreement: {min: 1}", False),
    ],
)
def test_which_demands_leave_no_room_for_the_lowest_grade(
    tmp_path: Path, threshold: str, possible: bool
) -> None:
    variant = variant_with(tmp_path, f"{threshold}\nzero_win_anchors: {{max: 0}}")
    found = contradictions(variant.thresholds, [0, 3, 6, 6])
    assert (found == []) is possible


def test_two_anchors_are_enough_to_know(tmp_path: Path) -> None:
    thresholds = variant_with(tmp_path, "direct_inversions: {min: 2}\nkendall_tau: {min: 1}").thresholds
    assert unreachable(thresholds[0], [0, 3]) == (
        "direct_inversions >= 2 cannot be reached: only 1 of 1 pairs can be inverted"
    )
    assert unreachable(thresholds[1], [0, 3]) is None
    assert unreachable(thresholds[1], [3, 3]) is not None


def test_what_gates_return_cannot_be_changed(tmp_path: Path) -> None:
    verdict = judge(variant_with(tmp_path, DESIGN).thresholds[0], measured(LETTERS, transitive(12)))
    with pytest.raises(FrozenInstanceError):
        verdict.status = "PASS"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        Contradiction((), "none").reason = ""  # type: ignore[misc]
