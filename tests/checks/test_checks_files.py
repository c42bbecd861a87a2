"""Artefact and manifest: checksums by both conventions, damage in every form, and figures of the logs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_eng5.checks import run_checks
from pytest_eng5.evidence import checksum_of, json_bytes, load_evidence


def alter(run: Any, change: Callable[[dict[str, Any]], object]) -> Any:
    """Edit the artefact without touching its checksum, and list it anew."""
    run.write()
    ending = load_evidence(run.root).ending
    document = json.loads(run.artefact.read_bytes())
    change(document)
    run.artefact.write_bytes(json_bytes(document))
    run.rewrite_manifest()
    return load_evidence(run.root, ending)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["bt_summary"][0].update(theta=0.5),
        lambda d: d["validation"].update(artefact_checksum=""),
        lambda d: d["validation"].update(artefact_checksum="0" * 64),
        lambda d: d["metadata"].update(extra="\u00e5"),
        lambda d: d.update(dict(reversed([*d.items()])) | {"added": None}),
    ],
    ids=["a figure", "no checksum", "zeros", "an extra field", "another key"],
)
def test_the_checksum_is_that_of_the_content(
    run: Any, make: Any, change: Callable[[dict[str, Any]], object]
) -> None:
    findings = run_checks(alter(run, change))
    assert [f.code for f in findings] == ["ARTEFACT-CHECKSUM"]
    assert findings[0].field == "/validation/artefact_checksum"


def test_the_old_stub_writers_checksum_is_accepted(run: Any) -> None:
    """Contract 10.7: 64 zeros in the field while hashing."""

    def stub(document: dict[str, Any]) -> None:
        document["validation"]["artefact_checksum"] = checksum_of(document, "0" * 64)

    assert run_checks(alter(run, stub)) == ()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b"[]", b"3", b'{"validation": 3}', b'{"validation": {}}', b"[" * 100_000],
    ids=repr,
)
def test_no_artefact_is_too_odd(run: Any, make: Any, content: bytes) -> None:
    run.write()
    ending = load_evidence(run.root).ending
    run.artefact.write_bytes(content)
    run.rewrite_manifest()
    codes = make.codes(run_checks(load_evidence(run.root, ending)))
    assert codes in (["SCHEMA-ARTEFACT"], ["ARTEFACT-CHECKSUM", "SCHEMA-ARTEFACT"])


def test_nan_in_an_artefact_has_no_checksum(run: Any, make: Any) -> None:
    run.write()
    ending = load_evidence(run.root).ending
    text = run.artefact.read_text().replace('"theta": 0.0', '"theta": NaN', 1)
    run.artefact.write_text(text)
    run.rewrite_manifest()
    assert "ARTEFACT-CHECKSUM" in make.codes(run_checks(load_evidence(run.root, ending)))


def test_an_absent_artefact_is_told_by_both(run: Any, make: Any) -> None:
    run.write()
    ending = load_evidence(run.root).ending
    run.artefact.unlink()
    evidence = load_evidence(run.root, ending)
    assert make.codes(run_checks(evidence)) == ["MANIFEST-MISSING", "SCHEMA-ARTEFACT"]
    assert "is absent" in run_checks(evidence, ["schema"])[0].message


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        (lambda d: d["llm_comparisons"][2].update(sequence=0), "/llm_comparisons/2/sequence"),
        (lambda d: d["llm_comparisons"][2].update(prompt_hash="x"), "/llm_comparisons/2/prompt_hash"),
        (lambda d: d["metadata"].update(runner_mode="demo"), "/metadata/runner_mode"),
        (lambda d: d["metadata"].update(generated_at="yesterday"), "/metadata/generated_at"),
        (lambda d: d.update(schema_version="2.0.0"), "/schema_version"),
        (lambda d: d.pop("costs"), ""),
    ],
)
def test_schema_findings_point_at_the_place(
    run: Any, change: Callable[[dict[str, Any]], object], pointer: str
) -> None:
    findings = run_checks(alter(run, change), ["schema"])
    assert [(f.code, f.field) for f in findings] == [("SCHEMA-ARTEFACT", pointer)]


def test_every_schema_error_is_a_finding(run: Any) -> None:
    def change(document: dict[str, Any]) -> None:
        for row in document["llm_comparisons"]:
            row["sequence"] = "x"

    assert len(run_checks(alter(run, change), ["schema"])) == 15


def test_a_conflicting_callback_may_be_either_one_in_the_artefact(run: Any, make: Any) -> None:
    again = run.comparisons[0].again()
    again.data["winner"] = "Essay B"
    run.comparisons.append(again)
    assert make.codes(run_checks(run.load())) == ["EVENT-CONFLICT"]


def test_manifest_findings_name_the_file(run: Any) -> None:
    run.write()
    (run.root / "events" / "more.jsonl").write_text("{}\n")
    run.folder.findings.unlink()
    path = run.folder.schema
    path.write_bytes(path.read_bytes() + b"\n")
    findings = run_checks(load_evidence(run.root), ["manifest"])
    assert {(f.code, f.evidence) for f in findings} == {
        ("MANIFEST-HASH", "schemas/assessment_run.schema.json"),
        ("MANIFEST-MISSING", "findings.json"),
        ("MANIFEST-UNLISTED", "events/more.jsonl"),
    }


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_of_any_file_is_noticed(make_run: Callable[..., Any], make: Any, data: Any) -> None:
    run = make_run(3)
    evidence = run.load()
    files = sorted(path for path in run.root.rglob("*") if path.is_file() and path.name != "manifest.json")
    path = data.draw(st.sampled_from(files))
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    assert "MANIFEST-HASH" in make.codes(run_checks(evidence, ["manifest"]))
