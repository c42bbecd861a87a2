"""A batch's whole life without Kafka or HTTP: any pattern of failures, any budget, any number of essays."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_eng5.contracts import (
    ELS_CJAssessmentRequestV1,
    ErrorDetail,
    EventEnvelope,
    LLMComparisonRequest,
    LLMComparisonResultV1,
    ProcessingEvent,
    SystemProcessingMetadata,
    decode_event,
    utc_now,
)
from pytest_eng5.pipeline.cj import workflow as workflow_module
from pytest_eng5.pipeline.cj.batch import Batch, Essay
from pytest_eng5.pipeline.cj.clients import SubmissionRefused
from pytest_eng5.pipeline.cj.monitor import BatchMonitor
from pytest_eng5.pipeline.cj.service import CJService
from pytest_eng5.pipeline.cj.workflow import Services
from pytest_eng5.pipeline.errors import BrokerLost, ServiceError
from pytest_eng5.pipeline.settings import CJSettings

REQUESTED = ProcessingEvent.ELS_CJ_ASSESSMENT_REQUESTED
CALLBACK = ProcessingEvent.LLM_COMPARISON_RESULT
COMPLETED = ProcessingEvent.CJ_ASSESSMENT_COMPLETED
FAILED = ProcessingEvent.CJ_ASSESSMENT_FAILED
RICH = ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED
RESOURCE = ProcessingEvent.RESOURCE_CONSUMPTION_REPORTED

Fate = Callable[[int], str]
"""What becomes of the n-th submission: a winner, ``error``, ``unsent``, ``refused`` or ``lost``."""


IMPATIENT: dict[str, Any] = {
    "batch_timeout_hours": 0.2 / 3600,
    "batch_monitor_first_pass_seconds": 0.0,
    "batch_monitor_interval_minutes": 0.05 / 60,
}


class Content:
    """Every text exists, but for the storage ids that start with ``gone``."""

    async def text(self, storage_id: str) -> str:
        if storage_id.startswith("gone"):
            raise ServiceError("CONTENT_SERVICE_ERROR", "the content service answered 404")
        return f"text of {storage_id}"


class World:
    """The CJ service among stand-ins that answer at once, in an order shuffled by ``seed``."""

    def __init__(self, fate: Fate = lambda _: "Essay A", *, seed: int = 0, **changes: Any) -> None:
        self.fate = fate
        self.submitted: list[LLMComparisonRequest] = []
        self.published: list[tuple[ProcessingEvent, str | None, dict[str, Any]]] = []
        self.settings = CJSettings(**{"pair_generation_seed": seed, **changes})
        self._shuffle = Random(seed)
        self._waiting: list[bytes] = []
        self.service: CJService

    # The stand-ins

    async def submit(self, request: LLMComparisonRequest) -> None:
        self.submitted.append(request)
        fate = self.fate(len(self.submitted) - 1)
        if fate == "refused":
            raise SubmissionRefused("VALIDATION_ERROR", "no such provider")
        if fate == "unsent":
            raise ServiceError("LLM_PROVIDER_SERVICE_ERROR", "no usable answer")
        if fate != "lost":
            self._waiting.append(self._callback(request, fate))
        asyncio.get_running_loop().call_later(0.0005, self._deliver)

    def _deliver(self) -> None:
        self._shuffle.shuffle(self._waiting)
        for value in self._waiting:
            self.service._callback(value)
        self._waiting.clear()

    @staticmethod
    def _callback(request: LLMComparisonRequest, fate: str) -> bytes:
        outcome: dict[str, Any] = (
            {"error_detail": ErrorDetail(error_code="TIMEOUT", message="late")}
            if fate == "error"
            else {"winner": fate, "justification": "j", "confidence": 3.0}
        )
        result = LLMComparisonResultV1(
            request_id=str(uuid4()),
            correlation_id=request.correlation_id,
            provider="mock",
            model="m",
            response_time_ms=0,
            cost_estimate=0,
            requested_at=utc_now(),
            completed_at=utc_now(),
            request_metadata=request.metadata,
            **outcome,
        )
        return EventEnvelope(event_type="t", source_service="s", data=result).to_wire()

    async def publish(
        self, event: ProcessingEvent, envelope: EventEnvelope, *, key: str | None = None
    ) -> None:
        await asyncio.sleep(0)
        decode_event(event, envelope.to_wire())
        self.published.append((event, key, json.loads(envelope.to_wire())))

    # Running it

    def run(self, *values: bytes) -> None:
        """Hand the service records of the request topic and wait until all its batches have ended."""

        async def work() -> None:
            async with asyncio.TaskGroup() as tasks:
                services = Services(self.settings, Content(), self, self)  # type: ignore[arg-type]
                self.service = CJService(services, tasks)
                monitor = asyncio.create_task(self.service.monitor.run())
                for value in values:
                    await self.service.handle(REQUESTED, value)
            monitor.cancel()
            assert self.service.running == 0
            assert not self.service._expected

        asyncio.run(asyncio.wait_for(work(), 120))

    def batch(self, essays: int, budget: int | None = None, **changes: Any) -> World:
        """Run one batch."""
        self.run(a_request(essays, budget, **changes))
        return self

    @property
    def events(self) -> list[ProcessingEvent]:
        return [event for event, _, _ in self.published]

    def data(self, event: ProcessingEvent) -> dict[str, Any]:
        ((_, _, envelope),) = [sent for sent in self.published if sent[0] is event]
        data: dict[str, Any] = envelope["data"]
        return data

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return [(r.metadata["essay_a_id"], r.metadata["essay_b_id"]) for r in self.submitted]


def a_request(essays: int, budget: int | None = None, **changes: Any) -> bytes:
    batch_id = changes.pop("entity_id", str(uuid4()))
    fields = {
        "entity_id": batch_id,
        "system_metadata": SystemProcessingMetadata(entity_id=str(batch_id), entity_type="batch"),
        "essays_for_cj": [{"essay_id": f"e{i}", "text_storage_id": f"s{i}"} for i in range(essays)],
        "language": "en",
        "course_code": "ENG5",
        "user_id": "u",
        "llm_config_overrides": {"provider_override": "mock"},
        **changes,
    }
    envelope = EventEnvelope(
        event_type="t",
        source_service="s",
        data=ELS_CJAssessmentRequestV1.model_validate(fields),
        metadata={"max_comparisons": budget} if budget else None,
    )
    return envelope.to_wire()


@settings(deadline=None, max_examples=60)
@given(
    essays=st.integers(2, 7),
    budget=st.integers(1, 60),
    rates=st.tuples(st.floats(0, 1), st.floats(0, 0.5)),
    seed=st.integers(0, 10**6),
)
def test_every_batch_ends_exactly_once_and_within_its_budget(
    essays: int, budget: int, rates: tuple[float, float], seed: int
) -> None:
    random = Random(seed)

    def fate(_: int) -> str:
        if random.random() < rates[0] / 2:
            return random.choice(["error", "unsent"])
        return "Essay A" if random.random() < 0.5 + rates[1] else "Essay B"

    world = World(fate, seed=seed).batch(essays, budget)
    assert 1 <= len(world.submitted) <= budget
    assert world.events in ([COMPLETED, RICH, RESOURCE], [FAILED])
    pairs = Counter(tuple(sorted(pair)) for pair in world.pairs)
    assert set(pairs) <= set(itertools.combinations(sorted(f"e{i}" for i in range(essays)), 2))
    if world.events == [FAILED]:
        details = world.data(FAILED)["system_metadata"]["error_info"]["details"]
        assert details["callbacks_received"] == len(world.submitted)
        assert details["completed_comparisons"] + details["failed_comparisons"] == len(world.submitted)
        assert details["success_rate"] < 0.8
    else:
        ranked = world.data(RICH)["essay_results"]
        assert sorted(essay["rank"] for essay in ranked) == list(range(1, essays + 1))
        assert sum(essay["bt_score"] for essay in ranked) == pytest.approx(0, abs=1e-6)


@settings(deadline=None, max_examples=30)
@given(essays=st.integers(2, 9), seed=st.integers(0, 10**6))
def test_a_full_round_without_failures_is_every_pair_once(essays: int, seed: int) -> None:
    total = essays * (essays - 1) // 2
    world = World(lambda n: "Essay A" if n % 3 else "Essay B", seed=seed, score_stability_threshold=0)
    world.batch(essays, total)
    assert len(world.submitted) == total
    assert len({tuple(sorted(pair)) for pair in world.pairs}) == total


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6))
def test_the_order_in_which_callbacks_arrive_does_not_matter(seed: int) -> None:
    """The stand-ins shuffle each wave's callbacks; the scores come out the same to the last bit."""
    results = []
    for shuffle in (1, 2):
        world = World(lambda n: "Essay A" if n % 2 else "Essay B", seed=seed)
        world._shuffle = Random(shuffle)
        world.batch(6, 15)
        results.append([(e["essay_id"], e["bt_score"]) for e in world.data(RICH)["essay_results"]])
        results.append(world.pairs)
    assert results[:2] == results[2:]


def test_a_stable_batch_ends_before_its_budget() -> None:
    world = World(score_stability_threshold=100.0).batch(8, 28)
    assert len(world.submitted) == 12
    assert world.events == [COMPLETED, RICH, RESOURCE]


def test_no_more_than_three_submissions_are_under_way() -> None:
    under_way = peak = 0

    class Slow(World):
        async def submit(self, request: LLMComparisonRequest) -> None:
            nonlocal under_way, peak
            under_way += 1
            peak = max(peak, under_way)
            await asyncio.sleep(0.002)
            under_way -= 1
            await super().submit(request)

    Slow().batch(20, 30)
    assert peak == 3


def test_comparisons_that_cannot_be_sent_count_as_failed() -> None:
    world = World(lambda _: "unsent").batch(4, 6)
    info = world.data(FAILED)["system_metadata"]["error_info"]
    assert info["reason"] == "low_success_rate"
    assert info["details"]["failed_comparisons"] == 6


def test_a_refusal_ends_the_batch_with_the_providers_words() -> None:
    world = World(lambda _: "refused").batch(6, 15)
    info = world.data(FAILED)["system_metadata"]["error_info"]
    assert (info["error_code"], info["error_message"]) == ("VALIDATION_ERROR", "no such provider")
    assert world.data(FAILED)["cj_assessment_job_id"] == "INITIALIZATION_FAILED"
    assert len(world.submitted) == 3  # one wave, not fifteen attempts


def test_a_refusal_later_on_names_the_job() -> None:
    world = World(lambda n: "refused" if n >= 3 else "Essay A").batch(6, 15)
    assert world.events == [FAILED]
    assert world.data(FAILED)["cj_assessment_job_id"] == "1"


def test_a_callback_that_never_comes_ends_in_a_failure() -> None:
    world = World(lambda n: "lost" if n == 1 else "Essay A", **IMPATIENT).batch(4, 6)
    assert world.data(FAILED)["system_metadata"]["error_info"] == {
        "reason": "stuck_timeout_insufficient_progress",
        "progress_pct": 16.7,
        "batch_state": "WAITING_CALLBACKS",
    }


def test_a_callback_missing_near_the_end_is_scored_without() -> None:
    world = World(lambda n: "lost" if n == 5 else "Essay A", **IMPATIENT).batch(4, 6)
    assert world.events == [COMPLETED, RICH, RESOURCE]


def test_a_monitor_that_looks_rarely_finds_a_stuck_batch_late() -> None:
    began = time.monotonic()
    late = IMPATIENT | {"batch_timeout_hours": 0.01 / 3600, "batch_monitor_first_pass_seconds": 0.5}
    world = World(lambda n: "lost" if n == 1 else "Essay A", **late).batch(4, 6)
    assert world.events == [FAILED]
    assert time.monotonic() - began >= 0.5


@pytest.mark.parametrize(("answered", "stuck"), [(5, False), (4, True), (6, False)])
def test_only_batches_that_wait_for_callbacks_are_stuck(answered: int, stuck: bool) -> None:
    """A batch without anything under way is not stuck, however long nothing has happened."""
    envelope = decode_event(REQUESTED, a_request(4, 6))
    batch = Batch.accept(1, "b", envelope, 120, 1)
    batch.take_essays([Essay(f"e{i}") for i in range(4)])
    for number, pair in enumerate(itertools.combinations(range(4), 2)):
        if number < 5 or answered == 6:
            comparison = batch.submit(pair)
            if number < answered:
                batch.record(comparison, pair[0], ("mock", "m"))
    batch.last_activity -= 4 * 3600 + 1
    BatchMonitor(CJSettings(), lambda: [batch]).sweep()
    assert batch.stuck is stuck
    batch.last_activity += 2
    batch.stuck = False
    BatchMonitor(CJSettings(), lambda: [batch]).sweep()
    assert not batch.stuck


def test_scores_that_do_not_settle_end_the_batch_by_their_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise ServiceError("CJ_SCORE_CONVERGENCE_FAILED", "did not settle")

    monkeypatch.setattr(workflow_module, "bradley_terry", never)
    world = World().batch(4, 6)
    assert world.data(FAILED)["system_metadata"]["error_info"]["error_code"] == "CJ_SCORE_CONVERGENCE_FAILED"
    assert world.data(FAILED)["cj_assessment_job_id"] == "1"


def test_an_unexpected_error_ends_its_own_batch_only(monkeypatch: pytest.MonkeyPatch) -> None:
    real = workflow_module.coverage_pairs

    def broken(counts: list[int], *more: Any) -> Any:
        if len(counts) == 5:
            raise RuntimeError("secret text")
        return real(counts, *more)

    monkeypatch.setattr(workflow_module, "coverage_pairs", broken)
    world = World()
    world.run(a_request(5, 10), a_request(4, 6))
    assert sorted(world.events) == sorted([FAILED, COMPLETED, RICH, RESOURCE])
    info = world.data(FAILED)["system_metadata"]["error_info"]
    assert info["error_code"] == "PROCESSING_ERROR"
    assert "secret" not in json.dumps(world.data(FAILED))


def test_a_lost_broker_is_not_the_batchs_business() -> None:
    class Gone(World):
        async def publish(self, *_: Any, **__: Any) -> None:
            raise BrokerLost("gone")

    with pytest.raises(ExceptionGroup) as caught:
        Gone().batch(3, 3)
    assert caught.group_contains(BrokerLost)


def test_batches_are_numbered_and_repeated_requests_ignored() -> None:
    world = World()
    first, second = a_request(3, 3), a_request(2, 1)
    world.run(first, first, second, first)
    jobs = [envelope["data"]["cj_assessment_job_id"] for e, _, envelope in world.published if e is RICH]
    assert sorted(jobs) == ["1", "2"]
    assert len(world.submitted) == 4


@pytest.mark.parametrize("entity_id", [None, "", "x" * 37])
def test_a_batch_id_that_is_none_is_refused(entity_id: str | None) -> None:
    world = World()
    world.run(a_request(3, 3, entity_id=entity_id))
    assert world.events == [FAILED]
    info = world.data(FAILED)["system_metadata"]["error_info"]
    assert "entity_id" in info["error_message"]
    assert not world.submitted


@pytest.mark.parametrize("value", [b"", b"{}", b"[1]", b'{"data": {"entity_id": 5}}', b"\xff"])
def test_requests_of_nobody_are_passed_over(value: bytes) -> None:
    world = World()
    world.run(value, a_request(2, 1))
    assert world.events == [COMPLETED, RICH, RESOURCE]


def test_what_is_asked_of_the_judge() -> None:
    world = World().batch(
        2,
        1,
        llm_config_overrides={
            "provider_override": "mock",
            "model_override": "simulated-judge",
            "temperature_override": 0.0,
            "max_tokens_override": 55,
            "system_prompt_override": "You compare.",
            "judge_rubric_override": "Be strict.",
            "reasoning_effort": "none",
            "output_verbosity": "high",
        },
    )
    (request,) = world.submitted
    assert request.llm_config_overrides is not None
    assert request.llm_config_overrides.model_dump() == {
        "provider_override": "mock",
        "model_override": "simulated-judge",
        "temperature_override": 0.0,  # a value, not an absence
        "system_prompt_override": "You compare.",
        "max_tokens_override": 55,
        "reasoning_effort": "none",
        "output_verbosity": "high",
    }
    assert request.user_prompt.startswith("**Judge Instructions:**\nBe strict.\n\n**Essay A (ID: e")
    assert "You compare." not in request.user_prompt
    assert request.callback_topic == "huleedu.llm_provider.comparison_result.v1"
    assert request.user_id == "u"
    assert {key: request.metadata[key] for key in ("reasoning_effort", "output_verbosity")} == {
        "reasoning_effort": "none",
        "output_verbosity": "high",
    }


def test_the_services_defaults_fill_what_is_not_asked_for() -> None:
    world = World(default_llm_provider="mock").batch(2, 1, llm_config_overrides=None)
    overrides = world.submitted[0].llm_config_overrides
    assert overrides is not None
    assert (overrides.provider_override, overrides.model_override) == ("mock", "gpt-5.1")
    assert overrides.temperature_override == 0.1
    assert "neutral" in str(overrides.system_prompt_override)
    assert not {"reasoning_effort", "output_verbosity"} & set(world.submitted[0].metadata)


def test_a_dropped_essay_is_neither_compared_nor_listed() -> None:
    essays = [{"essay_id": f"e{i}", "text_storage_id": f"{'gone' if i == 1 else 's'}{i}"} for i in range(4)]
    world = World().batch(4, 3, essays_for_cj=essays)
    assert "e1" not in {essay for pair in world.pairs for essay in pair}
    assert {essay["essay_id"] for essay in world.data(RICH)["essay_results"]} == {"e0", "e2", "e3"}


def test_one_essay_left_of_two_takes_the_single_essay_path() -> None:
    essays = [{"essay_id": "e0", "text_storage_id": "s0"}, {"essay_id": "e1", "text_storage_id": "gone"}]
    world = World().batch(2, 1, essays_for_cj=essays)
    assert not world.submitted
    assert world.data(COMPLETED)["processing_summary"]["single_essay_batch"]


def test_anchors_in_a_request_do_not_make_it_a_batch() -> None:
    essays = [{"essay_id": name, "text_storage_id": "s"} for name in ("ANCHOR_1", "ANCHOR_2", "e1")]
    world = World().batch(3, 3, essays_for_cj=essays)
    assert not world.submitted
    assert world.data(COMPLETED)["processing_summary"]["total_essays"] == 1
    assert len(world.data(RICH)["essay_results"]) == 3
