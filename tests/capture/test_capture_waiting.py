"""When a run is over, and what the ending says. Events come over a real broker."""

from __future__ import annotations

import asyncio
import time
from types import ModuleType
from typing import Any

import pytest

from pytest_eng5.capture import CaptureError, Deadlines, End, wait_for_end
from pytest_eng5.capture import waiting as waiting_module
from pytest_eng5.evidence import EndReason

pytestmark = pytest.mark.asyncio
LONG = Deadlines(idle=20, total=60)


async def timed(waiting: Any) -> tuple[End, float]:
    began = time.monotonic()
    return await waiting, time.monotonic() - began


async def send_clean(rig: Any, lab: ModuleType, run: Any, comparisons: int) -> None:
    for number in range(comparisons):
        await rig.send(lab.CALLBACK, lab.callback(run.batch_id), partition=number % 3)
    await rig.send(lab.COMPLETED, lab.completed(run.batch_id))
    await rig.send(lab.RICH, lab.rich(run.batch_id))


async def test_a_clean_run_ends_as_soon_as_everything_is_in(rig: Any, lab: ModuleType) -> None:
    run = rig.run(expected=6)
    waiting = asyncio.create_task(timed(wait_for_end(rig.hub, run, LONG)))
    await send_clean(rig, lab, run, 6)
    end, seconds = await waiting
    assert end == End(EndReason.COMPLETED, "completed")
    assert seconds < LONG.idle


async def test_it_ends_too_when_everything_was_in_before_anybody_waited(rig: Any, lab: ModuleType) -> None:
    run = rig.run(expected=2)
    await send_clean(rig, lab, run, 2)
    await rig.hub.drain()
    end, seconds = await timed(wait_for_end(rig.hub, run, LONG))
    assert end.reason is EndReason.COMPLETED
    assert seconds < LONG.idle


async def test_callbacks_that_follow_the_end_are_still_captured(rig: Any, lab: ModuleType) -> None:
    """There is no order between topics: the last callbacks may come after both end events."""
    run = rig.run(expected=4)
    waiting = asyncio.create_task(wait_for_end(rig.hub, run, LONG))
    await rig.send(lab.RICH, lab.rich(run.batch_id))
    await rig.send(lab.COMPLETED, lab.completed(run.batch_id))
    for number in range(4):
        await asyncio.sleep(0.3)
        await rig.send(lab.CALLBACK, lab.callback(run.batch_id), partition=number % 3)
    assert await waiting == End(EndReason.COMPLETED, "completed")
    assert run.account.comparisons == 4


async def test_an_extra_callback_already_on_the_topic_is_drained(rig: Any, lab: ModuleType) -> None:
    run = rig.run(expected=1)
    await send_clean(rig, lab, run, 1)
    for number in range(200):
        await rig.producer.send(
            rig.topic(lab.CALLBACK), lab.wire(lab.callback(run.batch_id)), partition=number % 3
        )
    await rig.producer.flush()
    await wait_for_end(rig.hub, run, LONG)
    assert run.account.comparisons == 201


async def test_the_idle_deadline_says_what_is_missing(rig: Any, lab: ModuleType) -> None:
    run = rig.run(expected=66)
    waiting = asyncio.create_task(timed(wait_for_end(rig.hub, run, Deadlines(idle=1.0, total=60))))
    await rig.send(lab.CALLBACK, lab.callback(run.batch_id))
    end, seconds = await waiting
    assert end.reason is EndReason.IDLE_DEADLINE
    assert end.timeout_seconds == 1.0
    assert "no event for 1 s (idle deadline)" in end.detail
    assert "1 of 66 comparisons seen" in end.detail
    for missing in ("65 of 66 comparisons", "the completed event", "the rich result"):
        assert missing in end.detail
    assert 1.0 <= seconds < LONG.idle


async def test_events_push_the_idle_deadline_away(rig: Any, lab: ModuleType) -> None:
    run = rig.run(expected=5)
    waiting = asyncio.create_task(timed(wait_for_end(rig.hub, run, Deadlines(idle=2.0, total=60))))
    for _ in range(5):
        await asyncio.sleep(0.5)
        await rig.send(lab.CALLBACK, lab.callback(run.batch_id))
    end, seconds = await waiting
    assert end.reason is EndReason.IDLE_DEADLINE
    assert seconds > 4.4
    assert "5 of 5 comparisons seen, missing the completed event and the rich result" in end.detail


async def test_events_of_another_run_do_not(rig: Any, lab: ModuleType) -> None:
    run, other = rig.run("run"), rig.run("other")
    waiting = asyncio.create_task(timed(wait_for_end(rig.hub, run, Deadlines(idle=1.0, total=20))))
    while not waiting.done():
        await rig.send(lab.CALLBACK, lab.callback(other.batch_id))
        await asyncio.sleep(0.1)
    end, _ = await waiting
    assert end.reason is EndReason.IDLE_DEADLINE


async def test_the_total_deadline_fires_in_spite_of_events(rig: Any, lab: ModuleType) -> None:
    run = rig.run(expected=1000)
    waiting = asyncio.create_task(timed(wait_for_end(rig.hub, run, Deadlines(idle=20, total=1.5))))
    while not waiting.done():
        await rig.send(lab.CALLBACK, lab.callback(run.batch_id))
        await asyncio.sleep(0.1)
    end, seconds = await waiting
    assert end.reason is EndReason.TOTAL_DEADLINE
    assert end.timeout_seconds == 1.5
    assert "total deadline of 1.5 s passed" in end.detail
    seen = int(end.detail.split("; ")[1].split(" of ")[0])
    assert 0 < seen <= run.account.comparisons
    assert f"missing {1000 - seen} of 1000 comparisons" in end.detail
    assert 1.5 <= seconds < LONG.idle


async def test_a_failed_event_ends_the_run_with_its_reason(rig: Any, lab: ModuleType) -> None:
    run = rig.run(expected=66)
    waiting = asyncio.create_task(timed(wait_for_end(rig.hub, run, LONG)))
    await rig.send(lab.CALLBACK, lab.callback(run.batch_id))
    await rig.send(lab.FAILED, lab.failed(run.batch_id))
    end, seconds = await waiting
    assert end.reason is EndReason.PIPELINE_FAILED
    assert "CONTENT_SERVICE_ERROR: essay text not found" in end.detail
    assert seconds < LONG.idle
    assert run.account.comparisons == 1


async def test_a_low_success_rate_is_told_with_its_details(rig: Any, lab: ModuleType) -> None:
    """The other form of error_info (contract 2.6)."""
    run = rig.run(expected=66)
    value = lab.failed(run.batch_id, job="151")
    details = {"completed_comparisons": 12, "failed_comparisons": 54}
    value["data"]["system_metadata"]["error_info"] = {"reason": "low_success_rate", "details": details}
    await rig.send(lab.FAILED, value)
    end = await wait_for_end(rig.hub, run, LONG)
    assert "low_success_rate" in end.detail
    assert "54" in end.detail


@pytest.mark.parametrize(("present", "absent"), [("COMPLETED", "the rich result"), ("RICH", "the completed")])
async def test_one_end_event_without_the_other(
    rig: Any, lab: ModuleType, monkeypatch: pytest.MonkeyPatch, present: str, absent: str
) -> None:
    """Completed without rich is a known defect (contract 13, P6): the run must not wait out its deadline."""
    monkeypatch.setattr(waiting_module, "COUNTERPART_SECONDS", 1.0)
    run = rig.run(expected=1)
    await rig.send(lab.CALLBACK, lab.callback(run.batch_id))
    value = lab.completed(run.batch_id) if present == "COMPLETED" else lab.rich(run.batch_id)
    await rig.send(getattr(lab, present), value)
    end, seconds = await timed(wait_for_end(rig.hub, run, LONG))
    assert end.reason is EndReason.COMPLETED
    assert "still missing" in end.detail
    assert absent in end.detail
    assert "comparisons" not in end.detail
    assert 1.0 <= seconds < LONG.idle


async def test_the_counterpart_may_come_late(rig: Any, lab: ModuleType) -> None:
    run = rig.run(expected=1)
    waiting = asyncio.create_task(wait_for_end(rig.hub, run, LONG))
    await rig.send(lab.CALLBACK, lab.callback(run.batch_id))
    await rig.send(lab.COMPLETED, lab.completed(run.batch_id))
    await asyncio.sleep(1.5)
    await rig.send(lab.RICH, lab.rich(run.batch_id))
    assert await waiting == End(EndReason.COMPLETED, "completed")


async def test_a_shortfall_is_named_after_a_short_wait(rig: Any, lab: ModuleType) -> None:
    run = rig.run(expected=10)
    await send_clean(rig, lab, run, 7)
    end, seconds = await timed(wait_for_end(rig.hub, run, LONG))
    assert end.reason is EndReason.COMPLETED
    assert "3 of 10 comparisons" in end.detail
    assert seconds < LONG.idle


async def test_a_rejected_rich_result_counts_as_missing(
    rig: Any, lab: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_module, "COUNTERPART_SECONDS", 1.0)
    run = rig.run(expected=1)
    await rig.send(lab.CALLBACK, lab.callback(run.batch_id))
    await rig.send(lab.COMPLETED, lab.completed(run.batch_id))
    await rig.send(lab.RICH, lab.rich(run.batch_id, essay_results="none"))
    end = await wait_for_end(rig.hub, run, LONG)
    assert "the rich result" in end.detail
    assert run.account.rejected == 1


async def test_a_run_over_its_budget_is_not_waited_for(rig: Any, lab: ModuleType) -> None:
    run = rig.run(expected=100)
    waiting = asyncio.create_task(timed(wait_for_end(rig.hub, run, LONG, budget_usd=0.05)))
    for _ in range(6):
        await rig.send(lab.CALLBACK, lab.callback(run.batch_id, cost_estimate=0.01), partition=0)
    end, seconds = await waiting
    assert end.reason is EndReason.BUDGET
    assert "$0.0600 spent of $0.0500" in end.detail
    assert seconds < LONG.idle


async def test_a_budget_spent_to_the_cent_is_kept(rig: Any, lab: ModuleType) -> None:
    run = rig.run(expected=2)
    await send_clean(rig, lab, run, 2)
    end = await wait_for_end(rig.hub, run, LONG, budget_usd=0.02)
    assert end.reason is EndReason.COMPLETED


async def test_redeliveries_do_not_spend_the_budget(rig: Any, lab: ModuleType) -> None:
    run = rig.run(expected=1)
    event = lab.callback(run.batch_id, cost_estimate=0.04)
    for _ in range(5):
        await rig.send(lab.CALLBACK, event)
    await send_clean(rig, lab, run, 0)
    end = await wait_for_end(rig.hub, run, LONG, budget_usd=0.05)
    assert end.reason is EndReason.COMPLETED


async def test_runs_at_the_same_time_share_the_budget_of_the_session(rig: Any, lab: ModuleType) -> None:
    """Each is far below the ceiling; together they are above it."""
    runs = [rig.run(name, expected=10) for name in ("one", "two", "three")]
    waiting = [
        asyncio.create_task(wait_for_end(rig.hub, run, LONG, budget_usd=1.0, session_budget_usd=1.0))
        for run in runs
    ]
    for run in runs:
        await rig.send(lab.CALLBACK, lab.callback(run.batch_id, cost_estimate=0.4), partition=0)
    await rig.hub.drain()
    for run in runs:  # each notices at its next event; one without events spends nothing
        await rig.send(lab.CALLBACK, lab.callback(run.batch_id, cost_estimate=0.0), partition=0)
    ends = await asyncio.wait_for(asyncio.gather(*waiting), 60)
    assert [end.reason for end in ends] == [EndReason.BUDGET] * 3
    assert all("budget of the session is exceeded: $1.2000 spent of $1.0000" in end.detail for end in ends)


async def test_an_abort_ends_the_waiting_at_once(rig: Any) -> None:
    run = rig.run()
    waiting = asyncio.create_task(wait_for_end(rig.hub, run, LONG))
    await asyncio.sleep(0.2)
    began = time.monotonic()
    await rig.hub.abort("the pipeline ended with status 4")
    with pytest.raises(CaptureError, match="status 4"):
        await waiting
    assert time.monotonic() - began < LONG.idle


async def test_it_does_not_poll(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing happens, nothing is computed: one look at the account per wake-up."""
    run, looks = rig.run(), []
    check = rig.hub.check
    monkeypatch.setattr(rig.hub, "check", lambda: (looks.append(1), check()))
    await wait_for_end(rig.hub, run, Deadlines(idle=1.5, total=60))
    assert len(looks) <= 5  # each also at the drain that precedes the deadline
