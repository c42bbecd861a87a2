"""Who judged, which correlation id came back and which keys got lost: each rule alone, word for word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_eng5.checks import run_checks
from pytest_eng5.checks.attribution import check_attribution, judge_asked_for
from pytest_eng5.checks.correlation import check_correlation
from pytest_eng5.checks.dropped import check_dropped

MODEL = "gpt-5-mini-2025-08-07"
OTHER = "11111111-2222-4333-8444-555555555555"


def attribution(run: Any) -> list[tuple[str, str | None]]:
    evidence = run.held()
    return [(f.message, f.field) for f in check_attribution(evidence, evidence.distinct_comparisons)]


def test_held_evidence_is_what_is_read_back(run: Any, make: Any) -> None:
    """The quick way to evidence in these tests and the real one lead to the same findings."""
    run.comparisons[3].data["provider"] = "google"
    run.comparisons.append(run.comparisons[4].again(second=90.0))
    run.reject(run.comparisons[5], "comparisons", "schema", b"{}")
    names = ("events", "metadata", "completeness", "scoring", "costs")
    assert run_checks(run.held(), names) == run_checks(run.load(), names)


@pytest.mark.parametrize("with_request", [True, False])
def test_who_was_asked_stands_in_the_request_or_else_in_the_plan(run: Any, with_request: bool) -> None:
    run.with_request = with_request
    run.plan.update(provider="google", model="gemini")
    expected = ("openai", MODEL) if with_request else ("google", "gemini")
    assert judge_asked_for(run.held()) == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [("provider_override", (None, MODEL)), ("model_override", ("openai", None))],
)
def test_what_the_request_leaves_open_the_service_chooses(run: Any, key: str, expected: Any) -> None:
    del run.overrides[key]
    assert judge_asked_for(run.held()) == expected


@pytest.mark.parametrize(
    ("changes", "message", "field"),
    [
        ({"provider": "google"}, "provider is google, the request asked for openai", "/data/provider"),
        ({"model": "gpt-4"}, f"model is 'gpt-4', the request asked for '{MODEL}'", "/data/model"),
    ],
)
def test_another_judge_than_the_one_asked_for(run: Any, changes: Any, message: str, field: str) -> None:
    run.comparisons[7].data.update(changes)
    assert attribution(run) == [(message, field)]


@pytest.mark.parametrize("model", ["aaa", "zzz"])
def test_the_odd_judge_is_told_whatever_its_name(run: Any, model: str) -> None:
    """Nobody was asked for: what most successes say holds, not what comes first or last by name."""
    run.overrides.clear()
    run.comparisons[7].data["model"] = model
    text = f"judged by openai / {model}, most of the run by openai / {MODEL}"
    assert attribution(run) == [(text, "/data/model")]


def test_an_error_has_no_judge_to_compare(run: Any, make: Any) -> None:
    run.overrides.clear()
    make.fail(run.comparisons[7]).data["provider"] = "google"
    assert attribution(run) == []


def test_every_rich_result_is_looked_at(run: Any, make: Any) -> None:
    """The first of three names the right judge; the same wrong one is told once."""
    for second in (40.0, 41.0):
        run.assessment_results.append(run.assessment_results[0].again(second=second))
        run.assessment_results[-1].data["model_used"] = "gpt-4"
    text = f"rich result names openai / gpt-4, most comparisons openai / {MODEL}"
    assert attribution(run) == [(text, "/data/model_used")]


def test_without_any_success_no_rich_result_is_wrong(run: Any, make: Any) -> None:
    for message in run.comparisons:
        make.fail(message)
    run.assessment_results[0].data["model_used"] = "default"
    assert attribution(run) == []


def test_a_callback_whose_envelope_has_no_correlation_id(run: Any) -> None:
    del run.comparisons[7].value["correlation_id"]
    evidence = run.held()
    (found,) = check_correlation(evidence, evidence.distinct_comparisons)
    own = run.comparisons[7].data["correlation_id"]
    assert found.message == f"correlation id of the envelope is absent, of the comparison {own}"
    assert found.hint == (
        "the provider service puts the comparison's id in both places; the CJ service matches on the data's"
    )
    assert (found.code, found.field) == ("META-CORRELATION", "/correlation_id")


def test_a_result_without_a_correlation_id(run: Any) -> None:
    del run.assessment_results[0].value["correlation_id"]
    evidence = run.held()
    (found,) = check_correlation(evidence, evidence.distinct_comparisons)
    wanted = run.plan["correlation_id"]
    assert found.message == f"correlation id of assessment.result.published is absent, not {wanted}"


def test_two_requests_with_one_correlation_id(run: Any) -> None:
    first, second = run.comparisons[3], run.comparisons[4]
    second.value["correlation_id"] = second.data["correlation_id"] = first.data["correlation_id"]
    evidence = run.held()
    (found,) = check_correlation(evidence, evidence.distinct_comparisons)
    owner = first.data["request_id"]
    assert found.message == f"comparison has the correlation id of request {owner[:8]}.."
    assert (found.request_id, found.field) == (second.data["request_id"], "/data/correlation_id")


def dropped(run: Any) -> list[tuple[str, str | None]]:
    evidence = run.held()
    found = check_dropped(evidence, evidence.distinct_comparisons)
    assert {f.hint for f in found} <= {
        "look for the hop that rebuilds request_metadata instead of passing it on"
    }
    return [(f.message, f.field) for f in found]


def lose(key: str, count: int) -> Callable[[Any], None]:
    def alter(run: Any) -> None:
        for message in run.comparisons[:count]:
            del message.metadata[key]

    return alter


@pytest.mark.parametrize("with_request", [True, False])
def test_a_key_of_the_cj_service_may_not_be_lost_even_by_all(run: Any, with_request: bool) -> None:
    run.with_request = with_request
    lose("cj_source", 15)(run)
    expected = ("cj_source absent in 15 of 15 callbacks", "/data/request_metadata/cj_source")
    assert dropped(run) == [expected] * 15


def test_a_hint_of_the_request_may_not_be_lost_by_all(run: Any) -> None:
    lose("reasoning_effort", 15)(run)
    expected = ("reasoning_effort absent in 15 of 15 callbacks", "/data/request_metadata/reasoning_effort")
    assert dropped(run) == [expected] * 15


@pytest.mark.parametrize(("lost", "told"), [(1, 1), (2, 2), (3, 0), (4, 0), (6, 0)])
def test_what_more_than_half_of_the_callbacks_carry_all_must(
    make_run: Callable[..., Any], lost: int, told: int
) -> None:
    """Of six callbacks."""
    run = make_run(4)
    lose("queue_processing_mode", lost)(run)
    text = f"queue_processing_mode absent in {lost} of 6 callbacks"
    assert dropped(run) == [(text, "/data/request_metadata/queue_processing_mode")] * told


@pytest.mark.parametrize(
    ("value", "expected"),
    [("low", []), ("high", ["reasoning_effort is not 'low' as requested in 1 of 15 callbacks"])],
)
def test_a_hint_has_the_value_that_was_asked_for(run: Any, value: str, expected: list[str]) -> None:
    run.comparisons[7].metadata["reasoning_effort"] = value
    assert [message for message, _ in dropped(run)] == expected
