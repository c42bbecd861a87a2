"""Legal but unusual events are no fault, and nothing that a model accepts breaks a check or a terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pytest_eng5.checks import run_checks, summarise
from pytest_eng5.contracts import LLMComparisonResultV1
from pytest_eng5.evidence import write_findings

Alter = Callable[[Any, Any], object]
EVIL = "x\n\x1b[31mEVIL\u202e"


def each(run: Any, **changes: Any) -> None:
    for message in run.comparisons:
        message.data.update(changes)


def capitals(run: Any, make: Any) -> None:
    """UUIDs may be written in capitals, by any hop."""
    run.plan["correlation_id"] = run.plan["correlation_id"].upper()
    for message in (*run.comparisons, *run.assessment_results, *run.completions):
        message.value["correlation_id"] = message.value["correlation_id"].upper()
    for message in run.comparisons:
        message.data["correlation_id"] = message.data["correlation_id"].upper()


def more_fields(run: Any, make: Any) -> None:
    for message in (*run.comparisons, *run.assessment_results, *run.completions):
        message.value["added"] = message.data["added"] = {"a": [1, None]}
    for row in run.assessment_results[0].data["essay_results"]:
        row["added"] = EVIL


def one_moment(run: Any, make: Any) -> None:
    for message in run.comparisons:
        message.second = 5.0
    each(run, requested_at=make.stamp(5), completed_at=make.stamp(5))


def across_partitions(run: Any, make: Any) -> None:
    for place in range(5):
        message = run.comparisons[place]
        run.comparisons.append(message.again(partition=(message.partition + 1) % 3, offset=900 + place))


def floats(run: Any, make: Any) -> None:
    """``1`` and ``1.0`` are one number."""
    run.comparisons[3].data["confidence"] = 4
    run.comparisons.append(run.comparisons[3].again())
    run.comparisons[-1].data["confidence"] = 4.0
    usage = {"prompt_tokens": 2110.0, "completion_tokens": 38.0, "total_tokens": 2148.0}
    run.comparisons[-1].data["token_usage"] = usage


def long_texts(run: Any, make: Any) -> None:
    each(run, justification="å" * 500, trace_id="t" * 100_000)
    for message in run.comparisons:
        message.metadata["note"] = "\U0001f600" * 10_000


LEGAL: dict[str, tuple[Alter, list[str]]] = {
    "capitals": (capitals, []),
    "more fields": (more_fields, []),
    "one moment": (one_moment, []),
    "seconds since the epoch": (
        lambda run, make: each(run, requested_at=1_772_355_603, completed_at=1_772_355_605.5),
        [],
    ),
    "milliseconds since the epoch": (lambda run, make: each(run, requested_at=1_772_355_603_000), []),
    "a number as text": (lambda run, make: each(run, requested_at="1772355603"), []),
    "another offset": (lambda run, make: each(run, requested_at="2026-03-01T10:00:03+01:00"), []),
    "nanoseconds": (lambda run, make: each(run, completed_at="2026-03-01T09:00:05.123456789Z"), []),
    "clock half a minute slow": (
        lambda run, make: each(run, requested_at=make.stamp(-30), completed_at=make.stamp(-29)),
        [],
    ),
    "clock minutes fast": (
        lambda run, make: each(run, requested_at=make.stamp(250), completed_at=make.stamp(251)),
        [],
    ),
    "before the request was acknowledged": (
        lambda run, make: setattr(run.comparisons[0], "second", -0.4),
        [],
    ),
    "completed first": (lambda run, make: setattr(run.completions[0], "second", 4.5), []),
    "redelivered on other partitions": (across_partitions, ["EVENT-DUPLICATE"]),
    "numbers written otherwise": (floats, ["EVENT-DUPLICATE"]),
    "long texts": (long_texts, []),
}


@pytest.mark.parametrize(("alter", "warnings"), LEGAL.values(), ids=LEGAL)
def test_what_is_legal_is_no_error(run: Any, make: Any, alter: Alter, warnings: list[str]) -> None:
    alter(run, make)
    findings = run_checks(run.load())
    assert make.codes(findings) == []
    assert make.codes(findings, "warning") == warnings


CODES = ("UNKNOWN_ERROR", "TIMEOUT", "RATE_LIMIT", "CIRCUIT_BREAKER_OPEN", "LLM_PROVIDER_API_ERROR", "new")


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("processed", [True, False])
def test_an_error_of_any_kind_is_an_info(run: Any, make: Any, code: str, processed: bool) -> None:
    message = make.fail(run.comparisons[4], processed=processed)
    message.data["error_detail"].update(error_code=code, stack_trace="a\nb", details={"provider": "google"})
    findings = run_checks(run.load())
    assert [(finding.code, finding.severity) for finding in findings] == [("SUCCESS-RATE", "info")]
    assert findings[0].message == f"14 of 15 comparisons succeeded (93%): {code} 1"


@pytest.mark.parametrize("failed", [False, True])
def test_two_essays_and_one_comparison(make_run: Callable[..., Any], make: Any, failed: bool) -> None:
    run = make_run(2)
    if failed:
        make.fail(run.comparisons[0])
    assert make.codes(run_checks(run.load())) == (["SUCCESS-RATE"] if failed else [])


def test_no_comparison_succeeded(run: Any, make: Any) -> None:
    """Nothing can be scored then, and nothing is said about scores."""
    for message in run.comparisons:
        make.fail(message)
    findings = run_checks(run.load())
    assert [(finding.code, finding.severity) for finding in findings] == [("SUCCESS-RATE", "error")]


def evil_ids(run: Any, make: Any) -> None:
    for place in (3, 4):
        run.comparisons[place].data["request_id"] = f"{place}{EVIL}"
    run.comparisons[4].metadata["prompt_sha256"] = run.comparisons[3].metadata["prompt_sha256"]
    run.comparisons[4].metadata["essay_a_id"] = EVIL
    run.comparisons.append(run.comparisons[3].again())
    run.comparisons[-1].metadata[EVIL] = 1


def evil_models(run: Any, make: Any) -> None:
    run.overrides.clear()
    each(run, model=EVIL)
    run.comparisons[3].data["model"] = EVIL * 1_000
    run.assessment_results[0].data["model_used"] = EVIL * 2


def evil_keys(run: Any, make: Any) -> None:
    for message in run.comparisons[1:]:
        message.metadata[EVIL * 500] = 1
    run.completions[0].data["processing_summary"]["failed_essay_ids"] = [EVIL * 500]


@pytest.mark.parametrize("alter", [evil_ids, evil_models, evil_keys])
def test_foreign_text_stays_on_one_printable_line(run: Any, make: Any, alter: Alter) -> None:
    alter(run, make)
    findings = run_checks(run.load())
    assert findings
    for text in (*(finding.message for finding in findings), *summarise(findings)):
        assert text.isprintable()
        assert len(text) <= 1_200
    write_findings(run.folder.findings, findings)


@pytest.mark.parametrize(
    ("key", "date", "code"),
    [
        ("requested_at", "0001-01-01T00:00:00+14:00", "EVENT-STALE"),
        ("completed_at", "9999-12-31T23:59:59-14:00", "EVENT-CLOCK"),
    ],
)
def test_the_ends_of_time(run: Any, key: str, date: str, code: str) -> None:
    run.comparisons[3].data[key] = date
    assert [finding.code for finding in run_checks(run.load())] == [code]


@pytest.mark.parametrize("stamp", [-1, 0, 10**18])
def test_any_timestamp_of_a_record_is_read(run: Any, stamp: int) -> None:
    """None at all, the epoch, and nanoseconds; the last is after the completion."""
    evidence = run.load()
    first, *others = evidence.comparisons
    moved = replace(first, record=replace(first.record, timestamp_ms=stamp))
    findings = run_checks(replace(evidence, comparisons=(moved, *others)))
    expected = {-1: [], 0: ["EVENT-STALE", "EVENT-CLOCK"], 10**18: ["EVENT-LATE"]}[stamp]
    assert [finding.code for finding in findings] == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"token_usage": {"prompt_tokens": 10**400, "completion_tokens": 0, "total_tokens": 10**400}},
        {"cost_estimate": 1e308},
    ],
)
def test_numbers_beyond_all_measure_are_no_costs(run: Any, make: Any, changes: dict[str, Any]) -> None:
    """Sums of them would overflow: the model refuses them, so that they are EVENT-SCHEMA when captured."""
    with pytest.raises(ValueError, match="less than or equal to"):
        LLMComparisonResultV1.model_validate(run.comparisons[3].data | changes)
