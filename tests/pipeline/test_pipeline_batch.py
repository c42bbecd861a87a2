"""A batch's counters, its budget, and the outcomes that scores are made of."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.contracts import (
    ELS_CJAssessmentRequestV1,
    ErrorDetail,
    EventEnvelope,
    LLMComparisonResultV1,
    SystemProcessingMetadata,
    utc_now,
)
from pytest_eng5.pipeline.cj.batch import Batch, Comparison, Essay, comparison_budget


def a_batch(essays: int = 4, metadata: dict[str, Any] | None = None, seed: int | None = 1) -> Batch:
    request = ELS_CJAssessmentRequestV1(
        entity_id="b1",
        system_metadata=SystemProcessingMetadata(entity_id="b1", entity_type="batch"),
        essays_for_cj=[],
        language="en",
        course_code="ENG5",
        user_id="u",
    )
    envelope = EventEnvelope(event_type="x", source_service="t", data=request, metadata=metadata)
    batch = Batch.accept(7, "b1", envelope, 120, seed)
    batch.take_essays([Essay(f"e{i}", f"text {i}") for i in range(essays)])
    return batch


def result(comparison: Comparison, winner: str | None, model: str = "m") -> LLMComparisonResultV1:
    outcome: dict[str, Any] = (
        {"winner": winner, "justification": "because", "confidence": 3.0}
        if winner
        else {"error_detail": ErrorDetail(error_code="TIMEOUT", message="late")}
    )
    return LLMComparisonResultV1(
        request_id=str(uuid4()),
        correlation_id=comparison.correlation_id,
        provider="mock",
        model=model,
        response_time_ms=1,
        cost_estimate=0,
        requested_at=utc_now(),
        completed_at=utc_now(),
        **outcome,
    )


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (None, 120),
        ({}, 120),
        ({"max_comparisons": 66}, 66),
        ({"max_comparisons": 120}, 120),
        ({"max_comparisons": 500}, 120),  # a request can lower, never raise
        ({"max_comparisons": 1}, 1),
        ({"max_comparisons": 0}, 120),
        ({"max_comparisons": -5}, 120),
        ({"max_comparisons": True}, 120),
        ({"max_comparisons": "66"}, 120),
        ({"max_comparisons": 66.0}, 120),
        ({"max_comparisons": None}, 120),
    ],
)
def test_budget(metadata: dict[str, Any] | None, expected: int) -> None:
    assert comparison_budget(120, metadata) == expected


def test_a_request_becomes_a_batch() -> None:
    batch = a_batch(metadata={"max_comparisons": 5, "llm_batching_mode_hint": "per_request"})
    assert (batch.job_id, batch.batch_id, batch.budget) == (7, "b1", 5)
    assert batch.batching_hint == "per_request"
    version, trace, span, flags = batch.trace["traceparent"].split("-")
    assert (version, len(trace), len(span), flags) == ("00", 32, 16, "01")
    assert a_batch().trace != batch.trace


@pytest.mark.parametrize("hint", [None, "", 3])
def test_a_hint_that_is_no_text_is_none(hint: object) -> None:
    assert a_batch(metadata={"llm_batching_mode_hint": hint}).batching_hint is None


@pytest.mark.parametrize(
    ("winner", "won", "lost"), [("Essay A", 2, 1), ("Essay B", 1, 2), (None, None, None)]
)
def test_outcomes(winner: str | None, won: int | None, lost: int | None) -> None:
    batch = a_batch()
    comparison = batch.submit((2, 1))
    assert not batch.settled.is_set()
    assert batch.settle(comparison, result(comparison, winner))
    assert batch.settled.is_set()
    assert batch.outcomes == ([] if won is None else [(won, lost)])
    assert batch.covered == (set() if won is None else {(1, 2)})
    assert batch.counts == [0, 1, 1, 0]
    assert (batch.completed, batch.failed) == ((0, 1) if won is None else (1, 0))
    assert batch.last_callback == comparison.correlation_id


def test_a_comparison_that_could_not_be_sent_counts_as_failed() -> None:
    batch = a_batch()
    comparison = batch.submit((0, 1))
    assert batch.settle(comparison, None)
    assert (batch.callbacks, batch.failed) == (1, 1)
    assert batch.last_callback is None
    assert batch.settled.is_set()


def test_a_second_outcome_changes_nothing() -> None:
    batch = a_batch()
    comparison = batch.submit((0, 1))
    batch.settle(comparison, result(comparison, "Essay A"))
    assert not batch.settle(comparison, result(comparison, "Essay B"))
    assert not batch.settle(comparison, result(comparison, None))
    assert batch.outcomes == [(0, 1)]
    assert batch.facts(None).completed == 1
    assert batch.facts(None).failed == 0


def test_the_same_pair_twice_covers_once_and_counts_twice() -> None:
    batch = a_batch()
    for ordered in ((0, 1), (1, 0)):
        comparison = batch.submit(ordered)
        batch.settle(comparison, result(comparison, "Essay A"))
    assert batch.outcomes == [(0, 1), (1, 0)]
    assert len(batch.covered) == len(batch.drawn) == 1
    assert batch.counts[:2] == [2, 2]


def test_outcomes_are_in_the_order_of_submission_whatever_order_they_arrive_in() -> None:
    orders = []
    pairs = list(itertools.combinations(range(4), 2))
    for arrival in (range(6), reversed(range(6))):
        batch = a_batch()
        comparisons = [batch.submit(pair) for pair in pairs]
        for index in arrival:
            batch.settle(comparisons[index], result(comparisons[index], "Essay A"))
        orders.append(batch.outcomes)
    assert orders[0] == orders[1] == pairs


def test_the_judge_of_errors_is_not_counted() -> None:
    batch = a_batch()
    for model, winner in (("m1", "Essay A"), ("m2", None), ("m2", None), ("m1", "Essay B")):
        comparison = batch.submit((0, 1))
        batch.settle(comparison, result(comparison, winner, model))
    assert batch.judges == Counter({("mock", "m1"): 2})


def test_students_are_all_but_the_anchors() -> None:
    batch = a_batch(0)
    batch.take_essays([Essay("ANCHOR_1_ab"), Essay("student::1"), Essay("anchor_2")])
    assert [essay.id for essay in batch.students] == ["student::1", "anchor_2"]


@given(st.lists(st.sampled_from(["Essay A", "Essay B", None, "unsent"]), max_size=30), st.randoms())
def test_counters_always_add_up(outcomes: list[str | None], random: Any) -> None:
    batch = a_batch(6)
    comparisons = [batch.submit(tuple(random.sample(range(6), 2))) for _ in outcomes]
    order = list(range(len(outcomes)))
    random.shuffle(order)
    for done, index in enumerate(order, start=1):
        outcome, comparison = outcomes[index], comparisons[index]
        batch.settle(comparison, None if outcome == "unsent" else result(comparison, outcome))
        assert batch.callbacks == done
        assert batch.settled.is_set() == (done == len(outcomes))
    facts = batch.facts(0.5)
    assert (facts.submitted, facts.completed + facts.failed) == (len(outcomes), len(outcomes))
    assert facts.completed == len(batch.outcomes) == sum(o in ("Essay A", "Essay B") for o in outcomes)
    assert facts.max_score_change == 0.5
    assert sum(batch.counts) == 2 * len(outcomes)
