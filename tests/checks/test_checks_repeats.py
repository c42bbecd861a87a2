"""Records told twice or not readable, essays that are nowhere, and what the ledger makes of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pytest_eng5.checks import run_checks
from pytest_eng5.checks.essays import check_essays
from pytest_eng5.checks.events import check_rejected, check_repeats
from pytest_eng5.checks.ledger import Ledger, ledger

COMPARISON = "comparison_result"
DUPLICATE = "redeliveries are legal; many of them mean that the producer's outbox confirms too late"
CONFLICT = "compare both records in events/comparisons.jsonl; only the first one captured was counted"
Told = list[tuple[str, str, str | None, str | None]]


def repeats(run: Any) -> Told:
    return [(f.code, f.message, f.field, f.hint) for f in check_repeats(run.held())]


def again(run: Any, kind: str = "comparisons", place: int = 0, **changes: Any) -> Any:
    """A later delivery of a message, with other data."""
    messages = run.messages(kind)
    copy = messages[place].again(second=messages[place].second + 0.5, offset=1000 + len(messages))
    copy.data.update(changes)
    messages.append(copy)
    return copy


def duplicate(place: str) -> tuple[str, str, None, str]:
    return "EVENT-DUPLICATE", f"delivered again, with the content of {place}", None, DUPLICATE


@pytest.mark.parametrize(
    ("kind", "topic"),
    [
        ("comparisons", COMPARISON),
        ("assessment_results", "assessment.result.published"),
        ("completions", "cj_assessment.completed"),
        ("failures", "cj_assessment.failed"),
    ],
)
def test_a_redelivery_names_the_first_delivery(run: Any, make: Any, kind: str, topic: str) -> None:
    run.failures.append(make.failed_event({"reason": "stuck"}, 9.0))
    again(run, kind)
    again(run, kind)
    assert repeats(run) == [duplicate(f"{topic}[0]@0")] * 2


def test_redeliveries_of_several_requests_are_no_conflict(run: Any) -> None:
    again(run, place=0)
    again(run, place=1)
    assert repeats(run) == [duplicate(f"{COMPARISON}[0]@0"), duplicate(f"{COMPARISON}[1]@0")]


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"confidence": 1.0}, "/confidence"),
        ({"confidence": 1.0, "model": "x"}, "/confidence, /model"),
        ({"request_metadata": {}}, "/request_metadata/bos_batch_id, "),
        ({"token_usage": {"prompt_tokens": 0}}, "/token_usage/completion_tokens, /token_usage/prompt_tokens"),
    ],
)
def test_contradicting_callbacks_name_what_differs(run: Any, changes: dict[str, Any], fields: str) -> None:
    again(run, **changes)
    ((code, message, field, hint),) = repeats(run)
    assert (code, hint) == ("EVENT-CONFLICT", CONFLICT)
    assert message.startswith(f"same request id as {COMPARISON}[0]@0, but other {fields}")
    assert field == f"/data{fields.partition(',')[0]}"


@pytest.mark.parametrize(("first", "second"), [({"tokens": 3}, "x"), ("x", {"tokens": 3}), ([1], [2])])
def test_a_field_of_another_type_is_one_difference(run: Any, first: Any, second: Any) -> None:
    run.comparisons[0].metadata["usage"] = first
    again(run).metadata["usage"] = second
    text = f"same request id as {COMPARISON}[0]@0, but other /request_metadata/usage"
    assert repeats(run) == [("EVENT-CONFLICT", text, "/data/request_metadata/usage", CONFLICT)]


def test_results_with_other_contents_are_left_to_their_own_rule(run: Any) -> None:
    again(run, "assessment_results", model_used="x")
    assert repeats(run) == []


@pytest.mark.parametrize(
    ("stage", "reasons", "attribution", "text"),
    [
        ("schema", (("/data/a", "no"),), "text", "breaks its schema at /data/a: no"),
        ("schema", (("", "no object"),), "text", "breaks its schema at its root: no object"),
        ("schema", (("/a", "b"), ("/c", "d")), "text", "breaks its schema at /a: b and 1 more problem"),
        ("schema", (("/a", "b"),) * 3, "text", "breaks its schema at /a: b and 2 more problems"),
        ("schema", (), "text", "breaks its schema at its root: no reason recorded"),
        ("undecodable", (("", "no\nJSON"),), "text", "cannot be decoded: no JSON"),
        (
            "undecodable",
            (("", "no JSON"),),
            "unattributed",
            "cannot be decoded: no JSON; no id ties it to a run, but only runs of this session use the topic",
        ),
    ],
)
def test_why_a_record_was_rejected(run: Any, stage: str, reasons: Any, attribution: str, text: str) -> None:
    run.reject(run.comparisons[0], "comparisons", stage, b'{"data": {"request_id": "r"}}')
    record, rejection = run.rejected[0]
    run.rejected = [(record, type(rejection)(stage, reasons, attribution))]
    (found,) = check_rejected(run.held())
    assert found.message == f"{COMPARISON} {text}"
    assert found.code == ("EVENT-SCHEMA" if stage == "schema" else "EVENT-UNDECODABLE")
    assert found.hint == (
        "compare the producer's model with the contract; the record is kept in events/rejected.jsonl"
        if stage == "schema"
        else "find the producer by topic, partition and offset; its bytes are in events/rejected.jsonl"
    )
    assert found.field == ((reasons[0][0] if reasons else "") or None)
    assert found.request_id == "r"


def unread(run: Any, count: int, value: bytes = b"\xff") -> None:
    for _ in range(count):
        run.reject(run.comparisons[0], "comparisons", "undecodable", value)


def planned(run: Any, count: int) -> None:
    run.plan["planned_comparisons"] = count


def known(run: Any) -> None:
    """A redelivery that cannot be read, of a callback that was."""
    copy = again(run)
    run.reject(copy, "comparisons", "schema", json.dumps(copy.value).encode())


@pytest.mark.parametrize(
    ("alter", "columns"),
    [
        (lambda run: None, (15, 15, 0, 0, 0, 0)),
        (lambda run: unread(run, 2), (15, 13, 0, 2, 0, 0)),
        (lambda run: unread(run, 2, b'{"data": {"request_id": "one"}}'), (15, 13, 0, 1, 1, 0)),
        (lambda run: run.comparisons.pop(), (15, 14, 0, 0, 1, 0)),
        (known, (15, 15, 0, 0, 0, 0)),
        (lambda run: (unread(run, 1), planned(run, 14)), (14, 14, 0, 0, 0, 0)),
        (lambda run: (unread(run, 1), planned(run, 13)), (13, 14, 0, 0, 0, 1)),
        (lambda run: planned(run, 17), (17, 15, 0, 0, 2, 0)),
        (lambda run: planned(run, 12), (12, 15, 0, 0, 0, 3)),
        (lambda run: run.comparisons.clear(), (15, 0, 0, 0, 15, 0)),
        (again, (15, 15, 0, 0, 0, 0)),
    ],
)
def test_every_comparison_stands_in_one_column(
    run: Any, alter: Callable[[Any], object], columns: tuple[int, ...]
) -> None:
    """Planned, succeeded, failed, unreadable, missing and unexpected."""
    alter(run)
    assert ledger(run.held()) == Ledger(*columns)


def test_failed_comparisons_have_a_column(run: Any, make: Any) -> None:
    for message in run.comparisons[:4]:
        make.fail(message)
    assert ledger(run.held()) == Ledger(15, 11, 4, 0, 0, 0)


ESSAY_HINT = (
    "the CJ service passes silently over essays whose text it cannot fetch: check the content service"
)


def essays(run: Any) -> list[tuple[str, str | None]]:
    evidence = run.held()
    found = check_essays(evidence, evidence.distinct_comparisons)
    return [(f.message, f.field) for f in found if (f.code, f.hint) == ("ESSAY-MISSING", ESSAY_HINT)]


def test_an_essay_that_no_result_holds_is_told_of_the_first(run: Any) -> None:
    run.assessment_results[0].data["essay_results"].pop(3)
    again(run, "assessment_results")
    run.assessment_results[1].data["essay_results"].pop(2)
    expected = ("essay 'anchor-3' is absent from the rich result", "/data/essay_results")
    assert essays(run) == [expected]


def test_an_essay_that_a_result_holds_twice(run: Any) -> None:
    rows = run.assessment_results[0].data["essay_results"]
    rows.append(dict(rows[3]))
    assert essays(run) == [("essay 'anchor-3' is 2 times in the rich result", "/data/essay_results")]


def test_failed_essays_are_told_of_the_first_completion(run: Any, make: Any) -> None:
    again(run, "completions")
    for message in run.completions:
        message.data["processing_summary"]["failed_essay_ids"] = [make.essay_id(2), "nobody", 7]
    field = "/data/processing_summary/failed_essay_ids"
    assert essays(run) == [
        ("the completion lists essay 'anchor-2', which failed", field),
        ("the completion lists essay 'nobody', which was not planned", field),
    ]


@pytest.mark.parametrize("value", [None, 7, "student::nobody", {"student::nobody": 1}])
def test_a_summary_of_another_shape_says_nothing(run: Any, value: Any) -> None:
    run.completions[0].data["processing_summary"] = {"failed_essay_ids": value}
    assert essays(run) == []


@pytest.mark.parametrize(("places", "told"), [(1, 0), (2, 2), (6, 2)])
def test_every_essay_is_compared_where_the_plan_has_room(
    make_run: Callable[..., Any], places: int, told: int
) -> None:
    """Four essays have room in two comparisons; only two of them were compared."""
    run = make_run(4)
    run.plan["planned_comparisons"] = places
    del run.comparisons[1:]
    assert (
        essays(run)
        == [
            ("essay 'anchor-1' was never compared", None),
            ("essay 'anchor-2' was never compared", None),
        ][:told]
    )


def test_a_plan_that_was_not_carried_out_has_nothing_to_check(run: Any) -> None:
    """Mode plan publishes nothing: without names no check runs, by name each does."""
    run.plan["mode"] = "plan"
    del run.comparisons[7:]
    evidence = run.held()
    assert run_checks(evidence) == ()
    assert [f.code for f in run_checks(evidence, ["completeness"])] == ["COUNT-MISSING"]
