"""The rules about time, one by one: limits from both sides, and what is said beyond them."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pytest_eng5.checks.timing import check_clock, check_late, check_stale, spans_of
from pytest_eng5.evidence import CapturedEvent, RunEvidence

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
PLANNED = round(START.timestamp() * 1000)
DIFFERS = "the event belongs to an earlier use of these ids, or the clocks of the hosts differ: compare them"
FINISHED = "the pipeline finished without waiting for it: compare its scores with and without the callback"
CLOCKS = "compare the clock of the producing service with the broker's"
RESULT = "assessment.result.published"


def stamp(second: float) -> str:
    return (START + timedelta(seconds=second)).isoformat()


def at(event: CapturedEvent, timestamp_ms: int) -> CapturedEvent:
    return replace(event, record=replace(event.record, timestamp_ms=timestamp_ms))


def stale(evidence: RunEvidence) -> list[tuple[str, str | None]]:
    found = list(check_stale(evidence, spans_of(evidence)))
    assert all((f.code, f.severity, f.hint) == ("EVENT-STALE", "error", DIFFERS) for f in found)
    return [(f.message, f.field) for f in found]


def clock(evidence: RunEvidence) -> list[tuple[str, str | None]]:
    found = list(check_clock(evidence, spans_of(evidence)))
    assert all((f.code, f.severity, f.hint) == ("EVENT-CLOCK", "warning", CLOCKS) for f in found)
    return [(f.message, f.field) for f in found]


SENT = [(-500, None), (-501, "1.0 s"), (-1_600, "2.1 s"), (-1_199_500, "20 min")]
NOT_KNOWN = [(-501, None), (-60_000, None), (-60_001, "60.0 s"), (-61_500, "61.5 s")]


@pytest.mark.parametrize(
    ("ended", "millisecond", "gap"),
    [
        *(("recorded", *case) for case in SENT),
        *(("without a request", *case) for case in NOT_KNOWN),
        *(("killed", *case) for case in NOT_KNOWN),
    ],
)
def test_a_record_is_not_older_than_the_request(
    run: Any, ended: str, millisecond: int, gap: str | None
) -> None:
    """The request was sent half a second after the plan; without it the plan's minute counts."""
    evidence = run.load()
    if ended == "killed":
        evidence = replace(evidence, ending=None)
    elif ended == "without a request":
        unsent = evidence.ending.model_copy(update={"request_timestamp_ms": None})
        evidence = replace(evidence, ending=unsent)
    first, *others = evidence.comparisons
    evidence = replace(evidence, comparisons=(at(first, PLANNED + millisecond), *others))
    message = f"comparison_result was published {gap} before the request"
    assert stale(evidence) == ([] if gap is None else [(message, None)])


def test_a_record_without_a_timestamp_is_not_old(run: Any) -> None:
    evidence = run.load()
    first, *others = evidence.comparisons
    assert stale(replace(evidence, comparisons=(at(first, -1), *others))) == []
    (told,) = stale(replace(evidence, comparisons=(at(first, 0), *others)))
    assert told[0].startswith("comparison_result was published ")


@pytest.mark.parametrize(
    ("dates", "named"),
    [
        ({"requested_at": -60}, None),
        ({"completed_at": -60}, None),
        ({"requested_at": -60.002}, ("/data/requested_at", "60.0 s")),
        ({"completed_at": -61}, ("/data/completed_at", "61.0 s")),
        ({"requested_at": -60, "completed_at": -700}, ("/data/completed_at", "12 min")),
        ({"requested_at": -62, "completed_at": -61}, ("/data/requested_at", "62.0 s")),
        ({"event_timestamp": -60}, None),
        ({"event_timestamp": -75.5}, ("/event_timestamp", "75.5 s")),
        ({"completed_at": -60, "event_timestamp": -64}, ("/event_timestamp", "64.0 s")),
    ],
    ids=str,
)
@pytest.mark.parametrize("second", [-0.5, 5.0], ids=["as early as records may be", "well after"])
def test_the_first_date_that_is_too_old_is_named(
    run: Any, dates: dict[str, float], named: tuple[str, str] | None, second: float
) -> None:
    message = run.comparisons[3]
    message.second = second
    for key, moment in dates.items():
        (message.value if key == "event_timestamp" else message.data)[key] = stamp(moment)
    told = [
        (f"{field} of comparison_result lies {gap} before the run was planned", field)
        for field, gap in ([named] if named else [])
    ]
    assert stale(run.load()) == told


def test_an_old_record_hides_its_old_dates(run: Any) -> None:
    """One finding per event: what the broker says comes first."""
    run.comparisons[3].second = -90
    run.comparisons[3].data["requested_at"] = stamp(-90)
    assert stale(run.load()) == [("comparison_result was published 90.5 s before the request", None)]


def test_old_events_are_told_in_order(run: Any) -> None:
    run.comparisons[5].second, run.comparisons[2].second = -70, -80
    run.assessment_results[0].data["timestamp"] = stamp(-90)
    assert stale(run.load()) == [
        ("comparison_result was published 80.5 s before the request", None),
        ("comparison_result was published 70.5 s before the request", None),
        (f"/data/timestamp of {RESULT} lies 90.0 s before the run was planned", "/data/timestamp"),
    ]


def test_the_dates_of_an_event(run: Any) -> None:
    """First and last; of an event in which nobody wrote a date there is neither."""
    callback = run.comparisons[0]
    callback.data.update(requested_at=stamp(3), completed_at=stamp(7))
    callback.value["event_timestamp"] = stamp(5)
    result, done = run.assessment_results[0], run.completions[0]
    result.data["timestamp"], result.value["event_timestamp"] = stamp(8), stamp(6)
    del done.data["timestamp"], done.value["event_timestamp"]
    spans = spans_of(run.load())
    assert spans[0] == (PLANNED + 3_000, PLANNED + 7_000)
    assert spans[-2:] == [(PLANNED + 6_000, PLANNED + 8_000), (math.inf, -math.inf)]
    assert len(spans) == 17


def test_there_is_a_span_for_each_event(run: Any) -> None:
    evidence = run.load()
    for check in (check_stale, check_clock):
        with pytest.raises(ValueError):
            list(check(evidence, spans_of(evidence)[:-1]))


@pytest.mark.parametrize(
    ("completed", "published", "gap"),
    [
        ([10_000], 11_000, None),
        ([10_000], 11_001, "1.0 s"),
        ([10_000], 13_260, "3.3 s"),
        ([12_000, 10_000], 11_500, "1.5 s"),
        ([0], 1_000, None),
        ([0], 1_001, "1.0 s"),
        ([-1], 10_000, None),
        ([-1, 10_000], 11_000, None),
        ([], 10_000, None),
    ],
)
def test_callbacks_are_published_before_the_completion(
    run: Any, completed: list[int], published: int, gap: str | None
) -> None:
    """One second is allowed for; a completion without a timestamp says nothing."""
    evidence = run.load()
    evidence = replace(
        evidence,
        comparisons=(at(evidence.comparisons[4], published), at(evidence.comparisons[5], 500)),
        completions=tuple(at(evidence.completions[0], moment) for moment in completed),
    )
    found = list(check_late(evidence))
    assert [f.message for f in found] == ([f"callback published {gap} after the completion"] if gap else [])
    for late in found:
        assert (late.code, late.severity, late.hint) == ("EVENT-LATE", "warning", FINISHED)
        assert late.request_id == evidence.comparisons[0].comparison.request_id


def test_only_the_first_delivery_of_a_callback_can_be_late(run: Any) -> None:
    run.comparisons.append(run.comparisons[4].again(second=run.completions[0].second + 60))
    assert list(check_late(run.load())) == []


@pytest.mark.parametrize(
    ("dates", "told"),
    [
        ({"requested_at": 4, "completed_at": 4}, None),
        (
            {"requested_at": 4, "completed_at": 3.9},
            ("completed_at lies 0.1 s before requested_at", "/data/completed_at"),
        ),
        (
            {"requested_at": 400, "completed_at": 3},
            ("completed_at lies 397.0 s before requested_at", "/data/completed_at"),
        ),
        ({"completed_at": 310}, None),
        (
            {"completed_at": 310.002},
            ("/data/completed_at lies 300.0 s after the record's timestamp", "/data/completed_at"),
        ),
        (
            {"requested_at": 310, "completed_at": 320},
            ("/data/completed_at lies 310.0 s after the record's timestamp", "/data/completed_at"),
        ),
        (
            {"requested_at": 730, "completed_at": 740},
            ("/data/requested_at lies 12 min after the record's timestamp", "/data/requested_at"),
        ),
        (
            {"completed_at": 310, "event_timestamp": 330},
            ("/event_timestamp lies 320.0 s after the record's timestamp", "/event_timestamp"),
        ),
    ],
    ids=str,
)
def test_clocks_agree(run: Any, dates: dict[str, float], told: tuple[str, str] | None) -> None:
    """A comparison ends after it began, and no date lies more than five minutes after its record."""
    message = run.comparisons[3]
    message.second = 10
    for key, moment in dates.items():
        (message.value if key == "event_timestamp" else message.data)[key] = stamp(moment)
    assert clock(run.load()) == ([told] if told else [])


def test_a_record_without_a_timestamp_has_no_future(run: Any) -> None:
    evidence = run.load()
    first, *others = evidence.comparisons
    assert clock(replace(evidence, comparisons=(at(first, -1), *others))) == []
