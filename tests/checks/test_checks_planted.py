"""Each fault, planted by one small alteration of a clean run, is found: that code, and no other error.

Every word and field of the findings is pinned; after a deliberate change run it with ``--snapshot-update``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from pytest_eng5.checks import CODES, run_checks

Alter = Callable[[Any, Any], object]
META = "/data/request_metadata/"


def set_metadata(key: str, value: Any, place: int = 7) -> Alter:
    return lambda run, make: run.comparisons[place].metadata.update({key: value})


def drop_metadata(key: str, place: int = 7) -> Alter:
    return lambda run, make: run.comparisons[place].metadata.pop(key)


def set_data(key: str, value: Any, place: int = 7) -> Alter:
    return lambda run, make: run.comparisons[place].data.update({key: value})


def copy_with(place: int, **changes: Any) -> Alter:
    """A second delivery of a callback with another payload."""

    def alter(run: Any, make: Any) -> None:
        again = run.comparisons[place].again()
        again.data.update(changes)
        run.comparisons.append(again)

    return alter


def another(kind: str, change: Callable[[Any], object]) -> Alter:
    def alter(run: Any, make: Any) -> None:
        again = run.messages(kind)[0].again(second=run.messages(kind)[0].second + 0.5)
        change(again.data)
        run.messages(kind).append(again)

    return alter


def extra(run: Any, make: Any) -> None:
    """A sixteenth comparison: pair (0, 5) in the other order."""
    message = make.callback(15, 5, 0, "Essay B")
    run.comparisons.append(message)


def same_pair_other_hash(run: Any, make: Any) -> None:
    """The pair of the first comparison again, planned this time, with another prompt."""
    run.plan["planned_comparisons"] = 16
    message = make.callback(15, 0, 5)
    message.metadata["prompt_sha256"] = "0" * 64
    run.comparisons.append(message)


def steal_hash(run: Any, make: Any) -> None:
    run.comparisons[7].metadata["prompt_sha256"] = run.comparisons[6].metadata["prompt_sha256"]


def steal_correlation(run: Any, make: Any) -> None:
    first, other = run.comparisons[6], run.comparisons[7]
    other.data["correlation_id"] = other.value["correlation_id"] = first.data["correlation_id"]


def without(place: int) -> Alter:
    return lambda run, make: run.comparisons.pop(place)


def stale_payload(run: Any, make: Any) -> None:
    run.comparisons[7].data.update(requested_at=make.stamp(-300), completed_at=make.stamp(-299))


def scored(essay: int, **changes: Any) -> Alter:
    """Publish something else about one essay than the comparisons give."""

    def alter(run: Any, make: Any) -> None:
        run.score()
        run.assessment_results[0].data["essay_results"][essay].update(changes)

    return alter


def shifted(by: float, factor: float = 1.0) -> Alter:
    def alter(run: Any, make: Any) -> None:
        run.score()
        for row in run.assessment_results[0].data["essay_results"]:
            row["bt_score"] = factor * row["bt_score"] + by

    return alter


def reranked(order: list[int]) -> Alter:
    def alter(run: Any, make: Any) -> None:
        run.score()
        rows = run.assessment_results[0].data["essay_results"]
        for row, rank in zip(rows, order, strict=True):
            row["rank"] = rank

    return alter


def tokens(**changes: int) -> Alter:
    return lambda run, make: run.comparisons[7].data["token_usage"].update(changes)


def judged_by(model: str, budget: float | None) -> Alter:
    """The whole run by another model, as asked for."""

    def alter(run: Any, make: Any) -> None:
        run.plan.update(model=model, budget_usd=budget)
        run.overrides["model_override"] = model
        run.assessment_results[0].data["model_used"] = model
        for message in run.comparisons:
            message.data["model"] = message.metadata["resolved_model"] = model

    return alter


def failing(count: int) -> Alter:
    def alter(run: Any, make: Any) -> None:
        for message in run.comparisons[:count]:
            make.fail(message)

    return alter


def failed(run: Any, make: Any) -> None:
    reason = {"reason": "low_success_rate", "details": {"success_rate": 0.18}}
    run.failures.append(make.failed_event(reason, 9.0))
    run.completions.clear()
    run.assessment_results.clear()


def vanished(run: Any, make: Any) -> None:
    run.assessment_results[0].data["essay_results"].pop(3)


def summary_failed(run: Any, make: Any) -> None:
    run.completions[0].data["processing_summary"]["failed_essay_ids"] = [make.essay_id(2)]


def envelope(kind: str, key: str, value: Any, place: int = 0) -> Alter:
    return lambda run, make: run.messages(kind)[place].value.update({key: value})


def reject(kind: str, stage: str, value: bytes, place: int = 0, attribution: str = "text") -> Alter:
    return lambda run, make: run.reject(run.messages(kind)[place], kind, stage, value, attribution)


OTHER = "11111111-2222-4333-8444-555555555555"
PLANTED: list[tuple[str, str, Alter]] = [
    ("EVENT-UNDECODABLE", "bytes of a callback", reject("comparisons", "undecodable", b"\xff\xfe{", 7)),
    ("EVENT-UNDECODABLE", "a result cut short", reject("assessment_results", "undecodable", b'{"data": {')),
    ("EVENT-UNDECODABLE", "empty record", reject("completions", "undecodable", b"")),
    ("EVENT-SCHEMA", "callback", reject("comparisons", "schema", b'{"data": {"request_id": "r"}}', 7)),
    ("EVENT-SCHEMA", "result", reject("assessment_results", "schema", b'{"data": []}')),
    ("EVENT-SCHEMA", "unattributed", reject("comparisons", "schema", b"{}", 7, "unattributed")),
    ("EVENT-VERSION", "callback", envelope("comparisons", "schema_version", 2, 7)),
    ("EVENT-VERSION", "completion", envelope("completions", "schema_version", 0)),
    ("EVENT-CONFLICT", "other winner", copy_with(0, winner="Essay B")),
    ("EVENT-CONFLICT", "other cost", copy_with(7, cost_estimate=9.9)),
    (
        "EVENT-STALE",
        "record before the request",
        lambda run, make: setattr(run.comparisons[7], "second", -3600),
    ),
    ("EVENT-STALE", "old dates in it", stale_payload),
    ("META-MISSING", "essay A", drop_metadata("essay_a_id")),
    ("META-MISSING", "essay B is null", set_metadata("essay_b_id", None)),
    ("META-MISSING", "hash", drop_metadata("prompt_sha256")),
    ("META-MISSING", "batch", drop_metadata("bos_batch_id")),
    ("META-MALFORMED", "hash in capitals", set_metadata("prompt_sha256", "AB" * 32)),
    ("META-MALFORMED", "hash too short", set_metadata("prompt_sha256", "ab" * 31)),
    ("META-MALFORMED", "hash with a newline", set_metadata("prompt_sha256", "ab" * 32 + "\n")),
    ("META-MALFORMED", "essay id is a number", set_metadata("essay_a_id", 7)),
    ("META-MALFORMED", "essay id is a list", set_metadata("essay_a_id", ["x"])),
    ("META-MALFORMED", "essay id is empty", set_metadata("essay_b_id", "")),
    ("META-MALFORMED", "another batch", set_metadata("bos_batch_id", OTHER)),
    ("META-MALFORMED", "another CJ job", set_metadata("cj_batch_id", "152")),
    ("META-UNKNOWN-ESSAY", "essay B", set_metadata("essay_b_id", "student::nobody")),
    ("META-UNKNOWN-ESSAY", "anchor in a guest run", set_metadata("essay_a_id", "ANCHOR_1_0a1b2c3d")),
    (
        "META-SAME-ESSAY",
        "B overwritten by A",
        lambda run, make: run.comparisons[7].metadata.update(
            essay_b_id=run.comparisons[7].metadata["essay_a_id"]
        ),
    ),
    ("META-HASH-COLLISION", "hash of another pair", steal_hash),
    ("META-HASH-MISMATCH", "one pair, two hashes", same_pair_other_hash),
    ("META-CORRELATION", "completion", envelope("completions", "correlation_id", OTHER)),
    ("META-CORRELATION", "rich result", envelope("assessment_results", "correlation_id", OTHER)),
    ("META-CORRELATION", "callback's envelope", envelope("comparisons", "correlation_id", OTHER, 7)),
    ("META-CORRELATION", "two requests share one", steal_correlation),
    (
        "META-CORRELATION",
        "rich result without any",
        lambda run, make: run.assessment_results[0].value.pop("correlation_id"),
    ),
    ("META-DROPPED", "cj_batch_id", drop_metadata("cj_batch_id")),
    ("META-DROPPED", "cj_source", drop_metadata("cj_source")),
    ("META-DROPPED", "hint of the request", drop_metadata("reasoning_effort")),
    ("META-DROPPED", "hint altered", set_metadata("reasoning_effort", "high")),
    ("META-DROPPED", "queue key", drop_metadata("resolved_provider")),
    ("META-ATTRIBUTION", "provider", set_data("provider", "anthropic")),
    ("META-ATTRIBUTION", "model", set_data("model", "claude-haiku-4-5")),
    ("META-ATTRIBUTION", "resolved provider", set_metadata("resolved_provider", "google")),
    (
        "META-ATTRIBUTION",
        "rich result's model",
        lambda run, make: run.assessment_results[0].data.update(model_used="claude-haiku-4-5"),
    ),
    (
        "META-ATTRIBUTION",
        "rich result's provider",
        lambda run, make: run.assessment_results[0].data.update(model_provider="google"),
    ),
    ("COUNT-MISSING", "one callback lost", without(7)),
    ("COUNT-EXTRA", "one more than planned", extra),
    ("RESULT-MISSING", "no rich result", lambda run, make: run.assessment_results.clear()),
    (
        "RESULT-DUPLICATE",
        "another rank",
        another("assessment_results", lambda d: d["essay_results"].reverse()),
    ),
    ("COMPLETION-MISSING", "no completion", lambda run, make: run.completions.clear()),
    (
        "COMPLETION-DUPLICATE",
        "other job",
        another("completions", lambda d: d.update(cj_assessment_job_id="9")),
    ),
    ("PIPELINE-FAILED", "failed event", failed),
    (
        "PIPELINE-FAILED",
        "completion of a failure",
        lambda run, make: run.completions[0].data.update(status="failed_critically"),
    ),
    ("ESSAY-MISSING", "absent from the result", vanished),
    (
        "ESSAY-MISSING",
        "unplanned in the result",
        lambda run, make: (
            run.assessment_results[0]
            .data["essay_results"]
            .append({**run.assessment_results[0].data["essay_results"][0], "essay_id": "student::nobody"})
        ),
    ),
    ("ESSAY-MISSING", "failed in the completion", summary_failed),
    ("PARTIAL-DATA", "idle", lambda run, make: run.ending.update(reason="idle_deadline", detail="1 missing")),
    ("PARTIAL-DATA", "interrupted", lambda run, make: run.ending.update(reason="interrupted", detail="^C")),
    ("SUCCESS-RATE", "11 of 15", failing(4)),
    ("SCORE-MISMATCH", "one score", scored(2, bt_score=1.5)),
    ("SCORE-MISMATCH", "one score, a little", shifted(0.0, 1 + 1e-5)),
    ("SCORE-MISMATCH", "all twice as far apart", shifted(0.0, 2.0)),
    ("SCORE-MISMATCH", "all reversed", shifted(0.0, -1.0)),
    ("SCORE-CENTRE", "all shifted", shifted(1.0)),
    ("SCORE-CENTRE", "all shifted a little", shifted(-1e-4)),
    ("RANK-MISMATCH", "two swapped", reranked([1, 3, 2, 4, 5, 6])),
    ("RANK-MISMATCH", "one given twice", reranked([1, 2, 3, 4, 5, 5])),
    ("RANK-MISMATCH", "from 0 shifted by one", reranked([2, 3, 4, 5, 6, 7])),
    ("RANK-MISMATCH", "upside down", reranked([6, 5, 4, 3, 2, 1])),
    ("COST-MISMATCH", "twice the flat rate", set_data("cost_estimate", 0.06444)),
    ("COST-MISMATCH", "nothing", set_data("cost_estimate", 0.0)),
    ("COST-MISMATCH", "a little more", set_data("cost_estimate", 0.03223)),
    ("COST-MISMATCH", "total is no sum", tokens(total_tokens=2149)),
    ("COST-MISMATCH", "tokens of the prompt gone", tokens(prompt_tokens=0)),
    ("COST-OVER-BUDGET", "reported", lambda run, make: run.plan.update(budget_usd=0.48)),
    ("COST-PRICE-UNKNOWN", "with a budget", judged_by("gpt-5.1", 10.0)),
]


@pytest.mark.parametrize(
    ("code", "alter"), [(code, alter) for code, _, alter in PLANTED], ids=[f"{c}: {t}" for c, t, _ in PLANTED]
)
def test_a_planted_fault_is_the_only_error(
    run: Any, make: Any, code: str, alter: Alter, snapshot: SnapshotAssertion
) -> None:
    alter(run, make)
    findings = run_checks(run.load())
    errors = [finding for finding in findings if finding.severity == "error"]
    assert {finding.code for finding in errors} == {code}
    for finding in errors:
        assert finding.check == CODES[code].check
        assert finding.message
        assert "\n" not in finding.message
        assert finding.hint
    assert make.told(findings) == snapshot


def edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Any], None]:
    """Edit the artefact as written, and make checksum and manifest fit again."""

    def alter(run: Any) -> None:
        from pytest_eng5.evidence import checksum_of, json_bytes

        document = json.loads(run.artefact.read_bytes())
        change(document)
        document["validation"]["artefact_checksum"] = checksum_of(document)
        run.artefact.write_bytes(json_bytes(document))
        run.rewrite_manifest()

    return alter


FILES: list[tuple[str, str, Callable[[Any], object]]] = [
    ("MANIFEST-HASH", "an event altered", lambda run: _swap(run.folder.events / "comparisons.jsonl")),
    ("MANIFEST-HASH", "plan altered", lambda run: _append(run.folder.plan)),
    ("MANIFEST-MISSING", "findings removed", lambda run: run.folder.findings.unlink()),
    ("MANIFEST-MISSING", "manifest removed", lambda run: run.folder.manifest.unlink()),
    ("MANIFEST-MISSING", "manifest damaged", lambda run: run.folder.manifest.write_text("[")),
    ("MANIFEST-UNLISTED", "a file added", lambda run: (run.root / "notes.txt").write_text("hello")),
    ("SCHEMA-ARTEFACT", "a comparison removed", edit(lambda d: d["llm_comparisons"].pop(3))),
    (
        "SCHEMA-ARTEFACT",
        "a comparison twice",
        edit(lambda d: d["llm_comparisons"].append(d["llm_comparisons"][0])),
    ),
    (
        "SCHEMA-ARTEFACT",
        "an invented comparison",
        edit(lambda d: d["llm_comparisons"].append({**d["llm_comparisons"][0], "request_id": "invented"})),
    ),
    ("SCHEMA-ARTEFACT", "another winner", edit(lambda d: _turn(d["llm_comparisons"][2]))),
    ("SCHEMA-ARTEFACT", "another model", edit(lambda d: d["llm_comparisons"][2].update(model="x"))),
    ("SCHEMA-ARTEFACT", "another batch", edit(lambda d: d["metadata"].update(batch_uuid=OTHER))),
    ("SCHEMA-ARTEFACT", "an essay less", edit(lambda d: d["inputs"]["anchors"].pop())),
    ("SCHEMA-ARTEFACT", "estimated counts", edit(lambda d: d["bt_summary"][0].update(comparison_count=15))),
    ("SCHEMA-ARTEFACT", "too few counted", edit(lambda d: d["bt_summary"][0].update(comparison_count=4))),
    (
        "SCHEMA-ARTEFACT",
        "observed",
        edit(lambda d: d["validation"]["runner_status"]["observed_events"].update(llm_comparisons=16)),
    ),
    ("COST-MISMATCH", "another total", edit(lambda d: d["costs"].update(total_usd=0.5))),
    ("COST-MISMATCH", "other tokens", edit(lambda d: d["costs"]["token_counts"][0].update(prompt_tokens=1))),
    ("COST-MISMATCH", "judge left out", edit(lambda d: d["costs"]["token_counts"].clear())),
    ("SCHEMA-ARTEFACT", "number as text", edit(lambda d: d["llm_comparisons"][2].update(sequence="3"))),
    ("SCHEMA-ARTEFACT", "date that is none", edit(lambda d: d["metadata"].update(generated_at="1700000000"))),
]


def _swap(path: Any) -> None:
    """Two digits of an offset: the same size, still readable."""
    path.write_bytes(path.read_bytes().replace(b'"offset":0', b'"offset":7', 1))


def _append(path: Any) -> None:
    path.write_bytes(path.read_bytes() + b" ")


def _turn(row: dict[str, Any]) -> None:
    row["winner_id"], row["loser_id"] = row["loser_id"], row["winner_id"]


@pytest.mark.parametrize(
    ("code", "alter"), [(code, alter) for code, _, alter in FILES], ids=[f"{c}: {t}" for c, t, _ in FILES]
)
def test_a_file_altered_after_the_run_is_the_only_error(
    run: Any, make: Any, code: str, alter: Callable[[Any], object], snapshot: SnapshotAssertion
) -> None:
    from pytest_eng5.evidence import load_evidence

    run.write()
    alter(run)
    findings = run_checks(load_evidence(run.root))
    assert make.codes(findings) == [code]
    assert make.codes(findings, "warning") == []
    assert make.told(findings) == snapshot


def test_every_code_is_planted() -> None:
    """Warnings, the artefact's own checksum and what only mode execute has are tested elsewhere."""
    planted = {code for code, *_ in (*PLANTED, *FILES)}
    elsewhere = {"EVENT-DUPLICATE", "EVENT-LATE", "EVENT-CLOCK", "ARTEFACT-CHECKSUM"}
    assert planted | elsewhere | {"SCHEMA-1.0", "PROJECTION-MISMATCH"} == set(CODES)
