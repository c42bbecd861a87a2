"""What a user reads about each kind of fault, word for word, and that faults do not hide each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_eng5.checks import run_checks, summarise
from pytest_eng5.checks.wording import brief

OTHER = "11111111-2222-4333-8444-555555555555"
CALLBACK = "request f4481c18.., essays bf48e7b0.., b1a549bb.., comparison_result[1]@2"
RICH = "assessment.result.published[0]@0"


def metadata(**changes: Any) -> Callable[[Any, Any], object]:
    return lambda run, make: run.comparisons[7].metadata.update(changes)


def data(**changes: Any) -> Callable[[Any, Any], object]:
    return lambda run, make: run.comparisons[7].data.update(changes)


def conflict(run: Any, make: Any) -> None:
    run.comparisons.append(run.comparisons[7].again())
    run.comparisons[-1].data["cost_estimate"] = 9.9


def failed(run: Any, make: Any) -> None:
    reason = {"error_code": "CONTENT_SERVICE_ERROR", "error_message": "no\nanswer\x1b[31m"}
    run.failures.append(make.failed_event(reason, 9.0))
    run.completions.clear()
    run.assessment_results.clear()


def errors(run: Any, make: Any) -> None:
    for message in run.comparisons[7:11]:
        make.fail(message)


LINES: list[tuple[str, Callable[[Any, Any], object]]] = [
    (
        "EVENT-SCHEMA comparison_result breaks its schema at /data/winner: "
        "Input should be 'Essay A' or 'Essay B'; first: request r, comparison_result[1]@2",
        lambda run, make: run.reject(
            run.comparisons[7], "comparisons", "schema", b'{"data": {"request_id": "r"}}'
        ),
    ),
    (
        "EVENT-UNDECODABLE assessment.result.published cannot be decoded: invalid utf-8; "
        "no id ties it to a run, but only runs of this session use the topic; first: " + RICH,
        lambda run, make: run.reject(
            run.assessment_results[0], "assessment_results", "undecodable", b"\xff", "unattributed"
        ),
    ),
    (
        f"EVENT-VERSION schema_version of comparison_result is 2, not 1; first: {CALLBACK}",
        lambda run, make: run.comparisons[7].value.update(schema_version=2),
    ),
    (
        "EVENT-CONFLICT same request id as comparison_result[1]@2, but other /cost_estimate; "
        f"first: {CALLBACK.replace('@2', '@1000')}",
        conflict,
    ),
    (
        f"META-MISSING prompt_sha256 absent in 1 of 15 callbacks; first: {CALLBACK}",
        metadata(prompt_sha256=None),
    ),
    (
        "META-MALFORMED prompt_sha256 is not 64 lower-case hexadecimal digits in 1 of 15 callbacks; "
        f"first: {CALLBACK}",
        metadata(prompt_sha256="abc"),
    ),
    (
        "META-MALFORMED bos_batch_id is not this run's b3a1f7de-0c54-4d0a-8a0f-6a1f0f7d2c10 "
        f"in 1 of 15 callbacks; first: {CALLBACK}",
        metadata(bos_batch_id=OTHER),
    ),
    (
        "META-UNKNOWN-ESSAY essay_b_id 'student::nobody' is none of 6 planned essays; "
        "first: request f4481c18.., essays bf48e7b0.., nobody, comparison_result[1]@2",
        metadata(essay_b_id="student::nobody"),
    ),
    (
        f"META-DROPPED reasoning_effort is not 'low' as requested in 1 of 15 callbacks; first: {CALLBACK}",
        metadata(reasoning_effort="high"),
    ),
    (
        f"META-ATTRIBUTION provider is google, the request asked for openai; first: {CALLBACK}",
        data(provider="google"),
    ),
    (
        "META-ATTRIBUTION rich result names openai / gpt-4, "
        "most comparisons openai / gpt-5-mini-2025-08-07; "
        f"first: {RICH}",
        lambda run, make: run.assessment_results[0].data.update(model_used="gpt-4"),
    ),
    (
        f"META-CORRELATION correlation id of assessment.result.published is {OTHER}, "
        f"not 0d8f7a54-64f0-4b2f-8d2e-3d6a4c6f9d01; first: {RICH}",
        lambda run, make: run.assessment_results[0].value.update(correlation_id=OTHER),
    ),
    (
        "COUNT-MISSING 1 of 15 planned comparisons did not come back; fewer comparisons than others: "
        "anchor-2 (4 of 5), anchor-4 (4 of 5); first: essays b1a549bb.., bf48e7b0..",
        lambda run, make: run.comparisons.pop(7),
    ),
    (
        "PIPELINE-FAILED the pipeline failed the batch: CONTENT_SERVICE_ERROR: no answer?[31m "
        "(15 planned: 15 succeeded); first: cj_assessment.failed[0]@0",
        failed,
    ),
    (
        f"ESSAY-MISSING essay 'anchor-3' is absent from the rich result; first: essay a79cf1e5.., {RICH}",
        lambda run, make: run.assessment_results[0].data["essay_results"].pop(3),
    ),
    (
        "PARTIAL-DATA capturing was cut short (idle_deadline): nothing for 30 s fix: wait longer",
        lambda run, make: run.ending.update(
            reason="idle_deadline", detail="nothing for 30 s\n  fix: wait longer"
        ),
    ),
    (
        f"SUCCESS-RATE 11 of 15 comparisons succeeded (73%): EXTERNAL_SERVICE_ERROR 4; first: {CALLBACK}",
        errors,
    ),
]


@pytest.mark.parametrize(
    ("line", "alter"), LINES, ids=[f"{k}-{line[:30]}" for k, (line, _) in enumerate(LINES)]
)
def test_the_line_of_a_fault(run: Any, make: Any, line: str, alter: Callable[[Any, Any], object]) -> None:
    alter(run, make)
    findings = [found for found in run_checks(run.load()) if found.check not in ("scoring", "costs")]
    assert summarise(findings) == [line]


def test_foreign_sentences_stay_on_one_line() -> None:
    assert brief("a\n  b\x00\x1b") == "a b??"
    assert len(brief("x" * 900)) == 200


SINGLE: dict[str, Callable[[Any, Any], object]] = {
    "EVENT-VERSION": lambda m, make: m.value.update(schema_version=2),
    "META-MISSING": lambda m, make: m.metadata.pop("prompt_sha256"),
    "META-MALFORMED": lambda m, make: m.metadata.update(prompt_sha256="x"),
    "META-UNKNOWN-ESSAY": lambda m, make: m.metadata.update(essay_a_id="student::nobody"),
    "META-SAME-ESSAY": lambda m, make: m.metadata.update(essay_a_id=m.metadata["essay_b_id"]),
    "META-CORRELATION": lambda m, make: m.value.update(correlation_id=OTHER),
    "META-DROPPED": lambda m, make: m.metadata.pop("cj_source"),
    "META-ATTRIBUTION": lambda m, make: m.data.update(model="another"),
    "EVENT-STALE": lambda m, make: setattr(m, "second", -900),
}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    faults=st.dictionaries(st.integers(0, 14), st.sampled_from(sorted(SINGLE)), min_size=1, max_size=5),
    shift=st.integers(0, 3),
)
def test_faults_do_not_hide_each_other(
    make_run: Callable[..., Any], make: Any, faults: dict[int, str], shift: int
) -> None:
    """Any few faults in different callbacks, some of them redelivered: each is found where it was planted."""
    run = make_run(6)
    planted = set()
    for place, code in faults.items():
        SINGLE[code](run.comparisons[place], make)
        planted.add((code, run.comparisons[place].data["request_id"]))
    run.comparisons += [run.comparisons[k].again(second=40.0, offset=1000 + k) for k in range(shift)]
    findings = [f for f in run_checks(run.load()) if f.severity == "error"]
    repeated = {(f.code, f.request_id) for f in findings}
    assert repeated == planted
