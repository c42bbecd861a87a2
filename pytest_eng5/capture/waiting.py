"""When is a run over? Everything in, accounted for, and the topics drained; or a deadline."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from pytest_eng5.capture.channel import RunChannel
from pytest_eng5.capture.errors import CaptureError
from pytest_eng5.capture.hub import CaptureHub
from pytest_eng5.evidence import EndReason

__all__ = ["Deadlines", "End", "wait_for_end"]

COUNTERPART_SECONDS = 10.0
"""How long the rich result may follow the completed event, or the other way round."""

SETTLE_SECONDS = 2.0
"""How long comparisons that are missing after the end may still trickle in."""

_LOST_FIX = "run again; keep records longer than a run takes, and leave the topics alone meanwhile"


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds: ``idle`` without any event of the run, ``total`` since it was published."""

    idle: float
    total: float


@dataclass(frozen=True, slots=True)
class End:
    """Why capturing stopped; ``timeout_seconds`` is the deadline that fired."""

    reason: EndReason
    detail: str
    timeout_seconds: float | None = None


async def wait_for_end(
    hub: CaptureHub,
    channel: RunChannel,
    deadlines: Deadlines,
    budget_usd: float | None = None,
    session_budget_usd: float | None = None,
) -> End:
    """Wait until the evidence of a run is complete or will not become so.

    After the run's last expected event the topics are drained to their end offsets, so that callbacks on
    other partitions are not lost (contract 13, R8). A run whose reported cost exceeds ``budget_usd`` is not
    waited for any longer, nor is any run once all together exceed ``session_budget_usd``.

    The idle deadline fires only on a broker that answers, and after a drain: while it is away nothing can
    come, and once it is back the deadline begins anew.

    Raises:
        CaptureError: Broker or hub broke down, or events of the run are lost for ever.
    """
    start = time.monotonic()
    channel.last_event = start
    account = channel.account
    while True:
        _check(hub, channel)
        if account.failure is not None:
            left = await hub.drain()
            return End(
                EndReason.PIPELINE_FAILED, _with(f"the pipeline failed the batch: {account.failure}", left)
            )
        if account.completed and account.resulted:
            left = await hub.drain()
            _check(hub, channel)
            if not account.missing():
                return End(EndReason.COMPLETED, _with("completed", left))
        for whose, spent, ceiling in (
            ("run", account.cost_usd, budget_usd),
            ("session", hub.cost_usd, session_budget_usd),
        ):
            if ceiling is not None and spent > ceiling:
                detail = f"${spent:.4f} spent of ${ceiling:.4f}"
                return End(EndReason.BUDGET, f"the budget of the {whose} is exceeded: {detail}")
        now = time.monotonic()
        patience, total = _patience(channel, deadlines), start + deadlines.total - now
        idle = channel.last_event + patience - now
        if total <= 0 or (idle <= 0 and await _nothing_more(hub, channel, total)):
            return _expired(hub, channel, deadlines, now - start)
        await channel.changed(min(idle, total))


def _check(hub: CaptureHub, channel: RunChannel) -> None:
    hub.check()
    if channel.lost is not None:
        raise CaptureError(f"events of this run may be lost: {channel.lost}", fix=_LOST_FIX)


async def _nothing_more(hub: CaptureHub, channel: RunChannel, seconds: float) -> bool:
    """Whether nothing of the run has come, now that all that stands on the topics has been captured."""
    before = channel.last_event
    try:
        async with asyncio.timeout(seconds):
            await hub.drain()
    except TimeoutError:
        return False  # the total deadline has passed meanwhile
    return channel.last_event == before and channel.lost is None


def _patience(channel: RunChannel, deadlines: Deadlines) -> float:
    account = channel.account
    if account.completed and account.resulted:
        return min(SETTLE_SECONDS, deadlines.idle)
    if account.completed or account.resulted:
        return min(COUNTERPART_SECONDS, deadlines.idle)
    return deadlines.idle


def _expired(hub: CaptureHub, channel: RunChannel, deadlines: Deadlines, elapsed: float) -> End:
    account = channel.account
    missing = " and ".join(account.missing()) or "nothing"
    if account.completed or account.resulted:
        text = f"the pipeline ended the batch; still missing: {missing}"
        return End(EndReason.COMPLETED, _with(text, hub.obstacles()))
    seen = f"{account.comparisons} of {account.expected} comparisons seen, missing {missing}"
    if elapsed >= deadlines.total:
        text = _with(f"total deadline of {deadlines.total:g} s passed; {seen}", hub.obstacles())
        return End(EndReason.TOTAL_DEADLINE, text, deadlines.total)
    text = _with(f"no event for {deadlines.idle:g} s (idle deadline); {seen}", hub.obstacles())
    return End(EndReason.IDLE_DEADLINE, text, deadlines.idle)


def _with(text: str, remarks: list[str]) -> str:
    return "; ".join([text, *remarks])
