"""JUnit files of the command line: the items of pytest, their outcomes and words, from recorded runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from pytest_eng5.checks import CHECKS
from pytest_eng5.collection.items import item_plan
from pytest_eng5.evidence import EndReason
from pytest_eng5.reports import finalise_run
from pytest_eng5.reports.judgement import item_names
from pytest_eng5.reports.variant_junit import write_junit
from pytest_eng5.scenario import load_scenario

SCENARIOS = Path(__file__).parents[2] / "scenarios"


@dataclass(frozen=True)
class Place:
    path: Path
    line: int = 1


@dataclass(frozen=True)
class Gate:
    metric: str
    location: Place


@dataclass(frozen=True)
class Variant:
    """A variant as the file has it."""

    root: Path
    id: str = "baseline"
    mode: str = "anchor-align-test"
    fail_fast: bool = False
    thresholds: Sequence[Gate] = field(default=())

    @property
    def location(self) -> Place:
        return Place(self.root / "scenarios" / "anchor_align.eng5.yaml", 41)


@pytest.fixture
def junit(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Writes the file of one variant; its cases by name."""

    def write(outcome: Any, **more: Any) -> dict[str, Any]:
        variant = Variant(tmp_path, **more)
        write_junit(tmp_path / "session", [variant], [outcome], tmp_path)
        (path,) = (tmp_path / "session" / "junit").iterdir()
        assert path.name == "anchor_align.baseline.xml"
        return {case.attrib["name"]: case for case in ElementTree.parse(path).iter("testcase")}

    return write


def outcome_of(case: Any) -> tuple[str, str]:
    for child in case:
        if child.tag in ("failure", "error", "skipped"):
            return child.tag, child.attrib["message"]
    return "passed", ""


def properties_of(case: Any) -> dict[str, str]:
    return {entry.attrib["name"]: entry.attrib["value"] for entry in case.iter("property")}


def ended(run: Any, reason: EndReason, detail: str) -> Any:
    finalise_run(run.root, run.end(reason, detail))
    return run


def test_a_run_that_passes(record: Any, judged: Any, limit: Any, junit: Any, tmp_path: Path) -> None:
    outcome = judged(record().complete(), limits=[limit("kendall_tau", min=0.9)])
    gate = Gate("kendall_tau", Place(Path("x"), 33))
    cases = junit(outcome, thresholds=[gate])
    assert list(cases) == ["run", *CHECKS, "kendall_tau"]
    assert {outcome_of(case) for case in cases.values()} == {("passed", "")}
    assert {case.attrib["classname"] for case in cases.values()} == {
        "scenarios.anchor_align.eng5.yaml.baseline"
    }
    run, tau = properties_of(cases["run"]), properties_of(cases["kendall_tau"])
    assert (run["scenario"], run["variant"], run["item"], run["mode"]) == (
        *("anchor_align", "baseline", "run"),
        "anchor-align-test",
    )
    assert (run["file"], run["line"], tau["line"], tau["variant_line"]) == (
        *("scenarios/anchor_align.eng5.yaml", "41"),
        *("33", "41"),
    )
    assert (run["comparisons"], run["verdict"], run["provider"]) == ("66", "PASS", "anthropic")
    assert tau["gate"].startswith("PASS kendall_tau ")
    assert "gate" not in run


def test_a_gate_that_fails(record: Any, judged: Any, limit: Any, junit: Any) -> None:
    outcome = judged(record().complete(), limits=[limit("kendall_tau", max=0.1)])
    cases = junit(outcome)
    kind, message = outcome_of(cases["kendall_tau"])
    assert kind == "failure"
    assert message.startswith("FAIL kendall_tau ")
    assert outcome_of(cases["run"]) == ("passed", "")


def test_a_finding_fails_its_check_alone(record: Any, judged: Any, junit: Any) -> None:
    run = ended(record().complete(), EndReason.COMPLETED, "all events are in")
    (run.root / "stray.txt").write_text("x")
    cases = junit(judged(run))
    kind, message = outcome_of(cases["manifest"])
    assert kind == "failure"
    assert message.startswith("MANIFEST-UNLISTED ")
    assert [name for name, case in cases.items() if outcome_of(case)[0] != "passed"] == ["manifest"]
    output = cases["manifest"].find("system-out").text
    assert "eng5 findings" in output
    assert "stray.txt" in output


def test_infrastructure_is_an_error_and_the_rest_is_skipped(record: Any, judged: Any, junit: Any) -> None:
    run = ended(record(), EndReason.IDLE_DEADLINE, "no event for 30 s")
    cases = junit(judged(run))
    assert outcome_of(cases["run"]) == ("error", "idle_deadline: no event for 30 s")
    rest = {outcome_of(case) for name, case in cases.items() if name != "run"}
    assert rest == {("skipped", "run failed: idle_deadline: no event for 30 s")}


def test_a_failed_batch_is_a_failure_and_the_rest_is_skipped(record: Any, judged: Any, junit: Any) -> None:
    run = record()
    run.publish()
    run.failed()
    ended(run, EndReason.PIPELINE_FAILED, "no provider answered")
    cases = junit(judged(run))
    assert outcome_of(cases["run"]) == ("failure", "PIPELINE-FAILED no provider answered")
    assert outcome_of(cases["events"]) == ("skipped", "run failed: no provider answered")


def test_a_run_that_was_never_made(judged: Any, record: Any, junit: Any) -> None:
    cases = junit(judged(record().complete(), repeats=2))
    kind, message = outcome_of(cases["run"])
    assert kind == "error"
    assert "run-2 was not made" in message


@pytest.mark.parametrize("fail_fast", [False, True])
def test_fail_fast_skips_what_comes_after(
    record: Any, judged: Any, limit: Any, junit: Any, fail_fast: bool
) -> None:
    limits = [limit("kendall_tau", max=0.1), limit("direct_inversions", max=0)]
    cases = junit(judged(record().complete(), limits=limits), fail_fast=fail_fast)
    expected = ("skipped", "fail_fast: kendall_tau failed") if fail_fast else ("passed", "")
    assert outcome_of(cases["direct_inversions"]) == expected


def test_a_negative_test_has_an_item_for_what_it_expects(record: Any, judged: Any, junit: Any) -> None:
    run = ended(record().complete(), EndReason.COMPLETED, "all events are in")
    (run.root / "stray.txt").write_text("x")
    found = junit(judged(run, expected_codes=frozenset({"MANIFEST-UNLISTED"})))
    assert outcome_of(found["expect"]) == outcome_of(found["manifest"]) == ("passed", "")
    missed = junit(judged(run, expected_codes=frozenset({"COUNT-MISSING"})))
    assert outcome_of(missed["expect"])[0] == "failure"


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.eng5.yaml")), ids=lambda path: path.name)
def test_the_items_are_those_that_pytest_collects(path: Path, record: Any, judged: Any, limit: Any) -> None:
    for variant in load_scenario(path).variants:
        limits = [limit(threshold.metric, min=0) for threshold in variant.thresholds]
        outcome = judged(record().complete(), limits=limits)
        assert list(item_names(variant.mode, outcome)) == [name for name, _ in item_plan(variant)]
