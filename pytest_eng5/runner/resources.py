"""What all runs of a process share: the capture hub, the request publisher, the HTTP client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from pytest_eng5.capture import CaptureHub, RequestPublisher
from pytest_eng5.evidence import RunEnding
from pytest_eng5.runner.settings import Environment

__all__ = ["Finalise", "Resources", "open_resources"]

_CONNECTIONS = 10
_HTTP_SECONDS = 30.0

Finalise = Callable[[Path, RunEnding], None]
"""Writes artefact, findings and manifest of a run whose logs are closed; gets the run folder."""


@dataclass(frozen=True, slots=True)
class Resources:
    """Connections of a process; runs use them side by side."""

    hub: CaptureHub
    publisher: RequestPublisher
    http: httpx.AsyncClient
    finalise: Finalise


@asynccontextmanager
async def open_resources(
    environment: Environment, session: Path, group_id: str, finalise: Finalise
) -> AsyncIterator[Resources]:
    """Connect, take positions on every topic, and disconnect at the end.

    Raises:
        CaptureError, PublishError: The broker does not answer or lacks a topic.
    """
    arguments, prefix = environment.client_arguments, environment.topic_prefix
    hub = CaptureHub(arguments, group_id, session / "stray.jsonl", prefix)
    publisher = RequestPublisher(arguments, prefix)
    limits = httpx.Limits(max_connections=_CONNECTIONS)
    async with httpx.AsyncClient(timeout=_HTTP_SECONDS, limits=limits, trust_env=False) as http:
        try:
            await asyncio.gather(hub.start(), publisher.start())
            yield Resources(hub, publisher, http, finalise)
        finally:
            await asyncio.gather(hub.stop(), publisher.stop())
