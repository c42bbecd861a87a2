"""A GUEST batch through real Kafka and real HTTP, from the request to the resource event."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
from collections import Counter
from typing import Any

import choix
import pytest

from pytest_eng5.contracts import ProcessingEvent, topic_name
from pytest_eng5.contracts.hashing import text_sha256

CALLBACK = ProcessingEvent.LLM_COMPARISON_RESULT
COMPLETED = ProcessingEvent.CJ_ASSESSMENT_COMPLETED
FAILED = ProcessingEvent.CJ_ASSESSMENT_FAILED
RICH = ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED
RESOURCE = ProcessingEvent.RESOURCE_CONSUMPTION_REPORTED


@pytest.fixture(scope="module")
def twelve(pipeline: Any, lab: Any) -> Any:
    """One batch of 12 essays, one round-robin, with a rubric and a student prompt."""

    async def work() -> Any:
        async with lab.client_of(pipeline) as client:
            stored = await client.upload("Write about a journey.")
            plan = lab.round_robin(
                12,
                overrides={
                    "judge_rubric_override": "Weigh language control first.",
                    "reasoning_effort": "low",
                },
                request={
                    "student_prompt_ref": {
                        "references": {"student_prompt_text": {"storage_id": stored, "path": "prompt.md"}}
                    }
                },
            )
            outcome = await client.prepare(plan)
            await client.request(outcome)
            await client.collect(lambda: lab.ended(outcome))
            await client.drain()
            return outcome

    return asyncio.run(work())


def test_every_pair_is_compared_exactly_once(twelve: Any) -> None:
    pairs = Counter(tuple(sorted(game[:2])) for game in twelve.games)
    assert pairs == Counter(itertools.combinations(range(12), 2))


def test_there_is_one_of_each_end_event_and_no_failure(twelve: Any) -> None:
    assert [len(twelve.of(event)) for event in (COMPLETED, RICH, RESOURCE, FAILED)] == [1, 1, 1, 0]
    assert len({result.request_id for result in twelve.callbacks}) == 66
    assert len({result.correlation_id for result in twelve.callbacks}) == 66


def test_every_essay_is_shown_first_about_as_often_as_second(twelve: Any) -> None:
    firsts = Counter(first for first, _, _ in twelve.games)
    assert all(3 <= firsts[essay] <= 8 for essay in range(12))  # 11 games each


def test_keys_and_headers_on_the_wire(twelve: Any) -> None:
    batch_id = twelve.plan.batch_id.encode()
    job = twelve.one(RICH).cj_assessment_job_id.encode()
    expected = {CALLBACK: {None}, COMPLETED: {batch_id}, RICH: {job}, RESOURCE: {batch_id}}
    for event, keys in expected.items():
        assert {record.key for record in twelve.records[event]} == keys
        assert {record.headers for record in twelve.records[event]} == {()}


def test_envelopes_on_the_wire(twelve: Any) -> None:
    request = twelve.envelope.correlation_id
    for envelope in twelve.of(CALLBACK):
        assert envelope.event_type == "LLMComparisonResultV1"
        assert envelope.correlation_id == envelope.data.correlation_id != request
        assert envelope.metadata is None
    for event, event_type in (
        (COMPLETED, topic_name(COMPLETED)),
        (RICH, "assessment.result.published"),
        (RESOURCE, topic_name(RESOURCE)),
    ):
        (envelope,) = twelve.of(event)
        assert envelope.event_type == event_type
        assert envelope.correlation_id == request
        assert set(envelope.metadata) == {"traceparent"}


def test_the_result_is_published_after_the_completion(twelve: Any) -> None:
    stamps = [twelve.records[event][0].timestamp for event in (COMPLETED, RICH, RESOURCE)]
    assert stamps == sorted(stamps)
    assert max(record.timestamp for record in twelve.records[CALLBACK]) <= stamps[0]


def test_the_scores_are_those_of_the_callbacks(twelve: Any) -> None:
    data = []
    for result in twelve.callbacks:
        data.append((twelve.label(result.winner_id), twelve.label(result.loser_id)))
    theta = choix.ilsr_pairwise(12, data, alpha=0.01)
    theta -= theta.mean()
    essays = twelve.one(RICH).essay_results
    assert {essay.essay_id for essay in essays} == set(twelve.ids)
    for essay in essays:
        assert essay.bt_score == pytest.approx(theta[twelve.label(essay.essay_id)], abs=1e-7)
    assert [essay.rank for essay in essays] == list(range(1, 13))
    scores = [essay.bt_score for essay in essays]
    assert scores == sorted(scores, reverse=True)


def test_request_metadata(twelve: Any) -> None:
    for result in twelve.callbacks:
        metadata = result.request_metadata
        assert {metadata["essay_a_id"], metadata["essay_b_id"]} <= set(twelve.ids)
        assert metadata["bos_batch_id"] == twelve.plan.batch_id
        assert metadata["cj_batch_id"] == twelve.one(RICH).cj_assessment_job_id
        assert metadata["cj_source"] == "els"
        assert metadata["reasoning_effort"] == "low"
        assert "output_verbosity" not in metadata
        assert (metadata["resolved_provider"], metadata["resolved_model"]) == ("mock", "simulated-judge")
        assert "cj_llm_batching_mode" not in metadata
        assert "batch_id" not in metadata
    kinds = Counter(result.request_metadata["cj_request_type"] for result in twelve.callbacks)
    assert kinds == {"cj_comparison": 6, "cj_retry": 60}


def test_the_hash_is_that_of_the_prompt_that_is_kept(twelve: Any, pipeline: Any) -> None:
    hashes = set()
    with pipeline.http() as http:
        for result in twelve.callbacks[:8]:
            metadata = result.request_metadata
            kept = http.get(f"{pipeline.ready['content_url']}/{metadata['prompt_storage_id']}")
            assert hashlib.sha256(kept.content).hexdigest() == metadata["prompt_sha256"]
            hashes.add(metadata["prompt_sha256"])
            text = kept.text
            assert text.startswith(
                "**Student Assignment:**\nWrite about a journey.\n\n**Judge Instructions:**"
            )
            first, second = (twelve.label(metadata[key]) for key in ("essay_a_id", "essay_b_id"))
            assert f"(ID: {metadata['essay_a_id']}):**\nText of essay number {first}." in text
            assert f"(ID: {metadata['essay_b_id']}):**\nText of essay number {second}." in text
            assert text.index("**Essay A ") < text.index("**Essay B ")
    assert len(hashes) == 8


def test_answers_are_complete(twelve: Any) -> None:
    for result in twelve.callbacks:
        assert (result.provider, result.model) == ("mock", "simulated-judge")
        assert 1 <= result.confidence <= 5
        assert 0 < len(result.justification) <= 500
        assert not any(essay_id in result.justification for essay_id in twelve.ids)
        usage = result.token_usage
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens > 20
        assert result.cost_estimate == 0
        assert result.requested_at <= result.completed_at


def test_telemetry_is_published_for_every_comparison(twelve: Any, pipeline: Any, lab: Any) -> None:
    async def work() -> Counter[str]:
        async with lab.client_of(pipeline) as client:
            outcome = await client.prepare(lab.round_robin(3))
            await client.request(outcome)
            await client.collect(lambda: lab.ended(outcome))
            await client.drain()
            mine = {str(result.request_id) for result in outcome.callbacks}
            counted: Counter[str] = Counter()
            for event, record in client.others:
                payload = json.loads(record.value)
                if payload["data"].get("request_id") in mine:
                    counted[event.value] += 1
                    assert payload["event_type"] == topic_name(event).removeprefix("huleedu.")
            return counted

    assert asyncio.run(work()) == {"llm_provider.request.started": 3, "llm_provider.request.completed": 3}


def test_logs_hold_no_text_of_essays_or_prompts(twelve: Any, pipeline: Any) -> None:
    logged = pipeline.log_file.read_text()
    assert twelve.plan.batch_id in logged
    for text in ("Text of essay", "Weigh language", "Write about a journey", "Essay A"):
        assert text not in logged
    assert all({"event", "level", "timestamp", "logger"} <= set(line) for line in pipeline.logs())


def test_the_same_request_order_gives_the_same_games_whatever_the_ids_are(
    pipeline: Any, run_batches: Any, lab: Any
) -> None:
    runs = run_batches(pipeline, *(lab.round_robin(7) for _ in range(3)))
    games = [run.games for run in runs]
    assert games[0] == games[1] == games[2]
    assert len(games[0]) == 21
    scores = [
        [essay.bt_score for essay in sorted(run.one(RICH).essay_results, key=lambda e: run.label(e.essay_id))]
        for run in runs
    ]
    assert scores[0] == scores[1] == scores[2]


@pytest.mark.slow
@pytest.mark.thorough
def test_another_pair_seed_draws_other_games(start_pipeline: Any, run_batches: Any, lab: Any) -> None:
    runs = [
        run_batches(start_pipeline("--pair-seed", seed), lab.round_robin(6))[0] for seed in ("1", "1", "2")
    ]
    assert runs[0].games == runs[1].games != runs[2].games


@pytest.mark.thorough
def test_another_judge_seed_gives_other_winners_on_the_same_pairs(
    pipeline: Any, run_batches: Any, lab: Any
) -> None:
    plans = [lab.round_robin(8, simulation={"seed": seed, "discrimination": 0.1}) for seed in (1, 2)]
    one, two = run_batches(pipeline, *plans)
    assert {tuple(sorted(game[:2])) for game in one.games} == {tuple(sorted(g[:2])) for g in two.games}
    assert one.games != two.games


@pytest.mark.thorough
def test_a_batch_without_a_simulation_gets_the_mocks_coin(pipeline: Any, run_batches: Any, lab: Any) -> None:
    (run,) = run_batches(pipeline, lab.round_robin(5, simulation=None, overrides={"model_override": "m"}))
    with pipeline.http() as http:
        for result in run.callbacks:
            kept = http.get(f"{pipeline.ready['content_url']}/{result.request_metadata['prompt_storage_id']}")
            parity = int(text_sha256(kept.text)[:8], 16) % 2
            assert result.winner == ("Essay A" if parity == 0 else "Essay B")


@pytest.mark.parametrize("n", [2, 3, 5])
def test_small_batches_finish_at_a_full_round(n: int, pipeline: Any, run_batches: Any, lab: Any) -> None:
    (run,) = run_batches(pipeline, lab.round_robin(n))
    assert len(run.callbacks) == n * (n - 1) // 2
    assert len(run.one(RICH).essay_results) == n


def test_a_perfect_judge_recovers_the_order(pipeline: Any, run_batches: Any, lab: Any) -> None:
    plan = lab.round_robin(8, qualities=[3, 7, 1, 8, 5, 2, 6, 4], simulation={"discrimination": 50.0})
    (run,) = run_batches(pipeline, plan)
    ranked = [run.label(essay.essay_id) for essay in run.one(RICH).essay_results]
    assert ranked == [3, 1, 6, 4, 7, 0, 5, 2]


def test_many_batches_at_once_do_not_mix(pipeline: Any, run_batches: Any, lab: Any) -> None:
    plans = [lab.round_robin(n) for n in (3, 4, 5, 6, 4, 3)]
    runs = run_batches(pipeline, *plans)
    jobs = {run.one(RICH).cj_assessment_job_id for run in runs}
    assert len(jobs) == len(plans)
    for run in runs:
        assert len(run.callbacks) == len(run.ids) * (len(run.ids) - 1) // 2
        assert {essay.essay_id for essay in run.one(RICH).essay_results} == set(run.ids)


@pytest.mark.slow
def test_a_slow_batch_does_not_hold_up_the_others(pipeline: Any, lab: Any) -> None:
    async def work() -> list[str]:
        async with lab.client_of(pipeline) as client:
            slow = await client.prepare(lab.round_robin(4, simulation={"latency_ms": 1500}))
            quick = [await client.prepare(lab.round_robin(4)) for _ in range(3)]
            for outcome in (slow, *quick):
                await client.request(outcome)
            await client.collect(lambda: lab.ended(*quick))
            finished = ["quick"] if not lab.ended(slow) else ["slow came first"]
            assert len(slow.callbacks) <= 2  # still in its first wave
            await client.collect(lambda: lab.ended(slow))
            milliseconds = [result.response_time_ms for result in slow.callbacks]
            assert min(milliseconds) >= 1500
            return finished

    assert asyncio.run(work()) == ["quick"]
