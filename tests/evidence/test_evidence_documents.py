"""Plan, findings and artefact: written, read back, checked by their schema and checksum."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from pytest_eng5.evidence import (
    Artefact,
    EndReason,
    EvidenceError,
    Finding,
    RunFolder,
    RunPlan,
    SourceText,
    Stream,
    VariantFolder,
    artefact_json_schema,
    checksum_of,
    read_artefact,
    read_findings,
    read_plan,
    write_artefact,
    write_findings,
    write_plan,
)

Make = Callable[..., Any]
SCHEMA = Draft202012Validator(artefact_json_schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)
READERS = [read_plan, read_findings, read_artefact]


def _problems(document: Any) -> list[str]:
    return ["".join(f"/{part}" for part in error.absolute_path) for error in SCHEMA.iter_errors(document)]


def test_a_plan_survives_its_file(plan: Make, tmp_path: Path) -> None:
    text = SourceText(source_path="prompts/a.txt", checksum="ab" * 32, content="Weigh språk.")
    planned: RunPlan = plan(system_prompt=text, temperature=0.0, resolved_scenario={"thresholds": {"tau": 1}})
    write_plan(tmp_path / "plan.json", planned)
    assert read_plan(tmp_path / "plan.json") == planned
    document = json.loads((tmp_path / "plan.json").read_bytes())
    assert "rubric" not in document
    assert document["temperature"] == 0.0
    assert [essay["grade"] for essay in document["essays"]][:5] == ["A", "A", "B", "B", "C+"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("repeat", 0),
        ("planned_comparisons", 0),
        ("git_sha", "UNKNOWN"),
        ("batch_uuid", None),
        ("essays", None),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(field: str, value: Any, plan: Make) -> None:
    with pytest.raises(ValidationError, match=field):
        plan(**{field: value})


findings = st.builds(
    Finding,
    code=st.sampled_from(["META-MISSING", "COUNT-EXTRA"]),
    severity=st.sampled_from(["error", "warning", "info"]),
    message=st.text(min_size=1, max_size=40),
    check=st.just("metadata"),
    hint=st.none() | st.text(max_size=20),
    request_id=st.none() | st.text(max_size=20),
    essay_ids=st.lists(st.text(max_size=8), max_size=2).map(tuple),
    position=st.none() | st.just("t[0]@1"),
)


@given(st.lists(findings, max_size=5))
def test_findings_survive_their_file(made: list[Finding]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "findings.json"
        write_findings(path, iter(made))
        assert read_findings(path) == tuple(made)
        document = json.loads(path.read_bytes())
        assert set(document) == {"schema_version", "findings"}
        assert all(value is not None for item in document["findings"] for value in item.values())


def test_a_finding_knows_its_severities_and_fields() -> None:
    good = {"code": "META-MISSING", "severity": "error", "message": "m", "check": "metadata"}
    assert Finding.model_validate(good).essay_ids == ()
    for broken in ({**good, "severity": "ERROR"}, {**good, "serverity": "error"}, {**good, "code": None}):
        with pytest.raises(ValidationError):
            Finding.model_validate(broken)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"null", b'{"findings": 1}', b"\xff\xfe"])
def test_an_unreadable_document_says_where_and_what_to_do(
    reader: Make, content: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "document.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EvidenceError) as caught:
        reader(path)
    assert caught.value.where == str(path)
    assert caught.value.fix
    assert str(path) in str(caught.value)


def test_an_artefact_survives_its_file(artefact: Make, tmp_path: Path) -> None:
    made: Artefact = artefact()
    document = write_artefact(tmp_path / "a.json", made)
    assert json.loads((tmp_path / "a.json").read_bytes()) == document
    read = read_artefact(tmp_path / "a.json")
    assert read.model_dump(exclude={"validation"}) == made.model_dump(exclude={"validation"})
    assert read.validation.artefact_checksum == checksum_of(document)


def test_nothing_unknown_is_written_as_null_or_placeholder(artefact: Make, tmp_path: Path) -> None:
    document = write_artefact(tmp_path / "a.json", artefact())
    text = (tmp_path / "a.json").read_text()
    assert "null" not in text
    assert not any(word in text for word in ("UNKNOWN", "unknown_student", '"None"', "TBD"))
    failed = document["llm_comparisons"][1]
    # Contract 13, R13: the previous runner recorded errors as wins of essay A.
    assert failed["status"] == "failed"
    assert "winner_id" not in failed
    assert "loser_id" not in failed


def test_the_checksum_is_the_old_hydrators(artefact: Make, tmp_path: Path) -> None:
    document = write_artefact(tmp_path / "a.json", artefact())
    blanked = json.loads((tmp_path / "a.json").read_bytes())
    blanked["validation"]["artefact_checksum"] = ""
    expected = hashlib.sha256(json.dumps(blanked, indent=2).encode()).hexdigest()
    assert document["validation"]["artefact_checksum"] == checksum_of(document) == expected


def test_the_checksum_of_the_old_stub_writer(artefact: Make, tmp_path: Path) -> None:
    document = write_artefact(tmp_path / "a.json", artefact())
    stub = json.loads((tmp_path / "a.json").read_bytes())
    stub["validation"]["artefact_checksum"] = "0" * 64
    expected = hashlib.sha256(json.dumps(stub, indent=2).encode()).hexdigest()
    assert checksum_of(document, blank="0" * 64) == expected
    assert expected != checksum_of(document)


def test_the_checksum_is_stable_and_reading_changes_nothing(artefact: Make, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    first = write_artefact(path, artefact())
    before = path.read_bytes()
    again = json.loads(before)
    assert checksum_of(again) == checksum_of(first) == again["validation"]["artefact_checksum"]
    write_artefact(path, read_artefact(path))
    assert path.read_bytes() == before


def test_the_checksum_sees_every_change_but_its_own(artefact: Make, tmp_path: Path) -> None:
    document = write_artefact(tmp_path / "a.json", artefact())
    own = {**document, "validation": {**document["validation"], "artefact_checksum": "f" * 64}}
    assert checksum_of(own) == checksum_of(document)
    other = json.loads(json.dumps(document))
    other["llm_comparisons"][0]["winner_id"] = other["llm_comparisons"][0]["loser_id"]
    assert checksum_of(other) != checksum_of(document)
    reordered = dict(reversed(document.items()))
    assert checksum_of(reordered) != checksum_of(document)


def test_the_checksum_leaves_its_document_alone(artefact: Make, tmp_path: Path) -> None:
    document = write_artefact(tmp_path / "a.json", artefact())
    before = json.dumps(document)
    checksum_of(document)
    assert json.dumps(document) == before


def test_text_beyond_ascii_does_not_disturb_the_checksum(artefact: Make, tmp_path: Path) -> None:
    made = artefact()
    won = made.llm_comparisons[0].model_copy(update={"justification": "Bättre – 作文 🙂"})
    document = write_artefact(tmp_path / "a.json", made.model_copy(update={"llm_comparisons": (won,)}))
    assert checksum_of(json.loads((tmp_path / "a.json").read_bytes())) == checksum_of(document)


def test_the_schema_is_legal_and_names_itself() -> None:
    schema = artefact_json_schema()
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"].endswith("2020-12/schema")
    assert schema["$id"] == "https://pytest-eng5.invalid/schemas/assessment_run-1.1.json"


def test_a_written_artefact_satisfies_the_schema(artefact: Make, tmp_path: Path) -> None:
    assert _problems(write_artefact(tmp_path / "a.json", artefact())) == []


def test_facts_the_schema_does_not_know_are_allowed_and_kept(artefact: Make, tmp_path: Path) -> None:
    document = write_artefact(tmp_path / "a.json", artefact(notes="by hand"))
    assert document["notes"] == "by hand"
    assert _problems(document) == []


OLD_ANCHOR = {
    "anchor_id": "UNKNOWN_ANCHOR",
    "file_name": "",
    "grade": "UNKNOWN",
    "source_path": "",
    "checksum": "",
}
OLD_STUDENT = {"essay_id": "unknown_student", "file_name": "", "source_path": "", "checksum": ""}

# What the previous runner wrote when it did not know (contract 10.7 and 13, R22).
PLACEHOLDERS: dict[str, tuple[str, Any, str]] = {
    "an anchor row": ("/inputs/anchors/0", OLD_ANCHOR, "/inputs/anchors/0"),
    "a student row": ("/inputs/students", [OLD_STUDENT], "/inputs/students/0/checksum"),
    "the git commit": ("/metadata/git_sha", "UNKNOWN", "/metadata/git_sha"),
    "a correlation id": ("/llm_comparisons/0/correlation_id", "None", "/llm_comparisons/0/correlation_id"),
    "a prompt hash": ("/llm_comparisons/0/prompt_hash", "", "/llm_comparisons/0/prompt_hash"),
    "an essay's hash": ("/inputs/anchors/0/checksum", "", "/inputs/anchors/0/checksum"),
    "a status": ("/llm_comparisons/0/status", "unknown", "/llm_comparisons/0/status"),
    "a mode": ("/metadata/runner_mode", "unknown", "/metadata/runner_mode"),
    "another version": ("/schema_version", "1.2.0", "/schema_version"),
    "a sequence": ("/llm_comparisons/0/sequence", 0, "/llm_comparisons/0/sequence"),
    "a negative cost": ("/costs/total_usd", -1, "/costs/total_usd"),
    "a negative error": ("/bt_summary/0/standard_error", -0.1, "/bt_summary/0/standard_error"),
    "a rank": ("/bt_summary/0/rank", 0, "/bt_summary/0/rank"),
    "a manifest hash": ("/validation/manifest/0/sha256", "x", "/validation/manifest/0/sha256"),
    "its own checksum": ("/validation/artefact_checksum", "pending", "/validation/artefact_checksum"),
    "a null score": ("/bt_summary/0/theta", None, "/bt_summary/0/theta"),
}


@pytest.mark.parametrize("case", PLACEHOLDERS)
def test_a_placeholder_is_no_artefact(case: str, artefact: Make, tmp_path: Path) -> None:
    pointer, value, where = PLACEHOLDERS[case]
    document = json.loads(json.dumps(write_artefact(tmp_path / "a.json", artefact())))
    target = document
    *parents, last = pointer.strip("/").split("/")
    for part in parents:
        target = target[int(part)] if isinstance(target, list) else target[part]
    target[int(last) if isinstance(target, list) else last] = value
    found = _problems(document)
    assert found
    assert all(problem.startswith(where) for problem in found)
    (tmp_path / "a.json").write_text(json.dumps(document))
    with pytest.raises(EvidenceError, match=r"schema 1\.1"):
        read_artefact(tmp_path / "a.json")


@pytest.mark.parametrize("part", ["metadata", "inputs", "costs", "validation"])
def test_a_missing_part_is_no_artefact(part: str, artefact: Make, tmp_path: Path) -> None:
    document = write_artefact(tmp_path / "a.json", artefact())
    del document[part]
    assert _problems(document) == [""]


def test_endings_that_reach_no_verdict() -> None:
    assert {reason.value for reason in EndReason if reason.is_infrastructure} == {
        "idle_deadline",
        "total_deadline",
        "infrastructure",
        "budget",
        "interrupted",
        "input_error",
        "refused",
    }
    assert {reason.value for reason in EndReason if reason.is_quiet} == {"not_awaited", "not_published"}


def test_a_run_cut_short_is_partial(artefact: Make) -> None:
    ending = artefact().validation.runner_status.ending
    assert not ending.partial
    assert ending.model_copy(update={"reason": EndReason.IDLE_DEADLINE}).partial
    assert not ending.model_copy(update={"reason": EndReason.PIPELINE_FAILED}).partial


def test_the_layout_of_the_design() -> None:
    run = VariantFolder(Path("s/anchor_align/baseline")).run(1)
    assert run == RunFolder(Path("s/anchor_align/baseline/run-1"))
    paths = [
        run.request,
        *(run.stream(stream) for stream in Stream),
        run.artefact("anchor-align-test"),
        run.schema,
        run.findings,
        run.manifest,
        run.plan,
    ]
    assert [path.relative_to(run.root).as_posix() for path in paths] == [
        "requests/els_cj_assessment_request.json",
        "events/comparisons.jsonl",
        "events/assessment_results.jsonl",
        "events/completions.jsonl",
        "events/failures.jsonl",
        "events/rejected.jsonl",
        "assessment_run.anchor-align-test.json",
        "schemas/assessment_run.schema.json",
        "findings.json",
        "manifest.json",
        "plan.json",
    ]
    assert VariantFolder(Path("v")).report("html") == Path("v/alignment_report.html")
    assert not run.root.exists()
