"""Judging recorded runs again: `eng5 check` and what stands behind it."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pytest_eng5.cli import app
from pytest_eng5.errors import Eng5Error, UsageError
from pytest_eng5.evidence import RunFolder
from pytest_eng5.reports import (
    Criteria,
    Outcome,
    evaluate_folder,
    evaluate_recorded,
    finalise_run,
    recorded_runs,
)
from pytest_eng5.reports.recorded import Recorded

THRESHOLDS = {"kendall_tau": {"min": 0.9}, "direct_inversions": {"max": 0}}


@pytest.fixture
def session(record: Any, tmp_path: Path) -> Path:
    """Two variants; the second has two runs and a judge that is too weak for its thresholds."""
    plans = (("good", 1, 6.0, 1), ("weak", 1, 0.3, 2), ("weak", 2, 0.3, 2))
    for variant, repeat, strength, repeats in plans:
        scenario = {"thresholds": THRESHOLDS, "repeats": repeats}
        run = record(variant=variant, repeat=repeat, resolved_scenario=scenario)
        run.complete(discrimination=strength, seed=repeat)
        finalise_run(run.root, run.end())
    return tmp_path


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Call ``eng5 check`` where no socket can be made."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("eng5 check made a socket")

    def call(*arguments: str | Path) -> Result:
        with monkeypatch.context() as patch:
            patch.setattr(socket, "socket", refuse)
            return CliRunner().invoke(app, ["check", *map(str, arguments)])

    return call


def _bytes(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_is_known_for_what_it_holds(session: Path) -> None:
    good, weak = session / "anchor_align/good", session / "anchor_align/weak"
    assert recorded_runs(session) == [Recorded(good), Recorded(weak)]
    assert recorded_runs(session / "anchor_align") == [Recorded(good), Recorded(weak)]
    assert recorded_runs(weak) == [Recorded(weak)]
    assert recorded_runs(weak / "run-2") == [Recorded(weak, 2)]
    assert Recorded(weak, 2).folder == weak / "run-2"


@pytest.mark.parametrize("name", ["copy", "run-of-monday", "run-0", "anchor_align"])
def test_a_copy_of_a_run_is_known_by_its_plan(session: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "elsewhere" / name
    shutil.copytree(session / "anchor_align/weak/run-2", copy)
    assert recorded_runs(copy) == [Recorded(copy.parent, 2, copy)]
    (outcome,) = evaluate_folder(copy, {})
    assert [(run.repeat, run.root) for run in outcome.runs] == [(2, copy)]
    assert (outcome.variant, outcome.ledger.succeeded) == ("weak", 66)
    assert [verdict.metric for verdict in outcome.verdicts] == list(THRESHOLDS)
    lenient = {"weak": Criteria.from_dict({"thresholds": {"kendall_tau": {"min": -1.0}}})}
    assert evaluate_folder(copy, lenient)[0].verdict is Outcome.PASS
    with pytest.raises(UsageError, match="the scenario file has no variant weak"):
        evaluate_folder(copy, {"good": lenient["weak"]})
    (copy / "plan.json").write_text("{")
    assert evaluate_folder(copy, {})[0].verdict is Outcome.ERROR


@pytest.mark.parametrize("name", ["nowhere", "anchor_align/good/run-1/events"])
def test_a_folder_without_runs_is_refused(session: Path, name: str) -> None:
    with pytest.raises(UsageError, match="there is no") as caught:
        recorded_runs(session / name)
    assert str(session / name) in str(caught.value)
    assert "name a session such as .eng5/latest" in str(caught.value)


def test_it_is_judged_as_it_was_recorded(session: Path) -> None:
    outcome = evaluate_recorded(session / "anchor_align/good")
    assert [verdict.metric for verdict in outcome.verdicts] == list(THRESHOLDS)
    assert outcome.verdict is Outcome.PASS
    weak = evaluate_recorded(session / "anchor_align/weak")
    assert (weak.verdict, len(weak.runs), weak.ledger.succeeded) == (Outcome.FAIL, 2, 132)


def test_one_run_of_several_is_judged_by_itself(session: Path) -> None:
    outcome = evaluate_recorded(session / "anchor_align/weak", only=2)
    assert [run.root.name for run in outcome.runs] == ["run-2"]
    assert outcome.ledger.succeeded == 66


def test_a_run_that_is_gone_is_missed(session: Path) -> None:
    shutil.rmtree(session / "anchor_align/weak/run-1")
    assert evaluate_recorded(session / "anchor_align/weak").verdict is Outcome.ERROR
    shutil.rmtree(session / "anchor_align/weak/run-2")
    with pytest.raises(UsageError):
        recorded_runs(session / "anchor_align/weak")


def test_other_criteria_may_be_used(session: Path) -> None:
    lenient = Criteria.from_dict({"thresholds": {"kendall_tau": {"min": -1.0}}})
    outcome = evaluate_recorded(session / "anchor_align/weak", lenient)
    assert outcome.verdict is Outcome.PASS
    assert Criteria.from_dict(lenient.to_dict()) == lenient
    negative = Criteria((), frozenset({"COUNT-MISSING"}))
    assert Criteria.from_dict(negative.to_dict()) == negative


def test_findings_of_today_are_kept_elsewhere(session: Path, tmp_path: Path) -> None:
    before = _bytes(session / "anchor_align")
    target = tmp_path / "again"
    evaluate_recorded(session / "anchor_align/weak", findings=target)
    assert _bytes(session / "anchor_align") == before
    for run in ("run-1", "run-2"):
        assert json.loads((target / run / "findings.json").read_text())["schema_version"]


def test_the_command_shows_gates_and_findings_and_changes_nothing(session: Path, check: Any) -> None:
    good = RunFolder(session / "anchor_align/good/run-1")
    good.request.write_bytes(good.request.read_bytes() + b" ")
    before = _bytes(session)
    result = check(session)
    assert result.exit_code == 1, result.output
    assert _bytes(session) == before
    lines = [line.strip() for line in result.output.splitlines()]
    assert any(line.startswith("PASS kendall_tau") for line in lines)
    assert any(line.startswith("FAIL kendall_tau") for line in lines)
    [hash_line] = [line for line in lines if line.startswith("error   MANIFEST-HASH")]
    assert "requests/els_cj_assessment_request.json" in hash_line
    assert "[run-1" in hash_line


def test_the_command_judges_one_run(session: Path, check: Any) -> None:
    result = check(session / "anchor_align/good/run-1")
    assert result.exit_code == 0, result.output
    assert "66/66" in result.output
    assert "run-1: no findings" in result.output


def test_the_command_takes_thresholds_of_today(session: Path, check: Any, tmp_path: Path) -> None:
    (tmp_path / "inputs/anchors").mkdir(parents=True)
    rows = ["anchor_id,file_name,grade"]
    for number, grade in enumerate(("A", "B", "C+"), start=1):
        (tmp_path / f"inputs/anchors/a{number}.txt").write_text(f"Essay {number}.\n")
        rows.append(f"a{number},a{number}.txt,{grade}")
    (tmp_path / "inputs/anchors.csv").write_text("\n".join(rows) + "\n")
    file = tmp_path / "now.eng5.yaml"
    file.write_text(
        "scenario: anchor_align\nmode: anchor-align-test\ninputs: inputs\n"
        "thresholds: {kendall_tau: {min: -1}}\nvariants: [{id: weak}]\n"
    )
    weak = session / "anchor_align/weak"
    assert check(weak).exit_code == 1
    result = check(weak, "--scenario", file)
    assert result.exit_code == 0, result.output
    assert check(weak, "--scenario", file, "--set", "thresholds.kendall_tau.min=0.9").exit_code == 1
    refused = check(session / "anchor_align/good", "--scenario", file)
    assert isinstance(refused.exception, Eng5Error)
    assert "the scenario file has no variant good" in str(refused.exception)
    alone = check(weak, "--set", "thresholds.kendall_tau.min=0.9")
    assert "name the file with --scenario" in str(alone.exception)


def test_another_format_is_refused_by_its_version(session: Path, check: Any) -> None:
    plan = session / "anchor_align/good/run-1/plan.json"
    document = json.loads(plan.read_text())
    plan.write_text(json.dumps({**document, "schema_version": "2.0.0"}))
    result = check(session / "anchor_align/good")
    assert result.exit_code == 4, result.output
    assert "the run was written in format 2.0.0; this release reads 1.x" in result.output


def test_a_later_minor_format_is_read(session: Path, check: Any) -> None:
    plan = session / "anchor_align/good/run-1/plan.json"
    document = json.loads(plan.read_text())
    plan.write_text(json.dumps({**document, "schema_version": "1.9.0", "something_new": 1}))
    result = check(session / "anchor_align/good")
    assert "PASS kendall_tau" in result.output
    assert "format" not in result.output
