"""Warnings, tolerances, and what is still said about records that cannot be read."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_eng5.checks import run_checks


def of(run: Any, code: str) -> list[Any]:
    return [finding for finding in run_checks(run.load(), ["events"]) if finding.code == code]


@pytest.mark.parametrize("kind", ["comparisons", "assessment_results", "completions"])
def test_a_redelivery_is_a_warning(run: Any, make: Any, kind: str) -> None:
    original = run.messages(kind)[0]
    run.messages(kind).append(original.again(second=original.second + 0.2))
    findings = run_checks(run.load())
    assert [(f.code, f.severity) for f in findings] == [("EVENT-DUPLICATE", "warning")]
    assert f"[{original.partition}]@{original.offset}" in findings[0].message
    assert findings[0].position.endswith(f"[{original.partition}]@1000")


def test_every_copy_is_told(run: Any) -> None:
    run.comparisons += [run.comparisons[2].again(offset=1000 + k) for k in range(3)]
    assert len(of(run, "EVENT-DUPLICATE")) == 3


def test_key_order_and_layout_make_no_other_content(run: Any) -> None:
    again = run.comparisons[2].again()
    again.value["data"] = dict(reversed(again.value["data"].items()))
    run.comparisons.append(again)
    assert len(of(run, "EVENT-DUPLICATE")) == 1
    assert of(run, "EVENT-CONFLICT") == []


def test_a_conflict_names_what_differs(run: Any) -> None:
    again = run.comparisons[2].again(second=run.comparisons[2].second + 1)
    again.data["confidence"] = 1.0
    again.metadata["cj_source"] = "other"
    del again.metadata["resolved_model"]
    run.comparisons.append(again)
    (found,) = of(run, "EVENT-CONFLICT")
    assert "/confidence, /request_metadata/cj_source, /request_metadata/resolved_model" in found.message
    assert found.field == "/data/confidence"
    assert found.request_id == again.data["request_id"]


def test_a_copy_of_the_conflicting_content_is_a_duplicate(run: Any) -> None:
    for k in range(2):
        again = run.comparisons[2].again(second=run.comparisons[2].second + 1 + k, offset=1000 + k)
        again.data["confidence"] = 1.0
        run.comparisons.append(again)
    assert len(of(run, "EVENT-CONFLICT")) == len(of(run, "EVENT-DUPLICATE")) == 1


@pytest.mark.parametrize(("second", "stale"), [(-0.6, True), (-0.4, False), (0.4, False)])
def test_a_record_may_be_one_second_before_the_request(run: Any, second: float, stale: bool) -> None:
    """The request was published half a second after the start."""
    run.comparisons[4].second = second
    assert bool(of(run, "EVENT-STALE")) == stale


@pytest.mark.parametrize(("second", "stale"), [(-61, True), (-59, False)])
def test_dates_may_be_a_minute_before_the_plan(run: Any, make: Any, second: float, stale: bool) -> None:
    run.comparisons[4].data["requested_at"] = make.stamp(second)
    assert bool(of(run, "EVENT-STALE")) == stale


@pytest.mark.parametrize(("second", "stale"), [(-61, True), (-59, False)])
def test_without_the_requests_timestamp_the_plan_stands_in(run: Any, second: float, stale: bool) -> None:
    run.ending["request_timestamp_ms"] = None
    run.completions[0].second = second
    assert bool(of(run, "EVENT-STALE")) == stale


def test_a_record_without_timestamp_cannot_be_stale(run: Any) -> None:
    evidence = run.load()
    from dataclasses import replace

    bare = tuple(replace(e, record=replace(e.record, timestamp_ms=-1)) for e in evidence.comparisons)
    assert run_checks(replace(evidence, comparisons=bare), ["events"]) == ()


@pytest.mark.parametrize(("after", "late"), [(0.5, False), (1.5, True)])
def test_a_callback_after_the_completion_is_late(run: Any, after: float, late: bool) -> None:
    run.comparisons[4].second = run.completions[0].second + after
    found = of(run, "EVENT-LATE")
    assert [f.severity for f in found] == ["warning"] * late


def test_a_late_redelivery_is_only_a_redelivery(run: Any) -> None:
    run.comparisons.append(run.comparisons[4].again(second=90.0))
    assert [f.code for f in run_checks(run.load())] == ["EVENT-DUPLICATE"]


def test_an_end_before_its_beginning(run: Any, make: Any) -> None:
    run.comparisons[4].data.update(requested_at=make.stamp(5), completed_at=make.stamp(4))
    findings = run_checks(run.load())
    assert [(f.code, f.severity) for f in findings] == [("EVENT-CLOCK", "warning")]
    assert "completed_at lies 1.0 s before requested_at" in findings[0].message


@pytest.mark.parametrize(("ahead", "found"), [(299, 0), (301, 1)])
@pytest.mark.parametrize("kind", ["comparisons", "completions"])
def test_a_date_in_the_future_of_its_record(run: Any, make: Any, kind: str, ahead: float, found: int) -> None:
    message = run.messages(kind)[0]
    key = "completed_at" if kind == "comparisons" else "timestamp"
    message.data[key] = make.stamp(message.second + ahead)
    assert len(of(run, "EVENT-CLOCK")) == found


def test_a_rejected_record_keeps_its_ids(run: Any) -> None:
    message = run.comparisons[7]
    import json

    value = json.dumps(message.value | {"data": message.data | {"winner": "essay_a"}}).encode()
    run.reject(message, "comparisons", "schema", value)
    (found,) = of(run, "EVENT-SCHEMA")
    assert found.request_id == message.data["request_id"]
    assert found.correlation_id == message.data["correlation_id"]
    assert found.essay_ids == (message.metadata["essay_a_id"], message.metadata["essay_b_id"])
    assert found.field == "/data/winner"
    assert found.evidence == "events/rejected.jsonl:1"
    assert "comparison_result breaks its schema at /data/winner" in found.message


def test_an_event_that_was_altered_since_it_was_captured(run: Any) -> None:
    altered = run.comparisons[7]
    altered.data["confidence"] = 7
    (found,) = of(run, "EVENT-SCHEMA")
    assert found.evidence == "events/comparisons.jsonl:8"
    assert found.field == "/data/confidence"
    assert found.request_id == altered.data["request_id"]
    assert found.message.endswith("at /data/confidence: Input should be less than or equal to 5")
    assert found.hint == (
        "it was valid when captured: the file was altered since (`eng5 verify` names such files), or it was "
        "recorded against another version of the contract"
    )


def test_a_record_that_nobody_claims_is_told(run: Any) -> None:
    run.reject(run.comparisons[7], "comparisons", "undecodable", b"\x00\xff", "unattributed")
    (found,) = of(run, "EVENT-UNDECODABLE")
    assert "no id ties it to a run" in found.message


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b'{"data": 3}',
        b'{"data": {"request_id": 7, "request_metadata": 3}}',
        b'{"data": {"request_id": "\\ud800", "request_metadata": {"essay_a_id": ["x"]}}}',
        b"[" * 100_000,
    ],
)
def test_no_rejected_bytes_are_too_odd(run: Any, value: bytes) -> None:
    run.reject(run.comparisons[7], "comparisons", "schema", value)
    (found,) = of(run, "EVENT-SCHEMA")
    assert found.request_id is None
    assert found.essay_ids == ()


def test_topic_prefixes_do_not_matter(run: Any, make: Any) -> None:
    run.plan["topic_prefix"] = "private.huleedu."
    run.reject(run.assessment_results[0], "assessment_results", "schema", b"{}")
    findings = run_checks(run.load())
    assert make.codes(findings) == ["EVENT-SCHEMA"]
    assert findings[0].message.startswith("assessment.result.published breaks its schema")


def test_lateness_counts_from_the_first_completion(run: Any) -> None:
    run.completions.append(run.completions[0].again(second=run.completions[0].second + 20))
    run.comparisons[4].second = run.completions[0].second + 10
    assert len(of(run, "EVENT-LATE")) == 1
