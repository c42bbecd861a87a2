"""A comparison in words and files: terminal, Markdown, JSON, JUnit, summary."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pytest

from pytest_eng5.reports import write_summary
from pytest_eng5.reports.comparison import WantedMetric
from pytest_eng5.reports.comparison_changes import LOOKED_AT
from pytest_eng5.reports.comparison_model import ComparedCandidate, ComparedFigure, ComparedPair, Comparison
from pytest_eng5.reports.comparison_report import (
    comparison_markdown,
    read_comparisons,
    write_comparison_report,
)
from pytest_eng5.reports.comparison_session import (
    compare_of,
    comparison_lines,
    exit_status_of,
    write_comparison,
)
from pytest_eng5.reports.comparison_text import candidate_text, changes_text, comparison_table, pair_text

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
MOMENT = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Place:
    path: Path
    line: int


@dataclass(frozen=True)
class Asked:
    """A block ``compare`` in a file."""

    location: Place
    baseline: str = "control"
    candidates: tuple[str, ...] = ("rubric_b",)
    metrics: tuple[WantedMetric, ...] = (
        WantedMetric("kendall_tau", 0.0),
        WantedMetric("direct_inversions", 9),
    )
    confidence: float = 0.95
    undecided: Literal["fail", "warn"] = "fail"

    @property
    def variants(self) -> tuple[str, ...]:
        return (self.baseline, *self.candidates)


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    return Asked(Place(tmp_path / "small.eng5.yaml", 7))


@pytest.fixture
def found(made: Any, asked: Asked) -> Comparison:
    """One pair of fifteen was judged otherwise, under another rubric."""
    comparison = compare_of(asked, [made("control", [(0, 2)]), made("rubric_b", rubric="Content.")])
    assert comparison is not None
    return comparison


class TestTerminal:
    def test_the_table(self, found: Comparison) -> None:
        lines = comparison_table(found)
        assert lines[0] == "anchor_align: compared with control"
        head = "candidate figure baseline its own better by (95 % CI) p differing verdict"
        assert " ".join(lines[1].split()) == head
        tau, inversions = (line.split() for line in lines[2:])
        assert tau[:2] == ["rubric_b", "tau-b"]
        p_value = found.candidates[0].figures["kendall_tau"].p_value
        assert tau[-3:] == [f"{p_value:.3f}", "1/15", "UNDECIDED"]
        assert inversions[1:6] == ["direct", "inversions", "1", "0", "+1"]
        assert inversions[-1] == "FAIL"

    def test_what_was_not_compared_is_said(self, found: Comparison) -> None:
        failed = ComparedCandidate(candidate="x", problem="x: run-1 ended\nwith budget", run_failed=True)
        lines = comparison_table(found.model_copy(update={"candidates": (failed,)}))
        assert lines == [
            "anchor_align: compared with control",
            "  x: not compared: x: run-1 ended with budget",
        ]

    def test_long_names_are_cut(self, found: Comparison) -> None:
        long = found.candidates[0].model_copy(update={"candidate": "a" * 60})
        table = comparison_table(found.model_copy(update={"candidates": (long,)}))
        assert f"  {'a' * 20}..  tau-b" in table[2]

    def test_what_belongs_to_one_candidate(self, found: Comparison) -> None:
        lines = candidate_text(found, found.candidates[0])
        assert lines[0] == (
            "rubric_b against control: 6 anchors, 15 anchor pairs that both judged, 15 and 15 comparisons"
        )
        assert lines[5] == "what differs between them:"
        assert lines[6].startswith("  rubric: none -> prompts/rubric.txt (sha256 ")
        assert lines[7:] == [
            "pairs judged differently: 1 of 15 (1 nearer to the grades, 0 further from them)",
            "  anchor_01 (A) beat anchor_03 (B): 0 of 1 -> 1 of 1, nearer",
        ]

    def test_chance_is_called_chance(self, found: Comparison) -> None:
        same = found.candidates[0].model_copy(update={"changes": ()})
        assert any("what differs between them is chance" in line for line in candidate_text(found, same))

    def test_all_that_is_looked_at_is_told(self, found: Comparison) -> None:
        lines = changes_text(found.candidates[0].changes)
        assert [line.strip().split(":")[0] for line in lines] == ["what changed", *LOOKED_AT]
        assert sum(line.endswith(": same") for line in lines) == 6

    def test_many_pairs_are_counted(self, found: Comparison) -> None:
        [pair] = found.candidates[0].differing_pairs
        many = found.candidates[0].model_copy(update={"differing_pairs": (pair,) * 14})
        assert candidate_text(found, many)[-1] == "  ... and 2 more"

    def test_a_small_p_is_no_zero(self, found: Comparison) -> None:
        figure = found.candidates[0].figures["kendall_tau"].model_copy(update={"adjusted_p_value": 0.0001})
        figures = {**found.candidates[0].figures, "kendall_tau": figure}
        candidate = found.candidates[0].model_copy(update={"figures": figures})
        assert " <0.001 " in comparison_table(found.model_copy(update={"candidates": (candidate,)}))[2]


def test_pairs_of_equal_grades_have_no_direction() -> None:
    pair = ComparedPair(
        better="x\ny",
        better_grade="A",
        worse="z",
        worse_grade="A",
        baseline_won=2,
        baseline_comparisons=2,
        candidate_won=0,
        candidate_comparisons=3,
    )
    assert pair_text(pair) == "x y (A) beat z (A): 2 of 2 -> 0 of 3, equal grades"
    assert not pair.gained
    assert not pair.lost


class TestFiles:
    def test_the_report_is_read_back_and_satisfies_its_schema(
        self, found: Comparison, tmp_path: Path
    ) -> None:
        write_comparison_report(tmp_path, found, generated=MOMENT)
        path = tmp_path / "anchor_align" / "comparison_report.json"
        schema = json.loads((SCHEMAS / "comparison.schema.json").read_bytes())
        jsonschema.Draft202012Validator(schema).validate(json.loads(path.read_bytes()))
        assert read_comparisons(tmp_path) == [found]
        assert path.with_suffix(".md").read_text() == comparison_markdown(found, MOMENT)

    def test_a_report_that_is_none_is_passed_over(self, tmp_path: Path) -> None:
        (tmp_path / "x").mkdir()
        (tmp_path / "x" / "comparison_report.json").write_text("{}")
        assert read_comparisons(tmp_path) == []

    def test_the_markdown(self, found: Comparison) -> None:
        text = comparison_markdown(found, MOMENT)
        assert text.startswith("# Comparison Report: anchor_align\n")
        assert "UNDECIDED kendall_tau of rubric_b better by" in text
        assert "| direct inversions | 1 | 0 |" in text
        assert "| rubric | none | prompts/rubric.txt (sha256 " in text
        assert "### Pairs judged differently: 1 of 15" in text
        assert "| anchor_01 (A) | anchor_03 (B) | 0 of 1 | 1 of 1 | nearer |" in text
        assert "Holm) for all" not in text  # one candidate needs no correction

    def test_names_of_others_are_no_markup(self, found: Comparison) -> None:
        evil = found.candidates[0].model_copy(update={"candidate": "<b>|x", "problem": "[a](b)"})
        text = comparison_markdown(found.model_copy(update={"candidates": (evil,)}), MOMENT)
        assert "<b>" not in text
        assert "[a](b)" not in text

    def test_undefined_figures_are_null_and_not_available(self, found: Comparison, tmp_path: Path) -> None:
        nothing = ComparedFigure.model_validate(dict.fromkeys(ComparedFigure.model_fields))
        figures = dict.fromkeys(found.candidates[0].figures, nothing)
        candidate = found.candidates[0].model_copy(update={"figures": figures})
        comparison = found.model_copy(update={"candidates": (candidate,)})
        write_comparison_report(tmp_path, comparison)
        assert read_comparisons(tmp_path) == [comparison]
        assert "n/a" in comparison_table(comparison)[2]

    def test_the_summary_has_a_row_per_figure(self, found: Comparison, tmp_path: Path) -> None:
        write_summary(tmp_path / "summary.json", "s", [], [found])
        document = json.loads((tmp_path / "summary.json").read_bytes())
        schema = json.loads((SCHEMAS / "summary.schema.json").read_bytes())
        jsonschema.Draft202012Validator(schema).validate(document)
        tau, inversions = document["comparisons"]
        assert (tau["scenario"], tau["baseline"], tau["candidate"]) == ("anchor_align", "control", "rubric_b")
        assert (tau["metric"], tau["status"], tau["min_improvement"]) == ("kendall_tau", "UNDECIDED", 0)
        assert (tau["pairs"], tau["differing_pairs"]) == (15, 1)
        assert tau["p_value"] == found.candidates[0].figures["kendall_tau"].p_value
        assert (inversions["metric"], inversions["improvement"]) == ("direct_inversions", 1)


class TestJUnit:
    def test_the_items_that_pytest_would_have(self, found: Comparison, asked: Asked, tmp_path: Path) -> None:
        write_comparison(tmp_path, found, asked, tmp_path)
        suite = ET.parse(tmp_path / "junit" / "anchor_align.compare.xml").getroot()[0]
        assert (suite.attrib["tests"], suite.attrib["failures"]) == ("2", "2")
        case = next(suite.iter("testcase"))
        assert case.attrib["classname"] == "small.eng5.yaml.compare.rubric_b"
        assert case.attrib["name"] == "kendall_tau"
        properties = {entry.attrib["name"]: entry.attrib["value"] for entry in case.iter("property")}
        assert properties["baseline"] == "control"
        assert properties["status"] == "UNDECIDED"
        assert properties["what_differs"] == "rubric"
        assert properties["line"] == "7"
        assert float(properties["improvement_low"]) < float(properties["improvement"])
        failure = case.find("failure")
        assert failure is not None
        assert failure.attrib["message"].startswith("UNDECIDED kendall_tau of rubric_b")

    @pytest.mark.parametrize(("run_failed", "tag"), [(True, "skipped"), (False, "failure")])
    def test_what_was_not_compared(
        self, found: Comparison, asked: Asked, tmp_path: Path, run_failed: bool, tag: str
    ) -> None:
        gone = ComparedCandidate(candidate="rubric_b", problem="no run", run_failed=run_failed)
        write_comparison(tmp_path, found.model_copy(update={"candidates": (gone,)}), asked, tmp_path)
        suite = ET.parse(tmp_path / "junit" / "anchor_align.compare.xml").getroot()[0]
        assert [child.tag for case in suite.iter("testcase") for child in case if child.tag == tag] == [
            tag
        ] * 2

    def test_undecided_is_no_failure_if_a_warning_is_asked_for(
        self, found: Comparison, asked: Asked, tmp_path: Path
    ) -> None:
        write_comparison(tmp_path, found.model_copy(update={"undecided": "warn"}), asked, tmp_path)
        suite = ET.parse(tmp_path / "junit" / "anchor_align.compare.xml").getroot()[0]
        assert suite.attrib["failures"] == "1"  # the other one is a FAIL


class TestCommand:
    def test_nothing_is_compared_without_the_block_or_a_variant(
        self, made: Any, asked: Asked, tmp_path: Path
    ) -> None:
        control = made("control")
        assert compare_of(None, [control]) is None
        assert compare_of(asked, [control]) is None
        assert comparison_lines(None) == []
        write_comparison(tmp_path / "none", None, asked, tmp_path)
        assert not (tmp_path / "none").exists()

    def test_verdicts_and_hints_are_told(self, found: Comparison) -> None:
        lines = comparison_lines(found)
        assert any(line.startswith("UNDECIDED kendall_tau of rubric_b") for line in lines)
        assert any(line.startswith("FAIL direct_inversions of rubric_b") for line in lines)

    @pytest.mark.parametrize(
        ("minimum", "undecided", "status", "code"),
        [
            (-2.0, "fail", 0, 0),
            (0.0, "fail", 0, 3),
            (0.0, "warn", 0, 0),
            (2.0, "fail", 0, 1),
            (2.0, "fail", 3, 1),
            (-2.0, "fail", 3, 3),
            (2.0, "fail", 4, 4),
            (0.0, "fail", 1, 1),
        ],
    )
    def test_a_comparison_only_makes_the_exit_code_worse(
        self, made: Any, asked: Asked, minimum: float, undecided: Any, status: int, code: int
    ) -> None:
        metrics = (WantedMetric("kendall_tau", minimum),)
        one = replace(asked, metrics=metrics, undecided=undecided)
        comparison = compare_of(one, [made("control", [(0, 2)]), made("rubric_b")])
        assert exit_status_of(status, comparison) == code

    def test_without_one_the_code_stays(self) -> None:
        assert [exit_status_of(code, None) for code in range(5)] == list(range(5))
