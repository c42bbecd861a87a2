"""The plugin against a pipeline that shares no code with it, and what it finds when that one misbehaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.slow

QUICKLY = 40.0  # with room for a busy machine; the deadlines of a run are longer
FAULTS = {
    "clean": {},
    "drop": {"completeness": {"COUNT-MISSING"}},
    "no_hash": {"metadata": {"META-MISSING"}},
    "unknown_essay": {"metadata": {"META-UNKNOWN-ESSAY"}},
    "swapped": {"metadata": {"META-SAME-ESSAY"}},
    "corrupt": {"events": {"EVENT-UNDECODABLE"}},
    "truncated": {"events": {"EVENT-UNDECODABLE"}},
    "garbage": {"events": {"EVENT-UNDECODABLE"}},
    "duplicate": {},
    "conflict": {"events": {"EVENT-CONFLICT"}},
    "second_completion": {"completeness": {"COMPLETION-DUPLICATE"}},
    "no_result": {"completeness": {"RESULT-MISSING"}},
}
CHECKS = ("events", "metadata", "completeness", "schema", "scoring", "costs", "manifest")
PREFIX = "foreign."


@pytest.fixture(scope="module")
def session(make_tree: Callable[..., Any], foreign: Any) -> Any:
    """One variant per fault, one after the other, so that bytes that name nobody have one owner."""
    tree = make_tree()
    tree.scenario(
        "foreign",
        "\n".join(f"  - id: {fault}" for fault in FAULTS),
        timeout="{idle: 4, total: 30}",
        judge="{provider: openai, model: gpt-5-mini-2025-08-07, temperature: 0.1}",
    )
    return tree.pytest(*foreign.options, "--eng5-concurrency", "1", "--junitxml", "junit.xml")


@pytest.mark.parametrize("fault", FAULTS)
def test_the_items_that_must_fail_do(session: Any, fault: str) -> None:
    outcomes = session.outcomes()
    assert outcomes[f"{fault}::run"] == "passed", session.output
    failed = {item for item in CHECKS if outcomes[f"{fault}::{item}"] == "failure"}
    assert failed >= FAULTS[fault].keys()
    consequences = {"completeness"} if fault in ("corrupt", "truncated", "garbage") else set()
    assert failed <= FAULTS[fault].keys() | consequences


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if FAULTS[fault]])
def test_the_code_is_named_in_file_and_message(session: Any, fault: str) -> None:
    found = {finding["code"] for finding in session.findings("foreign", fault)}
    cases = session.cases()
    for item, codes in FAULTS[fault].items():
        assert codes <= found
        text = cases[f"{fault}::{item}"][1]
        assert all(code in text for code in codes)
        assert "Traceback" not in text


def test_a_clean_run_has_no_finding(session: Any) -> None:
    assert session.findings("foreign", "clean") == []
    assert {value for key, value in session.outcomes().items() if key.startswith("clean::")} == {"passed"}


def test_a_redelivery_is_a_warning_and_counts_once(session: Any) -> None:
    findings = session.findings("foreign", "duplicate")
    assert {(finding["code"], finding["severity"]) for finding in findings} == {
        ("EVENT-DUPLICATE", "warning")
    }
    summary = json.loads((session.folder / "summary.json").read_text())
    rows = {row["variant"]: row for row in summary["scenarios"][0]["variants"]}
    assert rows["duplicate"]["comparisons"] == rows["clean"]["comparisons"] == 6
    assert rows["clean"]["cost_usd"] == pytest.approx(0.0099)
    assert rows["duplicate"]["cost_usd"] == pytest.approx(0.0099)
    assert (rows["clean"]["verdict"], rows["drop"]["verdict"]) == ("PASS", "FAIL")


def test_only_the_faulty_variants_fail(session: Any) -> None:
    assert session.code == 1
    assert "error" not in set(session.outcomes().values())
    assert session.seconds < 60


def test_gates_still_judge_what_is_there(session: Any) -> None:
    outcomes = session.outcomes()
    for fault in ("clean", "drop", "duplicate", "second_completion", "no_result"):
        assert outcomes[f"{fault}::kendall_tau"] == "passed"


def test_missing_evidence_names_the_essays_and_the_count(session: Any) -> None:
    (finding,) = [f for f in session.findings("foreign", "drop") if f["code"] == "COUNT-MISSING"]
    assert "1 of 6 planned comparisons" in finding["message"]
    assert finding["severity"] == "error"
    assert finding["hint"]


def test_broken_bytes_are_kept(session: Any) -> None:
    for fault in ("corrupt", "truncated", "garbage"):
        lines = (session.run("foreign", fault) / "events" / "rejected.jsonl").read_text().splitlines()
        assert len(lines) == 1
        assert json.loads(lines[0])["rejected"]["stage"] == "undecodable"
    for fault in ("corrupt", "garbage"):
        line = json.loads((session.run("foreign", fault) / "events" / "rejected.jsonl").read_text())
        assert "value_base64" in line


def test_without_the_providers_word_it_is_refused(session: Any, kafka: str, foreign: Any) -> None:
    """A tool that does not know whether money is at stake does not start."""
    started = len(list(session.tree.output.glob("20*/foreign/clean/run-1/requests/*.json")))
    again = session.tree.pytest(
        *("--eng5-bootstrap-servers", kafka, "--eng5-topic-prefix", PREFIX, "-k", "clean"),
        *("--eng5-content-url", f"{foreign.url}/v1/content", "--junitxml", "refused.xml"),
    )
    outcome, text = again.cases("refused.xml")["clean::run"]
    assert outcome == "error"
    assert "this run could cost money" in text
    assert "--eng5-live" in text
    assert len(list(session.tree.output.glob("20*/foreign/clean/run-1/requests/*.json"))) == started
    assert again.seconds < QUICKLY
