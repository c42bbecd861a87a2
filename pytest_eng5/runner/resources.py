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
    """Connections of a process; runs use them side by side. Without Kafka nothing can be published."""

    hub: CaptureHub | None
    publisher: RequestPublisher | None
    http: httpx.AsyncClient
    finalise: Finalise

    @property
    def kafka(self) -> tuple[CaptureHub, RequestPublisher]:
        """What captures and what publishes."""
        assert self.hub is not None
        assert self.publisher is not None
        return self.hub, self.publisher


@asynccontextmanager
async def open_resources(
    environment: Environment, session: Path, group_id: str, finalise: Finalise, *, kafka: bool = True
) -> AsyncIterator[Resources]:
    """Connect, take positions on every topic, and disconnect at the end.

    Args:
        environment: The pipeline under test.
        session: The session's folder.
        group_id: Kafka group under which this process commits what it has captured.
        finalise: Completes a run folder.
        kafka: Whether Kafka is needed, for runs that publish something.

    Raises:
        CaptureError, PublishError: The broker does not answer or lacks a topic.
    """
    limits = httpx.Limits(max_connections=_CONNECTIONS)
    async with httpx.AsyncClient(timeout=_HTTP_SECONDS, limits=limits, trust_env=False) as http:
        if not kafka:
            yield Resources(None, None, http, finalise)
            return
        async with _kafka(environment, session, group_id) as (hub, publisher):
            yield Resources(hub, publisher, http, finalise)


@asynccontextmanager
async def _kafka(
    environment: Environment, session: Path, group_id: str
) -> AsyncIterator[tuple[CaptureHub, RequestPublisher]]:
    arguments, prefix = environment.client_arguments, environment.topic_prefix
    hub = CaptureHub(arguments, group_id, session / "stray.jsonl", prefix)
    publisher = RequestPublisher(arguments, prefix)
    try:
        await asyncio.gather(hub.start(), publisher.start())
        yield hub, publisher
    finally:
        await asyncio.gather(hub.stop(), publisher.stop())
