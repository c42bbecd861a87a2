"""The views that all checks share: order, redeliveries, contents as they were on the wire, moments."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_eng5.checks.views import (
    canonical,
    content,
    deliveries,
    distinct,
    distinct_results,
    in_order,
    is_of_run,
    milliseconds,
    rejected_on,
)
from pytest_eng5.contracts import ProcessingEvent

NOON = datetime(1970, 1, 2, 12)


@pytest.fixture
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine's clock shows another time than UTC."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("moment", "hours"),
    [
        (NOON, 36),
        (NOON.replace(tzinfo=UTC), 36),
        (NOON.replace(tzinfo=timezone(timedelta(hours=2))), 34),
        (NOON.replace(tzinfo=timezone(timedelta(hours=-3))), 39),
    ],
    ids=["without offset", "UTC", "east", "west"],
)
def test_moments_do_not_depend_on_where_the_machine_stands(
    in_new_york: None, moment: datetime, hours: int
) -> None:
    assert milliseconds(moment) == hours * 3_600_000


def test_every_delivery_of_a_request_stands_together(run: Any) -> None:
    copies = [run.comparisons[2].again(second=9.0), run.comparisons[2].again(second=5.0, offset=1001)]
    run.comparisons[:] = [*copies, *run.comparisons[:5]]
    evidence = run.load()
    groups = deliveries(evidence)
    assert sorted(len(group) for group in groups) == [1, 1, 1, 1, 3]
    for group in groups:
        assert len({event.comparison.request_id for event in group}) == 1
        assert group == in_order(group)
    assert [group[0] for group in groups] == distinct(evidence)
    assert [event.record.offset for event in groups[0]] == [1001, 0, 1000]


def test_without_redeliveries_each_callback_stands_alone(run: Any) -> None:
    evidence = run.load()
    assert deliveries(evidence) == [[event] for event in in_order(evidence.comparisons)]


def test_of_each_content_of_a_rich_result_the_earliest_counts(run: Any) -> None:
    first = run.assessment_results[0]
    same, other = first.again(second=90.0, offset=5), first.again(second=91.0, offset=6)
    other.data["batch_id"] = "11111111-2222-4333-8444-555555555555"
    run.assessment_results[:] = [other, same, first]
    assert [event.record.offset for event in distinct_results(run.load())] == [0, 6]


def wire(text: str) -> Any:
    """An event with this value."""
    return SimpleNamespace(value=lambda: text.encode())


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}', True),
        ('{"a": [{"c": 1, "b": 2}]}', '{"a": [{"b": 2, "c": 1}]}', True),
        ("[1, 2]", "[2, 1]", False),
        ("4", "4.0", True),
        ("4", "4.5", False),
        ("-7e0", "-7", True),
        ("0.5", "5e-1", True),
        ("9007199254740991.0", "9007199254740991", True),
        # 2 ** 53 + 1 is no float: read as one it is 2 ** 53, and that does not make the two numbers equal.
        ("9007199254740993.0", "9007199254740992", False),
        ("1e308", "1e308", True),
        ("true", "1", False),
        ('"1"', "1", False),
    ],
)
def test_contents_are_equal_if_they_mean_the_same(one: str, other: str, equal: bool) -> None:
    first, second = (canonical(content(wire(f'{{"data": {text}, "event_id": 3}}'))) for text in (one, other))
    assert (first == second) == equal


def test_only_the_envelope_may_differ() -> None:
    assert content(wire('{"event_id": "x", "data": {"a": 1.0}}')) == {"a": 1}


@pytest.mark.parametrize("text", ["{", "[" * 100_000], ids=["cut off", "too deep"])
def test_what_cannot_be_parsed_is_compared_byte_by_byte(text: str) -> None:
    assert content(wire(text)) == text.encode()
    assert canonical(content(wire(text))) != canonical(content(wire(text + " ")))


@pytest.mark.parametrize(
    ("assignment_id", "recorded", "anchors"),
    [(None, False, False), (None, True, False), ("3c1c", False, True), ("3c1c", True, False)],
)
def test_anchors_pass_unseen_only_where_their_ids_are_not_known(
    run: Any, make: Any, assignment_id: str | None, recorded: bool, anchors: bool
) -> None:
    evidence = run.load()
    plan = evidence.plan.model_copy(update={"assignment_id": assignment_id})
    evidence = replace(evidence, plan=plan, assignment=object() if recorded else None)  # type: ignore[arg-type]
    assert is_of_run(evidence, make.essay_id(5))
    assert is_of_run(evidence, "ANCHOR_12_0a1b2c3d") == anchors
    assert not is_of_run(evidence, "student::stranger")
    assert not is_of_run(evidence, "")


def test_rejected_records_are_told_apart_by_topic(run: Any) -> None:
    run.reject(run.comparisons[0], "comparisons", "undecodable", b"\xff")
    run.reject(run.completions[0], "completions", "undecodable", b"\xff")
    evidence = run.load()
    for event in (ProcessingEvent.LLM_COMPARISON_RESULT, ProcessingEvent.CJ_ASSESSMENT_COMPLETED):
        assert len(rejected_on(evidence, event)) == 1
    assert rejected_on(evidence, ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED) == []
