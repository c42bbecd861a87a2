"""Faults as functions of a plan and of events: what is hit, what it becomes, and what stays as it was."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pytest_eng5.contracts import Fault, FaultPlan, ProcessingEvent
from pytest_eng5.pipeline.faults import CJ_EVENTS, PROVIDER_EVENTS, BatchFaults, FaultBook, Outgoing
from pytest_eng5.pipeline.faults.messages import ABSENT, find, put, take_out

BATCH = "b3a1f7de-0c54-4d0a-8a0f-6a1f0f7d2c10"
CORRELATION = UUID("0d8f7a54-64f0-4b2f-8d2e-3d6a4c6f9d01")
CALLBACK = ProcessingEvent.LLM_COMPARISON_RESULT
COMPLETED = ProcessingEvent.CJ_ASSESSMENT_COMPLETED
RESULT = ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED
FAILED = ProcessingEvent.CJ_ASSESSMENT_FAILED


def planted(*faults: dict[str, Any], events: Any = PROVIDER_EVENTS, batch: str = BATCH) -> BatchFaults:
    """The faults of a batch."""
    plan = FaultPlan(
        faults=tuple(Fault(**fault) for fault in faults), correlation_id=CORRELATION, essay_ids=("a", "b")
    )
    return BatchFaults(batch, plan, events)


def callback(number: int = 1, *, failed: bool = False) -> bytes:
    """A callback as far as faults look at it."""
    data = {
        "request_id": f"request-{number}",
        "winner": None if failed else "Essay A",
        "error_detail": {"message": "no answer"} if failed else None,
        "request_metadata": {"essay_a_id": "a", "essay_b_id": "b", "bos_batch_id": BATCH, "cj_batch_id": "7"},
    }
    envelope = {"event_id": "e", "event_timestamp": "2026-03-01T09:00:00Z", "correlation_id": "c"}
    return json.dumps(envelope | {"data": data}).encode()


def published(faults: BatchFaults, number: int = 1) -> tuple[Outgoing, ...]:
    """What is published in place of a callback."""
    return faults.apply(CALLBACK, None, callback(number)).messages


def fate(faults: BatchFaults, count: int = 6) -> list[int]:
    """How many records each of some callbacks becomes."""
    return [len(faults.apply(CALLBACK, None, callback(n)).messages) for n in range(1, count + 1)]


def only(faults: BatchFaults, event: ProcessingEvent = CALLBACK, value: bytes | None = None) -> Any:
    """The event that one event becomes, as JSON."""
    (message,) = faults.apply(event, None, value or callback()).messages
    return json.loads(message.value)


class TestSelection:
    @pytest.mark.parametrize(
        ("selector", "expected"),
        [
            ({}, [0, 0, 0, 0, 0, 0]),
            ({"nth": 3}, [1, 1, 0, 1, 1, 1]),
            ({"every": 2}, [1, 0, 1, 0, 1, 0]),
            ({"every": 1}, [0, 0, 0, 0, 0, 0]),
            ({"fraction": 1}, [0, 0, 0, 0, 0, 0]),
            ({"nth": 9}, [1, 1, 1, 1, 1, 1]),
        ],
    )
    def test_which_events_are_hit(self, selector: dict[str, Any], expected: list[int]) -> None:
        faults = planted({"action": "drop", "topic": "comparison_result", **selector})
        assert fate(faults) == expected
        (count,) = faults.counts().faults
        assert (count.seen, count.fired) == (6, expected.count(0))

    @settings(max_examples=20)
    @given(st.floats(0.05, 0.95), st.integers(0, 1000))
    def test_a_fraction_is_about_that_share_and_the_same_again(self, fraction: float, seed: int) -> None:
        fault = {"action": "drop", "topic": "comparison_result", "fraction": fraction, "seed": seed}
        first, again, other = (
            fate(planted(fault), 400),
            fate(planted(fault), 400),
            fate(planted(fault, batch="x"), 400),
        )
        assert first == again == other
        assert abs(first.count(0) / 400 - fraction) < 0.15

    def test_outcomes_are_counted_apart(self) -> None:
        faults = planted({"action": "drop", "topic": "comparison_result", "nth": 1, "outcome": "failed"})
        kept = [faults.apply(CALLBACK, None, callback(n, failed=n == 3)).messages for n in (1, 2, 3, 4)]
        assert [len(messages) for messages in kept] == [1, 1, 0, 1]
        assert faults.counts().faults[0].seen == 1

    def test_other_topics_and_other_services_are_left_alone(self) -> None:
        faults = planted({"action": "drop", "topic": "result"}, {"action": "silence"})
        applied = faults.apply(RESULT, "7", b"{}")
        assert [message.value for message in applied.messages] == [b"{}"]
        assert not applied.hit
        assert [count.seen for count in faults.counts().faults] == [0, 0]

    def test_an_event_that_is_not_hit_is_published_byte_for_byte(self) -> None:
        value = callback()
        faults = planted({"action": "drop", "topic": "comparison_result", "nth": 2})
        applied = faults.apply(CALLBACK, "k", value)
        (message,) = applied.messages
        assert (message.value, message.key, message.seconds, message.age) == (value, "k", 0, 0)
        assert not applied.shielded


class TestAlterations:
    @pytest.mark.parametrize(
        ("fault", "pointer", "expected"),
        [
            ({"action": "remove", "field": "/data/winner"}, "/data/winner", ABSENT),
            ({"action": "set", "field": "/data/winner", "value": None}, "/data/winner", None),
            ({"action": "set", "field": "/data/new", "value": {"a": [1]}}, "/data/new", {"a": [1]}),
            ({"action": "swap"}, "/data/request_metadata/essay_a_id", "b"),
            ({"action": "swap"}, "/data/request_metadata/essay_b_id", "a"),
            (
                {
                    "action": "copy",
                    "field": "/data/request_metadata/essay_a_id",
                    "other": "/data/request_metadata/essay_b_id",
                },
                "/data/request_metadata/essay_a_id",
                "b",
            ),
            ({"action": "retarget", "value": "other"}, "/data/request_metadata/bos_batch_id", "other"),
        ],
    )
    def test_one_field_is_another(self, fault: dict[str, Any], pointer: str, expected: Any) -> None:
        value = only(planted({"topic": "comparison_result", **fault}))
        found = find(value, pointer)
        assert found is expected if expected is ABSENT else found == expected
        assert value["data"]["request_id"] == "request-1"

    @pytest.mark.parametrize(
        "fault",
        [
            {"action": "remove", "field": "/data/nothing"},
            {"action": "remove", "field": "/data/winner/deeper"},
            {"action": "set", "field": "/data/winner", "value": "Essay A"},
            {"action": "set", "field": "/data/nothing/deeper", "value": 1},
            {"action": "swap", "field": "/data/winner", "other": "/data/nothing"},
            {"action": "copy", "field": "/data/winner", "other": "/data/nothing"},
        ],
    )
    def test_what_changes_nothing_does_not_count_as_fired(self, fault: dict[str, Any]) -> None:
        faults = planted({"topic": "comparison_result", **fault})
        assert only(faults) == json.loads(callback())
        assert (faults.counts().faults[0].seen, faults.counts().faults[0].fired) == (1, 0)

    def test_corrupt_bytes_are_no_utf8_and_the_same_again(self) -> None:
        fault = {"action": "corrupt", "topic": "comparison_result"}
        values = {published(planted(fault)) for _ in range(3)}
        assert len(values) == 1
        (message,) = values.pop()
        assert len(message.value) == len(callback())
        with pytest.raises(UnicodeDecodeError):
            message.value.decode()

    @pytest.mark.parametrize(("keep", "length"), [(None, 0.9), (0.5, 0.5), (0, 0)])
    def test_a_truncated_event_keeps_its_share(self, keep: float | None, length: float) -> None:
        fault = {"action": "truncate", "topic": "comparison_result", "keep": keep}
        (message,) = published(planted({key: value for key, value in fault.items() if value is not None}))
        assert message.value == callback()[: int(length * len(callback()))]

    def test_a_retargeted_record_has_another_key_too(self) -> None:
        value = json.dumps({"data": {"entity_id": BATCH, "system_metadata": {"entity_id": BATCH}}}).encode()
        faults = planted({"action": "retarget", "topic": "completed"}, events=CJ_EVENTS)
        (message,) = faults.apply(COMPLETED, BATCH, value).messages
        assert message.key == json.loads(message.value)["data"]["entity_id"] != BATCH
        UUID(str(message.key))

    def test_faults_act_in_their_order(self) -> None:
        first = {"action": "set", "topic": "comparison_result", "field": "/data/winner", "value": "Essay B"}
        last = {"action": "remove", "topic": "comparison_result", "field": "/data/winner"}
        assert "winner" not in only(planted(first, last))["data"]
        assert only(planted(last, first))["data"]["winner"] == "Essay B"


class TestCopies:
    def test_a_duplicate_has_the_payload_and_an_envelope_of_its_own(self) -> None:
        faults = planted({"action": "duplicate", "topic": "comparison_result", "times": 2})
        values = [json.loads(m.value) for m in faults.apply(CALLBACK, None, callback()).messages]
        assert [value["data"] for value in values] == [json.loads(callback())["data"]] * 3
        assert len({value["event_id"] for value in values}) == 3

    @pytest.mark.parametrize("failed", [False, True])
    def test_a_conflict_has_the_ids_and_another_content(self, failed: bool) -> None:
        faults = planted({"action": "conflict", "topic": "comparison_result"})
        true, other = faults.apply(CALLBACK, None, callback(failed=failed)).messages
        assert true.value == callback(failed=failed)
        left, right = (json.loads(m.value)["data"] for m in (true, other))
        assert left["request_id"] == right["request_id"]
        assert left != right

    def test_a_stale_copy_says_it_is_older(self) -> None:
        faults = planted({"action": "stale", "topic": "comparison_result", "seconds": 120})
        true, old = faults.apply(CALLBACK, None, callback()).messages
        assert (true.age, old.age) == (0, 120)
        assert json.loads(old.value)["event_timestamp"] == "2026-03-01T08:58:00Z"
        assert json.loads(old.value)["data"] == json.loads(true.value)["data"]


class TestEndings:
    def test_silence_lasts(self) -> None:
        faults = planted({"action": "silence", "topic": "comparison_result", "nth": 3})
        assert fate(faults) == [1, 1, 0, 0, 0, 0]
        assert faults.counts().faults[0].fired == 4

    def test_an_early_completion_takes_the_place_of_the_true_one(self) -> None:
        fault = {"action": "early_completion", "nth": 2}
        provider, service = planted(fault), planted(fault, events=CJ_EVENTS)
        assert fate(provider, 3) == [1, 2, 1]
        _, early = planted({"action": "early_completion"}).apply(CALLBACK, None, callback()).messages
        value = json.loads(early.value)
        assert (early.event, early.key, value["correlation_id"]) == (COMPLETED, BATCH, str(CORRELATION))
        assert value["data"]["processing_summary"]["successful_essay_ids"] == ["a", "b"]
        assert value["data"]["cj_assessment_job_id"] == "7"
        assert service.apply(COMPLETED, BATCH, b"{}").messages == ()
        assert len(service.apply(RESULT, "7", b"{}").messages) == 1

    def test_a_failure_takes_the_place_of_completion_and_result(self) -> None:
        faults = planted({"action": "fail"}, events=CJ_EVENTS)
        (failed,) = faults.apply(COMPLETED, BATCH, b'{"data": {"cj_assessment_job_id": "7"}}').messages
        assert (failed.event, json.loads(failed.value)["data"]["status"]) == (FAILED, "failed_critically")
        assert faults.apply(RESULT, "7", b"{}").messages == ()

    def test_a_failure_after_a_callback_leaves_the_callback(self) -> None:
        faults = planted({"action": "fail", "topic": "comparison_result", "nth": 1})
        kept, failed = faults.apply(CALLBACK, None, callback()).messages
        assert (kept.value, failed.event) == (callback(), FAILED)


class TestOrder:
    def test_a_reordered_event_lets_the_next_ones_pass(self) -> None:
        faults = planted({"action": "reorder", "topic": "comparison_result", "nth": 1, "by": 2})
        passed = [
            [json.loads(message.value)["data"]["request_id"] for message in published(faults, n)]
            for n in (1, 2, 3, 4)
        ]
        assert passed == [[], ["request-2"], ["request-3", "request-1"], ["request-4"]]
        assert not faults.holds

    def test_what_nothing_follows_is_let_go(self) -> None:
        faults = planted({"action": "reorder", "topic": "comparison_result"})
        assert faults.apply(CALLBACK, None, callback()).messages == ()
        assert faults.holds
        assert [message.value for message in faults.flush()] == [callback()]
        assert not faults.holds

    @given(
        st.lists(
            st.sampled_from(
                [
                    {"action": "reorder", "every": 2, "by": 2},
                    {"action": "reorder", "nth": 1},
                    {"action": "delay", "every": 3, "seconds": 1.0},
                ]
            ),
            max_size=3,
        ),
        st.integers(1, 12),
    )
    def test_another_order_loses_and_alters_nothing(self, faults: list[dict[str, Any]], count: int) -> None:
        if not faults:
            return
        batch = planted(*({"topic": "comparison_result", **fault} for fault in faults))
        values = [callback(n) for n in range(count)]
        passed = [m.value for value in values for m in batch.apply(CALLBACK, None, value).messages]
        passed += [message.value for message in batch.flush()]
        assert sorted(passed) == sorted(values)


class TestShielding:
    def test_the_cj_service_gets_the_true_event_unless_asked_otherwise(self) -> None:
        fault = {"action": "drop", "topic": "comparison_result"}
        assert planted(fault).apply(CALLBACK, None, callback()).shielded
        assert not planted(fault | {"reaches_cj": True}).apply(CALLBACK, None, callback()).shielded


class TestBook:
    def test_plans_belong_to_their_batch(self) -> None:
        book = FaultBook(PROVIDER_EVENTS)
        assert book.find(BATCH) is None
        plan = FaultPlan(faults=(Fault(action="fail"),), correlation_id=CORRELATION)
        book.register(BATCH, plan)
        found = book.find(BATCH)
        assert found is not None
        assert [book.find(other) for other in ("another", "", None)] == [None] * 3
        book.register(BATCH, plan)
        assert book.find(BATCH) is not found


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "drop"},
        {"action": "set", "topic": "result", "field": "/data/x"},
        {"action": "drop", "topic": "result", "nth": 1, "every": 2},
        {"action": "fail", "topic": "result"},
        {"action": "explode", "topic": "result"},
        {"action": "drop", "topic": "result", "unknown": 1},
    ],
)
def test_a_plan_that_says_nothing_sensible_is_refused(fault: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FaultPlan(faults=(Fault(**fault),), correlation_id=CORRELATION)


@given(
    st.recursive(
        st.integers() | st.text(max_size=2),
        lambda v: st.lists(v, max_size=3) | st.dictionaries(st.sampled_from("ab/~0"), v, max_size=3),
    )
)
def test_every_place_of_a_value_can_be_read_set_and_taken_out(value: Any) -> None:
    def places(node: Any, path: str) -> Any:
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, child in items:
            step = f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}"
            yield step, child
            yield from places(child, step)

    for pointer, child in places(value, ""):
        assert find(value, pointer) == child
        copied = json.loads(json.dumps(value))
        assert put(copied, pointer, "new")
        assert find(copied, pointer) == "new"
        assert take_out(copied, pointer)
