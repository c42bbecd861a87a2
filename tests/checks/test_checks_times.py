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


def run_stamp(second: float) -> str:
    from datetime import UTC, datetime, timedelta

    start = datetime(2026, 3, 1, 9, tzinfo=UTC)
    return (start + timedelta(seconds=second)).isoformat().replace("+00:00", "Z")
