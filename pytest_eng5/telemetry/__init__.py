"""Structured logs of runs: JSON lines in the run folder, and the same events in words for people.

Nothing global is configured, neither of structlog nor of the standard library's logging.
"""

from __future__ import annotations

from pytest_eng5.telemetry.events import EVENTS, Event, words
from pytest_eng5.telemetry.narration import LOGGER, narrated
from pytest_eng5.telemetry.redaction import SECRETS, Secrets
from pytest_eng5.telemetry.runlog import RunLog, current_log

__all__ = [
    "EVENTS",
    "LOGGER",
    "SECRETS",
    "Event",
    "RunLog",
    "Secrets",
    "current_log",
    "narrated",
    "words",
]
