"""The items of a block ``compare``: collected, judged over recorded runs, reported."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Items = Callable[[Path], dict[str, tuple[str, dict[str, list[str]]]]]
BOTH = ("baseline", "other")


def scenario(project: Any, compare: str, variants: tuple[str, ...] = BOTH) -> Path:
    """The scenario that was recorded, with a block for its variants."""
    path: Path = project.scenario(variants=variants, thresholds="{}", more=f"compare: {compare}")
    return path


@pytest.fixture
def recorded(project: Any, recorded_session: Path) -> Any:
    """A project with a recorded session of two variants in ``old/``, whose judges agree with the grades."""
    shutil.copytree(recorded_session, project.root / "old")
    return project


def summary(project: Any) -> list[dict[str, Any]]:
    """Comparisons in the summary of the last session."""
    document = json.loads((project.sessions()[-1] / "summary.json").read_text())
    return list(document["comparisons"])


class TestCollecting:
    def test_an_item_per_candidate_and_figure(self, project: Any) -> None:
        block = "{baseline: b, metrics: {kendall_tau: {}, direct_inversions: {}}}"
        scenario(project, block, ("a", "b", "c"))
        names = [name for name in project.collect() if "::compare::" in name]
        assert names == [
            f"small.eng5.yaml::compare::{candidate}::{metric}"
            for candidate in ("a", "c")
            for metric in ("kendall_tau", "direct_inversions")
        ]

    def test_they_come_last_and_can_be_chosen(self, project: Any) -> None:
        scenario(project, "{baseline: baseline}")
        everything = project.collect()
        assert everything[-1] == "small.eng5.yaml::compare::other::kendall_tau"
        assert project.collect("-k", "compare") == everything[-1:]
        assert project.collect("small.eng5.yaml::compare::other") == everything[-1:]

    def test_collecting_starts_nothing(self, project: Any) -> None:
        scenario(project, "{baseline: baseline}")
        project.collect()
        assert not (project.root / ".eng5").exists()

    def test_marks_of_every_variant_whose_run_is_needed(self, project: Any) -> None:
        project.ini("markers =", "    dear: costs money")
        path = scenario(project, "{baseline: baseline}")
        path.write_text(path.read_text().replace("{id: other,", "{id: other, marks: [dear],"))
        assert not [name for name in project.collect("-m", "not dear") if "compare" in name]

    def test_more_than_prompts_is_a_warning(self, project: Any) -> None:
        path = scenario(project, "{baseline: baseline}")
        text = path.read_text().replace(
            "{id: other, system_prompt: prompts/system.txt", "{id: other, judge: {model: x}"
        )
        path.write_text(text)
        result = project.inprocess("--collect-only", "-q")
        told = "baseline and other differ besides their prompts in judge.model"
        result.stdout.fnmatch_lines([f"*MoreThanPrompts: small.eng5.yaml:10:5: {told}*"])

    def test_other_anchors_are_refused(self, project: Any) -> None:
        project.inputs("others", grades=("A", "B", "E+", "F+"))
        path = scenario(project, "{baseline: baseline}")
        path.write_text(path.read_text().replace("{id: other,", "{id: other, inputs: others,"))
        lines = project.collection_error()
        assert lines[0].startswith(
            "small.eng5.yaml:10:5: other and baseline do not have the same anchors: anchor_2 has grade C+ in"
        )

    def test_an_unknown_baseline_is_refused_with_a_hint(self, project: Any) -> None:
        scenario(project, "{baseline: basline}")
        lines = project.collection_error()
        assert lines[0] == "small.eng5.yaml:7:21: there is no variant 'basline'"
        assert lines[1].strip().startswith("fix: did you mean 'baseline'?")


class TestJudged:
    """Two variants without any difference: the interval of it is about -1 to 1."""

    def test_everything_that_is_told(self, recorded: Any, junit_items: Items) -> None:
        metrics = (
            "{kendall_tau: {min_improvement: 0.02}, direct_inversions: {min_improvement: -5}, agreement: {}}"
        )
        scenario(recorded, f"{{baseline: baseline, metrics: {metrics}}}")
        result = recorded.inprocess("--eng5-rejudge", "old", "--junitxml=report.xml", "-rA")
        text = result.stdout.str()
        assert result.ret == pytest.ExitCode.TESTS_FAILED, text
        result.stdout.fnmatch_lines(
            [
                "UNDECIDED kendall_tau of other better by 0.000 < 0.02 than that of baseline (*",
                "2 gates are undecided:",
                "  small / compare: kendall_tau of other better by 0.000 < 0.02 than that of baseline (*)",
                "  small / compare: agreement of other better by 0.000 *)",
            ]
        )
        assert "small: compared with baseline" in text
        rows = [line.split() for line in text.splitlines() if line.strip().startswith("other  ")]
        assert sorted(row[-1] for row in rows[-3:]) == ["PASS", "UNDECIDED", "UNDECIDED"]
        assert "same prompts, rubric, judge, anchors and task" in text

        items = junit_items(recorded.root / "report.xml")
        outcome, properties = items["other::kendall_tau"]
        assert outcome == "failure"
        assert properties["item"] == ["compare"]
        assert properties["baseline"] == ["baseline"]
        assert properties["status"] == ["UNDECIDED"]
        assert properties["min_improvement"] == ["0.02"]
        assert properties["what_differs"] == ["nothing"]
        assert properties["line"] == ["7"]
        assert items["other::direct_inversions"][0] == "passed"

        [session] = recorded.sessions()
        suite = ET.parse(session / "junit" / "small.compare.xml").getroot()[0]
        assert (suite.attrib["tests"], suite.attrib["failures"]) == ("3", "2")
        other = ET.parse(session / "junit" / "small.other.xml").getroot()[0]
        assert {case.attrib["name"] for case in other.iter("testcase")} >= {"run", "manifest"}
        assert "agreement" not in {case.attrib["name"] for case in other.iter("testcase")}
        report = json.loads((session / "small" / "comparison_report.json").read_text())
        assert report["candidates"][0]["pairs"] == 6
        assert (session / "small" / "comparison_report.md").is_file()
        assert [row["metric"] for row in summary(recorded)] == [
            "kendall_tau",
            "direct_inversions",
            "agreement",
        ]

    @pytest.mark.parametrize(
        ("minimum", "word"),
        [("-2", "PASS"), ("1.9", "FAIL kendall_tau of other better by 0.000 < 1.90 than that")],
    )
    def test_only_the_comparison_is_selected(self, recorded: Any, minimum: str, word: str) -> None:
        scenario(recorded, "{baseline: baseline}")
        words = ("-k", "compare", "--eng5-set", f"compare.min_improvement={minimum}")
        result = recorded.inprocess("--eng5-rejudge", "old", *words)
        text = result.stdout.str()
        assert word in text
        assert result.parseoutcomes()["passed" if word == "PASS" else "failed"] == 1
        document = json.loads((recorded.sessions()[0] / "summary.json").read_text())
        assert [v["variant"] for v in document["scenarios"][0]["variants"]] == list(BOTH)
        assert document["comparisons"][0]["status"] == word.split()[0]

    def test_undecided_as_a_warning(self, recorded: Any) -> None:
        scenario(recorded, "{baseline: baseline, undecided: warn}")
        result = recorded.inprocess("--eng5-rejudge", "old", "-k", "compare")
        assert result.ret == pytest.ExitCode.OK
        result.assert_outcomes(warnings=1)
        assert result.parseoutcomes()["undecided"] == 1
        result.stdout.fnmatch_lines(
            [
                "*UndecidedComparison: UNDECIDED kendall_tau of other better by*",
                "1 gate is undecided:",
                "  small / compare: kendall_tau of other better by *), only warned of",
            ]
        )
        strict = recorded.inprocess("--eng5-rejudge", "old", "-k", "compare", "-W", "error")
        strict.assert_outcomes(failed=1)
        strict.stdout.fnmatch_lines(["UNDECIDED kendall_tau of other better by *"])

    def test_a_rerun_judges_the_same_again(self, recorded: Any) -> None:
        scenario(recorded, "{baseline: baseline}")
        result = recorded.inprocess("--eng5-rejudge", "old", "-k", "compare", "--reruns", "1")
        assert result.parseoutcomes() == {"failed": 1, "rerun": 1, "deselected": 16}
        assert result.stdout.str().count("pairs judged differently: 0 of 6") == 1

    def test_a_run_that_is_missing_is_skipped_where_it_is_told(self, recorded: Any) -> None:
        shutil.rmtree(recorded.root / "old/small/other")
        scenario(recorded, "{baseline: baseline}")
        result = recorded.inprocess("--eng5-rejudge", "old", "-rs")
        assert result.parseoutcomes()["errors"] == 1
        result.stdout.fnmatch_lines(["SKIPPED*run failed: other: *no run of small / other is recorded there"])
        assert "other: not compared: other: " in result.stdout.str()

    def test_nobody_else_would_tell_it(self, recorded: Any) -> None:
        shutil.rmtree(recorded.root / "old/small/other")
        scenario(recorded, "{baseline: baseline}")
        result = recorded.inprocess("--eng5-rejudge", "old", "-k", "compare")
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        assert result.parseoutcomes()["errors"] == 1
        assert "run failed: other: " in result.stdout.str()

    def test_what_cannot_be_compared_is_no_skip(self, recorded: Any) -> None:
        plan = recorded.root / "old/small/other/run-1/plan.json"
        plan.write_text(plan.read_text().replace('"grade": "C+"', '"grade": "B"'))
        scenario(recorded, "{baseline: baseline, min_improvement: -2}")
        result = recorded.inprocess("--eng5-rejudge", "old", "-k", "compare or run")
        assert result.parseoutcomes()["failed"] == 1
        result.stdout.fnmatch_lines(
            ["FAIL kendall_tau of other not compared with baseline: anchor anchor_2 has different grades*"]
        )

    @pytest.mark.thorough
    def test_in_workers(self, recorded: Any) -> None:
        metrics = "{kendall_tau: {min_improvement: -2}, agreement: {min_improvement: 1}}"
        scenario(recorded, f"{{baseline: baseline, metrics: {metrics}}}")
        result = recorded.subprocess("--eng5-rejudge", "old", "-n", "2", "-k", "compare")
        text = result.stdout.str()
        assert result.parseoutcomes() == {"passed": 1, "failed": 1}, text
        assert "small: compared with baseline" in text
        assert {row["status"] for row in summary(recorded)} == {"PASS", "FAIL"}
        suite = ET.parse(recorded.sessions()[0] / "junit" / "small.compare.xml").getroot()[0]
        assert suite.attrib["tests"] == "2"
