"""The place where the captured events of one run arrive: its event logs and its account of what is in."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, field

from pytest_eng5.capture.telling import Progress, tell_applied, tell_rejected
from pytest_eng5.contracts import (
    AssessmentResultV1,
    CJAssessmentCompletedV1,
    CJAssessmentFailedV1,
    EventEnvelope,
    LLMComparisonResultV1,
)
from pytest_eng5.evidence import AppendOnlyLog, CapturedRecord, Rejection, RunFolder, Stream, encode_line
from pytest_eng5.telemetry import current_log

__all__ = ["Account", "RunChannel"]


@dataclass
class Account:
    """What has been captured of a run so far; redeliveries count once.

    Attributes:
        expected: Comparisons that were asked for.
        request_ids: Distinct request ids of callbacks, failed ones included.
        cost_usd: Sum of the callbacks' own cost estimates.
        failure: Reason of a failed event, in one line.
    """

    expected: int
    request_ids: set[str] = field(default_factory=set)
    failed: int = 0
    cost_usd: float = 0.0
    completed: bool = False
    resulted: bool = False
    failure: str | None = None
    rejected: int = 0

    @property
    def comparisons(self) -> int:
        """Distinct callbacks captured."""
        return len(self.request_ids)

    def missing(self) -> list[str]:
        """What a clean run would still bring, in words; empty when everything is in."""
        lacking = []
        if self.comparisons < self.expected:
            lacking.append(f"{self.expected - self.comparisons} of {self.expected} comparisons")
        if not self.completed:
            lacking.append("the completed event")
        if not self.resulted:
            lacking.append("the rich result")
        return lacking


class RunChannel:
    """Takes the events that belong to one run, writes them to its logs, keeps its account.

    All methods but :meth:`sync` run on the hub's event loop. Waiters are woken by :meth:`announce`, which the
    hub calls after the lines are durable.

    Args:
        folder: The run folder.
        batch_id: Entity id of the request.
        essay_ids: Ids of the run's essays on the wire, all its own.
        expected: Comparisons that were asked for.

    Attributes:
        last_event: When the idle deadline began to count, monotonic seconds.
        lost: Why events of this run may be lost for ever, ``None`` if they are not.
        log: The log of the run in whose task this was made.
    """

    def __init__(self, folder: RunFolder, batch_id: str, essay_ids: frozenset[str], expected: int) -> None:
        self.folder = folder
        self.batch_id = batch_id
        self.essay_ids = essay_ids
        self.account = Account(expected)
        self.last_event = time.monotonic()
        self.lost: str | None = None
        self.job_ids: set[str] = set()
        self.log = current_log()
        self._progress = Progress()
        self._logs = {stream: AppendOnlyLog(folder.stream(stream)) for stream in Stream}
        self._changed = asyncio.Event()
        self._closed = False
        self._files = threading.Lock()  # the hub syncs in a thread while a run may close

    @property
    def closed(self) -> bool:
        """Whether the logs are closed: nothing may be written any more."""
        return self._closed

    def accept(self, stream: Stream, record: CapturedRecord, envelope: EventEnvelope) -> None:
        """Log a valid event and count it."""
        self._logs[stream].append(encode_line(record))
        if stream is not Stream.COMPARISONS or self.log.detailed:
            tell_applied(self.log, stream, record, envelope)
        self._count(envelope, record)
        self.last_event = time.monotonic()

    def reject(self, record: CapturedRecord, rejection: Rejection) -> None:
        """Log a record that is this run's, or may be, but cannot be taken at face value."""
        self._logs[Stream.REJECTED].append(encode_line(record, rejection))
        self.account.rejected += 1
        tell_rejected(self.log, record, rejection)
        self.last_event = time.monotonic()

    def postpone(self) -> None:
        """Begin the idle deadline anew: while the broker was away there could be no event."""
        self.last_event = time.monotonic()

    def lose(self, reason: str) -> None:
        """Note that events of this run may be lost for ever, so that no verdict is possible."""
        self.lost = self.lost or reason
        self.log.error("collector_error", detail=reason)

    def _count(self, envelope: EventEnvelope, record: CapturedRecord) -> None:
        data, account = envelope.data, self.account
        if isinstance(data, LLMComparisonResultV1):
            if account.completed and account.resulted:
                self.log.counted("collector_late_event", position=record.position)
            if data.request_id not in account.request_ids:
                account.request_ids.add(data.request_id)
                account.cost_usd += data.cost_estimate
                account.failed += data.is_error
            else:
                self.log.counted("duplicate_llm_comparison_skipped", position=record.position)
        elif isinstance(data, CJAssessmentCompletedV1):
            account.completed = True
        elif isinstance(data, AssessmentResultV1):
            account.resulted = True
        elif isinstance(data, CJAssessmentFailedV1):
            account.failure = data.reason()

    def sync(self) -> None:
        """Make every appended line durable; nothing is left to do once the logs are closed."""
        with self._files:
            for log in self._logs.values():
                log.sync()

    def announce(self) -> None:
        """Wake whoever waits for this run."""
        self._changed.set()
        if not self._closed and self._progress.due():
            account = self.account
            self.log.info(
                "collector_progress",
                comparisons=account.comparisons,
                expected=account.expected,
                failed=account.failed,
                rejected=account.rejected,
                cost_usd=account.cost_usd,
            )

    async def changed(self, seconds: float) -> bool:
        """Wait for the next announcement; false if none came within that many seconds."""
        try:
            async with asyncio.timeout(max(seconds, 0)):
                await self._changed.wait()
        except TimeoutError:
            return False
        self._changed.clear()
        return True

    def close(self) -> None:
        """Close the logs; the account stays readable."""
        self._closed = True
        with self._files:
            for log in self._logs.values():
                log.close()
