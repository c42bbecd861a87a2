"""Disconnecting Kafka clients within bounds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from pytest_eng5.capture.patience import STOP_SECONDS

__all__ = ["disconnect"]


async def disconnect(stopping: Coroutine[Any, Any, None]) -> None:
    """Await a client's ``stop()``, but neither wait for a broker that is gone nor let its failure out.

    It runs in a task of its own, since aiokafka's cancellations leak out of it.
    """
    task = asyncio.create_task(stopping)
    await asyncio.wait({task}, timeout=STOP_SECONDS)
    task.cancel()
    with contextlib.suppress(Exception, asyncio.CancelledError):
        await task
