"""The monitor of batches whose callbacks stopped coming (contract section 7.7).

The production monitor also finishes batches that have all their callbacks. Here the last callback does that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from pytest_eng5.pipeline.cj.batch import Batch
from pytest_eng5.pipeline.logs import service_logger
from pytest_eng5.pipeline.settings import CJSettings

__all__ = ["BatchMonitor"]

_log = service_logger("cj_assessment_service")


class BatchMonitor:
    """Looks at all batches now and then, and gives up those that have been idle for too long.

    What becomes of such a batch, a forced scoring or a failure, is its own business.

    Args:
        settings: First look, interval, and how long a batch may be idle.
        batches: The batches under way.
    """

    def __init__(self, settings: CJSettings, batches: Callable[[], Iterable[Batch]]) -> None:
        self._first = settings.batch_monitor_first_pass_seconds
        self._interval = settings.batch_monitor_interval_minutes * 60
        self._patience = settings.batch_timeout_hours * 3600
        self._batches = batches

    async def run(self) -> None:
        """Look for ever."""
        await asyncio.sleep(self._first)
        while True:
            self.sweep()
            await asyncio.sleep(self._interval)

    def sweep(self) -> None:
        """Look once."""
        now = time.monotonic()
        for batch in list(self._batches()):
            idle = now - batch.last_activity
            if batch.submitted > batch.callbacks and idle >= self._patience:
                _log.warning(
                    "batch stuck",
                    batch_id=batch.batch_id,
                    idle_seconds=round(idle, 1),
                    callbacks=batch.callbacks,
                    submitted=batch.submitted,
                )
                batch.give_up()
