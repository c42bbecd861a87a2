"""Batches that cannot start, that fail, that get less than they asked for, or that see events twice."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from typing import Any
from uuid import uuid4

import pytest

from pytest_eng5.contracts import ProcessingEvent, topic_name

REQUESTED = ProcessingEvent.ELS_CJ_ASSESSMENT_REQUESTED
CALLBACK = ProcessingEvent.LLM_COMPARISON_RESULT
COMPLETED = ProcessingEvent.CJ_ASSESSMENT_COMPLETED
FAILED = ProcessingEvent.CJ_ASSESSMENT_FAILED
RICH = ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED


def error_of(run: Any) -> dict[str, Any]:
    """error_info of a batch that never started, after checking everything around it."""
    (envelope,) = run.of(FAILED)
    assert envelope.event_type == topic_name(FAILED)
    assert envelope.correlation_id == run.envelope.correlation_id
    assert run.records[FAILED][0].key == run.plan.batch_id.encode()
    payload = envelope.data
    assert payload.cj_assessment_job_id == "INITIALIZATION_FAILED"
    assert (payload.status.value, payload.entity_id) == ("failed_critically", run.plan.batch_id)
    assert not run.of(COMPLETED)
    assert not run.of(RICH)
    assert not run.callbacks
    info: dict[str, Any] = payload.system_metadata.error_info
    assert info["service"] == "cj_assessment_service"
    assert info["correlation_id"] == str(run.envelope.correlation_id)
    return info


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"request": {"assignment_id": str(uuid4())}}, "INITIALIZATION_FAILED", "no instructions"),
        ({"overrides": {"provider_override": "openai"}}, "VALIDATION_ERROR", "'openai' is not available"),
        ({"overrides": {"provider_override": "acme"}}, "VALIDATION_ERROR", "/provider_override"),
        ({"overrides": {"reasoning_effort": "extreme"}}, "VALIDATION_ERROR", "/reasoning_effort"),
        ({"request": {"language": "a-language-tag"}}, "VALIDATION_ERROR", "language"),
        (
            {
                "request": {
                    "student_prompt_ref": {"references": {"student_prompt_text": {"storage_id": "0" * 32}}}
                }
            },
            "CONTENT_SERVICE_ERROR",
            "404",
        ),
        ({"texts": [None, None, None]}, "CONTENT_SERVICE_ERROR", "none of the 3 essay texts"),
    ],
)
def test_a_batch_that_cannot_start_says_why(
    changes: dict[str, Any], code: str, words: str, pipeline: Any, run_batches: Any, lab: Any
) -> None:
    (run,) = run_batches(pipeline, lab.Plan(**{"texts": ["one", "two", "three"], **changes}))
    info = error_of(run)
    assert info["error_code"] == code
    assert words in info["error_message"]


@pytest.mark.parametrize(
    ("ids", "words"), [(["same", "same"], "twice"), (["x" * 37, "b"], "36"), (["", "b"], "36")]
)
def test_ids_that_the_service_could_not_hold_are_refused(
    ids: list[str], words: str, pipeline: Any, run_batches: Any, lab: Any
) -> None:
    essays = [{"essay_id": essay_id, "text_storage_id": "0" * 32} for essay_id in ids]
    (run,) = run_batches(pipeline, lab.Plan(["one", "two"], request={"essays_for_cj": essays}))
    info = error_of(run)
    assert info["error_code"] == "VALIDATION_ERROR"
    assert words in info["error_message"]


def test_without_a_provider_the_services_default_is_asked_and_is_not_there(
    pipeline: Any, run_batches: Any, lab: Any
) -> None:
    (run,) = run_batches(pipeline, lab.Plan(["one", "two"], request={"llm_config_overrides": None}))
    assert "'openai' is not available" in error_of(run)["error_message"]


def test_an_essay_that_cannot_be_fetched_is_dropped_silently(
    pipeline: Any, run_batches: Any, lab: Any
) -> None:
    plan = lab.Plan(["one", None, " \n\t", "four", "five"], metadata={"max_comparisons": 3})
    (run,) = run_batches(pipeline, plan)
    assert {run.label(essay.essay_id) for essay in run.one(RICH).essay_results} == {0, 3, 4}
    summary = run.one(COMPLETED).processing_summary
    assert (summary["total_essays"], summary["failed"], summary["failed_essay_ids"]) == (3, 0, [])
    assert len(run.callbacks) == 3


@pytest.mark.parametrize("texts", [[], ["alone"]])
def test_fewer_than_two_students_get_both_events_without_a_comparison(
    texts: list[str], pipeline: Any, run_batches: Any, lab: Any
) -> None:
    (run,) = run_batches(pipeline, lab.Plan(texts))
    assert not run.callbacks
    completed = run.one(COMPLETED)
    assert completed.processing_summary["single_essay_batch"]
    assert completed.status.value == ("completed_successfully" if texts else "failed_critically")
    rich = run.one(RICH)
    assert [(essay.bt_score, essay.rank, essay.letter_grade) for essay in rich.essay_results] == (
        [(0.0, 1, "U")] * len(texts)
    )
    assert (rich.model_provider, rich.model_used) == ("openai", "gpt-5.1")


def test_a_low_success_rate_fails_the_batch_with_its_numbers(
    pipeline: Any, run_batches: Any, lab: Any
) -> None:
    (run,) = run_batches(pipeline, lab.round_robin(6, simulation={"failure_rate": 1.0}))
    (envelope,) = run.of(FAILED)
    assert not run.of(COMPLETED)
    assert not run.of(RICH)
    assert len(run.callbacks) == 15
    assert envelope.data.system_metadata.error_info == {
        "reason": "low_success_rate",
        "details": {
            "callbacks_received": 15,
            "completed_comparisons": 0,
            "failed_comparisons": 15,
            "success_rate": 0.0,
            "success_rate_threshold": 0.8,
            "callbacks_reached_cap": True,
            "budget_exhausted": True,
        },
    }
    assert envelope.data.cj_assessment_job_id.isdigit()
    # The correlation id of the last callback, not of the request.
    assert envelope.correlation_id in {result.correlation_id for result in run.callbacks}


def test_failed_comparisons_on_the_wire(pipeline: Any, run_batches: Any, lab: Any) -> None:
    (run,) = run_batches(pipeline, lab.round_robin(4, simulation={"failure_rate": 1.0}))
    for result in run.callbacks:
        assert result.is_error
        assert result.error_detail.error_code == "EXTERNAL_SERVICE_ERROR"
        assert (result.provider, result.model) == ("openai", "unknown")
        assert result.request_metadata["resolved_provider"] == "mock"
        assert len(result.request_metadata["prompt_sha256"]) == 64


def test_failed_pairs_are_drawn_again_while_there_is_budget(
    pipeline: Any, run_batches: Any, lab: Any
) -> None:
    plan = lab.round_robin(6, simulation={"failure_rate": 0.15, "seed": 3}, metadata={"max_comparisons": 60})
    (run,) = run_batches(pipeline, plan)
    won = Counter(tuple(sorted(game[:2])) for game in run.games if game[2])
    assert set(won) == set(itertools.combinations(range(6), 2))
    failures = sum(result.is_error for result in run.callbacks)
    assert failures > 0
    assert run.one(COMPLETED)


def test_failed_comparisons_do_not_count_in_the_scores(pipeline: Any, run_batches: Any, lab: Any) -> None:
    plan = lab.round_robin(8, simulation={"failure_rate": 0.1, "seed": 11, "discrimination": 50.0})
    (run,) = run_batches(pipeline, plan)
    assert 0 < sum(result.is_error for result in run.callbacks) <= 5
    scores = {run.label(essay.essay_id): essay.bt_score for essay in run.one(RICH).essay_results}
    assert scores[0] > scores[7]
    assert run.one(RICH).model_provider == "mock"


@pytest.mark.parametrize(("asked", "made"), [(1, 1), (7, 7), (15, 15)])
def test_the_request_lowers_the_budget(
    asked: int, made: int, pipeline: Any, run_batches: Any, lab: Any
) -> None:
    (run,) = run_batches(pipeline, lab.round_robin(6, metadata={"max_comparisons": asked}))
    assert len(run.callbacks) == made
    assert len(run.one(RICH).essay_results) == 6


def test_a_budget_above_one_round_resamples_once_and_then_finishes(
    pipeline: Any, run_batches: Any, lab: Any
) -> None:
    (run,) = run_batches(pipeline, lab.round_robin(6, metadata={"max_comparisons": 100}))
    assert len(run.callbacks) == 30
    orders = Counter(game[:2] for game in run.games)
    assert orders == Counter(itertools.permutations(range(6), 2))  # every pair in both orders


def test_a_small_net_resamples_up_to_four_times(pipeline: Any, run_batches: Any, lab: Any) -> None:
    (run,) = run_batches(
        pipeline, lab.round_robin(3, simulation={"discrimination": 0.0}, metadata={"max_comparisons": 100})
    )
    assert len(run.callbacks) in {12, 15}  # four passes, or stable after three of them
    assert run.one(COMPLETED)


def test_the_services_maximum_is_never_raised(start_pipeline: Any, run_batches: Any, lab: Any) -> None:
    running = start_pipeline("--max-comparisons", "4")
    (run,) = run_batches(running, lab.round_robin(6, metadata={"max_comparisons": 500}))
    assert len(run.callbacks) == 4


def test_a_repeated_request_is_ignored(pipeline: Any, lab: Any) -> None:
    async def work() -> Any:
        async with lab.client_of(pipeline) as client:
            outcome = await client.prepare(lab.round_robin(4, copies=3))
            await client.request(outcome)
            await client.collect(lambda: lab.ended(outcome))
            again = outcome.envelope.model_copy(update={"event_id": uuid4()})
            await client.publish(REQUESTED, again.to_wire(), outcome.plan.batch_id)
            await client.drain(1.0)
            return outcome

    outcome = asyncio.run(work())
    assert len(outcome.callbacks) == 6
    assert len(outcome.of(COMPLETED)) == len(outcome.of(RICH)) == 1


def test_repeated_and_foreign_callbacks_change_nothing(pipeline: Any, lab: Any) -> None:
    async def work() -> tuple[Any, Any]:
        async with lab.client_of(pipeline) as client:
            plan = lab.round_robin(6, simulation={"latency_ms": 150, "discrimination": 50.0})
            outcome, clean = (
                await client.prepare(plan),
                await client.prepare(lab.round_robin(6, **{"simulation": plan.simulation})),
            )
            await client.request(outcome)
            await client.request(clean)
            await client.collect(lambda: len(outcome.records.get(CALLBACK, [])) >= 3)
            for record in list(outcome.records[CALLBACK]):
                other = json.loads(record.value)
                winner = other["data"]["winner"]
                other["data"]["winner"] = "Essay B" if winner == "Essay A" else "Essay A"
                await client.publish(CALLBACK, json.dumps(other).encode())  # the other way round, and late
                await client.publish(CALLBACK, record.value)
                other["data"]["correlation_id"] = str(uuid4())
                await client.publish(CALLBACK, json.dumps(other).encode())  # of nobody
            await client.collect(lambda: lab.ended(outcome, clean))
            await client.drain()
            return outcome, clean

    disturbed, clean = asyncio.run(work())
    assert len(disturbed.of(COMPLETED)) == 1
    scores = [
        {run.label(essay.essay_id): essay.bt_score for essay in run.one(RICH).essay_results}
        for run in (disturbed, clean)
    ]
    assert scores[0] == scores[1]


def test_unreadable_records_are_passed_over(pipeline: Any, lab: Any) -> None:
    async def work() -> Any:
        async with lab.client_of(pipeline) as client:
            for event in (REQUESTED, CALLBACK):
                for value in (b"", b"\xff\xfe", b"{", b"[]", b'"text"', b'{"data": null}', b"{}"):
                    await client.publish(event, value)
            outcome = await client.prepare(lab.round_robin(3))
            await client.request(outcome)
            await client.collect(lambda: lab.ended(outcome))
            return outcome

    assert asyncio.run(work()).one(COMPLETED)
    assert any(line["event"] == "callback cannot be read" for line in pipeline.logs())


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data.pop("user_id"), "/data/user_id"),
        (lambda data: data.update(course_code="ENG9"), "/data/course_code"),
        (lambda data: data.update(essays_for_cj="none"), "/data/essays_for_cj"),
    ],
)
def test_a_request_that_breaks_the_contract_gets_a_failed_event(
    damage: Any, words: str, pipeline: Any, lab: Any
) -> None:
    async def work() -> Any:
        async with lab.client_of(pipeline) as client:
            outcome = await client.prepare(lab.round_robin(3))
            raw = json.loads(outcome.envelope.to_wire())
            damage(raw["data"])
            await client.publish(REQUESTED, json.dumps(raw).encode(), outcome.plan.batch_id)
            await client.collect(lambda: lab.ended(outcome))
            return outcome

    info = error_of(asyncio.run(work()))
    assert info["error_code"] == "VALIDATION_ERROR"
    assert words in info["error_message"]


def test_a_request_without_a_batch_id_is_reported_and_passed_over(pipeline: Any, lab: Any) -> None:
    async def work() -> Any:
        async with lab.client_of(pipeline) as client:
            lost = await client.prepare(lab.round_robin(3, request={"entity_id": None}))
            await client.request(lost)
            fine = await client.prepare(lab.round_robin(3))
            await client.request(fine)
            await client.collect(lambda: lab.ended(fine))
            return fine

    assert asyncio.run(work()).one(COMPLETED)
    assert any("entity_id" in str(line.get("problem")) for line in pipeline.logs())


def test_a_batch_whose_callbacks_stay_away_is_given_up(
    start_pipeline: Any, run_batches: Any, lab: Any
) -> None:
    impatient = {
        "CJ_ASSESSMENT_SERVICE_BATCH_TIMEOUT_HOURS": str(1.0 / 3600),
        "CJ_ASSESSMENT_SERVICE_BATCH_MONITOR_FIRST_PASS_SECONDS": "0",
        "CJ_ASSESSMENT_SERVICE_BATCH_MONITOR_INTERVAL_MINUTES": str(0.1 / 60),
    }
    running = start_pipeline(env=impatient)
    (run,) = run_batches(running, lab.round_robin(4, simulation={"latency_ms": 5000}))
    (envelope,) = run.of(FAILED)
    assert envelope.data.system_metadata.error_info == {
        "reason": "stuck_timeout_insufficient_progress",
        "progress_pct": 0.0,
        "batch_state": "WAITING_CALLBACKS",
    }
    assert not run.of(RICH)


def test_batching_hints_appear_when_they_are_switched_on(
    start_pipeline: Any, run_batches: Any, lab: Any
) -> None:
    running = start_pipeline(env={"CJ_ASSESSMENT_SERVICE_ENABLE_LLM_BATCHING_METADATA_HINTS": "1"})
    serial, single = run_batches(
        running, lab.round_robin(4), lab.round_robin(4, metadata={"llm_batching_mode_hint": "per_request"})
    )
    iterations = Counter(result.request_metadata["comparison_iteration"] for result in serial.callbacks)
    assert iterations == {0: 2, 1: 2, 2: 2}
    for run, mode in ((serial, "serial_bundle"), (single, "per_request")):
        for result in run.callbacks:
            assert result.request_metadata["cj_llm_batching_mode"] == mode
            assert result.request_metadata["preferred_bundle_size"] == 2
    assert not any("comparison_iteration" in result.request_metadata for result in single.callbacks)
