"""How gaps of time are put, and the exact limits of the rules about time."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_eng5.checks import run_checks
from pytest_eng5.checks.timing import (
    BROKER_TOLERANCE_MS,
    FUTURE_TOLERANCE_MS,
    PAYLOAD_TOLERANCE_MS,
    _seconds,
)


@pytest.mark.parametrize(
    ("gap_ms", "text"),
    [
        (0, "0.0 s"),
        (1_500, "1.5 s"),
        (549_900, "549.9 s"),
        (599_999, "600.0 s"),
        (600_000, "10 min"),
        (660_000, "11 min"),
        (66_000_000, "1100 min"),
        (6_000_000_000, "100000 min"),
    ],
)
def test_gaps(gap_ms: float, text: str) -> None:
    assert _seconds(gap_ms) == text


def codes(run: Any) -> list[str]:
    return [finding.code for finding in run_checks(run.load(), ["events"])]


@pytest.mark.parametrize(("beyond", "expected"), [(0.0, []), (0.002, ["EVENT-STALE"])])
def test_a_record_may_be_one_second_older_than_the_request(run: Any, beyond: float, expected: Any) -> None:
    run.comparisons[0].second = 0.5 - BROKER_TOLERANCE_MS / 1000 - beyond
    run.comparisons[0].data.update(requested_at=run_stamp(0), completed_at=run_stamp(0))
    run.comparisons[0].value["event_timestamp"] = run_stamp(0)
    assert codes(run) == expected


@pytest.mark.parametrize(("beyond", "expected"), [(0.0, []), (0.002, ["EVENT-STALE"])])
def test_dates_may_be_one_minute_older_than_the_plan(run: Any, beyond: float, expected: Any) -> None:
    early = -PAYLOAD_TOLERANCE_MS / 1000 - beyond
    run.comparisons[0].data["requested_at"] = run_stamp(early)
    assert codes(run) == expected


@pytest.mark.parametrize(("beyond", "expected"), [(0.0, []), (0.002, ["EVENT-LATE"])])
def test_a_callback_may_be_one_second_later_than_the_completion(
    run: Any, beyond: float, expected: Any
) -> None:
    run.comparisons[3].second = run.completions[0].second + BROKER_TOLERANCE_MS / 1000 + beyond
    assert codes(run) == expected


@pytest.mark.parametrize(("beyond", "expected"), [(0.0, []), (0.002, ["EVENT-CLOCK"])])
def test_a_date_may_be_five_minutes_later_than_its_record(run: Any, beyond: float, expected: Any) -> None:
    message = run.comparisons[3]
    message.second = round(message.second, 3)
    message.data["completed_at"] = run_stamp(message.second + FUTURE_TOLERANCE_MS / 1000 + beyond)
    assert codes(run) == expected


def test_the_message_of_a_clock_says_how_far(run: Any) -> None:
    run.comparisons[3].data["requested_at"] = run_stamp(7.25)
    run.comparisons[3].data["completed_at"] = run_stamp(5.0)
    (finding,) = run_checks(run.load(), ["events"])
    assert finding.message == "completed_at lies 2.2 s before requested_at"
    assert finding.field == "/data/completed_at"


def fields(run: Any) -> list[tuple[str, str | None]]:
    return [(finding.code, finding.field) for finding in run_checks(run.load(), ["events"])]


@pytest.mark.parametrize("key", ["requested_at", "completed_at"])
def test_the_date_that_is_too_old_is_named(run: Any, key: str) -> None:
    run.comparisons[3].data["requested_at"] = run_stamp(-90 if key == "requested_at" else 0)
    run.comparisons[3].data["completed_at"] = run_stamp(0 if key == "requested_at" else -90)
    assert ("EVENT-STALE", f"/data/{key}") in fields(run)


def test_the_dates_of_a_result_are_named(run: Any) -> None:
    result = run.assessment_results[0]
    result.data["timestamp"] = run_stamp(-90)
    assert fields(run) == [("EVENT-STALE", "/data/timestamp")]
    result.data["timestamp"] = run_stamp(900)
    assert fields(run) == [("EVENT-CLOCK", "/data/timestamp")]
    result.data["timestamp"] = run_stamp(1)
    result.value["event_timestamp"] = run_stamp(900)
    assert fields(run) == [("EVENT-CLOCK", "/event_timestamp")]


def test_dates_of_callbacks_that_lie_in_the_future_are_named(run: Any) -> None:
    for key in ("completed_at", "requested_at"):
        run.comparisons[3].data["completed_at"] = run_stamp(900)
        run.comparisons[3].data["requested_at"] = run_stamp(900 if key == "requested_at" else 1)
        assert fields(run) == [("EVENT-CLOCK", f"/data/{key}")]


def test_dates_that_nobody_wrote_are_not_judged(run: Any) -> None:
    """The models' defaults are the time of reading, long after the records."""
    del run.assessment_results[0].data["timestamp"], run.completions[0].data["timestamp"]
    for message in (*run.comparisons, *run.assessment_results, *run.completions):
        del message.value["event_timestamp"]
    assert fields(run) == []


def run_stamp(second: float) -> str:
    from datetime import UTC, datetime, timedelta

    start = datetime(2026, 3, 1, 9, tzinfo=UTC)
    return (start + timedelta(seconds=second)).isoformat().replace("+00:00", "Z")
