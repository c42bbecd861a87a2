"""Completing a run folder, for every way in which a run can end."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from pytest_eng5.evidence import (
    EndReason,
    RunFolder,
    checksum_of,
    read_artefact,
    read_findings,
    read_manifest,
    verify,
)
from pytest_eng5.reports import finalise_run


def finalise(run: Any, reason: EndReason = EndReason.COMPLETED, detail: str = "all in") -> dict[str, Any]:
    finalise_run(run.root, run.end(reason, detail))
    document: dict[str, Any] = json.loads(RunFolder(run.root).artefact(run.plan.mode).read_bytes())
    return document


def test_a_complete_run_has_every_file_and_the_manifest_lists_them(record: Any, checks: Any) -> None:
    run = record().complete()
    finalise(run)
    names = {path.relative_to(run.root).as_posix() for path in run.root.rglob("*") if path.is_file()}
    assert names == {
        "plan.json",
        "requests/els_cj_assessment_request.json",
        "events/comparisons.jsonl",
        "events/assessment_results.jsonl",
        "events/completions.jsonl",
        "assessment_run.anchor-align-test.json",
        "schemas/assessment_run.schema.json",
        "findings.json",
        "manifest.json",
    }
    listed = {entry.path for entry in read_manifest(run.root / "manifest.json").files}
    assert listed == names - {"manifest.json"}
    assert verify(run.root, run.root / "manifest.json") == []


def test_the_manifest_is_written_last_and_its_check_is_left_out(record: Any, checks: Any) -> None:
    finalise(record().complete())
    assert checks.asked == ["events", "completeness", "schema"]


def test_the_artefact_satisfies_the_schema_beside_it(record: Any, checks: Any) -> None:
    run = record(students=2, mode="execute", grade_scale="eng5_np_legacy_9_step").complete()
    document = finalise(run)
    schema = json.loads((run.root / "schemas" / "assessment_run.schema.json").read_bytes())
    jsonschema.Draft202012Validator(schema).validate(document)
    assert document["grade_projections"] == []  # GUEST: without an assignment nobody is graded
    assert (document["schema_version"], document["conforms_to"]) == ("1.1.0", ["1.1.0"])
    assert len(document["inputs"]["students"]) == 2


def test_the_checksum_is_that_of_the_document_without_it(record: Any, checks: Any) -> None:
    document = finalise(record().complete())
    assert document["validation"]["artefact_checksum"] == checksum_of(document)


def test_facts_that_are_unknown_are_left_out(record: Any, checks: Any) -> None:
    metadata = finalise(record().complete())["metadata"]
    assert not {"git_sha", "assignment_id", "grade_scale", "rubric_sha256"} & set(metadata)
    known = finalise(record(variant="known", git_sha="abcdef1", rubric="be fair").complete())["metadata"]
    assert known["git_sha"] == "abcdef1"
    assert len(known["rubric_sha256"]) == 64


def test_the_recorded_files_are_in_the_artefact_with_their_hashes(record: Any, checks: Any) -> None:
    run = record().complete()
    document = finalise(run)
    paths = [entry["path"] for entry in document["validation"]["manifest"]]
    assert paths == [
        "events/assessment_results.jsonl",
        "events/comparisons.jsonl",
        "events/completions.jsonl",
        "plan.json",
        "requests/els_cj_assessment_request.json",
    ]
    assert set(document["validation"]["cli_environment"]) == {"python", "os"}


def test_a_failed_comparison_has_no_winner(record: Any, checks: Any) -> None:
    run = record(("A", "B", "C"))
    run.callback(0, 1, True)
    run.callback(0, 2, None)
    rows = finalise(run)["llm_comparisons"]
    assert [row["status"] for row in rows] == ["succeeded", "failed"]
    assert rows[0]["winner_id"] == run.ids[0]
    assert not {"winner_id", "loser_id", "confidence", "justification"} & set(rows[1])
    assert (rows[1]["error_code"], rows[1]["failure_reason"]) == ("EXTERNAL_SERVICE_ERROR", "529 overloaded")


def test_redeliveries_appear_once_and_cost_once(record: Any, checks: Any) -> None:
    run = record(("A", "B"))
    for _ in range(3):
        run.callback(0, 1, True, request="one")
    document = finalise(run)
    assert [row["sequence"] for row in document["llm_comparisons"]] == [1]
    assert document["costs"] == {
        "total_usd": 0.001,
        "token_counts": [
            {
                "provider": "mock",
                "model": "simulated-judge",
                "prompt_tokens": 100,
                "completion_tokens": 10,
                "usd": 0.001,
            }
        ],
    }


def test_tokens_and_costs_are_kept_apart_by_model(record: Any, checks: Any) -> None:
    run = record(("A", "B", "C"))
    run.callback(0, 1, True)
    run.callback(0, 2, None, model="other", cost_estimate=0.5)
    costs = finalise(run)["costs"]
    assert [(row["model"], row["usd"]) for row in costs["token_counts"]] == [
        ("other", 0.5),
        ("simulated-judge", 0.001),
    ]
    assert costs["total_usd"] == pytest.approx(0.501)


def test_malformed_metadata_does_not_cost_the_artefact(record: Any, checks: Any) -> None:
    run = record(("A", "B"))
    run.callback(0, 1, True, metadata={"prompt_sha256": "not a hash", "essay_a_id": None})
    (row,) = finalise(run)["llm_comparisons"]
    assert "prompt_hash" not in row
    assert "essay_a_id" not in row


@pytest.mark.parametrize("reason", list(EndReason))
@pytest.mark.parametrize("seen", ["nothing", "half", "rejected", "failed"])
def test_every_ending_leaves_a_complete_folder(
    record: Any, checks: Any, reason: EndReason, seen: str
) -> None:
    run = record(("A", "B", "C", "D"))
    if seen != "nothing":
        run.callback(0, 1, True)
    if seen == "rejected":
        run.rejected()
    if seen == "failed":
        run.failed()
    document = finalise(run, reason, "it ended")
    status = document["validation"]["runner_status"]
    whole = (EndReason.COMPLETED, EndReason.PIPELINE_FAILED, EndReason.NOT_PUBLISHED)
    assert status["partial_data"] is (reason not in whole)
    assert status["ending"]["reason"] == reason.value
    observed = status["observed_events"]
    assert observed["llm_comparisons"] == (seen != "nothing")
    assert observed["rejected"] == (seen == "rejected")
    assert observed["failures"] == (seen == "failed")
    assert ("timeout_seconds" in status) is reason.value.endswith("deadline")
    assert verify(run.root, run.root / "manifest.json") == []
    assert (
        run.load().ending
        == read_artefact(RunFolder(run.root).artefact("anchor-align-test")).validation.runner_status.ending
    )


def test_without_comparisons_there_are_no_scores(record: Any, checks: Any) -> None:
    document = finalise(record())
    assert document["bt_summary"] == []
    assert document["costs"] == {"total_usd": 0.0, "token_counts": []}


def test_a_check_that_raises_becomes_a_finding_and_the_others_still_speak(record: Any, checks: Any) -> None:
    checks.crashes["events"] = ZeroDivisionError("float division by zero")
    checks.find("COUNT-MISSING", check="completeness")
    run = record().complete()
    finalise(run)
    first, second = read_findings(run.root / "findings.json")
    assert (first.code, first.severity, first.check) == ("CHECK-CRASHED", "error", "events")
    assert "ZeroDivisionError: float division by zero" in first.message
    assert second.code == "COUNT-MISSING"
    assert verify(run.root, run.root / "manifest.json") == []


def test_an_artefact_that_cannot_be_built_becomes_a_finding(record: Any, checks: Any) -> None:
    run = record(mode="no-such-mode").complete()
    finalise_run(run.root, run.end())
    (finding,) = read_findings(run.root / "findings.json")
    assert finding.code == "CHECK-CRASHED"
    assert "writing the artefact ended with ValidationError" in finding.message
    assert not list(run.root.glob("assessment_run.*"))
    assert verify(run.root, run.root / "manifest.json") == []


def test_damaged_evidence_becomes_a_finding_and_is_kept(record: Any, checks: Any) -> None:
    run = record().complete()
    ending = run.end()
    log = run.root / "events" / "comparisons.jsonl"
    damaged = log.read_bytes()[:-20]
    log.write_bytes(damaged)
    finalise_run(run.root, ending)
    (finding,) = read_findings(run.root / "findings.json")
    assert "reading the evidence ended with EvidenceError: events/comparisons.jsonl:66" in finding.message
    assert log.read_bytes() == damaged
    assert verify(run.root, run.root / "manifest.json") == []


def test_a_folder_without_a_plan_still_gets_findings_and_a_manifest(tmp_path: Any, record: Any) -> None:
    run = record()
    ending = run.end()
    (run.root / "plan.json").unlink()
    finalise_run(run.root, ending)
    assert [finding.code for finding in read_findings(run.root / "findings.json")] == ["CHECK-CRASHED"]
    assert (run.root / "manifest.json").exists()
