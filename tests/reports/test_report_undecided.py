"""Undecided gates and odd anchors in what is written and shown: words, exit status, what is recorded."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pytest_eng5.cli import app
from pytest_eng5.reports import Criteria, alignment_markdown, recorded_criteria, session_text
from pytest_eng5.reports.judgement import judge_named

WHEN = datetime(2026, 3, 1, tzinfo=UTC)
STRICT = {"kendall_tau": {"min": 0.75, "confidence": 0.95}}
MILD = {"kendall_tau": {"min": 0.75, "confidence": 0.95, "undecided": "warn"}}


def check(folder: Path, *more: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["check", str(folder), *more])
    return result.exit_code, result.output


@pytest.mark.parametrize(("thresholds", "status"), [(STRICT, 3), (MILD, 0)])
def test_a_recorded_run_is_checked_by_the_confidence_it_was_made_with(
    record: Any, judged: Any, thresholds: dict[str, Any], status: int
) -> None:
    run = record(resolved_scenario={"thresholds": thresholds}).complete(discrimination=0.3)
    judged(run)
    code, said = check(run.root.parent)
    assert code == status, said
    assert "UNDECIDED kendall_tau" in said
    assert ("a warning only (undecided: warn); " in said) == (thresholds is MILD)
    assert "would decide, if the value stays where it is" in said


def test_what_failed_goes_before_what_is_undecided(record: Any, judged: Any) -> None:
    thresholds = {**MILD, "direct_inversions": {"max": 0}}
    run = record(resolved_scenario={"thresholds": thresholds}).complete(discrimination=0.3)
    judged(run)
    assert check(run.root.parent)[0] == 1


def test_criteria_survive_their_file(record: Any) -> None:
    """What a worker writes for the controller, and what a plan has recorded."""
    criteria = Criteria.from_dict({"thresholds": {**MILD, "ssr": {"max": 0.9}}})
    again = Criteria.from_dict(json.loads(json.dumps(criteria.to_dict())))
    assert again == criteria
    tau, ssr = again.thresholds
    assert (tau.min, tau.max, tau.confidence, tau.undecided) == (0.75, None, 0.95, "warn")
    assert (ssr.min, ssr.max, ssr.confidence, ssr.undecided) == (None, 0.9, None, None)
    run = record(resolved_scenario={"thresholds": MILD})
    assert recorded_criteria(run.root.parent).thresholds == (tau,)


@pytest.mark.parametrize("undecided", [None, "fail", "warn"])
def test_what_the_item_says(record: Any, checks: Any, judged: Any, limit: Any, undecided: str | None) -> None:
    limits = [limit("kendall_tau", min=0.75, confidence=0.95, undecided=undecided)]
    outcome = judged(record().complete(discrimination=0.3), limits=limits, bootstrap=200)
    said = judge_named("kendall_tau", outcome, None)
    assert said.status == "UNDECIDED"
    assert (said.wrong is None) == (undecided == "warn")
    assert (said.warning is None) == (undecided != "warn")
    text = said.wrong or said.warning or ""
    assert text.startswith("UNDECIDED kendall_tau 0.")
    assert "wanted >= 0.75 (95 % CI " in text
    assert "more would decide)" in text
    (line,) = [t for t in session_text(outcome.root, [outcome]) if t.startswith("baseline: UNDECIDED")]
    assert line == f"baseline: {outcome.verdicts[0].message}"


class TestAnchors:
    @pytest.fixture
    def odd(self, record: Any, checks: Any, judged: Any) -> Any:
        """The seventh of twelve beats the best three and loses to the worst three; the last but one to F+."""
        run = record()
        for i, j in combinations(range(12), 2):
            upset = (j == 6 and i < 3) or (i == 6 and j > 8) or i == 9
            for _ in range(3):
                run.callback(i, j, not upset)
        return judged(run)

    def test_what_is_odd_is_told_in_words(self, odd: Any) -> None:
        text = alignment_markdown(odd, WHEN)
        assert (
            "- anchor_10 (E-) lost all 6 comparisons against lower grades: it may be graded too high. "
            "One judge's doubt is no proof; ask an expert to read it again."
        ) in text
        assert "- anchor_07 (D+) lost 9 of 15 comparisons against lower grades" in text
        rows = [line for line in text.splitlines() if line.startswith("| anchor_07 | D+")]
        assert rows[1].endswith("| 9 of 15 | 9 of 18 | misfits, graded too high? |")
        assert "- anchor_07 (D+) misfits: its infit" in text
        assert "No anchor misfits" not in text

    def test_and_in_the_file(self, odd: Any) -> None:
        quality = odd.to_dict()["alignment"]["quality"]
        assert quality["misfitting"] == ["anchor_07"]
        assert quality["anchors"][9]["suspicion"] == "graded too high"
        assert quality["split_half"]["splits"] == 100
        assert "values" not in quality
        json.dumps(odd.to_dict(), allow_nan=False)

    def test_nothing_is_told_of_groups_that_never_met(self, record: Any, checks: Any, judged: Any) -> None:
        run = record(("A", "B", "C", "D"))
        for pair in ((0, 1), (0, 1), (2, 3), (2, 3)):
            run.callback(*pair, False)
        text = alignment_markdown(judged(run), WHEN)
        assert "graded too high. One judge" not in text
        assert "No anchor misfits" not in text
        assert "| Infit of the judge | not available: the 4 comparisons leave the anchors" in text
