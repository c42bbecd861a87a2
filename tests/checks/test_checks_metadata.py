"""Metadata in detail: what is legal on errors, ties, dated models, and values of any shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_eng5.checks import run_checks, summarise
from pytest_eng5.checks.attribution import same_model


def metadata(run: Any) -> list[tuple[str, str | None]]:
    return [(f.code, f.field) for f in run_checks(run.load(), ["metadata"])]


def test_a_finding_has_its_whole_place(run: Any) -> None:
    message = run.comparisons[7]
    del message.metadata["bos_batch_id"]
    (found,) = run_checks(run.load())
    assert found.code == "META-MISSING"
    assert found.request_id == message.data["request_id"]
    assert found.correlation_id == message.data["correlation_id"]
    assert found.essay_ids == (message.metadata["essay_a_id"], message.metadata["essay_b_id"])
    assert found.field == "/data/request_metadata/bos_batch_id"
    assert (
        found.position == f"huleedu.llm_provider.comparison_result.v1[{message.partition}]@{message.offset}"
    )
    assert found.evidence == "events/comparisons.jsonl:8"
    assert found.hint


def test_error_callbacks_need_the_four_keys_too(run: Any, make: Any) -> None:
    del make.fail(run.comparisons[7]).metadata["prompt_sha256"]
    assert metadata(run) == [("META-MISSING", "/data/request_metadata/prompt_sha256")]


def test_redeliveries_are_judged_once(run: Any) -> None:
    del run.comparisons[7].metadata["prompt_sha256"]
    run.comparisons.append(run.comparisons[7].again(second=30))
    assert len(metadata(run)) == 1


def test_an_error_before_the_queue_lacks_the_queues_keys(run: Any, make: Any) -> None:
    make.fail(run.comparisons[7], processed=False)
    assert metadata(run) == []


@pytest.mark.parametrize("key", ["cj_batch_id", "cj_source", "cj_request_type", "reasoning_effort"])
def test_an_error_keeps_what_the_cj_service_set(run: Any, make: Any, key: str) -> None:
    del make.fail(run.comparisons[7], processed=False).metadata[key]
    assert metadata(run) == [("META-DROPPED", f"/data/request_metadata/{key}")]


def test_a_hint_lost_everywhere_is_lost(run: Any) -> None:
    for message in run.comparisons:
        del message.metadata["reasoning_effort"]
    assert len(metadata(run)) == 15
    (line,) = summarise(run_checks(run.load(), ["metadata"]))
    assert line.startswith("META-DROPPED reasoning_effort absent in 15 of 15 callbacks; first: request")


def test_a_hint_that_was_not_sent_is_not_expected(run: Any) -> None:
    del run.overrides["reasoning_effort"]
    for message in run.comparisons:
        del message.metadata["reasoning_effort"]
    assert metadata(run) == []


def test_keys_that_most_callbacks_lack_are_no_loss(run: Any) -> None:
    for message in run.comparisons[:7]:
        message.metadata["rare"] = 1
    assert metadata(run) == []
    run.comparisons[7].metadata["rare"] = 1
    assert len(metadata(run)) == 7


def test_what_depends_on_the_answer_may_be_absent(run: Any) -> None:
    for message in run.comparisons[1:]:
        message.metadata.update(
            usage={"total_tokens": 3}, cache_read_input_tokens=0, streaming_simulated=True
        )
    assert metadata(run) == []


def test_continuation_waves_are_called_retries(run: Any) -> None:
    for message in run.comparisons[3:]:
        message.metadata["cj_request_type"] = "cj_retry"
    assert metadata(run) == []


def test_a_reversed_pair_has_another_hash(run: Any, make: Any) -> None:
    run.plan["planned_comparisons"] = 16
    again = make.callback(15, 5, 0, "Essay B")
    run.comparisons.append(again)
    assert metadata(run) == []
    again.metadata["prompt_sha256"] = run.comparisons[0].metadata["prompt_sha256"]
    (found,) = run_checks(run.load(), ["metadata"])
    assert found.code == "META-HASH-COLLISION"
    assert "the same essays reversed" in found.message


def test_the_same_pair_again_has_the_same_hash(run: Any, make: Any) -> None:
    run.plan["planned_comparisons"] = 16
    run.comparisons.append(make.callback(15, 0, 5))
    assert metadata(run) == []


def test_an_error_may_hash_otherwise_than_a_success(run: Any, make: Any) -> None:
    """Contract 3.3: under full mock the error hash has the JSON suffix, the success hash has not."""
    run.plan["planned_comparisons"] = 16
    again = make.fail(make.callback(15, 0, 5))
    again.metadata["prompt_sha256"] = "12" * 32
    run.comparisons.append(again)
    assert metadata(run) == []


def test_the_odd_one_of_three_hashes_is_told(run: Any, make: Any) -> None:
    run.plan["planned_comparisons"] = 17
    run.comparisons += [make.callback(15, 0, 5), make.callback(16, 0, 5)]
    run.comparisons[0].metadata["prompt_sha256"] = "ab" * 32
    (found,) = run_checks(run.load())
    assert (found.code, found.request_id) == ("META-HASH-MISMATCH", run.comparisons[0].data["request_id"])


def test_one_hash_for_all_pairs(run: Any) -> None:
    for message in run.comparisons:
        message.metadata["prompt_sha256"] = "ab" * 32
    assert metadata(run) == [("META-HASH-COLLISION", "/data/request_metadata/prompt_sha256")] * 14


@pytest.mark.parametrize(
    ("asked", "answered", "same"),
    [
        ("gpt-5.1", "gpt-5.1", True),
        ("gpt-5.1", "gpt-5.1-2025-11-13", True),
        ("claude-haiku-4-5", "claude-haiku-4-5-20251001", True),
        ("claude-haiku-4-5", "claude-haiku-4-5@20251001", True),
        ("gpt-5.1", "gpt-5.1-mini", False),
        ("gpt-5.1", "gpt-5x1", False),
        ("gpt-5", "gpt-5.1", False),
        ("gpt-5.1-2025-11-13", "gpt-5.1", False),
    ],
)
def test_dated_versions_are_the_model_asked_for(asked: str, answered: str, same: bool) -> None:
    assert same_model(asked, answered) is same


def test_a_version_that_changes_during_the_run_is_told(run: Any) -> None:
    run.plan["model"] = run.overrides["model_override"] = "gpt-5.1"
    for message in run.comparisons:
        message.data["model"] = "gpt-5.1-2025-11-13"
    run.assessment_results[0].data["model_used"] = "gpt-5.1-2025-11-13"
    assert metadata(run) == []
    run.comparisons[3].data["model"] = "gpt-5.1-2026-01-01"
    assert metadata(run) == [("META-ATTRIBUTION", "/data/model")]


def test_without_overrides_the_judge_must_still_be_one(run: Any) -> None:
    run.overrides.clear()
    assert [code for code, _ in metadata(run)] == []
    run.comparisons[3].data["provider"] = "google"
    assert metadata(run) == [("META-ATTRIBUTION", "/data/provider")]


def test_without_a_recorded_request_the_plan_tells_the_judge(run: Any) -> None:
    run.with_request = False
    assert metadata(run) == []
    run.comparisons[3].data["provider"] = "google"
    assert metadata(run) == [("META-ATTRIBUTION", "/data/provider")]


def test_errors_may_name_openai_whoever_was_asked(run: Any, make: Any) -> None:
    """Contract 3.4: only resolved_provider tells the truth about an error."""
    run.overrides.update(provider_override="google")
    run.assessment_results[0].data["model_provider"] = "google"
    for message in run.comparisons:
        message.data["provider"] = message.metadata["resolved_provider"] = "google"
    make.fail(run.comparisons[3])
    assert metadata(run) == []
    run.comparisons[3].metadata["resolved_provider"] = "openai"
    assert metadata(run) == [("META-ATTRIBUTION", "/data/request_metadata/resolved_provider")]


def test_a_tie_of_judges_may_go_either_way(make_run: Callable[..., Any]) -> None:
    run = make_run(4)
    run.overrides.clear()
    for message in run.comparisons[:3]:
        message.data["provider"] = "google"
    for provider in ("openai", "google"):
        run.assessment_results[0].data["model_provider"] = provider
        fields = [f.field for f in run_checks(run.load(), ["metadata"])]
        assert "/data/model_provider" not in fields
    run.assessment_results[0].data["model_provider"] = "anthropic"
    assert "/data/model_provider" in [f.field for f in run_checks(run.load(), ["metadata"])]


def test_a_rare_judge_is_not_the_one_of_the_rich_result(run: Any) -> None:
    """Defect R32: a batch that one model judged, reported under the name of another."""
    run.overrides.clear()
    run.comparisons[3].data["provider"] = "google"
    run.assessment_results[0].data["model_provider"] = "google"
    assert metadata(run) == [
        ("META-ATTRIBUTION", "/data/provider"),
        ("META-ATTRIBUTION", "/data/model_provider"),
    ]


def test_without_a_success_the_rich_result_may_name_defaults(run: Any, make: Any) -> None:
    for message in run.comparisons:
        make.fail(message)
    run.assessment_results[0].data.update(model_provider="anthropic", model_used="default")
    assert metadata(run) == []


def test_a_failed_event_may_carry_the_last_callbacks_correlation_id(run: Any, make: Any) -> None:
    """Contract 1.3: after a low success rate; a refused request answers with the request's own."""
    event = make.failed_event({"reason": "low_success_rate"}, 9.0)
    event.value["correlation_id"] = run.comparisons[-1].data["correlation_id"]
    run.failures.append(event)
    assert metadata(run) == []
    event.data["cj_assessment_job_id"] = "INITIALIZATION_FAILED"
    assert metadata(run) == [("META-CORRELATION", "/correlation_id")]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [
        "essay_a_id",
        "essay_b_id",
        "prompt_sha256",
        "bos_batch_id",
        "cj_batch_id",
        "reasoning_effort",
        "resolved_provider",
        "resolved_model",
        "cj_source",
        "usage",
        "new",
    ]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 5), KEYS, JSON), min_size=1, max_size=8))
def test_no_metadata_is_too_odd(make_run: Callable[..., Any], changes: list[tuple[int, str, Any]]) -> None:
    """Whatever stands in request_metadata, the checks end, and one line tells each code."""
    run = make_run(4)
    for place, key, value in changes:
        run.comparisons[place].metadata[key] = value
    findings = run_checks(run.load(), ["events", "metadata", "completeness"])
    assert all("\n" not in line for line in summarise(findings))
