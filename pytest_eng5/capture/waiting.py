"""When is a run over? Everything in, accounted for, and the topics drained; or a deadline."""

from __future__ import annotations

import time
from dataclasses import dataclass

from pytest_eng5.capture.channel import RunChannel
from pytest_eng5.capture.hub import CaptureHub
from pytest_eng5.evidence import EndReason

__all__ = ["Deadlines", "End", "wait_for_end"]

COUNTERPART_SECONDS = 10.0
"""How long the rich result may follow the completed event, or the other way round."""

SETTLE_SECONDS = 2.0
"""How long comparisons that are missing after the end may still trickle in."""


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

    Raises:
        CaptureError: Broker or hub broke down.
    """
    start = time.monotonic()
    channel.last_event = start
    account = channel.account
    while True:
        hub.check()
        if account.failure is not None:
            await hub.drain()
            return End(EndReason.PIPELINE_FAILED, f"the pipeline failed the batch: {account.failure}")
        if account.completed and account.resulted:
            await hub.drain()
            if not account.missing():
                return End(EndReason.COMPLETED, "completed")
        for whose, spent, ceiling in (
            ("run", account.cost_usd, budget_usd),
            ("session", hub.cost_usd, session_budget_usd),
        ):
            if ceiling is not None and spent > ceiling:
                detail = f"${spent:.4f} spent of ${ceiling:.4f}"
                return End(EndReason.BUDGET, f"the budget of the {whose} is exceeded: {detail}")
        patience = _patience(channel, deadlines)
        now = time.monotonic()
        remaining = min(channel.last_event + patience - now, start + deadlines.total - now)
        if remaining <= 0:
            return _expired(channel, deadlines, now - start)
        await channel.changed(remaining)


def _patience(channel: RunChannel, deadlines: Deadlines) -> float:
    account = channel.account
    if account.completed and account.resulted:
        return min(SETTLE_SECONDS, deadlines.idle)
    if account.completed or account.resulted:
        return min(COUNTERPART_SECONDS, deadlines.idle)
    return deadlines.idle


def _expired(channel: RunChannel, deadlines: Deadlines, elapsed: float) -> End:
    account = channel.account
    missing = " and ".join(account.missing()) or "nothing"
    if account.completed or account.resulted:
        return End(EndReason.COMPLETED, f"the pipeline ended the batch; still missing: {missing}")
    seen = f"{account.comparisons} of {account.expected} comparisons seen, missing {missing}"
    if elapsed >= deadlines.total:
        text = f"total deadline of {deadlines.total:g} s passed; {seen}"
        return End(EndReason.TOTAL_DEADLINE, text, deadlines.total)
    text = f"no event for {deadlines.idle:g} s (idle deadline); {seen}"
    return End(EndReason.IDLE_DEADLINE, text, deadlines.idle)
