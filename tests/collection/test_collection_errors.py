"""What cannot be run is refused at collection: one clean block with file, line and column."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def _replace(old: str, new: str) -> Callable[[Any, Path], None]:
    def plant(project: Any, path: Path) -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return plant


def _empty_essay(project: Any, path: Path) -> None:
    (project.root / "inputs/anchors/text_2.txt").write_text("  \n")


def _unknown_grade(project: Any, path: Path) -> None:
    table = project.root / "inputs/anchors.csv"
    table.write_text(table.read_text().replace("C+", "Q"))


CONTRADICTION = _replace(
    "direct_inversions: {max: 1}", "direct_inversions: {max: 0}, zero_win_anchors: {max: 0}"
)
CASES = {
    "typo in a key": (
        _replace("thresholds:", "treshold:"),
        "small.eng5.yaml:6:1",
        "did you mean 'thresholds'",
    ),
    "missing prompt": (_replace("system.txt", "gone.txt"), "small.eng5.yaml:8:35", "gone.txt"),
    "empty essay": (_empty_essay, r"inputs/anchors/text_2.txt:\d+:\d+", "empty"),
    "unknown grade": (_unknown_grade, r"inputs/anchors.csv:3:\d+", "'Q'"),
    "unreachable": (_replace("min: 0.90", "min: 1.01"), "small.eng5.yaml:6:33", "kendall_tau"),
    "contradiction": (CONTRADICTION, r"small.eng5.yaml:6:\d+", "zero_win_anchors"),
    "unknown metric": (_replace("kendall_tau:", "kendal_tau:"), r"small.eng5.yaml:6:\d+", "kendall_tau"),
    "no YAML": (_replace("timeout: {", "timeout: {{"), r"small.eng5.yaml:\d+:\d+", ""),
    "nothing to compare with": (
        _replace("mode: anchor-align-test", "compare: {baseline: baseline}"),
        r"small.eng5.yaml:\d+:1",
        "a single variant",
    ),
    "a threshold without anchors": (
        _replace("anchor-align-test", "execute"),
        r"small.eng5.yaml:6:\d+",
        "without an assignment there are no anchors to judge",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_refused_with_file_line_and_column(project: Any, name: str) -> None:
    plant, place, words = CASES[name]
    plant(project, project.scenario())
    block = project.collection_error()
    assert re.match(f"{place}: ", block[0]), block
    assert words in "\n".join(block)
    assert len(block) <= 6, block
    assert not any(re.match(r"(E  |>|.*\.py:\d+)", line) for line in block), block
    assert not (project.root / ".eng5").exists()


@pytest.mark.parametrize("name", ["typo in a key", "unreachable"])
def test_a_refused_file_is_an_error_in_junit(project: Any, name: str) -> None:
    plant, place, words = CASES[name]
    plant(project, project.scenario())
    result = project.inprocess("--junitxml=report.xml")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    suite = ET.parse(project.root / "report.xml").getroot().find("testsuite")
    assert suite is not None
    assert suite.attrib["errors"] == "1"
    error = suite.find("testcase/error")
    assert error is not None
    assert re.match(place, error.text or ""), error.text
    assert words in (error.text or "")


def test_all_mistakes_of_a_file_are_told_at_once(project: Any) -> None:
    path = project.scenario()
    path.write_text(path.read_text().replace("mode:", "mood:").replace("inputs:", "input:"))
    text = "\n".join(project.collection_error())
    assert "small.eng5.yaml:2:1: " in text
    assert "small.eng5.yaml:3:1: " in text


def test_a_broken_file_does_not_hide_the_others(project: Any) -> None:
    broken = project.scenario("broken")
    broken.write_text("scenario: [")
    project.scenario("sound")
    result = project.inprocess("--collect-only", "-q")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert sum(line.startswith("sound.eng5.yaml::") for line in result.outlines) == 10


def test_nothing_is_started_when_a_file_is_broken(project: Any) -> None:
    broken = project.scenario("broken")
    broken.write_text("scenario: [")
    project.scenario("sound")
    result = project.inprocess()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert not (project.root / ".eng5").exists()


def test_an_equal_unreachable_threshold_of_many_variants_is_told_once(project: Any) -> None:
    project.scenario(variants=("one", "two", "three"), thresholds="{kendall_tau: {min: 1.01}}")
    text = "\n".join(project.collection_error())
    assert text.count("kendall_tau") <= 2
