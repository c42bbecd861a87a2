"""What a run is made of, as seen from outside: each part can be exchanged for another that does the same.

The classes named below are the ones that runs use; none of them derives from its protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pytest_eng5.capture import Published, RunChannel
from pytest_eng5.evidence import RunEnding

__all__ = ["Capture", "Hydration", "Publisher", "ReportGenerator", "Uploader"]


@runtime_checkable
class Uploader(Protocol):
    """Stores texts where the pipeline finds them: `pytest_eng5.services.ContentClient`."""

    async def store(self, text: str) -> str:
        """Store one text; returns its storage id."""
        ...

    async def store_all(self, texts: Sequence[str]) -> list[str]:
        """Store many side by side; returns their storage ids in the same order."""
        ...


@runtime_checkable
class Publisher(Protocol):
    """Publishes requests: `pytest_eng5.capture.RequestPublisher`."""

    async def start(self) -> None:
        """Connect."""
        ...

    async def publish(self, value: bytes, key: str) -> Published:
        """Publish one request; returns where it lies once the broker has it."""
        ...

    async def stop(self) -> None:
        """Disconnect."""
        ...


@runtime_checkable
class Capture(Protocol):
    """Captures the events of runs: `pytest_eng5.capture.CaptureHub`."""

    failure: str | None

    async def start(self) -> None:
        """Take positions, before anything is published."""
        ...

    def register(self, channel: RunChannel) -> None:
        """Route the events of a run to its logs from now on."""
        ...

    async def drain(self) -> list[str]:
        """Wait until everything that stands on the topics now has been captured."""
        ...

    async def stop(self) -> None:
        """Commit what was made durable, and disconnect."""
        ...


@runtime_checkable
class Hydration(Protocol):
    """Completes the folder of a run whose logs are closed: `pytest_eng5.reports.finalise_run`."""

    def __call__(self, root: Path, ending: RunEnding) -> None:
        """Write artefact, findings and manifest of the run in ``root``."""
        ...


@runtime_checkable
class ReportGenerator(Protocol):
    """Reports a judged session: `pytest_eng5.reports.write_session`."""

    def __call__(self, session: Path, outcomes: Sequence[Any]) -> None:
        """Write the reports of all variants below ``session``."""
        ...
