"""Gates with a confidence, judged over a recorded session: decided, undecided, warned of, refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

Items = Callable[[Path], dict[str, tuple[str, dict[str, list[str]]]]]

AGAIN = ("--eng5-rejudge", "old", "-k", "baseline", "--junitxml=report.xml")
CERTAIN = "{kendall_tau: {min: 0.50, confidence: 0.95}, direct_inversions: {max: 1}}"
MILD = "{kendall_tau: {min: 0.50, confidence: 0.95, undecided: warn}, direct_inversions: {max: 1}}"


@pytest.fixture
def recorded(project: Any, recorded_session: Path) -> Any:
    """A project with a recorded session of six comparisons without an inversion in ``old/``."""
    project.inputs()
    shutil.copytree(recorded_session, project.root / "old")
    return project


def verdict_of(project: Any) -> tuple[str, str, bool]:
    """Verdict of the variant, status of its gate on tau, and whether that is tolerated."""
    summary = json.loads((project.sessions()[-1] / "summary.json").read_text())
    variant = summary["scenarios"][0]["variants"][0]
    gate = variant["gates"]["kendall_tau"]
    return variant["verdict"], gate["status"], gate["tolerated"]


def own_junit(project: Any) -> ElementTree.Element:
    return ElementTree.parse(project.sessions()[-1] / "junit/small.baseline.xml").getroot()


def test_undecided_is_a_failure_that_says_so(recorded: Any, junit_items: Items) -> None:
    recorded.scenario(thresholds=CERTAIN)
    result = recorded.inprocess(*AGAIN)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines(
        [
            "UNDECIDED kendall_tau 1.000, wanted >= 0.50 (95 % CI *, 6 comparisons; *)",
            "1 gate is undecided:",
            "  small / baseline: kendall_tau 1.000, wanted >= 0.50 *",
        ]
    )
    outcome, properties = junit_items(recorded.root / "report.xml")["baseline::kendall_tau"]
    assert (outcome, properties["status"]) == ("failure", ["UNDECIDED"])
    (failure,) = own_junit(recorded).iter("failure")
    assert failure.attrib["message"].startswith("UNDECIDED kendall_tau 1.000, wanted >= 0.50")
    assert verdict_of(recorded) == ("UNDECIDED", "UNDECIDED", False)
    report = recorded.sessions()[-1] / "small/baseline/alignment_report.md"
    assert "- UNDECIDED kendall_tau 1.000, wanted >= 0.50" in report.read_text()


def test_or_a_warning_that_cannot_be_overlooked(recorded: Any, junit_items: Items) -> None:
    recorded.scenario(thresholds=MILD)
    result = recorded.inprocess(*AGAIN)
    assert result.ret == pytest.ExitCode.OK
    counts = result.parseoutcomes()
    assert (counts["undecided"], counts["warnings"], counts["passed"]) == (1, 1, 9)
    result.stdout.fnmatch_lines(["*UndecidedGate: UNDECIDED kendall_tau 1.000*", "1 gate is undecided:"])
    outcome, properties = junit_items(recorded.root / "report.xml")["baseline::kendall_tau"]
    assert (outcome, properties["status"]) == ("passed", ["UNDECIDED"])
    assert properties["gate"][0].startswith("UNDECIDED kendall_tau")
    suite = own_junit(recorded)[0]
    own = {prop.attrib["name"]: prop.attrib["value"] for prop in suite.find("properties") or ()}
    assert (own["verdict"], own["undecided"], suite.attrib["failures"]) == ("UNDECIDED", "1", "0")
    assert verdict_of(recorded) == ("UNDECIDED", "UNDECIDED", True)


def test_where_warnings_are_errors_it_fails_in_its_own_words(recorded: Any) -> None:
    recorded.scenario(thresholds=MILD)
    result = recorded.inprocess(*AGAIN, "-W", "error::pytest.PytestWarning")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes()["failed"] == 1
    assert "Traceback" not in result.stdout.str()
    result.stdout.fnmatch_lines(["UNDECIDED kendall_tau 1.000, wanted >= 0.50 *"])


@pytest.mark.thorough
def test_the_same_in_workers(recorded: Any, junit_items: Items) -> None:
    recorded.scenario(thresholds=MILD)
    result = recorded.subprocess(*AGAIN, "-n", "2")
    assert result.ret == pytest.ExitCode.OK, result.stdout.str()
    assert result.parseoutcomes()["undecided"] == 1
    outcome, properties = junit_items(recorded.root / "report.xml")["baseline::kendall_tau"]
    assert (outcome, properties["status"]) == ("passed", ["UNDECIDED"])
    assert verdict_of(recorded) == ("UNDECIDED", "UNDECIDED", True)


def test_a_decided_gate_is_like_any_other(recorded: Any, junit_items: Items) -> None:
    recorded.scenario(thresholds="{kendall_tau: {min: -0.9, confidence: 0.5}, worst_infit: {max: 1.5}}")
    result = recorded.inprocess(*AGAIN)
    assert result.ret == pytest.ExitCode.OK, result.stdout.str()
    assert "undecided" not in result.stdout.str()
    items = junit_items(recorded.root / "report.xml")
    assert [items[f"baseline::{name}"][1]["status"] for name in ("kendall_tau", "worst_infit")] == [
        ["PASS"]
    ] * 2
    assert verdict_of(recorded) == ("PASS", "PASS", False)


@pytest.mark.parametrize(
    ("thresholds", "words"),
    [
        ("{coverage: {min: 1, confidence: 0.95}}", "coverage is a property of the comparisons made"),
        ("{split_half: {min: 0.5, confidence: 0.95}}", "split_half has no interval"),
        ("{direct_inversions: {max: 0, confidence: 0.95}}", "even without any inversion"),
        ("{agreement: {min: 0.9, confidence: 0.95}}", "by 6 comparisons, however good the judge"),
    ],
)
def test_what_could_never_be_certain_is_refused_where_it_stands(
    project: Any, thresholds: str, words: str
) -> None:
    project.scenario(thresholds=thresholds)
    (line,) = project.collection_error()[:1]
    column = f"thresholds: {thresholds}".index("0.95") + 1
    assert line.startswith(f"small.eng5.yaml:6:{column}: ")
    assert words in line


def test_repeats_count_towards_what_can_be_shown(project: Any) -> None:
    """35 comparisons without an inversion put the interval above 0.90; six runs make 36."""
    project.scenario(thresholds="{agreement: {min: 0.9, confidence: 0.95}}", more="repeats: 6")
    assert "small.eng5.yaml::baseline::agreement" in project.collect()
    project.scenario(thresholds="{first_rate: {min: 0.4, max: 0.6}}", more="repeats: 2")
    assert "small.eng5.yaml::baseline::first_rate" in project.collect()
